"""`EMDTrainer`: a `transformers.Trainer` whose loss knows that some mistakes are worse than others."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import CommitInfo, HfApi
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, WeightedRandomSampler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from ..ground_distance.class_names import class_names_of
from ..ground_distance.saved import ground_distance_of_model
from ..hub.results import weights_version
from ..hub.training_push import push_checkpoint, push_later, write_card_of_training
from ..hub.upload import UploadError, create_repository, upload_model
from ..losses import logits_of
from .arguments import EMDTrainingArguments
from .checkpointing import CheckpointingMixin
from .config_entries import ConfigWriter, config_of, replace_config_entries, write_config_entries
from .criterion import EMDCriterion
from .data_order import DataOrderMixin
from .evaluation import ComponentSums, LogitsFirst, check_unchanged, fields_of_evaluation, keep_evaluation
from .ground_distance_callback import GroundDistanceCallback
from .head_features import HeadInput
from .intervals import calibrate
from .labels import (
    balanced_draws,
    check_batch_labels,
    check_label_column,
    class_shares,
    num_classes_of,
)
from .main_process import on_main_process
from .nonfinite import FiniteCheck, NonFiniteCallback, check_weights
from .seeded_data import NUM_UNIQUE
from .tracker_figures import GroundDistanceFigures

__all__ = ["EMDTrainer"]

logger = logging.getLogger(__name__)

_NOT_FINITE = "not finite"  # among the sums for the log: the number of samples that were NaN or infinite


class EMDTrainer(CheckpointingMixin, DataOrderMixin, Trainer):
    """A drop-in `transformers.Trainer` with the losses of Hou et al. 2016.

    Takes what `Trainer` takes, with `EMDTrainingArguments` for `args`. The model may be any Hugging Face or timm
    classifier, or an `nn.Module` with an attribute `num_classes` that returns (B, K) logits: as a tensor, first in a
    tuple, or as `logits` of a mapping. The dataset gives `labels`: (B,) class indices, or (B, K) distributions.

    The loss of an optimizer step is the mean over all its samples, however they are split into ranks, batches and
    accumulation steps. `loss_ce` and `loss_emd` (whose sum is the loss), `regularizer_weight`, `sdd` and `sdd_relative`
    are logged with it, and `non_finite_samples` where there are any; an evaluation has `eval_loss_ce` and
    `eval_loss_emd` beside `eval_loss`. Interrupted runs resume to the same bits.

    A `compute_metrics` that has a method `restart()` and an optional argument `compute_result`, such as
    `ordinal_metrics`, gets each batch of `evaluate()` at once, as with `batch_eval_metrics=True`. Outputs that have to
    be kept leave the device every 16 batches, unless `eval_accumulation_steps` says otherwise.

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
        evaluated: by `weights_version` and prefix, the metrics of the last evaluation of these weights, as `eval_...`,
            and its number of samples.
        calibrated: by `weights_version`, what `calibrate` gave for these weights.
        saved_weights: `weights_version` of the weights in the output folder; None: there are none.

    Raises:
        TypeError: `args` are no `EMDTrainingArguments`.
        ValueError: `compute_loss_func` is given; the number of classes or the classifier head cannot be found; a
            self-guided run is about to use `torch.nn.DataParallel`; `nan_policy` is `skip` under DeepSpeed; a given D,
            label tree or class weights do not fit the classes; the samples of each class are to be counted and cannot.
    """

    loss_is_scaled_for_ga = True  # our sum is divided by the samples of the whole accumulated batch
    summed_state = ("centroids.class_sums", "centroids.class_counts", "measured")

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
        self.model_accepts_loss_kwargs = False  # the samples of a step are counted here
        self.evaluated: dict[tuple[int, int], dict[str, tuple[dict[str, float], int]]] = {}
        self.calibrated: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self._component_sums = ComponentSums(self._evaluated.device, self._evaluated.dtype)
        self.saved_weights: tuple[int, int] | None = None
        self.criterion = EMDCriterion(
            args,
            num_classes_of(self.model),
            class_names=class_names_of(getattr(self.model, "config", None)),
            ground_distance=ground_distance,
            device=args.device,
        )
        self.train_batch_transform = train_batch_transform
        self.finite = FiniteCheck(args.device)
        config = config_of(self._unwrapped)
        self._loaded_ground_distance = ground_distance_of_model(config, class_names_of(config))
        self.head_input: HeadInput | None = None
        self._prepare(getattr(config, "emd", None) or {})
        self.label_names = ["labels"]  # also of a module whose forward takes none

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """As `Trainer`; afterwards the config of the model has D, and nothing else of ours is left on the model."""
        own = [
            GroundDistanceCallback(self.criterion),
            ConfigWriter(partial(self._write_config_entries, None), self.criterion.num_classes),
            GroundDistanceFigures(self.criterion, self.callback_handler),
            NonFiniteCallback(self.finite),
        ]
        callbacks = self.callback_handler.callbacks
        callbacks[:0] = own  # The others see the D of the epoch that ends.
        try:
            return super().train(*args, **kwargs)
        finally:
            callbacks[:] = [callback for callback in callbacks if callback not in own]
            if self.head_input is not None:
                self.head_input.remove()

    def _follow_arguments(self) -> None:
        """Take up the fields that have changed, as in a hyperparameter search, with the checks of construction."""
        if self.args.changed_fields(self.criterion.args):
            self.criterion.read_arguments(self.args)
            self._prepare({})

    def _prepare(self, emd: dict[str, Any]) -> None:
        """Set up what depends on the arguments besides the criterion; `emd` is the block of a model to be evaluated."""
        args, dataset = self.args, self.train_dataset
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
        if dataset is not None and args.weights_by_count is not None:  # without training nothing is weighed
            self.criterion.targets.count(self._class_shares(dataset, f"class_weights {args.class_weights[0]}")[0])
        if dataset is not None and args.balanced_sampling:
            self._class_shares(dataset, "balanced_sampling")  # what it raises is to come now
        self.criterion.adopt(self._loaded_ground_distance, emd)
        self._prepare_model(self.model)

    def _prepare_model(self, model: nn.Module) -> None:
        if self.head_input is not None:
            self.head_input.remove()
        criterion, config = self.criterion, config_of(model)
        learns = criterion.learns_ground_distance
        self.head_input = HeadInput(model, criterion.num_classes, self.args.head) if learns else None
        if config is not None:
            config.problem_type = "regression" if self.args.loss == "reg" else "single_label_classification"

    def call_model_init(self, trial: Any = None) -> nn.Module:
        """As `Trainer`; the features are caught from the new model."""
        model = super().call_model_init(trial)
        if hasattr(self, "criterion"):
            self._prepare_model(model)
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
        num_unique = inputs.pop(NUM_UNIQUE, None)
        if "labels" not in inputs:
            raise ValueError(
                f"EMDTrainer needs `labels` in every batch, got {sorted(inputs)}. Name the dataset's label column "
                "`label` or `labels`, without None in it, and keep it with remove_unused_columns=False where a "
                "transform makes the inputs."
            )
        if model.training and self.train_batch_transform is not None:
            inputs = self._transform(inputs)
        labels = inputs.pop("labels")
        learns = model.training and self.head_input is not None
        with self.head_input.armed(model) if learns else nullcontext():
            outputs = model(**inputs)
        logits = logits_of(outputs, self.criterion.num_classes)
        self.criterion.train(model.training)
        num_unique = len(labels) if num_unique is None else num_unique  # after them come padding duplicates
        if not model.training:
            self._need_ground_distance()
            components = self.criterion(logits, labels)  # name -> (B,)
            self._component_sums.add(components, num_unique)
            # The loss of a batch of duplicates alone is not used.
            loss = sum(components.values())[: max(num_unique, 1)].mean()
            return (loss, outputs) if return_outputs else loss

        features = [self.head_input.take(logits)] if learns else []
        finite = self.finite.check(logits, *features, num_unique=num_unique)  # (B,)
        if self.args.nan_policy == "skip":
            logits = torch.where(finite.view(-1, *[1] * (logits.dim() - 1)), logits, 0)
        components = self.criterion(logits, labels, finite)  # name -> (B,)
        if num_unique < len(labels):
            components = {name: values[:num_unique] for name, values in components.items()}
        if self.args.nan_policy == "skip":
            components = {name: torch.where(finite[:num_unique], values, 0) for name, values in components.items()}
        if learns:
            rows = features[0].masked_fill(~finite[:, None], torch.nan)[:num_unique]
            self.criterion.observe(rows, labels[:num_unique])
        if num_items_in_batch is None:
            loss = sum(components.values()).mean()
        else:
            shares = {name: values.sum() / num_items_in_batch for name, values in components.items()}
            first, *others = shares.values()
            loss = sum(others, first)
            if self.accelerator.num_processes > 1:
                loss = loss * self.accelerator.num_processes
            shares[_NOT_FINITE] = num_unique - self.finite.last_finite
            for name, share in shares.items():
                self.log_sums[name] = self.log_sums.get(name, 0) + share.detach()
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """As `Trainer`; the predictions are the logits, or begin with them where the model returns more."""
        return super().prediction_step(LogitsFirst(model, self.criterion.num_classes), inputs, *args, **kwargs)

    def _transform(self, inputs: dict[str, Any]) -> dict[str, Any]:
        size = len(inputs["labels"])
        inputs = dict(self.train_batch_transform(inputs))
        if len(inputs.get("labels", ())) != size:
            raise ValueError(
                f"train_batch_transform must keep the {size} samples of a batch, which the loss of the step is divided "
                f"by; it gave {len(inputs.get('labels', ()))}."
            )
        return inputs

    def _need_ground_distance(self) -> None:
        has_trained = self.is_in_train or self.state.global_step > 0  # then it may be in its jump start
        if self.args.is_self_guided and self.criterion.ground_distance is None and not has_trained:
            raise ValueError(
                f"the loss {self.args.loss} needs a ground distance to be evaluated, and there is none yet: train "
                "first, give ground_distance, or load a model that was saved after training with this loss."
            )

    def get_train_dataloader(self) -> DataLoader:
        """As `Trainer`; labels that can be read without making a sample are checked, those of evaluations too.

        Raises:
            ValueError: a label does not fit the model, or `compute_metrics`, if it is one of ours, does not.
        """
        self._follow_arguments()
        self._check_labels(self.train_dataset, "train_dataset")
        self._check_labels(self.eval_dataset, "eval_dataset")
        if hasattr(self.compute_metrics, "check_outputs") and self.preprocess_logits_for_metrics is None:
            self.compute_metrics.check_outputs(self.criterion.num_classes)
        return super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """As `Trainer`; labels are checked as in `get_train_dataloader`."""
        if isinstance(eval_dataset, str):
            self._check_labels(self.eval_dataset[eval_dataset], f"eval_dataset[{eval_dataset!r}]")
        else:
            self._check_labels(self.eval_dataset if eval_dataset is None else eval_dataset, "eval_dataset")
        return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """As `Trainer`; labels are checked as in `get_train_dataloader`, unless they are all missing."""
        self._check_labels(test_dataset, "test_dataset", is_optional=True)
        return super().get_test_dataloader(test_dataset)

    def _check_labels(self, dataset: Any, source: str, **options: Any) -> None:
        check_label_column(dataset, self._num_label_classes, self.data_collator, source=source, **options)

    @property
    def _num_label_classes(self) -> int | None:
        """K, or None where labels are scores."""
        return None if self.args.loss == "reg" else self.criterion.num_classes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; the training log also has the loss components and what is known of D.

        Args:
            logs: the values to log.
            start_time: when training began.
        """
        is_over = "train_loss" in logs  # and the best model is not loaded yet
        last = self.last_checkpoint or ""
        # With the steps strategy the last checkpoint is written before the last epoch ends: it gets the last D too.
        if is_over and self.args.is_self_guided and last.endswith(f"checkpoint-{self.state.global_step}"):
            replace_config_entries(last, self._unwrapped, self.criterion, self._loaded_ground_distance)
        if self.reduced_log_sums and "loss" in logs:
            sums, self.reduced_log_sums = self.reduced_log_sums, {}
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

    def exclude_duplicates(self, batch: dict[str, Any], num_unique: int) -> dict[str, Any]:
        """Leave padding duplicates to `compute_loss`, so that the model gets as many samples on all ranks."""
        batch[NUM_UNIQUE] = num_unique
        return batch

    def get_batch_samples(self, *args: Any) -> tuple[list, Tensor | int | None]:
        """As `Trainer`; what is counted are samples, not the entries of labels, of which soft ones have K."""
        batches, _ = super().get_batch_samples(*args)
        if not batches or "labels" not in batches[0]:
            return batches, None
        samples = sum(batch.get(NUM_UNIQUE, len(batch["labels"])) for batch in batches)
        if self.args.world_size == 1:
            return batches, samples
        # It is filled on the device: no copy waits for it.
        return batches, self.accelerator.reduce(torch.full((), samples, device=self.args.device), "sum")

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As `Trainer`, with the components of the loss, in memory that does not grow with the data where it need not.

        `compute_metrics` decides whether it grows.
        """
        check_unchanged(self.criterion.args, self.args)
        self._component_sums.reset()
        returns_outputs = description == "Prediction"
        with fields_of_evaluation(self.args, self.compute_metrics, dataloader, returns_outputs=returns_outputs):
            output = super().evaluation_loop(
                dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
            )
        if f"{metric_key_prefix}_loss" in output.metrics:
            if description == "Evaluation":
                keep_evaluation(self.evaluated.setdefault(self.weights_version, {}), output, metric_key_prefix)
            means = self._component_sums.means(self.accelerator.reduce)
            output.metrics.update({f"{metric_key_prefix}_loss_{name}": mean for name, mean in means.items()})
        return output

    def calibrate(
        self, dataset: Any, *, coverage: float | Sequence[float] = 0.9, test_dataset: Any = None
    ) -> list[dict[str, Any]]:
        """Calibrate intervals of classes that hold the truth with a chosen probability, on all ranks.

        They are kept in `config.emd["intervals"]` until the model is trained again, and saved with it: the pipelines of
        `squared_emd.hub` take them with ``coverage=``. What is measured on `test_dataset` goes on the model card.

        Args:
            dataset: labeled samples that were not trained on, as `predict` takes them.
            coverage: one probability or several.
            test_dataset: further samples, of neither training nor calibration, to measure the coverage on.

        Returns:
            For each coverage what `squared_emd.decoding.calibrate_intervals` gives, with `held_out` where there is a
            `test_dataset`: `coverage`, `mean_size` (classes of an interval) and `num_samples`.

        Raises:
            ValueError: the loss is `reg`, samples have no labels, logits are not finite, or what `calibrate_intervals`
                raises.
        """
        return calibrate(self, dataset, coverage, test_dataset)

    def _class_shares(self, dataset: Any, needed_by: str) -> tuple[np.ndarray, np.ndarray]:
        return class_shares(dataset, self._num_label_classes, needed_by=needed_by)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if not self.args.balanced_sampling:
            return super()._get_train_sampler(train_dataset)
        dataset = self.train_dataset if train_dataset is None else train_dataset
        draws = balanced_draws(*self._class_shares(dataset, "balanced_sampling"))
        return WeightedRandomSampler(torch.from_numpy(draws), len(draws))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As `Trainer`; the config carries D and the `emd` block, or D lies beside an adapter.

        Raises:
            FloatingPointError: the weights are not finite and `nan_policy` is `raise`.
        """
        if self.args.nan_policy == "raise":
            is_sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
            check_weights(self.model, self.state.global_step, self.accelerator.reduce if is_sharded else None)
        if self.args.should_save:
            folder = output_dir or self.args.output_dir
            os.makedirs(folder, exist_ok=True)
            self._write_config_entries(folder)
        if output_dir in (None, self.args.output_dir):
            self.saved_weights = self.weights_version
        super().save_model(output_dir, _internal_call)

    def _write_config_entries(self, folder: str | None) -> None:
        is_trained = self.state.global_step > 0
        write_config_entries(
            folder, self._unwrapped, self.criterion, self._loaded_ground_distance, is_trained=is_trained
        )

    def _load_best_model(self) -> None:
        super()._load_best_model()
        best = self.state.best_global_step
        steps_made = self.steps_made - (self.state.global_step - best)
        earlier = [version for version in self.evaluated if version[1] == steps_made]
        if earlier and best > self.first_step:  # these weights were evaluated when they were new
            self.evaluated[self.weights_version] = self.evaluated[earlier[-1]]

    @property
    def weights_version(self) -> tuple[int, int]:
        """What changes whenever the weights do; of them it reads a sample."""
        is_sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        return weights_version(self.model, is_sharded=is_sharded), self.steps_made

    @property
    def _unwrapped(self) -> nn.Module:
        return self.accelerator.unwrap_model(self.model)

    def checkpoint_state(self) -> dict[str, Tensor]:
        """The state of the criterion."""
        return self.criterion.state()

    def load_checkpoint_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        """Restore the criterion; without a state, or with one of another loss, D starts empty."""
        if state is not None and self.criterion.can_load(state):
            self.criterion.load_state(state)
            return True
        self.criterion.restart()
        self.criterion.first_epoch = int(self.state.epoch or 0)
        if self.args.is_self_guided and self.args.should_save:
            logger.warning(
                "%s was not written by a run of EMDTrainer with the loss %s: its weights and optimizer are taken over, "
                "the ground distance starts empty and the jump start begins now.",
                checkpoint,
                self.args.loss,
            )
        return False

    @property
    def batch_check(self) -> Callable[[Any], None]:
        """What raises a ValueError where the labels of a training batch do not fit the model."""
        return partial(check_batch_labels, self._num_label_classes)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As `Trainer`, with the `UploadError` of the main process on all ranks."""
        args = self.args
        self.push_in_progress = None
        self.hub_model_id = on_main_process(
            lambda: create_repository(
                args.hub_model_id or Path(args.output_dir).absolute().name,
                args.output_dir,
                token=args.hub_token if token is None else token,
                private=args.hub_private_repo if private is None else private,
            ),
            UploadError,
        )

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> CommitInfo | Future | None:
        """As `Trainer`, on all ranks; uploaded is `squared_emd.hub.upload.files_to_upload` of the output folder.

        Raises:
            UploadError: the upload failed, on all ranks; the message says how to try again. Where `blocking` is False,
                the `result()` of what the main process gets raises it.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self._finish_current_push()  # it reads the files that are replaced now
        self.save_model(_internal_call=True)
        options = {"token": token or self.args.hub_token, "revision": revision or self.args.hub_revision}
        options["message"] = commit_message or "End of training"
        pushed = []

        def push() -> None:
            self.create_model_card(**kwargs)
            if blocking:
                pushed.append(upload_model(self.args.output_dir, self.hub_model_id, **options))
            else:
                pushed.append(push_later(HfApi(), self, **options))

        on_main_process(push, UploadError)
        return pushed[0] if pushed else None

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        self.complete_checkpoint(checkpoint_folder)  # what is uploaded can be resumed
        push_checkpoint(self, checkpoint_folder)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the card, with the figures of the last evaluation of the weights in the output folder.

        Of what `Trainer` takes, `language`, `license`, `tags`, `finetuned_from` and `dataset_tags` go on it. A card
        that was written by hand stays; a module without a config gets none.
        """
        if self.is_world_process_zero() and Path(self.args.output_dir, "config.json").is_file():
            write_card_of_training(self, *args, **kwargs)
