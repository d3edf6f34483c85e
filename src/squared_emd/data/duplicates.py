"""The same input in several rows, by the content of files, texts or columns."""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from datasets.utils.file_utils import xopen
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["content_digest", "join_duplicates", "warn_about_duplicates"]

logger = logging.getLogger(__name__)

MAX_NAMED = 3
BLOCK = 2**20  # Bytes.


def content_digest(source: Mapping[str, Any] | str | os.PathLike) -> bytes:
    """The SHA-256 of a file: a path, or `path` and `bytes` as `datasets` gives a file that is not decoded."""
    content, path = (source["bytes"], source["path"]) if isinstance(source, Mapping) else (None, source)
    if content is not None:
        return hashlib.sha256(content).digest()
    digest = hashlib.sha256()
    with xopen(str(path), "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest()


def join_duplicates(groups: np.ndarray | None, contents: Sequence[Hashable]) -> np.ndarray | None:
    """Joins the groups whose rows have the same content, so that duplicates stay on one side of a split.

    Args:
        groups: (N,) groups whose rows stay together; None if each row is one of its own.
        contents: N digests or texts, equal for duplicates.

    Returns:
        (N,) groups, each named by one of those that it joins, or by a row; `groups` if all contents differ.

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

    Args:
        contents: See `join_duplicates`.
        place: Describes the place of a row, for messages.
        labels: (N,) class indices.
        splits: (N,) splits.
        source: For messages.
        noun: What the rows hold, for messages: "images".
        are_joined: Whether copies were kept together. If not, they may be common, and are named only if in two splits.
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
