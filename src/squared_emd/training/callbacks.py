"""The callbacks of a run: D is refreshed, compared over ranks, drawn and put into the config; early stopping."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback
from transformers.trainer_callback import CallbackHandler
from transformers.trainer_utils import has_length

from ..ground_distance.learned import blocks_of_rows
from ..ground_distance.relatedness import note_on_relatedness
from ..ground_distance.saved import MAX_CLASSES_IN_CONFIG
from .arguments import SELF_GUIDED
from .config_entries import config_of, write_config_entries
from .criterion import EMDCriterion

logger = logging.getLogger(__name__)

_TAG = "ground_distance"  # of the figure in a tracker
_DPI = 100


class GroundDistanceCallback(TrainerCallback):
    """Refreshes D at the end of every epoch on every rank, by one all-reduce of class sums and counts.

    `EMDTrainer` has it by itself while it trains. With the epoch strategies, evaluation and checkpoint come after the
    refresh. The all-reduce is `ClassCentroids.all_reduce`, which `EMDCriterion.refresh` calls.

    Args:
        criterion: the criterion of the run; its D, lambda and SDD change here.
    """

    def __init__(self, criterion: EMDCriterion) -> None:
        self.criterion = criterion
        self._has_warned = False  # that the classes are hardly related
        self._first_step: int | None = None  # of the running epoch
        self._epoch_steps: int | None = None  # of an epoch; None: of a stream, nobody knows

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Reset what was learned before a new run."""
        if state.global_step == 0:
            self.criterion.restart()
            self._has_warned = False
        self._first_step = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remember the step at which the epoch begins; reject a run that would end within its jump start."""
        if self._first_step is None:  # What a resumed run goes on from is loaded by now.
            loader = kwargs.get("train_dataloader")
            has_epochs = loader is not None and has_length(loader)
            self._epoch_steps = max(-(-len(loader) // args.gradient_accumulation_steps), 1) if has_epochs else None
            self.criterion.begin(state.global_step, state.max_steps, self._epoch_steps)
        self._first_step = state.global_step

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Forget which evaluation was the best one as long as the jump start has brought it."""
        if self.criterion.jump_start.is_all_so_far:
            state.best_metric = state.best_global_step = state.best_model_checkpoint = None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refresh D within an epoch, where the criterion needs it."""
        ends_epoch = self._epoch_steps is not None and state.global_step % self._epoch_steps == 0
        self.criterion.end_step(state.global_step, ends_epoch=ends_epoch)

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refresh D, fix lambda at the end of the jump start, and compare both across ranks."""
        if control.should_training_stop and state.global_step == self._first_step:
            return  # A stream was exhausted: this was no epoch.
        self.criterion.end_epoch(state.global_step)
        check_ranks_agree(self.criterion)
        if not self._has_warned:
            self._warn_of_unrelated_classes(state)

    def _warn_of_unrelated_classes(self, state: TrainerState) -> None:
        """Once the regularizer is active, warn if SDD says that D carries little information."""
        args, distance = self.criterion.args, self.criterion.distance
        if args.loss not in SELF_GUIDED or self.criterion.jump_start.is_running or distance.sdd_relative is None:
            return
        omega, mu = args.self_guided_parameters()
        note = note_on_relatedness(
            distance.sdd_relative,
            int(distance.centroids.known.sum()),
            omega=omega,
            mu=mu,
            regularizer_weight=self.criterion.regularizer_weight,
        )
        self._has_warned = note is not None
        if note is not None and state.is_world_process_zero:
            logger.warning(note)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Warn if the run ended within its jump start: how long a stream is, is known only at its end."""
        if self.criterion.jump_start.is_all_so_far and state.global_step > 0 and state.is_world_process_zero:
            logger.warning(
                "The run ended within its jump start: all of it was plain cross-entropy. Raise max_steps, or lower "
                "jump_start_epochs or jump_start_ratio."
            )


def check_ranks_agree(criterion: EMDCriterion) -> None:
    """Raise a RuntimeError unless D and lambda are the same to the bit on all ranks, which exchange 8 bytes each."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    local = torch.tensor([digest_of(criterion)], device=criterion.distance.known.device)
    digests = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(digests, local)
    others = [rank for rank, other in enumerate(digests) if int(other) != int(digests[0])]
    if others:
        raise RuntimeError(
            f"after epoch {criterion.epoch} the ground distance or lambda of rank 0 is not that of ranks {others}; all "
            "must be the same to the bit. Give all ranks the same library versions and kind of device, and leave "
            "trainer.criterion alone while training."
        )


def digest_of(criterion: EMDCriterion) -> int:
    """56 bits of a SHA-256 over D, lambda and the epoch."""
    content = hashlib.sha256(repr((criterion.epoch, criterion.regularizer_weight)).encode())
    if criterion.ground_distance is not None:
        for _, rows in blocks_of_rows(criterion.ground_distance):  # never all of a large D at once
            content.update(rows.cpu().contiguous().numpy())
    return int.from_bytes(content.digest()[:7], "little")


class ConfigWriter(TrainerCallback):
    """Puts the D of each epoch into the config that is in use, before the callbacks of others save the model.

    A D that does not fit into the config is digested once, when training ends: it takes seconds and memory.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, *args: Any, model: nn.Module | None = None, **kwargs: Any) -> None:
        emd = getattr(config_of(model), "emd", None) or {}
        emd.pop("intervals", None)  # They are of the weights before.

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        if self.trainer.criterion.num_classes <= MAX_CLASSES_IN_CONFIG:
            write_config_entries(self.trainer, None)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        write_config_entries(self.trainer, None)  # That of the best model.


class GroundDistanceFigures(TrainerCallback):
    """Logs D to TensorBoard, Trackio or Weights & Biases at the end of each epoch in which it was refreshed.

    Only the main process draws, and only if such a tracker is active. Without the extra `plot` it warns once.
    """

    def __init__(self, criterion: EMDCriterion, handler: CallbackHandler) -> None:
        self.criterion = criterion
        self.handler = handler
        self._last_epoch = 0  # of the criterion, that was drawn
        self._can_draw = True

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        criterion = self.criterion
        is_refreshed = criterion.learns_ground_distance and criterion.epoch != self._last_epoch
        if not state.is_world_process_zero or not is_refreshed or criterion.ground_distance is None:
            return
        self._last_epoch = criterion.epoch
        senders = [send for callback in self.handler.callbacks if (send := _sender(callback)) is not None]
        if senders and self._can_draw:
            try:
                image = self._draw()
            except ImportError as error:
                logger.warning("The ground distance is not drawn in the experiment tracker: %s", error)
                self._can_draw = False
                return
            for send in senders:
                send(image, state.global_step)

    def _draw(self) -> Any:
        from ..plot import heat_map, render

        criterion = self.criterion
        title = f"D after epoch {criterion.epoch}"
        if criterion.distance.sdd_relative is not None:
            title += f", SDD / mean distance {criterion.distance.sdd_relative:.3f}"
        return render(heat_map(criterion.ground_distance, class_names=criterion.class_names, title=title), _DPI)


def _sender(callback: TrainerCallback) -> Callable[[Any, int], None] | None:
    """What sends an image of Pillow to the tracker of a callback; None if it has none, or none that is active."""
    if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
        return lambda image, step: callback.tb_writer.add_image(_TAG, np.asarray(image), step, dataformats="HWC")
    if isinstance(callback, WandbCallback):
        import wandb as tracker

        if tracker.run is None:
            return None
    elif isinstance(callback, TrackioCallback):
        import trackio as tracker
    else:
        return None
    return lambda image, step: tracker.log({_TAG: tracker.Image(image), "train/global_step": step})


class EMDEarlyStopping(EarlyStoppingCallback):
    """`EarlyStoppingCallback` for a run of `EMDTrainer`: ends it after some evaluations in a row without improvement.

    The metric is `metric_for_best_model`. An error, such as `eval_mae`, has to fall and any other metric but the loss
    to rise, unless `greater_is_better` says otherwise. The evaluations of the jump start do not count, because the
    network is then one of plain cross-entropy, and may be better than the first ones with the regularizer; that
    is the part of `GroundDistanceCallback`, which `EMDTrainer` has by itself.

    Args:
        early_stopping_patience: evaluations without improvement after which the run ends, at least 1.
        early_stopping_threshold: by how much the metric has to improve.

    Raises:
        ValueError: the patience is not as above; when training begins, there is no metric or no evaluation.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0) -> None:
        if early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1 evaluation, got {early_stopping_patience}.")
        super().__init__(early_stopping_patience, early_stopping_threshold)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Reject a run whose evaluations cannot be compared."""
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise ValueError(
                "early stopping compares evaluations by a metric: it needs metric_for_best_model, as in 'mae', and an "
                f"eval_strategy of 'epoch' or 'steps'; got {args.metric_for_best_model!r} and "
                f"{getattr(args.eval_strategy, 'value', args.eval_strategy)!r}."
            )
        super().on_train_begin(args, state, control, **kwargs)
