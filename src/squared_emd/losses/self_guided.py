"""Losses under a ground distance: the exact EMD and the self-guided regulariser (Hou et al. 2016, Eq. 14 and 16)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .baselines import cross_entropy_loss
from .class_weights import weighted
from .costs import cost_by_label, known_classes, no_zero_between_classes
from .fused import Fused, Kernel, columns
from .inputs import accurate, check, check_shapes, check_values, may_look_at, reduce
from .kernels import kernels_for


def exact_emd_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Exact EMD between the softmax of ``logits`` and a single class, under any ground distance.

    ``sum_i p_i D[i, k]`` (Hou et al. 2016, Eq. 14). For (B, K) targets it is the expectation of that over the target,
    to which a one-hot row reduces it.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``.

    Raises:
        ValueError: shapes, ``class_weights`` or ``reduction`` are not as above; labels out of range or rows that do not
            sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]])
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> exact_emd_loss(logits, torch.tensor([0]), ground_distance)  # 0.25 * 1 + 0.25 * 4
    tensor(1.2500)
    """
    labels = check_shapes(logits, labels, reduction, ground_distance)
    if class_weights is not None:
        losses = exact_emd_loss(logits, labels, ground_distance, reduction="none")
        return weighted(losses, logits, labels, class_weights, reduction)
    logits = accurate(logits)

    def plain(logits: Tensor) -> tuple[Tensor]:
        cost = cost_by_label(labels, ground_distance).to(logits)  # (B, K)
        return ((logits.softmax(-1) * cost).sum(-1),)

    if is_compiled(logits, labels, ground_distance):
        rows, given = columns(ground_distance, labels)
        return Fused.apply(logits, labels, Kernel("expected_cost", (given, 0.0), plain, keep=rows), reduction)
    check_values(labels, logits.shape[1])
    return reduce(*plain(logits), reduction)


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
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``. It can be negative: the regulariser rewards.

    Raises:
        ValueError: shapes, ``class_weights`` or ``reduction`` are not as above; labels out of range or rows that do not
            sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> logits = torch.zeros(1, 2)  # p = (1/2, 1/2): log 2 + 2 * (1/4 * (-1/4) + 1/4 * (1 - 1/4))
    >>> self_guided_loss(logits, torch.tensor([0]), ground_distance, weight=2, omega=2, mu=-0.25, eps=0)
    tensor(0.9431)
    """
    labels = check_shapes(logits, labels, reduction, ground_distance)
    if class_weights is not None:
        options = {"omega": omega, "mu": mu, "true_class_cost": true_class_cost, "eps": eps, "reduction": "none"}
        losses = self_guided_loss(logits, labels, ground_distance, weight=weight, **options)
        return weighted(losses, logits, labels, class_weights, reduction)
    logits = accurate(logits)  # once: the gradients of both terms are added before they are rounded
    rule = _Rule(omega, mu, true_class_cost, eps, looks_for_unknown=True)
    if is_compiled(logits, labels, ground_distance, weight) and not any(isinstance(x, Tensor) for x in rule):
        kernel = _SelfGuidedKernel(labels, ground_distance, rule, float(weight))
        return Fused.apply(logits, labels, kernel, reduction)
    check_values(labels, logits.shape[1])
    entropy, regularizer = _terms(logits, labels, ground_distance, rule)
    return reduce(entropy + weight * regularizer, reduction)


def self_guided_terms(
    logits: Tensor,
    labels: Tensor,
    cost: Tensor,
    *,
    weight: float,
    true_class_cost: float | None = None,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """The two terms of :func:`self_guided_loss` for each sample, under a cost that is there already.

    Args:
        logits: (B, K) scores.
        labels: (B,) class indices, or (B, K) target distributions (then the expectation).
        cost: (K, K) as :func:`ground_distance_cost` gives it; by columns (``matrix.T``) it is read without a copy.
        weight: lambda.
        true_class_cost: as in :func:`self_guided_loss`.
        eps: as in :func:`self_guided_loss`.

    Returns:
        (B,) cross-entropies, and (B,) regularisers times their weight.

    Raises:
        ValueError: shapes are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> self_guided_terms(torch.zeros(1, 2), torch.tensor([0]), cost, weight=2)[1]  # 2 * (1/2)^2 * 1
    tensor([0.5000])
    """
    labels = check_shapes(logits, labels, "none", cost)
    logits = accurate(logits)
    rule = _Rule(1.0, 0.0, true_class_cost, eps, looks_for_unknown=False)
    if is_compiled(logits, labels, cost, weight):
        return Fused.apply(logits, labels, _SelfGuidedKernel(labels, cost, rule, float(weight)), None)
    check_values(labels, logits.shape[1])
    entropy, regularizer = _terms(logits, labels, cost, rule)
    return entropy, weight * regularizer


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
    rule = _Rule(1.0, 0.0, true_class_cost, 0.0, looks_for_unknown=False)
    of_labels = cost_by_label(labels, cost)  # (B, K)
    return reduce(_regularizer(probabilities, labels, of_labels, cost.diagonal(), rule), reduction)


def _regularizer(
    probabilities: Tensor, labels: Tensor, cost_of_labels: Tensor, own_costs: Tensor | None, rule: _Rule
) -> Tensor:
    """(B,) from the (B, K) costs of each sample; ``own_costs``: (K,) the diagonal, for target distributions."""
    if rule.true_class_cost is None:
        return (probabilities.square() * cost_of_labels).sum(-1)
    # The true class leaves the sum and comes back as true_class_cost * (1 - p_k)^2.
    if labels.dim() == 1:
        cost_of_labels = cost_of_labels.scatter(1, labels[:, None], 0)
        miss = (1 - probabilities.gather(1, labels[:, None])).square().squeeze(1)  # (B,)
    else:
        labels = labels.to(probabilities)
        cost_of_labels = cost_of_labels - labels * own_costs
        miss = (labels * (1 - probabilities).square()).sum(-1)  # (B,)
    return (probabilities.square() * cost_of_labels).sum(-1) + rule.true_class_cost * miss


class _Rule(NamedTuple):
    """What makes a cost of a distance, and what is added to it."""

    omega: float
    mu: float
    true_class_cost: float | None
    eps: float
    looks_for_unknown: bool  # whether classes whose distances are all 0 cost nothing


def _terms(logits: Tensor, labels: Tensor, distances: Tensor, rule: _Rule) -> tuple[Tensor, Tensor]:
    """(B,) cross-entropies and (B,) regularisers without their weight, in PyTorch's operations."""
    entropy = cross_entropy_loss(logits, labels, eps=rule.eps, reduction="none")
    if labels.dim() == 2:
        known = known_classes(distances) if rule.looks_for_unknown else None
        cost = _cost(distances.to(logits), rule, None if known is None else known.outer(known))
        return entropy, _regularizer(logits.softmax(-1), labels, cost_by_label(labels, cost), cost.diagonal(), rule)
    rows = cost_by_label(labels, distances)  # (B, K); no K x K is made
    known = None
    if rule.looks_for_unknown and not (may_look_at(rows) and no_zero_between_classes(rows, labels)):
        known = known_classes(distances)
        known = known & known[labels][:, None]  # (B, K)
    return entropy, _regularizer(logits.softmax(-1), labels, _cost(rows.to(logits), rule, known), None, rule)


def _cost(distances: Tensor, rule: _Rule, known: Tensor | None) -> Tensor:
    cost = distances if rule.omega == 1 else distances.pow(rule.omega)
    cost = cost + rule.mu if rule.mu else cost
    return cost if known is None else cost * known


def is_compiled(logits: Tensor, labels: Tensor, distances: Tensor, weight: float | Tensor = 1.0) -> bool:
    """Whether ``kernels.c`` does it: class indices, and nothing but the logits that a gradient is wanted of."""
    plain = labels.dim() == 1 and distances.is_cpu and distances.dtype in (torch.float32, torch.float64)
    one = not isinstance(weight, Tensor) or (weight.numel() == 1 and not weight.requires_grad)
    fixed = one and not distances.requires_grad
    return plain and fixed and kernels_for(logits, labels) is not None and not distances.is_neg()


class _SelfGuidedKernel(Kernel):
    """Eq. 16 in ``kernels.c``."""

    __slots__ = ("distances", "rule")

    def __init__(self, labels: Tensor, distances: Tensor, rule: _Rule, weight: float) -> None:
        def plain(logits: Tensor) -> tuple[Tensor, Tensor]:
            entropy, regularizer = _terms(logits, labels, distances, rule)
            return entropy, weight * regularizer

        self.distances, self.rule = distances, rule
        rows, given = columns(distances, labels)
        own = float("nan") if rule.true_class_cost is None else rule.true_class_cost
        arguments = given, None, rule.omega, rule.mu, own, rule.eps, weight
        super().__init__("self_guided", arguments, plain, terms=2, keep=rows)

    def without_unknown_classes(self) -> bool:
        if not self.rule.looks_for_unknown:
            return False
        known = known_classes(self.distances)
        given, _, *rest = self.arguments
        self.arguments, self.keep = (given, known.data_ptr(), *rest), (self.keep, known)
        return True
