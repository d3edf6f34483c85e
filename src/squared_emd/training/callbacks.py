"""What happens between the Trainer's steps and epochs: D is refreshed and compared, NaN is noticed."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..ground_distance.learned import blocks_of_rows
from ..ground_distance.relatedness import note_on_relatedness
from .criterion import EMDCriterion
from .finite import FiniteCheck, local_part

__all__ = ["GroundDistanceCallback", "NonFiniteCallback"]

logger = logging.getLogger(__name__)


class GroundDistanceCallback(TrainerCallback):
    """Refreshes D at the end of every epoch on every rank, by one all-reduce of class sums and counts.

    `EMDTrainer` adds it by itself. With the epoch strategies, evaluation and checkpoint come after the refresh.

    Args:
        criterion: the criterion of the run; its D, lambda and SDD change here.
    """

    def __init__(self, criterion: EMDCriterion) -> None:
        self.criterion = criterion
        self._epoch = 0  # reached by this run; the criterion's goes back where the best model comes back
        self._noted = False  # that the classes are hardly related
        self._began_at: int | None = None  # step at which the running epoch began

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin anew, and refuse a run that would end within its jump start.

        Raises:
            ValueError: the run has no epoch after the jump start.
        """
        if state.global_step == 0:
            self.criterion.restart()
            self._noted = False
        self._epoch = self.criterion.epoch
        self.criterion.args.check_jump_start(state.num_train_epochs - self.criterion.first_epoch)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note where the epoch begins."""
        self._began_at = state.global_step

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Refresh D in the middle of an epoch where `ground_distance_update_steps` asks for it."""
        every = self.criterion.args.ground_distance_update_steps
        if every is not None and state.global_step % every == 0:
            self.criterion.refresh(end_epoch=False)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refresh D, fix lambda at the end of the jump start, and hold the ranks against each other.

        Raises:
            RuntimeError: D or lambda is not the same, to the bit, on every rank.
        """
        if control.should_training_stop and state.global_step == self._began_at:
            return  # a stream had nothing left: this was no epoch
        self.criterion.end_epoch()
        self._epoch = self.criterion.epoch
        check_in_step(self.criterion)
        self._note_relatedness(state)

    def _note_relatedness(self, state: TrainerState) -> None:
        """Say once, as soon as the regulariser is at work, where SDD says that D means little."""
        criterion = self.criterion
        if self._noted or criterion.in_jump_start or criterion.sdd_relative is None:
            return
        omega, mu = criterion.args.self_guided_parameters()
        note = note_on_relatedness(
            criterion.sdd_relative,
            int(criterion.centroids.known.sum()),
            omega=omega,
            mu=mu,
            regularizer_weight=criterion.regularizer_weight,
        )
        self._noted = note is not None
        if note is not None and state.is_world_process_zero:
            logger.warning(note)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say so where the run ended within its jump start: how many epochs a stream has only shows at its end."""
        epochs = self.criterion.args.jump_start_epochs if self.criterion.args.is_self_guided else 0
        if 0 < self._epoch <= epochs and state.is_world_process_zero:
            logger.warning(
                "The run ended within its jump start of %d epochs: all of it was plain cross-entropy. Raise max_steps, "
                "or lower jump_start_epochs.",
                epochs,
            )


class NonFiniteCallback(TrainerCallback):
    """Acts on NaN and infinite values as `nan_policy` says.

    `EMDTrainer` adds it by itself.

    Args:
        check: counts them while the loss is computed.
        policy: `raise` or `skip`.
        steps: after how many steps in a row without a finite sample `raise` ends the run.
    """

    def __init__(self, check: FiniteCheck, policy: str, steps: int) -> None:
        self.check = check
        self.policy = policy
        self.steps = steps

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Begin to count."""
        self.check.reset()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs: Any
    ) -> None:
        """Under `skip`, set a gradient that is not finite to 0; with fp16 the gradient scaler leaves the step out."""
        if self.policy == "raise" or args.fp16:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        finite = (norm.full_tensor() if hasattr(norm, "full_tensor") else norm).isfinite()
        for gradient in gradients:
            local = local_part(gradient)
            local.copy_(torch.where(finite, local, 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the step, and under `raise` end the run after too many without a finite sample.

        Raises:
            FloatingPointError: `steps` steps in a row had features or logits without one finite sample.
        """
        self.check.end_step()
        without = self.check.steps_without
        if self.policy == "raise" and without >= self.steps:
            raise FloatingPointError(
                f"for {without} steps, up to step {state.global_step}, all features or logits were NaN or infinite "
                "on this rank: the weights are most likely NaN. Lower learning_rate, raise warmup_steps, lower "
                "max_grad_norm, or look for NaN in the data; resume_from_checkpoint=True goes on from the last "
                "checkpoint. nan_policy='skip' leaves such steps out."
            )


def check_in_step(criterion: EMDCriterion) -> None:
    """Compare a digest of D and lambda over the ranks: 8 bytes each.

    Args:
        criterion: of this rank.

    Raises:
        RuntimeError: a rank has another one.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    own = torch.tensor([digest_of(criterion)], device=criterion.known.device)
    digests = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(digests, own)
    others = [rank for rank, other in enumerate(digests) if int(other) != int(digests[0])]
    if others:
        raise RuntimeError(
            f"after epoch {criterion.epoch} the ground distance or lambda of rank 0 is not that of ranks {others}; all "
            "must be the same to the bit. Give all ranks the same library versions and kind of device, and leave "
            "trainer.criterion alone while training."
        )


def digest_of(criterion: EMDCriterion) -> int:
    """A number that is another one, as good as surely, where a bit of D, lambda or the epoch is.

    Args:
        criterion: of this rank.

    Returns:
        56 bits of a SHA-256.
    """
    content = hashlib.sha256(repr((criterion.epoch, criterion.regularizer_weight)).encode())
    if criterion.ground_distance is not None:
        for _, rows in blocks_of_rows(criterion.ground_distance):  # never all of a large D at once
            content.update(rows.cpu().contiguous().numpy())
    return int.from_bytes(content.digest()[:7], "little")
