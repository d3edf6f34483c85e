"""``compute_metrics`` of a Trainer: batch by batch, keeping a few numbers a sample in place of the logits.

For ordered classes, classes without an order, and classes that are bins of a real-valued score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .accuracy import mean_absolute_error, ranks_of_truth, top_k_error, within
from .calibration import negative_log_likelihood, reliability
from .correlation import correlation, expected_score
from .emd import squared_emd
from .inputs import (
    as_array,
    as_class_weights,
    as_labels_or_distributions,
    as_likeliest_labels,
    as_reals,
    as_scores,
    as_whole_numbers,
    check_lengths,
    softmax,
)

_ENTRIES = 2**22  # logits that are worked on at a time: 34 MB in float64
_TOLERANCE = 1e-5  # of true scores as labels, which pass through float32

Samples = dict[str, np.ndarray]  # what the metrics need of each sample, (N,) each


class TrainerMetrics:
    """Reduces each batch to ``samples(logits, labels)``, and all of them to ``summary(samples, num_outputs)``."""

    def __init__(
        self, samples: Callable[[np.ndarray, Any], Samples], summary: Callable[[Samples, int], dict[str, float]]
    ) -> None:
        self.samples = samples
        self.summary = summary
        self._batches: list[Samples] = []

    def restart(self) -> None:
        """Discards what an evaluation that was interrupted between two batches left; `EMDTrainer` calls it."""
        self._batches.clear()

    def check_outputs(self, num_outputs: int) -> None:
        """Raises what an evaluation of a network with so many outputs would; `EMDTrainer` calls it before training."""
        self.samples(np.zeros((1, num_outputs)), np.zeros(1, np.int64))

    def __call__(self, evaluation: Any, compute_result: bool | None = None) -> dict[str, float]:
        """The metrics of an evaluation, or of its batches: empty before the last, for which ``compute_result`` is true.

        Its predictions are the logits, or a tuple that begins with them.
        """
        parts = [(evaluation.predictions, evaluation.label_ids)]
        if compute_result is None:
            self.restart()
            parts = _in_parts(*parts[0])
        try:
            for logits, labels in parts:
                logits = as_array(logits[0] if isinstance(logits, tuple) else logits, "logits")
                self._batches.append(self.samples(logits, labels))
        except ValueError:
            self.restart()  # this evaluation is over
            raise
        if compute_result is not None and not compute_result:
            return {}
        samples = {name: np.concatenate([batch[name] for batch in self._batches]) for name in self._batches[0]}
        self.restart()
        return self.summary(samples, logits.shape[-1])


def ordinal_metrics(
    *,
    class_names: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    class_weights: str | Sequence[float] | None = None,
) -> Callable[..., dict[str, float]]:
    """A ``compute_metrics`` for a Trainer on ordered classes.

    ``EMDTrainer``, and a Trainer with ``batch_eval_metrics=True`` among its arguments, call it batch by batch: it keeps
    a few numbers a sample, not the logits.

    Args:
        class_names: names of the K classes in order; needed only for a regression network (one output), whose
            prediction is the nearest class index, clamped to 0 .. K-1. A classifier must have as many outputs.
        scores: (K,) value of each class; adds ``spearman`` of the expected score against the labels' scores.
        class_weights: (K,) how much a sample of each true class counts in all but ``spearman``, or ``"balanced"``: each
            class that occurs weighs the same. Of soft labels the largest share says the class. Default: all alike.

    Returns:
        A function of an ``EvalPrediction`` that gives ``aem``, ``aeo`` (fractions), ``mae`` (classes),
        ``squared_emd``; of a classifier ``nll`` (:func:`negative_log_likelihood`) and ``ece``, the
        :func:`expected_calibration_error` with 15 bins; and, with ``scores``, ``spearman``. It raises
        ``ValueError`` where logits are not finite or labels do not fit them.

    >>> from types import SimpleNamespace
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    >>> ordinal_metrics()(SimpleNamespace(predictions=logits, label_ids=np.array([0, 1])))["aem"]
    0.5
    """

    def samples(logits: np.ndarray, references: Any) -> Samples:
        probabilities = _probabilities(logits, class_names)
        references = as_labels_or_distributions(references, probabilities.shape[1])
        check_lengths(probabilities, references)
        is_soft = references.ndim == 2
        found = {
            "predicted": probabilities.argmax(1),
            "true": references.argmax(1) if is_soft else references,
            "squared_emd": squared_emd(probabilities, references, reduction="none"),
        }
        if not _is_regression(logits):  # which gives no probabilities
            found["confidence"] = probabilities.max(1)
            found["nll"] = negative_log_likelihood(probabilities, references, reduction="none")
        if scores is not None:
            found["expected_score"] = expected_score(probabilities, np.asarray(scores))
            found["true_score"] = expected_score(references, scores) if is_soft else np.asarray(scores)[references]
        return found

    def summary(samples: Samples, num_outputs: int) -> dict[str, float]:
        predicted, true = samples["predicted"], samples["true"]
        weights = as_class_weights(class_weights, np.bincount(true))[true]  # (N,)
        metrics = {
            "aem": within(predicted, true, sample_weight=weights),
            "aeo": within(predicted, true, tolerance=1, sample_weight=weights),
            "mae": mean_absolute_error(predicted, true, sample_weight=weights),
            "squared_emd": float(np.average(samples["squared_emd"], weights=weights)),
        }
        if "nll" in samples:
            metrics["nll"] = float(np.average(samples["nll"], weights=weights))
            hits = predicted == true
            metrics["ece"] = reliability(samples["confidence"], hits, sample_weight=weights).error
        if scores is not None:
            metrics["spearman"] = correlation(samples["expected_score"], samples["true_score"])
        return metrics

    return TrainerMetrics(samples, summary)


def top_k_metrics(ks: Sequence[int] = (1, 5)) -> Callable[..., dict[str, float]]:
    """A ``compute_metrics`` for a Trainer on classes without an order (Hou et al. 2016, Table 5).

    It works batch by batch, as :func:`ordinal_metrics`, and keeps one number a sample.

    Args:
        ks: how many classes may be named. One that is not less than K is left out: its error is 0 whatever the network
            does.

    Returns:
        A function of an ``EvalPrediction`` that gives ``top_<k>_error``, a fraction, for each k. Soft labels count as
        their likeliest class. It raises ``ValueError`` where logits are not finite, labels do not fit them, or no k is
        left.

    Raises:
        ValueError: a k is no whole number, or less than 1.

    >>> from types import SimpleNamespace
    >>> logits = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    >>> top_k_metrics((1, 2, 5))(SimpleNamespace(predictions=logits, label_ids=np.array([1, 2])))
    {'top_1_error': 1.0, 'top_2_error': 0.5}
    """
    ks = as_whole_numbers(ks, "ks", 1)

    def samples(logits: np.ndarray, references: Any) -> Samples:
        logits = as_scores(logits, "logits")
        num_classes = logits.shape[1]
        if min(ks) >= num_classes:
            raise ValueError(f"ks needs a number below that of the classes, {num_classes}; got {ks}.")
        labels = as_likeliest_labels(references, num_classes)
        return {"ranks": ranks_of_truth(logits, labels)}

    def summary(samples: Samples, num_outputs: int) -> dict[str, float]:
        return {f"top_{k}_error": top_k_error(samples["ranks"], k) for k in ks if k < num_outputs}

    return TrainerMetrics(samples, summary)


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
        self._edges = bins.edges if self._has_training_bins else self._means[:-1] / 2 + self._means[1:] / 2  # (K-1,)
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
        one_output = _is_regression(outputs)
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


def _in_parts(logits: Any, labels: Any) -> list[tuple[Any, Any]]:
    """An evaluation in order, a part at a time: all at once would take several copies in float64."""
    if isinstance(logits, list) and isinstance(labels, list):  # of batches, with eval_do_concat_batches=False
        return list(zip(logits, labels, strict=True))
    logits = logits[0] if isinstance(logits, tuple) else logits
    shape = getattr(logits, "shape", ())
    if len(shape) != 2 or 0 in shape or getattr(labels, "shape", ())[:1] != shape[:1]:
        return [(logits, labels)]  # refused as a whole
    rows = max(_ENTRIES // shape[1], 1)
    return [(logits[i : i + rows], labels[i : i + rows]) for i in range(0, len(logits), rows)]


def _is_regression(outputs: np.ndarray) -> bool:
    """Whether they are those of a network with one output."""
    return outputs.ndim == 1 or outputs.shape[1:] == (1,)


def _probabilities(logits: np.ndarray, class_names: Sequence[str] | None) -> np.ndarray:
    """(N, K) softmax of a classifier's logits; of a regression's outputs all of the mass on the nearest class."""
    if _is_regression(logits):
        if not class_names:
            raise ValueError("a network with one output needs ordinal_metrics(class_names=...) to know its classes.")
        nearest = np.rint(as_reals(logits.reshape(-1), "outputs")).clip(0, len(class_names) - 1).astype(int)
        return np.eye(len(class_names))[nearest]
    probabilities = softmax(as_scores(logits, "logits"))
    if class_names is not None and len(class_names) != probabilities.shape[1]:
        raise ValueError(
            f"class_names must name the {probabilities.shape[1]} outputs of the network, got {len(class_names)}."
        )
    return probabilities


def _check_labels(labels: np.ndarray, expected: np.ndarray) -> None:
    """Raises where the labels of the evaluation show that it has other samples, or another order."""
    same = labels.shape == expected.shape
    wrong = np.flatnonzero(~np.isclose(labels, expected, rtol=_TOLERANCE, atol=_TOLERANCE)) if same else np.array([0])
    if len(wrong):
        k = int(wrong[0])
        came = f"label {k} is {labels[k]:.6g}, required is {expected[k]:.6g}" if same else f"got shape {labels.shape}"
        raise ValueError(
            "the labels of an evaluation must be those of true_scores, in their order: the bin of each for a "
            f"classifier, the score itself for a network with one output; {came}. "
            "Evaluate the very data that true_scores are of."
        )
