"""`compute_metrics` of a Trainer whose classes are bins of a real-valued score (Hou et al. 2016, section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .correlation import correlation, expected_score
from .inputs import as_array, as_reals, as_scores, softmax
from .trainer_metrics import Samples, TrainerMetrics, is_regression, ordinal_metrics

__all__ = ["ScoreMetrics"]

TOLERANCE = 1e-5  # labels pass through float32


class ScoreMetrics(TrainerMetrics):
    """A `compute_metrics` for a Trainer: how well a network orders the samples by their real-valued scores.

    A classifier predicts the expected score `sum_i p_i s_i` of its bins, with `s_i` the mean training score of bin i;
    a network with one output predicts the score itself. Every rank may call it. `EMDTrainer`, and a Trainer with
    `batch_eval_metrics=True` among its arguments, call it batch by batch: it keeps a few numbers a sample, not the
    logits.

    The result has `spearman`, the rank correlation with the true scores, and `score_mae`, the mean absolute error in
    their unit. Beside them stand `aem`, `aeo`, `mae` and `squared_emd` as `ordinal_metrics` has them, for a classifier
    from its distributions and labels, for a network with one output from the bins of its prediction and of the true
    score.

    Args:
        true_scores: (N,) scores of the evaluation data, in their order.
        bins: of the K classes, as `squared_emd.data.bins` makes them; or (K,) increasing scores of the classes, between
            which the bins then end halfway.

    Attributes:
        expected_scores: (N,) float64, what the last evaluation predicted; None before the first. The ensemble of Hou et
            al. 2016, Table 4, averages those of eight networks, trained on 3 to 10 bins.

    Raises:
        ValueError: `true_scores` are not finite; the scores of the classes do not increase. Called, it raises where
            there are not as many predictions as true scores, the network has other outputs, an output is not finite,
            or the labels are not those of the true scores.

    >>> from types import SimpleNamespace
    >>> metrics = ScoreMetrics([0.1, 0.9, 0.4], [0, 0.5, 1])
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])
    >>> round(metrics(SimpleNamespace(predictions=logits, label_ids=np.array([0, 2, 1])))["spearman"], 6)
    1.0
    >>> metrics.expected_scores
    array([0.375, 0.85 , 0.5  ])
    """

    expected_scores: np.ndarray | None = None

    def __init__(self, true_scores: Sequence[float] | np.ndarray, bins: Any) -> None:
        self.true_scores = as_reals(true_scores, "true_scores")
        self._has_training_bins = hasattr(bins, "edges")  # else the labels may be of another source
        self._means = bins.means if self._has_training_bins else as_reals(bins, "class_scores")  # (K,)
        if len(self._means) < 2 or not (self._means[1:] > self._means[:-1]).all():
            raise ValueError(f"class_scores must be at least two increasing scores, got {self._means.tolist()}.")
        halfway = self._means[:-1] / 2 + self._means[1:] / 2
        self._edges = bins.edges if self._has_training_bins else halfway  # (K-1,)
        self._ordinal = ordinal_metrics(class_names=[str(k) for k in range(len(self._means))])
        super().__init__(self._of_batch, self._of_all)

    def check_outputs(self, num_outputs: int) -> None:
        """Raises where a network with so many outputs cannot be evaluated; `EMDTrainer` calls it before training."""
        if num_outputs not in (1, len(self._means)):
            raise ValueError(
                f"a network needs one output, or one for each of the {len(self._means)} bins; got {num_outputs}. "
                "Give ScoreMetrics the bins that the network was trained on."
            )

    def _of_batch(self, outputs: np.ndarray, labels: Any) -> Samples:
        labels = as_array(labels, "label_ids")
        one_output = is_regression(outputs)
        if one_output:
            scores = as_reals(outputs.reshape(-1), "outputs")  # (B,)
        else:
            logits = as_scores(outputs, "logits")
            self.check_outputs(logits.shape[1])
            scores = expected_score(softmax(logits), self._means)  # (B,)
        start = sum(len(batch["score"]) for batch in self._batches)
        true_scores = self.true_scores[start : start + len(scores)]  # (B,)
        if len(true_scores) < max(len(scores), 1):
            self._raise_other_length(start + len(scores))
        true_bins = self.bins_of(true_scores)
        if one_output:
            _check_labels(labels.reshape(-1), true_scores)
            outputs, labels = self.bins_of(scores).astype(np.float64), true_bins
        elif self._has_training_bins and labels.ndim == 1:
            _check_labels(labels, true_bins)
        return {"score": scores, **self._ordinal.samples(outputs, labels)}

    def _of_all(self, samples: Samples, num_outputs: int) -> dict[str, float]:
        scores = samples["score"]  # (N,)
        if len(scores) < len(self.true_scores):
            self._raise_other_length(len(scores))
        self.expected_scores = scores
        return {
            "spearman": correlation(scores, self.true_scores),
            "score_mae": float(np.abs(scores - self.true_scores).mean()),
            **self._ordinal.summary(samples, num_outputs),
        }

    def bins_of(self, scores: np.ndarray) -> np.ndarray:
        """(N,) the bin of each score; one that equals an edge is above it."""
        return np.searchsorted(self._edges, scores, side="right")

    def _raise_other_length(self, count: int) -> None:
        raise ValueError(
            f"one prediction for each of the {len(self.true_scores)} true_scores is required, got {count}. "
            "Evaluate the very data that true_scores are of."
        )


def _check_labels(labels: np.ndarray, expected: np.ndarray) -> None:
    """Raises where the labels of the evaluation show that it has other samples, or another order."""
    same = labels.shape == expected.shape
    wrong = np.flatnonzero(~np.isclose(labels, expected, rtol=TOLERANCE, atol=TOLERANCE)) if same else np.array([0])
    if len(wrong):
        k = int(wrong[0])
        came = f"label {k} is {labels[k]:.6g}, required is {expected[k]:.6g}" if same else f"got shape {labels.shape}"
        raise ValueError(
            "the labels of an evaluation must be those of true_scores, in their order: the bin of each for a "
            f"classifier, the score itself for a network with one output; {came}. "
            "Evaluate the very data that true_scores are of."
        )
