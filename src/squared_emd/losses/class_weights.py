"""Losses weighted by class, where some classes are rare."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import may_look_at, reduce


def sample_weights(labels: Tensor, class_weights: Tensor) -> Tensor:
    """The weight of each sample: that of its class, or the mean over its target distribution.

    Args:
        labels: (B,) class indices, or (B, K) target distributions.
        class_weights: (K,) weights.

    Returns:
        (B,), dtype of ``class_weights``.

    >>> sample_weights(torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([1.0, 3.0]))
    tensor([2., 3.])
    """
    if labels.dim() == 1:
        return class_weights[labels.long()]
    with torch.autocast(class_weights.device.type, enabled=False):
        return labels.to(class_weights) @ class_weights


def weighted(losses: Tensor, logits: Tensor, labels: Tensor, class_weights: Tensor, reduction: str) -> Tensor:
    """(B,) losses times the weights of their samples, reduced as ``F.cross_entropy(weight=...)`` does.

    Args:
        losses: (B,).
        logits: (B, K) of which they are.
        labels: (B,) class indices, or (B, K) target distributions.
        class_weights: (K,) weights, none negative.
        reduction: ``"mean"`` (over the sum of the weights), ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,).

    Raises:
        ValueError: there is not one finite weight of at least 0 for each class.

    >>> losses, labels, class_weights = torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), torch.tensor([1.0, 3.0])
    >>> weighted(losses, torch.zeros(2, 2), labels, class_weights, "mean")  # (1 + 6) / 4
    tensor(1.7500)
    """
    class_weights = torch.as_tensor(class_weights, dtype=losses.dtype, device=losses.device)
    if class_weights.shape != logits.shape[1:]:
        raise ValueError(
            f"class_weights must be ({logits.shape[1]},), one a class, got shape {tuple(class_weights.shape)}."
        )
    if may_look_at(class_weights) and not (class_weights.isfinite().all() and (class_weights >= 0).all()):
        raise ValueError(f"class_weights must be finite and not negative, got {class_weights.tolist()}.")
    weights = sample_weights(labels, class_weights)  # (B,)
    losses = losses * weights
    if reduction != "mean":
        return reduce(losses, reduction)
    total = weights.sum()
    return losses.sum() / torch.where(total > 0, total, 1)  # a batch without weight costs nothing
