"""`GroundDistanceCallback`: refreshes D at the end of every epoch on every rank, and compares the ranks."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from ..ground_distance.learned import blocks_of_rows
from ..ground_distance.relatedness import note_on_relatedness
from .arguments import SELF_GUIDED
from .criterion import EMDCriterion

__all__ = ["GroundDistanceCallback", "check_ranks_agree", "digest_of"]

logger = logging.getLogger(__name__)


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

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
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

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget which evaluation was the best one as long as the jump start has brought it."""
        if self.criterion.jump_start.is_all_so_far:
            state.best_metric = state.best_global_step = state.best_model_checkpoint = None

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refresh D within an epoch, where the criterion needs it."""
        ends_epoch = self._epoch_steps is not None and state.global_step % self._epoch_steps == 0
        self.criterion.end_step(state.global_step, ends_epoch=ends_epoch)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refresh D, fix lambda at the end of the jump start, and compare both across ranks."""
        if control.should_training_stop and state.global_step == self._first_step:
            return  # A stream was exhausted: this was no epoch.
        self.criterion.end_epoch(state.global_step)
        check_ranks_agree(self.criterion)
        self._warn_of_unrelated_classes(state)

    def _warn_of_unrelated_classes(self, state: TrainerState) -> None:
        """Once the regularizer is active, warn a single time if SDD says that D carries little information."""
        criterion = self.criterion
        of_ranks = criterion.args.loss in SELF_GUIDED
        if (
            self._has_warned
            or not of_ranks
            or criterion.jump_start.is_running
            or criterion.distance.sdd_relative is None
        ):
            return
        omega, mu = criterion.args.self_guided_parameters()
        note = note_on_relatedness(
            criterion.distance.sdd_relative,
            int(criterion.distance.centroids.known.sum()),
            omega=omega,
            mu=mu,
            regularizer_weight=criterion.regularizer_weight,
        )
        self._has_warned = note is not None
        if note is not None and state.is_world_process_zero:
            logger.warning(note)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
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
