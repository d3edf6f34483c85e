"""The classes as points in the plane, as far apart as the ground distance says."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .matrix import checked_matrix, known_classes
from .point_names import place_names
from .text import short_names

__all__ = ["classical_mds", "plot_class_map"]

_DPI = 150
_MOST_NAMES = 40
_SOME = 20  # names along the order where there are too many


def classical_mds(matrix: ArrayLike) -> tuple[np.ndarray, float]:
    """Points in the plane whose distances come nearest to a matrix: classical multidimensional scaling.

    With J = I - 1/K the points are the two leading eigenvectors of -1/2 J D^2 J, times the root of their eigenvalues
    (Torgerson 1952); a negative eigenvalue counts as 0. The first class lies to the left and above the middle.

    Args:
        matrix: (K, K) distances; of a matrix that is not symmetric the mean with its transpose counts.

    Returns:
        Points (K, 2) float64, and the share of the squared distances that the two dimensions explain: their eigenvalues
        over the sum of the absolute values of all, 1 where all distances are 0.

    >>> points, share = classical_mds([[0, 3], [3, 0]])
    >>> points.round(6).tolist(), round(share, 6)
    ([[-1.5, 0.0], [1.5, 0.0]], 1.0)
    """
    distances = np.asarray(matrix, dtype=np.float64)
    distances = (distances + distances.T) / 2
    centering = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * centering @ distances**2 @ centering)
    total = np.abs(values).sum()
    tiny = 1e-12 * total
    leading = np.where(values[::-1][:2] > tiny, values[::-1][:2], 0.0)  # (2,), or (1,) for one class
    points = np.zeros((len(distances), 2))
    points[:, : len(leading)] = vectors[:, ::-1][:, :2] * np.sqrt(leading)
    for axis, side in ((0, -1), (1, 1)):
        away = points[:, axis][np.abs(points[:, axis]) > 1e-6 * max(np.abs(points[:, axis]).max(), 1e-300)]
        if len(away) and np.sign(away[0]) != side:
            points[:, axis] *= -1
    return points + 0.0, float(leading.sum() / total) if total > 0 else 1.0  # + 0.0: no negative zeros


def plot_class_map(
    matrix: ArrayLike,
    class_names: Sequence[str],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    ordered: bool = False,
) -> None:
    """Saves the classes as points, as far apart as D says, in so far as two dimensions can show it.

    A class that has no distance to any other is unknown and is left out. Above 40 classes 20 are named, by number and
    name: evenly along the order, which the colours show, or where there is none the outermost.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the picture.
        ordered: whether a line joins the classes in their order.

    Raises:
        ValueError: `matrix` is not square or not finite, or the names do not match it.
    """
    class_map_figure(matrix, class_names, title, ordered=ordered).savefig(path)


def class_map_figure(
    matrix: ArrayLike, class_names: Sequence[str], title: str | None = None, *, ordered: bool = False
) -> Figure:
    """The figure that :func:`plot_class_map` saves."""
    values = checked_matrix(matrix, class_names)
    known = np.flatnonzero(known_classes(values))
    left_out = len(values) - len(known)
    points, share = classical_mds(values[np.ix_(known, known)])

    figure = Figure(figsize=(7.4, 5.8), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    if len(points) <= _MOST_NAMES:
        if ordered:
            axes.plot(*points.T, color="#56B4E9", linewidth=1.6, zorder=1)
        axes.scatter(*points.T, s=42, color="#0072B2", edgecolors="white", linewidths=0.6, zorder=2)
    elif ordered:
        axes.plot(*points.T, color="0.75", linewidth=0.4, alpha=0.6, zorder=1)
        dots = axes.scatter(*points.T, s=14, c=known, cmap="viridis", zorder=2)
        bar = figure.colorbar(dots, ax=axes, label="class, in order", shrink=0.8, pad=0.02)
        bar.outline.set_visible(False)
        bar.locator = MaxNLocator(6, integer=True)
    else:
        axes.scatter(*points.T, s=12, color="#0072B2", edgecolors="white", linewidths=0.6, zorder=2)
    _set_limits(axes, points)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title or "", pad=10, fontsize=11)
    caption = "All distances are 0."
    if values.any():
        caption = f"Two dimensions explain {100 * share:.0f} % of the squared distances."
    if ordered:
        caption += " The line follows the order of the classes."
    if left_out:
        caption += f"\n{left_out} {'class' if left_out == 1 else 'classes'} without a known distance left out."
    axes.set_xlabel(caption, labelpad=8)
    names = short_names(class_names, 24, numbered=len(values) > _MOST_NAMES)
    names = [names[index] for index in known]
    if ordered and len(points) > _MOST_NAMES:
        some = np.linspace(0, len(points) - 1, _SOME).round().astype(int)
        points, names, ordered = points[some], [names[index] for index in some], False
    place_names(figure, axes, points, names, most=_MOST_NAMES, joined=ordered)
    return figure


def _set_limits(axes: Axes, points: np.ndarray) -> None:
    """One scale for both axes, with room for the names."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max() or 1.0
    middle, half = (low + high) / 2, (high - low) / 2 + 0.16 * extent
    axes.margins(0)
    axes.update_datalim([middle - half, middle + half])
    axes.set_aspect("equal", adjustable="datalim")
    axes.autoscale_view()
