"""Runs as far as they can be compared: the metrics of each sample, and the seeds and folds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ground_distance.files import read_object
from ..ground_distance.saved import read_ground_distance
from ..metrics.logs import RESULTS_FILE
from .predictions import (
    PREDICTIONS_FILE,
    RULES,
    Predictions,
    decide,
    metrics_of_decisions,
    metrics_of_probabilities,
    read_predictions,
)
from .records import checked

__all__ = ["PROBABILITIES", "MeasuredRun", "SampleMetrics", "measure_folder", "runs_below"]

PROBABILITIES = "probabilities"

# Rule, or PROBABILITIES -> key in METRICS -> (N,) values whose mean is the metric.
SampleMetrics = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class MeasuredRun:
    """A run, sample by sample.

    Args:
        folder: where it lies.
        seed: of its training.
        fold: that it was tested on.
        test: the metrics of the test samples.
        validation: the metrics of the validation samples, or None.
        labels, ids, groups: of the test samples, as in `Predictions`.
    """

    folder: Path
    seed: int
    fold: int
    test: SampleMetrics
    validation: SampleMetrics | None
    labels: np.ndarray
    ids: np.ndarray | None
    groups: np.ndarray | None


def measure_folder(
    folder: str | os.PathLike[str], seed: int, fold: int = 0, *, is_ordered: bool = True
) -> MeasuredRun | None:
    """The metrics of a run, sample by sample; None where it left no predictions.

    Args:
        folder: of the run.
        seed: of its training.
        fold: that it was tested on.
        is_ordered: whether the classes have an order; without one only the likeliest class is looked at.

    Raises:
        ValueError: a file is damaged.
    """
    test, validation = (read_predictions(folder, part) for part in ("test", "validation"))
    if test is None:
        return None
    config = Path(folder, "config.json")
    has_distance = config.is_file() and read_object(config).get("ground_distance") is not None
    ground_distance = read_ground_distance(folder).numpy() if has_distance else None
    of_validation = None if validation is None else _measure(validation, ground_distance, is_ordered)
    measured = _measure(test, ground_distance, is_ordered)
    return MeasuredRun(Path(folder), seed, fold, measured, of_validation, test.labels, test.ids, test.groups)


def _measure(predictions: Predictions, ground_distance: np.ndarray | None, is_ordered: bool) -> SampleMetrics:
    found = {PROBABILITIES: metrics_of_probabilities(predictions)}
    if not is_ordered:
        del found[PROBABILITIES]["eval_squared_emd"]
        errors = decide(predictions, "argmax") != predictions.true_classes
        return found | {"argmax": {"eval_top_1_error": errors}}
    for rule in RULES:
        of_probabilities = rule != "argmax" and predictions.is_of_regression
        if not of_probabilities and not (rule == "min_distance" and ground_distance is None):
            decisions = decide(predictions, rule, ground_distance)
            found[rule] = metrics_of_decisions(decisions, predictions.true_classes)
    return found


def runs_below(folder: Path) -> list[tuple[MeasuredRun, bool]]:
    """The runs in and below a folder, and whether their results have a seed; without one those of a fold are numbered.

    Args:
        folder: of the runs of one way to train.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: there is no run, or a file is damaged.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"a folder with runs must exist; there is no folder {folder}; check its name.")
    found: list[tuple[MeasuredRun, bool]] = []
    for path in sorted(folder.rglob(PREDICTIONS_FILE)):
        results = path.with_name(RESULTS_FILE)
        known = read_object(results) if results.is_file() else {}
        seed, fold = (checked(results, name, known.get(name), "int | None") for name in ("seed", "fold"))
        number = sum(run.fold == (fold or 0) for run, _ in found)
        run = measure_folder(path.parent, number if seed is None else seed, fold or 0)
        if run is not None:
            found.append((run, seed is not None))
    if not found:
        raise ValueError(
            f"there must be a {PREDICTIONS_FILE} in or below {folder}; got none. Recipes write one for each run; "
            "squared_emd.reports.predictions.write_predictions does for runs of your own."
        )
    return found
