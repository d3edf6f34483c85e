"""Heat maps: of the ground distance, and of the confusion matrix."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .figures import count_classes, save_figure, short_names
from .sources import Source, as_array, check_finite, known_classes, names_or_numbers, read_source, seriation

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
) -> Figure:
    """The ground distance as a heat map, as in Hou et al. 2016, Table 2: the lighter, the nearer.

    Up to 20 classes each cell shows its value; above 40 some classes are named, by number and name. Classes that D does
    not know, whose row is all 0, are gray. Above 1,000 classes a cell is the mean of a block of neighboring classes.

    Args:
        source: (K, K) numbers; a config with a `ground_distance`; the folder of a saved model; a .json, .npy or
            .safetensors file; or a model on the Hub, as "me/age". For another revision of one, or with a token, give
            ``load_ground_distance(...)``.
        order: of the rows and columns: "classes", as the model has them, or "seriation", similar ones side by side.
        class_names: (K,) names; default: those saved with D, else the numbers of the classes.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the figure.
        scale_end: the distance of the darkest color; default: the largest.

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
    matrix, names = read_source(source, class_names)
    matrix = as_array(matrix) if order == "seriation" else matrix
    numbers, notes = seriation(matrix, order), []
    if order == "seriation":
        matrix = matrix[np.ix_(numbers, numbers)]
        notes.append("Similar classes side by side (seriation).")
    size = math.ceil(len(names) / _MAX_CELLS)
    if size > 1:
        rows = torch.as_tensor(matrix).detach().float()[None]  # (1, K, K)
        matrix, numbers = torch.nn.functional.avg_pool2d(rows, size, ceil_mode=True)[0], numbers[::size]
        notes.append(f"A cell is the mean of {size} x {size} classes.")
    names = [names[number] for number in numbers]
    matrix = as_array(matrix)
    options = {"scale_end": scale_end, "numbers": numbers.tolist(), "note": " ".join(notes)}
    return save_figure(_draw(matrix, names, title, known_classes(matrix), **options), path)


def confusion_matrix(
    counts: ArrayLike,
    class_names: Sequence[str],
    *,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """A confusion matrix as a heat map: the color is the share of the true class.

    Up to 20 classes each cell shows its count; above 40 some classes are named, by number and name.

    Args:
        counts: (K, K) counts; row: the true class, column: the predicted one. A row may be all 0.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        ValueError: `counts` is not square or has a negative entry, or the names do not match it.

    Examples:
        >>> figure = confusion_matrix([[3, 1], [0, 2]], ["a", "b"])
        >>> figure.axes[0].images[0].get_array().tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 2 or len(values) != values.shape[1] or not len(values):
        raise ValueError(f"counts must be square, a row for each class; got shape {values.shape}; pass (K, K) counts")
    check_finite(values)
    if (values < 0).any():
        raise ValueError(f"counts must be 0 or more; got {values.min():g}; pass how often each pair of classes came")
    shares = values / np.maximum(values.sum(axis=-1, keepdims=True), 1)  # (K, K)
    options = {"scale_end": 1.0, "label": "share of the true class"}
    options["cells"] = [[f"{value:.0f}" for value in row] for row in values]
    known = np.ones(len(values), dtype=bool)
    figure = _draw(shares, names_or_numbers(class_names, None, len(values)), title, known, **options)
    axes = figure.axes[0]
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="predicted class", ylabel="true class")
    return save_figure(figure, path)


def _draw(
    values: np.ndarray,
    class_names: Sequence[str],
    title: str | None,
    known: np.ndarray,
    *,
    scale_end: float | None,
    numbers: Sequence[int] | None = None,
    note: str = "",
    label: str = "ground distance",
    cells: Sequence[Sequence[str]] | None = None,
) -> Figure:
    """A figure with one heat map, its class names and its color bar; classes that are not known are gray."""
    side = _side(len(values))
    figure = Figure(figsize=(side + 1.8, side + 1.0), layout="constrained")
    axes = figure.add_subplot()
    image = show_matrix(axes, values, color_limits(values, scale_end), known)
    _name_classes(axes, short_names(class_names, 24, numbered=len(values) > _MAX_NAMES, numbers=numbers))
    axes.set_title(title or "", pad=10, wrap=True)
    unknown = f"Gray: {count_classes(int((~known).sum()))} that D does not know."
    axes.set_xlabel("\n".join(filter(None, (note, "" if known.all() else unknown))), labelpad=8)
    figure.colorbar(image, ax=axes, label=label, shrink=0.8, pad=0.02).outline.set_visible(False)
    if len(values) <= _MAX_VALUES:
        _write_cells(axes, values, known, cells)
    return figure


def show_matrix(axes: Axes, values: np.ndarray, limits: tuple[float, float], known: np.ndarray) -> AxesImage:
    """The cells alone, those of unknown classes gray."""
    low, high = limits
    axes.spines[:].set_visible(False)
    axes.set_facecolor("0.8")  # which shows through the cells that are masked
    masked = np.ma.masked_array(values, ~np.logical_and.outer(known, known))
    return axes.imshow(masked, cmap="YlGnBu", vmin=low, vmax=high, interpolation="nearest")


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


def _write_cells(axes: Axes, values: np.ndarray, known: np.ndarray, cells: Sequence[Sequence[str]] | None) -> None:
    """The number of each cell, black or white."""
    if cells is None:
        cells = [["0" if value == 0 else f"{value:.2f}" for value in row] for row in values]
    font_size = min(10.0, 1.3 * 72 * _side(len(values)) / len(values) / max(len(text) for row in cells for text in row))
    luminance = axes.images[0].to_rgba(values)[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)
    for row, column in np.ndindex(values.shape):
        if known[row] and known[column]:
            color = "black" if luminance[row, column] > 0.18 else "white"  # contrast of 4.5 : 1 or more on any color
            axes.text(column, row, cells[row][column], ha="center", va="center", color=color, fontsize=font_size)
