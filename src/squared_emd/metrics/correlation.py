"""Correlation of an expected score with the true one."""

from __future__ import annotations

import numpy as np

from .inputs import as_distributions, as_reals, check_lengths

CORRELATIONS = ("spearman", "pearson", "kendall")


def expected_score(probabilities: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """The mean of the classes' scores under each predicted distribution (Hou et al. 2016, section 4.6).

    Args:
        probabilities: (N, K) rows that sum to 1.
        scores: (K,) score of each class, in any unit. Default: the class index 0 .. K-1.

    Returns:
        (N,) in the unit of ``scores``; equal rows give equal scores, to the bit.

    Raises:
        ValueError: a row is no distribution; there is not one score a class.

    >>> expected_score(np.array([[0.5, 0.25, 0.25]]), np.array([1, 5, 10]))
    array([4.25])
    """
    probabilities = as_distributions(probabilities, "predictions")
    num_classes = probabilities.shape[1]
    scores = np.arange(num_classes) if scores is None else as_reals(scores, "scores")
    if scores.shape != (num_classes,):
        raise ValueError(f"scores must hold one number for each of the {num_classes} classes, got {scores.tolist()}.")
    return (probabilities * scores).sum(1)


def correlation(predictions: np.ndarray, references: np.ndarray, kind: str = "spearman") -> float:
    """Correlation of predicted with true scores, with ties as SciPy has them: they share their mean rank.

    Args:
        predictions: (N,) real-valued scores.
        references: (N,) real-valued scores.
        kind: ``"spearman"``, ``"pearson"`` or ``"kendall"`` (tau-b).

    Returns:
        A number in [-1, 1]; 0 where either side is constant, as a single sample is: it has no correlation.

    Raises:
        ValueError: the lengths differ or are 0; an entry is not finite; ``kind`` is not as above.
        ImportError: Kendall's tau without SciPy.

    >>> round(correlation(np.array([1, 2, 3, 4]), np.array([1, 3, 2, 4]), "kendall"), 6)  # 5 pairs agree, 1 not: 4 / 6
    0.666667
    """
    predictions, references = as_reals(predictions, "predictions"), as_reals(references, "references")
    check_lengths(predictions, references)
    if kind not in CORRELATIONS:
        raise ValueError(f"kind must be one of {list(CORRELATIONS)}, got {kind!r}.")
    if (predictions == predictions[0]).all() or (references == references[0]).all():
        return 0.0
    if kind == "kendall":
        try:
            from scipy.stats import kendalltau
        except ImportError as error:
            raise ImportError(
                'Kendall\'s tau needs SciPy, which is not installed: pip install "squared-emd[metrics]". '
                'kind="spearman" does without.'
            ) from error
        return float(kendalltau(predictions, references).statistic)
    if kind == "spearman":
        import pandas as pd  # here: slow, and most metrics do without

        predictions, references = (pd.Series(side).rank().to_numpy() for side in (predictions, references))
    else:  # Pearson's has no scale, and the squares of large numbers overflow
        predictions, references = (side / np.abs(side).max() for side in (predictions, references))
    return float(np.corrcoef(predictions, references)[0, 1])
