"""The classes as points in the plane, and as a tree of clusters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from scipy.cluster.hierarchy import dendrogram as draw_tree
from scipy.spatial.distance import pdist, squareform

from .figures import BLUE, count_classes, save_figure, short_names
from .sources import Source, cluster_tree, read_known_part

_MAX_NAMES = 40
_SOME_NAMES = 20  # where there are more classes
_DIRECTIONS = [(0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1)]
_GAPS = range(7, 80, 6)  # points between a point and its name
_MAX_LEAVES = 60
_NUM_CLUSTERS = 40  # shown where there are more leaves


def class_map(
    source: Source,
    *,
    ordered: bool = True,
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """The classes as points whose distances in the plane come nearest to D: classical multidimensional scaling.

    A line below gives the stress of the plane (Kruskal 1964). A class that D does not know is left out, and counted
    there. Above 40 classes 20 are named, evenly along their numbers.

    Args:
        source: of D, as all of these for :func:`squared_emd.plot.heat_map`.
        ordered: whether the classes have an order, which a line through them then shows.
        class_names: (K,) names.
        path: the file to write.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        TypeError, FileNotFoundError, ValueError: as :func:`squared_emd.plot.heat_map`; or there are not two classes
            with a distance.

    Examples:
        >>> figure = class_map([[0, 2], [2, 0]], class_names=["a", "b"])
        >>> figure.axes[0].lines[0].get_xydata().round(6).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    values, names, numbers, num_unknown = read_known_part(source, class_names, "class map")
    points, stress = embed_classes(values)
    many = len(points) > _MAX_NAMES

    figure = Figure(figsize=(7.4, 5.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    if ordered:
        axes.plot(*points.T, color="#56B4E9", linewidth=0.4 if many else 1.6, zorder=1)
    axes.scatter(*points.T, s=14 if many else 42, color=BLUE, edgecolors="white", linewidths=0.6, zorder=2)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.16)  # room for the names
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title or "", pad=10, fontsize=11, wrap=True)
    caption = f"Stress {stress:.2f}: the part of the distances that the plane does not show."
    if ordered:
        caption += "\nThe line follows the order of the classes."
    if num_unknown:
        caption += f"\n{count_classes(num_unknown)} that D does not know left out."
    axes.set_xlabel(caption, labelpad=8)

    shown = np.arange(len(points))
    if many:
        shown = np.linspace(0, len(points) - 1, _SOME_NAMES).round().astype(int)
    short = short_names(names, 24, numbered=many, numbers=numbers)
    _write_names(axes, points, {index: short[index] for index in shown})
    return save_figure(figure, path)


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
    values, names, numbers, num_unknown = read_known_part(source, class_names, "dendrogram")
    many = len(names) > _MAX_LEAVES
    figure = Figure(figsize=(7.4, 1.4 + 0.2 * max(_NUM_CLUSTERS if many else len(names), 5)), layout="constrained")
    axes = figure.add_subplot()
    draw_tree(
        cluster_tree(values, method),
        ax=axes,
        orientation="right",
        labels=short_names(names, 32, numbers=numbers),
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
        caption += f"\nThe {_NUM_CLUSTERS} uppermost clusters of {len(names)} classes."
    if num_unknown:
        caption += f"\n{count_classes(num_unknown)} that D does not know left out."
    axes.set_xlabel(caption)
    return save_figure(figure, path)


def embed_classes(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """(K, 2) points by classical multidimensional scaling (Torgerson 1952), and their stress (Kruskal 1964).

    The first class is not right of the middle nor below it. Of a matrix that is not symmetric the mean with its
    transpose counts.
    """
    from sklearn.decomposition import KernelPCA  # which takes seconds to import

    distances = (matrix + matrix.T) / 2
    with np.errstate(invalid="ignore"):  # where a dimension has a negative eigenvalue, no distance needs it
        # The principal components of the kernel -D^2 / 2, which KernelPCA centers, are classical scaling.
        components = KernelPCA(2, kernel="precomputed", eigen_solver="dense").fit_transform(-np.square(distances) / 2)
        points = np.zeros((len(distances), 2))
        points[:, : components.shape[1]] = components  # (K, 2)
    points = np.where(points[0] * (-1, 1) < 0, -points, points) + 0.0  # + 0.0: no negative zeros
    expected = squareform(distances, checks=False)
    scale = (expected**2).sum()
    return points, float(np.sqrt(((pdist(points) - expected) ** 2).sum() / scale)) if scale else 0.0


def _write_names(axes: Axes, points: np.ndarray, names: Mapping[int, str]) -> None:
    """Names beside points, each at the nearest place where it covers neither a point nor another name."""
    axes.figure.draw_without_rendering()  # the layout must be final before places are compared
    scale = axes.figure.dpi / 72
    dots = axes.transData.transform(points)
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in dots]
    room = axes.get_window_extent()
    for index, name in names.items():
        text = axes.annotate(
            name, points[index], xytext=(0, 0), textcoords="offset points", ha="center", va="center", fontsize=9,
            parse_math=False, zorder=3, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
        at_point = text.get_window_extent()
        half = np.array([at_point.width, at_point.height]) / scale / 2
        for offset in (np.array(way) * (half + gap) for gap in _GAPS for way in _DIRECTIONS):
            box = at_point.translated(*(offset * scale))
            if not box.count_overlaps(taken) and room.containsx(box.x0) and room.containsx(box.x1):
                break
        text.xyann = tuple(offset)
        taken.append(box)
