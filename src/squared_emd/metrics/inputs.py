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
        kinds = {"O": "rows of different lengths, or other objects", "U": "text"}
        kind = kinds.get(array.dtype.kind, f"type {array.dtype}")
        raise ValueError(f"{name} must be numbers, in rows of equal length; got {kind}.")
    return array


def as_labels(values: Any, name: str, num_classes: int | None = None) -> np.ndarray:
    """(N,) int64 class indices in 0 .. K-1; floats only where they are whole."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be (N,) class indices, got shape {array.shape}.")
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        entry = int(np.flatnonzero(array != np.rint(array))[0])
        raise ValueError(
            f"{name} must be class indices, whole numbers; entry {entry} is {array[entry]}. "
            "Round the output of a regression to the nearest class first."
        )
    last = (MAX_CLASSES if num_classes is None else num_classes) - 1
    if array.size and not 0 <= array.min() <= array.max() <= last:
        entry = int(np.flatnonzero(~((array >= 0) & (array <= last)))[0])
        raise ValueError(
            f"{name} must be class indices in 0 .. {last}; entry {entry} is {array[entry]:.20g}. "
            "Number the classes from 0, and leave out samples without a label."
        )
    return array.astype(np.int64)


def as_scores(values: Any, name: str) -> np.ndarray:
    """(N, K) float64 scores of the classes, contiguous, without NaN or +inf; some in a row may be -inf."""
    array = as_array(values, name)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must be (N, K), one number for each class, got shape {array.shape}.")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if array.size and not (array.max() < np.inf and array.min() > -np.inf):
        wrong = ~(array < np.inf).all(1) | (array == -np.inf).all(1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            k = int(np.flatnonzero(~np.isfinite(array[row]))[-1])
            what = "for every class" if (array[row] == -np.inf).all() else f"for class {k}"
            raise ValueError(f"{name} must not hold NaN or infinity; row {row} has {array[row, k]} {what}.")
    return array


def as_reals(values: Any, name: str) -> np.ndarray:
    """(N,) float64 without NaN or infinity."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one row of numbers, got shape {array.shape}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite; entry {row} is {array[row]}.")
    return array


def as_labels_or_distributions(values: Any, num_classes: int) -> np.ndarray:
    """References: (N,) class indices, or (N, K) distributions."""
    array = as_array(values, "references")
    if array.ndim != 2:
        return as_labels(array, "references", num_classes)
    if array.shape[1] != num_classes:
        raise ValueError(
            f"references must be (N,) class indices, or (N, {num_classes}) distributions like the predictions; "
            f"got shape {array.shape}."
        )
    return as_distributions(array, "references")


def as_likeliest_labels(values: Any, num_classes: int | None = None) -> np.ndarray:
    """References: (N,) class indices, or of (N, K) distributions the class with the largest share."""
    array = as_array(values, "references")
    if array.ndim != 2 or array.shape[1] == 1:  # one column is no distribution
        return as_labels(array, "references", num_classes)
    return as_labels_or_distributions(array, array.shape[1] if num_classes is None else num_classes).argmax(1)


def as_labels_of_pairs(predictions: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Decisions and truth, each (N,) class indices; of (N, K) scores or distributions the largest decides."""
    predictions = as_array(predictions, "predictions")
    if predictions.ndim == 2:
        scores = as_scores(predictions, "predictions")
        predictions, num_classes = scores.argmax(1), scores.shape[1]
    else:
        predictions, num_classes = as_labels(predictions, "predictions"), None
    references = as_likeliest_labels(references, num_classes)
    check_lengths(predictions, references)
    return predictions, references


def as_class_weights(values: Any, counts: np.ndarray) -> np.ndarray:
    """(K,) weights of the classes, of which there are ``counts``; "balanced" lets each that occurs weigh the same."""
    if values is None:
        return np.ones(len(counts))
    if isinstance(values, str):
        if values != "balanced":
            raise ValueError(f'class_weights must be "balanced" or one number for each class, got {values!r}.')
        return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0)
    array = as_reals(values, "class_weights")
    if len(array) < len(counts) or (array < 0).any() or not (array[: len(counts)] * counts).any():
        raise ValueError(
            f"class_weights must be one number for each of the {len(counts)} classes, none negative, and not 0 for all "
            f"that occur; got {array.tolist()}."
        )
    return array[: len(counts)]


def as_ground_distance(values: Any, num_classes: int | None = None) -> np.ndarray:
    """(K, K) float64 distances, finite, not negative, 0 on the diagonal."""
    array = as_array(values, "ground_distance").astype(np.float64)
    size = num_classes or (array.shape[0] if array.ndim else 0)
    if array.shape != (size, size):
        expected = "" if num_classes is None else f" = ({size}, {size}) like the classes"
        raise ValueError(f"ground_distance must be (K, K){expected}, got shape {array.shape}.")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"ground_distance must be finite and not negative, got {array.min()} .. {array.max()}.")
    if array.diagonal().any():
        raise ValueError(f"ground_distance must be 0 on the diagonal, got {array.diagonal().tolist()}.")
    return array


def as_distributions(values: Any, name: str) -> np.ndarray:
    """(N, K) float64 rows without a negative entry, of sum 1 within 0.01 (half precision), divided by their sum."""
    array = as_scores(values, name)
    sums = array.sum(1, keepdims=True)
    if array.size and (array.min() < 0 or np.abs(sums - 1).max() > 1e-2):
        row = int(np.flatnonzero((np.abs(sums[:, 0] - 1) > 1e-2) | (array.min(1) < 0))[0])
        hint = " Are these logits? Then say from_logits=True, or take their softmax." if name == "predictions" else ""
        raise ValueError(
            f"each row of {name} must be a distribution: no negative entry, sum 1; "
            f"row {row} has entries from {array[row].min():.4g} and the sum {sums[row, 0]:.4g}.{hint}"
        )
    return array / sums


def as_distributions_of_pairs(probabilities: Any, references: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truth: (N, K) distributions, and (N,) class indices or (N, K) distributions."""
    probabilities = as_distributions(probabilities, "predictions")
    references = as_labels_or_distributions(references, probabilities.shape[1])
    check_lengths(probabilities, references)
    return probabilities, references


def reduce_values(values: np.ndarray, reduction: str) -> float | np.ndarray:
    """(N,) values of the samples, or their mean."""
    if reduction not in ("mean", "none"):
        raise ValueError(f'reduction must be "mean" or "none", got {reduction!r}.')
    return values if reduction == "none" else float(values.mean())


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, K) probabilities of float64 logits."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def as_whole_numbers(values: Any, name: str, least: int) -> list[int]:
    """One whole number or several, none below ``least``."""
    several = list(values) if hasattr(values, "__iter__") and not isinstance(values, str) else [values]
    fits = [isinstance(v, (int, float, np.integer, np.floating)) and v >= least and v % 1 == 0 for v in several]
    if not several or not all(fits):
        raise ValueError(f"{name} must be whole numbers, at least {least}; got {several}.")
    return [int(value) for value in several]


def as_weights(values: Any, num_samples: int) -> np.ndarray:
    """(N,) float64 weights of the samples, none negative and not all 0; of None ones."""
    if values is None:
        return np.ones(num_samples)
    array = as_reals(values, "sample_weight")
    if len(array) != num_samples or (array < 0).any() or not array.any():
        raise ValueError(
            f"sample_weight must be {num_samples} numbers, one a sample, none negative and not all 0; got {len(array)} "
            f"with the sum {array.sum():.4g}."
        )
    return array


def check_lengths(predictions: np.ndarray, references: np.ndarray) -> None:
    """Raises where there are not as many of one as of the other, or none."""
    if len(predictions) != len(references) or len(predictions) == 0:
        raise ValueError(
            f"predictions and references must be equally many, at least one; "
            f"got {len(predictions)} and {len(references)}."
        )
