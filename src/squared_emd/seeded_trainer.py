"""A Trainer whose batches depend on the seed and the place in the run alone, and name their repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
from accelerate.data_loader import DataLoaderDispatcher
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import Trainer

from .batches import MapBatches, NumberedSampler, mark_repeats
from .randomness import own_generator
from .streams import Stream, take_over_stream

__all__ = ["SeededTrainer"]


class SeededTrainer(Trainer):
    """`transformers.Trainer`, exact where it is interrupted within an epoch and where ranks do not divide the data.

    What is random in the training data depends on the seed, the epoch and the position in it alone. A batch that
    Accelerate filled up with samples of the epoch's beginning says so under `NUM_FRESH`, which `compute_loss` is to
    take out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._numbered: NumberedSampler | None = None

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
        if not is_training:
            loader = make(dataset, description, *args, is_training=False, **kwargs)
            own_generator(loader, seed)
            return loader
        if isinstance(dataset, IterableDataset):
            # Accelerate deals out the shards of a stream of Hugging Face where every rank reads it
            dealt_out = isinstance(dataset, datasets.IterableDataset) and self.accelerator.dispatch_batches is False
            if self.accelerator.num_processes == 1 or not dealt_out:
                dataset = Stream(dataset, seed)
            loader = make(dataset, description, *args, is_training=True, **kwargs)
            take_over_stream(loader, seed, self.batch_check)
            return loader
        if self.args.train_sampling_strategy == "batch_rebalance":  # cuts its batches itself: they have no positions
            return make(dataset, description, *args, is_training=True, **kwargs)
        whole, collate, sampler_fn = dataset, None, kwargs.pop("sampler_fn", None)
        if isinstance(dataset, datasets.Dataset):  # as Trainer: its columns are taken out here, not in the collator
            dataset, collate = self._remove_unused_columns(dataset, description=description), self.data_collator
        batches = MapBatches(dataset, seed, self.batch_check)
        numbers_all = sampler_fn and (lambda _: sampler_fn(whole))
        loader = make(batches, description, *args, is_training=True, sampler_fn=numbers_all, **kwargs)
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
        # Of a loader whose first rank reads for all, Accelerate skips too few batches when a run is resumed.
        dispatches = isinstance(train_dataloader, DataLoaderDispatcher) and not train_dataloader.split_batches
        if epoch == epochs_trained and dispatches and self._numbered is not None:
            others = self.accelerator.num_processes - 1
            batch_size = self.args.train_batch_size
            self._numbered.skip_once = others * batch_size * steps_trained_in_current_epoch
        super()._run_epoch(
            epoch=epoch,
            train_dataloader=train_dataloader,
            epochs_trained=epochs_trained,
            steps_trained_in_current_epoch=steps_trained_in_current_epoch,
            **kwargs,
        )

    def get_batch_samples(self, epoch_iterator: Any, *args: Any) -> tuple[list, Tensor | int | None]:
        """As `Trainer`; a batch that ends with repeats says so.

        Args:
            epoch_iterator: over the epoch's batches.
            args: as `Trainer` takes them.
        """
        marked = (self._mark_repeats(batch) for batch in epoch_iterator)
        return super().get_batch_samples(marked if self.accelerator.num_processes > 1 else epoch_iterator, *args)

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
        return super().prediction_step(model, inputs, *args, **kwargs)

    def _mark_repeats(self, batch: Any) -> Any:
        return mark_repeats(batch, self.accelerator.gradient_state.active_dataloader)


def _no_check(batch: Any) -> None:
    """Any batch will do."""
