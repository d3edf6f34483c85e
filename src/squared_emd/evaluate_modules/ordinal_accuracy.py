"""Accuracy of decisions between ordered classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..metrics.accuracy import accuracy_per_class, macro_mean_absolute_error, mean_absolute_error, within
from ..metrics.inputs import as_class_weights, as_labels_of_pairs, as_whole_numbers
from .array_metric import LABELS, ROWS, ArrayMetric, Columns


class OrdinalAccuracy(ArrayMetric):
    """How often the predicted class is the true one or near it, and how many classes off it is on average.

    AEM is the exact match, AEO the match within one class (Hou et al. 2016, arXiv:1611.05916, section 4.4).

    Inputs:
        predictions: N class indices; or N rows of K probabilities or logits, of which the largest decides (the first,
            among equals).
        references: N class indices; or N rows of K shares (votes, soft labels), of which the largest decides.

    Settings:
        tolerances (a whole number, or several): also the match within so many classes, as ``within_<tolerance>``.
            Default: none.
        per_class (bool): also the accuracy of each true class; None where it has no sample.
        class_weights ("balanced", or K numbers): how much a sample of each true class counts; "balanced" gives each
            class that occurs the same weight. Default: all count alike.

    Returns:
        ``aem`` and ``aeo`` (fractions), ``mae`` and ``macro_mae`` (in classes; the second gives each class that occurs
        the same weight, Baccianella et al. 2009). On request ``within_<tolerance>`` (fraction) and
        ``accuracy_per_class`` (up to the largest class among predictions and references).

    Raises:
        ValueError: no samples; an entry that is no class index, NaN; a tolerance that is not a whole number from 0;
            class weights that do not fit.

    >>> metric = OrdinalAccuracy()
    >>> metric.compute(predictions=[0, 2, 5, 1], references=[0, 1, 1, 1])
    {'aem': 0.5, 'aeo': 0.75, 'mae': 1.25, 'macro_mae': 0.8333333333333334}
    >>> metric.compute(predictions=[[0.2, 0.8], [0.6, 0.4]], references=[1, 1], per_class=True)["accuracy_per_class"]
    [None, 0.5]
    >>> metric.compute(predictions=[0, 2, 5, 1], references=[0, 1, 1, 1], class_weights="balanced")["aeo"]  # 1 and 2/3
    0.8333333333333334
    """

    example: ClassVar = {"predictions": [0, 2, 5, 1], "references": [0, 1, 1, 1]}
    inputs = ((LABELS, LABELS), (ROWS, LABELS), (LABELS, ROWS), (ROWS, ROWS))

    def _arrays(self, predictions: Any, references: Any) -> Columns:
        predictions, references = as_labels_of_pairs(predictions, references)
        return {"predictions": predictions, "references": references}

    def _compute(
        self,
        predictions: np.ndarray,
        references: np.ndarray,
        *,
        tolerances: int | Sequence[int] | None = None,
        per_class: bool = False,
        class_weights: Any = None,
    ) -> dict[str, Any]:
        tolerances = [] if tolerances is None else as_whole_numbers(tolerances, "tolerances", 0)
        weights = as_class_weights(class_weights, np.bincount(references))[references]  # (N,)
        results = {
            "aem": within(predictions, references, sample_weight=weights),
            "aeo": within(predictions, references, tolerance=1, sample_weight=weights),
            "mae": mean_absolute_error(predictions, references, sample_weight=weights),
            "macro_mae": macro_mean_absolute_error(predictions, references),
        }
        for tolerance in tolerances:
            share = within(predictions, references, tolerance=tolerance, sample_weight=weights)
            results[f"within_{tolerance}"] = share
        if per_class:
            accuracies = accuracy_per_class(predictions, references)
            num_classes = max(predictions.max(), references.max()) + 1
            results["accuracy_per_class"] = [accuracies.get(k) for k in range(num_classes)]
        return results
