"""The squared EMD of ordered classes (Hou et al. 2016, Eq. 9 to 11)."""

from __future__ import annotations

from torch import Tensor

from .inputs import check_inputs, check_order, check_weights, mass_difference, power, reduce_losses, upcast_to_float32


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
        spacing: (K-1,) non-negative gaps between neighboring classes, not all 0, in any unit. Default: all 1.
        class_weights: (K,) non-negative weights, not all 0: each sample counts with that of its class, or with their
            mean over its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels are out of
            range or rows do not sum to 1 (checked on the CPU only, where it costs no synchronization).

    >>> import torch
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
        meaning = "the K-1 gaps between neighboring classes"
        powers = powers * check_weights("spacing", spacing, powers, num_classes - 1, meaning)
    return reduce_losses(powers.sum(-1), reduction, labels, class_weights, num_classes)
