"""Losses under a ground distance: the exact EMD and the self-guided regulariser (Hou et al. 2016, Eq. 14 and 16)."""

from __future__ import annotations

import torch
from torch import Tensor

from .baselines import cross_entropy_loss
from .inputs import accurate, check, reduce


def exact_emd_loss(logits: Tensor, labels: Tensor, ground_distance: Tensor, *, reduction: str = "mean") -> Tensor:
    """Exact EMD between the softmax of ``logits`` and a single class, under any ground distance.

    ``sum_i p_i D[i, k]`` (Hou et al. 2016, Eq. 14). For (B, K) targets it is the expectation of that over the target,
    to which a one-hot row reduces it.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]])
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> exact_emd_loss(logits, torch.tensor([0]), ground_distance)  # 0.25 * 1 + 0.25 * 4
    tensor(1.2500)
    """
    labels = check(logits, labels, reduction, ground_distance)
    probabilities = accurate(logits).softmax(-1)
    cost = cost_by_label(labels, ground_distance.to(probabilities))  # (B, K)
    return reduce((probabilities * cost).sum(-1), reduction)


def self_guided_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    weight: float | Tensor,
    omega: float,
    mu: float,
    true_class_cost: float | None = None,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy plus the squared EMD regulariser under a learned ground distance.

    ``-log(p_k + eps) + weight * sum_i p_i^2 (D[i, k]^omega + mu)`` (Hou et al. 2016, Eq. 16; eps: section 4.1).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1 (then the expectation).
        ground_distance: (K, K) D with entries in [0, 1] and a zero diagonal (Eq. 13).
        weight: lambda, the weight of the regulariser.
        omega: power of D; 1 is XEMD1, 2 is XEMD2.
        mu: bias, negative so that classes near the true one are rewarded: -0.5 for XEMD1, -0.25 for XEMD2.
        true_class_cost: if given (not in the paper), the true class contributes ``true_class_cost * (1 - p_k)^2`` in
            place of ``mu * p_k^2``.
        eps: added to the probabilities inside the logarithm.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``. It can be negative: the regulariser rewards.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> logits = torch.zeros(1, 2)  # p = (1/2, 1/2): log 2 + 2 * (1/4 * (-1/4) + 1/4 * (1 - 1/4))
    >>> self_guided_loss(logits, torch.tensor([0]), ground_distance, weight=2, omega=2, mu=-0.25, eps=0)
    tensor(0.9431)
    """
    labels = check(logits, labels, reduction, ground_distance)
    logits = accurate(logits)  # once: the gradients of both terms are added before they are rounded
    cost = ground_distance_cost(ground_distance.to(logits), omega=omega, mu=mu)
    entropy = cross_entropy_loss(logits, labels, eps=eps, reduction="none")
    regularizer = self_guided_regularizer(logits, labels, cost, true_class_cost=true_class_cost, reduction="none")
    return reduce(entropy + weight * regularizer, reduction)


def ground_distance_cost(ground_distance: Tensor, *, omega: float, mu: float, known: Tensor | None = None) -> Tensor:
    """The (K, K) cost ``D^omega + mu`` of Eq. 16.

    Args:
        ground_distance: (K, K) D.
        omega: power of D.
        mu: bias.
        known: (K,) bool; the rows and columns of the other classes cost 0: neither push nor reward. Default: a class
            whose distances are all 0 was never seen, unless all of D is 0.

    Returns:
        (K, K), dtype and device of ``ground_distance``.
    """
    if known is None:
        known = (ground_distance != 0).any(0)
        known = known | ~known.any()
    return (ground_distance.pow(omega) + mu) * known.outer(known)


def self_guided_regularizer(
    logits: Tensor,
    labels: Tensor,
    cost: Tensor,
    *,
    true_class_cost: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The regulariser of Eq. 16 without its weight: ``sum_i p_i^2 cost[i, k]``.

    Args:
        logits: (B, K) scores.
        labels: (B,) class indices, or (B, K) target distributions (then the expectation).
        cost: (K, K) as :func:`ground_distance_cost` gives it.
        true_class_cost: as in :func:`self_guided_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> self_guided_regularizer(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[-0.25, 0.75], [0.75, -0.25]]))
    tensor(0.1250)
    """
    labels = check(logits, labels, reduction, cost)
    probabilities = accurate(logits).softmax(-1)
    cost = cost.to(probabilities)
    cost_of_labels = cost_by_label(labels, cost)  # (B, K)
    if true_class_cost is None:
        return reduce((probabilities.square() * cost_of_labels).sum(-1), reduction)
    # The true class leaves the sum and comes back as true_class_cost * (1 - p_k)^2.
    if labels.dim() == 1:
        cost_of_labels = cost_of_labels.scatter(1, labels[:, None], 0)
        miss = (1 - probabilities.gather(1, labels[:, None])).square().squeeze(1)  # (B,)
    else:
        labels = labels.to(probabilities)
        cost_of_labels = cost_of_labels - labels * cost.diagonal()
        miss = (labels * (1 - probabilities).square()).sum(-1)  # (B,)
    return reduce((probabilities.square() * cost_of_labels).sum(-1) + true_class_cost * miss, reduction)


def cost_by_label(labels: Tensor, cost: Tensor) -> Tensor:
    """(B, K) rows ``cost[:, k]``; a cost stored by columns (``matrix.T`` of a contiguous matrix) is read row by row."""
    if labels.dim() == 1:
        return cost.T[labels]
    with torch.autocast(cost.device.type, enabled=False):
        return labels.to(cost) @ cost.T
