"""Splits by fold, as published, and by person; and the table of classes and splits."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["class_table", "fold_split", "published_split", "validation_split"]


def fold_split(dataset: Dataset, fold: int) -> tuple[Dataset, Dataset]:
    """Gives the four other folds to train on and fold `fold` to test on (Levi and Hassner 2015).

    Args:
        dataset: Rows with a `fold` and a `user_id`.
        fold: The fold to test on.

    Returns:
        `(train, test)`, each in the order of `dataset`.

    Raises:
        ValueError: No row has this fold, all have it, or a user stands on both sides.
    """
    folds, users = list(dataset["fold"]), list(dataset["user_id"])
    present = sorted(set(folds))
    if fold not in present or len(present) < 2:
        raise ValueError(f"fold must be one of at least two folds of the dataset, got {fold!r}; it has {present}.")
    folds_of = defaultdict(set)
    for user, number in zip(users, folds, strict=True):
        folds_of[user].add(number)
    for user, numbers in folds_of.items():
        if fold in numbers and len(numbers) > 1:
            raise ValueError(
                f"A user must stand on one side of the split: user {user} is in folds {sorted(numbers)} and {fold} "
                "is the test fold. Give all rows of this user the same fold."
            )
    train = [i for i, number in enumerate(folds) if number != fold]
    return dataset.select(train), dataset.select([i for i, number in enumerate(folds) if number == fold])


def published_split(dataset: Dataset, *, test: str = "test") -> tuple[Dataset, Dataset]:
    """Gives the rows to train on and to test on, as the dataset has them.

    Args:
        dataset: Rows with a `split`: `train`, or the name of the test side; others are left out.
        test: The name of the test side.

    Returns:
        `(train, test)`, each in the order of `dataset`.

    Raises:
        ValueError: A side has no row.
    """
    splits = list(dataset["split"])
    sides = {name: [i for i, split in enumerate(splits) if split == name] for name in ("train", test)}
    for name, rows in sides.items():
        if not rows:
            raise ValueError(f"The dataset needs rows of the split {name!r}, it has {sorted(set(splits))}.")
    return dataset.select(sides["train"]), dataset.select(sides[test])


def validation_split(
    train: Dataset, *, share: float = 0.1, seed: int, by: str | None = "user_id"
) -> tuple[Dataset, Dataset]:
    """Cuts validation rows from the training folds by user: no person is on both sides.

    Users are taken in an order drawn from `seed`, each whose rows still fit into `share` of all rows.

    Args:
        train: Rows with the column `by`.
        share: The largest part of the rows that goes to validation, between 0 and 1. Where every user has more rows
            than that, the user with the fewest goes there.
        seed: The same seed gives the same split.
        by: The column that names the user, or whatever else must not be on both sides; None takes each row by itself.

    Returns:
        `(train, validation)`, each in the order of the rows given.

    Raises:
        ValueError: `share` is out of range, or there are fewer than two users (or rows).
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share!r}.")
    users = list(range(len(train))) if by is None else list(train[by])
    counts = Counter(users)
    if len(counts) < 2:
        unit = {"user_id": "user", None: "row"}.get(by, by)
        raise ValueError(f"A split by {unit} needs at least two {unit}s, got {len(counts)}.")
    order = sorted(counts)
    random.Random(seed).shuffle(order)
    chosen, room = set(), share * len(users)
    for user in order:
        if counts[user] <= room:
            chosen.add(user)
            room -= counts[user]
    chosen = chosen or {min(order, key=counts.__getitem__)}
    rest = [i for i, user in enumerate(users) if user not in chosen]
    return train.select(rest), train.select([i for i, user in enumerate(users) if user in chosen])


def class_table(
    dataset: Dataset, class_names: Sequence[str], source_names: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Counts the rows of each class in each split, as a table to print.

    Args:
        dataset: Rows with `split` and `label`, a class index or K shares, of which the largest counts.
        class_names: Names of the K classes.
        source_names: Split -> what it is called where it comes from; named where it differs.

    Returns:
        A line for each class, in order, and one for their sum.

    >>> from datasets import Dataset
    >>> rows = Dataset.from_dict({"label": [0, 1, 1, 0], "split": ["test", "train", "train", "train"]})
    >>> print(class_table(rows, ["bad", "good"], {"train": ["training"]}))
    class  train (training)  test  all
      bad                 1     1    2
     good                 2     0    2
      all                 3     1    4
    """
    columns = dataset.select_columns(["label", "split"]).with_format("numpy")[:]
    labels, splits = columns["label"], columns["split"]
    labels = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
    counts = {"class": [*class_names, "all"]}
    for split in (name for name in ("train", "validation", "test") if name in splits):
        others = [name for name in (source_names or {}).get(split, ()) if name != split]
        of_class = np.bincount(labels[splits == split], minlength=len(class_names))  # (K,)
        counts[f"{split} ({', '.join(others)})" if others else split] = [*of_class, of_class.sum()]
    table = pd.DataFrame(counts)
    return table.assign(all=table.sum(axis=1, numeric_only=True)).to_string(index=False)
