"""Labels of people's own data: the names of the classes in their order, and the class or the shares of each row."""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from squared_emd.data.own_rows import Rows

__all__ = ["checked_classes", "checked_groups", "labels_and_names"]

logger = logging.getLogger(__name__)


def checked_classes(classes: Sequence[str | int]) -> list[str]:
    """The names of the classes that the user gave.

    Args:
        classes: In order.

    Raises:
        ValueError: They are no two different names.
    """
    names = [classes] if isinstance(classes, str) else [str(name).strip() for name in classes]
    if len(names) < 2 or not all(names) or len({_key(name) for name in names}) < len(names):
        raise ValueError(f"classes must be at least two different names, got {names}.")
    return names


def labels_and_names(
    rows: Rows, classes: list[str] | None, *, ordered: bool, source: Any, sources: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels of the rows and the names of the classes.

    Args:
        rows: Of the source.
        classes: Names in order, where the user gave them.
        ordered: Whether an order that was guessed gets a warning.
        source: For messages.
        sources: What sources there are, for messages.

    Returns:
        (N,) class indices, or (N, K) rows that sum to 1; and the K names in order.

    Raises:
        ValueError: There are no rows or fewer than two classes, or a row has no usable label.
    """
    if not rows.labels:
        raise ValueError(f"{source} has no rows. {sources}.")
    if rows.soft:
        return _soft_labels(rows, classes, source, sources)
    return _hard_labels(rows, classes, ordered, source, sources)


def checked_groups(rows: Rows) -> list[str] | None:
    """The group of each row as text; None where there are no groups.

    Args:
        rows: Of the source.

    Raises:
        ValueError: A row has none.
    """
    if rows.groups is None:
        return None
    groups = ["" if group is None or group != group else str(group).strip() for group in rows.groups]
    for i, group in enumerate(groups):
        if not group:
            raise ValueError(f"{rows.place(i)}: there is no group. Give each row one, or name no column of groups.")
    return groups


def _key(text: str) -> str | float:
    """What two spellings of a label have in common: "1", "01" and "1.0" are the same number."""
    return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII) else text


def _hard_labels(
    rows: Rows, classes: list[str] | None, ordered: bool, source: Any, sources: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) class indices and the names of the classes."""
    texts = []
    for i, label in enumerate(rows.labels):
        missing = label is None or label != label or (rows.names is not None and label < 0)
        text = "" if missing else str(label if rows.names is None else rows.names[label]).strip()
        if not text:
            raise ValueError(f"{rows.place(i)}: there is no label. Leave such rows out.")
        texts.append(text)
    names = classes or rows.names or _names_in_order(texts, ordered, source)
    _check_two(names, source, sources)
    index = {_key(name): k for k, name in enumerate(names)}
    for i, text in enumerate(texts):
        if _key(text) not in index:
            raise ValueError(f"{rows.place(i)}: the label must be one of {', '.join(names)}; got {text!r}.")
    return np.array([index[_key(text)] for text in texts]), tuple(names)


def _names_in_order(texts: list[str], ordered: bool, source: Any) -> list[str]:
    spellings = {}
    for text in sorted(set(texts), key=lambda text: (len(text), text)):
        spellings.setdefault(_key(text), text)
    if all(isinstance(key, float) for key in spellings):
        return [spellings[key] for key in sorted(spellings)]
    starts = {name: re.match(r"\d+", name, re.ASCII) for name in spellings.values()}
    by_number = all(starts.values())  # as 0-2, 3-9, 10-19
    names = sorted(starts, key=lambda name: (int(starts[name][0]), name) if by_number else name)
    if ordered:
        logger.warning(
            "%s does not say in which order its classes are, taken is that of %s: %s. If it is another, name the "
            "classes in their order with --classes (classes=...).",
            source,
            "their first numbers" if by_number else "the alphabet",
            ", ".join(names),
        )
    return names


def _soft_labels(
    rows: Rows, classes: list[str] | None, source: Any, sources: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, K) rows that sum to 1 and the names of the classes."""
    names = classes or [str(k) for k in range(next((len(votes) for votes in rows.labels if votes), 0))]
    _check_two(names, source, sources)
    labels = np.full((len(rows.labels), len(names)), np.nan)
    for i, votes in enumerate(rows.labels):
        with suppress(TypeError, ValueError):  # not numbers, or not as many
            labels[i] = np.array(votes, dtype=np.float64).reshape(len(names))
        if not (np.isfinite(labels[i]).all() and labels[i].min() >= 0 and labels[i].max() > 0):
            got = "nothing" if not votes else ", ".join(map(str, votes))
            raise ValueError(
                f"{rows.place(i)}: a soft label must be {len(names)} numbers, one for each of {', '.join(names)}, none "
                f"negative and not all 0; got {got}."
            )
    labels /= labels.max(1, keepdims=True)  # so that no sum overflows
    return labels / labels.sum(1, keepdims=True), tuple(names)


def _check_two(names: Sequence[str], source: Any, sources: str) -> None:
    if len(names) < 2:
        raise ValueError(f"{source} must have at least two classes, it has: {', '.join(names) or 'none'}. {sources}.")
