"""Splits of a dataset: what their names mean, by fold, as published, by person, and those that a dataset lacks."""

import logging
import random
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from datasets import Dataset
from datasets.data_files import SPLIT_KEYWORDS
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

__all__ = ["class_table", "fold_split", "published_split", "validation_split"]

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
# What is taken for the name of a split, such as `dev` -> `validation`.
SPLIT_NAMES = {keyword: str(split) for split, keywords in SPLIT_KEYWORDS.items() for keyword in keywords}
SPLIT_NAMES |= {"holdout": "test"}
NUM_PARTS = 5  # A split that is made has one part in five of the training rows.
MAX_NAMED = 5


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


def class_table(dataset: Dataset, class_names: Sequence[str]) -> str:
    """Counts the rows of each class in each split, as a table to print.

    Args:
        dataset: Rows with `split` and `label`, a class index or K shares, of which the largest counts.
        class_names: Names of the K classes.

    Returns:
        A line for each class, in order, and one for their sum.

    >>> rows = Dataset.from_dict({"label": [0, 1, 1, 0], "split": ["test", "train", "train", "train"]})
    >>> print(class_table(rows, ["bad", "good"]))
    class  train  test  all
      bad      1     1    2
     good      2     0    2
      all      3     1    4
    """
    columns = dataset.select_columns(["label", "split"]).with_format("numpy")[:]
    labels, splits = columns["label"], columns["split"]
    labels = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
    counts = {
        split: np.bincount(labels[splits == split], minlength=len(class_names))  # (K,)
        for split in SPLITS
        if split in splits
    }
    table = pd.DataFrame({"class": [*class_names, "all"]} | {split: [*n, n.sum()] for split, n in counts.items()})
    return table.assign(all=table.sum(axis=1, numeric_only=True)).to_string(index=False)


def split_of(name: str) -> str:
    """The split that a name stands for; "" if its name begins and ends with none, or with two.

    >>> split_of("Train"), split_of("seg_test"), split_of("hold-out"), split_of("trainval"), split_of("train_val")
    ('train', 'test', 'test', '', '')
    """
    words = re.sub(r"h[eo]ld[-._ ]?out", "holdout", name.lower())
    words = [re.sub(r"(set|data)$", "", word) for word in re.split(r"[-._ 0-9]+", words) if word]
    found = {SPLIT_NAMES[word] for word in words[:1] + words[-1:] if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""


def describe_splits(names: Sequence[str]) -> str:
    """What each name of a split is taken for, and the number of its files or rows."""
    counts = sorted(Counter(names).items())
    return "splits: " + ", ".join(f"{name} as {split_of(name)} ({count})" for name, count in counts)


def complete_splits(
    splits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, source: Any, wanted: Sequence[str]
) -> np.ndarray:
    """Makes the splits that are wanted and missing, each a fifth of the training rows, always the same.

    Classes keep their proportions as well as can be, and rows of a group stay together. One split alone counts as none.
    """
    splits = np.array(splits, dtype=object)
    if len(set(splits)) == 1:
        splits[:] = "train"
    if "train" not in splits:
        raise ValueError(f"{source} has no rows to train on, its splits are {', '.join(sorted(set(splits)))}.")
    for name in wanted:
        if name in splits:
            continue
        rows = np.flatnonzero(splits == "train")
        chosen = rows[_fifth(labels[rows], None if groups is None else groups[rows])]
        if not len(chosen):
            raise ValueError(
                f"{source} has no {name} split, and its {len(rows)} training rows are too few, or of too few groups, "
                f"to make one. Assign rows to the {name} split."
            )
        splits[chosen] = name
        how = "a fifth of each class" if groups is None else "whole groups, about a fifth of each class"
        logger.warning(
            f"{source} has no {name} split: {len(chosen)} of its {len(rows)} training rows become one, {how}."
        )
    return splits


def join_duplicates(groups: np.ndarray | None, contents: Sequence[Hashable]) -> np.ndarray | None:
    """Joins the groups, (N,), whose rows have the same content, so that duplicates stay on one side of a split.

    Without groups each row is one of its own. Returns the groups if all contents differ.

    >>> join_duplicates(np.array(["ann", "bob", "bob", "eve"]), [b"1", b"1", b"2", b"3"]).tolist()
    ['ann', 'ann', 'ann', 'eve']
    >>> join_duplicates(None, [b"1", b"2", b"1"]).tolist()
    ['row 0', 'row 1', 'row 0']
    """
    if len(set(contents)) == len(contents):
        return groups
    names = np.array([f"row {i}" for i in range(len(contents))]) if groups is None else groups
    contents = np.unique(np.array(contents, dtype=object), return_inverse=True)[1]
    members = len(contents) + np.unique(names, return_inverse=True)[1]
    size = 2 * len(contents)
    edges = coo_array((np.ones(len(contents)), (contents, members)), shape=(size, size))
    joined = connected_components(edges, directed=False)[1][contents]  # (N,)
    _, first, part = np.unique(joined, return_index=True, return_inverse=True)
    return names[first[part]]


def warn_about_duplicates(
    contents: Sequence[Hashable],
    place: Callable[[int], str],
    labels: np.ndarray,
    splits: np.ndarray,
    source: Any,
    noun: str,
    *,
    are_joined: bool,
) -> None:
    """Logs how many rows are copies of others, and how many of them are in another split or class.

    Copies that were not kept together (`are_joined`) may be common, and are named only if they are in two splits.
    """
    rows_of = defaultdict(list)
    for i, content in enumerate(contents):
        rows_of[content].append(i)
    copies = [rows for rows in rows_of.values() if len(rows) > 1]
    apart = [rows for rows in copies if len(set(splits[rows].tolist())) > 1]
    if not (copies if are_joined else apart):
        return
    torn = [rows for rows in copies if len(set(labels[rows].tolist())) > 1]
    first = list(dict.fromkeys(tuple(rows[:2]) for rows in apart + torn + copies))[:MAX_NAMED]
    logger.warning(
        f"{source}: {sum(map(len, copies)) - len(copies)} of {len(contents)} {noun} are copies of others by their "
        f"content; {len(apart)} are in more than one split, {len(torn)} in more than one class. The first: "
        f"{'; '.join(' = '.join(map(place, rows)) for rows in first)}. A split that is made "
        f"{'keeps' if are_joined else 'does not keep'} copies together; results on a test split that shares {noun} "
        "with training are too good."
    )


def warn_about_splits(
    splits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, class_names: Sequence[str], source: Any
) -> None:
    """Logs a warning about classes without training rows, and about groups in more than one split."""
    trained = set(labels[splits == "train"].tolist())
    unseen = [name for k, name in enumerate(class_names) if k not in trained]
    if unseen:
        logger.warning(f"{source} has no training row of the classes {', '.join(unseen)}.")
    if groups is None:
        return
    counts = pd.Series(splits).groupby(groups).nunique()
    shared = counts.index[counts > 1]
    if len(shared):
        logger.warning(
            f"{source} has {len(shared)} groups in more than one split, the first: {', '.join(shared[:MAX_NAMED])}. "
            "Results on such a test split are too good."
        )


def _fifth(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Indices of one part in five of the rows, the one with the most classes; empty if there is none.

    A class with one row keeps it, unless there are groups.
    """
    counts = np.bincount(labels)
    rows = np.flatnonzero(counts[labels] > 1) if groups is None else np.arange(len(labels))
    units = counts.max() if groups is None else min(len(set(groups)), counts.max())
    if units < 2:
        return rows[:0]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(min(NUM_PARTS, int(units)), shuffle=True, random_state=0)
    with warnings.catch_warnings():  # A class with fewer than five rows is in some of the parts only, as intended.
        warnings.simplefilter("ignore", UserWarning)
        folds = list(splitter.split(rows, labels[rows], None if groups is None else groups[rows]))
    parts = [part for _, part in folds if len(part) < len(labels)]
    best = max(
        parts, key=lambda part: (len(set(labels[rows][part])), -abs(NUM_PARTS * len(part) - len(rows))), default=[]
    )
    return rows[best]
