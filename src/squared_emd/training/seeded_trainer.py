"""A Trainer whose batches depend on the seed and the place in the run alone, and name their repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import torch
from accelerate.data_loader import DataLoaderDispatcher
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput, has_length

from .batches import NUM_FRESH, MapBatches, NumberedSampler, mark_repeats
from .randomness import own_generator
from .streams import Stream, take_over_stream

__all__ = ["SeededTrainer"]


class SeededTrainer(Trainer):
    """`transformers.Trainer`, exact where it is interrupted within an epoch and where ranks do not divide the data.

    What is random in the training data depends on the seed, the epoch and the position in it alone. A batch that
    Accelerate filled up with samples of the epoch's beginning says so under `NUM_FRESH`, which `compute_loss` is to
    take out. The loss of an evaluation is the mean over its samples.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbered: NumberedSampler | None = None
        device = "cpu" if self.args.device.type == "mps" else self.args.device  # MPS has no float64
        self._evaluated = torch.zeros(2, dtype=torch.float64, device=device)  # sum of the losses, and samples

    @property
    def batch_check(self) -> Callable[[Any], None]:
        """What raises where a training batch does not fit the model.

        It gets what the collator gave, on the CPU, and is sent to the workers of the DataLoader.
        """
        return _no_check

    def _get_dataloader(
        self, dataset: Dataset, description: str, *args: Any, is_training: bool = False, **kwargs: Any
    ) -> DataLoader:
        make = super()._get_dataloader
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        if isinstance(dataset, IterableDataset):
            # Accelerate deals out the shards of a stream of Hugging Face where every rank reads it
            dealt_out = isinstance(dataset, datasets.IterableDataset) and self.accelerator.dispatch_batches is False
            if self.accelerator.num_processes == 1 or not dealt_out:
                dataset = Stream(dataset, seed)
            loader = make(dataset, description, *args, is_training=is_training, **kwargs)
            take_over_stream(loader, seed, self.batch_check if is_training else _no_check)
            return loader
        if not is_training:
            loader = make(dataset, description, *args, is_training=False, **kwargs)
            own_generator(loader, seed)
            return loader
        if self.args.train_sampling_strategy == "batch_rebalance":  # cuts its batches itself: they have no positions
            return make(dataset, description, *args, is_training=True, **kwargs)
        whole, collate, make_sampler = dataset, None, kwargs.pop("sampler_fn", None)
        if isinstance(dataset, datasets.Dataset):  # as Trainer: its columns are taken out here, not in the collator
            dataset, collate = self._remove_unused_columns(dataset, description=description), self.data_collator
        batches = MapBatches(dataset, seed, self.batch_check)
        sampler_fn = make_sampler and (lambda _: make_sampler(whole))
        loader = make(batches, description, *args, is_training=True, sampler_fn=sampler_fn, **kwargs)
        self._numbered = batches.take_over(loader, collate)
        return loader

    def _run_epoch(
        self,
        *,
        epoch: int,
        train_dataloader: DataLoader,
        epochs_trained: int,
        steps_trained_in_current_epoch: int,
        **kwargs: Any,
    ) -> None:
        if self._numbered is not None:
            self._numbered.set_epoch(epoch)  # Accelerate does not find it below every loader of a resumed epoch
            # Of a loader whose first rank reads for all, Accelerate skips too few batches.
            dispatches = isinstance(train_dataloader, DataLoaderDispatcher) and not train_dataloader.split_batches
            if epoch == epochs_trained and dispatches:
                others = self.accelerator.num_processes - 1
                self._numbered.skip_once = others * self._train_batch_size * steps_trained_in_current_epoch
        super()._run_epoch(
            epoch=epoch,
            train_dataloader=train_dataloader,
            epochs_trained=epochs_trained,
            steps_trained_in_current_epoch=steps_trained_in_current_epoch,
            **kwargs,
        )

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, *args: Any) -> tuple[list, Tensor | int | None]:
        """As `Trainer`; a batch that ends with repeats says so, and too few at the end of a stream are left out.

        Args:
            epoch_iterator: over the epoch's batches.
            num_batches: as many as an optimizer step accumulates.
            args: as `Trainer` takes them.
        """
        marked = (self._mark_repeats(batch) for batch in epoch_iterator)
        batches, samples = super().get_batch_samples(
            marked if self.accelerator.num_processes > 1 else epoch_iterator, num_batches, *args
        )
        # Trainer makes no step of what a stream has left at its end, but would keep its gradient for the next step.
        cut = len(batches) < num_batches and not has_length(self.train_dataset)
        return ([], None) if cut else (batches, samples)

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """As `Trainer`; a batch that ends with repeats says so.

        Args:
            model: as Accelerate wrapped it.
            inputs: a batch.
            args: as `Trainer` takes them.
            kwargs: as `Trainer` takes them.
        """
        if self.accelerator.num_processes > 1:
            inputs = self._mark_repeats(inputs)
        if "labels" not in inputs:
            inputs.pop(NUM_FRESH, None)  # which only the loss wants
        result = super().prediction_step(model, inputs, *args, **kwargs)
        if result[0] is not None and "labels" in inputs:
            fresh = inputs.get(NUM_FRESH, len(inputs["labels"]))
            loss = result[0].to(self._evaluated)
            self._evaluated += torch.stack([loss * fresh, torch.full_like(loss, fresh)])
        return result

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As `Trainer`; the loss is the mean over all samples, however ranks and batches cut them.

        Args:
            dataloader: as `Trainer` takes it.
            description: as `Trainer` takes it.
            prediction_loss_only: as `Trainer` takes it.
            ignore_keys: as `Trainer` takes it.
            metric_key_prefix: before the names of the metrics.
        """
        self._evaluated.zero_()
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        name = f"{metric_key_prefix}_loss"
        total, samples = self.accelerator.reduce(self._evaluated, "sum").tolist()
        if name in output.metrics and samples:
            output.metrics[name] = total / samples
        return output

    def _mark_repeats(self, batch: Any) -> Any:
        return mark_repeats(batch, self.accelerator.gradient_state.active_dataloader)


def _no_check(batch: Any) -> None:
    """Any batch will do."""
