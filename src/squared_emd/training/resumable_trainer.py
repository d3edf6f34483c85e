"""A Trainer whose interrupted runs end as the uninterrupted ones, on any number of ranks."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import broadcast_object_list
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback
from transformers.trainer_utils import TrainOutput, has_length, rotate_checkpoints
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from .checkpoints import STATE_FILE, last_whole_checkpoint, load_weights, mark_whole, unmark, what_is_missing
from .seeded_trainer import SeededTrainer

__all__ = ["ResumableTrainer"]

logger = logging.getLogger(__name__)


class ResumableTrainer(SeededTrainer):
    """A `SeededTrainer` whose interrupted runs end as those that were not.

    A checkpoint is whole or passed over, and the older ones are deleted only once it is whole. Weights come back under
    the names that the architecture has in files. The log goes on where it was cut, and so does a stream.

    A subclass adds to `sums_since_log` what it wants in the log, and gives its own state by `own_state`.

    Attributes:
        sums_since_log: by name, a scalar on the device: this rank's sum over the steps since the last log.
        sums_to_log: those of all ranks, while the log is written.
        steps_to_log: the steps that they are of.
        written: the checkpoints that this process has written.
    """

    own_sums: tuple[str, ...] = ()  # entries of `own_state` that are to be added up over the ranks

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args.enable_jit_checkpoint:
            raise ValueError(
                "enable_jit_checkpoint saves in the middle of a step, where the running sums hold part of it. Use "
                "save_strategy='steps': a run that is killed goes on from its last checkpoint, to the bit."
            )
        if self.args.use_cpu and self.args.world_size > 1:  # there transformers passes ddp_timeout over
            dist.set_timeout(self.args.ddp_timeout_delta)
        self.sums_since_log: dict[str, Tensor] = {}
        self.sums_to_log: dict[str, float] = {}
        self.steps_to_log = 0
        self.written: set[str] = set()
        self._last_step: tuple[Tensor | float | None, float | None] = None, None  # its gradient norm and learning rate
        self._epochs_ended = 0
        self._steps_in_epoch = 0
        self._is_over = False  # a resumed run has nothing left to train
        self._train_loss = 0.0  # mean over all steps of the run
        self._resumed: tuple[str, dict[str, Tensor]] | None = None  # a checkpoint and its state, until training begins
        self._random_state_is_set = False
        self.add_callback(_Around(weakref.proxy(self)))  # a cycle would hold up the end of DataLoader's workers

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer`; half-written checkpoints are passed over, with a message.

        Args:
            resume_from_checkpoint: a checkpoint, or True for the last whole one in `output_dir`.
            args: as `Trainer` takes them.
            kwargs: as `Trainer` takes them.

        Raises:
            ValueError: there is no whole checkpoint, or the one that is named is not whole.
        """
        self._random_state_is_set = False
        if resume_from_checkpoint is True:
            found = [last_whole_checkpoint(self.args.output_dir)]
            resume_from_checkpoint = broadcast_object_list(found)[0]  # of the first rank: all go on from the same
            if resume_from_checkpoint is None:
                raise ValueError(
                    f"resume_from_checkpoint=True needs a whole checkpoint in {self.args.output_dir}; there is none. "
                    "Start without it."
                )
        elif resume_from_checkpoint:
            resume_from_checkpoint = os.fspath(resume_from_checkpoint)
            missing = what_is_missing(resume_from_checkpoint)
            if missing is not None:
                raise ValueError(
                    f"resume_from_checkpoint must name a whole checkpoint; {resume_from_checkpoint} is none: "
                    f"{missing}. resume_from_checkpoint=True takes the last whole one of output_dir."
                )
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def own_state(self) -> dict[str, Tensor]:
        """What a resumed run needs besides weights, optimizer and log; the entries `own_sums` are those of this rank.

        Called on every rank before a checkpoint is written; what it raises keeps the checkpoint from being written.
        """
        return {}

    def load_own_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        """Take over what :meth:`own_state` gave; the first rank gets the sums of all ranks, the others zeros.

        Args:
            state: or None where the checkpoint is one of the plain `Trainer`.
            checkpoint: its folder.

        Returns:
            Whether it was taken over; if not, the log begins anew.
        """
        return state is not None

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_folder, limit = self._get_output_dir(trial=trial), self.args.save_total_limit
        folder = os.path.join(run_folder, f"checkpoint-{self.state.global_step}")
        if self.args.should_save:
            unmark(folder)
        try:
            self._write_state(folder)
            self.args.save_total_limit = None  # the older ones go when this one is whole
            super()._save_checkpoint(model, trial)
        except Exception as error:
            logger.error(
                "%s could not be written (%s: %s). The last whole one is %s: resume_from_checkpoint=True goes on from "
                "there.",
                folder,
                type(error).__name__,
                error,
                last_whole_checkpoint(run_folder),
            )
            raise
        finally:
            self.args.save_total_limit = limit
        self._mark_whole(folder)
        if self.args.should_save:
            rotate_checkpoints(run_folder, limit, self.state.best_model_checkpoint, use_mtime=True)

    def _mark_whole(self, folder: str) -> None:
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(folder)
            self.written.add(folder)

    def _write_state(self, folder: str) -> None:
        # The sums are those of all ranks. Every rank then goes on as a resumed run would: the first one with the sums,
        # the others with zeros. So both do the same arithmetic.
        own = self.own_state()
        for name in self.own_sums:
            if name in own:
                own[name] = self.accelerator.reduce(own[name], "sum")
        names, sums = self._reduce_sums()
        log = {f"sum.{name}": total.clone() for name, total in zip(names, sums, strict=True)}
        log["loss"] = self.accelerator.reduce(self._tr_loss.clone(), "mean").to(self._tr_loss.dtype)
        log["total_loss"] = torch.tensor(self._total_loss_scalar, dtype=torch.float64)
        log["step"] = torch.tensor(self._globalstep_last_logged)
        log["epochs_ended"] = torch.tensor(self._epochs_ended)
        log["steps_in_epoch"] = torch.tensor(self._steps_in_epoch)
        for name, value in zip(("grad_norm", "learning_rate"), self._last_step, strict=True):
            if value is not None:
                log[name] = torch.tensor(float(value), dtype=torch.float64)
        state = own | {f"log.{name}": value for name, value in log.items()}
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            save_file({name: tensor.cpu() for name, tensor in state.items()}, os.path.join(folder, STATE_FILE))
        if self.accelerator.num_processes > 1:
            self._load_own_part(state, folder)
            self._take_up_sums(state)

    def _reduce_sums(self) -> tuple[list[str], Tensor]:
        names = sorted(self.sums_since_log)
        if not names:
            return [], torch.zeros(0)
        return names, self.accelerator.reduce(torch.stack([self.sums_since_log[name] for name in names]), "sum")

    def _load_state(self, checkpoint: str) -> dict[str, Tensor] | None:
        path = os.path.join(checkpoint, STATE_FILE)
        state = load_file(path) if os.path.isfile(path) else None
        return state if self._load_own_part(state, checkpoint) else None

    def _load_own_part(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        if state is None:
            return self.load_own_state(None, checkpoint)
        own = {name: value for name, value in state.items() if not name.startswith("log.")}
        if not self.is_world_process_zero():
            own = {name: torch.zeros_like(value) if name in self.own_sums else value for name, value in own.items()}
        return self.load_own_state(own, checkpoint)

    def _take_up_sums(self, state: dict[str, Tensor]) -> None:
        self._tr_loss.copy_(state["log.loss"])
        first = 1 if self.is_world_process_zero() else 0
        self.sums_since_log = {
            name.removeprefix("log.sum."): first * value.to(self.args.device)
            for name, value in state.items()
            if name.startswith("log.sum.")
        }

    def _init_training_state(self, *args: Any) -> tuple[int, int]:
        epochs, batches = super()._init_training_state(*args)
        checkpoint = args[3]
        if checkpoint is not None and not has_length(self.train_dataset):  # stock: as if it were one long epoch
            path = os.path.join(checkpoint, STATE_FILE)
            if os.path.isfile(path):
                with safe_open(path, "pt") as state:
                    epochs = int(state.get_tensor("log.epochs_ended"))
                    steps = int(state.get_tensor("log.steps_in_epoch"))
                batches = 0 if self.args.ignore_data_skip else steps * self.args.gradient_accumulation_steps
        return epochs, batches

    def _take_up_log(self) -> None:
        """Once a run is set up: continue the log where it was cut; end an epoch that only lacked its end."""
        resumed, self._resumed = self._resumed, None
        self._is_over = self.state.global_step >= self.state.max_steps
        if resumed is None:
            self.sums_since_log, self._epochs_ended, self._steps_in_epoch = {}, int(self.state.epoch or 0), 0
            return
        checkpoint, state = resumed
        self._take_up_sums(state)
        self._total_loss_scalar = float(state["log.total_loss"])
        self._globalstep_last_logged = int(state["log.step"])
        self._epochs_ended = int(state["log.epochs_ended"])
        self._steps_in_epoch = int(state["log.steps_in_epoch"])
        # A checkpoint of the last step of an epoch is written before that epoch ends.
        if self._steps_in_epoch > 0 and (self._is_over or self._epochs_ended < int(self.state.epoch)):
            control = self.control
            control.should_log = control.should_evaluate = control.should_save = False
            self._load_rng_state(checkpoint)  # evaluation draws from it, and the next epoch goes on from there
            self._random_state_is_set = True
            self.control = self.callback_handler.on_epoch_end(self.args, self.state, control)
            norm, rate = (state.get(name) for name in ("log.grad_norm", "log.learning_rate"))
            self._maybe_log_save_evaluate(
                self._tr_loss,
                None if norm is None else float(norm),
                self.model_wrapped,
                None,
                int(self.state.epoch) - 1,
                None,
                None,
                learning_rate=None if rate is None else float(rate),
            )
        self._is_over = self._is_over or self.control.should_training_stop

    def _run_epoch(self, **kwargs: Any) -> None:
        if self._is_over:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(**kwargs)

    def _finalize_training(self, *args: Any) -> TrainOutput:
        # Stock divides by the steps since the run was resumed.
        total = self._total_loss_scalar + self._tr_loss.item()
        self._train_loss = total / max(self.state.global_step, 1)
        return super()._finalize_training(*args)._replace(training_loss=self._train_loss)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; `train_loss` is the mean over the whole run, whether or not it was interrupted.

        Args:
            logs: the values to log.
            start_time: when training began.
        """
        if "train_loss" in logs:
            logs["train_loss"] = self._train_loss
        super().log(logs, start_time)

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Tensor | float | None, *args: Any, learning_rate: float | None = None
    ) -> None:
        self._last_step = grad_norm, learning_rate
        # The Trainer gathers its own loss over the ranks right after this, under the same condition.
        if self.control.should_log and self.state.global_step > self._globalstep_last_logged:
            names, sums = self._reduce_sums()
            self.sums_to_log = dict(zip(names, sums.tolist(), strict=True))
            self.steps_to_log = self.state.global_step - self._globalstep_last_logged
            self.sums_since_log = {}
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            state = self._load_state(checkpoint)
            self._resumed = None if state is None else (checkpoint, state)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if not self._random_state_is_set:
            super()._load_rng_state(checkpoint)
        self._random_state_is_set = False

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        model = self.model if model is None else model
        if not self._loads_as_pretrained(model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if not self._loads_as_pretrained(self.model, self.state.best_model_checkpoint):
            super()._load_best_model()
        self._load_state(self.state.best_model_checkpoint)

    def _loads_as_pretrained(self, model: nn.Module, folder: str) -> bool:
        plain = isinstance(model, PreTrainedModel) and not getattr(model, "hf_quantizer", None)
        saved = any(os.path.isfile(os.path.join(folder, name)) for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
        if not plain or not saved or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        load_weights(model, folder)
        return True


class _Around(TrainerCallback):
    """Tells the Trainer that training begins, with everything set up, and that a step or an epoch ended."""

    def __init__(self, trainer: ResumableTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._take_up_log()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._steps_in_epoch += 1

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._epochs_ended += 1
        self.trainer._steps_in_epoch = 0
