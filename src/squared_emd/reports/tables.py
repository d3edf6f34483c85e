"""Results as tables, for the terminal and as Markdown, in the paper's arrangement (Hou et al. 2016, Tables 1 to 5)."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics.logs import points
from ..metrics.names import METRICS, loss_name, network_name
from ..plot.figures import shorten
from .matrix_table import aligned, matrix_table
from .summary import Average, Cell, Section

__all__ = ["average_text", "markdown_table", "matrix_table", "more_rows", "paper_text", "result_rows", "text_table"]

NOT_RUN = "not run"
NONE = "-"
Rows = list[list[str]]


def result_rows(section: Section, network: str, *, most_metrics: int | None = None) -> Rows:
    """The results of a network, one row a loss, beside the paper's figures (after Hou et al. 2016, Tables 1 to 5).

    Args:
        section: the results.
        network: one of them.
        most_metrics: leaves out the metrics after so many.

    Returns:
        The heading and the rows. "not run" is what nobody ran, "-" a figure that does not exist, "*" marks a mean over
        fewer folds than the data set has, and the last column says what was averaged.
    """
    metrics = section.metrics()[:most_metrics]
    heading = [network_name(network)]
    for metric in metrics:
        heading += [METRICS[metric].heading, *(["paper"] if _has_paper(section, metric) else [])]
    rows = [[*heading, "averaged over"]]
    for loss, variant in section.rows(network):
        cell = section.cells.get((network, variant, loss))
        row = [loss_name(loss, variant)]
        for metric in metrics:
            row.append(NOT_RUN if cell is None else average_text(cell, metric))
            if _has_paper(section, metric):
                row.append(paper_text(section, network, variant, loss, metric))
        rows.append([*row, NONE if cell is None else cell.coverage])
    return rows


def more_rows(section: Section, network: str) -> Rows:
    """When a loss reaches XE's final figures, what a step of it costs, and SDD; for the losses that were run.

    Args:
        section: the results.
        network: one of them.

    Returns:
        The heading and the rows; a column that nothing can be said in is left out.
    """
    cells = section.cells_of(network)
    columns: list[tuple[str, Callable[[Cell], str]]] = [
        (
            f"XE's {METRICS[metric].heading.removesuffix(' %')} at epoch",
            lambda cell, metric=metric: _reached(cell, metric),
        )
        for metric in section.layout.curves
        if any(metric in cell.reached for cell in cells)
    ]
    columns += [
        ("step time / XE's", lambda cell: _number(cell.relative_time, 2)),
        ("SDD", lambda cell: _number(cell.sdd, 4)),
        ("SDD / mean distance", lambda cell: _number(cell.sdd_relative, 3)),
    ]
    texts = {heading: [text(cell) for cell in cells] for heading, text in columns}
    kept = {heading: column for heading, column in texts.items() if set(column) != {NONE}}
    names = [loss_name(cell.loss, cell.variant) for cell in cells]
    return [[network_name(network), *kept], *([name, *row] for name, *row in zip(names, *kept.values(), strict=True))]


def average_text(cell: Cell, metric: str, plus_minus: str = "±") -> str:
    """A mean and, where there are several seeds, its spread, as "61.3 ± 0.4"; "*" where folds are missing."""
    average: Average | None = cell.averages.get(metric)
    if average is None:
        return NONE
    shown, digits = METRICS[metric].shown, METRICS[metric].digits
    spread = "" if average.spread is None else f" {plus_minus} {shown(average.spread):.{digits}f}"
    return f"{shown(average.mean):.{digits}f}{spread}{'' if cell.is_complete else '*'}"


def paper_text(section: Section, network: str, variant: str, loss: str, metric: str) -> str:
    """The paper's figure with the digits that it prints."""
    figure = section.layout.paper_figure(network, variant, loss, metric)
    if figure is None:
        return NONE
    return max(f"{figure:.{METRICS[metric].digits}f}", repr(float(figure)), key=len)


def text_table(rows: Rows, *, width: int = 120) -> str:
    """Rows for the terminal, in ASCII.

    Args:
        rows: the heading and the rows.
        width: columns; long names in the first column are cut.

    Returns:
        The table, without a newline at its end.

    >>> print(text_table([["small", "AEM %"], ["XE", "58.0 ± 0.5"], ["EMD", "not run"]]))
    small        AEM %
    ------------------
    XE     58.0 +- 0.5
    EMD        not run
    """
    ascii_rows = [[text.replace("±", "+-") for text in row] for row in rows]
    others = sum(2 + max(map(len, column)) for column in list(zip(*ascii_rows, strict=True))[1:])
    first = max(8, width - others)
    ascii_rows = [[shorten(row[0], first), *row[1:]] for row in ascii_rows]
    return aligned([ascii_rows[:1], ascii_rows[1:]], left=1)


def markdown_table(rows: Rows) -> str:
    """Rows as a Markdown table.

    Args:
        rows: the heading and the rows.

    Returns:
        The table, without a newline at its end.

    >>> print(markdown_table([["small", "AEM %"], ["XE", "58.0*"]]))
    | small | AEM % |
    |:--|--:|
    | XE | 58.0\\* |
    """
    lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|:--|" + "--:|" * (len(rows[0]) - 1), *lines[1:]])


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for character in "\\*|<`[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _has_paper(section: Section, metric: str) -> bool:
    return section.shows_paper and metric in section.layout.metrics


def _reached(cell: Cell, metric: str) -> str:
    if cell.loss == "xe":
        curve = points(cell.history, metric)
        return f"its end: {max(curve):g}" if curve else NONE
    if metric not in cell.reached:
        return NONE
    epoch = cell.reached[metric]
    return "never" if epoch is None else f"{epoch:g}"


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
