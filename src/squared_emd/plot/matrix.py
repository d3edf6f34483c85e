"""A ground distance matrix as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .text import aligned, shortened

__all__ = ["cell_text", "checked_matrix", "known_classes", "matrix_table"]


def matrix_table(matrix: ArrayLike, class_names: Sequence[str], *, digits: int = 2, width: int = 100) -> str:
    """A ground distance matrix as text, class names on both sides (as Hou et al. 2016, Table 2).

    Where the names are too wide for the columns, the columns carry the numbers of the rows. Where the classes are too
    many, the first are shown and a last line says how many are left out. An exact zero is printed as 0.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        digits: decimals of a value.
        width: columns of the terminal.

    Returns:
        The table, without a newline at its end.

    Raises:
        ValueError: `matrix` is not square or not finite, or the names do not match it.

    >>> print(matrix_table([[0, 0.5], [0.5, 0]], ["cat", "dog"]))
          cat   dog
    ---------------
    cat     0  0.50
    dog  0.50     0
    """
    values = checked_matrix(matrix, class_names)
    num_classes = len(values)
    most = min(num_classes, width // 3 + 1)  # a column takes at least a gap of two and one digit
    cells = [[cell_text(value, digits) for value in row] for row in values[:most, :most]]
    columns, labels, shown = list(class_names[:most]), list(class_names[:most]), most
    cell_widths = [max(len(cell) for cell in column) for column in zip(columns, *cells, strict=True)]
    if max(map(len, labels)) + sum(cell_widths) + 2 * most > width:
        columns = [str(index) for index in range(most)]
        labels = [f"{index:>{len(columns[-1])}} {shortened(name, 20)}" for index, name in enumerate(labels)]
        column_width = 2 + max(len(columns[-1]), *(len(cell) for row in cells for cell in row))
        shown = min(most, max(1, (width - max(map(len, labels))) // column_width))
    lines = [[label, *row[:shown]] for label, row in zip(labels[:shown], cells[:shown], strict=True)]
    table = aligned([[["", *columns[:shown]]], lines], left=1)
    left_out = num_classes - shown
    return f"{table}\nFirst {shown} of {num_classes} classes; {left_out} left out." if left_out else table


def checked_matrix(matrix: ArrayLike, class_names: Sequence[str]) -> np.ndarray:
    """The matrix as (K, K) float64; refuses one that is not square or not finite, or does not fit the names."""
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise ValueError(f"matrix must be square, one row per class; got shape {values.shape}; pass a (K, K) matrix")
    if len(class_names) != len(values):
        raise ValueError(
            f"class_names must hold one name per row of matrix, {len(values)}; got {len(class_names)}; name each class"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        got = f"{values[row, column]} in row {row}, column {column}"
        raise ValueError(f"matrix must be finite; got {got}; set unknown distances to 0")
    return values


def known_classes(matrix: np.ndarray) -> np.ndarray:
    """Which classes have a distance to another one; D is all 0 in the row and column of a class that it never saw.

    Args:
        matrix: (K, K).

    Returns:
        (K,) bool; all True where all distances are 0.

    >>> known_classes(np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [True, True, False]
    """
    entries = matrix != 0
    known = entries.any(axis=0) | entries.any(axis=1)
    return known if known.any() else ~known


def cell_text(value: float, digits: int) -> str:
    """A distance as text; an exact zero is 0."""
    return "0" if value == 0 else f"{value:.{digits}f}"
