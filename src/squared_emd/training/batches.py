"""Batches of a map-style data set: drawn alike before and after an interruption, checked, without unknown repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from itertools import islice
from typing import Any

import datasets
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderDispatcher
from accelerate.state import PartialState
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from .randomness import own_generator, own_randomness, seed_all

__all__ = ["NUM_FRESH", "MapBatches", "NumberedSampler", "mark_repeats"]

NUM_FRESH = "num_fresh_samples"  # a batch with this key ends with samples that count elsewhere already

Draw = tuple[int, int, int]  # epoch, position in the epoch, index in the data set


class NumberedSampler(Sampler):
    """The indices of another sampler, each with its epoch and its position there.

    The order of an epoch depends on the seed and the epoch alone, also where the other sampler draws from the global
    generators.

    Args:
        sampler: gives indices; one that has `set_epoch` is told the epoch.
        seed: of the run.
    """

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self.sampler = sampler
        self.seed = seed
        self.epoch = 0
        self.skip_once = 0  # so many indices of the next pass are left out

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass is.

        Args:
            epoch: from 0.
        """
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Draw]:
        skip, self.skip_once = self.skip_once, 0
        with own_randomness():
            seed_all(self.seed, self.epoch)
            generator = getattr(self.sampler, "generator", None)
            if isinstance(generator, torch.Generator) and not hasattr(self.sampler, "set_epoch"):
                generator.manual_seed(int(torch.randint(2**62, ())))
            order = list(islice(self.sampler, len(self)))
        for position, index in enumerate(order[skip:], skip):
            yield self.epoch, position, index


class MapBatches(Dataset):
    """A map-style data set that gives collated batches, each sample drawn under a seed of its own.

    What is random in a sample then depends on the seed, the epoch and its position there alone: not on the workers,
    the ranks, the batch size, what was drawn before, or on whether the run was interrupted. (In the collator it depends
    on the batch's first position; so do the samples of a data set with a `__getitems__` of its own.) The seeds are
    undone after the batch, so that dropout in the same process draws as if the data were fixed.

    Args:
        dataset: gives one sample an index; one that has `set_epoch` is told the epoch.
        seed: of the run.
        check: is called with each batch and raises where it does not fit the model.
    """

    def __init__(self, dataset: Dataset, seed: int, check: Callable[[Any], None]) -> None:
        self.dataset = dataset
        self.seed = seed
        self.check = check
        self.epoch: int | None = None
        self.collate: Callable[[list], Any] | None = None
        fixed = isinstance(dataset, datasets.Dataset) and dataset.format["type"] != "custom"
        by_the_item = isinstance(dataset, (datasets.Dataset, Subset)) and not fixed
        self.fetches_batches = callable(getattr(dataset, "__getitems__", None)) and not by_the_item

    def take_over(self, loader: DataLoader, collate: Callable[[list], Any] | None = None) -> NumberedSampler:
        """Number what `loader` samples, and collate in its place.

        Args:
            loader: made by Accelerate, of this data set.
            collate: in place of the loader's own.

        Returns:
            What numbers the samples.
        """
        base = own_generator(loader, self.seed)
        self.collate, base.collate_fn = collate or base.collate_fn, _only
        batch_sampler = loader.batch_sampler
        if isinstance(batch_sampler, BatchSamplerShard):
            batch_sampler = batch_sampler.batch_sampler
        sampler = NumberedSampler(batch_sampler.sampler, self.seed)
        loader.set_sampler(sampler)
        return sampler

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, draws: Sequence[Draw]) -> list:
        epoch, first, _ = draws[0]
        if epoch != self.epoch:
            self.epoch = epoch
            if hasattr(self.dataset, "set_epoch"):
                self.dataset.set_epoch(epoch)
        with own_randomness():
            if self.fetches_batches:
                seed_all(self.seed, epoch, 1 + first)
                samples = self.dataset.__getitems__([index for _, _, index in draws])
            else:
                samples = []
                for _, position, index in draws:
                    seed_all(self.seed, epoch, 1 + position)
                    samples.append(self.dataset[index])
            seed_all(self.seed, epoch, 1 + first, 1)
            batch = self.collate(samples)
        self.check(batch)
        return [batch]


def mark_repeats(batch: Any, loader: Any) -> Any:
    """Say in the batch that `loader` gave last how many of its samples are no repeats.

    So that all ranks get a batch, Accelerate fills the last one of an epoch with the epoch's first samples, at its end.

    Args:
        batch: a mapping with `labels`; anything else is left as it is.
        loader: of Accelerate, which is where `batch` came from.

    Returns:
        `batch`, with the number under `NUM_FRESH` where it ends with repeats.
    """
    if not (isinstance(batch, MutableMapping) and "labels" in batch and getattr(loader, "end_of_dataloader", False)):
        return batch
    size = len(batch["labels"])
    if isinstance(loader, DataLoaderDispatcher):
        given, rank = loader.remainder, PartialState().process_index
    else:
        shard = getattr(loader, "batch_sampler", None)
        while shard is not None and not isinstance(shard, BatchSamplerShard):
            shard = getattr(shard, "batch_sampler", None)
        if shard is None or shard.batch_size is None or shard.drop_last or not shard.even_batches:
            return batch
        together = shard.batch_size * (1 if shard.split_batches else shard.num_processes)
        given = len(shard.batch_sampler.sampler) % together or together
        rank = shard.process_index
    fresh = min(max(given - rank * size, 0), size)
    if fresh < size:
        batch[NUM_FRESH] = fresh
    return batch


def _only(batches: list) -> Any:
    (batch,) = batches
    return batch
