"""The classes as a tree of clusters."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram as draw_tree

from .figures import BLUE, count_classes, save_figure, short_names
from .matrices import check_matrix, cluster_tree, known_classes
from .sources import Source, as_array, read_source

__all__ = ["dendrogram"]

_MAX_LEAVES = 60
_NUM_CLUSTERS = 40  # shown where there are more leaves


def dendrogram(
    source: Source,
    *,
    method: str = "average",
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """The classes as a tree: two clusters join at the ground distance between them.

    Similar leaves stand side by side. A class that D does not know is left out, and counted below the figure. Above 60
    classes the tree ends at its 40 uppermost clusters, each with the number of its classes.

    Args:
        source: of D, as all of these for :func:`squared_emd.plot.heat_map`.
        method: the distance of two clusters, as SciPy's `linkage` names it: "average" of all pairs, "single" (the
            nearest pair), "complete" (the farthest) or "weighted".
        class_names: (K,) names.
        path: the file to write.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        TypeError, FileNotFoundError, ValueError: as :func:`squared_emd.plot.heat_map`; or there are not two classes
            with a distance.

    Examples:
        >>> figure = dendrogram([[0, 3, 1], [3, 0, 2], [1, 2, 0]], class_names=["a", "b", "c"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['a', 'c', 'b']
    """
    matrix, names = read_source(source, class_names)
    values = check_matrix(as_array(matrix), names)
    known = np.flatnonzero(known_classes(values))
    if len(known) < 2:
        raise ValueError(f"a dendrogram needs a distance between two classes or more; source has {len(values)}.")
    many = len(known) > _MAX_LEAVES
    figure = Figure(figsize=(7.4, 1.4 + 0.2 * max(_NUM_CLUSTERS if many else len(known), 5)), layout="constrained")
    axes = figure.add_subplot()
    draw_tree(
        cluster_tree(values[np.ix_(known, known)], method),
        ax=axes,
        orientation="right",
        labels=short_names([names[k] for k in known], 32),
        link_color_func=lambda _: BLUE,
        truncate_mode="lastp" if many else None,
        p=_NUM_CLUSTERS,
        leaf_font_size=9,
    )
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.invert_yaxis()  # the first leaf on top
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title or "", pad=10, fontsize=11, wrap=True)
    caption = f"ground distance at which clusters join ({method} linkage)"
    if many:
        caption += f"\nThe {_NUM_CLUSTERS} uppermost clusters of {len(known)} classes."
    if len(known) < len(values):
        caption += f"\n{count_classes(len(values) - len(known))} that D does not know left out."
    axes.set_xlabel(caption)
    return save_figure(figure, path)
