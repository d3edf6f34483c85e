"""The exact EMD of classes on a circle: hours, months, angles."""

from __future__ import annotations

import torch
from torch import Tensor

from .class_weights import weighted
from .inputs import accurate, check, mass_difference, may_look_at, reduce


def circular_emd_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    p: int = 2,
    spacing: Tensor | None = None,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """EMD between the softmax of ``logits`` and the target, for classes on a circle.

    ``min_m sum_i spacing_i * abs(CDF_i(p) - CDF_i(t) - m) ** p``: what flows over each gap is known up to what goes all
    the way round, and m takes the best. With ``p=1`` it is the exact EMD under the shorter way round (m is the weighted
    median; Werman et al. 1986); with ``p=2`` the counterpart of Eq. 10 of Hou et al. 2016 (m is the weighted mean).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, 1 or 2.
        spacing: (K,) gaps from each class to the next, the last one from class K-1 to class 0, none negative, not all
            0, in any unit. Default: all 1.
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels out of range
            or rows that do not sum to 1 (CPU).

    >>> logits = torch.tensor([[1e-9, 0.5, 1e-9, 0.5]]).log()
    >>> circular_emd_loss(logits, torch.tensor([0]), p=1)  # both halves lie one class away from class 0
    tensor(1.)
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 (the EMD) or 2 (the squared EMD), got {p}.")
    labels = check(logits, labels, reduction)
    probabilities = accurate(logits).softmax(-1)
    if spacing is None:
        spacing = torch.ones_like(probabilities[0])
    else:
        spacing = torch.as_tensor(spacing, dtype=probabilities.dtype, device=logits.device)
    if spacing.shape != logits.shape[1:]:
        raise ValueError(
            f"spacing must hold the K = {logits.shape[1]} gaps between neighbours on the circle, the last one from the "
            f"last class to the first; got shape {tuple(spacing.shape)}."
        )
    if may_look_at(spacing) and not (spacing.isfinite().all() and (spacing >= 0).all() and spacing.any()):
        raise ValueError(f"spacing must be finite, not negative and not all 0, got {spacing.tolist()}.")
    flows = mass_difference(probabilities, labels).cumsum(-1)  # (B, K) over the gap after each class
    if p == 2:
        flows = flows - (flows * spacing).sum(-1, keepdim=True) / spacing.sum()
        losses = (flows.square() * spacing).sum(-1)  # (B,)
    else:
        losses = ((flows - _weighted_median(flows, spacing)).abs() * spacing).sum(-1)  # (B,)
    if class_weights is not None:
        return weighted(losses, logits, labels, class_weights, reduction)
    return reduce(losses, reduction)


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(B, 1) of (B, K) values: one of them."""
    in_order, order = values.sort(-1)
    reached = weights[order].cumsum(-1)  # (B, K)
    place = (reached < reached[:, -1:] / 2).sum(-1, keepdim=True)
    return in_order.gather(1, place)
