"""The classes as a tree of clusters."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram as lay_out_tree
from scipy.cluster.hierarchy import to_tree

from .figures import BLUE, count_classes, save_figure, short_names, shorten
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
    revision: str | None = None,
    token: str | bool | None = None,
) -> Figure:
    """The classes as a tree: two clusters join at the ground distance between them.

    Similar leaves stand side by side. A class that D does not know is left out, and counted below the figure. Above 60
    classes the tree ends at its 40 uppermost clusters; each is named after the member nearest to the others, with the
    number of those.

    Args:
        source: (K, K) numbers; a config with a `ground_distance`; a folder with a saved model or a run; a .json, .npy
            or .safetensors file; or a model on the Hub, as "me/age".
        method: the distance of two clusters, as SciPy's `linkage` names it: "average" of all pairs, "single" (the
            nearest pair), "complete" (the farthest) or "weighted".
        class_names: (K,) names; default: those saved with D, else the numbers of the classes.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the figure.
        revision: a branch, tag or commit on the Hub.
        token: for a private model on the Hub.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file, folder or model.
        ValueError: there is no D of two classes or more, it is not (K, K) and finite, the names are not K, or there is
            no such method.

    Examples:
        >>> figure = dendrogram([[0, 3, 1], [3, 0, 2], [1, 2, 0]], class_names=["a", "b", "c"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['a', 'c', 'b']
    """
    matrix, names = read_source(source, class_names=class_names, revision=revision, token=token)
    values = check_matrix(as_array(matrix), names)
    known = np.flatnonzero(known_classes(values))
    if len(known) < 2:
        raise ValueError(f"a dendrogram needs a distance between two classes or more; source has {len(values)}.")
    distances = values[np.ix_(known, known)]
    merges = cluster_tree(distances, method)
    many = len(known) > _MAX_LEAVES
    tree = lay_out_tree(merges, no_plot=True, truncate_mode="lastp" if many else None, p=_NUM_CLUSTERS)
    short = short_names([names[k] for k in known], 32)
    leaves = _name_clusters(merges, tree["leaves"], distances, short) if many else [short[k] for k in tree["leaves"]]

    places = 5.0 + 10.0 * np.arange(len(leaves))  # as SciPy lays them out
    figure = Figure(figsize=(7.4, 1.4 + max(0.2 * len(leaves), 1.0)), layout="constrained")
    axes = figure.add_subplot()
    lines = [np.column_stack([far, at]) for at, far in zip(tree["icoord"], tree["dcoord"], strict=True)]
    axes.add_collection(LineCollection(lines, colors=BLUE, linewidths=1.4))
    axes.set(xlim=(0, 1.03 * (merges[:, 2].max() or 1.0)), ylim=(places[-1] + 7, -2))  # the first leaf on top
    axes.set_yticks(places, leaves, fontsize=9, parse_math=False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title or "", pad=10, fontsize=11)
    caption = f"ground distance at which clusters join ({method} linkage)"
    if many:
        caption += f"\nThe {len(leaves)} uppermost clusters of {len(known)} classes."
    if len(known) < len(values):
        caption += f"\n{count_classes(len(values) - len(known))} that D does not know left out."
    axes.set_xlabel(caption)
    return save_figure(figure, path)


def _name_clusters(merges: np.ndarray, nodes: Sequence[int], matrix: np.ndarray, names: Sequence[str]) -> list[str]:
    """A name for each node at which the tree ends: its medoid, and how many more classes there are."""
    _, by_number = to_tree(merges, rd=True)
    texts = []
    for node in nodes:
        members = np.array(by_number[node].pre_order())
        medoid = members[matrix[np.ix_(members, members)].sum(axis=1).argmin()]
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        texts.append(shorten(names[medoid], 32) + more)
    return texts
