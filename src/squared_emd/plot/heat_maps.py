"""The ground distance as a heat map."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from .block_means import MOST_CELLS, block_means
from .ground_distance_figures import ground_distance_figure
from .matrix import checked_matrix
from .seriation import seriation
from .sources import Source, as_array, read_source

__all__ = ["ORDERS", "SERIATED", "check_order", "heat_map", "save"]

ORDERS = ("classes", "seriation")
SERIATED = "Near classes side by side (seriation)."
_DPI = 150


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
    """The ground distance as a heat map, as Hou et al. 2016 print it in Table 2. Near is light.

    Up to 20 classes each cell shows its value; above 40 some classes are named, by number and name. Classes that D does
    not know, whose row is all 0, are grey. Above 1,000 classes a cell is the mean of a block of neighbouring classes.

    Args:
        source: (K, K) numbers; a config with a `ground_distance`; a folder with a saved model or a run; a .json, .npy
            or .safetensors file; or a model on the Hub, as "me/age".
        order: of the rows and columns: "classes", as the model has them, or "seriation", near ones side by side.
        class_names: (K,) names; default: those that were saved with D, else the numbers of the classes.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the picture.
        scale_end: the distance of the darkest colour; by default the largest, which differs from picture to picture.
        revision: a branch, tag or commit on the Hub.
        token: for a private model on the Hub.

    Returns:
        The figure, not one of pyplot's.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file, folder or model.
        ValueError: there is no D, it is not (K, K) and finite, the names are not K, or there is no such order.

    >>> figure = heat_map([[0, 3, 1], [3, 0, 2], [1, 2, 0]], order="seriation", class_names=["a", "b", "c"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['a', 'c', 'b']
    """
    check_order(order)
    matrix, names = read_source(source, class_names=class_names, revision=revision, token=token)
    numbers, note = np.arange(len(names)), ""
    if order == "seriation":
        matrix = checked_matrix(as_array(matrix), names)
        numbers, note = seriation(matrix), SERIATED
        matrix = matrix[np.ix_(numbers, numbers)]
    size = math.ceil(len(names) / MOST_CELLS)
    if size > 1:
        note = " ".join(filter(None, (note, f"A cell is the mean of {size} x {size} classes.")))
        matrix, numbers = block_means(matrix, size), numbers[::size]
    matrix = as_array(matrix) if isinstance(matrix, Tensor) else matrix
    names = [names[number] for number in numbers]
    figure = ground_distance_figure(
        matrix, names, title, scale_end, marks_unknown=True, numbers=numbers.tolist(), note=note
    )
    return save(figure, path)


def check_order(order: str) -> None:
    """Raise a ValueError unless it is one of `ORDERS`."""
    if order not in ORDERS:
        raise ValueError(f'order must be "classes" or "seriation", got {order!r}.')


def save(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, which is in its file, too, where there is one."""
    if path is not None:
        figure.savefig(path, dpi=_DPI)
    return figure
