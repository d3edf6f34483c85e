"""What a run predicted for each sample, on disk, and the metrics of each sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from ..decoding import decode
from ..ground_distance.files import read_object, write_aside
from ..ground_distance.saved import GROUND_DISTANCE_FILE, read_ground_distance
from ..metrics.calibration import calibration_terms, negative_log_likelihood
from ..metrics.emd import squared_emd

__all__ = ["Predictions", "write_predictions"]

PREDICTIONS_FILE = "predictions.npz"
PROBABILITIES = "probabilities"
RULES = {
    "argmax": "likeliest class",
    "median": "median",
    "expected": "expected class, rounded",
    "min_distance": "least expected distance",
}
"""Rule of `decode` -> what tables call it."""


@dataclass(frozen=True)
class Predictions:
    """Of the samples that a run was tested on, or of those that it was chosen by.

    Args:
        probabilities: (N, K) predicted distributions; of a network with one output all mass is on the nearest class.
        labels: (N,) class indices, or (N, K) distributions.
        ids: (N,) what tells the samples apart, as the names of their files; None: their order.
        groups: (N,) samples of one group belong together; None: each stands alone.
        is_of_regression: whether no distribution was predicted.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None = None
    groups: np.ndarray | None = None
    is_of_regression: bool = False

    @property
    def true_classes(self) -> np.ndarray:
        """(N,) the label, or the class with the largest share."""
        return self.labels.argmax(1) if self.labels.ndim == 2 else self.labels


def write_predictions(folder: str | os.PathLike[str], parts: Mapping[str, Predictions]) -> None:
    """Write `predictions.npz`.

    Args:
        folder: of the run.
        parts: by name: `test`, and `validation` where there were validation samples.
    """
    arrays = {
        f"{part}_{name}": array
        for part, predictions in parts.items()
        for name, array in vars(predictions).items()
        if array is not None
    }
    with write_aside(Path(folder, PREDICTIONS_FILE)) as path:
        np.savez_compressed(path, **arrays)


def read_predictions(folder: str | os.PathLike[str], part: str = "test") -> Predictions | None:
    """A part, `test` or `validation`, of the `predictions.npz` of a run; None where there is no such file or part."""
    path = Path(folder, PREDICTIONS_FILE)
    if not path.is_file():
        return None
    names = [field.name for field in fields(Predictions)]
    try:
        with np.load(path) as arrays:
            found = {name: arrays[f"{part}_{name}"] for name in names if f"{part}_{name}" in arrays}
    except Exception as error:  # zipfile, zlib and NumPy each have their own
        raise ValueError(f"{path} must hold arrays as NumPy writes them; reading it gave: {error}.") from error
    if not found:
        return None
    if not {"probabilities", "labels"} <= found.keys():
        raise ValueError(f"{path} must hold {part}_probabilities and {part}_labels; got {sorted(found)} of them.")
    return Predictions(**found | {"is_of_regression": bool(found.get("is_of_regression", False))})


def sample_metrics(
    predictions: Predictions, ground_distance: np.ndarray | None = None, *, is_ordered: bool = True
) -> pd.DataFrame:
    """The metrics of each sample: columns (rule, or `probabilities`; key in `METRICS`), whose mean is the metric.

    Without an order of the classes only the likeliest class is looked at, without D not the rule `min_distance`.

    >>> certain = Predictions(np.array([[0.0, 0.0, 1.0]]), np.array([0]))
    >>> sample_metrics(certain)["median", "eval_mae"].tolist()
    [2]
    """
    probabilities, labels, true = predictions.probabilities, predictions.labels, predictions.true_classes
    columns: dict[tuple[str, str], np.ndarray] = {}
    if is_ordered:
        columns[PROBABILITIES, "eval_squared_emd"] = squared_emd(probabilities, labels, reduction="none")
    if not predictions.is_of_regression:
        hits = probabilities.argmax(1) == true
        columns[PROBABILITIES, "eval_nll"] = negative_log_likelihood(probabilities, labels, reduction="none")
        columns[PROBABILITIES, "eval_ece"] = calibration_terms(probabilities.max(1), hits)
    for rule in RULES:
        if rule == "min_distance" and ground_distance is None:
            continue
        if rule != "argmax" and (predictions.is_of_regression or not is_ordered):
            continue
        decided = np.rint(decode(probabilities, rule, ground_distance=ground_distance)).astype(np.int64)
        off = np.abs(decided - true)  # (N,)
        if is_ordered:
            columns |= {(rule, "eval_aem"): off == 0, (rule, "eval_aeo"): off <= 1, (rule, "eval_mae"): off}
        else:
            columns[rule, "eval_top_1_error"] = off > 0
    return pd.DataFrame(columns)


@dataclass(frozen=True)
class MeasuredRun:
    """A run, sample by sample."""

    folder: Path
    seed: int
    fold: int
    test: pd.DataFrame  # as `sample_metrics` gives them
    validation: pd.DataFrame | None
    labels: np.ndarray  # of the test samples, as in `Predictions`
    ids: np.ndarray | None
    groups: np.ndarray | None
    confidences: np.ndarray | None  # (N,) probabilities of the likeliest classes; None of a regression
    hits: np.ndarray  # (N,) whether these are the true ones


def measure_run(
    folder: str | os.PathLike[str], seed: int, fold: int = 0, is_ordered: bool = True
) -> MeasuredRun | None:
    """The metrics of a run, sample by sample; None where it left no predictions."""
    test, validation = (read_predictions(folder, part) for part in ("test", "validation"))
    if test is None:
        return None
    ground_distance = ground_distance_of_run(folder)
    return MeasuredRun(
        Path(folder),
        seed,
        fold,
        sample_metrics(test, ground_distance, is_ordered=is_ordered),
        None if validation is None else sample_metrics(validation, ground_distance, is_ordered=is_ordered),
        test.labels,
        test.ids,
        test.groups,
        None if test.is_of_regression else test.probabilities.max(1),
        test.probabilities.argmax(1) == test.true_classes,
    )


def ground_distance_of_run(folder: str | os.PathLike[str]) -> np.ndarray | None:
    """The D saved with the model of a run, (K, K) float64; None where it has none."""
    config = Path(folder, "config.json")
    if config.is_file():
        has_distance = read_object(config).get("ground_distance") is not None
    else:
        has_distance = Path(folder, GROUND_DISTANCE_FILE).is_file()  # of a module without a config
    return read_ground_distance(folder).numpy() if has_distance else None
