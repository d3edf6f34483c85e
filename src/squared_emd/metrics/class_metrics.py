"""``compute_metrics`` of a Trainer on classes without an order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import ranks_of_truth, top_k_error
from .inputs import as_labels_or_distributions, as_scores, as_whole_numbers
from .ordinal_metrics import in_parts

__all__ = ["top_k_metrics"]


def top_k_metrics(ks: Sequence[int] = (1, 5)) -> Callable[..., dict[str, float]]:
    """A ``compute_metrics`` for a Trainer on classes without an order (Hou et al. 2016, Table 5).

    ``EMDTrainer``, and a Trainer with ``batch_eval_metrics=True`` among its arguments, call it batch by batch: it keeps
    one number a sample, not the logits. What an evaluation that was interrupted between two batches left is forgotten
    by its ``restart()``, which ``EMDTrainer`` calls.

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
    batches: list[np.ndarray] = []

    def compute_metrics(evaluation: Any, compute_result: bool | None = None) -> dict[str, float]:
        if compute_result is None and (parts := in_parts(evaluation)):
            batches.clear()
            return [compute_metrics(part, part is parts[-1]) for part in parts][-1]
        try:
            logits = evaluation.predictions
            logits = as_scores(logits[0] if isinstance(logits, tuple) else logits, "logits")
            num_classes = logits.shape[1]
            fitting = [k for k in ks if k < num_classes]
            if not fitting:
                raise ValueError(f"ks needs a number below that of the classes, {num_classes}; got {ks}.")
            labels = as_labels_or_distributions(evaluation.label_ids, num_classes)
            ranks = ranks_of_truth(logits, labels.argmax(1) if labels.ndim == 2 else labels)  # (N,)
        except ValueError:
            batches.clear()  # this evaluation is over
            raise
        if compute_result is not None:
            batches.append(ranks)
            if not compute_result:
                return {}
            ranks = np.concatenate(batches)
            batches.clear()
        return {f"top_{k}_error": top_k_error(ranks, k) for k in fitting}

    compute_metrics.restart = batches.clear
    return compute_metrics
