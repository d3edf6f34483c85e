"""Results as tables in the paper's arrangement (Hou et al. 2016, Tables 1 to 5): DataFrames, Markdown, CSV and text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..metrics.logs import points
from ..metrics.names import METRICS, loss_name, network_name
from .predictions import RULES
from .records import Run
from .summary import Cell, Section
from .verdict import Comparison

__all__ = [
    "cells_frame",
    "decisions_frame",
    "details_frame",
    "escape_markdown",
    "markdown_table",
    "results_frame",
    "runs_frame",
]

NOT_RUN = "not run"
NONE = "-"
_RUN_COLUMNS = (
    "folder", "table", "data", "stand_in", "tested_on", "model", "loss", "variant", "fold", "folds", "seed",
    "learning_rate", "learning_rate_selected", "regularizer_weight", "entropic_strength", "num_train", "num_test",
    "epochs", "sdd", "sdd_relative", "seconds_per_step", "cpu_seconds_per_step", "job",
)  # fmt: skip


def results_frame(section: Section, network: str, *, most_metrics: int | None = None) -> pd.DataFrame:
    """The results of a network as text, one row a loss, beside the paper's figures.

    Args:
        section: the results.
        network: one of them.
        most_metrics: leaves out the metrics after so many.

    Returns:
        "not run" is what nobody ran, "-" a figure that does not exist, "*" marks a mean over fewer folds than the
        dataset has, and the last column says what was averaged.
    """
    rows, names, columns = [], [], []
    for loss, variant in section.rows(network):
        cell = section.cells.get((network, variant, loss))
        row = []
        for metric in section.metrics()[:most_metrics]:
            row.append((METRICS[metric].heading, NOT_RUN if cell is None else average_text(cell, metric)))
            if section.shows_paper and metric in section.layout.metrics:
                row.append(("paper", paper_text(section, network, variant, loss, metric)))
        row.append(("averaged over", NONE if cell is None else cell.coverage))
        columns, values = zip(*row, strict=True)
        rows.append(values)
        names.append(loss_name(loss, variant))
    return _frame(rows, names, columns, network)


def details_frame(section: Section, network: str) -> pd.DataFrame:
    """When a loss reaches XE's final figures, what a step of it costs, and SDD; for the losses that were run.

    Returns:
        Text; a column in which every cell is "-" is left out.
    """
    cells = section.cells_of(network)
    metrics = [metric for metric in section.layout.curves if any(metric in cell.reached for cell in cells)]
    headings = [f"XE's {METRICS[metric].heading.removesuffix(' %')} at epoch" for metric in metrics]
    rows = [
        (
            *(_reached_text(cell, metric) for metric in metrics),
            _number(cell.relative_time, 2),
            _number(cell.sdd, 4),
            _number(cell.sdd_relative, 3),
        )
        for cell in cells
    ]
    columns = [*headings, "CPU time of a step / XE's", "SDD", "SDD / mean distance"]
    frame = _frame(rows, [loss_name(cell.loss, cell.variant) for cell in cells], columns, network)
    return frame.loc[:, (frame != NONE).any()]


def decisions_frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """What each rule that decides between the classes gives, as text, one row a loss and rule."""
    decisions = {name: rules for comparison in comparisons for name, rules in comparison.decisions.items()}
    rows = {
        f"{name}, {RULES[rule]}": {
            METRICS[metric].heading: f"{METRICS[metric].shown(value):.{METRICS[metric].digits}f}"
            for metric, value in metrics.items()
        }
        for name, rules in decisions.items()
        for rule, metrics in rules.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="decided by")


def cells_frame(sections: Sequence[Section]) -> pd.DataFrame:
    """All tables, one row a cell: of each metric the mean, the spread and the paper's figure, in its unit.

    Values have two more digits than in the tables. What nobody ran reads "not run".
    """
    rows = []
    for section in sections:
        for network in section.networks():
            for loss, variant in section.rows(network):
                cell = section.cells.get((network, variant, loss))
                row = {name: getattr(section, name) for name in ("table", "data", "stand_in", "tested_on")}
                row |= {"network": network_name(network), "loss": loss, "variant": variant}
                row |= {"folds": len(cell.folds) if cell else 0, "of_folds": section.runs[0].folds}
                row |= {"seeds": len(cell.seeds) if cell else 0}
                for name in section.metrics():
                    row |= _metric_columns(section, cell, (network, variant, loss), name)
                for name in section.layout.curves:
                    row[f"reaches XE's {METRICS[name].heading} at epoch"] = cell.reached.get(name) if cell else None
                row |= {n: getattr(cell, n) if cell else None for n in ("relative_time", "sdd", "sdd_relative")}
                rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run, its metrics as they lie in the results."""
    frame = pd.DataFrame([{n: getattr(run, n) for n in _RUN_COLUMNS} for run in runs], dtype=object)
    metrics = pd.DataFrame([run.metrics for run in runs])
    return frame.join(metrics[[name for name in METRICS if name in metrics]])


def average_text(cell: Cell, metric: str, plus_minus: str = "±") -> str:
    """A mean and, where there are several seeds, its spread, as "61.3 ± 0.4"; "*" where folds are missing."""
    average = cell.averages.get(metric)
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


def markdown_table(frame: pd.DataFrame) -> str:
    """A table of text as Markdown.

    >>> print(markdown_table(pd.DataFrame({"AEM %": ["58.0*"]}, ["XE"]).rename_axis(columns="small")))
    | small | AEM % |
    |:--|--:|
    | XE | 58.0\\* |
    """
    rows = [
        [frame.columns.name, *frame.columns],
        *([name, *row] for name, row in zip(frame.index, frame.values, strict=True)),
    ]
    lines = ["| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|:--|" + "--:|" * len(frame.columns), *lines[1:]])


def escape_markdown(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    for character in "\\*|<`[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _frame(rows: Sequence[Sequence[str]], names: Sequence[str], columns: Sequence[str], network: str) -> pd.DataFrame:
    return pd.DataFrame(rows, index=names, columns=columns).rename_axis(columns=network_name(network))


def _metric_columns(section: Section, cell: Cell | None, key: tuple[str, str, str], name: str) -> dict[str, object]:
    metric, (network, variant, loss) = METRICS[name], key
    average = cell.averages.get(name) if cell else None
    values = [average.mean, average.spread] if average else [None, None]
    mean, spread = (None if value is None else round(metric.shown(value), metric.digits + 2) for value in values)
    row = {f"{metric.heading} mean": NOT_RUN if cell is None else mean, f"{metric.heading} spread": spread}
    if section.shows_paper and name in section.layout.metrics:
        row[f"{metric.heading} paper"] = paper_text(section, network, variant, loss, name)
    return row


def _reached_text(cell: Cell, metric: str) -> str:
    if cell.loss == "xe":
        curve = points(cell.history, metric)
        return f"its end: {max(curve):g}" if curve else NONE
    if metric not in cell.reached:
        return NONE
    epoch = cell.reached[metric]
    return "never" if epoch is None else f"{epoch:g}"


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
