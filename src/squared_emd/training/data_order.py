"""A mixin for `Trainer` that makes the data of resumed and multi-rank runs exact."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import datasets
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderDispatcher
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers.trainer_utils import EvalLoopOutput, has_length

from .seeded_data import (
    NUM_UNIQUE,
    BatchCheck,
    NumberedSampler,
    SeededBatches,
    SeededStream,
    isolate_worker_seeds,
    seed_stream,
)

__all__ = ["DataOrderMixin"]


class DataOrderMixin:
    """To be put before `Trainer`: `class MyTrainer(DataOrderMixin, Trainer)`.

    - What is random in the training data depends on the seed, the epoch and the position in it alone: not on workers,
      ranks, the batch size, or on whether the run was interrupted.
    - So that all ranks get a batch, Accelerate pads the last one of an epoch with samples of its beginning. These
      padding duplicates count neither in the loss of training nor in that of an evaluation, which is the mean over its
      samples.

    Attributes:
        batch_check: raises where a training batch does not fit the model; it is called in the workers of the loader.
    """

    batch_check: BatchCheck = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.accelerator.num_processes > 1 and not self.accelerator.even_batches:
            raise ValueError(
                "even_batches=False in accelerator_config gives the ranks different numbers of batches, so that some "
                "would wait for others without end. Leave it out: the duplicates that even them out count neither in "
                "a loss nor in a metric."
            )
        self._sampler: NumberedSampler | None = None
        self._evaluated: dict[str, Tensor] = {}  # by name, (2,) the sum of a loss and the number of samples

    def exclude_duplicates(self, batch: MutableMapping, num_unique: int) -> MutableMapping:
        """Keep padding duplicates out of the loss: class indices are set to -100, which cross-entropy ignores.

        Args:
            batch: with `labels`.
            num_unique: samples that count; those after them are padding duplicates.

        Raises:
            ValueError: the labels are no class indices.
        """
        labels = batch["labels"].clone()
        if labels.is_floating_point():
            raise ValueError(
                f"padding duplicates can be taken out of a loss of class indices only, got labels of type "
                f"{labels.dtype}. Override exclude_duplicates, or set dataloader_drop_last=True."
            )
        labels[num_unique:] = -100
        batch["labels"] = labels
        return batch

    def _get_dataloader(
        self, dataset: Dataset, description: str, *args: Any, is_training: bool = False, **kwargs: Any
    ) -> DataLoader:
        if self.args.dataloader_drop_last and not is_training:  # An evaluation is of all samples.
            self.args.dataloader_drop_last = False
            try:
                return DataOrderMixin._get_dataloader(self, dataset, description, *args, **kwargs)
            finally:
                self.args.dataloader_drop_last = True
        make = super()._get_dataloader
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        if isinstance(dataset, IterableDataset):
            if self.args.dataloader_drop_last:
                raise ValueError(
                    "dataloader_drop_last=True has no effect on a stream, of which Trainer also takes the last batch, "
                    "complete or not. Leave it out, or leave the last samples out of the dataset."
                )
            # Accelerate splits a stream of `datasets` by its shards where every rank reads it.
            is_split = isinstance(dataset, datasets.IterableDataset) and self.accelerator.dispatch_batches is False
            if self.accelerator.num_processes == 1 or not is_split:
                dataset = SeededStream(dataset, seed)
            loader = make(dataset, description, *args, is_training=is_training, **kwargs)
            seed_stream(loader, seed, self.batch_check if is_training else None)
            return loader
        # A sampler of batches has no positions of samples.
        if not is_training or self.args.train_sampling_strategy == "batch_rebalance":
            loader = make(dataset, description, *args, is_training=is_training, **kwargs)
            if not is_training:
                isolate_worker_seeds(loader, seed)
            return loader
        original, collate, make_sampler = dataset, None, kwargs.pop("sampler_fn", None)
        if isinstance(dataset, datasets.Dataset):  # Trainer removes columns from it, but keys of other batches
            dataset, collate = self._remove_unused_columns(dataset, description=description), self.data_collator
        batches = SeededBatches(dataset, seed, self.batch_check)
        sampler_fn = make_sampler and (lambda _: make_sampler(original))
        loader = make(batches, description, *args, is_training=True, sampler_fn=sampler_fn, **kwargs)
        if not len(loader):
            raise ValueError(
                f"dataloader_drop_last=True leaves no batch of the {len(dataset)} training samples: a batch of all "
                f"ranks has {self.args.train_batch_size * self.accelerator.num_processes}. Lower "
                "per_device_train_batch_size, or leave dataloader_drop_last out."
            )
        self._sampler = batches.attach(loader, collate)
        return loader

    def _run_epoch(self, **kwargs: Any) -> None:
        if self._sampler is not None:
            epoch, loader = kwargs["epoch"], kwargs["train_dataloader"]
            self._sampler.set_epoch(epoch)  # Accelerate does not reach it below every loader of a resumed epoch
            # Of a loader whose main process reads for all, Accelerate skips too few batches.
            dispatches = isinstance(loader, DataLoaderDispatcher) and not loader.split_batches
            if epoch == kwargs["epochs_trained"] and dispatches:
                samples = self._train_batch_size * kwargs["steps_trained_in_current_epoch"]
                self._sampler.skip_once = (self.accelerator.num_processes - 1) * samples
        super()._run_epoch(**kwargs)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, *args: Any) -> tuple[list, Tensor | int | None]:
        """As `Trainer`; without padding duplicates, and without too few batches at the end of a stream."""
        if self.accelerator.num_processes > 1:
            epoch_iterator = (self._without_duplicates(batch)[0] for batch in epoch_iterator)
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, *args)
        # Trainer makes no step of what a stream has left at its end, but would keep its gradient for the next step.
        incomplete = len(batches) < num_batches and not has_length(self.train_dataset)
        return ([], None) if incomplete else (batches, num_items)

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> tuple:
        """As `Trainer`; padding duplicates do not count in the loss."""
        inputs, num_unique = self._without_duplicates(inputs)
        result = super().prediction_step(model, inputs, *args, **kwargs)
        if result[0] is None:
            return result
        weight: Tensor | int = num_unique
        is_over_ranks = self.accelerator.num_processes > 1 and self.args.average_tokens_across_devices
        if is_over_ranks and (self.model_accepts_loss_kwargs or self.compute_loss_func is not None):
            # Trainer has divided by the labels of all ranks: the mean of the ranks' losses is that of all samples.
            weight = self.accelerator.reduce(torch.tensor(float(num_unique), device=self.args.device), "mean")
        # A rank whose samples are all duplicates adds 0, also to a loss that is not finite: all ranks add to the same.
        counts = isinstance(weight, Tensor) or weight > 0
        total = _as_float64(result[0]) * weight if counts else torch.zeros_like(result[0])
        self.add_to_evaluation("loss", total, weight)
        return result

    def add_to_evaluation(self, name: str, total: Tensor, num_samples: Tensor | int) -> None:
        """Add a loss summed over samples of this rank to the evaluation, which gives the mean over all as `name`.

        All ranks add to the same names, and padding duplicates count nowhere.
        """
        total = _as_float64(total)
        sums = torch.stack([total, torch.as_tensor(num_samples).to(total)])
        self._evaluated[name] = self._evaluated.get(name, 0) + sums

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """As `Trainer`; the loss is the mean over all samples, however they are split into ranks and batches."""
        self._evaluated = {}
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        for name in sorted(self._evaluated):
            total, samples = self.accelerator.reduce(self._evaluated[name], "sum").tolist()
            if samples and f"{metric_key_prefix}_loss" in output.metrics:
                output.metrics[f"{metric_key_prefix}_{name}"] = total / samples
        return output

    def _without_duplicates(self, batch: Any) -> tuple[Any, int]:
        """The batch and its number of samples that count; 0 where it has no labels."""
        if not isinstance(batch, MutableMapping):
            return batch, 0
        num_unique = batch.pop(NUM_UNIQUE, None)  # only the collator of a stream knows it
        if batch.get("labels") is None:
            return batch, 0
        size = len(batch["labels"])
        if num_unique is None:
            num_unique = _count_unique(size, self.accelerator)
        return (batch if num_unique == size else self.exclude_duplicates(batch, num_unique)), num_unique


def _as_float64(tensor: Tensor) -> Tensor:
    """A value to be summed up, detached; on the CPU if it is on MPS, which has no float64."""
    return tensor.detach().to("cpu" if tensor.device.type == "mps" else tensor.device, torch.float64)


def _count_unique(size: int, accelerator: Any) -> int:
    """How many samples of the batch that Accelerate gave last are no padding."""
    loader = accelerator.gradient_state.active_dataloader
    if accelerator.num_processes == 1 or not getattr(loader, "end_of_dataloader", False):
        return size
    if isinstance(loader, DataLoaderDispatcher):
        remainder, rank = loader.remainder, accelerator.process_index
    else:
        shard = getattr(loader, "batch_sampler", None)
        while shard is not None and not isinstance(shard, BatchSamplerShard):
            shard = getattr(shard, "batch_sampler", None)
        if shard is None or shard.batch_size is None or shard.drop_last:
            return size
        step = shard.batch_size * (1 if shard.split_batches else shard.num_processes)
        remainder = len(shard.batch_sampler.sampler) % step or step
        rank = shard.process_index
    return min(max(remainder - rank * size, 0), size)
