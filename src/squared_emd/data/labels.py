"""Class labels of the user's own datasets: the order of the classes, and the class or soft label of each row."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
from datasets import ClassLabel

__all__ = ["check_class_names", "column_as_text", "hard_labels", "soft_labels_from_votes"]

logger = logging.getLogger(__name__)


def check_class_names(classes: Sequence[str | int]) -> list[str]:
    """Returns the class names given by the user as text.

    Raises:
        ValueError: There are fewer than two different names.
    """
    names = [classes] if isinstance(classes, str) else [str(name).strip() for name in classes]
    if len(names) < 2 or not all(names) or len({_key(name) for name in names}) < len(names):
        raise ValueError(f"classes must be at least two different names, got {names}.")
    return names


def column_as_text(values: pd.Series, feature: Any, place: Callable[[int], str], what: str, advice: str) -> pd.Series:
    """Converts a column of labels or groups to text; whole numbers lose their decimal point.

    Args:
        values: (N,) of any type.
        feature: The column's type in `datasets`.
        place: Describes the place of a row, for messages.
        what: What the column holds, for messages: "label".
        advice: What to do about missing values, for messages.

    Raises:
        ValueError: A value is missing.
    """

    def as_text(value: Any) -> str:
        if isinstance(feature, ClassLabel):
            return feature.names[int(value)]
        return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()

    present = values.notna()
    if isinstance(feature, ClassLabel):
        present &= values >= 0
    texts = values[present].map(as_text).reindex(values.index, fill_value="")
    missing = np.flatnonzero(texts == "")
    if len(missing):
        raise ValueError(f"{place(missing[0])}: there is no {what}. {advice}")
    return texts


def hard_labels(
    texts: pd.Series, classes: Sequence[str] | None, place: Callable[[int], str], source: Any, *, ordered: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Converts labels to class indices. Two spellings of a number ("1", "01", "1.0") are one class.

    Args:
        texts: (N,) labels as text.
        classes: The K names in order; None derives the order from the names.
        place: Describes the place of a row, for messages.
        source: For messages.
        ordered: Whether a guessed order is worth a warning.

    Returns:
        (N,) class indices and the K names in order.

    Raises:
        ValueError: A label is none of the classes, or there are fewer than two classes.
    """
    names = list(classes) if classes else _names_in_order(texts, source, ordered)
    if len(names) < 2:
        raise ValueError(f"{source} must have at least two classes, it has: {', '.join(names) or 'none'}.")
    index = {_key(name): k for k, name in enumerate(names)}
    codes = texts.map({text: index.get(_key(text), -1) for text in texts.unique()}).to_numpy()
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        i = unknown[0]
        raise ValueError(f"{place(i)}: the label must be one of {', '.join(names)}; got {texts.iloc[i]!r}.")
    return codes, tuple(names)


def soft_labels_from_votes(
    votes: Sequence[Any], classes: Sequence[str] | None, place: Callable[[int], str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Converts votes or probabilities to soft labels.

    Args:
        votes: N rows of K numbers.
        classes: The K names in order; None takes 0 .. K-1.
        place: Describes the place of a row, for messages.

    Returns:
        (N, K) float64 rows that sum to 1, and the K names in order.

    Raises:
        ValueError: A row is not K finite numbers of which none is negative and one is positive.
    """
    names = classes or [str(k) for k in range(max(map(len, votes), default=0))]
    labels = np.full((len(votes), len(names)), np.nan)
    for i, row in enumerate(votes):
        with suppress(TypeError, ValueError):  # These rows stay NaN: not numbers, or not K of them.
            labels[i] = np.array(row, dtype=np.float64).reshape(len(names))
        if not (len(names) > 1 and np.isfinite(labels[i]).all() and labels[i].min() >= 0 and labels[i].max() > 0):
            raise ValueError(
                f"{place(i)}: a soft label must be {max(len(names), 2)} numbers, one for each of {', '.join(names)}, "
                f"none negative and not all 0; got {', '.join(map(str, row)) or 'nothing'}."
            )
    labels /= labels.max(1, keepdims=True)  # Large votes must not overflow in the sum.
    return labels / labels.sum(1, keepdims=True), tuple(names)


def _key(text: str) -> str | float:
    """The same for all spellings of a number."""
    return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII) else text


def _names_in_order(texts: pd.Series, source: Any, ordered: bool) -> list[str]:
    """The names in the order of their numbers, of the numbers they begin with, or of the alphabet."""
    spellings = {}
    for text in sorted(texts.unique(), key=lambda text: (len(text), text)):
        spellings.setdefault(_key(text), text)
    if all(isinstance(key, float) for key in spellings):
        return [spellings[key] for key in sorted(spellings)]
    starts = {name: re.match(r"\d+", name, re.ASCII) for name in spellings.values()}
    by_number = all(starts.values())  # as 0-2, 3-9, 10-19
    names = sorted(starts, key=lambda name: (int(starts[name][0]), name) if by_number else name)
    if ordered:
        logger.warning(
            "%s does not define an order of its classes; they are ordered by %s: %s. If this is wrong, list the "
            "classes in their order with --classes (classes=...).",
            source,
            "their first numbers" if by_number else "the alphabet",
            ", ".join(names),
        )
    return names
