"""What a metric is given, as arrays that fit, or an error that says what does not."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_CLASSES = 2**20  # a larger label is taken for an error: an identifier, a price


def as_array(values: Any, name: str) -> np.ndarray:
    """Lists, NumPy, pandas and ``datasets`` columns, torch tensors on any device, as a NumPy array of numbers."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # NumPy has no bfloat16
    elif isinstance(values, (list, tuple)) and len(values) > 0 and hasattr(values[0], "detach"):
        values = [as_array(value, name) for value in values]
    if values is None:
        raise ValueError(f"{name} is missing: give as many predictions as references.")
    try:
        array = np.asarray(values)
    except ValueError:  # NumPy's word for a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        kind = "rows of different lengths, or other objects" if array.dtype.kind == "O" else f"type {array.dtype}"
        raise ValueError(f"{name} must be numbers, in rows of equal length; got {kind}.")
    return array


def as_labels(values: Any, name: str, num_classes: int | None = None) -> np.ndarray:
    """(N,) int64 class indices in 0 .. K-1; floats only where they are whole."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be (N,) class indices, got shape {array.shape}.")
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        raise ValueError(
            f"{name} must be class indices, whole numbers; got {array[array != np.rint(array)][0]}. "
            "Round the output of a regression to the nearest class first."
        )
    last = (MAX_CLASSES if num_classes is None else num_classes) - 1
    if array.size and not 0 <= array.min() <= array.max() <= last:
        raise ValueError(
            f"{name} must be class indices in 0 .. {last}, got {array.min():.20g} .. {array.max():.20g}. "
            "Leave out samples without a label."
        )
    return array.astype(np.int64)


def as_scores(values: Any, name: str) -> np.ndarray:
    """(N, K) float64 scores of the classes, contiguous, without NaN or +inf; -inf is a logit like others."""
    array = as_array(values, name)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must be (N, K), one number for each class, got shape {array.shape}.")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if array.size and not array.max() < np.inf:
        row = int(np.flatnonzero(~(array < np.inf).all(1))[0])
        raise ValueError(f"{name} must not hold NaN or infinity; row {row} is {array[row].tolist()}.")
    return array


def as_reals(values: Any, name: str) -> np.ndarray:
    """(N,) float64 without NaN or infinity."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be (N,) numbers, got shape {array.shape}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite; entry {row} is {array[row]}.")
    return array


def as_labels_or_distributions(values: Any, num_classes: int) -> np.ndarray:
    """References: (N,) class indices, or (N, K) as :func:`as_scores` has them."""
    array = as_array(values, "references")
    if array.ndim != 2:
        return as_labels(array, "references", num_classes)
    array = as_scores(array, "references")
    if array.shape[1] != num_classes:
        raise ValueError(
            f"references must be (N,) class indices, or (N, {num_classes}) distributions like the predictions; "
            f"got shape {array.shape}."
        )
    return array


def as_ground_distance(values: Any, num_classes: int) -> np.ndarray:
    """(K, K) float64 distances, finite and not negative."""
    array = as_array(values, "ground_distance").astype(np.float64)
    if array.shape != (num_classes, num_classes):
        raise ValueError(
            f"ground_distance must be (K, K) = ({num_classes}, {num_classes}) like the classes, "
            f"got shape {array.shape}."
        )
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"ground_distance must be finite and not negative, got {array.min()} .. {array.max()}.")
    return array


def as_probabilities(values: Any) -> np.ndarray:
    """Predictions: (N, K) as :func:`as_scores` has them, each row a distribution."""
    array = as_scores(values, "predictions")
    check_distributions(array, "predictions", " Are these logits? Then say from_logits=True, or take their softmax.")
    return array


def check_distributions(rows: np.ndarray, name: str, hint: str = "") -> None:
    """Raises where a row of (N, K) has a negative entry, or a sum that is not 1 within 0.01 (half precision)."""
    sums = rows.sum(1)
    wrong = (np.abs(sums - 1) > 1e-2) | (rows.min(1) < 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"each row of {name} must be a distribution: no negative entry, sum 1; "
            f"row {row} has entries from {rows[row].min():.4g} and the sum {sums[row]:.4g}.{hint}"
        )


def check_lengths(predictions: np.ndarray, references: np.ndarray) -> None:
    """Raises where there are not as many of one as of the other, or none."""
    if len(predictions) != len(references) or len(predictions) == 0:
        raise ValueError(
            f"predictions and references must be equally many, at least one; "
            f"got {len(predictions)} and {len(references)}."
        )
