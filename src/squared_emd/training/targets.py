"""Targets of a batch: its labels, weighted and smoothed as the arguments say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import check_labels, sample_weights
from ..targets import class_weights_from_counts, spread
from .arguments import EMDTrainingArguments

__all__ = ["Targets"]


class Targets:
    """What a label becomes in the loss: a weight, and a distribution if labels are smoothed.

    Args:
        args: the run's arguments.
        num_classes: K.
        device: where the loss is computed.

    Attributes:
        class_weights: (K,) weight of a sample of each class; None: all 1, or not yet counted.

    Raises:
        ValueError: there is not one weight for each class.
    """

    def __init__(self, args: EMDTrainingArguments, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.args = args
        self.num_classes = num_classes
        self.device = torch.device(device)
        self.class_weights: Tensor | None = None
        if args.class_weights is not None and args.weights_by_count is None:
            if len(args.class_weights) != num_classes and args.loss != "reg":
                raise ValueError(
                    f"class_weights must hold {num_classes} numbers, one a class, got {len(args.class_weights)}."
                )
            self._set_class_weights([float(weight) for weight in args.class_weights])

    def count(self, counts: Sequence[float]) -> None:
        """Set the class weights if the arguments derive them from counts: (K,) samples, or sums of soft labels."""
        if self.args.weights_by_count is not None:
            scheme, beta = self.args.weights_by_count
            self._set_class_weights(class_weights_from_counts(counts, scheme, beta=beta))

    def _set_class_weights(self, class_weights: Sequence[float] | Tensor) -> None:
        self.class_weights = torch.as_tensor(class_weights, dtype=torch.float32, device=self.device)

    def weights_of(self, labels: Tensor) -> Tensor | None:
        """The weight of each sample: (B,), or None if all are 1.

        Args:
            labels: (B,) class indices, or (B, K) target distributions.

        Raises:
            ValueError: the labels are real-valued scores, or do not fit the classes.
        """
        if self.class_weights is None:
            return None
        if labels.dim() == 1 and labels.is_floating_point():
            raise ValueError(
                "class_weights need class indices as labels, got real-valued scores. Leave class_weights out."
            )
        labels = check_labels(labels, len(labels), len(self.class_weights))
        return sample_weights(labels.to(self.device), self.class_weights)

    def smoothed(self, labels: Tensor, kernel: Tensor | None) -> Tensor:
        """The labels after `label_smoothing_factor`.

        Args:
            labels: (B,) class indices, or (B, K) target distributions.
            kernel: (K, K) how the share of a class is spread; None: evenly.

        Returns:
            (B, K) float32, or the labels themselves without smoothing.
        """
        share = self.args.label_smoothing_factor
        if not share:
            return labels
        labels = check_labels(labels, len(labels), self.num_classes)
        if kernel is not None:
            return spread(labels, kernel, share)
        if labels.dim() == 1:
            labels = F.one_hot(labels.long(), self.num_classes)
        return labels.to(self.device, torch.float32) * (1 - share) + share / self.num_classes
