"""Which class was taken for which."""

from __future__ import annotations

import numpy as np

from .inputs import as_labels, check_lengths

__all__ = ["confusion_matrix"]


def confusion_matrix(predictions: np.ndarray, references: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class was taken for each.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        num_classes: K.

    Returns:
        (K, K) int64 counts: the row is the true class, the column the predicted one.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no index of K classes.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    predictions = as_labels(predictions, "predictions", num_classes)
    references = as_labels(references, "references", num_classes)
    check_lengths(predictions, references)
    cells = np.bincount(references * num_classes + predictions, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)
