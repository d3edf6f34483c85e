"""From class probabilities (and D, or class scores) to a class or a score."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["decode"]

RULES = ("argmax", "median", "expected", "min_distance")


def decode(
    probabilities: Tensor | np.ndarray,
    rule: str = "argmax",
    *,
    ground_distance: Tensor | np.ndarray | None = None,
    scores: Tensor | np.ndarray | None = None,
) -> Tensor | np.ndarray:
    """One decision a sample from its distribution over the classes.

    ``argmax``: the likeliest class. ``median``: the first class at which the cumulative probability reaches 1/2.
    ``expected``: ``sum_i p_i s_i`` (the expected score of Hou et al. 2016, section 4.6). ``min_distance``: the class
    with the least expected ground distance, ``argmin_j sum_i p_i D[i, j]``, among those that D knows: a class whose
    distances are all 0 was never seen in training.

    Args:
        probabilities: (B, K) rows that sum to 1 (not logits), a tensor or an array.
        rule: ``"argmax"``, ``"median"``, ``"expected"`` or ``"min_distance"``.
        ground_distance: (K, K) D, for ``"min_distance"``.
        scores: (K,) value of each class, for ``"expected"``; default: the class indices 0 .. K-1.

    Returns:
        (B,) class indices (int64), or (B,) expected scores for ``"expected"``; a tensor for a tensor, else an array.

    Raises:
        ValueError: an unknown rule, rows that are no distribution, or a D or scores that are missing, do not fit or
            are not finite.

    >>> decode(np.array([[0.4, 0.25, 0.35]]), "argmax"), decode(np.array([[0.4, 0.25, 0.35]]), "median")
    (array([0]), array([1]))
    >>> decode(np.array([[0.5, 0.0, 0.5]]), "expected", scores=np.array([1.0, 5.0, 10.0]))
    array([5.5])
    """
    if not isinstance(probabilities, Tensor):
        # float64 first: as_tensor would keep half precision and read-only arrays
        decided = decode(
            torch.tensor(np.asarray(probabilities, dtype=np.float64)),
            rule,
            ground_distance=ground_distance,
            scores=scores,
        )
        return decided.numpy()
    _check(probabilities, rule)
    probabilities = probabilities.double()
    num_classes = probabilities.shape[1]
    if rule == "argmax":
        return probabilities.argmax(-1)
    if rule == "median":
        reached = probabilities.cumsum(-1) >= 0.5 - 1e-9  # a tie such as (0.5, 0.5) goes to the first class
        return reached.int().argmax(-1)
    if rule == "expected":
        scores = torch.arange(num_classes) if scores is None else scores
        scores = torch.as_tensor(scores).to(probabilities)
        if scores.shape != (num_classes,):
            raise ValueError(f"scores must be ({num_classes},), one a class, got shape {tuple(scores.shape)}.")
        if not scores.isfinite().all():
            raise ValueError(f"scores must be finite, got {scores.tolist()}.")
        return probabilities @ scores
    if ground_distance is None:
        raise ValueError('rule "min_distance" needs ground_distance, the (K, K) matrix of the checkpoint\'s config.')
    ground_distance = torch.as_tensor(ground_distance).to(probabilities)
    if ground_distance.shape != (num_classes, num_classes):
        raise ValueError(
            f"ground_distance must be ({num_classes}, {num_classes}), got shape {tuple(ground_distance.shape)}."
        )
    invalid = ~(ground_distance.isfinite() & (ground_distance >= 0))  # (K, K)
    if invalid.any():
        i, j = invalid.nonzero()[0].tolist()
        raise ValueError(
            f"ground_distance must be finite and not negative; from class {i} to class {j} it is "
            f"{ground_distance[i, j]:g}."
        )
    expected = probabilities @ ground_distance  # (B, K)
    known = (ground_distance != 0).any(0)
    if known.any():  # a class that training never saw has a D of 0 to all others, which says nothing
        expected = expected.masked_fill(~known, torch.inf)
    return expected.argmin(-1)


def _check(probabilities: Tensor, rule: str) -> None:
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
    if probabilities.dim() != 2 or probabilities.shape[1] == 0:
        raise ValueError(f"probabilities must be (B, K), got shape {tuple(probabilities.shape)}.")
    sums = probabilities.sum(-1, dtype=torch.float64)
    if not ((probabilities >= 0).all() and ((sums - 1).abs() <= 1e-2).all()):
        raise ValueError(
            "each row of probabilities must be a distribution (no negative entry, sum 1); "
            "apply softmax to logits first."
        )
