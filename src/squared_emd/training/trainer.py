"""`EMDTrainer`: a `transformers.Trainer` whose loss knows that some mistakes are worse than others."""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, WeightedRandomSampler
from transformers import DataCollatorWithPadding, default_data_collator

from ..ground_distance.class_names import class_names_of
from ..ground_distance.saved import ground_distance_of_model, write_ground_distance
from .arguments import EMDTrainingArguments
from .batches import NUM_FRESH
from .callbacks import GroundDistanceCallback, NonFiniteCallback
from .criterion import EMDCriterion
from .finite import FiniteCheck, not_finite
from .frugal_trainer import FrugalTrainer
from .head_features import HeadInput
from .labels import (
    balanced_draws,
    check_batch_labels,
    check_label_column,
    class_shares,
    num_classes_of,
)
from .tracker_figures import GroundDistanceFigures

__all__ = ["EMDTrainer"]

logger = logging.getLogger(__name__)

_NOT_FINITE = "not finite"  # among the sums for the log: how many samples were NaN or infinite


class EMDTrainer(FrugalTrainer):
    """A drop-in `transformers.Trainer` with the losses of Hou et al. 2016.

    Takes what `Trainer` takes, with `EMDTrainingArguments` for `args`. The model may be any Hugging Face or timm
    classifier, or an `nn.Module` that returns `{"logits": ...}` and has an attribute `num_classes`; the data set gives
    `labels`: (B,) class indices, or (B, K) distributions.

    The loss of an optimizer step is the mean over all its samples, however they are cut into ranks, batches and
    accumulation steps, and samples that Accelerate repeats to even out the ranks do not count. `loss_ce` and `loss_emd`
    (whose sum is the loss), `regularizer_weight`, `sdd` and `sdd_relative` are logged with it, and
    `non_finite_samples` where there are any.

    Args:
        model: as `Trainer` takes it.
        args: the run's arguments.
        others: as `Trainer` takes them.
        ground_distance: (K, K) numbers, or a `LabelTree`: a given D in place of a file among the arguments.
        train_batch_transform: changes each batch of training, a dictionary on the device with `labels`, before the
            model gets it; such as `vision.mixup.BatchMixup`. What is random in it is to come from the global
            generators, which a resumed run restores.
        kwargs: as `Trainer` takes them.

    Attributes:
        criterion: holds D, the class centroids and lambda.

    Raises:
        TypeError: `args` are no `EMDTrainingArguments`.
        ValueError: `compute_loss_func` is given; the number of classes or the classifier head cannot be found; a
            self-guided run is about to use `torch.nn.DataParallel`; `nan_policy` is `skip` under DeepSpeed; a given D,
            label tree or class weights do not fit the classes; the samples of each class are to be counted and cannot.
    """

    loss_is_scaled_for_ga = True  # our sum is divided by the samples of the whole accumulated batch
    own_sums = ("centroids.class_sums", "centroids.class_counts", "measured")

    def __init__(
        self,
        model: nn.Module | None = None,
        args: EMDTrainingArguments | None = None,
        *others: Any,
        ground_distance: Any = None,
        train_batch_transform: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        args = EMDTrainingArguments() if args is None else args
        if not isinstance(args, EMDTrainingArguments):
            raise TypeError(
                f"EMDTrainer needs EMDTrainingArguments, got {type(args).__name__}. "
                "They take every field of TrainingArguments, and `loss`."
            )
        smoothing, args.label_smoothing_factor = args.label_smoothing_factor, 0.0  # ours: Trainer's needs a config
        try:
            super().__init__(model, args, *others, **kwargs)
        finally:
            args.label_smoothing_factor = smoothing
        if self.compute_loss_func is not None:
            raise ValueError(
                f"EMDTrainer computes the loss {args.loss!r} itself and takes no compute_loss_func. "
                "Use transformers.Trainer for a loss of your own."
            )
        self.criterion = EMDCriterion(
            args,
            num_classes_of(self.model),
            class_names=class_names_of(self.model),
            ground_distance=ground_distance,
            device=args.device,
        )
        if self.criterion.learns_ground_distance and args.n_gpu > 1:
            raise ValueError(
                f"the loss {args.loss!r} cannot learn its ground distance under torch.nn.DataParallel, which this run "
                f"would use for its {args.n_gpu} GPUs. Start it with `accelerate launch`, one process a GPU."
            )
        if args.nan_policy == "skip" and self.is_deepspeed_enabled:
            raise ValueError(
                "nan_policy='skip' looks at the gradient before each step, which DeepSpeed keeps to itself. Use "
                "nan_policy='raise' with DeepSpeed."
            )
        self.train_batch_transform = train_batch_transform
        self._count_classes()
        self.finite = FiniteCheck(args.device)
        self._brought = ground_distance_of_model(self._config, class_names_of(self.model))
        self.criterion.adopt(self._brought, getattr(self._config, "emd", None) or {})
        self.head_input = self._find_head(self.model)
        self._set_problem_type(self.model)
        self.label_names = ["labels"]  # also of a module whose forward takes none
        self.add_callback(GroundDistanceCallback(self.criterion))
        handler = weakref.proxy(self.callback_handler)  # which holds the callback: a cycle would keep all of it alive
        self.add_callback(GroundDistanceFigures(self.criterion, handler))
        self.add_callback(NonFiniteCallback(self.finite, args.nan_policy, args.nan_steps))

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
        if model.training and self.train_batch_transform is not None and "labels" in inputs:
            inputs = self._transformed(inputs)
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
        self.criterion.train(model.training)
        fresh = len(labels) if fresh is None else fresh  # what comes after are repeats
        if not model.training:
            self._need_ground_distance()
            # of a batch of repeats alone, Trainer drops the loss
            loss = sum(self.criterion(logits, labels).values())[: max(fresh, 1)].mean()
            return (loss, outputs) if return_outputs else loss

        features = [self.head_input.take(logits)] if learns else []
        finite = self.finite.look(logits, *features, fresh=fresh)  # (B,)
        if self.args.nan_policy == "skip":
            logits = torch.where(finite.view(-1, *[1] * (logits.dim() - 1)), logits, 0)
        components = self.criterion(logits, labels, finite)  # name -> (B,)
        if fresh < len(labels):
            components = {name: values[:fresh] for name, values in components.items()}
        if self.args.nan_policy == "skip":
            components = {name: torch.where(finite[:fresh], values, 0) for name, values in components.items()}
        if learns:
            self.criterion.observe(features[0].masked_fill(~finite[:, None], torch.nan)[:fresh], labels[:fresh])
        if num_items_in_batch is None:
            loss = sum(components.values()).mean()
        else:
            shares = {name: values.sum() / num_items_in_batch for name, values in components.items()}
            first, *others = shares.values()
            loss = sum(others, first)
            if self.accelerator.num_processes > 1:
                loss = loss * self.accelerator.num_processes
            shares[_NOT_FINITE] = fresh - self.finite.last_finite
            for name, share in shares.items():
                self.sums_since_log[name] = self.sums_since_log.get(name, 0) + share.detach()
        return (loss, outputs) if return_outputs else loss

    def _transformed(self, inputs: dict[str, Any]) -> dict[str, Any]:
        fresh, size = inputs.pop(NUM_FRESH, None), len(inputs["labels"])  # ours: it is no part of the batch
        inputs = dict(self.train_batch_transform(inputs))
        if len(inputs.get("labels", ())) != size:
            raise ValueError(
                f"train_batch_transform must keep the {size} samples of a batch, which the loss of the step is divided "
                f"by; it gave {len(inputs.get('labels', ()))}."
            )
        return inputs if fresh is None else {**inputs, NUM_FRESH: fresh}

    def _need_ground_distance(self) -> None:
        has_trained = self.is_in_train or self.state.global_step > 0  # then it may be in its jump start
        if self.args.is_self_guided and self.criterion.ground_distance is None and not has_trained:
            raise ValueError(
                f"the loss {self.args.loss} needs a ground distance to be evaluated, and there is none yet: train "
                "first, give ground_distance, or load a model that was saved after training with this loss."
            )

    def get_train_dataloader(self) -> DataLoader:
        """As `Trainer`; labels that can be read without making a sample are looked at before training starts.

        Raises:
            ValueError: a label is out of range.
        """
        standard = self.data_collator is default_data_collator or type(self.data_collator) is DataCollatorWithPadding
        if self.args.loss != "reg" and standard:  # another one may make other labels
            check_label_column(self.train_dataset, self.criterion.num_classes)
        return super().get_train_dataloader()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; the training log also has the loss components and what is known of D.

        Args:
            logs: the values to log.
            start_time: when training began.
        """
        if self.sums_to_log and "loss" in logs:
            sums, self.sums_to_log = self.sums_to_log, {}
            not_finite = sums.pop(_NOT_FINITE)
            logs.update({f"loss_{name}": total / self.steps_to_log for name, total in sums.items()})
            if not_finite:
                logs["non_finite_samples"] = not_finite
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
        return self.accelerator.reduce(torch.full((), samples, device=device), "sum")  # filled there: no copy waits

    def _count_classes(self) -> None:
        """Fix the weights of the classes where they come from the training data; without those nothing is weighed."""
        args, dataset = self.args, self.train_dataset
        if dataset is not None and args.weights_by_count is not None:
            self.criterion.targets.count(self._class_shares(dataset, f"class_weights {args.class_weights[0]}")[0])
        if dataset is not None and args.balanced_sampling:
            self._class_shares(dataset, "balanced_sampling")  # what it raises is to come now

    def _class_shares(self, dataset: Any, needed_by: str) -> tuple[np.ndarray, np.ndarray]:
        num_classes = None if self.args.loss == "reg" else self.criterion.num_classes
        return class_shares(dataset, num_classes, needed_by=needed_by)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if not self.args.balanced_sampling:
            return super()._get_train_sampler(train_dataset)
        dataset = self.train_dataset if train_dataset is None else train_dataset
        draws = balanced_draws(*self._class_shares(dataset, "balanced_sampling"))
        return WeightedRandomSampler(torch.from_numpy(draws), len(draws))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        output_dir = output_dir or self.args.output_dir
        if self.args.should_save:
            os.makedirs(output_dir, exist_ok=True)
            self._write_ground_distance(output_dir)
        super()._save(output_dir, state_dict)

    def _write_ground_distance(self, folder: str | None) -> None:
        """Put D and the `emd` block into the model's config, or D beside it; the config itself is not written."""
        if self.state.global_step == 0 and self._brought is not None and not self.criterion.is_given_ground_distance:
            emd = dict(getattr(self._config, "emd", None) or {})  # nothing was trained: D is as it came
            emd["mirrored"] = _averages_flips(self.accelerator.unwrap_model(self.model))
            return write_ground_distance(self._brought, folder, self._config, emd)
        matrix = self.criterion.ground_distance if self.args.uses_ground_distance else self._brought
        write_ground_distance(matrix, folder, self._config, self._emd_block(has_distance=matrix is not None))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        self._write_ground_distance(None)  # only the config that is in use

    def _finalize_training(self, *args: Any) -> Any:
        # With the steps strategy the last checkpoint is written before the last epoch ends: it gets the last D too.
        folder = os.path.join(self._get_output_dir(trial=args[0]), f"checkpoint-{self.state.global_step}")
        if folder in self.written and self.args.is_self_guided:
            with tempfile.TemporaryDirectory(dir=self.args.output_dir) as temporary:
                self._write_ground_distance(temporary)
                if self._config is not None:
                    self._config.save_pretrained(temporary)
                for name in os.listdir(temporary):  # each at once, so that the checkpoint is whole all the time
                    os.replace(os.path.join(temporary, name), os.path.join(folder, name))
        return super()._finalize_training(*args)

    @property
    def _config(self) -> Any:
        return getattr(self.accelerator.unwrap_model(self.model), "config", None)

    def _emd_block(self, *, has_distance: bool) -> dict[str, Any]:
        args, criterion = self.args, self.criterion
        block: dict[str, Any] = {"loss": args.loss, "epoch": criterion.epoch, "version": version("squared-emd")}
        if args.is_self_guided:
            omega, mu = args.self_guided_parameters()
            block |= {"omega": omega, "mu": mu, "rank": args.rank, "sdd": criterion.sdd}
            block["regularizer_weight"] = criterion.regularizer_weight
        if args.geometry is not None:
            block["geometry"] = args.geometry if args.geometry in ("line", "circle") else "tree"
        if args.prior_weight is not None:
            block |= {"prior_weight": args.prior_weight, "prior_decay": args.prior_decay}
        if args.loss == "a-emd":
            block |= {"entropic_strength": args.entropic_strength, "sinkhorn_iterations": args.sinkhorn_iterations}
        names, earlier = class_names_of(self.model), getattr(self._config, "emd", None) or {}
        if has_distance and names is not None:
            block["class_names"] = names  # in the order of D, whatever becomes of id2label
        if len(earlier.get("scores") or ()) == criterion.num_classes:  # what the classes stand for, whoever set it
            block["scores"] = earlier["scores"]
        if _averages_flips(self.accelerator.unwrap_model(self.model)):  # how it is tested
            block["mirrored"] = True
        return block

    def own_state(self) -> dict[str, Tensor]:
        """The state of the criterion.

        Raises:
            FloatingPointError: the weights are not finite and `nan_policy` is `raise`.
        """
        if self.args.nan_policy == "raise":
            broken = not_finite(self.model)
            # where the weights are sharded, all ranks stop with the one that holds them
            if self.accelerator.reduce(torch.tensor(len(broken), device=self.args.device), "sum"):
                raise FloatingPointError(
                    f"at step {self.state.global_step} the weights {broken[0] if broken else 'of another rank'} are "
                    "NaN or infinite, so no checkpoint is written over good ones. Lower learning_rate, raise "
                    "warmup_steps, lower max_grad_norm, or look for NaN in the data."
                )
        return self.criterion.state()

    def load_own_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        """Take over the state of a criterion; without one, or with one that knew no D, D starts empty.

        Args:
            state: what `own_state` gave, or None.
            checkpoint: the folder it comes from.

        Returns:
            Whether it was taken over.
        """
        if state is not None and (state["is_self_guided"] or not self.args.is_self_guided):
            self.criterion.load_state(state)
            return True
        self.criterion.restart()
        self.criterion.first_epoch = int(self.state.epoch or 0)
        if self.args.is_self_guided and self.args.should_save:
            logger.warning(
                "%s was not written by a self-guided run of EMDTrainer: its weights and optimizer are taken over, the "
                "ground distance starts empty and the jump start of %d epochs begins now.",
                checkpoint,
                self.args.jump_start_epochs,
            )
        return False

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


def _averages_flips(model: nn.Module) -> bool:
    """Whether `vision.average_flips` is in force, found without importing vision and what it needs."""
    return any(getattr(hook, "averages_flips", False) for hook in model._forward_hooks.values())
