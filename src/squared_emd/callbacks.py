"""When D is refreshed: the callback between the Trainer's epochs and the criterion."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .criterion import EMDCriterion

__all__ = ["GroundDistanceCallback"]


class GroundDistanceCallback(TrainerCallback):
    """Refreshes D at the end of every epoch on every rank, by one all-reduce of class sums and counts.

    `EMDTrainer` adds it by itself. With the epoch strategies, evaluation and checkpoint come after the refresh.

    Args:
        criterion: the criterion of the run; its D, lambda and SDD change here.
    """

    def __init__(self, criterion: EMDCriterion) -> None:
        self.criterion = criterion

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin anew, and refuse a run that would end within its jump start.

        Raises:
            ValueError: the run has no epoch after the jump start.
        """
        self.criterion.args.check_jump_start(state.num_train_epochs)
        if state.global_step == 0:
            self.criterion.restart()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refresh D in the middle of an epoch where `ground_distance_update_steps` asks for it."""
        every = self.criterion.args.ground_distance_update_steps
        if every is not None and state.global_step % every == 0:
            self.criterion.refresh()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refresh D, and fix lambda at the end of the jump start."""
        self.criterion.end_epoch()
