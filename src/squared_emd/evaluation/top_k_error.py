"""Share of samples whose true class is not among the likeliest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np

from ..metrics.inputs import as_likeliest_labels, as_scores, as_whole_numbers
from ..metrics.top_k import ranks_of_truth, top_k_error
from .batch_metric import BatchMetric, metric_info
from .tables import Columns


class TopKError(BatchMetric):
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

    def _info(self) -> evaluate.MetricInfo:
        rows, labels = datasets.List(datasets.Value("float64")), datasets.Value("int64")
        return metric_info(
            self,
            datasets.Features({"predictions": rows, "references": labels}),
            datasets.Features({"predictions": rows, "references": rows}),
        )

    def _reduce(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns:
        predictions = as_scores(predictions, "predictions")
        references = as_likeliest_labels(references, predictions.shape[1])
        counts = np.bincount(ranks_of_truth(predictions, references))
        return {"ranks": np.flatnonzero(counts), "counts": counts[counts > 0]}

    def _compute(self, tables: Iterator[Columns], *, k: int | Sequence[int] = (1, 5)) -> dict[str, Any]:
        several = as_whole_numbers(k, "k", 1)
        counts = np.zeros(0)  # of each rank
        for table in tables:
            counts = np.pad(counts, (0, max(0, 1 + table["ranks"][-1] - len(counts))))
            counts[table["ranks"]] += table["counts"]
        return {f"top_{n}_error": top_k_error(np.arange(len(counts)), n, sample_weight=counts) for n in several}
