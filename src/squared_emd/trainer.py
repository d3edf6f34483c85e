"""`EMDTrainer`: a `transformers.Trainer` whose loss knows that some mistakes are worse than others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from .batches import NUM_FRESH, check_batch_labels, check_label_column
from .callbacks import GroundDistanceCallback, NonFiniteCallback
from .checkpoints import STATE_FILE, mark_whole, unmark, what_is_missing
from .config import GROUND_DISTANCE_FILE, MAX_CLASSES_IN_CONFIG, EMDTrainingArguments, write_model_config
from .criterion import EMDCriterion
from .features import HeadInput
from .finite import FiniteCheck
from .resumable_trainer import ResumableTrainer

__all__ = ["EMDTrainer"]

logger = logging.getLogger(__name__)


class EMDTrainer(ResumableTrainer):
    """A drop-in `transformers.Trainer` with the losses of Hou et al. 2016.

    Takes what `Trainer` takes, with `EMDTrainingArguments` for `args`. The model may be any Hugging Face or timm
    classifier, or an `nn.Module` that returns `{"logits": ...}` and has an attribute `num_classes`; the data set gives
    `labels`: (B,) class indices, or (B, K) distributions.

    The loss of an optimizer step is the mean over all its samples, however they are cut into ranks, batches and
    accumulation steps, and samples that Accelerate repeats to even out the ranks do not count. `loss_ce` and `loss_emd`
    (whose sum is the loss), `regularizer_weight`, `sdd` and `sdd_relative` are logged with it, and
    `non_finite_samples` where there are any.

    Attributes:
        criterion: holds D, the class centroids and lambda.

    Raises:
        TypeError: `args` are no `EMDTrainingArguments`.
        ValueError: `compute_loss_func` is given; the number of classes or the classifier head cannot be found; a
            self-guided run is about to use `torch.nn.DataParallel`.
    """

    loss_is_scaled_for_ga = True  # our sum is divided by the samples of the whole accumulated batch

    def __init__(
        self, model: nn.Module | None = None, args: EMDTrainingArguments | None = None, *others: Any, **kwargs: Any
    ) -> None:
        args = EMDTrainingArguments() if args is None else args
        if not isinstance(args, EMDTrainingArguments):
            raise TypeError(
                f"EMDTrainer needs EMDTrainingArguments, got {type(args).__name__}. "
                "They take every field of TrainingArguments, and `loss`."
            )
        super().__init__(model, args, *others, **kwargs)
        if self.compute_loss_func is not None:
            raise ValueError(
                f"EMDTrainer computes the loss {args.loss!r} itself and takes no compute_loss_func. "
                "Use transformers.Trainer for a loss of your own."
            )
        if args.is_self_guided and args.ground_distance is None and args.n_gpu > 1:
            raise ValueError(
                f"the loss {args.loss!r} cannot learn its ground distance under torch.nn.DataParallel, which this run "
                f"would use for its {args.n_gpu} GPUs. Start it with `accelerate launch`, one process a GPU."
            )
        self.criterion = EMDCriterion(
            args, self._num_classes(self.model), class_names=self._class_names(self.model), device=args.device
        )
        self.finite = FiniteCheck(args.device)
        self._logged_sums: dict[str, Tensor] = {}  # of each component, over the steps since the last log
        self._reduced_components: dict[str, float] = {}
        self._last_step: tuple[Tensor | float | None, float | None] = None, None  # its gradient norm and learning rate
        self._resumed: tuple[str, dict[str, Tensor]] | None = None  # a checkpoint and its state, until training begins
        self._random_state_is_set = False
        self.criterion.adopt(getattr(self.model, "config", None))
        self.head_input = self._find_head(self.model)
        self._set_problem_type(self.model)
        self.label_names = ["labels"]  # also of a module whose forward takes none
        self.add_callback(GroundDistanceCallback(self.criterion))
        self.add_callback(NonFiniteCallback(self.finite, args.nan_policy, args.nan_steps))
        self.add_callback(_OnTrainBegin(self._take_up_log))

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """As `Trainer`; the features are caught from the new model."""
        model = super().call_model_init(trial)
        if hasattr(self, "criterion"):
            self.head_input = self._find_head(model)
            self._set_problem_type(model)
        return model

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of one batch.

        Args:
            model: the model, as Accelerate wrapped it.
            inputs: a batch with `labels`.
            return_outputs: also return what the model returned.
            num_items_in_batch: samples of the whole accumulated batch on all ranks, while training; the loss is then
                this rank's sum over that number, times the ranks over which the gradients are averaged. Without it,
                the mean over the batch.

        Returns:
            A scalar, or the scalar and the outputs.

        Raises:
            ValueError: the batch has no `labels`, or they do not fit the model.
        """
        inputs = dict(inputs)
        labels, fresh = inputs.pop("labels", None), inputs.pop(NUM_FRESH, None)
        if labels is None:
            raise ValueError(
                f"EMDTrainer needs `labels` in every batch, got {sorted(inputs)}. Name the data set's label column "
                "`label` or `labels`, and keep it with remove_unused_columns=False where a transform makes the inputs."
            )
        learns = model.training and self.head_input is not None
        with self.head_input.armed() if learns else nullcontext():
            outputs = model(**inputs)
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        targets = labels if self.label_smoother is None else self._smooth(labels, logits)
        self.criterion.train(model.training)
        if not model.training:
            self._need_ground_distance()
            loss = sum(self.criterion(logits, targets).values()).mean()
            return (loss, outputs) if return_outputs else loss

        fresh = len(labels) if fresh is None else fresh  # what comes after are repeats
        features = [self.head_input.take(logits)] if learns else []
        finite = self.finite.look(logits, *features, fresh=fresh)  # (B,)
        if self.args.nan_policy == "skip":
            logits = torch.where(finite.view(-1, *[1] * (logits.dim() - 1)), logits, 0)
        components = self.criterion(logits, targets, finite)  # name -> (B,)
        components = {name: values[:fresh] for name, values in components.items()}
        if self.args.nan_policy == "skip":
            components = {name: torch.where(finite[:fresh], values, 0) for name, values in components.items()}
        losses = sum(components.values())  # (fresh,)
        if learns:
            self.criterion.observe(torch.where(finite[:, None], *features, torch.nan)[:fresh], labels[:fresh])
        if num_items_in_batch is None:
            loss = losses.mean()
        else:
            for name, values in components.items():
                share = values.detach().sum() / num_items_in_batch
                self._logged_sums[name] = self._logged_sums.get(name, 0) + share
            loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _need_ground_distance(self) -> None:
        if self.args.is_self_guided and self.criterion.ground_distance is None and not self.is_in_train:
            raise ValueError(
                f"the loss {self.args.loss} needs a ground distance to be evaluated, and there is none yet: train "
                "first, give ground_distance, or load a model that was saved after training with this loss."
            )

    def get_train_dataloader(self) -> DataLoader:
        """As `Trainer`; labels that can be read without making a sample are looked at before training starts.

        Raises:
            ValueError: a label is out of range.
        """
        if self.args.loss != "reg":
            check_label_column(self.train_dataset, self.criterion.num_classes)
        return super().get_train_dataloader()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; the training log also has the loss components and what is known of D.

        Args:
            logs: the values to log.
            start_time: when training began.
        """
        if self._reduced_components and "loss" in logs:
            logs.update(self._reduced_components)
            self._reduced_components = {}
            for name in ("regularizer_weight", "sdd", "sdd_relative"):
                value = getattr(self.criterion, name)
                ahead = name == "regularizer_weight" and self.criterion.in_jump_start  # not in force yet
                if self.args.is_self_guided and value is not None and not ahead:
                    logs[name] = value
        super().log(logs, start_time)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | int | None:
        """Samples (not label entries, which soft labels have K of) over accumulation steps and ranks."""
        if not batch_samples or "labels" not in batch_samples[0]:
            return None
        samples = sum(batch.get(NUM_FRESH, len(batch["labels"])) for batch in batch_samples)
        if self.args.world_size == 1:
            return samples
        return self.accelerator.reduce(torch.tensor(samples, device=device), "sum")

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Tensor | float | None, *args: Any, learning_rate: float | None = None
    ) -> None:
        self._last_step = grad_norm, learning_rate
        # The Trainer gathers its own loss over the ranks right after this, under the same condition.
        if self.control.should_log and self.state.global_step > self._globalstep_last_logged and self._logged_sums:
            names, sums = self._reduce_logged_sums()
            steps = self.state.global_step - self._globalstep_last_logged
            *totals, not_finite = sums.tolist()
            self._reduced_components = {
                f"loss_{name}": total / steps for name, total in zip(names, totals, strict=True)
            }
            if not_finite:
                self._reduced_components["non_finite_samples"] = not_finite
            self._logged_sums = {}
            self.finite.not_finite.zero_()
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate)

    def _reduce_logged_sums(self) -> tuple[list[str], Tensor]:
        """Names of the components, and over all ranks their sums and the number of samples that were not finite."""
        names = sorted(self._logged_sums)
        sums = [self._logged_sums[name] for name in names] + [self.finite.not_finite.to(torch.float32)]
        return names, self.accelerator.reduce(torch.stack(sums), "sum")

    def _smooth(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Labels as `label_smoothing_factor` asks: this share of the mass spread evenly over the classes."""
        num_classes = self.criterion.num_classes
        if labels.dim() == 1:
            labels = F.one_hot(labels.long(), num_classes)
        share = self.label_smoother.epsilon
        return labels.to(logits.device, torch.float32) * (1 - share) + share / num_classes

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        output_dir = output_dir or self.args.output_dir
        if self.args.should_save:
            os.makedirs(output_dir, exist_ok=True)
            self._write_ground_distance(output_dir)
        super()._save(output_dir, state_dict)

    def _write_ground_distance(self, folder: str) -> None:
        """Put D and the `emd` block into the model's config, or D beside it; the config itself is not written."""
        criterion, config = self.criterion, self._config
        matrix = criterion.ground_distance if self.args.is_self_guided else None
        if config is not None:
            write_model_config(config, matrix, self._emd_block(), criterion.num_classes)
        if matrix is not None and (config is None or criterion.num_classes > MAX_CLASSES_IN_CONFIG):
            save_file({"ground_distance": matrix.float().cpu()}, os.path.join(folder, GROUND_DISTANCE_FILE))

    def _finalize_training(self, *args: Any) -> Any:
        # With the steps strategy the last checkpoint is written before the last epoch ends: it gets the last D too.
        folder = os.path.join(self._get_output_dir(trial=args[0]), f"checkpoint-{self.state.global_step}")
        if self.args.should_save and self.args.is_self_guided and what_is_missing(folder) is None:
            unmark(folder)
            self._write_ground_distance(folder)
            if self._config is not None:
                self._config.save_pretrained(folder)
            mark_whole(folder)
        return super()._finalize_training(*args)

    @property
    def _config(self) -> Any:
        return getattr(self.accelerator.unwrap_model(self.model), "config", None)

    def _emd_block(self) -> dict[str, Any]:
        args, criterion = self.args, self.criterion
        block: dict[str, Any] = {"loss": args.loss, "epoch": criterion.epoch, "version": version("squared-emd")}
        if args.is_self_guided:
            omega, mu = args.self_guided_parameters()
            block |= {"omega": omega, "mu": mu, "rank": args.rank, "sdd": criterion.sdd}
            block["regularizer_weight"] = criterion.regularizer_weight
        return block

    def write_state(self, folder: str) -> None:
        """Write what was learned beside the weights, and the sums that the next log and the next D continue.

        The sums are those of all ranks. Every rank then goes on as a resumed run would: the first one with the sums,
        the others with zeros. So both do the same arithmetic.

        Args:
            folder: of the checkpoint.

        Raises:
            FloatingPointError: the weights are not finite and `nan_policy` is `raise`.
        """
        if self.args.nan_policy == "raise":
            self._refuse_weights_that_are_not_finite()
        state = self.criterion.state()
        for name in ("centroids.class_sums", "centroids.class_counts", "measured"):
            if name in state:
                state[name] = self.accelerator.reduce(state[name], "sum")
        loss = self.accelerator.reduce(self._tr_loss.clone(), "mean")
        state["log.loss"] = loss.to(self._tr_loss.dtype)
        state["log.step"] = torch.tensor(self._globalstep_last_logged)
        names, sums = self._reduce_logged_sums()
        state |= {f"log.sum.{name}": total.clone() for name, total in zip([*names, "not_finite"], sums, strict=True)}
        for name, value in zip(("log.grad_norm", "log.learning_rate"), self._last_step, strict=True):
            if value is not None:
                state[name] = torch.tensor(float(value), dtype=torch.float64)
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            save_file({name: tensor.cpu() for name, tensor in state.items()}, os.path.join(folder, STATE_FILE))
        if self.accelerator.num_processes > 1:
            self._go_on_from(state)
            self._take_up_sums(state)

    def _refuse_weights_that_are_not_finite(self) -> None:
        for name, parameter in self.model.named_parameters():
            local = parameter.to_local() if hasattr(parameter, "to_local") else parameter  # FSDP shards it
            if not local.detach().isfinite().all():
                raise FloatingPointError(
                    f"at step {self.state.global_step} the weights {name} are NaN or infinite, so no checkpoint is "
                    "written over good ones. Lower learning_rate, raise warmup_steps, lower max_grad_norm, or look for "
                    "NaN in the data."
                )

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            state = self._load_criterion(checkpoint)
            self._resumed = None if state is None else (checkpoint, state)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if not self._random_state_is_set:
            super()._load_rng_state(checkpoint)
        self._random_state_is_set = False

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._load_criterion(self.state.best_model_checkpoint)

    def _load_criterion(self, checkpoint: str) -> dict[str, Tensor] | None:
        path = os.path.join(checkpoint, STATE_FILE)
        if os.path.isfile(path):
            state = load_file(path)
            self._go_on_from(state)
            return state
        self.criterion.restart()
        self.criterion.first_epoch = int(self.state.epoch or 0)
        if self.args.is_self_guided and self.args.should_save:
            logger.warning(
                "%s was not written by EMDTrainer: its weights and optimizer are taken over, the ground distance "
                "starts empty and the jump start of %d epochs begins now.",
                checkpoint,
                self.args.jump_start_epochs,
            )
        return None

    def _go_on_from(self, state: dict[str, Tensor]) -> None:
        """Take over the criterion of a checkpoint, whose running sums are those of all ranks."""
        if not self.is_world_process_zero():
            sums = ("centroids.class_sums", "centroids.class_counts", "measured")
            state = {name: torch.zeros_like(value) if name in sums else value for name, value in state.items()}
        self.criterion.load_state({name: value for name, value in state.items() if not name.startswith("log.")})

    def _take_up_sums(self, state: dict[str, Tensor]) -> None:
        self._tr_loss.copy_(state["log.loss"])
        first = 1 if self.is_world_process_zero() else 0
        sums = {
            name.removeprefix("log.sum."): first * value.to(self.args.device)
            for name, value in state.items()
            if name.startswith("log.sum.")
        }
        self.finite.not_finite.copy_(sums.pop("not_finite"))
        self._logged_sums = sums

    def _take_up_log(self) -> None:
        """Once a resumed run is set up: continue the log where it was cut; end an epoch that only lacked its end."""
        resumed, self._resumed = self._resumed, None
        self.finite.reset()
        if resumed is None:
            self._logged_sums = {}
            return
        checkpoint, state = resumed
        self._take_up_sums(state)
        self._globalstep_last_logged = int(state["log.step"])
        # A checkpoint of the last step of an epoch is written before that epoch ends.
        if self.criterion.first_epoch + self.criterion.epoch < int(self.state.epoch):
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

    @property
    def batch_check(self) -> Callable[[Any], None]:
        """What raises a ValueError where the labels of a training batch do not fit the model."""
        return (
            super().batch_check if self.args.loss == "reg" else partial(check_batch_labels, self.criterion.num_classes)
        )

    def _find_head(self, model: nn.Module) -> HeadInput | None:
        return HeadInput(model, self.criterion.num_classes, self.args.head) if self._learns else None

    @property
    def _learns(self) -> bool:
        return self.criterion.learns_ground_distance

    def _set_problem_type(self, model: nn.Module) -> None:
        if hasattr(model, "config"):
            model.config.problem_type = "regression" if self.args.loss == "reg" else "single_label_classification"

    @staticmethod
    def _class_names(model: nn.Module) -> list[str] | None:
        config = getattr(model, "config", None)
        names = getattr(config, "id2label", None)
        return None if names is None else [names[k] for k in sorted(names)]

    @staticmethod
    def _num_classes(model: nn.Module) -> int:
        config = getattr(model, "config", None)
        for owner, name in ((config, "num_labels"), (model, "num_classes"), (model, "num_labels")):
            if isinstance(getattr(owner, name, None), int):
                return getattr(owner, name)
        raise ValueError(
            f"EMDTrainer needs to know the number of classes of {type(model).__name__}: give the model an attribute "
            "num_classes (a Hugging Face model has config.num_labels)."
        )


class _OnTrainBegin(TrainerCallback):
    """Calls a function when the Trainer has set everything up and no step is made yet."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        self.function()
