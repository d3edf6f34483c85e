"""What is special to one experiment: its data, how they are split and viewed, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset

from ..vision.transforms import EvalTransform, TrainTransform

__all__ = ["Experiment", "Samples"]

_THE_MORE_THE_BETTER = ("eval_aem", "eval_aeo", "eval_spearman")


@dataclass(frozen=True)
class Samples:
    """What one run learns from and is tested on.

    Args:
        train: rows with `image` and `label_column`.
        test: the same.
        class_names: the K classes in order.
        compute_metrics: of the Trainer, for `test`.
        label_column: what is learned.
        class_scores: (K,) the value of each class, where it has one; it is saved with the model.
    """

    train: Dataset
    test: Dataset
    class_names: Sequence[str]
    compute_metrics: Callable[..., dict[str, float]]
    label_column: str = "label"
    class_scores: Sequence[float] | None = None


@dataclass(frozen=True)
class Experiment:
    """One of the paper's tables, or one like them.

    Args:
        table: `adience`, `images_of_groups`, `aadb`, `imagenet` or `own_data`: what the report is laid out as.
        data: what the pictures are, for people: "drawn faces".
        stand_in: whether they stand in for the data set, so that the paper's figures say nothing about them.
        split: test fold -> rows to train on and to test on.
        cut_validation: (rows to train on, seed) -> the rows left, and rows to choose by.
        samples: (rows to train on, rows to test on, loss) -> what the run needs of them.
        model: the network where none is asked for.
        rates: loss -> learning rate where none is asked for.
        selected_by: the metric that chooses rates, strengths and epochs.
        tested_on: what the rows to test on are, for people.
        variant: what sets these runs apart from others of the table, as "3 bins".
        options: of the command line, that give this variant alone.
        train_view: (size, mean, std) -> transform of a picture, in training.
        eval_view: the same, in evaluation; the mirror image is averaged with it.
    """

    table: str
    data: str
    stand_in: bool
    split: Callable[[int], tuple[Dataset, Dataset]]
    cut_validation: Callable[[Dataset, int], tuple[Dataset, Dataset]]
    samples: Callable[[Dataset, Dataset, str], Samples]
    model: str
    rates: Mapping[str, float]
    selected_by: str = "eval_mae"
    tested_on: str = "test data"
    variant: str = ""
    options: Sequence[str] = ()
    train_view: Callable[..., Callable[[Any], Any]] = TrainTransform
    eval_view: Callable[..., Callable[[Any], Any]] = EvalTransform

    @property
    def more_is_better(self) -> bool:
        """Whether the metric that chooses is to be large."""
        return self.selected_by in _THE_MORE_THE_BETTER
