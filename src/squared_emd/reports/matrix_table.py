"""A ground distance matrix as text."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import ArrayLike

from ..plot.figures import shorten
from ..plot.matrices import check_matrix

__all__ = ["aligned", "matrix_table"]


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
    values = check_matrix(matrix, class_names)
    num_classes = len(values)
    most = min(num_classes, width // 3 + 1)  # a column takes at least a gap of two and one digit
    cells = [[cell_text(value, digits) for value in row] for row in values[:most, :most]]
    columns, labels, shown = list(class_names[:most]), list(class_names[:most]), most
    cell_widths = [max(len(cell) for cell in column) for column in zip(columns, *cells, strict=True)]
    if max(map(len, labels)) + sum(cell_widths) + 2 * most > width:
        columns = [str(index) for index in range(most)]
        labels = [f"{index:>{len(columns[-1])}} {shorten(name, 20)}" for index, name in enumerate(labels)]
        column_width = 2 + max(len(columns[-1]), *(len(cell) for row in cells for cell in row))
        shown = min(most, max(1, (width - max(map(len, labels))) // column_width))
    lines = [[label, *row[:shown]] for label, row in zip(labels[:shown], cells[:shown], strict=True)]
    table = aligned([[["", *columns[:shown]]], lines], left=1)
    left_out = num_classes - shown
    return f"{table}\nFirst {shown} of {num_classes} classes; {left_out} left out." if left_out else table


def aligned(blocks: Sequence[Sequence[Sequence[str]]], left: int) -> str:
    """Blocks of lines with a rule between them; the first `left` columns are flush left, the others flush right."""
    columns = zip(*(line for block in blocks for line in block), strict=True)
    layout = "  ".join(
        f"{{:{'<' if index < left else '>'}{max(map(len, column))}}}" for index, column in enumerate(columns)
    )
    texts = [[layout.format(*line) for line in block] for block in blocks]
    rule = "\n" + "-" * len(texts[0][0]) + "\n"
    return rule.join("\n".join(block) for block in texts)


def cell_text(value: float, digits: int) -> str:
    """A distance as text; an exact zero is 0."""
    return "0" if value == 0 else f"{value:.{digits}f}"
