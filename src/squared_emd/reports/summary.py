"""Runs averaged over folds and seeds, and compared with XE."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from ..metrics.logs import points
from ..metrics.names import LOSSES, METRICS, loss_name, network_name
from .paper import LAYOUTS, Layout
from .records import Run

VALIDATION = "validation data"  # of `tested_on`: the paper has no such figures


class Average(NamedTuple):
    """Mean over seeds of the mean over folds, and the sample standard deviation over seeds; None with one seed."""

    mean: float
    spread: float | None


@dataclass(frozen=True)
class Cell:
    """The runs of one loss on one network."""

    runs: tuple[Run, ...]  # that are averaged: `folds` of each of `seeds`
    left_out: tuple[Run, ...]  # the others; their seeds lack some of `folds`, or they are of another fold
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    relative_time: float | None  # CPU time of one step, XE's in the same command being 1; the median over commands

    @property
    def key(self) -> tuple[str, str, str]:
        """Network, variant and loss."""
        return self.runs[0].network, self.runs[0].variant, self.runs[0].loss

    @property
    def loss(self) -> str:
        return self.runs[0].loss

    @property
    def name(self) -> str:
        """As "RES_F, XEMD2"."""
        network, variant, loss = self.key
        return f"{network_name(network)}, {loss_name(loss, variant)}"

    @property
    def is_complete(self) -> bool:
        """Whether all folds of the dataset are averaged."""
        return len(self.folds) == self.runs[0].folds

    @property
    def coverage(self) -> str:
        """What is averaged, as "folds 5 of 5, seeds 3"."""
        return f"folds {len(self.folds)} of {self.runs[0].folds}, seeds {len(self.seeds)}"

    @cached_property
    def averages(self) -> dict[str, Average]:
        """Of the metrics that each of the runs has."""
        values = pd.DataFrame([run.metrics for run in self.runs]).dropna(axis=1)
        values = values.groupby([run.seed for run in self.runs]).mean()
        spread = values.std() if len(self.seeds) > 1 else dict.fromkeys(values)  # (n - 1) in the denominator
        return {metric: Average(values[metric].mean(), spread[metric]) for metric in METRICS if metric in values}

    def mean(self, name: str) -> float | None:
        """Of a field of the runs; None where one has none."""
        values = [getattr(run, name) for run in self.runs]
        return None if None in values else statistics.fmean(values)

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """The means of the metrics that are drawn, by epoch; empty where a run has no log."""
        return _mean_history([run.log for run in self.runs], LAYOUTS[self.runs[0].table].curves)


@dataclass(frozen=True)
class Section:
    """What is shown together: the runs on one dataset, tested on the same part of it."""

    table: str  # key of `LAYOUTS`
    data: str
    stand_in: bool
    tested_on: str
    runs: Sequence[Run]
    cells: Mapping[tuple[str, str, str], Cell]  # (network, variant, loss) -> cell
    all_rows: bool  # whether tables have the paper's rows and networks that were not run, too

    @property
    def layout(self) -> Layout:
        return LAYOUTS[self.table]

    @property
    def shows_paper(self) -> bool:
        """Whether the paper's figures are comparable: not to what stands in for its data, nor to validation data."""
        return self.layout.number is not None and not self.stand_in and self.tested_on != VALIDATION

    def networks(self) -> list[str]:
        """Those that were run, in the order of the table, and those of the paper where all its figures are shown."""
        run = {network for network, _, _ in self.cells}
        known = [name for name in self.layout.networks if (self.all_rows and self.shows_paper) or name in run]
        return [*known, *sorted(run.difference(known))]

    def rows(self, network: str) -> list[tuple[str, str]]:
        """(loss, variant) of the rows of a network: in the paper's order, then what else was run."""
        paper = [row for row in self.layout.figures if not row[1]]
        if self.shows_paper:
            paper += [row for row in self.layout.rows_of(network) if row not in paper]
        run = {(loss, variant) for name, variant, loss in self.cells if name == network}
        order = {loss: position for position, loss in enumerate(LOSSES)}
        others = sorted(run.difference(paper), key=lambda row: (row[1], order.get(row[0], len(order)), row[0]))
        return [*(row for row in paper if self.all_rows or row in run), *others]

    def cells_of(self, network: str) -> list[Cell]:
        """The cells of a network that were run, in the order of its rows."""
        keys = [(network, variant, loss) for loss, variant in self.rows(network)]
        return [self.cells[key] for key in keys if key in self.cells]

    def metrics(self) -> list[str]:
        """The metrics of the table: the paper's, and what else was measured."""
        measured = {metric for cell in self.cells.values() for metric in cell.averages}
        return [*self.layout.metrics, *(name for name in METRICS if name in measured.difference(self.layout.metrics))]


def summarize(runs: Sequence[Run], *, all_rows: bool = False) -> list[Section]:
    """Runs by dataset and what they were tested on, averaged.

    A mean is over folds first and over seeds then. It is over the folds of the seed that has most of them, and over
    all seeds that have these folds; other runs are left out of it.
    """
    sections: dict[tuple, list[Run]] = defaultdict(list)
    for run in runs:
        sections[run.table, run.data, run.stand_in, run.tested_on].append(run)
    tables = list(LAYOUTS)
    order = sorted(sections, key=lambda key: (tables.index(key[0]), key[1], key[2], key[3] == VALIDATION, key[3]))
    return [_section(key, sections[key], all_rows) for key in order]


def _section(key: tuple, runs: Sequence[Run], all_rows: bool) -> Section:
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.network, run.variant, run.loss].append(run)
    _check_agreement(runs, "folds")
    cells = {
        name: _cell(group, _relative_time(group, groups.get((*name[:2], "xe"), []))) for name, group in groups.items()
    }
    return Section(*key, runs, cells, all_rows)


def _cell(runs: Sequence[Run], relative_time: float | None) -> Cell:
    _check_agreement(runs, "class_names")
    folds_of: dict[int, set[int]] = defaultdict(set)
    for run in runs:
        folds_of[run.seed].add(run.fold)
    candidates = Counter(tuple(sorted(folds)) for folds in folds_of.values())
    folds = min(candidates, key=lambda folds: (-len(folds), -candidates[folds], folds))
    seeds = tuple(sorted(seed for seed, have in folds_of.items() if have.issuperset(folds)))
    kept = tuple(run for run in runs if run.seed in seeds and run.fold in folds)
    return Cell(kept, tuple(run for run in runs if run not in kept), folds, seeds, relative_time)


def _mean_history(logs: Sequence[Sequence[Mapping]], metrics: Sequence[str]) -> list[dict[str, float]]:
    """The metrics of several runs by epoch, averaged where all of them have them.

    >>> first = [{"epoch": 1.0, "eval_aem": 0.25}, {"epoch": 2.0, "eval_aem": 0.5}, {"epoch": 2.0, "loss": 1.5}]
    >>> _mean_history([first, [{"epoch": 1.0, "eval_aem": 0.75}]], ["eval_aem"])
    [{'epoch': 1.0, 'eval_aem': 0.5}]
    """
    means = {
        metric: pd.DataFrame([points(log, metric) for log in logs], dtype=float).mean(skipna=False).dropna()
        for metric in metrics
    }
    epochs = sorted({epoch for column in means.values() for epoch in column.index})
    return [
        {"epoch": epoch, **{name: float(column[epoch]) for name, column in means.items() if epoch in column.index}}
        for epoch in epochs
    ]


def _relative_time(runs: Sequence[Run], baseline: Sequence[Run]) -> float | None:
    own, xe = (
        pd.Series([run.cpu_seconds_per_step for run in group], [run.job for run in group], dtype=float)
        .dropna()
        .groupby(level=0)
        .mean()
        for group in (runs, baseline)
    )
    ratios = [own[job] / xe[job] for job in own.index if job and job in xe.index and own[job] and xe[job]]
    return statistics.median(ratios) if ratios else None


def _check_agreement(runs: Sequence[Run], name: str) -> None:
    """Refuses runs that are shown together and differ in what must be one."""
    for run in runs:
        if getattr(run, name) != getattr(runs[0], name):
            raise ValueError(
                f"runs that are averaged must have the same {name}; {runs[0].folder} and {run.folder} differ; report "
                "them apart, or correct their 'data'"
            )
