"""Mixup and CutMix in training, by timm."""

from __future__ import annotations

from typing import Any

import torch
from timm.data.mixup import Mixup, mixup_target

from ..losses import check_labels

__all__ = ["BatchMixup"]


class BatchMixup:
    """A `train_batch_transform` of `EMDTrainer` that mixes the images of a batch, and their labels.

    The labels become distributions, which every loss and the class centroids take. What is drawn comes from NumPy's
    global generator, which a resumed run restores.

    Args:
        mixup: timm's `Mixup`, with `num_classes`; its `label_smoothing` is best left 0 where the arguments have one.
        name: of the input that is mixed.

    Raises:
        ValueError: called with labels that are distributions already, or without such an input.

    >>> from timm.data import Mixup
    >>> batch = {"pixel_values": torch.zeros(2, 3, 4, 4), "labels": torch.tensor([0, 1])}
    >>> BatchMixup(Mixup(mixup_alpha=1.0, label_smoothing=0, num_classes=2))(batch)["labels"].sum(1)
    tensor([1., 1.])
    """

    def __init__(self, mixup: Mixup, *, name: str = "pixel_values") -> None:
        self.mixup = mixup
        self.name = name

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Mixes a batch; of an odd number of samples the last one is not mixed.

        Args:
            batch: with the input (B, C, H, W) and `labels` (B,) class indices.

        Returns:
            Another dictionary, with `labels` (B, K) float32.
        """
        if self.name not in batch:
            raise ValueError(f"mixup needs the input {self.name!r} in each batch, got {sorted(batch)}. Say name=...")
        images, labels = batch[self.name], batch["labels"]
        if labels.dim() != 1:
            raise ValueError(
                f"mixup needs class indices (B,) as labels, got shape {tuple(labels.shape)}. Mix before labels are "
                "made soft, or leave mixup out."
            )
        labels = check_labels(labels, len(labels), self.mixup.num_classes)
        even = len(labels) // 2 * 2
        parts = []
        if even:
            parts.append(self.mixup(images[:even].clone(), labels[:even]))  # which it changes in place
        if even < len(labels):
            smoothing = self.mixup.label_smoothing
            parts.append((images[even:], mixup_target(labels[even:], self.mixup.num_classes, smoothing=smoothing)))
        images, targets = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return {**batch, self.name: images, "labels": targets.float()}
