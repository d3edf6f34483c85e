"""The ground distance that a run learned: at its end, and after each epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ..ground_distance.history import HISTORY_FILE, read_epoch_distances
from ..metrics.logs import read_json
from .records import Run

__all__ = [
    "mean_ground_distance",
    "read_ground_distance",
    "read_history",
]

CONFIG_FILE = "config.json"


def read_ground_distance(run: Run) -> np.ndarray | None:
    """The D that was saved with the model of a run.

    Args:
        run: of K classes.

    Returns:
        (K, K) float64, or None where there is no `config.json`, or none with a D.

    Raises:
        ValueError: D is no (K, K) matrix of finite numbers.
    """
    path = run.folder / CONFIG_FILE
    config = read_json(path) if path.is_file() else {}
    matrix = config.get("ground_distance") if isinstance(config, dict) else None
    if matrix is None:
        return None
    try:
        if isinstance(matrix, str):
            path = run.folder / matrix
            matrix = load_file(path)["ground_distance"]
        values = np.asarray(matrix, dtype=np.float64)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold D under 'ground_distance'; reading it gave: {error!r}") from error
    _check(values, len(run.class_names), path, 2)
    return values


def mean_ground_distance(runs: Sequence[Run]) -> tuple[np.ndarray | None, int]:
    """The mean D of several runs.

    Args:
        runs: of K classes.

    Returns:
        (K, K) float64, None where no run has a D; and how many have one.

    Raises:
        ValueError: D is no (K, K) matrix of finite numbers.
    """
    matrices = [matrix for run in runs if (matrix := read_ground_distance(run)) is not None]
    return (np.mean(matrices, axis=0) if matrices else None), len(matrices)


def read_history(run: Run) -> tuple[np.ndarray, np.ndarray] | None:
    """D after each epoch of a run.

    Args:
        run: of K classes.

    Returns:
        Epochs (E,) float64 in order and D (E, K, K) float64, or None where the run has no such file.

    Raises:
        ValueError: the file does not hold that.
    """
    path = run.folder / HISTORY_FILE
    return read_epoch_distances(path, len(run.class_names)) if path.is_file() else None


def _check(values: np.ndarray, num_classes: int, path: object, dimensions: int) -> None:
    if values.ndim != dimensions or values.shape[-2:] != (num_classes, num_classes):
        raise ValueError(
            f"{path}: 'ground_distance' must be {num_classes} by {num_classes}, as the run has {num_classes} classes; "
            f"got shape {values.shape}; train the run again"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: 'ground_distance' must be finite; got NaN or infinity; train the run again")
