"""The jump start of a run: its first steps, of plain cross-entropy, over whose end lambda is measured."""

from __future__ import annotations

import logging
import math

from .arguments import EMDTrainingArguments

logger = logging.getLogger(__name__)


class JumpStart:
    """When the regularizer of a self-guided loss sets in (section 4.3), counted in optimizer steps."""

    def __init__(self, args: EMDTrainingArguments, is_given: bool) -> None:
        self.args = args
        self.is_given = is_given  # D is, so that it need not be learned first
        self.step = 0  # optimizer steps completed; the last one of an epoch counts when that has ended
        # The one that ends it; None before training, and until a stream was passed as often as jump_start_epochs says.
        self.last_step: int | None = None
        self.measurement_start: int | None = None  # the step from which on the automatic lambda is measured, to the end

    @property
    def is_running(self) -> bool:
        """Whether it is not over; never with another loss."""
        return self.args.is_self_guided and (self.last_step is None or self.step < self.last_step)

    @property
    def is_all_so_far(self) -> bool:
        """Whether no step so far had a regularizer, though later ones will."""
        return self.is_running or (self.args.is_self_guided and self.step == self.last_step)

    @property
    def is_measured(self) -> bool:
        """Whether the automatic lambda is being measured."""
        return self.is_running and self.measurement_start is not None and self.step >= self.measurement_start

    def begin(self, step: int, total_steps: int, epoch_steps: int | None, *, first_epoch: int, epoch: int) -> None:
        """Fix when it ends, where no checkpoint says so.

        The run has completed `step` of `total_steps`, and `epoch` epochs after the `first_epoch`, where it began; of a
        stream nobody knows the `epoch_steps`.
        """
        self.step, args = step, self.args
        if not args.is_self_guided or (self.last_step is not None and args.jump_start_epochs is None):
            return
        start = step if epoch_steps is None else first_epoch * epoch_steps
        steps = args.steps_of_jump_start(total_steps - start, epoch_steps)
        if steps is None:
            self._count_passes(epoch)
            return
        if epoch_steps is not None:
            args.check_jump_start((total_steps - start) / epoch_steps)
        measures = args.fixed_regularizer_weight is None
        if measures:  # with a D, which is learned in the first of two steps where it is not given
            steps = max(steps, 1 if self.is_given else 2)
            num_measured = min(steps if self.is_given else steps // 2, epoch_steps or steps)
            self.measurement_start = start + steps - num_measured
        elif not self.is_given:
            steps = max(steps, 1)  # after which there is a D
        self._check_remainder(steps, total_steps - start)
        self.last_step = start + steps

    def reach(self, step: int, *, has_distance: bool) -> bool:
        """Count a step within an epoch; whether D has to be refreshed after it."""
        self.step = step
        return step == self.last_step or (step == self.measurement_start and not has_distance)

    def end_epoch(self, step: int, epoch: int) -> None:
        """Count the last step of an epoch, the `epoch`-th."""
        self.step = step
        if self.args.is_self_guided and self.last_step is None and self.args.jump_start_epochs is not None:
            self._count_passes(epoch)

    def _check_remainder(self, steps: int, run_steps: int) -> None:
        """Raise a ValueError if nothing comes after the steps that were asked for; warn where nobody asked."""
        if steps < run_steps:
            return
        args = self.args
        message = (
            f"the loss {args.loss} needs more optimizer steps than its jump start of {steps}, or the run would be "
            f"plain cross-entropy; this run has {run_steps}. Raise num_train_epochs (or max_steps)"
        )
        if args.jump_start_epochs is not None or args.jump_start_ratio is not None:
            raise ValueError(f"{message}, or lower jump_start_epochs (or jump_start_ratio).")
        if run_steps > 0 and args.should_log:
            logger.warning("%s.", message)

    def _count_passes(self, epoch: int) -> None:
        """End after so many passes of a stream, in the last of which lambda is measured."""
        epochs, measures = math.ceil(self.args.jump_start_epochs), self.args.fixed_regularizer_weight is None
        if measures and not self.is_given and epochs < 2:
            raise ValueError(
                'regularizer_weight="auto" is measured in the last epoch of the jump start, with the D of the epoch '
                "before; where the steps of an epoch are not known, jump_start_epochs must be at least 2, got "
                f"{epochs}. Give more, or a number for regularizer_weight."
            )
        if epoch < epochs:
            self.last_step = None
        elif self.last_step is None:
            self.last_step = self.step + (epochs == 0 and not self.is_given)  # There is no D yet.
        if measures and epoch >= epochs - 1 and self.measurement_start is None:
            self.measurement_start = self.step
