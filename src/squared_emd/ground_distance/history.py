"""D after each epoch of a run, in the file that the run keeps of it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

__all__ = ["HISTORY_FILE", "read_epoch_distances"]

HISTORY_FILE = "ground_distance_history.npz"  # epochs (E,), ground_distance (E, K, K) float32


def read_epoch_distances(path: Path, num_classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
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
    num_classes = num_classes or max(matrices.shape[-1:], default=0)
    if matrices.ndim != 3 or matrices.shape[1:] != (num_classes, num_classes):
        raise ValueError(
            f"{path}: 'ground_distance' must be {num_classes} by {num_classes}, as the run has {num_classes} classes; "
            f"got shape {matrices.shape}; train the run again"
        )
    if not np.isfinite(matrices).all():
        raise ValueError(f"{path}: 'ground_distance' must be finite; got NaN or infinity; train the run again")
    if epochs.shape != matrices.shape[:1] or not len(epochs) or not (np.diff(epochs) > 0).all():
        raise ValueError(
            f"{path} must hold one epoch a matrix, in order; got {epochs.tolist()} for {len(matrices)} matrices; train "
            "the run again"
        )
    return epochs, matrices
