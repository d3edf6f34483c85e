"""Metrics by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .paper import METRICS

__all__ = ["epoch_to_reach", "mean_history", "points"]


def points(history: Sequence[Mapping[str, Any]], metric: str) -> dict[float, float]:
    """A metric by epoch.

    Args:
        history: entries with "epoch", such as a trainer's `log_history`. Of several at one epoch the first counts (a
            closing `trainer.evaluate()` logs the last epoch once more).
        metric: a key of the entries; entries that lack it are passed over.

    Returns:
        Epoch -> value, in order; empty where no entry has the metric.

    >>> points([{"epoch": 2.0, "eval_aem": 0.5}, {"epoch": 1.0, "eval_aem": 0.25}, {"epoch": 2.0}], "eval_aem")
    {1.0: 0.25, 2.0: 0.5}
    """
    values: dict[float, float] = {}
    for entry in history:
        if entry.get("epoch") is not None and entry.get(metric) is not None:
            values.setdefault(entry["epoch"], entry[metric])
    return dict(sorted(values.items()))


def mean_history(histories: Sequence[Sequence[Mapping[str, Any]]], metrics: Sequence[str]) -> list[dict[str, float]]:
    """The metrics of several runs by epoch, averaged.

    Args:
        histories: the `log_history` of each run.
        metrics: keys of their entries.

    Returns:
        An entry for each epoch at which every run has a metric, in order: "epoch" and the metrics that every run has
        there. Empty where there is none.

    >>> first = [{"epoch": 1.0, "eval_aem": 0.25}, {"epoch": 2.0, "eval_aem": 0.5}, {"epoch": 2.0, "loss": 1.5}]
    >>> mean_history([first, [{"epoch": 1.0, "eval_aem": 0.75}]], ["eval_aem"])
    [{'epoch': 1.0, 'eval_aem': 0.5}]
    """
    entries: dict[float, dict[str, float]] = {}
    for metric in metrics:
        runs = [points(history, metric) for history in histories]
        for epoch in runs[0] if runs else ():
            if all(epoch in run for run in runs):
                entry = entries.setdefault(epoch, {"epoch": epoch})
                entry[metric] = sum(run[epoch] for run in runs) / len(runs)
    return [entries[epoch] for epoch in sorted(entries)]


def epoch_to_reach(history: Sequence[Mapping[str, Any]], metric: str, level: float) -> float | None:
    """The first epoch at which a metric is as good as a level (after Hou et al. 2016, Figure 2).

    Args:
        history: entries with "epoch" and the metric.
        metric: a key of `METRICS`, which says whether more or less is better.
        level: in the unit of the entries.

    Returns:
        The epoch, or None where the level is never reached.

    >>> epoch_to_reach([{"epoch": 1.0, "eval_aem": 0.5}, {"epoch": 2.0, "eval_aem": 0.75}], "eval_aem", 0.625)
    2.0
    """
    sign = -1 if METRICS[metric].less_is_better else 1
    slack = 1e-9  # means of the same values may differ in their last digit
    reached = (epoch for epoch, value in points(history, metric).items() if sign * (value - level) >= -slack)
    return next(reached, None)
