"""Whether the true class is among the likeliest."""

from __future__ import annotations

import numpy as np

from .inputs import as_labels, as_scores, as_weights, as_whole_numbers, check_lengths


def ranks_of_truth(scores: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The place of the true class among all classes by falling score; 0 is the argmax.

    Among equal scores the class with the smaller index comes first, as ``argmax`` has it.

    Args:
        scores: (N, K) probabilities or logits.
        references: (N,) class indices.

    Returns:
        (N,) int64 in 0 .. K-1.

    Raises:
        ValueError: the lengths differ or are 0; a score is NaN; a label is no class.

    >>> ranks_of_truth(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]), np.array([2, 1]))
    array([2, 1])
    """
    scores = as_scores(scores, "predictions")
    references = as_labels(references, "references", scores.shape[1])
    check_lengths(scores, references)
    truth = np.take_along_axis(scores, references[:, None], axis=1)  # (N, 1)
    before = np.arange(scores.shape[1]) < references[:, None]  # (N, K)
    return ((scores > truth) | ((scores == truth) & before)).sum(1)


def top_k_error(ranks: np.ndarray, k: int = 1, *, sample_weight: np.ndarray | None = None) -> float:
    """Share of samples whose true class is not among the k likeliest (Hou et al. 2016, Table 5).

    Args:
        ranks: (N,) as :func:`ranks_of_truth` gives them.
        k: how many classes may be named, at least 1; with all K the error is 0.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: ``k`` is less than 1, or no whole number; a weight is negative, or all are 0.

    >>> top_k_error(np.array([0, 1, 6, 2]), k=2)
    0.5
    """
    (k,) = as_whole_numbers(k, "k", 1)
    return float(np.average(np.asarray(ranks) >= k, weights=as_weights(sample_weight, len(ranks))))
