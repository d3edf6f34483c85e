"""What a loss is given, checked, and how it is reduced."""

from __future__ import annotations

import torch
from torch import Tensor


def accurate(logits: Tensor) -> Tensor:
    """Half precision as float32; what is more accurate stays."""
    return logits if logits.dtype == torch.float64 else logits.float()


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """(B,) losses as ``reduction`` says."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def mass_difference(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(B, K) what the prediction has in each class more than the target; its gradient is that of ``probabilities``."""
    if labels.dim() == 1:
        return probabilities.scatter_add(1, labels[:, None], -torch.ones_like(probabilities[:, :1]))
    return probabilities - labels.to(probabilities)


def may_look_at(tensor: Tensor) -> bool:
    """Whether values can be read without stopping a GPU or breaking a compiled graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def check_reduction(reduction: str) -> None:
    """Raises where ``reduction`` is none of ``"mean"``, ``"sum"``, ``"none"``."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}.')


def check(logits: Tensor, labels: Tensor, reduction: str, matrix: Tensor | None = None) -> Tensor:
    """The labels, as int64 where they are indices, once everything is found to fit."""
    labels = check_shapes(logits, labels, reduction, matrix)
    check_values(labels, logits.shape[1])
    return labels


def check_shapes(logits: Tensor, labels: Tensor, reduction: str, matrix: Tensor | None = None) -> Tensor:
    """As :func:`check`, but the values of the labels are still to be looked at."""
    check_reduction(reduction)
    if logits.dim() != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be (B, K) floating point, got {tuple(logits.shape)} {logits.dtype}.")
    batch, num_classes = logits.shape
    if batch == 0:
        raise ValueError("the batch is empty: a loss needs at least one sample.")
    if num_classes == 0:
        raise ValueError(f"logits must have at least one class, got shape {tuple(logits.shape)}.")
    if matrix is not None and matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"the ground distance must be (K, K) = ({num_classes}, {num_classes}) like the logits' classes, "
            f"got shape {tuple(matrix.shape)}."
        )
    return _check_label_shape(labels, batch, num_classes)


def check_labels(labels: Tensor, batch: int, num_classes: int) -> Tensor:
    """The labels, as int64 where they are indices, once they are found to fit the classes.

    Args:
        labels: (B,) class indices, or (B, K) target distributions.
        batch: B.
        num_classes: K.

    Returns:
        (B,) int64, or (B, K) as it came.

    Raises:
        ValueError: the shape is neither; a label is out of range or a row no distribution (read on the CPU only).
    """
    labels = _check_label_shape(labels, batch, num_classes)
    check_values(labels, num_classes)
    return labels


def check_values(labels: Tensor, num_classes: int) -> None:
    """Raises where a label is out of range or a row no distribution; where it would make a GPU wait it does nothing."""
    if not may_look_at(labels):
        return
    if labels.dim() == 1:
        if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise ValueError(
                f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; "
                f"got {int(labels.min())} .. {int(labels.max())}."
            )
        return
    sums = labels.sum(-1, dtype=torch.float64)
    if not (labels.min() >= 0 and (sums - 1).abs().max() <= 1e-2):
        raise ValueError(
            "each row of soft labels must be a distribution: no negative entry, sum 1; "
            f"got entries from {labels.min():.4g} and sums {sums.min():.4g} .. {sums.max():.4g}."
        )


def _check_label_shape(labels: Tensor, batch: int, num_classes: int) -> Tensor:
    hard = labels.shape == (batch,) and not labels.is_floating_point()
    soft = labels.shape == (batch, num_classes) and labels.is_floating_point()
    if not hard and not soft:
        raise ValueError(
            f"labels must be ({batch},) class indices or ({batch}, {num_classes}) floating point distributions, "
            f"got {tuple(labels.shape)} {labels.dtype}."
        )
    return labels.long() if hard else labels
