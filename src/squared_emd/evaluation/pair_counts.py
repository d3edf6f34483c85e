"""How often each pair of predicted and true class occurs: all that a metric of decisions needs to know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import datasets
import numpy as np

from ..metrics.inputs import MAX_CLASSES, as_array, as_labels, as_likeliest_labels, as_scores, check_lengths
from .tables import CHUNK_ROWS, Columns

LABELS = datasets.Value("int64")
ROWS = datasets.List(datasets.Value("float64"))
LABELS_OR_SCORES = tuple(
    datasets.Features({"predictions": predictions, "references": references})
    for references in (LABELS, ROWS)
    for predictions in (LABELS, ROWS)
)


def count_pairs(predictions: Any, references: Any) -> Columns:
    """The pairs of a batch; predictions (N,) labels, or (N, K) probabilities or logits, of which the largest decides.

    References (N,) labels, or (N, K) distributions, of which the largest share decides.

    Returns:
        ``predictions``, ``references``, ``counts``: each pair that occurs, once, and how often.
    """
    predictions = as_array(predictions, "predictions")
    if predictions.ndim == 2:
        scores = as_scores(predictions, "predictions")
        predictions, num_classes = scores.argmax(1), scores.shape[1]
    else:
        predictions, num_classes = as_labels(predictions, "predictions"), None
    references = as_likeliest_labels(references, num_classes)
    check_lengths(predictions, references)
    return _merge(predictions, references)


def add_up(tables: Iterator[Columns]) -> Columns:
    """The pairs of all tables."""
    parts, rows = [], 0
    for table in tables:
        parts.append(table)
        rows += len(table["counts"])
        if rows > CHUNK_ROWS:
            parts = [_joined(parts)]
            rows = 0
    return _joined(parts)


def _joined(parts: list[Columns]) -> Columns:
    return _merge(*(np.concatenate([part[name] for part in parts]) for name in parts[0]))


def _merge(predictions: np.ndarray, references: np.ndarray, counts: np.ndarray | None = None) -> Columns:
    pairs, positions = np.unique(predictions * MAX_CLASSES + references, return_inverse=True)
    return {
        "predictions": pairs // MAX_CLASSES,
        "references": pairs % MAX_CLASSES,
        "counts": np.bincount(positions, counts).astype(np.int64),
    }
