"""Seeds that depend on a place in the run alone, and leave no trace in the generators that others draw from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader, get_worker_info

__all__ = ["own_generator", "own_randomness", "seed_all"]


def own_generator(loader: DataLoader, seed: int) -> DataLoader:
    """Give a loader a generator of its own for the seeds of its workers.

    How often it makes workers would otherwise change what dropout draws.

    Args:
        loader: as Accelerate made it.
        seed: of the run.

    Returns:
        The loader of PyTorch below it.
    """
    base = getattr(loader, "base_dataloader", loader)
    base.generator = torch.Generator().manual_seed(seed)
    return base


@contextmanager
def own_randomness() -> Iterator[None]:
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


def seed_all(*entropy: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch on the CPU.

    Args:
        entropy: as many numbers as make the place in the run unique.
    """
    seeds = np.random.SeedSequence([abs(number) for number in entropy]).generate_state(3)
    random.seed(int(seeds[0]))
    np.random.seed(int(seeds[1]))
    torch.default_generator.manual_seed(int(seeds[2]))
