"""Class labels of the user's own datasets: the order of the classes, and the class or soft label of each row."""

import logging
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from datasets import ClassLabel

from squared_emd.data.csv_files import MISSING_MARKERS

logger = logging.getLogger(__name__)

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
NUMBER_WITHIN = r"((?:(?<![^\W_])-)?\d+(?:[.,]\d+)?)"  # A hyphen after a letter or digit is no minus.
VOTES = rf"\s*[\[(]?\s*{NUMBER}(\s*[,;\s]\s*{NUMBER}){{2,}}\s*[\])]?\s*"
MIN_ROWS = 20  # With fewer rows the number of classes says little.
MAX_SCORES = 20
MAX_NAMED = 5
LIST_THEM = "list the classes in their order with --classes (classes=...)"


def check_class_names(classes: Sequence[str | int]) -> list[str]:
    """The names given by the user as text; a ValueError if there are fewer than two different ones."""
    names = [classes] if isinstance(classes, str) else [str(name).strip() for name in classes]
    if len(names) < 2 or not all(names) or len({_key(name) for name in names}) < len(names):
        raise ValueError(f"classes must be at least two different names, got {names}.")
    return names


def column_as_text(values: pd.Series, feature: Any) -> pd.Series:
    """Labels or groups, (N,), as text: "" where one is missing, whole numbers without a decimal point."""

    def as_text(value: Any) -> str:
        if isinstance(feature, ClassLabel):
            return feature.names[int(value)]
        text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
        return text if text.strip() else ""

    present = values.notna()
    if isinstance(feature, ClassLabel):
        present &= values >= 0
    return values[present].map(as_text).reindex(values.index, fill_value="")


def missing_labels(texts: pd.Series, classes: Sequence[str] | None, source: Any) -> np.ndarray:
    """Says which labels, (N,) texts, are missing: the empty ones, and those called NA or the like if that is no class.

    If no classes are defined, NA is one, unless all other labels are numbers.
    """
    empty = texts == ""
    marked = texts.str.strip().str.lower().isin(MISSING_MARKERS)
    markers = texts[marked].unique()
    if classes is not None:
        known = set(map(_folded, classes))
        return (empty | texts.isin([text for text in markers if _folded(text) not in known])).to_numpy()
    found = ", ".join(map(repr, markers))
    others = texts[~empty & ~marked].unique()
    if len(markers) and len(others) and all(isinstance(_key(text.replace(",", ".")), float) for text in others):
        logger.warning(
            f"{source}: the label {found}, of {marked.sum()} rows, is taken for a missing one, as all others are "
            f"numbers. If it is a class, {LIST_THEM}, it among them."
        )
        return (empty | marked).to_numpy()
    if empty.any() and marked.any():
        raise ValueError(
            f"{source}: {empty.sum()} labels are empty, {marked.sum()} are {found}. If that is a class, {LIST_THEM}, "
            "it among them; if it means that there is no label, without it."
        )
    if marked.any():
        logger.warning(
            f"{source}: the label {found} is taken for a class, of {marked.sum()} rows. If it means that there is no "
            f"label, {LIST_THEM}, without it."
        )
    return empty.to_numpy()


def order_by_names(texts: Iterable[str], source: Any, *, ordered: bool, needs_order: bool) -> list[str]:
    """Puts classes in the order of their numbers, or of the alphabet; spellings of one number become one.

    Names have an order by number if they are numbers, begin with them, or differ in one number only. An order that is
    guessed is a warning if the classes are `ordered`, that of the alphabet an error if the loss `needs_order`.
    """
    spellings = {}
    for text in sorted(texts, key=lambda text: (len(text), text)):
        key = _key(text)
        spellings.setdefault(key, re.sub(r"\.0*$", "", text) if isinstance(key, float) else text)
    if all(isinstance(key, float) for key in spellings):
        return [spellings[key] for key in sorted(spellings)]
    parts = {name: _parts(name) for name in spellings.values()}
    columns = list(zip_longest(*parts.values()))  # texts and numbers in turn
    begin_with_numbers = all(len(part) > 1 and not part[0] for part in parts.values())  # as 0-2, 3-9, 10-19
    differing = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    by_number = begin_with_numbers or (len(differing) == 1 and differing[0] % 2 == 1)  # as grade_1, grade_2
    names = sorted(parts, key=parts.get)
    if needs_order and not by_number and len(names) > 2:  # Two classes are as far apart either way.
        raise ValueError(
            f"{source} does not define an order of its classes, which a loss of this run needs. List them from the "
            "lowest to the highest with --classes (classes=...). In the order of the alphabet, to be put right: "
            f"--classes {shlex.join(names)}"
        )
    if ordered:
        logger.warning(
            f"{source} does not define an order of its classes; they are ordered by "
            f"{'their numbers' if by_number else 'the alphabet'}: {', '.join(names)}. If this is wrong, {LIST_THEM}."
        )
    return names


def hard_labels(
    texts: pd.Series,
    classes: Sequence[str] | None,
    place: Callable[[int], str],
    source: Any,
    *,
    ordered: bool,
    needs_order: bool = False,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Converts labels, (N,) texts, to (N,) class indices, and gives the K names in order.

    Two spellings of a number ("1", "01", "1.0") are one class.
    """
    if not classes:
        _check_undefined_classes(texts, source)
    texts = texts.str.strip()
    names = list(classes or order_by_names(texts.unique(), source, ordered=ordered, needs_order=needs_order))
    if len(names) < 2:
        raise ValueError(f"{source} must have at least two classes, it has: {', '.join(names) or 'none'}.")
    index = {_key(name): k for k, name in enumerate(names)}
    ambiguous = {_folded(group[0]) for group in _alike(names)}
    folded = {_folded(name): k for k, name in enumerate(names) if _folded(name) not in ambiguous}
    codes = {text: index.get(_key(text), -1) for text in texts.unique()}
    near = {text: folded[_folded(text)] for text, k in codes.items() if k < 0 and _folded(text) in folded}
    if near:
        pairs = ", ".join(f"{text!r} for {names[k]}" for text, k in list(near.items())[:MAX_NAMED])
        logger.warning(
            f"{source}: {texts.isin(near).sum()} labels differ from a class by case, spaces or Unicode form only, and "
            f"are taken for it: {pairs}."
        )
    codes = texts.map(codes | near).to_numpy()
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        i = unknown[0]
        raise ValueError(f"{place(i)}: the label must be one of {', '.join(names)}; got {texts.iloc[i]!r}.")
    return codes, tuple(names)


def soft_labels_from_votes(
    votes: Sequence[Any], classes: Sequence[str] | None, place: Callable[[int], str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Converts N rows of K votes or probabilities to (N, K) float64 rows that sum to 1, and gives the K names."""
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
    """The same for all spellings of a number, and for all Unicode forms of a text."""
    text = text.strip()
    return float(text) if re.fullmatch(NUMBER, text, re.ASCII) else unicodedata.normalize("NFC", text)


def _parts(name: str) -> list[str | float]:
    """Texts and numbers in turn, so that sorting by them puts grade_10 after grade_9, and numbers before texts."""
    if isinstance(number := _key(name), float):
        return ["", number, ""]
    parts = re.split(NUMBER_WITHIN, name, flags=re.ASCII)
    return [float(part.replace(",", ".")) if k % 2 else part for k, part in enumerate(parts)]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ by case, spaces or Unicode form only."""
    groups = {}
    for name in sorted(set(names)):
        groups.setdefault(_folded(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _check_undefined_classes(texts: pd.Series, source: Any) -> None:
    """Raises a ValueError, or logs a warning, if the labels do not look like names of classes."""
    counts = texts.value_counts()
    if all(re.fullmatch(VOTES, text, re.ASCII) for text in counts.index):
        raise ValueError(
            f"{source}: labels such as {counts.index[0]!r} are votes stored as text. Store one column of numbers for "
            "each class and name these columns with --classes (classes=...), or lists of numbers in a .json file."
        )
    if groups := _alike(counts.index):
        raise ValueError(
            f"{source}: the labels {', '.join(map(repr, groups[0]))} differ by case, spaces or Unicode form only. "
            f"Write them alike, or {LIST_THEM}, each in one spelling."
        )
    keys = {_key(text) for text in counts.index}
    scores = all(isinstance(key, float) for key in keys) and any(key % 1 for key in keys)
    if len(texts) >= MIN_ROWS and len(keys) > (MAX_SCORES if scores else len(texts) / 2):
        raise ValueError(
            f"{source} has {len(keys)} different labels in {len(texts)} rows, such as "
            f"{', '.join(map(repr, counts.index[:MAX_NAMED]))}: these are scores or ids, not classes. Name another "
            f"--label_column, store scores as the classes they fall into, or {LIST_THEM}."
        )
    single = counts.index[counts == 1]
    if len(texts) >= MIN_ROWS and 0 < len(single) < len(keys) / 2:
        logger.warning(
            f"{source}: only one row has the label {', only one '.join(map(repr, sorted(single)[:MAX_NAMED]))}. If "
            f"this is a mistake, correct it, or {LIST_THEM}."
        )
