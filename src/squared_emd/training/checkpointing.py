"""A mixin for `Trainer` whose interrupted runs end as the uninterrupted ones, on any number of ranks."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback
from transformers.trainer_utils import TrainOutput, has_length, rotate_checkpoints
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from ..hub.main_process import on_main_process
from .checkpoints import MANIFEST, STATE_FILE, checkpoint_to_resume, load_weights, mark_complete, why_not_written

__all__ = ["CheckpointingMixin"]

logger = logging.getLogger(__name__)

_LAST_STEP = ("grad_norm", "learning_rate")  # of the last step, as it is logged


class CheckpointingMixin:
    """To be put before `Trainer`: `class MyTrainer(CheckpointingMixin, Trainer)`.

    - A checkpoint is complete or skipped, and older ones are deleted only once it is complete.
    - Weights are loaded under the names that the architecture has in files.
    - The log is continued where it was interrupted, and so is a stream.

    A subclass adds to `log_sums` what it logs, and gives its own state by :meth:`checkpoint_state`.

    Attributes:
        summed_state: entries of `checkpoint_state` that are added up over the ranks.
        log_sums: by name, a scalar on the device: this rank's sum over the steps since the last log.
        reduced_log_sums: those of all ranks, while the log is written.
        steps_to_log: the steps that they are of.
        last_checkpoint: that this process has written in this training.
    """

    summed_state: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.args.enable_jit_checkpoint:
            raise ValueError(
                "enable_jit_checkpoint saves in the middle of a step, where the running sums hold part of it. Use "
                "save_strategy='steps': a run that is killed resumes from its last checkpoint, to the bit."
            )
        if self.args.use_cpu and self.args.world_size > 1:  # there transformers ignores ddp_timeout
            dist.set_timeout(self.args.ddp_timeout_delta)
        self.log_sums: dict[str, Tensor] = {}
        self.reduced_log_sums: dict[str, float] = {}
        self.steps_to_log = 0
        self.last_checkpoint: str | None = None
        self._last_step: dict[str, Tensor | float] = {}
        self._epochs_ended = 0
        self._steps_in_epoch = 0
        self._is_over = False  # a resumed run has nothing left to train
        self._resumed_from: str | None = None
        self._stream_position: tuple[int, int] | None = None  # epochs and steps, where a stream is resumed
        self._restored_generators = False

    def checkpoint_state(self) -> dict[str, Tensor]:
        """What a resumed run needs besides weights, optimizer and log; the entries `summed_state` are of this rank.

        Called on every rank before a checkpoint is written; what it raises keeps the checkpoint from being written.
        """
        return {}

    def load_checkpoint_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        """Restore what :meth:`checkpoint_state` gave; the main process gets the sums of all ranks, the others zeros.

        Args:
            state: or None where the checkpoint is one of a plain `Trainer`.
            checkpoint: its folder.

        Returns:
            Whether it was restored; if not, the log begins anew.
        """
        return state is not None

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As `Trainer`; incomplete checkpoints are skipped with a warning, and the loss is the mean of the whole run.

        Raises:
            ValueError: there is no complete checkpoint, or the given one is incomplete.
        """
        if resume_from_checkpoint:  # all ranks resume from the same one, and one of them reads it through
            find = partial(checkpoint_to_resume, resume_from_checkpoint, self.args.output_dir)
            resume_from_checkpoint = on_main_process(find, ValueError)
        self._resumed_from = resume_from_checkpoint or None
        self._stream_position, self._restored_generators = None, False
        self.add_callback(progress := _Progress(self))  # the last: a run is restored when all the others have begun
        try:
            output = super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self.pop_callback(progress)
        return output._replace(training_loss=output.metrics["train_loss"])

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; `train_loss` is the mean over the whole run, whether or not it was interrupted."""
        if "train_loss" in logs:  # Trainer divides by the steps since the run was resumed
            logs["train_loss"] = self._total_loss_scalar / max(self.state.global_step, 1)
        super().log(logs, start_time)

    # Writing a checkpoint

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_folder, limit = self._get_output_dir(trial=trial), self.args.save_total_limit
        folder = os.path.join(run_folder, f"checkpoint-{self.state.global_step}")
        if self.args.should_save:
            Path(folder, MANIFEST).unlink(missing_ok=True)
        try:
            self._write_state(folder)
            self.args.save_total_limit = None  # the older ones are deleted when this one is complete
            super()._save_checkpoint(model, trial)
        except _AnotherRankFailed:
            raise
        except Exception as error:
            logger.error("%s", why_not_written(folder, error))
            self.complete_checkpoint(folder, error)
        finally:
            self.args.save_total_limit = limit
        self.complete_checkpoint(folder)
        if self.args.should_save:
            rotate_checkpoints(run_folder, limit, self.state.best_model_checkpoint, use_mtime=True)

    def complete_checkpoint(self, folder: str, error: Exception | None = None) -> None:
        """Write the manifest of a checkpoint, once all ranks have written their part; where one could not, all end."""
        failed = torch.tensor(int(error is not None), device=self.args.device)
        if self.accelerator.reduce(failed, "sum"):  # which waits for all
            raise error or _AnotherRankFailed(f"another rank could not write its part of {folder}; its log says why.")
        if self.args.should_save:
            if not Path(folder, MANIFEST).exists():  # one that is pushed has it already
                mark_complete(folder)
            self.last_checkpoint = folder

    def _write_state(self, folder: str) -> None:
        # The sums are those of all ranks. Every rank then continues as a resumed run would: the main process with the
        # sums, the others with zeros. So both do the same arithmetic.
        own = self.checkpoint_state()
        for name in self.summed_state:
            if name in own:
                own[name] = self.accelerator.reduce(own[name], "sum")
        names, sums = self._reduce_log_sums()
        log = {f"sum.{name}": total.clone() for name, total in zip(names, sums, strict=True)}
        log["loss"] = self.accelerator.reduce(self._tr_loss.clone(), "mean").to(self._tr_loss.dtype)
        log["step"] = torch.tensor(self._globalstep_last_logged)
        log["epochs_ended"] = torch.tensor(self._epochs_ended)
        log["steps_in_epoch"] = torch.tensor(self._steps_in_epoch)
        values = {"total_loss": self._total_loss_scalar, **self._last_step}
        log |= {name: torch.tensor(float(value), dtype=torch.float64) for name, value in values.items()}
        state = own | {f"log.{name}": value for name, value in log.items()}
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            save_file({name: tensor.cpu() for name, tensor in state.items()}, os.path.join(folder, STATE_FILE))
        if self.accelerator.num_processes > 1:
            self._load_state(state, folder)
            self._load_log_sums(state)

    def _reduce_log_sums(self) -> tuple[list[str], Tensor]:
        names = sorted(self.log_sums)
        if not names:
            return [], torch.zeros(0)
        return names, self.accelerator.reduce(torch.stack([self.log_sums[name] for name in names]), "sum")

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Tensor | float | None, *args: Any, learning_rate: float | None = None
    ) -> None:
        values = zip(_LAST_STEP, (grad_norm, learning_rate), strict=True)
        self._last_step = {name: value for name, value in values if value is not None}
        # Trainer gathers its own loss over the ranks right after this, under the same condition.
        if self.control.should_log and self.state.global_step > self._globalstep_last_logged:
            names, sums = self._reduce_log_sums()
            self.reduced_log_sums = dict(zip(names, sums.tolist(), strict=True))
            self.steps_to_log = self.state.global_step - self._globalstep_last_logged
            self.log_sums = {}
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate)

    # Resuming from a checkpoint

    def _load_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        if state is None:
            return self.load_checkpoint_state(None, checkpoint)
        own = {name: value for name, value in state.items() if not name.startswith("log.")}
        if not self.is_world_process_zero():
            own = {name: torch.zeros_like(value) if name in self.summed_state else value for name, value in own.items()}
        return self.load_checkpoint_state(own, checkpoint)

    def _load_log_sums(self, state: dict[str, Tensor]) -> None:
        self._tr_loss.copy_(state["log.loss"])
        factor = 1 if self.is_world_process_zero() else 0
        self.log_sums = {
            name.removeprefix("log.sum."): factor * value.to(self.args.device)
            for name, value in state.items()
            if name.startswith("log.sum.")
        }

    def _restore_progress(self) -> None:
        """When training begins: continue the log where it was interrupted; end an epoch that only lacked its end."""
        checkpoint = self._resumed_from
        self.last_checkpoint = None  # That of an earlier training belongs to another run.
        self._is_over = self.state.global_step >= self.state.max_steps
        state = None if checkpoint is None else _read_state(checkpoint)
        if state is not None and not has_length(self.train_dataset):
            self._stream_position = int(state["log.epochs_ended"]), int(state["log.steps_in_epoch"])
        if checkpoint is None or not self._load_state(state, checkpoint):
            self.log_sums = {}
            self._epochs_ended, self._steps_in_epoch = self._stream_position or (int(self.state.epoch or 0), 0)
            return
        self._load_log_sums(state)
        self._total_loss_scalar = float(state["log.total_loss"])
        self._globalstep_last_logged = int(state["log.step"])
        self._epochs_ended = int(state["log.epochs_ended"])
        self._steps_in_epoch = int(state["log.steps_in_epoch"])
        # A checkpoint of the last step of an epoch is written before that epoch ends.
        if self._steps_in_epoch > 0 and (self._is_over or self._epochs_ended < int(self.state.epoch)):
            control = self.control
            control.should_log = control.should_evaluate = control.should_save = False
            self._load_rng_state(checkpoint)  # evaluation draws from it, and the next epoch continues from there
            self._restored_generators = True
            self._is_over = self._is_over or control.should_training_stop
            control.should_training_stop = False  # That was before this epoch, which had steps.
            self.control = self.callback_handler.on_epoch_begin(self.args, self.state, control)
            self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
            last_step = {name: state[f"log.{name}"].item() for name in _LAST_STEP if f"log.{name}" in state}
            others = (self.model_wrapped, None, int(self.state.epoch) - 1, None, None)
            self._maybe_log_save_evaluate(self._tr_loss, last_step.pop("grad_norm", None), *others, **last_step)
        self._is_over = self._is_over or self.control.should_training_stop

    def _run_epoch(self, **kwargs: Any) -> None:
        if self._is_over:
            self.control.should_training_stop = True
            return
        if self._stream_position is not None:  # Trainer takes all passes of a stream for one long epoch
            epochs, steps = self._stream_position
            kwargs["epoch"] += epochs - kwargs["epochs_trained"]
            kwargs["epochs_trained"] = epochs
            batches = 0 if self.args.ignore_data_skip else steps * self.args.gradient_accumulation_steps
            kwargs["steps_trained_in_current_epoch"] = batches
        if self._restored_generators:  # what ended the epoch has drawn from them since
            kwargs["resume_from_checkpoint"] = None
        super()._run_epoch(**kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        model = self.model if model is None else model
        if not self._load_pretrained(model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        folder = self.state.best_model_checkpoint
        if not self._load_pretrained(self.model, folder):
            super()._load_best_model()
        self._load_state(_read_state(folder), folder)

    def _load_pretrained(self, model: nn.Module, folder: str) -> bool:
        """Load weights that `save_pretrained` wrote; False where `Trainer` has to load them."""
        if isinstance(model, PreTrainedModel) and model._hf_peft_config_loaded:  # of `add_adapter`; Trainer loads none
            for name in model.active_adapters():
                model.load_adapter(folder, adapter_name=name, hotswap=True, is_trainable=True)
            return True
        is_pretrained = isinstance(model, PreTrainedModel) and not getattr(model, "hf_quantizer", None)
        names = (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME)
        is_saved = any(os.path.isfile(os.path.join(folder, name)) for name in names)
        if not is_pretrained or not is_saved or self.is_fsdp_enabled or self.is_deepspeed_enabled:
            return False
        load_weights(model, folder)
        return True


def _read_state(checkpoint: str) -> dict[str, Tensor] | None:
    path = os.path.join(checkpoint, STATE_FILE)
    return load_file(path) if os.path.isfile(path) else None


class _AnotherRankFailed(RuntimeError):
    """Raised on the ranks that have nothing to report themselves."""


class _Progress(TrainerCallback):
    """Restores the progress of a resumed run once it is set up, and counts its epochs and the steps within one."""

    def __init__(self, trainer: CheckpointingMixin) -> None:
        self.trainer = trainer

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._restore_progress()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._steps_in_epoch += 1

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        self.trainer._epochs_ended += 1
        self.trainer._steps_in_epoch = 0
