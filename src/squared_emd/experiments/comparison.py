"""What losses are compared on: data of any kind, and a network for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import nn

__all__ = ["ComparedRun", "Comparison"]


@dataclass(frozen=True)
class Comparison:
    """What losses are compared on.

    Args:
        name: of the recipe.
        data: what the rows are, for people.
        stand_in: whether they were generated, and say nothing about real data.
        class_names: the K classes in order.
        train: rows to train on, with `label`, as the collator takes them.
        validation: rows to choose by; they are looked at after every epoch.
        test: rows to test on, once, when a run has been trained.
        network: what the network is called in results and folders.
        build: number of outputs (K, for the loss reg 1) -> a network with fresh weights; after `set_seed`.
        rates: loss -> learning rate where none is asked for.
        processing_class: a tokenizer or feature extractor, which is saved with the network.
        data_collator: makes a batch of rows.
    """

    name: str
    data: str
    stand_in: bool
    class_names: Sequence[str]
    train: Dataset
    validation: Dataset
    test: Dataset
    network: str
    build: Callable[[int], nn.Module]
    rates: Mapping[str, float]
    processing_class: Any = None
    data_collator: Callable[[list], dict[str, Any]] | None = None


@dataclass(frozen=True)
class ComparedRun:
    """One run.

    Args:
        loss: the loss.
        seed: the seed.
        folder: where it lies.
    """

    loss: str
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.loss}, seed {self.seed}"
