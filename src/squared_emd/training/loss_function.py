"""The losses for any trainer built on transformers' `Trainer`: its `compute_loss_func`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..losses import logits_of
from .arguments import SELF_GUIDED, LossArguments
from .criterion import EMDCriterion

__all__ = ["compute_loss_func"]

_UNUSED = (
    "balanced_sampling", "ground_distance_update_steps", "head", "jump_start_epochs", "jump_start_ratio", "nan_policy",
    "nan_steps", "prior_decay", "prior_weight", "rank", "regularizer_ratio",
)  # fmt: skip
_IGNORED = -100  # a label that does not count, as in `torch.nn.functional.cross_entropy`


def compute_loss_func(
    loss: str = "xemd", *, ground_distance: Any = None, **options: Any
) -> Callable[[Any, Tensor, Tensor | int | None], Tensor]:
    """A loss as the argument `compute_loss_func` of a stock `transformers.Trainer`, and of trainers that pass it on.

    The loss is the sum over the samples of the batch divided by `num_items_in_batch`, the samples of the whole
    optimizer step, which `Trainer` counts over accumulation steps and ranks: the gradient is that of one large batch.
    (The mean over a batch, which is what a loss by itself gives, would be accumulated without being divided.)

    Nothing is learned on the way: a loss with a ground distance is given one, such as that of
    :func:`learn_ground_distance`. Where it is to be learned in training, take :class:`EMDTrainer`, or
    :class:`SelfGuidance` in a loop of one's own.

    Args:
        loss: "xe", "reg", "emd", "xemd", "xemd1", "xemd2" or "a-emd", as in :class:`EMDTrainingArguments`.
        ground_distance: (K, K) D as numbers, a :class:`LabelTree`, or a file or folder that has one; for "xemd" it is
            scaled to a mean of 1. With "emd" a tree is where the classes lie.
        options: further fields of :class:`EMDTrainingArguments` that concern the loss, such as `regularizer_weight`,
            `omega`, `mu`, `geometry`, `spacing`, `class_weights` or `label_smoothing_factor`.

    Returns:
        A function of what the model returns, of labels (B,) or (B, K), and of `num_items_in_batch`. Class indices of
        -100 do not count. Without `num_items_in_batch` it is the mean over the batch.

    Raises:
        ValueError: an option is out of its range or does not go with the loss; a loss needs a D or a number for
            `regularizer_weight` and has none; when called: labels or D do not fit the logits.

    Examples:
        >>> func = compute_loss_func("emd")
        >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> func({"logits": logits}, torch.tensor([0]), num_items_in_batch=4)  # (0.25 + 0.0625) / 4
        tensor(0.0781)
    """
    if isinstance(ground_distance, (str, os.PathLike)):
        options["ground_distance"], ground_distance = os.fspath(ground_distance), None
    if loss in SELF_GUIDED and options.get("regularizer_weight", "auto") == "auto":
        raise ValueError(
            f"regularizer_weight of the loss {loss} must be a number here, because there is no jump start to measure "
            "it in. Take that of an earlier run of EMDTrainer, or 1."
        )
    args = LossArguments.of({"loss": loss} | options, unused=_UNUSED)
    args.jump_start_epochs = 0
    has_distance = ground_distance is not None or args.ground_distance is not None or args.geometry is not None
    if args.uses_ground_distance and not has_distance:
        raise ValueError(
            f"the loss {loss} needs a ground distance, which is not learned here: give ground_distance or geometry. "
            "learn_ground_distance(model, dataset) gives that of a trained model; EMDTrainer learns it in training."
        )
    return _LossFunction(args, ground_distance)


class _LossFunction:
    """See :func:`compute_loss_func`; the number of classes is that of the first logits."""

    def __init__(self, args: LossArguments, ground_distance: Any) -> None:
        self.args, self.ground_distance = args, ground_distance
        self._criterion: EMDCriterion | None = None

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        if labels is None:
            raise ValueError(
                "the loss needs labels, which the Trainer did not give. Name the label column `label` or `labels`, and "
                'where the model takes none, set label_names=["labels"] among the arguments.'
            )
        logits = logits_of(outputs)
        num_classes = 1 if logits.dim() == 1 else logits.shape[1]
        if self._criterion is None or self._criterion.device != logits.device:
            given = self.ground_distance
            self._criterion = EMDCriterion(self.args, num_classes, ground_distance=given, device=logits.device)
            self._criterion.begin(0, 0, None)  # There is no jump start.
        counted = None
        if labels.dim() == 1 and not labels.is_floating_point():
            counted = labels != _IGNORED  # (B,)
            labels = torch.where(counted, labels, 0)
        losses = sum(self._criterion(logits, labels).values())  # (B,)
        if counted is not None:
            losses = torch.where(counted, losses, 0)
        if num_items_in_batch is None:
            return losses.sum() / (len(losses) if counted is None else counted.sum().clamp(min=1))
        if labels.dim() == 2:  # Trainer counts their entries.
            num_items_in_batch = num_items_in_batch / labels.shape[1]
        return losses.sum() / num_items_in_batch
