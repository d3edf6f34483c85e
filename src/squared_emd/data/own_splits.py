"""A test split, and one to validate on, where people's own data have none."""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["warn_of_splits", "with_test_split", "with_validation_split"]

logger = logging.getLogger(__name__)

TEST_SHARE, SPLIT_SEED, FEW = 0.2, 0, 5


def with_test_split(splits: list[str], labels: list[int], groups: list[str] | None, source: Any) -> list[str]:
    """The splits, with a test split cut from the training rows where there is none.

    Args:
        splits: `train`, `validation` or `test` for each of N rows; all the same counts as no split.
        labels: Class index of each row.
        groups: Group of each row; rows of one group stay together.
        source: For messages.

    Returns:
        N splits.

    Raises:
        ValueError: There are no rows to train on, or too few to cut some off.
    """
    if len(set(splits)) == 1:
        splits = ["train"] * len(splits)
    if "train" not in splits:
        raise ValueError(f"{source} has no rows to train on, its splits are {', '.join(sorted(set(splits)))}.")
    if "test" in splits:
        return splits
    return _with_split("test", splits, labels, groups, source)


def with_validation_split(splits: list[str], labels: list[int], groups: list[str] | None, source: Any) -> list[str]:
    """The splits, with a validation split cut from the training rows where there is none.

    Args:
        splits: `train`, `validation` or `test` for each of N rows.
        labels: Class index of each row.
        groups: Group of each row; rows of one group stay together.
        source: For messages.

    Returns:
        N splits.

    Raises:
        ValueError: There are too few training rows to cut some off.
    """
    return splits if "validation" in splits else _with_split("validation", splits, labels, groups, source)


def _with_split(name: str, splits: list[str], labels: list[int], groups: list[str] | None, source: Any) -> list[str]:
    rows = [i for i, split in enumerate(splits) if split == "train"]
    cut = _cut_by_group(rows, labels, groups) if groups else _cut_by_class(rows, labels)
    if not cut or len(cut) == len(rows):
        raise ValueError(
            f"{source} has no {name} split, and its {len(rows)} training rows are too few, or of too few groups, to "
            f"cut one off. Say which rows are to {'test' if name == 'test' else 'validate'} on."
        )
    how = "whole groups, about a fifth of each class" if groups else "a fifth of each class"
    text = "%s has no %s split: %d of its %d training rows are one now, %s, the same each time."
    logger.warning(text, source, name, len(cut), len(rows), how)
    return [name if i in cut else split for i, split in enumerate(splits)]


def _cut_by_class(rows: list[int], labels: list[int]) -> set[int]:
    """A fifth of each class, at least one row where there are two."""
    generator, test = random.Random(SPLIT_SEED), set()
    for label in sorted({labels[i] for i in rows}):
        members = [i for i in rows if labels[i] == label]
        generator.shuffle(members)
        test.update(members[: max(round(TEST_SHARE * len(members)), len(members) > 1)])
    return test


def _cut_by_group(rows: list[int], labels: list[int], groups: list[str]) -> set[int]:
    """Groups in random order, each if it brings the classes nearer to a fifth, the rare ones as much as the others."""
    totals = Counter(labels[i] for i in rows)
    counts = {}
    for i in rows:
        counts.setdefault(groups[i], Counter())[labels[i]] += 1
    order = sorted(counts)
    random.Random(SPLIT_SEED).shuffle(order)
    have, chosen = Counter(), set()
    for group in order:
        gain = sum(
            abs(TEST_SHARE - have[k] / totals[k]) - abs(TEST_SHARE - (have[k] + count) / totals[k])
            for k, count in counts[group].items()
        )
        if gain > 0:
            chosen.add(group)
            have += counts[group]
    if not chosen and len(order) > 1:
        chosen = {min(order, key=lambda group: counts[group].total())}
    return {i for i in rows if groups[i] in chosen}


def warn_of_splits(
    splits: list[str], labels: np.ndarray, groups: list[str] | None, names: Sequence[str], source: Any
) -> None:
    """Logs a warning for classes that are never trained on, and for groups in more than one split.

    Args:
        splits: Of each of N rows.
        labels: (N,) class indices.
        groups: Group of each row.
        names: Of the K classes.
        source: For messages.
    """
    trained = {label for label, split in zip(labels.tolist(), splits, strict=True) if split == "train"}
    unseen = [name for k, name in enumerate(names) if k not in trained]
    if unseen:
        logger.warning("%s has no training row of the classes %s.", source, ", ".join(unseen))
    if groups is not None:
        sides = {}
        for group, split in zip(groups, splits, strict=True):
            sides.setdefault(group, set()).add(split)
        torn = [group for group, halves in sides.items() if len(halves) > 1]
        if torn:
            text = "%s has %d groups in more than one split, the first: %s. Figures of such a test split are too good."
            logger.warning(text, source, len(torn), ", ".join(torn[:FEW]))
