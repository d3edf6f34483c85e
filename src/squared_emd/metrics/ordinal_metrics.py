"""``compute_metrics`` of a Trainer on ordered classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .accuracy import mean_absolute_error, within
from .correlation import correlation, expected_score
from .emd import squared_emd
from .inputs import as_array, as_class_weights, as_labels_or_distributions, as_reals, as_scores, check_lengths, softmax

_ENTRIES = 2**22  # logits that are worked on at a time: 34 MB in float64


def ordinal_metrics(
    *,
    class_names: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
    class_weights: str | Sequence[float] | None = None,
) -> Callable[..., dict[str, float]]:
    """A ``compute_metrics`` for a Trainer on ordered classes.

    ``EMDTrainer``, and a Trainer with ``batch_eval_metrics=True`` among its arguments, call it batch by batch: it keeps
    five numbers a sample, not the logits. What an evaluation that was interrupted between two batches left is
    forgotten by its ``restart()``, which ``EMDTrainer`` calls.

    Args:
        class_names: names of the K classes in order; needed only for a regression network (one output), whose
            prediction is the nearest class index, clamped to 0 .. K-1. A classifier must have as many outputs.
        scores: (K,) value of each class; adds ``spearman`` of the expected score against the labels' scores.
        class_weights: (K,) how much a sample of each true class counts in all but ``spearman``, or ``"balanced"``: each
            class that occurs weighs the same. Of soft labels the largest share says the class. Default: all alike.

    Returns:
        A function of an ``EvalPrediction`` that gives ``aem``, ``aeo`` (fractions), ``mae`` (classes),
        ``squared_emd`` and, with ``scores``, ``spearman``. It raises ``ValueError`` where logits are not finite or
        labels do not fit them.

    >>> from types import SimpleNamespace
    >>> logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    >>> ordinal_metrics()(SimpleNamespace(predictions=logits, label_ids=np.array([0, 1])))["aem"]
    0.5
    """
    batches: list[dict[str, np.ndarray]] = []

    def compute_metrics(evaluation: Any, compute_result: bool | None = None) -> dict[str, float]:
        if compute_result is None and (parts := in_parts(evaluation)):
            batches.clear()
            return [compute_metrics(part, part is parts[-1]) for part in parts][-1]
        try:
            samples = _samples(evaluation.predictions, evaluation.label_ids, class_names, scores)
        except ValueError:
            batches.clear()  # this evaluation is over
            raise
        if compute_result is None:
            return _summary(samples, class_weights)
        batches.append(samples)
        if not compute_result:
            return {}
        samples = {name: np.concatenate([batch[name] for batch in batches]) for name in samples}
        batches.clear()
        return _summary(samples, class_weights)

    compute_metrics.restart = batches.clear
    return compute_metrics


def in_parts(evaluation: Any) -> list[SimpleNamespace]:
    """A large evaluation in parts, to be given one after the other; all at once takes several copies in float64.

    Args:
        evaluation: with ``predictions`` (N, K), or a tuple that begins with them, and ``label_ids`` (N, ...).

    Returns:
        Parts that are views, in order; none where the evaluation is small, or is to be refused as a whole.
    """
    logits, labels = evaluation.predictions, evaluation.label_ids
    logits = logits[0] if isinstance(logits, tuple) else logits
    shape = getattr(logits, "shape", ())
    fits = len(shape) == 2 and getattr(labels, "shape", ())[:1] == shape[:1]
    if not fits or shape[0] * shape[1] <= _ENTRIES:
        return []
    rows = max(_ENTRIES // shape[1], 1)
    starts = range(0, len(logits), rows)
    return [SimpleNamespace(predictions=logits[i : i + rows], label_ids=labels[i : i + rows]) for i in starts]


def _samples(
    logits: Any, references: Any, class_names: Sequence[str] | None, scores: Sequence[float] | None
) -> dict[str, np.ndarray]:
    """What the metrics need to know of each sample."""
    logits = as_array(logits[0] if isinstance(logits, tuple) else logits, "logits")
    if logits.ndim == 1 or logits.shape[1:] == (1,):
        if not class_names:
            raise ValueError("a network with one output needs ordinal_metrics(class_names=...) to know its classes.")
        nearest = np.rint(as_reals(logits.reshape(-1), "outputs")).clip(0, len(class_names) - 1).astype(int)
        probabilities = np.eye(len(class_names))[nearest]  # (N, K)
    else:
        probabilities = softmax(as_scores(logits, "logits"))
        if class_names is not None and len(class_names) != probabilities.shape[1]:
            raise ValueError(
                f"class_names must name the {probabilities.shape[1]} outputs of the network, got {len(class_names)}."
            )
    references = as_labels_or_distributions(references, probabilities.shape[1])
    check_lengths(probabilities, references)
    soft = references.ndim == 2
    samples = {
        "predicted": probabilities.argmax(1),
        "true": references.argmax(1) if soft else references,
        "squared_emd": squared_emd(probabilities, references, reduction="none"),
    }
    if scores is not None:
        samples["expected_score"] = expected_score(probabilities, np.asarray(scores))
        samples["true_score"] = expected_score(references, scores) if soft else np.asarray(scores)[references]
    return samples


def _summary(samples: dict[str, np.ndarray], class_weights: str | Sequence[float] | None = None) -> dict[str, float]:
    predicted, true, weights = samples["predicted"], samples["true"], None
    if class_weights is not None:
        weights = as_class_weights(class_weights, np.bincount(true))[true]  # (N,)
    metrics = {
        "aem": within(predicted, true, sample_weight=weights),
        "aeo": within(predicted, true, tolerance=1, sample_weight=weights),
        "mae": mean_absolute_error(predicted, true, sample_weight=weights),
        "squared_emd": float(np.average(samples["squared_emd"], weights=weights)),
    }
    if "true_score" in samples:
        metrics["spearman"] = correlation(samples["expected_score"], samples["true_score"])
    return metrics
