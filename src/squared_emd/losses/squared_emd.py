"""The squared EMD of ordered classes (Hou et al. 2016, Eq. 9 to 11)."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import check_inputs, check_order, mass_difference, power, upcast_to_float32, values_are_checkable
from .reduction import reduce_losses


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

    ``sum_i spacing_i * abs(CDF_i(p) - CDF_i(t)) ** p``. With the default ``p=2`` and unit gaps this is Eq. 10 of Hou et
    al. 2016, without 1/K and without a root, and its gradient is Eq. 11; ``p=1`` is the plain EMD on a line (Eq. 9).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, at least 1.
        spacing: (K-1,) non-negative gaps between neighboring classes, in any unit. Default: all 1.
        class_weights: (K,) non-negative weights: each sample counts with that of its class, or with their mean over its
            target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels are out of
            range or rows do not sum to 1 (checked on the CPU only, where it costs no synchronization).

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> squared_emd_loss(logits, torch.tensor([0]))  # CDF (0.5, 0.75), target (1, 1): 0.25 + 0.0625
    tensor(0.3125)
    """
    check_order(p)
    labels = check_inputs(logits, labels)
    num_classes = logits.shape[1]
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    gaps = mass_difference(probabilities, labels)[:, :-1].cumsum(-1)  # (B, K-1) CDF(p) - CDF(t); the K-th is 0
    powers = power(gaps, p)  # (B, K-1) Eq. 9 and 10
    if spacing is not None:
        powers = powers * _checked_spacing(spacing, powers, num_classes)
    return reduce_losses(powers.sum(-1), reduction, labels, class_weights, num_classes)


def _checked_spacing(spacing: Tensor, like: Tensor, num_classes: int) -> Tensor:
    spacing = torch.as_tensor(spacing, dtype=like.dtype, device=like.device)
    if spacing.shape != (num_classes - 1,):
        raise ValueError(
            f"spacing must hold the K-1 = {num_classes - 1} gaps between neighboring classes, "
            f"got shape {tuple(spacing.shape)}."
        )
    if values_are_checkable(spacing) and not (spacing.isfinite() & (spacing >= 0)).all():
        raise ValueError(f"spacing must be finite and not negative, got {spacing.tolist()}.")
    return spacing
