"""Datasets whose samples depend on the seed, the epoch and the position in it alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import datasets
import numpy as np
import torch
from accelerate.data_loader import BatchSamplerShard, IterableDatasetShard
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, Subset, get_worker_info

NUM_UNIQUE = "num_unique_samples"  # a batch with this key ends with padding duplicates, which are counted elsewhere

Draw = tuple[int, int, int]  # epoch, position in the epoch, index in the dataset
BatchCheck = Callable[[Any], None] | None


class NumberedSampler(Sampler):
    """The indices of another sampler, each with its epoch and its position there.

    The order of an epoch depends on the seed and the epoch alone, also where the other sampler draws from the global
    generators.
    """

    def __init__(self, sampler: Sampler, seed: int) -> None:
        self.sampler = sampler
        self.seed = seed
        self.epoch = 0
        self.skip_once = 0  # as many indices of the next pass are left out

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Draw]:
        skip, self.skip_once = self.skip_once, 0
        with _restored_generators():
            _seed_all(self.seed, self.epoch)
            generator = getattr(self.sampler, "generator", None)
            if isinstance(generator, torch.Generator) and not hasattr(self.sampler, "set_epoch"):
                generator.manual_seed(int(torch.randint(2**62, ())))
            order = list(islice(self.sampler, len(self)))
        for position, index in enumerate(order[skip:], skip):
            yield self.epoch, position, index


class _Wrapper:
    """Passes on what the wrapped dataset has, such as `features` and a length."""

    dataset: Dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # while it is being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)


class SeededBatches(_Wrapper, Dataset):
    """A map-style dataset that gives collated batches, each sample drawn under a seed of its own.

    In the collator the seed depends on the batch's first position; so it does for the samples of a dataset with a
    `__getitems__` of its own. The seeds are undone after the batch, so that dropout in the same process draws as if the
    data were fixed.
    """

    def __init__(self, dataset: Dataset, seed: int, check: BatchCheck) -> None:
        self.dataset = dataset
        self.seed = seed
        self.check = check
        self.epoch: int | None = None
        self.collate: Callable[[list], Any] | None = None
        # A `datasets.Dataset` with a transform and a `Subset` fetch batches sample by sample themselves.
        fixed = isinstance(dataset, datasets.Dataset) and dataset.format["type"] != "custom"
        by_sample = isinstance(dataset, (datasets.Dataset, Subset)) and not fixed
        self.fetches_batches = callable(getattr(dataset, "__getitems__", None)) and not by_sample

    def attach(self, loader: DataLoader, collate: Callable[[list], Any] | None = None) -> NumberedSampler:
        """Number what Accelerate's loader of this dataset samples, and collate in its place."""
        base = isolate_worker_seeds(loader, self.seed)
        self.collate, base.collate_fn = collate or base.collate_fn, _only_batch
        batch_sampler = loader.batch_sampler
        if isinstance(batch_sampler, BatchSamplerShard):
            batch_sampler = batch_sampler.batch_sampler
        sampler = NumberedSampler(batch_sampler.sampler, self.seed)
        loader.set_sampler(sampler)
        return sampler

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __getitems__(self, draws: Sequence[Draw]) -> list:
        epoch, first, _ = draws[0]
        if epoch != self.epoch:
            self.epoch = epoch
            if hasattr(self.dataset, "set_epoch"):
                self.dataset.set_epoch(epoch)
        with _restored_generators():
            if self.fetches_batches:
                _seed_all(self.seed, epoch, 1 + first)
                samples = self.dataset.__getitems__([index for _, _, index in draws])
            else:
                samples = []
                for _, position, index in draws:
                    _seed_all(self.seed, epoch, 1 + position)
                    samples.append(self.dataset[index])
            _seed_all(self.seed, epoch, 1 + first, 1)
            batch = self.collate(samples)
        if self.check is not None:
            self.check(batch)
        return [batch]


class SeededStream(_Wrapper, IterableDataset):
    """An iterable dataset, each sample drawn under a seed of its own, that counts the samples of its pass."""

    def __init__(self, dataset: IterableDataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self.epoch = torch.tensor(0).share_memory_()  # persistent workers see it change
        self.num_samples = self.num_batches = 0  # of this pass, in this worker

    def set_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)

    def __iter__(self) -> Iterator:
        self.num_samples = self.num_batches = 0
        epoch, worker = int(self.epoch), get_worker_info()
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
        samples = None
        while True:
            with _restored_generators():
                _seed_all(self.seed, epoch, 1 + self.num_samples, 0 if worker is None else worker.id)
                try:
                    samples = iter(self.dataset) if samples is None else samples
                    sample = next(samples)
                except StopIteration:
                    return
            self.num_samples += 1
            yield sample


def seed_stream(loader: DataLoader, seed: int, check: BatchCheck) -> None:
    """Check and seed each batch of an iterable dataset; where every rank reads the stream, count its duplicates."""
    base = isolate_worker_seeds(loader, seed)
    shard = base.dataset if isinstance(base.dataset, IterableDatasetShard) else None
    if shard is not None and not isinstance(shard.dataset, SeededStream):
        shard.dataset = SeededStream(shard.dataset, seed)
    base.collate_fn = _StreamCollator(base.collate_fn, check, base.dataset, shard)


class _StreamCollator:
    """Collates in the process that reads the stream, and so knows how many samples came from it."""

    def __init__(
        self, collate: Callable, check: BatchCheck, dataset: IterableDataset, shard: IterableDatasetShard | None
    ) -> None:
        self.collate = collate
        self.check = check
        self.stream = dataset if shard is None else shard.dataset
        self.shard = shard

    def __call__(self, samples: list) -> Any:
        stream, shard, worker = self.stream, self.shard, get_worker_info()
        if not isinstance(stream, SeededStream):  # the ranks have streams of their own: nothing is padded
            batch = self.collate(samples)
        else:
            with _restored_generators():
                worker_id = 0 if worker is None else worker.id
                _seed_all(stream.seed, int(stream.epoch), 1 + stream.num_batches, worker_id, 1)
                batch = self.collate(samples)
            stream.num_batches += 1
        if self.check is not None:
            self.check(batch)
        if shard is not None and isinstance(batch, MutableMapping):
            step = shard.batch_size * (1 if shard.split_batches else shard.num_processes)
            before = (stream.num_batches - 1) * step + shard.process_index * len(samples)
            unique = min(max(stream.num_samples - before, 0), len(samples))
            if unique < len(samples):
                batch[NUM_UNIQUE] = unique
        return batch


def isolate_worker_seeds(loader: DataLoader, seed: int) -> DataLoader:
    """Give a loader its own generator for the seeds of its workers; returns the loader of PyTorch below it."""
    # How often it makes workers would otherwise change what dropout draws.
    base = getattr(loader, "base_dataloader", loader)
    base.generator = torch.Generator().manual_seed(seed)
    return base


def _only_batch(batches: list) -> Any:
    (batch,) = batches
    return batch


@contextmanager
def _restored_generators() -> Iterator[None]:
    """Afterwards the generators of Python, NumPy and PyTorch on the CPU are as before."""
    if get_worker_info() is not None:  # in a worker nobody else draws
        yield
        return
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


def _seed_all(*entropy: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch on the CPU from numbers that are unique to a place in a run."""
    seeds = np.random.SeedSequence([abs(number) for number in entropy]).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(int(seeds[1]))
    torch.default_generator.manual_seed(int(seeds[2]))
