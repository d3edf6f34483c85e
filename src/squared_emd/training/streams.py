"""Batches of an iterable data set: drawn alike before and after an interruption, checked, without unknown repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import torch
from accelerate.data_loader import IterableDatasetShard
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from .batches import NUM_FRESH
from .randomness import own_generator, own_randomness, seed_all

__all__ = ["Stream", "take_over_stream"]


class Stream(IterableDataset):
    """An iterable data set, each sample drawn under a seed of its own, that counts what it gave in this pass.

    Args:
        dataset: gives samples; one that has `set_epoch` is told the epoch.
        seed: of the run.

    Attributes:
        given: samples of this pass.
        batches: those that left in as many batches.
    """

    def __init__(self, dataset: IterableDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = torch.tensor(0).share_memory_()  # workers that live on see it
        self.given = self.batches = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next pass is.

        Args:
            epoch: from 0.
        """
        self.epoch.fill_(epoch)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator:
        self.given = self.batches = 0
        epoch, worker = int(self.epoch), get_worker_info()
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
        samples = None
        while True:
            with own_randomness():
                seed_all(self.seed, epoch, 1 + self.given, 0 if worker is None else worker.id)
                try:
                    samples = iter(self.dataset) if samples is None else samples
                    sample = next(samples)
                except StopIteration:
                    return
            self.given += 1
            yield sample


def take_over_stream(loader: DataLoader, seed: int, check: Callable[[Any], None]) -> None:
    """Check and seed each batch of an iterable data set; where every rank reads the stream, also mark its repeats.

    Args:
        loader: made by Accelerate, of a :class:`Stream` or of another iterable data set.
        seed: of the run.
        check: is called with each batch and raises where it does not fit the model.
    """
    base = own_generator(loader, seed)
    shard = base.dataset if isinstance(base.dataset, IterableDatasetShard) else None
    if shard is not None and not isinstance(shard.dataset, Stream):
        shard.dataset = Stream(shard.dataset, seed)
    base.collate_fn = _StreamCollator(base.collate_fn, check, base.dataset, shard)


class _StreamCollator:
    """Collates in the process that reads the stream, and so knows which samples came from it and which again."""

    def __init__(
        self,
        collate: Callable[[list], Any],
        check: Callable[[Any], None],
        dataset: IterableDataset,
        shard: IterableDatasetShard | None,
    ) -> None:
        self.collate = collate
        self.check = check
        self.stream = dataset if shard is None else shard.dataset
        self.shard = shard

    def __call__(self, samples: list) -> Any:
        stream, shard = self.stream, self.shard
        if not isinstance(stream, Stream):  # shares of its own for the ranks: there is nothing to even out
            batch = self.collate(samples)
            self.check(batch)
            return batch
        worker = get_worker_info()
        with own_randomness():
            seed_all(stream.seed, int(stream.epoch), 1 + stream.batches, 0 if worker is None else worker.id, 1)
            batch = self.collate(samples)
        self.check(batch)
        number, stream.batches = stream.batches, stream.batches + 1
        if shard is None or not isinstance(batch, MutableMapping):
            return batch
        together = shard.batch_size * (1 if shard.split_batches else shard.num_processes)
        before = number * together + shard.process_index * len(samples)
        fresh = min(max(stream.given - before, 0), len(samples))
        if fresh < len(samples):
            batch[NUM_FRESH] = fresh
        return batch
