"""From the loss of each sample to that of the batch, with class weights if some classes are rare."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import check_weights


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
    return (labels.to(class_weights) * class_weights).sum(-1)


def reduce_losses(
    losses: Tensor, reduction: str, labels: Tensor, class_weights: Tensor | None = None, num_classes: int | None = None
) -> Tensor:
    """(B,) losses, weighted by class and reduced as ``F.cross_entropy(weight=...)`` does: the mean is over the weights.

    >>> losses, labels, class_weights = torch.tensor([1.0, 2.0]), torch.tensor([0, 1]), torch.tensor([1.0, 3.0])
    >>> reduce_losses(losses, "mean", labels, class_weights, 2)  # (1 + 6) / 4
    tensor(1.7500)
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}.')
    total = None
    if class_weights is not None:
        class_weights = check_weights("class_weights", class_weights, losses, num_classes, "one a class")
        weights = sample_weights(labels, class_weights)  # (B,)
        losses, total = losses * weights, weights.sum()
    if reduction != "mean":
        return losses if reduction == "none" else losses.sum()
    if total is None:
        return losses.mean()
    return losses.sum() / torch.where(total > 0, total, 1)  # A batch without weight has a loss of 0.
