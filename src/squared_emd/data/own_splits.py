"""The splits that the user's own data lack, and what is wrong with those that they have."""

import logging
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

__all__ = ["complete_splits", "join_duplicates", "warn_about_duplicates", "warn_about_splits"]

logger = logging.getLogger(__name__)

NUM_PARTS = 5  # A split that is made has one part in five of the training rows.
MAX_NAMED = 5


def complete_splits(
    splits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, source: Any, wanted: Sequence[str]
) -> np.ndarray:
    """Makes the splits that are wanted and missing, each a fifth of the training rows, always the same.

    Classes keep their proportions as well as can be; a class with one training row keeps it, and rows of a group stay
    together. One split alone counts as none.

    Raises:
        ValueError: There are no training rows, or too few to make a split.
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
        logger.warning(
            "%s has no %s split: %d of its %d training rows become one, %s.",
            source,
            name,
            len(chosen),
            len(rows),
            "a fifth of each class" if groups is None else "whole groups, about a fifth of each class",
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
    first = dict.fromkeys(tuple(rows[:2]) for rows in apart + torn + copies)
    logger.warning(
        "%s: %d of %d %s are copies of others by their content; %d are in more than one split, %d in more than "
        "one class. The first: %s. A split that is made %s copies together; results on a test split that shares "
        "%s with training are too good.",
        source,
        sum(map(len, copies)) - len(copies),
        len(contents),
        noun,
        len(apart),
        len(torn),
        "; ".join(" = ".join(map(place, rows)) for rows in list(first)[:MAX_NAMED]),
        "keeps" if are_joined else "does not keep",
        noun,
    )


def warn_about_splits(
    splits: np.ndarray, labels: np.ndarray, groups: np.ndarray | None, class_names: Sequence[str], source: Any
) -> None:
    """Logs a warning about classes without training rows, and about groups in more than one split."""
    trained = set(labels[splits == "train"].tolist())
    unseen = [name for k, name in enumerate(class_names) if k not in trained]
    if unseen:
        logger.warning("%s has no training row of the classes %s.", source, ", ".join(unseen))
    if groups is None:
        return
    pairs = Counter(group for group, _ in set(zip(groups.tolist(), splits.tolist(), strict=True)))
    shared = sorted(group for group, count in pairs.items() if count > 1)
    if shared:
        logger.warning(
            "%s has %d groups in more than one split, the first: %s. Results on such a test split are too good.",
            source,
            len(shared),
            ", ".join(shared[:MAX_NAMED]),
        )


def _fifth(labels: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Indices of one part in five of the rows, the one with the most classes; empty if there is none."""
    counts = np.bincount(labels)
    rows = np.flatnonzero(counts[labels] > 1) if groups is None else np.arange(len(labels))
    units = counts.max() if groups is None else min(len(set(groups)), counts.max())
    if not len(rows) or units < 2:
        return rows[:0]
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(min(NUM_PARTS, int(units)), shuffle=True, random_state=0)
    with warnings.catch_warnings():  # A class with fewer than five rows is in some of the parts only, as intended.
        warnings.simplefilter("ignore", UserWarning)
        folds = list(splitter.split(rows, labels[rows], None if groups is None else groups[rows]))
    parts = [part for _, part in folds if len(part) < len(labels)]
    if not parts:
        return rows[:0]
    return rows[max(parts, key=lambda part: (len(set(labels[rows][part])), -abs(NUM_PARTS * len(part) - len(rows))))]
