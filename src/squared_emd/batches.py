"""The batches of a training run: drawn alike before and after an interruption, checked, without unknown repeats."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import numpy as np
import torch
from accelerate.data_loader import BatchSamplerShard, DataLoaderDispatcher, IterableDatasetShard
from accelerate.state import PartialState
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from .losses import check_labels

__all__ = [
    "NUM_FRESH",
    "MapBatches",
    "NumberedSampler",
    "check_batch_labels",
    "check_label_column",
    "count_stream",
    "mark_repeats",
]

NUM_FRESH = "num_fresh_samples"  # a batch with this key ends with samples that count elsewhere already

Draw = tuple[int, int, int]  # epoch, position in the epoch, index in the data set


class NumberedSampler(Sampler):
    """The indices of another sampler, each with its epoch and its position there.

    Args:
        sampler: gives indices; one that has `set_epoch` is told the epoch.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.epoch = 0

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
        for position, index in enumerate(self.sampler):
            yield self.epoch, position, index


class MapBatches(Dataset):
    """A map-style data set that gives collated batches, each drawn under a seed of its own.

    What is random in the data set or the collator then depends on the seed, the epoch and the batch's first position
    alone: not on the workers, on what was drawn before, or on whether the run was interrupted. The seed is undone
    after the batch, so that dropout in the same process draws as if the data were fixed.

    Args:
        dataset: gives one sample an index.
        seed: of the run.
        check: is called with each batch and raises where it does not fit the model.
    """

    def __init__(self, dataset: Dataset, seed: int, check: Callable[[Any], None]) -> None:
        self.dataset = dataset
        self.seed = seed
        self.check = check
        self.collate: Callable[[list], Any] | None = None

    def take_over(self, loader: DataLoader) -> None:
        """Number what `loader` samples, and collate in its place.

        Args:
            loader: made by Accelerate, of this data set.
        """
        base = getattr(loader, "base_dataloader", loader)
        self.collate, base.collate_fn = base.collate_fn, _only
        batch_sampler = loader.batch_sampler
        if isinstance(batch_sampler, BatchSamplerShard):
            batch_sampler = batch_sampler.batch_sampler
        loader.set_sampler(NumberedSampler(batch_sampler.sampler))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitems__(self, draws: Sequence[Draw]) -> list:
        indices = [index for _, _, index in draws]
        epoch, position, _ = draws[0]
        with _seeded(self.seed, epoch, position):
            if callable(getattr(self.dataset, "__getitems__", None)):
                samples = self.dataset.__getitems__(indices)
            else:
                samples = [self.dataset[index] for index in indices]
            batch = self.collate(samples)
        self.check(batch)
        return [batch]


def count_stream(loader: DataLoader, check: Callable[[Any], None]) -> None:
    """Check each batch of an iterable data set; where every rank reads the stream, also mark its repeats.

    Args:
        loader: made by Accelerate, of an iterable data set.
        check: is called with each batch and raises where it does not fit the model.
    """
    base = getattr(loader, "base_dataloader", loader)
    shard = base.dataset if isinstance(base.dataset, IterableDatasetShard) else None
    if shard is not None:
        shard.dataset = _CountedStream(shard.dataset)
    base.collate_fn = _StreamCollator(base.collate_fn, check, shard)


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


def check_batch_labels(num_classes: int, batch: Any) -> None:
    """Raise where the labels of a batch do not fit the classes.

    Args:
        num_classes: K.
        batch: a mapping with `labels`, on the CPU; anything else is left alone.

    Raises:
        ValueError: a label is out of range, or a row of soft labels is no distribution.
    """
    if isinstance(batch, Mapping) and "labels" in batch:
        labels = torch.as_tensor(batch["labels"])
        check_labels(labels, len(labels), num_classes)


def check_label_column(dataset: Any, num_classes: int) -> None:
    """Raise where a data set's column of labels does not fit the classes, as far as it can be read by itself.

    Args:
        dataset: a `datasets.Dataset` with a column `labels` or `label` of integers and no transform, which could make
            other labels of them; anything else is left alone.
        num_classes: K.

    Raises:
        ValueError: a label is out of range.
    """
    if not isinstance(dataset, datasets.Dataset) or dataset.format["type"] == "custom":
        return
    for name in ("labels", "label"):
        if name not in dataset.column_names or not len(dataset):
            continue
        labels = dataset.select_columns(name).with_format("numpy")[:][name]
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            continue
        wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
        if len(wrong):
            raise ValueError(
                f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; the column {name!r} "
                f"has {len(wrong)} others, the first in row {wrong[0]}: {labels[wrong[0]]}."
            )


class _CountedStream(IterableDataset):
    """A stream that knows how many samples it gave, and in how many batches they left."""

    def __init__(self, dataset: IterableDataset) -> None:
        self.dataset = dataset
        self.given = self.batches = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator:
        self.given = self.batches = 0
        for sample in self.dataset:
            self.given += 1
            yield sample


class _StreamCollator:
    """Collates in the process that reads the stream, and so knows which samples came from it and which again."""

    def __init__(
        self, collate: Callable[[list], Any], check: Callable[[Any], None], shard: IterableDatasetShard | None
    ) -> None:
        self.collate = collate
        self.check = check
        self.shard = shard

    def __call__(self, samples: list) -> Any:
        batch = self.collate(samples)
        self.check(batch)
        if self.shard is None or not isinstance(batch, MutableMapping):
            return batch
        shard, stream = self.shard, self.shard.dataset
        together = shard.batch_size * (1 if shard.split_batches else shard.num_processes)
        before = stream.batches * together + shard.process_index * len(samples)
        stream.batches += 1
        fresh = min(max(stream.given - before, 0), len(samples))
        if fresh < len(samples):
            batch[NUM_FRESH] = fresh
        return batch


def _only(batches: list) -> Any:
    (batch,) = batches
    return batch


@contextmanager
def _seeded(*entropy: int) -> Iterator[None]:
    """Seeds of their own for Python, NumPy and PyTorch on the CPU; afterwards all is as before."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seeds = np.random.SeedSequence([abs(number) for number in entropy]).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(int(seeds[1]))
    torch.default_generator.manual_seed(int(seeds[2]))
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
