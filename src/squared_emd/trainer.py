"""`EMDTrainer`: a `transformers.Trainer` whose loss knows that some mistakes are worse than others."""

from __future__ import annotations

import os
from contextlib import nullcontext
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Trainer

from .callbacks import GroundDistanceCallback
from .config import GROUND_DISTANCE_FILE, MAX_CLASSES_IN_CONFIG, EMDTrainingArguments, write_model_config
from .criterion import EMDCriterion
from .features import HeadInput

__all__ = ["EMDTrainer"]

STATE_FILE = "emd_state.safetensors"


class EMDTrainer(Trainer):
    """A drop-in `transformers.Trainer` with the losses of Hou et al. 2016.

    Takes what `Trainer` takes, with `EMDTrainingArguments` for `args`. The model may be any Hugging Face or timm
    classifier, or an `nn.Module` that returns `{"logits": ...}` and has an attribute `num_classes`; the data set gives
    `labels`: (B,) class indices, or (B, K) distributions.

    The loss of an optimizer step is the mean over all its samples, however they are cut into ranks, batches and
    accumulation steps. `loss_ce` and `loss_emd` (whose sum is the loss), `regularizer_weight`, `sdd` and
    `sdd_relative` are logged with it.

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
        if args.is_self_guided and args.n_gpu > 1:
            raise ValueError(
                f"the loss {args.loss!r} cannot learn its ground distance under torch.nn.DataParallel, which this run "
                f"would use for its {args.n_gpu} GPUs. Start it with `accelerate launch`, one process a GPU."
            )
        self.criterion = EMDCriterion(
            args, self._num_classes(self.model), class_names=self._class_names(self.model), device=args.device
        )
        self._logged_sums: dict[str, Tensor] = {}  # of each component, over the steps since the last log
        self._reduced_components: dict[str, float] = {}
        self.head_input = self._find_head(self.model)
        self._set_problem_type(self.model)
        self.label_names = ["labels"]  # also of a module whose forward takes none
        self.add_callback(GroundDistanceCallback(self.criterion))

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
        labels = inputs.pop("labels", None)
        if labels is None:
            raise ValueError(
                f"EMDTrainer needs `labels` in every batch, got {sorted(inputs)}. Name the data set's label column "
                "`label` or `labels`, and keep it with remove_unused_columns=False where a transform makes the inputs."
            )
        learns = model.training and self.head_input is not None
        with self.head_input.armed() if learns else nullcontext():
            outputs = model(**inputs)
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
        if self.label_smoother is not None:
            labels = self._smooth(labels, logits)
        self.criterion.train(model.training)
        components = self.criterion(logits, labels)  # name -> (B,)
        losses = sum(components.values())  # (B,)
        if learns:
            self.criterion.observe(self.head_input.take(logits), labels)
        if num_items_in_batch is None or not model.training:
            loss = losses.mean()
        else:
            for name, values in components.items():
                share = values.detach().sum() / num_items_in_batch
                self._logged_sums[name] = self._logged_sums.get(name, 0) + share
            loss = losses.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

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
                if self.args.is_self_guided and value is not None:
                    logs[name] = value
        super().log(logs, start_time)

    def _get_num_items_in_batch(self, batch_samples: list, device: torch.device) -> Tensor | int | None:
        """Samples (not label entries, which soft labels have K of) over accumulation steps and ranks."""
        if not batch_samples or "labels" not in batch_samples[0]:
            return None
        samples = sum(len(batch["labels"]) for batch in batch_samples)
        if self.args.world_size == 1:
            return samples
        return self.accelerator.reduce(torch.tensor(samples, device=device), "sum")

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        # The Trainer gathers its own loss over the ranks right after this, under the same condition.
        if self.control.should_log and self.state.global_step > self._globalstep_last_logged and self._logged_sums:
            names = sorted(self._logged_sums)
            sums = self.accelerator.reduce(torch.stack([self._logged_sums[name] for name in names]), "sum")
            steps = self.state.global_step - self._globalstep_last_logged
            self._reduced_components = {
                f"loss_{name}": total / steps for name, total in zip(names, sums.tolist(), strict=True)
            }
            self._logged_sums = {}
        super()._maybe_log_save_evaluate(*args, **kwargs)

    def _smooth(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Labels as `label_smoothing_factor` asks: this share of the mass spread evenly over the classes."""
        num_classes = self.criterion.num_classes
        if labels.dim() == 1:
            labels = F.one_hot(labels.long(), num_classes)
        share = self.label_smoother.epsilon
        return labels.to(logits.device, torch.float32) * (1 - share) + share / num_classes

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        criterion, output_dir = self.criterion, output_dir or self.args.output_dir
        matrix = criterion.ground_distance if self.args.is_self_guided else None
        config = getattr(self.accelerator.unwrap_model(self.model), "config", None)
        if config is not None:
            write_model_config(config, matrix, self._emd_block(), criterion.num_classes)
        super()._save(output_dir, state_dict)
        if matrix is not None and (config is None or criterion.num_classes > MAX_CLASSES_IN_CONFIG):
            save_file({"ground_distance": matrix.float().cpu()}, os.path.join(output_dir, GROUND_DISTANCE_FILE))

    def _emd_block(self) -> dict[str, Any]:
        args, criterion = self.args, self.criterion
        block: dict[str, Any] = {"loss": args.loss, "epoch": criterion.epoch, "version": version("squared-emd")}
        if args.is_self_guided:
            omega, mu = args.self_guided_parameters()
            block |= {"omega": omega, "mu": mu, "rank": args.rank, "sdd": criterion.sdd}
            block["regularizer_weight"] = criterion.regularizer_weight
        return block

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # Written before the rest, so that a checkpoint that is pushed or rotated has it.
        folder = os.path.join(self._get_output_dir(trial=trial), f"checkpoint-{self.state.global_step}")
        state = self.criterion.state()
        for name in ("centroids.class_sums", "centroids.class_counts", "measured"):
            if name in state:
                state[name] = self.accelerator.reduce(state[name], "sum")
        if self.args.should_save:
            os.makedirs(folder, exist_ok=True)
            save_file({name: tensor.cpu() for name, tensor in state.items()}, os.path.join(folder, STATE_FILE))
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        self._load_criterion(checkpoint)
        # A checkpoint of the last step of an epoch is written before that epoch ends; a resumed run begins after it.
        if self.criterion.epoch < int(self.state.epoch or 0):
            self.criterion.end_epoch()

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._load_criterion(self.state.best_model_checkpoint)

    def _load_criterion(self, checkpoint: str) -> None:
        path = os.path.join(checkpoint, STATE_FILE)
        if not os.path.isfile(path):
            if self.args.is_self_guided:
                raise FileNotFoundError(
                    f"{checkpoint} has no {STATE_FILE}, which holds the ground distance of a {self.args.loss!r} run. "
                    "Continue from a checkpoint that EMDTrainer wrote, or start a new run from its weights."
                )
            return
        state = load_file(path)
        if not self.is_world_process_zero():  # the saved sums are those of all ranks: one rank goes on with them
            for name in ("centroids.class_sums", "centroids.class_counts", "measured"):
                if name in state:
                    state[name].zero_()
        self.criterion.load_state(state)

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
