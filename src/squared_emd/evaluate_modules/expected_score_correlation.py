"""Correlation of the expected score with the true one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..metrics.correlation import CORRELATIONS, correlation, expected_score
from ..metrics.inputs import as_array, as_labels_or_distributions, as_reals, as_scores, check_lengths, softmax
from .array_metric import NUMBERS, ROWS, ArrayMetric, Columns


class ExpectedScoreCorrelation(ArrayMetric):
    """Correlation of the expected score of predicted distributions with real-valued true scores.

    The expected score is ``sum_i p_i scores_i``. This is how the paper measures aesthetics (AADB): a network trained on
    classes is held against the real scores (Hou et al. 2016, arXiv:1611.05916, section 4.6).

    Inputs:
        predictions: N rows of K probabilities, or of logits with ``from_logits``; or N expected scores (those of an
            ensemble, or of a regression).
        references: N real numbers; or N rows of K shares (votes, soft labels), whose expected scores count.

    Settings:
        scores (K numbers): the score of each class, in any unit. Default: the class index 0 .. K-1.
        from_logits (bool): take the softmax of the predictions first. Default: False.

    Returns:
        ``spearman``, ``pearson`` and ``kendall`` (tau-b) in [-1, 1], with ties as SciPy has them; 0 where either side
        is constant, as a single sample is: it has no correlation.

    Raises:
        ValueError: no samples; a row that is no distribution, NaN or infinity; a setting does not fit.

    >>> metric = ExpectedScoreCorrelation()
    >>> predictions = [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]  # expected scores 1, 1.5, 3
    >>> results = metric.compute(predictions=predictions, references=[0.1, 0.2, 0.5], scores=[1, 2, 3])
    >>> {name: round(value, 6) for name, value in results.items()}
    {'spearman': 1.0, 'pearson': 1.0, 'kendall': 1.0}
    """

    example: ClassVar = {"predictions": [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]], "references": [0.1, 0.3, 0.5]}
    inputs = ((ROWS, NUMBERS), (NUMBERS, NUMBERS), (ROWS, ROWS))

    def _arrays(self, predictions: Any, references: Any) -> Columns:
        predictions = as_array(predictions, "predictions")
        as_fits = as_scores if predictions.ndim == 2 else as_reals
        predictions, references = as_fits(predictions, "predictions"), as_array(references, "references")
        if references.ndim == 2 and predictions.ndim == 2:
            references = as_labels_or_distributions(references, predictions.shape[1])
        else:
            references = as_reals(references, "references")
        check_lengths(predictions, references)
        return {"predictions": predictions, "references": references}

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, *, scores: Any = None, from_logits: bool = False
    ) -> dict[str, Any]:
        if predictions.ndim == 2:
            predictions = softmax(predictions) if from_logits else predictions
            predictions = expected_score(predictions, scores)  # (N,)
        elif scores is not None or from_logits:
            raise ValueError("predictions are (N,) expected scores already: scores and from_logits do not apply.")
        if references.ndim == 2:
            references = expected_score(references, scores)  # (N,)
        return {kind: correlation(predictions, references, kind) for kind in CORRELATIONS}
