"""The ground distance as pictures (as Hou et al. 2016, Table 2); the other figures of a report come from here too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ..metrics.logs import points
from .class_map_figure import plot_class_map
from .curve_figure import plot_curves
from .matrix import cell_text, checked_matrix, known_classes
from .text import short_names

__all__ = ["plot_class_map", "plot_curves", "plot_ground_distance", "plot_history"]

_DPI = 150
_COLORS = "YlGnBu"
_UNKNOWN = "0.8"  # grey
_MOST_MAPS = 6
_LINES = {"sdd": "SDD", "sdd_relative": "SDD / mean distance"}


def plot_ground_distance(
    matrix: ArrayLike,
    class_names: Sequence[str],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    scale_end: float | None = None,
) -> None:
    """Saves a ground distance matrix as a heat map that reads like Hou et al. 2016, Table 2.

    Up to 20 classes each cell shows its value; above 40 some classes are named, by number and name. Near is light;
    classes without a distance to any other are unknown and grey.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the picture.
        scale_end: the distance of the darkest colour; by default the largest, which differs from picture to picture.

    Raises:
        ValueError: `matrix` is not square or not finite, or the names do not match it.
    """
    ground_distance_figure(matrix, class_names, title, scale_end, marks_unknown=True).savefig(path, dpi=_DPI)


def ground_distance_figure(
    matrix: ArrayLike,
    class_names: Sequence[str],
    title: str | None = None,
    scale_end: float | None = None,
    *,
    marks_unknown: bool = False,
    numbers: Sequence[int] | None = None,
    note: str = "",
) -> Figure:
    """The figure that :func:`plot_ground_distance` saves.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        title: a line above the picture.
        scale_end: the distance of the darkest colour; by default the largest.
        marks_unknown: whether classes without a distance to any other are grey.
        numbers: (K,) the numbers of the classes, where the rows do not stand in their order.
        note: a line below the picture.
    """
    values = checked_matrix(matrix, class_names)
    num_classes = len(values)
    side = min(max(0.6 * num_classes, 3.6), 8.0)  # inches, of the cells alone
    cell = 72 * side / num_classes  # points
    figure = Figure(figsize=(side + 1.8, side + 1.0), layout="constrained")
    axes = figure.add_subplot()
    known = known_classes(values) if marks_unknown else np.ones(num_classes, dtype=bool)
    image = _show(axes, values, *_scale(values, scale_end), known)

    names = short_names(class_names, 24, numbered=num_classes > 40, numbers=numbers)
    ticks = list(range(num_classes))
    if num_classes > 40:
        ticks = [int(tick) for tick in MaxNLocator(20, steps=[1, 2, 5, 10]).tick_values(0, num_classes - 1)]
        ticks = [tick for tick in ticks if tick < num_classes]
        names = [names[tick] for tick in ticks]
    room = cell * num_classes / len(ticks)  # points, of one name
    font_size = min(10.0, max(7.0, 0.45 * room))
    rotation = 90 if max(map(len, names)) * 0.65 * font_size > room else 0
    axes.xaxis.tick_top()
    axes.set_xticks(ticks, names, rotation=rotation, fontsize=font_size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=font_size, parse_math=False)
    axes.tick_params(length=3 if num_classes > 40 else 0)
    axes.spines[:].set_visible(False)
    axes.set_title(title or "", pad=10)
    axes.set_xlabel(_below(note, known), labelpad=8)
    figure.colorbar(image, ax=axes, label="ground distance", shrink=0.8, pad=0.02).outline.set_visible(False)

    if num_classes <= 20:
        _write_values(axes, values, known, cell)
    return figure


def show_another(figure: Figure, matrix: np.ndarray, title: str, note: str = "") -> None:
    """Puts another D into a figure of :func:`ground_distance_figure`; its scale of colours and its layout stay.

    Args:
        figure: of as many classes, with unknown ones marked.
        matrix: (K, K) finite numbers.
        title: the line above the picture.
        note: the line below it.
    """
    axes, num_classes = figure.axes[0], len(matrix)
    known = known_classes(matrix)
    axes.images[0].set_data(_masked(axes, matrix, known))
    axes.set_title(title, pad=10)
    axes.set_xlabel(_below(note, known), labelpad=8)
    if num_classes <= 20:
        for text in list(axes.texts):
            text.remove()
        _write_values(axes, matrix, known, 72 * axes.get_window_extent().width / figure.dpi / num_classes)


def _write_values(axes: Axes, values: np.ndarray, known: np.ndarray, cell: float) -> None:
    texts = [[cell_text(value, 2) for value in row] for row in values]
    font_size = min(10.0, 1.3 * cell / max(len(text) for row in texts for text in row))
    luminance = axes.images[0].to_rgba(values)[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)
    for row, column in np.ndindex(values.shape):
        if known[row] and known[column]:
            color = "black" if luminance[row, column] > 0.18 else "white"  # contrast 4.5 : 1 or better on any colour
            axes.text(column, row, texts[row][column], ha="center", va="center", color=color, fontsize=font_size)


def plot_history(
    epochs: ArrayLike,
    matrices: ArrayLike,
    class_names: Sequence[str],
    path: str | os.PathLike[str],
    *,
    log: Sequence[Mapping[str, Any]] = (),
    title: str | None = None,
) -> None:
    """Saves how D came about: up to six small heat maps of one colour scale, and SDD by epoch below.

    Args:
        epochs: (E,) in order; where D was not kept there is none, and SDD alone is drawn.
        matrices: (E, K, K) D after each of them, finite.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        log: a trainer's `log_history`, whose "sdd" and "sdd_relative" are drawn; without them there is no lower panel.
        title: a line above the picture.

    Raises:
        ValueError: there is nothing to draw, not one matrix for each epoch, or one is not square, not finite, or does
            not fit the names.
    """
    history_figure(epochs, matrices, class_names, log, title).savefig(path, dpi=_DPI)


def history_figure(
    epochs: ArrayLike,
    matrices: ArrayLike,
    class_names: Sequence[str],
    log: Sequence[Mapping[str, Any]] = (),
    title: str | None = None,
) -> Figure:
    """The figure that :func:`plot_history` saves."""
    at, values = np.asarray(epochs, dtype=np.float64), np.asarray(matrices, dtype=np.float64)
    lines = {name: points(log, name) for name in _LINES}
    lines = {name: line for name, line in lines.items() if line}
    if at.ndim != 1 or len(values) != len(at) or not (len(at) or lines):
        raise ValueError(
            "epochs and matrices must hold one epoch for each matrix, at least one where log has no 'sdd'; got shapes "
            f"{at.shape} and {values.shape}; pass the arrays of ground_distance_history.npz"
        )
    for matrix in values:
        checked_matrix(matrix, class_names)
    shown = np.unique(np.linspace(0, max(len(at) - 1, 0), _MOST_MAPS).round().astype(int))[: len(at)]

    rows = (len(at) > 0) + (len(lines) > 0)
    figure = Figure(figsize=(max(6.4, 1 + 1.5 * len(shown)), 2.5 * rows), layout="constrained")
    parts = iter(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    if len(at):
        _draw_maps(next(parts), at[shown], values[shown], _scale(values), class_names)
    if lines:
        panels = next(parts).subplots(1, len(lines), squeeze=False)[0]
        for axes, (name, line) in zip(panels, lines.items(), strict=True):
            _draw_line(axes, line, at[shown], _LINES[name])
    figure.suptitle(title or "")
    return figure


def _draw_maps(
    part: SubFigure, epochs: np.ndarray, matrices: np.ndarray, scale: tuple[float, float], class_names: Sequence[str]
) -> None:
    panels = part.subplots(1, len(epochs), squeeze=False)[0]
    for axes, epoch, matrix in zip(panels, epochs, matrices, strict=True):
        image = _show(axes, matrix, *scale, known_classes(matrix))
        axes.set_title(f"epoch {epoch:g}", fontsize=10)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if len(class_names) <= 12:
        names = short_names(class_names, 14)
        panels[0].set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
        panels[0].tick_params(length=0)
    else:
        panels[0].set_ylabel("classes in order")
    part.colorbar(image, ax=panels, label="ground distance", shrink=0.8, pad=0.01).outline.set_visible(False)


def _draw_line(axes: Axes, line: Mapping[float, float], shown: np.ndarray, title: str) -> None:
    """A line by epoch, with dots where there is a heat map above."""
    dots = [epoch for epoch in line if epoch in shown]
    axes.plot(list(line), list(line.values()), color="#0072B2", linewidth=1.6)
    axes.plot(dots, [line[epoch] for epoch in dots], color="#0072B2", linestyle="none", marker="o", markersize=6)
    axes.set(
        title=title,
        xlabel="epoch (dots: the epochs above)" if dots else "epoch",
        ylim=(0, 1.08 * max(*line.values(), 1e-9)),
    )
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def _show(axes: Axes, values: np.ndarray, low: float, high: float, known: np.ndarray) -> AxesImage:
    values = _masked(axes, values, known)
    return axes.imshow(values, cmap=_COLORS, vmin=low, vmax=high, interpolation="nearest")


def _masked(axes: Axes, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Without the cells of unknown classes, through which the ground of the axes is seen."""
    if known.all():
        return values
    axes.set_facecolor(_UNKNOWN)
    return np.ma.masked_array(values, ~np.logical_and.outer(known, known))


def _below(note: str, known: np.ndarray) -> str:
    count = int((~known).sum())
    unknown = f"Grey: {count} {'class' if count == 1 else 'classes'} that D does not know." if count else ""
    return "\n".join(filter(None, (note, unknown)))


def _scale(values: np.ndarray, end: float | None = None) -> tuple[float, float]:
    """The distances of the lightest and of the darkest colour."""
    low, high = min(0.0, values.min()), max(0.0, values.max()) if end is None else end
    return low, high if high > low else low + 1.0
