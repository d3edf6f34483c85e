"""Agreement beyond chance between ordered classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..metrics.accuracy import weighted_kappa
from ..metrics.inputs import as_labels_of_pairs
from .array_metric import LABELS, ROWS, ArrayMetric, Columns


class QuadraticWeightedKappa(ArrayMetric):
    """Cohen's weighted kappa of predicted and true classes: 1 is full agreement, 0 what chance would give.

    A pair of classes (i, k) disagrees by ``(i - k)^2``, on request by ``abs(i - k)`` or by ``D[i, k]`` (Cohen 1968).
    Class indices are positions: a class that nobody used still keeps its two neighbors apart.

    Inputs:
        predictions: N class indices; or N rows of K probabilities or logits, of which the largest decides (the first,
            among equals).
        references: N class indices; or N rows of K shares (votes, soft labels), of which the largest decides.

    Settings:
        weights (str): "quadratic" (default) or "linear".
        ground_distance (K x K numbers): D, in place of ``weights``; ``D[i][k]`` for prediction i and reference k.

    Returns:
        ``quadratic_weighted_kappa``, ``linear_weighted_kappa``, or with a ground distance ``weighted_kappa``: up to 1.
        It is 0 where chance leaves nothing to disagree on (both sides constant and equal, where kappa is 0/0).

    Raises:
        ValueError: no samples; an entry that is no class index, NaN; a setting does not fit.

    >>> metric = QuadraticWeightedKappa()
    >>> metric.compute(predictions=[0, 1, 2, 1], references=[0, 1, 2, 2])
    {'quadratic_weighted_kappa': 0.8}
    >>> metric.compute(predictions=[0, 1, 2, 1], references=[0, 1, 2, 2], weights="linear")
    {'linear_weighted_kappa': 0.7142857142857143}
    """

    example: ClassVar = {"predictions": [0, 1, 2, 1], "references": [0, 1, 2, 2]}
    inputs = ((LABELS, LABELS), (ROWS, LABELS), (LABELS, ROWS), (ROWS, ROWS))

    def _arrays(self, predictions: Any, references: Any) -> Columns:
        predictions, references = as_labels_of_pairs(predictions, references)
        return {"predictions": predictions, "references": references}

    def _compute(
        self,
        predictions: np.ndarray,
        references: np.ndarray,
        *,
        weights: str | None = None,
        ground_distance: Any = None,
    ) -> dict[str, Any]:
        kappa = weighted_kappa(predictions, references, weights=weights, ground_distance=ground_distance)
        if ground_distance is not None:
            return {"weighted_kappa": kappa}
        return {f"{weights or 'quadratic'}_weighted_kappa": kappa}
