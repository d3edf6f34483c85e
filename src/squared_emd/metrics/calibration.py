"""Whether probabilities mean what they say: negative log-likelihood and calibration error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .inputs import as_distributions_of_pairs, as_weights, as_whole_numbers, reduce_values

CALIBRATION_BINS = 15


class ReliabilityBins(NamedTuple):
    """What a reliability diagram shows: equal bins of the confidence, the empty ones left out.

    Attributes:
        confidence: (M,) mean probability of the predicted class.
        accuracy: (M,) share of the samples whose prediction is the true class.
        share: (M,) of all samples that lie in the bin; their sum is 1.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    share: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of ``abs(accuracy - confidence)``, weighed by ``share``."""
        return float(self.share @ np.abs(self.accuracy - self.confidence))


def negative_log_likelihood(
    probabilities: np.ndarray, references: np.ndarray, *, reduction: str = "mean"
) -> float | np.ndarray:
    """``-log p_k`` of the true class; of true distributions its expectation, the cross-entropy.

    Args:
        probabilities: (N, K) rows that sum to 1. A probability of 0 counts as the smallest of float64, ``-log`` 708.
        references: (N,) class indices, or (N, K) distributions.
        reduction: ``"mean"``, or ``"none"`` for one value a sample.

    Returns:
        The mean over the samples, or (N,), in nats.

    Raises:
        ValueError: the lengths differ or are 0; a row is no distribution, a label no class; ``reduction`` is something
            else.

    >>> round(negative_log_likelihood(np.array([[0.5, 0.25, 0.25]]), np.array([0])), 6)  # log 2
    0.693147
    """
    probabilities, references = as_distributions_of_pairs(probabilities, references)
    logs = -np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))  # (N, K)
    if references.ndim == 1:
        values = np.take_along_axis(logs, references[:, None], 1)[:, 0]  # (N,)
    else:
        values = (logs * references).sum(1)  # (N,)
    return reduce_values(values, reduction)


def expected_calibration_error(
    probabilities: np.ndarray, references: np.ndarray, *, bins: int = CALIBRATION_BINS
) -> float:
    """How far the confidence of the predictions is from their accuracy (Guo et al. 2017, Eq. 3).

    The predictions, each the likeliest class, are sorted into equal bins of its probability; the error is the mean over
    the samples of ``abs(accuracy - mean confidence)`` of their bin.

    Args:
        probabilities: (N, K) rows that sum to 1.
        references: (N,) class indices, or (N, K) distributions, of which the largest share is the truth.
        bins: how many.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: the lengths differ or are 0; a row is no distribution, a label no class; ``bins`` is no whole number
            or less than 1.

    >>> expected_calibration_error(np.array([[0.75, 0.25], [0.75, 0.25]]), np.array([0, 1]))  # 0.75 sure, half right
    0.25
    """
    probabilities, references = as_distributions_of_pairs(probabilities, references)
    true = references.argmax(1) if references.ndim == 2 else references  # (N,)
    return reliability(probabilities.max(1), probabilities.argmax(1) == true, bins=bins).error


def calibration_terms(confidences: np.ndarray, hits: np.ndarray, *, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """(N,) values whose mean is the calibration error: ``hit - confidence``, with the sign of its sum over the bin."""
    places = _bins_of(confidences, bins)
    gaps = hits - confidences  # (N,)
    return gaps * np.sign(np.bincount(places, gaps))[places]


def reliability(
    confidences: np.ndarray,
    hits: np.ndarray,
    *,
    bins: int = CALIBRATION_BINS,
    sample_weight: np.ndarray | None = None,
) -> ReliabilityBins:
    """The bins of a reliability diagram.

    Args:
        confidences: (N,) probability of each predicted class.
        hits: (N,) whether it is the true one.
        bins: how many; the m-th holds confidences in ``((m - 1) / bins, m / bins]``.
        sample_weight: (N,) weight of each sample. Default: all 1.

    Returns:
        The bins that hold samples, in order.

    Raises:
        ValueError: ``bins`` is no whole number or less than 1; a weight is negative, or all are 0.

    >>> reliability(np.array([0.6, 0.9, 1.0]), np.array([True, False, True]), bins=5).accuracy.tolist()
    [1.0, 0.5]
    """
    (bins,) = as_whole_numbers(bins, "bins", 1)
    weights = as_weights(sample_weight, len(confidences))
    places = _bins_of(confidences, bins)
    totals, confidence, accuracy = (
        np.bincount(places, weights * values, minlength=bins) for values in (1, confidences, hits)
    )
    held = totals > 0
    return ReliabilityBins(confidence[held] / totals[held], accuracy[held] / totals[held], totals[held] / totals.sum())


def _bins_of(confidences: np.ndarray, bins: int) -> np.ndarray:
    """(N,) the bin of each confidence."""
    return np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
