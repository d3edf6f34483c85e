"""Losses under a ground distance: the exact EMD and the self-guided regularizer (Hou et al. 2016, Eq. 14 and 16)."""

from __future__ import annotations

import torch
from torch import Tensor

from .baselines import cross_entropy_loss
from .inputs import check_inputs, check_number, upcast_to_float32
from .reduction import reduce_losses


def exact_emd_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Exact EMD between the softmax of ``logits`` and a single class, under any ground distance.

    ``sum_i p_i D[i, k]`` (Hou et al. 2016, Eq. 14); for (B, K) targets its expectation over the target.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``.

    Raises:
        ValueError: shapes, ``class_weights`` or ``reduction`` are not as above; labels are out of range or rows do not
            sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]])
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> exact_emd_loss(logits, torch.tensor([0]), ground_distance)  # 0.25 * 1 + 0.25 * 4
    tensor(1.2500)
    """
    labels = check_inputs(logits, labels, ground_distance)
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    losses = (probabilities * columns_of(ground_distance, labels).to(probabilities)).sum(-1)  # (B,) Eq. 14
    return reduce_losses(losses, reduction, labels, class_weights, logits.shape[1])


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
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy plus the squared EMD regularizer under a learned ground distance.

    ``-log(p_k + eps) + weight * sum_i p_i^2 (D[i, k]^omega + mu)`` (Hou et al. 2016, Eq. 16; eps: section 4.1).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1 (then the expectation).
        ground_distance: (K, K) D with entries in [0, 1] and a zero diagonal (Eq. 13). A class whose distances are all 0
            was never seen and costs nothing.
        weight: lambda, the weight of the regularizer, at least 0.
        omega: power of D, greater than 0; 1 is XEMD1, 2 is XEMD2.
        mu: bias, negative so that classes near the true one are rewarded: -0.5 for XEMD1, -0.25 for XEMD2.
        true_class_cost: if given (not in the paper), the true class contributes ``true_class_cost * (1 - p_k)^2`` in
            place of ``mu * p_k^2``; at least 0.
        eps: added to the probabilities inside the logarithm, at least 0.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``. It can be negative: the regularizer rewards.

    Raises:
        ValueError: shapes, a number, ``class_weights`` or ``reduction`` are not as above; labels are out of range or
            rows do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> logits = torch.zeros(1, 2)  # p = (1/2, 1/2): log 2 + 2 * (1/4 * (-1/4) + 1/4 * (1 - 1/4))
    >>> self_guided_loss(logits, torch.tensor([0]), ground_distance, weight=2, omega=2, mu=-0.25, eps=0)
    tensor(0.9431)
    """
    check_number("weight", weight, least=0)
    _check_parameters(omega, mu, true_class_cost)
    labels = check_inputs(logits, labels, ground_distance)
    logits = upcast_to_float32(logits)  # once: the gradients of both terms are added before they are rounded
    known = known_classes(ground_distance)  # (K,)
    if labels.dim() == 1:  # only the columns of the labels: no further K x K matrix
        distances = columns_of(ground_distance, labels).to(logits)  # (B, K)
        costs, diagonal = (distances.pow(omega) + mu) * (known[labels][:, None] & known), None  # (B, K)
    else:
        cost = ground_distance_cost(ground_distance.to(logits), omega=omega, mu=mu, known=known)  # (K, K)
        costs, diagonal = columns_of(cost, labels), cost.diagonal()  # (B, K), (K,)
    cross_entropy = cross_entropy_loss(logits, labels, eps=eps, reduction="none")  # (B,)
    regularizer = _regularizer(logits.softmax(-1), labels, costs, diagonal, true_class_cost)  # (B,)
    return reduce_losses(cross_entropy + weight * regularizer, reduction, labels, class_weights, logits.shape[1])


def self_guided_regularizer(
    logits: Tensor,
    labels: Tensor,
    cost: Tensor,
    *,
    true_class_cost: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The regularizer of Eq. 16 without its weight, under a cost that was computed before: ``sum_i p_i^2 cost[i, k]``.

    Args:
        logits: (B, K) scores.
        labels: (B,) class indices, or (B, K) target distributions (then the expectation).
        cost: (K, K) of :func:`ground_distance_cost`. Its columns are read: a symmetric matrix is read fastest as
            ``cost.T``.
        true_class_cost: as in :func:`self_guided_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: shapes, ``true_class_cost`` or ``reduction`` are not as above; labels are out of range or rows do
            not sum to 1 (CPU).

    >>> self_guided_regularizer(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[-0.25, 0.75], [0.75, -0.25]]))
    tensor(0.1250)
    """
    _check_parameters(true_class_cost=true_class_cost)
    labels = check_inputs(logits, labels, cost)
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    costs = columns_of(cost, labels).to(probabilities)  # (B, K)
    diagonal = cost.diagonal().to(probabilities)  # (K,)
    return reduce_losses(_regularizer(probabilities, labels, costs, diagonal, true_class_cost), reduction, labels)


def ground_distance_cost(
    ground_distance: Tensor, *, omega: float, mu: float, known: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """The (K, K) cost ``D^omega + mu`` of Eq. 16.

    Args:
        ground_distance: (K, K) D.
        omega: power of D, greater than 0.
        mu: bias, finite.
        known: (K,) bool; rows and columns of the other classes cost 0, neither push nor reward. Default: a class whose
            distances are all 0 was never seen, unless all of D is 0.
        out: (K, K) of any floating dtype and device, which the cost is written to; it is then computed in float64, a
            block of rows at a time.

    Returns:
        (K, K), dtype and device of ``ground_distance``, or ``out``.

    Raises:
        ValueError: ``omega`` or ``mu`` is not as above.
    """
    _check_parameters(omega, mu)
    known = known_classes(ground_distance) if known is None else known
    if out is None:
        return (ground_distance.pow(omega) + mu) * known.outer(known)
    num_rows = max(2**21 // len(known), 1)  # 16 MB of float64 at a time
    for start in range(0, len(known), num_rows):
        rows = slice(start, start + num_rows)
        out[rows] = (ground_distance[rows].double().pow(omega) + mu) * known[rows].outer(known)
    return out


def columns_of(matrix: Tensor, labels: Tensor) -> Tensor:
    """(B, K) columns ``matrix[:, k]`` of the labels, or their expectation over target distributions."""
    if labels.dim() == 1:
        return matrix.T[labels]
    with torch.autocast(matrix.device.type, enabled=False):
        return labels.to(matrix) @ matrix.T


def known_classes(ground_distance: Tensor) -> Tensor:
    """(K,) bool: not the classes whose distances are all 0, unless all of D is 0."""
    seen = ground_distance.any(0) | ground_distance.any(1)
    return seen | ~seen.any()


def _check_parameters(omega: float = 1, mu: float = 0, true_class_cost: float | None = None) -> None:
    """Raise ValueError unless the parameters of Eq. 16 are in their ranges."""
    check_number("omega", omega, above=0)
    check_number("mu", mu)
    if true_class_cost is not None:
        check_number("true_class_cost", true_class_cost, least=0)


def _regularizer(
    probabilities: Tensor, labels: Tensor, costs: Tensor, diagonal: Tensor | None, true_class_cost: float | None
) -> Tensor:
    """(B,) ``sum_i p_i^2 cost_i`` from (B, K) costs; the diagonal (K,) of the cost is for target distributions."""
    if true_class_cost is None:
        return (probabilities.square() * costs).sum(-1)  # (B,) second term of Eq. 16
    # The true class leaves the sum and comes back as true_class_cost * (1 - p_k)^2.
    if labels.dim() == 1:
        costs = costs.scatter(1, labels[:, None], 0)  # (B, K)
        miss = (1 - probabilities.gather(1, labels[:, None])).square().squeeze(1)  # (B,)
    else:
        labels = labels.to(probabilities)
        costs = costs - labels * diagonal  # (B, K)
        miss = (labels * (1 - probabilities).square()).sum(-1)  # (B,)
    return (probabilities.square() * costs).sum(-1) + true_class_cost * miss
