"""Metrics of ordered classes as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import spearmanr

__all__ = [
    "expected_score_spearman",
    "mean_absolute_error",
    "ordinal_metrics",
    "squared_emd",
    "within",
]


def within(predictions: np.ndarray, references: np.ndarray, *, tolerance: int = 0) -> float:
    """Share of samples whose predicted class is at most ``tolerance`` classes off.

    0 is the exact match AEM, 1 the within-one AEO (Hou et al. 2016, section 4.4).

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        tolerance: classes off that still count.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: the lengths differ or are 0.

    >>> within(np.array([0, 2, 5]), np.array([0, 1, 1]), tolerance=1)
    0.6666666666666666
    """
    _check_lengths(predictions, references)
    return float(np.mean(np.abs(np.asarray(predictions) - np.asarray(references)) <= tolerance))


def mean_absolute_error(predictions: np.ndarray, references: np.ndarray) -> float:
    """Mean distance between predicted and true class, in classes.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.

    Returns:
        A number of classes.

    Raises:
        ValueError: the lengths differ or are 0.

    >>> mean_absolute_error(np.array([0, 2, 5]), np.array([0, 1, 1]))
    1.6666666666666667
    """
    _check_lengths(predictions, references)
    return float(np.mean(np.abs(np.asarray(predictions) - np.asarray(references))))


def squared_emd(probabilities: np.ndarray, references: np.ndarray) -> float:
    """Mean squared EMD between predicted distributions and the truth (Hou et al. 2016, Eq. 10).

    Args:
        probabilities: (N, K) rows that sum to 1.
        references: (N,) class indices, or (N, K) distributions.

    Returns:
        The mean over samples of ``sum_i (CDF_i(p) - CDF_i(t))^2``.

    Raises:
        ValueError: the lengths differ or are 0.

    >>> squared_emd(np.array([[0.5, 0.25, 0.25]]), np.array([0]))
    0.3125
    """
    _check_lengths(probabilities, references)
    probabilities, references = np.asarray(probabilities, dtype=np.float64), np.asarray(references)
    if references.ndim == 1:
        references = np.eye(probabilities.shape[1])[references]  # (N, K)
    gaps = np.cumsum(probabilities - references, axis=1)[:, :-1]  # (N, K-1)
    return float(np.mean(np.sum(gaps**2, axis=1)))


def expected_score_spearman(probabilities: np.ndarray, references: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's rank correlation of the expected score with the true one (Hou et al. 2016, section 4.6).

    Args:
        probabilities: (N, K) rows that sum to 1.
        references: (N,) real-valued scores.
        scores: (K,) score of each class.

    Returns:
        rho in [-1, 1]; 0 where either side is constant, which has no rank correlation.

    Raises:
        ValueError: the lengths differ or are 0.

    >>> expected_score_spearman(np.eye(3), np.array([0.1, 0.5, 0.9]), np.array([1, 2, 3]))
    1.0
    """
    _check_lengths(probabilities, references)
    expected = np.asarray(probabilities, dtype=np.float64) @ np.asarray(scores, dtype=np.float64)
    if np.ptp(expected) == 0 or np.ptp(references) == 0:
        return 0.0
    return float(spearmanr(expected, references).statistic)


def ordinal_metrics(
    *, class_names: Sequence[str] | None = None, scores: Sequence[float] | None = None
) -> Callable[[Any], dict[str, float]]:
    """A ``compute_metrics`` for a Trainer on ordered classes.

    Args:
        class_names: names of the K classes in order; needed only for a regression network (one output), whose
            prediction is the nearest class index, clamped to 0 .. K-1.
        scores: (K,) value of each class; adds ``spearman`` of the expected score against the labels' scores.

    Returns:
        A function of an ``EvalPrediction`` that gives ``aem``, ``aeo`` (fractions), ``mae`` (classes),
        ``squared_emd`` and, with ``scores``, ``spearman``.

    >>> from types import SimpleNamespace
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    >>> ordinal_metrics()(SimpleNamespace(predictions=logits, label_ids=np.array([0, 1])))["aem"]
    0.5
    """

    def compute_metrics(evaluation: Any) -> dict[str, float]:
        logits = evaluation.predictions
        logits = np.asarray(logits[0] if isinstance(logits, tuple) else logits)
        references = np.asarray(evaluation.label_ids)
        if logits.ndim == 1 or logits.shape[1] == 1:
            if class_names is None:
                raise ValueError(
                    "a network with one output needs ordinal_metrics(class_names=...) to know its classes."
                )
            nearest = np.rint(logits.reshape(-1)).clip(0, len(class_names) - 1).astype(int)
            probabilities = np.eye(len(class_names))[nearest]  # (N, K)
        else:
            probabilities = softmax(logits.astype(np.float64), axis=1)
        predicted = probabilities.argmax(1)
        true = references.argmax(1) if references.ndim == 2 else references
        metrics = {
            "aem": within(predicted, true),
            "aeo": within(predicted, true, tolerance=1),
            "mae": mean_absolute_error(predicted, true),
            "squared_emd": squared_emd(probabilities, references),
        }
        if scores is not None:
            true_scores = references @ np.asarray(scores) if references.ndim == 2 else np.asarray(scores)[references]
            metrics["spearman"] = expected_score_spearman(probabilities, true_scores, np.asarray(scores))
        return metrics

    return compute_metrics


def _check_lengths(predictions: np.ndarray, references: np.ndarray) -> None:
    if len(predictions) != len(references) or len(predictions) == 0:
        raise ValueError(
            f"predictions and references must be equally many, at least one; "
            f"got {len(predictions)} and {len(references)}."
        )
