"""The entropic Wasserstein loss that the paper compares with as A-EMD (Frogner et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from .class_weights import weighted
from .costs import cost_by_label
from .fused import Fused, Kernel, columns
from .inputs import accurate, check_shapes, check_values, reduce
from .self_guided import is_compiled


def entropic_wasserstein_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    strength: float,
    iterations: int = 100,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Entropic optimal transport between the softmax of ``logits`` and the target, under any ground distance.

    ``min_T sum_ij T_ij D[i, j] + 1/strength * sum_ij T_ij log T_ij`` over the plans T with these marginals; A-EMD in
    Hou et al. 2016, section 4.3. Its gradient in the probabilities is ``log(u) / strength``, centred, where
    ``T = diag(u) exp(-strength D) diag(v)`` (Frogner et al. 2015, Algorithm 1). For a label k the plan is known, and so
    is u: ``log u_i = log p_i + strength * D[i, k] + const``; nothing is iterated. For distributions u and v are found
    by matrix scaling in the log domain. No gradient reaches ``labels`` or ``ground_distance``.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        strength: the entropic strength, greater than 0, in 1 over the unit of D: the greater, the nearer to the EMD.
            POT's ``reg`` is its inverse.
        iterations: of matrix scaling, for distributions; they need (B, K, K) numbers.
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``. It can be negative: the entropy
        is subtracted. Its minimum is not at the label but at a softmax of ``-strength * D[:, k]``.

    Raises:
        ValueError: shapes, ``strength``, ``iterations``, ``class_weights`` or ``reduction`` are not as above; labels
            out of range or rows that do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> entropic_wasserstein_loss(torch.zeros(1, 2), torch.tensor([0]), ground_distance, strength=10)  # 1/2 - log(2)/10
    tensor(0.4307)
    """
    labels = check_shapes(logits, labels, reduction, ground_distance)
    if class_weights is not None:
        options = {"strength": strength, "iterations": iterations, "reduction": "none"}
        losses = entropic_wasserstein_loss(logits, labels, ground_distance, **options)
        return weighted(losses, logits, labels, class_weights, reduction)
    if not 0 < strength < float("inf"):
        raise ValueError(f"strength must be greater than 0 and finite, got {strength}. The paper tries 0.1, 1 and 10.")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}. Frogner et al. and the paper take 100.")
    logits = accurate(logits)
    ground_distance = ground_distance.detach()
    if labels.dim() == 1:

        def plain(logits: Tensor) -> tuple[Tensor]:
            log_p = logits.log_softmax(-1)  # (B, K)
            return ((log_p.exp() * (cost_by_label(labels, ground_distance).to(log_p) + log_p / strength)).sum(-1),)

        if is_compiled(logits, labels, ground_distance):
            rows, given = columns(ground_distance, labels)
            kernel = Kernel("expected_cost", (given, 1 / strength), plain, keep=rows)
            return Fused.apply(logits, labels, kernel, reduction)
        check_values(labels, logits.shape[1])
        return reduce(*plain(logits), reduction)
    check_values(labels, logits.shape[1])
    log_p = logits.log_softmax(-1)  # (B, K)
    p, cost = log_p.exp(), ground_distance.to(log_p)
    with torch.no_grad():
        values, slopes = _scale(log_p, labels.to(log_p), cost, strength, iterations)
    return reduce(values + ((p - p.detach()) * slopes).sum(-1), reduction)  # the second term is 0, and has the gradient


def _scale(log_p: Tensor, labels: Tensor, cost: Tensor, strength: float, iterations: int) -> tuple[Tensor, Tensor]:
    """(B,) values and (B, K) gradients in the probabilities, by matrix scaling (Sinkhorn) in the log domain."""
    log_t = labels.log()  # (B, K), -inf where there is no mass
    kernel = -strength * cost  # (K, K)
    log_u = torch.zeros_like(log_p)
    for _ in range(iterations):
        log_v = log_t - (log_u[:, :, None] + kernel).logsumexp(1)  # (B, K)
        log_u = log_p - (log_v[:, None, :] + kernel).logsumexp(2)  # (B, K)
    log_plan = log_u[:, :, None] + kernel + log_v[:, None, :]  # (B, K, K)
    plan = log_plan.exp()
    values = torch.where(plan > 0, plan * (cost + log_plan / strength), 0).sum((1, 2))  # (B,)
    slopes = log_u / strength  # (B, K)
    return values, slopes - slopes.mean(-1, keepdim=True)
