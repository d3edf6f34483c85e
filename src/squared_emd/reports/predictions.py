"""What a run predicted for each sample, on disk, and the metrics of each sample."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ..decoding import decode
from ..ground_distance.files import write_aside
from ..metrics.calibration import calibration_terms, negative_log_likelihood
from ..metrics.emd import squared_emd

__all__ = [
    "PREDICTIONS_FILE",
    "RULES",
    "Predictions",
    "decide",
    "metrics_of_decisions",
    "metrics_of_probabilities",
    "read_predictions",
    "write_predictions",
]

PREDICTIONS_FILE = "predictions.npz"
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
    """Read a part of `predictions.npz`; None where there is no such file or part.

    Args:
        folder: of the run.
        part: `test` or `validation`.

    Raises:
        ValueError: the file is damaged, or lacks an array.
    """
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


def decide(predictions: Predictions, rule: str, ground_distance: np.ndarray | None = None) -> np.ndarray:
    """(N,) the class that a rule of `decode` chooses; `expected` is rounded to the nearest.

    Args:
        predictions: of the run.
        rule: a key of `RULES`.
        ground_distance: (K, K) D, for `min_distance`.

    >>> decide(Predictions(np.array([[0.5, 0.0, 0.5]]), np.array([0])), "expected")
    array([1])
    """
    decided = decode(predictions.probabilities, rule, ground_distance=ground_distance)
    return np.rint(decided).astype(np.int64)


def metrics_of_decisions(decisions: np.ndarray, true_classes: np.ndarray) -> dict[str, np.ndarray]:
    """Key in `METRICS` -> (N,) the metric of each sample, from (N,) decided and true classes."""
    off = np.abs(decisions - true_classes)
    return {"eval_aem": off == 0, "eval_aeo": off <= 1, "eval_mae": off}


def metrics_of_probabilities(predictions: Predictions) -> dict[str, np.ndarray]:
    """Key in `METRICS` -> (N,) values whose mean is the metric of the predicted distributions."""
    probabilities, labels = predictions.probabilities, predictions.labels
    values = {"eval_squared_emd": squared_emd(probabilities, labels, reduction="none")}
    if not predictions.is_of_regression:
        hits = probabilities.argmax(1) == predictions.true_classes
        values["eval_nll"] = negative_log_likelihood(probabilities, labels, reduction="none")
        values["eval_ece"] = calibration_terms(probabilities.max(1), hits)
    return values
