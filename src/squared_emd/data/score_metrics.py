"""`compute_metrics` of a Trainer whose classes are bins of a real-valued score (Hou et al. 2016, section 4.6)."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import softmax

from ..metrics import correlation, expected_score, ordinal_metrics
from ..metrics.inputs import as_array, as_reals, as_scores
from ..metrics.trainer_metrics import in_parts
from .bins import ScoreBins

__all__ = ["ScoreMetrics", "ensemble_spearman"]

TOLERANCE = 1e-5  # labels pass through float32


class ScoreMetrics:
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
        bins: of the K classes; or (K,) increasing scores of the classes, between which the bins then end halfway.

    Attributes:
        expected_scores: (N,) float64, what the last evaluation predicted; None before the first. `ensemble_spearman`
            takes those of several networks.

    Raises:
        ValueError: `true_scores` are not finite; the scores of the classes do not increase. Called, it raises where
            there are not as many predictions as true scores, the network has other outputs, an output is not finite,
            or the labels are not those of the true scores.

    >>> metrics = ScoreMetrics([0.1, 0.9, 0.4], ScoreBins([0.3, 0.6], [0, 0.5, 1], ["low", "middle", "high"]))
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])
    >>> round(metrics(SimpleNamespace(predictions=logits, label_ids=np.array([0, 2, 1])))["spearman"], 6)
    1.0
    >>> metrics.expected_scores
    array([0.375, 0.85 , 0.5  ])
    """

    expected_scores: np.ndarray | None = None

    def __init__(self, true_scores: Sequence[float] | np.ndarray, bins: ScoreBins | Sequence[float] | np.ndarray):
        self.true_scores = as_reals(true_scores, "true_scores")
        self.has_training_bins = isinstance(bins, ScoreBins)  # else the labels may be of another source
        self.bins = bins if self.has_training_bins else _bins_between(as_reals(bins, "class_scores"))
        self.restart()

    def restart(self) -> None:
        """Forget what an evaluation that was interrupted between two batches left; `EMDTrainer` calls it."""
        self._ordinal = ordinal_metrics(class_names=self.bins.names)
        self._batches: list[np.ndarray] = []

    def check_outputs(self, num_outputs: int) -> None:
        """Raises where a network with so many outputs cannot be evaluated; `EMDTrainer` calls it before training."""
        if num_outputs not in (1, len(self.bins)):
            raise ValueError(
                f"a network needs one output, or one for each of the {len(self.bins)} bins; got {num_outputs}. "
                "Give ScoreMetrics the bins that the network was trained on."
            )

    def __call__(self, evaluation: Any, compute_result: bool | None = None) -> dict[str, float]:
        """Gives the metrics of an evaluation.

        Args:
            evaluation: `EvalPrediction`, or anything with `predictions` (N, K), (N, 1) or (N,) and `label_ids`: the
                bins (N,) or distributions (N, K) for a classifier, the scores (N,) for a network with one output.
            compute_result: None where it is the whole evaluation, else whether the last batch has come.

        Returns:
            Name -> value; empty before the last batch.
        """
        if compute_result is None and (parts := in_parts(evaluation)):
            self.restart()
            return [self(part, part is parts[-1]) for part in parts][-1]
        try:
            ordinal = self._add(evaluation, compute_result)
        except ValueError:
            self.restart()  # this evaluation is over
            raise
        if compute_result is False:
            return {}
        self.expected_scores = np.concatenate(self._batches)  # (N,)
        self.restart()
        return {
            "spearman": correlation(self.expected_scores, self.true_scores),
            "score_mae": float(np.abs(self.expected_scores - self.true_scores).mean()),
            **ordinal,
        }

    def _add(self, evaluation: Any, compute_result: bool | None) -> dict[str, float]:
        """Keeps the predicted scores of a batch, and gives what `ordinal_metrics` gives."""
        outputs = evaluation.predictions
        outputs = as_array(outputs[0] if isinstance(outputs, tuple) else outputs, "logits")
        labels = as_array(evaluation.label_ids, "label_ids")
        one_output = outputs.ndim == 1 or outputs.shape[1:] == (1,)
        if one_output:
            scores = as_reals(outputs.reshape(-1), "outputs")  # (B,)
        else:
            logits = as_scores(outputs, "logits")
            self.check_outputs(logits.shape[1])
            scores = expected_score(softmax(logits, axis=1), self.bins.means)  # (B,)
        true_scores = self._true_scores(len(scores), compute_result is not False)  # (B,)
        if one_output:
            _check_labels(labels.reshape(-1), true_scores)
            outputs, labels = self.bins.labels(scores).astype(np.float64), self.bins.labels(true_scores)
        elif self.has_training_bins and labels.ndim == 1:
            _check_labels(labels, self.bins.labels(true_scores))
        self._batches.append(scores)
        return self._ordinal(SimpleNamespace(predictions=outputs, label_ids=labels), compute_result)

    def _true_scores(self, num_samples: int, is_last: bool) -> np.ndarray:
        """The true scores of the next samples."""
        start = sum(map(len, self._batches))
        end = start + num_samples
        if end > len(self.true_scores) or (is_last and end < len(self.true_scores)):
            raise ValueError(
                f"one prediction for each of the {len(self.true_scores)} true_scores is required, got {end}. "
                "Evaluate the very data that true_scores are of."
            )
        return self.true_scores[start:end]


def ensemble_spearman(
    expected_scores: Sequence[np.ndarray | Sequence[float]], true_scores: np.ndarray | Sequence[float]
) -> float:
    """Gives the rank correlation of the mean of several networks' scores with the true ones.

    The ensemble of Hou et al. 2016, Table 4, averages the expected scores of eight networks, trained on 3 to 10 bins.

    Args:
        expected_scores: of each network: (N,), in the unit of the true scores, as `ScoreMetrics` keeps them.
        true_scores: (N,).

    Returns:
        Spearman's rho, in [-1, 1]; 0 where either side is constant.

    Raises:
        ValueError: there is no network; one has not as many scores as the others or as there are true ones; a score is
            not finite.

    >>> round(ensemble_spearman([[0.1, 0.5, 0.2], [0.3, 0.1, 0.6]], [1, 2, 3]), 6)  # means 0.2, 0.3, 0.4
    1.0
    """
    networks = [as_reals(scores, f"expected_scores[{i}]") for i, scores in enumerate(expected_scores)]
    true_scores = as_reals(true_scores, "true_scores")
    lengths = [len(scores) for scores in networks]
    if not networks or set(lengths) != {len(true_scores)}:
        raise ValueError(
            f"at least one network is required, each with {len(true_scores)} expected scores like the true ones; "
            f"got {lengths}."
        )
    return correlation(np.mean(networks, axis=0), true_scores)


def _bins_between(class_scores: np.ndarray) -> ScoreBins:
    """Bins that end halfway between the scores of neighbouring classes."""
    if len(class_scores) < 2 or not (class_scores[1:] > class_scores[:-1]).all():
        raise ValueError(f"class_scores must be at least two increasing scores, got {class_scores.tolist()}.")
    edges = class_scores[:-1] / 2 + class_scores[1:] / 2
    return ScoreBins(edges, class_scores, tuple(map(repr, class_scores.tolist())))


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
