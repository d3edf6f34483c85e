"""The ground distance that a run learned: at its end, and after each epoch."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from .records import Run, read_json

__all__ = [
    "HISTORY_FILE",
    "mean_ground_distance",
    "read_ground_distance",
    "read_history",
    "read_history_file",
]

CONFIG_FILE = "config.json"
HISTORY_FILE = "ground_distance_history.npz"


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
    return read_history_file(path, len(run.class_names)) if path.is_file() else None


def read_history_file(path: Path, num_classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """D after each epoch, from the file that a run writes.

    Args:
        path: of a `ground_distance_history.npz`.
        num_classes: K of the run; None: whatever the file says.

    Returns:
        Epochs (E,) float64 in order and D (E, K, K) float64.

    Raises:
        ValueError: the file does not hold that.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            epochs = np.asarray(arrays["epochs"], dtype=np.float64)  # (E,)
            matrices = np.asarray(arrays["ground_distance"], dtype=np.float64)  # (E, K, K)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        what = "arrays 'epochs' and 'ground_distance'"
        raise ValueError(f"{path} must hold the {what}; reading it gave: {error!r}; train the run again") from error
    _check(matrices, num_classes or max(matrices.shape[-1:], default=0), path, 3)
    if epochs.shape != matrices.shape[:1] or not len(epochs) or not (np.diff(epochs) > 0).all():
        raise ValueError(
            f"{path} must hold one epoch a matrix, in order; got {epochs.tolist()} for {len(matrices)} matrices; train "
            "the run again"
        )
    return epochs, matrices


def _check(values: np.ndarray, num_classes: int, path: object, dimensions: int) -> None:
    if values.ndim != dimensions or values.shape[-2:] != (num_classes, num_classes):
        raise ValueError(
            f"{path}: 'ground_distance' must be {num_classes} by {num_classes}, as the run has {num_classes} classes; "
            f"got shape {values.shape}; train the run again"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: 'ground_distance' must be finite; got NaN or infinity; train the run again")
