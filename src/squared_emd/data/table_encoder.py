"""Columns of numbers and of text as rows of numbers, encoded by scikit-learn."""

import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Features, List, Value
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = ["TableEncoder"]

MAX_CATEGORIES = 50
ADVICE = "Name the columns to learn from with --feature_columns"


class TableEncoder:
    """A `ColumnTransformer` for the columns of a dataset, fitted to the training rows.

    A column of numbers is standardized; a missing value becomes 0, which is the mean, and if values are missing in
    training, a further column marks them. A column of text becomes one column for each of its values; a value that is
    missing, or not seen in training, is 0 in all of them.

    Args:
        train: Training rows; all columns except `label` and `split` are encoded.

    Attributes:
        transformer: The fitted `ColumnTransformer`, which takes a pandas `DataFrame`.
        num_features: Number of columns of the result.

    Raises:
        ValueError: A column has an infinite value or no value at all, or one of text has more than 50 values.

    >>> encoder = TableEncoder(Dataset.from_dict({"x": [1.0, None, 3.0], "kind": ["b", "a", "b"], "label": [0, 1, 0]}))
    >>> encoder.encode(Dataset.from_dict({"x": [4.0, None], "kind": ["a", "c"], "label": [1, 0]}))["features"][:]
    [[2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """

    def __init__(self, train: Dataset) -> None:
        table = _as_frame(train)
        self.texts = [name for name in table if table[name].dtype == object]
        self.numbers = [name for name in table if name not in self.texts]
        self.incomplete = [name for name in self.numbers if table[name].isna().any()]
        for name in table:
            _check_column(table[name], name in self.texts)
        steps = []
        for name in self.numbers:
            steps.append(
                (name, make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=0)), [name])
            )
            if name in self.incomplete:
                steps.append((f"{name} is missing", MissingIndicator(), [name]))
        categories = [sorted(table[name].dropna().unique()) for name in self.texts]
        one_hot = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
        steps.append(("texts", one_hot, self.texts))
        self.transformer = ColumnTransformer(steps).fit(table)
        self.num_features = len(self.transformer.get_feature_names_out())

    def encode(self, rows: Dataset) -> Dataset:
        """Encodes rows with the columns of the training rows.

        Returns:
            A dataset with `features` (`num_features` float32) and `label`.

        Raises:
            ValueError: A value is infinite.
        """
        features = self.transformer.transform(_as_frame(rows)).astype(np.float32)  # (N, F)
        kind = List(Value("float32"), length=features.shape[1])
        encoded = Dataset.from_dict({"features": features}, features=Features({"features": kind}))
        return encoded.add_column("label", rows[:]["label"], feature=rows.features["label"])

    def save(self, path: str | os.PathLike) -> None:
        """Saves the transformer; `joblib.load(path)` gives it back."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        joblib.dump(self.transformer, path)

    def __str__(self) -> str:
        parts = [f"{len(self.numbers)} standardized columns of numbers"]
        if self.incomplete:
            parts.append(f"missing values are the mean and marked in {', '.join(self.incomplete)}")
        if self.texts:
            categories = self.transformer.named_transformers_["texts"].categories_
            counts = [f"{name} ({len(found)})" for name, found in zip(self.texts, categories, strict=True)]
            parts.append(f"one column per value for {', '.join(counts)}")
        return "; ".join(parts) + "."


def _as_frame(rows: Dataset) -> pd.DataFrame:
    """The columns to encode: numbers as float64 with NaN, text as objects with None."""
    rows = rows.select_columns([name for name in rows.column_names if name not in ("label", "split")])
    table = rows.with_format(None).to_pandas()
    for name, kind in rows.features.items():
        if isinstance(kind, ClassLabel):
            table[name] = table[name].map(lambda k, names=kind.names: names[int(k)] if k >= 0 else None)
        if isinstance(kind, ClassLabel) or kind.dtype in ("string", "large_string"):
            table[name] = table[name].astype(object).where(table[name].notna(), None)
            continue
        table[name] = table[name].astype(np.float64)
        if np.isinf(table[name]).any():
            raise ValueError(f"the column {name} has infinite values. {ADVICE}.")
    return table


def _check_column(values: pd.Series, is_text: bool) -> None:
    """Raises a ValueError if a column of the training rows has no value, or too many different texts."""
    count = values.nunique()
    if not count:
        raise ValueError(f"the column {values.name} has no value in the training rows. {ADVICE}.")
    if is_text and count > MAX_CATEGORIES:
        raise ValueError(
            f"the column {values.name} has {count} different texts in {len(values)} training rows, at most "
            f"{MAX_CATEGORIES} can be encoded. {ADVICE}, without it."
        )
