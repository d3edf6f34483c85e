"""The EMD of classes on a circle: hours, months, angles."""

from __future__ import annotations

from torch import Tensor

from .inputs import check_inputs, check_weights, mass_difference, power, reduce_losses, upcast_to_float32


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

    ``min_m sum_i spacing_i * abs(CDF_i(p) - CDF_i(t) - m) ** p``: the flow over each gap is known up to the flow m all
    the way round, and the best m counts. With ``p=1`` it is the exact EMD under the shorter way round (m is the
    weighted median; Werman et al. 1986); with ``p=2`` the counterpart of Eq. 10 of Hou et al. 2016 (m is the weighted
    mean).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, 1 or 2.
        spacing: (K,) non-negative gaps from each class to the next, the last one from class K-1 to class 0, not all 0,
            in any unit. Default: all 1.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels are out of
            range or rows do not sum to 1 (CPU).

    >>> import torch
    >>> logits = torch.tensor([[1e-9, 0.5, 1e-9, 0.5]]).log()
    >>> circular_emd_loss(logits, torch.tensor([0]), p=1)  # both halves are one class away from class 0
    tensor(1.)
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 (the EMD) or 2 (the squared EMD), got {p}.")
    labels = check_inputs(logits, labels)
    num_classes = logits.shape[1]
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    meaning = "the K gaps between neighbors on the circle, the last one from the last class to the first"
    spacing = probabilities.new_ones(num_classes) if spacing is None else spacing
    spacing = check_weights("spacing", spacing, probabilities, num_classes, meaning)  # (K,)
    flows = mass_difference(probabilities, labels).cumsum(-1)  # (B, K) over the gap after each class
    center = _weighted_mean if p == 2 else _weighted_median
    losses = (power(flows - center(flows, spacing), p) * spacing).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, num_classes)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """(B, 1), of (B, K) values."""
    return (values * weights).sum(-1, keepdim=True) / weights.sum()


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(B, 1), one of the (B, K) values of each row."""
    ascending, order = values.sort(-1)
    cumulative = weights[order].cumsum(-1)  # (B, K)
    index = (cumulative < cumulative[:, -1:] / 2).sum(-1, keepdim=True)  # (B, 1)
    return ascending.gather(1, index)
