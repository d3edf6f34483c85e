"""Share of samples whose true class is not among the likeliest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..metrics.accuracy import ranks_of_truth, top_k_error
from ..metrics.inputs import as_likeliest_labels, as_scores, as_whole_numbers
from .array_metric import LABELS, ROWS, ArrayMetric, Columns


class TopKError(ArrayMetric):
    """Share of samples whose true class is not among the k with the highest scores (Hou et al. 2016, Table 5).

    Among equal scores the class with the smaller index comes first, so that the top-1 error is that of ``argmax``.

    Inputs:
        predictions: N rows of K probabilities or logits.
        references: N class indices; or N rows of K shares (votes, soft labels), of which the largest decides.

    Settings:
        k (whole number, or several): how many classes may be named. Default: 1 and 5.

    Returns:
        ``top_<k>_error`` for each k: fractions; 0 where k is K or more.

    Raises:
        ValueError: no samples; a label that is no class, NaN; a ``k`` below 1.

    >>> metric = TopKError()
    >>> metric.compute(predictions=[[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]], references=[2, 1], k=[1, 2])
    {'top_1_error': 1.0, 'top_2_error': 0.5}
    """

    example: ClassVar = {"predictions": [[0.5, 0.3, 0.2], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]], "references": [2, 1, 2]}
    inputs = ((ROWS, LABELS), (ROWS, ROWS))

    def _arrays(self, predictions: Any, references: Any) -> Columns:
        predictions = as_scores(predictions, "predictions")
        references = as_likeliest_labels(references, predictions.shape[1])
        return {"ranks": ranks_of_truth(predictions, references)}

    def _compute(self, ranks: np.ndarray, *, k: int | Sequence[int] = (1, 5)) -> dict[str, Any]:
        return {f"top_{n}_error": top_k_error(ranks, n) for n in as_whole_numbers(k, "k", 1)}
