"""Columns of numbers and of text as rows of numbers, by what the training rows had."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value

__all__ = ["ColumnEncoder", "is_number_or_text", "is_text"]

MOST_CATEGORIES = 50
NUMBERS = ("int", "uint", "float", "bool", "decimal")


@dataclass(frozen=True)
class ColumnEncoder:
    """Makes rows of numbers of columns, by what the training rows had.

    A column of numbers is divided by its standard deviation after its mean is taken off, a missing value becomes 0, the
    mean, and where values were missing in training one more column says so. A column of text becomes one column for
    each of its values; one that is missing, or was not seen in training, is 0 in all of them.

    Args:
        means: name of a column of numbers -> its mean.
        deviations: the same -> its standard deviation; 1 where that is 0.
        incomplete: columns of numbers that had missing values.
        categories: name of a column of text -> its values.
    """

    means: Mapping[str, float]
    deviations: Mapping[str, float]
    incomplete: Sequence[str]
    categories: Mapping[str, Sequence[str]]

    @classmethod
    def of_training(cls, train: Dataset) -> "ColumnEncoder":
        """Learns the encoding.

        Args:
            train: Rows to train on; all columns but `label` and `split` are encoded.

        Returns:
            The encoder.

        Raises:
            ValueError: A column has a value that is infinite or no value at all, or one of text has more than 50.
        """
        means, deviations, incomplete, categories = {}, {}, [], {}
        for name, kind in train.features.items():
            if name in ("label", "split"):
                continue
            if is_text(kind):
                categories[name] = _categories(name, _texts(train, name))
                continue
            numbers = _numbers(train, name)  # (N,)
            known = numbers[~np.isnan(numbers)]
            if not len(known) or not np.isfinite(known).all():
                what = "has no value in the training rows" if not len(known) else "has infinite values"
                raise ValueError(f"the column {name} {what}. Name the columns to learn from with --feature_columns.")
            means[name], deviations[name] = float(known.mean()), float(known.std()) or 1.0
            if len(known) < len(numbers):
                incomplete.append(name)
        return cls(means, deviations, incomplete, categories)

    @property
    def num_features(self) -> int:
        """The columns of what comes out."""
        return len(self.means) + len(self.incomplete) + sum(map(len, self.categories.values()))

    def encode(self, rows: Dataset) -> Dataset:
        """Gives rows of numbers.

        Args:
            rows: With the columns of the training rows.

        Returns:
            `features` (`num_features` float32) and `label`.

        Raises:
            ValueError: A value is infinite.
        """
        columns = []
        for name, mean in self.means.items():
            numbers = (_numbers(rows, name) - mean) / self.deviations[name]  # (N,)
            if np.isinf(numbers).any():
                raise ValueError(f"the column {name} has infinite values.")
            columns.append(np.nan_to_num(numbers))
            if name in self.incomplete:
                columns.append(np.isnan(numbers).astype(np.float64))
        for name, values in self.categories.items():
            texts = np.array(_texts(rows, name), dtype=object)
            columns += [(texts == value).astype(np.float64) for value in values]
        features = np.stack(columns, axis=1).astype(np.float32)  # (N, F)
        kind = List(Value("float32"), length=features.shape[1])
        encoded = Dataset.from_dict({"features": features}, features=Features({"features": kind}))
        return encoded.add_column("label", rows[:]["label"], feature=rows.features["label"])

    def save(self, path: str | os.PathLike) -> None:
        """Writes it as JSON; `ColumnEncoder(**json.load(file))` reads it.

        Args:
            path: The file; its folder is made.
        """
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        parts = [f"{len(self.means)} columns of numbers, less their mean and divided by their standard deviation"]
        if self.incomplete:
            parts.append(f"missing values are the mean and marked in {', '.join(self.incomplete)}")
        if self.categories:
            parts.append("one column a value for " + ", ".join(f"{k} ({len(v)})" for k, v in self.categories.items()))
        return "; ".join(parts) + "."


def is_text(kind: Any) -> bool:
    """Whether a column is of text or of classes.

    Args:
        kind: its type, of `datasets`.
    """
    return isinstance(kind, ClassLabel) or getattr(kind, "dtype", None) in ("string", "large_string")


def is_number_or_text(kind: Any) -> bool:
    """Whether a column can be encoded.

    Args:
        kind: its type, of `datasets`.
    """
    return is_text(kind) or str(getattr(kind, "dtype", "")).startswith(NUMBERS)


def _numbers(rows: Dataset, name: str) -> np.ndarray:
    """(N,) float64, NaN where a value is missing."""
    return np.array([np.nan if value is None else float(value) for value in rows[:][name]])


def _texts(rows: Dataset, name: str) -> list[str | None]:
    values, kind = rows[:][name], rows.features[name]
    if isinstance(kind, ClassLabel):
        return [None if value is None or value < 0 else kind.names[value] for value in values]
    return values


def _categories(name: str, texts: list[str | None]) -> list[str]:
    found = Counter(text for text in texts if text is not None)
    if not 1 <= len(found) <= MOST_CATEGORIES:
        raise ValueError(
            f"the column {name} has {len(found)} different texts in {len(texts)} training rows, 1 to "
            f"{MOST_CATEGORIES} can be told apart. Name the columns to learn from with --feature_columns, without it."
        )
    return sorted(found)
