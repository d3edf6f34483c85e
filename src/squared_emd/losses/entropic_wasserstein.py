"""The entropic Wasserstein loss that the paper compares with as A-EMD (Frogner et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import check_inputs, check_number, upcast_to_float32
from .reduction import reduce_losses
from .self_guided import columns_of


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
    Hou et al. 2016, section 4.3. Its gradient in the probabilities is ``log(u) / strength``, centered, where
    ``T = diag(u) exp(-strength D) diag(v)`` (Frogner et al. 2015, Algorithm 1). For a class index k the only plan is
    ``T[i, k] = p_i``. For distributions u and v come from Sinkhorn iterations in the log domain. No gradient reaches
    ``labels`` or ``ground_distance``.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        strength: the entropic strength, greater than 0, in 1 over the unit of D: the greater, the nearer to the EMD.
            POT's ``reg`` is its inverse.
        iterations: of Sinkhorn's algorithm, for distributions; they need (B, K, K) numbers.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``. It can be negative: the entropy
        is subtracted. Its minimum is not at the label but at the softmax of ``-strength * D[:, k]``.

    Raises:
        ValueError: shapes, ``strength``, ``iterations``, ``class_weights`` or ``reduction`` are not as above; labels
            are out of range or rows do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> entropic_wasserstein_loss(torch.zeros(1, 2), torch.tensor([0]), ground_distance, strength=10)  # 1/2 - log(2)/10
    tensor(0.4307)
    """
    check_number("strength", strength, above=0, hint=" The paper tries 0.1, 1 and 10.")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}. Frogner et al. and the paper take 100.")
    labels = check_inputs(logits, labels, ground_distance)
    log_p = upcast_to_float32(logits).log_softmax(-1)  # (B, K)
    p, distances = log_p.exp(), ground_distance.detach()
    # p log p is 0 at p = 0, and so is its part of the gradient: there the logarithm, which may be -inf, is left out.
    is_zero = p == 0  # (B, K)
    finite_log_p = log_p.masked_fill(is_zero, 0)  # (B, K)
    if labels.dim() == 1:
        losses = (p * (columns_of(distances, labels).to(p) + finite_log_p / strength)).sum(-1)  # (B,)
    else:
        kernel = -strength * distances.to(p)  # (K, K)
        log_u, log_v = _sinkhorn(log_p.detach(), labels.detach().to(p).log(), kernel, iterations)
        log_plan = log_u[:, :, None] + kernel + log_v[:, None, :]  # (B, K, K)
        plan = log_plan.exp()
        values = torch.where(plan > 0, plan * (log_plan - kernel) / strength, 0).sum((1, 2))  # (B,)
        change = _implicit_change(p, finite_log_p, log_u, log_v, kernel)  # (B, K)
        slopes = (log_u.masked_fill(is_zero, 0) + change / 2) / strength  # (B, K)
        slopes = slopes - slopes.mean(-1, keepdim=True)
        # The second term is 0; its two derivatives are those of the loss, as in a Taylor series (hence the half).
        losses = values + ((p - p.detach()) * slopes).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, logits.shape[1])


def _sinkhorn(log_p: Tensor, log_t: Tensor, kernel: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """(B, K) log u and log v by matrix scaling in the log domain; log_t is -inf where a target has no mass."""
    log_u = torch.zeros_like(log_p)
    for _ in range(iterations):
        log_v = log_t - (log_u[:, :, None] + kernel).logsumexp(1)  # (B, K)
        log_u = log_p - (log_v[:, None, :] + kernel).logsumexp(2)  # (B, K)
    return log_u, log_v


def _implicit_change(p: Tensor, log_p: Tensor, log_u: Tensor, log_v: Tensor, kernel: Tensor) -> Tensor:
    """(B, K) zeros with the derivative of log u in log p, so that the loss has second derivatives.

    With R = P / p and C = P / t for the plan P, the marginals say ``(I - R C^T) dlog_u = dlog_p`` up to a constant in
    log u, which ``1 p^T`` fixes.
    """
    p = p.detach()
    rows = (kernel + log_v[:, None, :]).softmax(2)  # (B, K, K) R
    columns = (kernel + log_u[:, :, None]).softmax(1)  # (B, K, K) C
    identity = torch.eye(len(kernel), dtype=p.dtype, device=p.device)
    ridge = 10 * torch.finfo(p.dtype).eps  # If R C^T is the identity, the solution is not unique without it.
    system = (1 + ridge) * identity - rows @ columns.mT + p[:, None, :]  # (B, K, K)
    return torch.linalg.solve_ex(system, (log_p - log_p.detach())[:, :, None]).result.squeeze(2)
