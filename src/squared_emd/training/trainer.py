"""`EMDTrainer`: a `transformers.Trainer` whose loss knows that some mistakes are worse than others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from huggingface_hub import CommitInfo
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, WeightedRandomSampler
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from ..ground_distance.model_config import class_names_of
from ..ground_distance.saved import ground_distance_of_model
from ..hub.results import replace_calibrations, weights_version
from ..hub.training_push import create_repository_of_training, push_checkpoint, push_training, write_card_of_training
from ..losses import logits_of
from .argument_checks import check_engine, warn_of_unused_fields
from .arguments import EMDTrainingArguments
from .calibration import calibrate
from .callbacks import ConfigWriter, GroundDistanceCallback, GroundDistanceFigures
from .checkpointing import CheckpointingMixin
from .config_entries import config_of, replace_config_entries, write_config_entries
from .criterion import EMDCriterion
from .data_order import DataOrderMixin
from .evaluation import LogitsFirst, evaluation_loss, keep_best_evaluation, keep_evaluation, settings_of_evaluation
from .head_features import HeadInput
from .labels import balanced_draws, check_batch_labels, check_label_column, class_shares, num_classes_of, transformed
from .nonfinite import FiniteCheck, check_weights
from .seeded_data import NUM_UNIQUE

__all__ = ["EMDTrainer"]


class EMDTrainer(CheckpointingMixin, DataOrderMixin, Trainer):
    """A drop-in `transformers.Trainer` with the losses of Hou et al. 2016.

    Takes what `Trainer` takes, with `EMDTrainingArguments` for `args`. The model may be any Hugging Face or timm
    classifier, or an `nn.Module` with an attribute `num_classes` that returns (B, K) logits: as a tensor, first in a
    tuple, or as `logits` of a mapping. The dataset gives `labels`: (B,) class indices, or (B, K) distributions.

    The loss of an optimizer step is the mean over all its samples, however they are split into ranks, batches and
    accumulation steps. `loss_ce` and `loss_emd` (whose sum is the loss), `regularizer_weight`, `sdd` and `sdd_relative`
    are logged with it, and `non_finite_samples` where there are any; an evaluation has `eval_loss_ce` and
    `eval_loss_emd` beside `eval_loss`. Interrupted runs resume to the same bits.

    A `compute_metrics` with a method `restart()` and an optional argument `compute_result`, such as `ordinal_metrics`,
    gets `evaluate()` batch by batch, as with `batch_eval_metrics=True`. Others leave the device every 16 batches.

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
        ValueError: the arguments do not fit the model, its classes, the data or the engine.
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
        self.label_names = ["labels"]  # also of a module whose forward takes none
        # By version of the weights: the last evaluation, metrics and number of samples by prefix; calibrated intervals.
        self.evaluated: dict[tuple[int, int], dict[str, tuple[dict[str, float], int]]] = {}
        self.calibrated: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self.saved_weights: tuple[int, int] | None = None  # the version of those in the output folder
        config, names = config_of(self.model), class_names_of(getattr(self.model, "config", None))
        options = {"class_names": names, "ground_distance": ground_distance, "device": args.device}
        self.criterion = EMDCriterion(args, num_classes_of(self.model), **options)
        self.loaded_ground_distance = ground_distance_of_model(config, names)
        self.train_batch_transform = train_batch_transform
        self.finite = FiniteCheck(args.device)
        self._told: set[str] = set()
        self.head_input: HeadInput | None = None
        self._prepare(getattr(config, "emd", None) or {})

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """As `Trainer`; afterwards the config of the model has D, and nothing else of ours is left on the model."""
        self.evaluated, self.calibrated, self.saved_weights = {}, {}, None  # They are of the weights before.
        self.finite = FiniteCheck(self.args.device)
        own = [
            GroundDistanceCallback(self.criterion),
            ConfigWriter(self),
            GroundDistanceFigures(self.criterion, self.callback_handler),
            self.finite,
        ]
        self.callback_handler.callbacks[:0] = own  # The others see the D of the epoch that ends.
        try:
            return super().train(*args, **kwargs)
        finally:
            for callback in own:
                self.pop_callback(callback)
            if self.head_input is not None:
                self.head_input.remove()

    def _prepare(self, emd: dict[str, Any]) -> None:
        """Set up what depends on the arguments besides the criterion; `emd`: the block of a model to be evaluated."""
        args, criterion, dataset = self.args, self.criterion, self.train_dataset
        warn_of_unused_fields(args, self._told)
        self.batch_check = partial(check_batch_labels, criterion.num_label_classes)
        check_engine(args, learns=criterion.learns_ground_distance, is_deepspeed=self.is_deepspeed_enabled)
        # Without training nothing is weighed or drawn; what it raises is to come now.
        if dataset is not None and (args.weights_by_count is not None or args.balanced_sampling):
            needed_by = f"class_weights {args.class_weights[0]}" if args.weights_by_count else "balanced_sampling"
            criterion.count_classes(class_shares(dataset, criterion.num_label_classes, needed_by=needed_by)[0])
        criterion.adopt(self.loaded_ground_distance, emd)
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
        if hasattr(self, "criterion"):  # which the first model is made before
            self._prepare_model(model)
        return model

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of one batch; with `num_items_in_batch` this rank's share of that of the whole accumulated batch.

        Raises:
            ValueError: the batch has no `labels`, or they do not fit the model.
        """
        inputs = dict(inputs)
        if "labels" not in inputs:
            raise ValueError(
                f"EMDTrainer needs `labels` in every batch, got {sorted(inputs)}. Name the dataset's label column "
                "`label` or `labels`, without None in it, and keep it with remove_unused_columns=False where a "
                "transform makes the inputs."
            )
        num_unique = inputs.pop(NUM_UNIQUE, len(inputs["labels"]))  # after them come padding duplicates
        if model.training and self.train_batch_transform is not None:
            inputs = transformed(self.train_batch_transform, inputs)
        labels = inputs.pop("labels")
        learns = model.training and self.head_input is not None
        with self.head_input.armed(model) if learns else nullcontext():
            outputs = model(**inputs)
        logits = logits_of(outputs, self.criterion.num_classes)
        self.criterion.train(model.training)
        if not model.training:
            loss = evaluation_loss(self, logits, labels, num_unique)
            return (loss, outputs) if return_outputs else loss

        features = [self.head_input.take(logits)] if learns else []
        finite = self.finite.check(logits, *features, num_unique=num_unique)  # (B,)
        components = self.criterion(logits, labels, finite)
        components = {name: values[:num_unique] for name, values in components.items()}
        for rows in features:
            self.criterion.observe(rows.masked_fill(~finite[:, None], torch.nan)[:num_unique], labels[:num_unique])
        items = num_unique if num_items_in_batch is None else num_items_in_batch
        shares = {name: values.sum() / items for name, values in components.items()}
        loss = sum(shares.values())
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # over which the gradients are averaged
            shares["non_finite_samples"] = num_unique - self.finite.last_finite
            for name, share in shares.items():
                self.log_sums[name] = self.log_sums.get(name, 0) + share.detach()
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """As `Trainer`; the predictions are the logits, or begin with them where the model returns more."""
        return super().prediction_step(LogitsFirst(model, self.criterion.num_classes), inputs, *args, **kwargs)

    def _get_dataloader(self, dataset: Any, *args: Any, **kwargs: Any) -> DataLoader:
        check = partial(check_label_column, num_classes=self.criterion.num_label_classes, collate=self.data_collator)
        evaluated = kwargs.get("dataloader_key")
        if kwargs.get("is_training"):
            if self.args.changed_fields(self.criterion.args):  # as in a hyperparameter search
                self.criterion.read_arguments(self.args)
                self._prepare({})
            check(dataset, source="train_dataset")
            check(self.eval_dataset, source="eval_dataset")
            if hasattr(self.compute_metrics, "check_outputs") and self.preprocess_logits_for_metrics is None:
                self.compute_metrics.check_outputs(self.criterion.num_classes)
        elif evaluated is None:
            check(dataset, source="test_dataset", is_optional=True)
        else:
            check(dataset, source="eval_dataset" if evaluated == "eval" else f"eval_dataset[{evaluated!r}]")
        return super()._get_dataloader(dataset, *args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`; the training log also has the loss components and what is known of D."""
        if "train_loss" in logs:  # training is over, and the best model is not loaded yet
            replace_config_entries(self)
        if self.reduced_log_sums and "loss" in logs:
            sums, self.reduced_log_sums = self.reduced_log_sums, {}
            not_finite = sums.pop("non_finite_samples")
            logs.update({f"loss_{name}": total / self.steps_to_log for name, total in sums.items()})
            logs.update(self.criterion.figures() | ({"non_finite_samples": not_finite} if not_finite else {}))
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

    def evaluation_loop(self, dataloader: DataLoader, description: str, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """As `Trainer`; memory grows with the data only where `compute_metrics` needs all outputs at once."""
        prefix, returns_outputs = kwargs.get("metric_key_prefix", "eval"), description == "Prediction"
        with settings_of_evaluation(self, dataloader, returns_outputs=returns_outputs):
            output = super().evaluation_loop(dataloader, description, *args, **kwargs)
        if f"{prefix}_loss" in output.metrics and not returns_outputs:
            keep_evaluation(self, output, prefix)
        return output

    def calibrate(
        self, dataset: Any, *, coverage: float | Sequence[float] = 0.9, test_dataset: Any = None
    ) -> list[dict[str, Any]]:
        """Calibrate intervals of classes that hold the truth with a chosen probability, on all ranks.

        They stay in `config.emd["intervals"]` until the model is trained again, and are saved with it. See
        :func:`squared_emd.training.calibration.calibrate` for arguments, what is returned, and what is raised.
        """
        found, version = calibrate(self, dataset, coverage, test_dataset), self.weights_version
        self.calibrated[version] = replace_calibrations(self.calibrated.get(version, []), found)
        return found

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if not self.args.balanced_sampling:
            return super()._get_train_sampler(train_dataset)
        classes = self.criterion.num_label_classes
        draws = balanced_draws(*class_shares(train_dataset, classes, needed_by="balanced_sampling"))
        return WeightedRandomSampler(torch.from_numpy(draws), len(draws))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """As `Trainer`; the config carries D and the `emd` block, or D lies beside an adapter.

        Raises:
            FloatingPointError: the weights are not finite and `nan_policy` is `raise`.
        """
        if self.args.nan_policy == "raise":
            check_weights(self.model, self.state.global_step, self.accelerator.reduce if self._is_sharded else None)
        if self.args.should_save:
            folder = output_dir or self.args.output_dir
            os.makedirs(folder, exist_ok=True)
            write_config_entries(self, folder)
        if output_dir in (None, self.args.output_dir):
            self.saved_weights = self.weights_version
        super().save_model(output_dir, _internal_call)

    def _load_best_model(self) -> None:
        super()._load_best_model()
        keep_best_evaluation(self)

    @property
    def weights_version(self) -> tuple[int, int]:
        """What changes whenever the weights do; of them it reads a sample."""
        return weights_version(self.model, is_sharded=self._is_sharded), self.state.global_step

    @property
    def _is_sharded(self) -> bool:
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def checkpoint_state(self) -> dict[str, Tensor]:
        """The state of the criterion."""
        return self.criterion.state()

    def load_checkpoint_state(self, state: dict[str, Tensor] | None, checkpoint: str) -> bool:
        """Restore the criterion; without a state, or with one of another loss, D starts empty."""
        source = checkpoint if self.args.should_save else None
        return self.criterion.resume(state, int(self.state.epoch or 0), source)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As `Trainer`, with the `UploadError` of the main process on all ranks."""
        create_repository_of_training(self, token, private)

    def push_to_hub(self, *args: Any, **kwargs: Any) -> CommitInfo | Future | None:
        """As `Trainer`, on all ranks, of what `files_to_upload` names; an `UploadError` says how to try again."""
        return push_training(self, *args, **kwargs)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        self.complete_checkpoint(checkpoint_folder)  # what is uploaded can be resumed
        push_checkpoint(self, checkpoint_folder)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the card, with the figures of the last evaluation of the weights in the output folder.

        Of what `Trainer` takes, `language`, `license`, `tags`, `finetuned_from` and `dataset_tags` go on it. A card
        that was written by hand stays; a module without a config gets none.
        """
        write_card_of_training(self, *args, **kwargs)
