"""The losses for trainers and loops that are not `EMDTrainer`: given a ground distance, or learning it on the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import logits_of
from .arguments import SELF_GUIDED, EMDTrainingArguments, own_fields
from .callbacks import check_ranks_agree
from .config_entries import emd_block, write_entries
from .criterion import EMDCriterion

# Fields that mean nothing outside EMDTrainer, and those that only what learns a D has a use for.
_UNUSED = ("balanced_sampling", "ground_distance_update_steps", "head", "jump_start_ratio", "nan_policy", "nan_steps")
_OF_LEARNING = ("jump_start_epochs", "prior_decay", "prior_weight", "rank", "regularizer_ratio")
_IGNORED = -100  # a label that does not count, as in `torch.nn.functional.cross_entropy`


@dataclass
class _LossArguments(EMDTrainingArguments):
    """The fields that concern the loss: no device is looked for, nothing is connected."""

    def __post_init__(self) -> None:
        self.check_fields()

    @classmethod
    def of(
        cls, options: Mapping[str, Any], ground_distance: Any, unused: Sequence[str] = ()
    ) -> tuple[_LossArguments, Any]:
        """What a user gives by name, but for the `unused` fields, and a D that is no file."""
        known = [name for name in own_fields() if name not in (*_UNUSED, *unused)]
        if others := sorted(options.keys() - known):
            raise TypeError(f"there is no option {', '.join(others)} here. There are: {', '.join(known)}.")
        if isinstance(ground_distance, (str, os.PathLike)):
            options, ground_distance = {**options, "ground_distance": os.fspath(ground_distance)}, None
        args = cls(**options)
        if args.weights_by_count is not None:
            raise ValueError(
                f"class_weights must be numbers here, got {args.class_weights[0]!r}: no dataset is known to count in. "
                "class_weights_from_counts gives them."
            )
        return args, ground_distance


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
    if loss in SELF_GUIDED and options.get("regularizer_weight", "auto") == "auto":
        raise ValueError(
            f"regularizer_weight of the loss {loss} must be a number here, because there is no jump start to measure "
            "it in. Take that of an earlier run of EMDTrainer, or 1."
        )
    args, ground_distance = _LossArguments.of({"loss": loss} | options, ground_distance, _OF_LEARNING)
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

    def __init__(self, args: _LossArguments, ground_distance: Any) -> None:
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


class SelfGuidance:
    """A self-guided loss that learns its ground distance, for a loop that is not `Trainer`'s.

    Called with logits and labels it gives the loss: cross-entropy in the jump start, and after it with the regularizer
    under the D of the last epoch (Hou et al. 2016, Eq. 16, or the energy distance for "xemd"). `update` takes the
    features of a training batch, which :class:`HeadInput` gives, and `end_epoch` refreshes D, on all ranks of
    `torch.distributed` by one all-reduce. It is what :class:`EMDTrainer` does, and gives the same numbers.

    It follows the logits to their device. `accelerator.register_for_checkpointing` takes it as it is.

    Args:
        num_classes: K.
        loss: "xemd", "xemd1" or "xemd2", as in :class:`EMDTrainingArguments`.
        jump_start_epochs: first epochs with cross-entropy alone. Default: 1 for "xemd", else 4, the paper's.
        ground_distance: (K, K) D as numbers, a :class:`LabelTree`, or a file or folder that has one: given, and for
            "xemd" blended with what is learned.
        class_names: (K,) names, for messages.
        options: further fields of :class:`EMDTrainingArguments` that concern the loss, such as `regularizer_weight`,
            `omega`, `mu`, `rank`, `geometry`, `prior_weight` or `class_weights`.

    Raises:
        ValueError: another loss; an option is out of its range or does not go with the others.

    Examples:
        >>> guidance = SelfGuidance(2, jump_start_epochs=1, regularizer_weight=1)
        >>> logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
        >>> guidance(logits, labels)  # log 2
        tensor(0.6931)
        >>> guidance.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), labels)
        >>> guidance.end_epoch()
        >>> guidance.ground_distance
        tensor([[0., 1.],
                [1., 0.]], dtype=torch.float64)
        >>> guidance(logits, labels)  # log 2 + 1/2 * 1 - 1/2 * 2 * 1/4
        tensor(0.9431)
    """

    def __init__(
        self,
        num_classes: int,
        loss: str = "xemd",
        *,
        jump_start_epochs: int | None = None,
        ground_distance: Any = None,
        class_names: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        if loss not in ("xemd", "xemd1", "xemd2"):
            raise ValueError(
                f"loss must be xemd, xemd1 or xemd2, which learn a ground distance, got {loss!r}. compute_loss_func "
                "and squared_emd.losses have the others."
            )
        if jump_start_epochs is None:
            jump_start_epochs = 1 if loss == "xemd" else 4
        options |= {"loss": loss, "jump_start_epochs": jump_start_epochs}
        self._args, ground_distance = _LossArguments.of(options, ground_distance)
        self._fixed = {"class_names": class_names, "ground_distance": ground_distance}
        self._criterion = EMDCriterion(self._args, num_classes, **self._fixed)
        self._criterion.begin(0, 0, None)  # Epochs are counted, as the passes of a stream.

    @property
    def ground_distance(self) -> Tensor | None:
        """(K, K) float64 D of the last epoch, or the given one; None: there is none yet."""
        return self._criterion.ground_distance

    @property
    def regularizer_weight(self) -> float | None:
        """Lambda; None where it is still to be measured, at the end of the jump start."""
        return self._criterion.regularizer_weight

    @property
    def sdd(self) -> float | None:
        """The standard deviation of the distances behind D (section 4.7); None before the first epoch has ended."""
        return self._criterion.distance.sdd

    @property
    def epoch(self) -> int:
        """Epochs that have ended."""
        return self._criterion.epoch

    @property
    def in_jump_start(self) -> bool:
        """Whether the loss is cross-entropy alone."""
        return self._criterion.jump_start.is_running

    def __call__(self, logits: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
        """The loss of a batch.

        Args:
            logits: (B, K) scores, any floating dtype. Where they need no gradient, nothing is measured.
            labels: (B,) class indices, or (B, K) target distributions.
            reduction: "mean", "sum" or "none".

        Returns:
            A scalar, or (B,) for "none".

        Raises:
            ValueError: shapes, labels or `reduction` are not as above.
        """
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}.')
        self._follow(logits.device)
        self._criterion.train(logits.requires_grad)
        losses = sum(self._criterion(logits, labels).values())  # (B,)
        return losses if reduction == "none" else getattr(losses, reduction)()

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add the features of a training batch to the class centroids.

        Args:
            features: (B, d) inputs of the classifier head, as :meth:`HeadInput.take` gives them.
            labels: (B,) class indices, or (B, K) target distributions. Leave out samples that are in the batch twice.
        """
        self._follow(features.device)
        self._criterion.observe(features, labels)

    def end_epoch(self) -> None:
        """Refresh D from the features of the epoch; at the end of the jump start fix lambda. Every rank calls it.

        Raises:
            ValueError: lambda is to be measured, and the regularizer was 0 or NaN.
            RuntimeError: D is not the same on all ranks, or a rank has seen no batch.
        """
        self._criterion.end_epoch(self.epoch + 1)
        check_ranks_agree(self._criterion)

    def state_dict(self) -> dict[str, Tensor]:
        """All that a resumed run needs. At the end of an epoch it is the same on all ranks; within one, each has its
        own running sums.
        """
        return self._criterion.state()

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            ValueError: it is of another loss, or of another number of classes.
        """
        if not self._criterion.resume(state_dict, 0):
            raise ValueError(f"the state must be of a run with the loss {self._args.loss}, it is of another one.")

    def write_config(self, model: nn.Module, folder: str | os.PathLike[str] | None = None) -> None:
        """Put D and how it was learned into the config of a model that is about to be saved, as `EMDTrainer` does.

        Args:
            model: without its wrappers.
            folder: where it is saved: above 256 classes, and of adapters and plain modules, D is a file there.
        """
        block = emd_block(model, self._criterion, has_distance=self.ground_distance is not None)
        block.pop("intervals", None)  # They are of the weights before.
        write_entries(None if folder is None else os.fspath(folder), model, self.ground_distance, block)

    def _follow(self, device: torch.device) -> None:
        """Move to the device of the model."""
        if device != self._criterion.device:
            state, num_classes = self._criterion.state(), self._criterion.num_classes
            self._criterion = EMDCriterion(self._args, num_classes, **self._fixed, device=device)
            self._criterion.resume(state, 0)
