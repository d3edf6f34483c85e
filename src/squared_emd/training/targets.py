"""Targets of a batch: its labels, weighted and smoothed as the arguments say."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import check_labels, sample_weights
from ..targets import class_weights_from_counts, smoothing_kernel, spread
from .arguments import EMDTrainingArguments

__all__ = ["Targets"]


class Targets(nn.Module):
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
        super().__init__()
        self.args = args
        self.num_classes = num_classes
        self.device = torch.device(device)
        self.register_buffer("class_weights", None)
        self.register_buffer("_kernel", None)  # (K, K) how a class is smoothed over the others
        self._distance: tuple[Tensor, Tensor] | None = None
        if args.class_weights is not None and args.weights_by_count is None:
            self._set_class_weights([float(weight) for weight in args.class_weights])

    def count(self, counts: Sequence[float]) -> None:
        """Set the class weights if the arguments derive them from counts: (K,) samples, or sums of soft labels."""
        if self.args.weights_by_count is not None:
            scheme, beta = self.args.weights_by_count
            self._set_class_weights(class_weights_from_counts(counts, scheme, beta=beta))

    def _set_class_weights(self, class_weights: Sequence[float] | Tensor) -> None:
        if len(class_weights) != self.num_classes and self.args.loss != "reg":
            raise ValueError(
                f"class_weights must hold {self.num_classes} numbers, one a class, got {len(class_weights)}."
            )
        self.class_weights = torch.as_tensor(class_weights, dtype=torch.float32, device=self.device)

    def follow(self, ground_distance: Tensor | None, known: Tensor) -> None:
        """Smooth by this D from now on.

        Args:
            ground_distance: (K, K) D, or None: uniformly.
            known: (K,) bool, the classes that D knows.
        """
        self._distance, self._kernel = None if ground_distance is None else (ground_distance, known), None

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

    def smoothed(self, labels: Tensor) -> Tensor:
        """The labels after `label_smoothing_factor` and `label_smoothing_temperature`.

        Args:
            labels: (B,) class indices, or (B, K) target distributions.

        Returns:
            (B, K) float32, or the labels themselves without smoothing.
        """
        share, temperature = self.args.label_smoothing_factor, self.args.label_smoothing_temperature
        if not share:
            return labels
        labels = check_labels(labels, len(labels), self.num_classes)
        if temperature is not None and self._kernel is None and self._distance is not None:
            distance, known = (tensor.to(self.device) for tensor in self._distance)
            self._kernel = smoothing_kernel(distance, temperature, known=known)
        if self._kernel is not None:
            return spread(labels, self._kernel, share)
        if labels.dim() == 1:
            labels = F.one_hot(labels.long(), self.num_classes)
        return labels.to(self.device, torch.float32) * (1 - share) + share / self.num_classes
