"""The energy distance between prediction and target under any ground distance, a proper scoring rule."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import check_inputs, mass_difference, upcast_to_float32
from .reduction import reduce_losses


def energy_distance_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Energy distance between the softmax of ``logits`` and the target (Székely & Rizzo 2013).

    ``sum_ij p_i t_j D_ij - 1/2 sum_ij p_i p_j D_ij - 1/2 sum_ij t_i t_j D_ij``, the energy score of Gneiting & Raftery
    (2007): where D holds Euclidean distances, its expectation is least at the true distribution, so that it rewards
    neither over- nor under-confidence. With the distances on a line it is Eq. 10 of Hou et al. 2016
    (:func:`squared_emd_loss`), with the paths of a tree :func:`tree_emd_loss`, with ``D = 1 - I`` half the Brier score.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) symmetric D with a zero diagonal, in any unit; its values are not checked, which would
            cost as much as the loss. D in the dtype of the computation is read where it lies, another is copied.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of D. O(B K^2) time.

    Raises:
        ValueError: shapes, ``class_weights`` or ``reduction`` are not as above; labels are out of range or rows do not
            sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> energy_distance_loss(logits, torch.tensor([0]), ground_distance)  # as squared_emd_loss: 0.25 + 0.0625
    tensor(0.3125)
    """
    labels = check_inputs(logits, labels, ground_distance)
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    difference = mass_difference(probabilities, labels)  # (B, K) p - t
    with torch.autocast(logits.device.type, enabled=False):
        gradient = -difference @ ground_distance.to(difference)  # (B, K) D t - D p, the gradient in p
    # For a symmetric D the three sums are one quadratic form, free of their cancellation.
    losses = (difference * gradient).sum(-1) / 2  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, logits.shape[1])
