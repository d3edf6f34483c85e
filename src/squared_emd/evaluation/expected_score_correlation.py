"""Correlation of the expected score with the true one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
from scipy.special import softmax

from ..metrics.correlation import CORRELATIONS, correlation, expected_score
from ..metrics.inputs import as_array, as_labels_or_distributions, as_reals, as_scores, check_lengths
from .batch_metric import BatchMetric, metric_info
from .tables import Columns


class ExpectedScoreCorrelation(BatchMetric):
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

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("float64")
        rows = datasets.List(number)
        return metric_info(
            self,
            datasets.Features({"predictions": rows, "references": number}),
            datasets.Features({"predictions": number, "references": number}),
            datasets.Features({"predictions": rows, "references": rows}),
        )

    def _reduce(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns:
        predictions = as_array(predictions, "predictions")
        as_fits = as_scores if predictions.ndim == 2 else as_reals
        predictions, references = as_fits(predictions, "predictions"), as_array(references, "references")
        if references.ndim == 2 and predictions.ndim == 2:
            references = as_labels_or_distributions(references, predictions.shape[1])
        else:
            references = as_reals(references, "references")
        check_lengths(predictions, references)
        predictions = self._rows(predictions, settings) if predictions.ndim == 2 else predictions
        return {"predictions": predictions, "references": references}

    def _compute(self, tables: Iterator[Columns], *, scores: Any = None, from_logits: bool = False) -> dict[str, Any]:
        predicted, true = [], []
        for table in tables:
            predictions = table["predictions"]
            if predictions.ndim == 2:
                predictions = softmax(predictions, axis=1) if from_logits else predictions
                predictions = expected_score(predictions, scores)  # (N,)
            elif scores is not None or from_logits:
                raise ValueError("predictions are (N,) expected scores already: scores and from_logits do not apply.")
            predicted.append(predictions)
            references = table["references"]
            true.append(expected_score(references, scores) if references.ndim == 2 else references)
        predicted, true = np.concatenate(predicted), np.concatenate(true)  # (N,)
        return {kind: correlation(predicted, true, kind) for kind in CORRELATIONS}
