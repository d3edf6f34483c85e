"""The squared EMD of ordered classes (Hou et al. 2016, Eq. 9 to 11)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_weights import weighted
from .fused import Fused, Kernel
from .inputs import accurate, check_shapes, check_values, mass_difference, may_look_at, reduce
from .kernels import kernels_for


def squared_emd_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    p: float = 2,
    spacing: Tensor | None = None,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared Earth Mover's Distance between the softmax of ``logits`` and the target, for ordered classes.

    ``sum_i spacing_i * abs(CDF_i(p) - CDF_i(t)) ** p``: with the default ``p=2`` and unit gaps this is Eq. 10 of Hou et
    al. 2016, without 1/K and without a root; ``p=1`` is the plain EMD on a line (Eq. 9). The gradient in the logits is
    the closed form of Eq. 11 through the softmax; second derivatives are supported. None flows into ``labels`` or
    ``spacing``.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, at least 1.
        spacing: (K-1,) non-negative gaps between neighbouring classes, in any unit. Default: all 1.
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; also labels out of
            range or rows that do not sum to 1 (checked where it costs no synchronisation: on the CPU).

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> squared_emd_loss(logits, torch.tensor([0]))  # CDF (0.5, 0.75), target (1, 1): 0.25 + 0.0625
    tensor(0.3125)
    """
    labels = check_shapes(logits, labels, reduction)
    if class_weights is not None:
        losses = squared_emd_loss(logits, labels, p=p, spacing=spacing, reduction="none")
        return weighted(losses, logits, labels, class_weights, reduction)
    if not 1 <= p < float("inf"):
        raise ValueError(f"p must be at least 1 and finite, got {p}. Use p=2 for Eq. 10 or p=1 for the plain EMD.")
    if spacing is not None:
        spacing = torch.as_tensor(spacing, dtype=accurate(logits).dtype, device=logits.device).contiguous()
        if spacing.shape != (logits.shape[1] - 1,):
            raise ValueError(
                f"spacing must hold the K-1 = {logits.shape[1] - 1} gaps between neighbouring classes, "
                f"got shape {tuple(spacing.shape)}."
            )
        if may_look_at(spacing) and not (spacing.isfinite().all() and (spacing >= 0).all()):
            raise ValueError(f"spacing must be finite and not negative, got {spacing.tolist()}.")
    logits = accurate(logits)
    if p in (1, 2) and kernels_for(logits, labels) is not None:
        arguments = None if spacing is None else spacing.data_ptr(), int(p)
        plain = partial(_plain, labels, float(p), spacing)
        return Fused.apply(logits, labels, Kernel("squared_emd", arguments, plain, keep=spacing), reduction)
    check_values(labels, logits.shape[1])
    return reduce(*_plain(labels, float(p), spacing, logits), reduction)


def _plain(labels: Tensor, p: float, spacing: Tensor | None, logits: Tensor) -> tuple[Tensor]:
    return _Plain.apply(logits, labels, p, spacing)[:1]


class _Plain(torch.autograd.Function):
    """Per-sample loss in PyTorch's operations; keeps the probabilities for backward, as cross-entropy does."""

    @staticmethod
    def forward(logits: Tensor, labels: Tensor, p: float, spacing: Tensor | None) -> tuple[Tensor, Tensor]:
        probabilities = logits.softmax(-1)  # (B, K)
        gaps = _gaps(probabilities, labels)
        powers = gaps.square() if p == 2 else gaps.abs().pow(p)
        return (powers if spacing is None else powers * spacing).sum(-1), probabilities  # (B,) Eq. 9 and 10

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # noqa: ANN001
        _, labels, ctx.p, spacing = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1], labels, spacing)

    @staticmethod
    def backward(ctx, grad_losses: Tensor | None, grad_probabilities: Tensor | None) -> tuple:  # noqa: ANN001
        # The probabilities are an output so that a second derivative can flow through them; the first has none there.
        probabilities, labels, spacing = ctx.saved_tensors
        total = grad_probabilities
        if grad_losses is not None:
            slopes = _slopes(_gaps(probabilities, labels), ctx.p)
            slopes = slopes if spacing is None else slopes * spacing
            # Eq. 11: the coefficient of p'_j is the sum of the slopes from j on, here without the sum of all of them,
            # which the softmax's Jacobian takes away
            coefficients = -F.pad(slopes.cumsum(-1), (1, 0)) * grad_losses[:, None]  # (B, K)
            total = coefficients if total is None else total + coefficients
        if total is None:
            return None, None, None, None
        mean = (probabilities * total).sum(-1, keepdim=True)  # (B, 1) the softmax's Jacobian
        return probabilities * (total - mean), None, None, None


def _gaps(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(B, K-1) CDF(p) - CDF(t); the K-th is 0."""
    return mass_difference(probabilities, labels)[:, :-1].cumsum(-1)


def _slopes(gaps: Tensor, p: float) -> Tensor:
    """The derivative of ``abs(gaps) ** p``; at a gap of 0 it is 0, and so is its own derivative for p < 2."""
    if p == 2:
        return 2 * gaps
    if p == 1:
        return gaps.sign()
    sizes = torch.where(gaps == 0, 1, gaps.abs())
    return p * sizes.pow(p - 1) * gaps.sign()
