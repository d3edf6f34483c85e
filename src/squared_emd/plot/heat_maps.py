"""Heat maps: of the ground distance, and of any matrix over pairs of classes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from torch import Tensor

from .figures import count_classes, save_figure, short_names
from .matrices import block_means, check_matrix, check_order, known_classes, seriation
from .sources import Source, as_array, read_source

__all__ = ["SERIATED", "color_limits", "heat_map", "heat_map_figure", "replace_heat_map", "show_matrix"]

SERIATED = "Similar classes side by side (seriation)."
_MAX_CELLS = 1000  # a side; a figure has not many more pixels
_MAX_VALUES = 20  # classes, whose cells have room for a number
_MAX_NAMES = 40


def heat_map(
    source: Source,
    *,
    order: str = "classes",
    class_names: Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    scale_end: float | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> Figure:
    """The ground distance as a heat map, as in Hou et al. 2016, Table 2: the lighter, the nearer.

    Up to 20 classes each cell shows its value; above 40 some classes are named, by number and name. Classes that D does
    not know, whose row is all 0, are gray. Above 1,000 classes a cell is the mean of a block of neighboring classes.

    Args:
        source: (K, K) numbers; a config with a `ground_distance`; a folder with a saved model or a run; a .json, .npy
            or .safetensors file; or a model on the Hub, as "me/age".
        order: of the rows and columns: "classes", as the model has them, or "seriation", similar ones side by side.
        class_names: (K,) names; default: those saved with D, else the numbers of the classes.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the figure.
        scale_end: the distance of the darkest color; default: the largest.
        revision: a branch, tag or commit on the Hub.
        token: for a private model on the Hub.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file, folder or model.
        ValueError: there is no D, it is not (K, K) and finite, the names are not K, or there is no such order.

    Examples:
        >>> figure = heat_map([[0, 3, 1], [3, 0, 2], [1, 2, 0]], order="seriation", class_names=["a", "b", "c"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['a', 'c', 'b']
    """
    check_order(order)
    matrix, names = read_source(source, class_names=class_names, revision=revision, token=token)
    numbers, notes = np.arange(len(names)), []
    if order == "seriation":
        matrix = check_matrix(as_array(matrix), names)
        numbers = seriation(matrix)
        matrix = matrix[np.ix_(numbers, numbers)]
        notes.append(SERIATED)
    size = math.ceil(len(names) / _MAX_CELLS)
    if size > 1:
        matrix, numbers = block_means(matrix, size), numbers[::size]
        notes.append(f"A cell is the mean of {size} x {size} classes.")
    matrix = as_array(matrix) if isinstance(matrix, Tensor) else matrix
    figure = heat_map_figure(
        matrix,
        [names[number] for number in numbers],
        title=title,
        scale_end=scale_end,
        numbers=numbers.tolist(),
        note=" ".join(notes),
    )
    return save_figure(figure, path)


def heat_map_figure(
    matrix: ArrayLike,
    class_names: Sequence[str],
    *,
    title: str | None = None,
    scale_end: float | None = None,
    numbers: Sequence[int] | None = None,
    note: str = "",
    label: str = "ground distance",
    cells: Sequence[Sequence[str]] | None = None,
    marks_unknown: bool = True,
) -> Figure:
    """A figure with one heat map, its class names and its color bar.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        title: a line above the figure.
        scale_end: the value of the darkest color; default: the largest.
        numbers: (K,) class numbers, where the rows are not in their order.
        note: a line below the figure.
        label: of the color bar.
        cells: (K, K) texts of the cells; default: the values.
        marks_unknown: whether classes without a distance to any other are gray.
    """
    values = check_matrix(matrix, class_names)
    num_classes = len(values)
    side = _side(num_classes)
    figure = Figure(figsize=(side + 1.8, side + 1.0), layout="constrained")
    axes = figure.add_subplot()
    known = known_classes(values) if marks_unknown else np.ones(num_classes, dtype=bool)
    image = show_matrix(axes, values, color_limits(values, scale_end), known)
    _name_classes(axes, short_names(class_names, 24, numbered=num_classes > _MAX_NAMES, numbers=numbers))
    axes.set_title(title or "", pad=10)
    axes.set_xlabel(_caption(note, known), labelpad=8)
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, pad=0.02).outline.set_visible(False)
    _write_cells(axes, values, known, cells)
    return figure


def replace_heat_map(figure: Figure, matrix: np.ndarray, *, title: str, note: str = "") -> None:
    """Puts another D of as many classes into a heat map; its color scale and its layout stay."""
    axes, known = figure.axes[0], known_classes(matrix)
    axes.images[0].set_data(_without_unknown(axes, matrix, known))
    axes.set_title(title, pad=10)
    axes.set_xlabel(_caption(note, known), labelpad=8)
    for text in list(axes.texts):
        text.remove()
    _write_cells(axes, matrix, known)


def show_matrix(axes: Axes, values: np.ndarray, limits: tuple[float, float], known: np.ndarray) -> AxesImage:
    """The cells alone, those of unknown classes gray."""
    low, high = limits
    axes.spines[:].set_visible(False)
    values = _without_unknown(axes, values, known)
    return axes.imshow(values, cmap="YlGnBu", vmin=low, vmax=high, interpolation="nearest")


def color_limits(values: np.ndarray, end: float | None = None) -> tuple[float, float]:
    """The values of the lightest and of the darkest color."""
    low, high = min(0.0, values.min()), max(0.0, values.max()) if end is None else end
    return low, high if high > low else low + 1.0


def _side(num_classes: int) -> float:
    """Of the heat map alone, in inches."""
    return min(max(0.6 * num_classes, 3.6), 8.0)


def _name_classes(axes: Axes, names: Sequence[str]) -> None:
    """Names as ticks above and on the left; of more than 40 classes about 20."""
    num_classes = len(names)
    ticks = list(range(num_classes))
    if num_classes > _MAX_NAMES:
        spread = MaxNLocator(20, steps=[1, 2, 5, 10]).tick_values(0, num_classes - 1)
        ticks = [int(tick) for tick in spread if tick < num_classes]
    names = [names[tick] for tick in ticks]
    room = 72 * _side(num_classes) / len(ticks)  # points, of one name
    font_size = min(10.0, max(7.0, 0.45 * room))
    rotation = 90 if max(map(len, names)) * 0.65 * font_size > room else 0
    axes.xaxis.tick_top()
    axes.set_xticks(ticks, names, rotation=rotation, fontsize=font_size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=font_size, parse_math=False)
    axes.tick_params(length=3 if num_classes > _MAX_NAMES else 0)


def _write_cells(
    axes: Axes, values: np.ndarray, known: np.ndarray, cells: Sequence[Sequence[str]] | None = None
) -> None:
    """The number of each cell, black or white, up to 20 classes."""
    if len(values) > _MAX_VALUES:
        return
    if cells is None:
        cells = [["0" if value == 0 else f"{value:.2f}" for value in row] for row in values]
    font_size = min(10.0, 1.3 * 72 * _side(len(values)) / len(values) / max(len(text) for row in cells for text in row))
    luminance = axes.images[0].to_rgba(values)[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)
    for row, column in np.ndindex(values.shape):
        if known[row] and known[column]:
            color = "black" if luminance[row, column] > 0.18 else "white"  # contrast of 4.5 : 1 or more on any color
            axes.text(column, row, cells[row][column], ha="center", va="center", color=color, fontsize=font_size)


def _without_unknown(axes: Axes, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Masks the cells of unknown classes, through which the gray of the axes shows."""
    if known.all():
        return values
    axes.set_facecolor("0.8")
    return np.ma.masked_array(values, ~np.logical_and.outer(known, known))


def _caption(note: str, known: np.ndarray) -> str:
    unknown = int((~known).sum())
    return "\n".join(filter(None, (note, f"Gray: {count_classes(unknown)} that D does not know." if unknown else "")))
