"""Squared EMD of predicted distributions over ordered classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..metrics.emd import exact_emd, ranked_probability_score, squared_emd
from ..metrics.inputs import as_class_weights, as_labels_or_distributions, as_scores, check_lengths, softmax
from .array_metric import LABELS, ROWS, ArrayMetric, Columns


class SquaredEMD(ArrayMetric):
    """Mean squared Earth Mover's Distance between predicted distributions over ordered classes and the truth.

    It is ``sum_i (CDF_i(p) - CDF_i(t))^2``: 0 for a certain and right prediction, K - 1 for a certain one at the other
    end; a near miss costs less than a far one (Hou et al. 2016, arXiv:1611.05916, Eq. 10). Over K - 1 it is the ranked
    probability score. With a ``ground_distance`` it is the exact EMD under any distances between the classes.

    Inputs:
        predictions: N rows of K probabilities, or of logits with ``from_logits``.
        references: N class indices, or N rows of K probabilities.

    Settings:
        p (float): order of the norm; 2 is the squared EMD, 1 the plain EMD on a line (Eq. 9). Default: 2.
        spacing (K-1 numbers): gaps between neighboring classes, in any unit. Default: all 1.
        ground_distance (K x K numbers): D; then the exact EMD (Eq. 14) in the unit of D. ``D[i][k]`` is the cost of
            moving mass from class i to class k. Needs POT where the references are distributions.
        from_logits (bool): take the softmax of the predictions first. Default: False.
        per_class (bool): also the mean over the samples of each true class; None where there is none. A reference that
            is a distribution counts for each class by its weight.
        class_weights ("balanced", or K numbers): how much a sample of each true class counts, or by its weight in each;
            "balanced" gives each class that occurs the same weight. Default: all count alike.
        per_sample (bool): also each sample's value, in the order of adding (process after process).

    Returns:
        ``squared_emd``, and without ``spacing`` ``ranked_probability_score``; in their place ``emd`` where ``p`` is not
        2 or ``ground_distance`` is given. On request ``<name>_per_class`` (K) and ``<name>_per_sample`` (N).

    Raises:
        ValueError: no samples; a row that is no distribution, a label that is no class, NaN; a setting does not fit.
        ImportError: POT is needed and not installed.

    >>> metric = SquaredEMD()
    >>> metric.compute(predictions=[[0.5, 0.25, 0.25], [0, 0, 1]], references=[0, 2], per_class=True)
    {'squared_emd': 0.15625, 'ranked_probability_score': 0.078125, 'squared_emd_per_class': [0.3125, None, 0.0]}
    >>> ground_distance = [[0, 1, 4], [1, 0, 2], [4, 2, 0]]
    >>> metric.compute(predictions=[[0.5, 0.25, 0.25]], references=[0], ground_distance=ground_distance)
    {'emd': 1.25}
    """

    example: ClassVar = {"predictions": [[0.5, 0.25, 0.25], [0, 0.5, 0.5], [0.1, 0.8, 0.1]], "references": [0, 2, 1]}
    inputs = ((ROWS, LABELS), (ROWS, ROWS))

    def _arrays(self, predictions: Any, references: Any) -> Columns:
        predictions = as_scores(predictions, "predictions")
        references = as_labels_or_distributions(references, predictions.shape[1])
        check_lengths(predictions, references)
        return {"predictions": predictions, "references": references}

    def _compute(
        self,
        predictions: np.ndarray,
        references: np.ndarray,
        *,
        p: float = 2,
        spacing: Any = None,
        ground_distance: Any = None,
        from_logits: bool = False,
        per_class: bool = False,
        class_weights: Any = None,
        per_sample: bool = False,
    ) -> dict[str, Any]:
        if ground_distance is not None and (p != 2 or spacing is not None):
            raise ValueError("give ground_distance, or p and spacing, not both: each says how far classes are apart.")
        num_classes = predictions.shape[1]
        predictions = softmax(predictions) if from_logits else predictions
        if ground_distance is None:
            values = squared_emd(predictions, references, p=p, spacing=spacing, reduction="none")  # (N,)
        else:
            values = exact_emd(predictions, references, ground_distance, reduction="none")  # (N,)
        if references.ndim == 1:
            sums = np.bincount(references, values, minlength=num_classes)  # (K,)
            counts = np.bincount(references, minlength=num_classes)  # (K,)
        else:
            sums, counts = values @ references, references.sum(0)  # (K,)
        weights = as_class_weights(class_weights, counts)  # (K,)
        mean = float(weights @ sums / (weights @ counts))
        name = "squared_emd" if p == 2 and ground_distance is None else "emd"
        results: dict[str, Any] = {name: mean}
        if name == "squared_emd" and spacing is None:
            results["ranked_probability_score"] = ranked_probability_score(mean, num_classes)
        if per_class:
            means = [float(s / n) if n > 0 else None for s, n in zip(sums, counts, strict=True)]
            results[f"{name}_per_class"] = means
        if per_sample:
            results[f"{name}_per_sample"] = values.tolist()
        return results
