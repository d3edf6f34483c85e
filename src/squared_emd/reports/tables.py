"""Results as tables in the paper's arrangement (Hou et al. 2016, Tables 1 to 5): DataFrames, Markdown, CSV and text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from ..metrics.names import METRICS, loss_name, network_name
from .predictions import RULES
from .records import Run
from .summary import Cell, Section
from .verdict import Comparison

NOT_RUN = "not run"
NONE = "-"


def results_frame(section: Section, network: str, *, most_metrics: int | None = None) -> pd.DataFrame:
    """The results of a network as text, one row a loss, beside the paper's figures.

    "not run" is what nobody ran, "-" a figure that does not exist, "*" marks a mean over fewer folds than the dataset
    has. Then what was averaged, what a step costs, and SDD; a column with nothing but "-" is left out.
    """
    rows = {}
    for loss, variant in section.rows(network):
        cell = section.cells.get((network, variant, loss))
        row = rows[loss_name(loss, variant)] = {}
        for metric in section.metrics()[:most_metrics]:
            heading = METRICS[metric].heading
            row[heading] = NOT_RUN if cell is None else average_text(cell, metric)
            if section.shows_paper and metric in section.layout.metrics:
                row[f"{heading} paper"] = paper_text(section, network, variant, loss, metric)
        row["averaged over"] = NONE if cell is None else cell.coverage
        row["CPU time of a step / XE's"] = _number(cell and cell.relative_time, 2)
        row["SDD"] = _number(cell and cell.mean("sdd"), 4)
        row["SDD / mean distance"] = _number(cell and cell.mean("sdd_relative"), 3)
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns=network_name(network))
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
    """All tables under one another, as text."""
    frames = {
        (section.table, section.data, section.tested_on, network): results_frame(section, network)
        for section in sections
        for network in section.networks()
    }
    return pd.concat(frames, names=["table", "data", "tested_on", "network", "loss"]).reset_index()


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run, its metrics as they lie in the results."""
    frame = pd.DataFrame([vars(run) for run in runs], dtype=object).drop(columns=["class_names", "metrics", "log"])
    metrics = pd.DataFrame([run.metrics for run in runs])
    return frame.join(metrics[[name for name in METRICS if name in metrics]])


def legend(metrics: Iterable[str]) -> str:
    """What the headings of metrics stand for.

    >>> legend(["eval_aem", "eval_mae", "eval_top_1_error"])
    'AEM: Exact match; MAE: Mean absolute error in classes.'
    """
    titles = {METRICS[metric].heading.removesuffix(" %"): METRICS[metric].title for metric in metrics}
    texts = [f"{name}: {title.removesuffix(f' ({name})')}" for name, title in titles.items() if title != name]
    return f"{'; '.join(texts)}." if texts else ""


def average_text(cell: Cell, metric: str) -> str:
    """A mean and, where there are several seeds, its spread, as "61.3 ± 0.4"; "*" where folds are missing."""
    average = cell.averages.get(metric)
    if average is None:
        return NONE
    shown, digits = METRICS[metric].shown, METRICS[metric].digits
    spread = "" if average.spread is None else f" ± {shown(average.spread):.{digits}f}"
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


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
