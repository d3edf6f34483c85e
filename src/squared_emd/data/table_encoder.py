"""Columns of numbers and of text as rows of numbers, encoded by scikit-learn."""

import logging
import os
import re
from typing import Any

import joblib
import numpy as np
import pandas as pd
from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ..ground_distance.files import write_aside

logger = logging.getLogger(__name__)

NUMBER_TYPES = ("int", "uint", "float", "bool", "decimal")  # as the names of Arrow types begin
TEXT_TYPES = ("string", "large_string")
MAX_CATEGORIES = 50
MAX_DEVIATIONS = 1e15  # Beyond them a network's sums and squares may leave float32.
MAX_NAMED = 5
MIN_ROWS = 10  # With fewer rows a column may number them by chance.
UNNAMED = r"Unnamed: \d+|__index_level_\d+__"  # what pandas calls an index that it saved, or a column without a name
NUMBER_LIKE = r"[-+]?\s*[\d.,' ]*\d[\d.,' ]*[%€$£]?"
ID_NAME = r"(?i:(.*[ _-])?(id|index|idx|uuid|key|row))|.*[a-z0-9](I[dD]|Index|Idx|Uuid|UUID|Key|Row)"  # rowId, row_id
ADVICE = "Name the columns to learn from with --feature_columns"


def id_columns(rows: Dataset) -> list[str]:
    """Finds columns that number or name the rows: a saved index, consecutive numbers, a name for each row.

    >>> id_columns(Dataset.from_dict({"Unnamed: 0": range(12), "nr": range(7, 19), "x": [0.5, 0.75] * 6}))
    ['Unnamed: 0', 'nr']
    """
    table = _as_frame(rows)
    return [name for name in table if re.fullmatch(UNNAMED, name) or _is_id(table[name])]


def is_text(kind: Any) -> bool:
    """Whether a type of `datasets` is that of texts, or of classes, which have names."""
    return isinstance(kind, ClassLabel) or getattr(kind, "dtype", None) in TEXT_TYPES


def is_number(kind: Any) -> bool:
    """Whether a type of `datasets` is that of numbers."""
    return not isinstance(kind, ClassLabel) and str(getattr(kind, "dtype", "")).startswith(NUMBER_TYPES)


class TableEncoder:
    """A `ColumnTransformer` for the columns of a dataset, fitted to the training rows.

    A column of numbers is standardized; a missing value becomes 0, which is the mean, and if values are missing in
    training, a further column marks them. A column of text becomes one column for each of its values; a value that is
    missing, or not seen in training, is 0 in all of them.

    Args:
        train: Training rows; all columns except `label`, `split` and `group` are encoded.

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
        for name in table:
            if table[name].isna().all():
                raise ValueError(f"the column {name} has no value in the training rows. {ADVICE}.")
            check = _check_texts if table[name].dtype == object else _check_numbers
            check(table[name])
        # The values of each column of text, in order.
        self.categories = {name: sorted(table[name].dropna().unique()) for name in table if table[name].dtype == object}
        self.numbers = [name for name in table if name not in self.categories]
        self.incomplete = [name for name in self.numbers if table[name].isna().any()]
        scaler = make_pipeline(StandardScaler(), SimpleImputer(strategy="constant", fill_value=0, add_indicator=True))
        one_hot = OneHotEncoder(categories=list(self.categories.values()), handle_unknown="ignore", sparse_output=False)
        steps = [*((name, scaler, [name]) for name in self.numbers), ("texts", one_hot, list(self.categories))]
        with np.errstate(over="ignore"):  # in scikit-learn's search for constants, if these are large
            self.transformer = ColumnTransformer(steps).fit(table)
        self.num_features = len(self.transformer.get_feature_names_out())

    def encode(self, rows: Dataset) -> Dataset:
        """Encodes rows with the columns of the training rows.

        Returns:
            A dataset with `features` (`num_features` float32), and with `label` and `group` if the rows have them.

        Raises:
            ValueError: A value is infinite, or very far from those of the training rows.
        """
        table = _as_frame(rows)
        self._warn_about_new(table)
        with np.errstate(over="ignore"):
            features = self.transformer.transform(table)  # (N, F)
        far = np.argwhere(~(np.abs(features) < MAX_DEVIATIONS))
        if len(far):
            row, column = far[0]
            name = self.transformer.get_feature_names_out()[column].split("__", 1)[1]
            raise ValueError(
                f"the column {name} has the value {table[name].iloc[row]} (row {row} of {len(table)}), too far from "
                f"those of the training rows. {ADVICE}, or correct it."
            )
        kind = List(Value("float32"), length=features.shape[1])
        encoded = Dataset.from_dict({"features": features.astype(np.float32)}, Features({"features": kind}))
        others = [rows.select_columns([name]) for name in ("label", "group") if name in rows.features]
        return concatenate_datasets([encoded, *others], axis=1)

    def _warn_about_new(self, table: pd.DataFrame) -> None:
        """Logs a warning about values that are encoded as if they were none, or the mean, and not marked."""
        for name, values in self.categories.items():
            new = table[name][table[name].notna() & ~table[name].isin(values)]
            if len(new):
                logger.warning(
                    f"{len(new)} of {len(table)} rows have a {name} that no training row has, and are encoded as if "
                    f"they had none: {', '.join(map(repr, new.unique()[:MAX_NAMED]))}."
                )
        for name in self.numbers:
            missing = table[name].isna().sum()
            if missing and name not in self.incomplete:
                logger.warning(
                    f"{missing} of {len(table)} rows have no {name}, which every training row has; the mean takes its "
                    "place."
                )

    def save(self, path: str | os.PathLike) -> None:
        """Saves the transformer; `joblib.load(path)` gives it back."""
        with write_aside(path) as unfinished:
            joblib.dump(self.transformer, unfinished)

    def __str__(self) -> str:
        parts = [f"{len(self.numbers)} standardized columns of numbers"]
        if self.incomplete:
            parts.append(f"missing values are the mean and marked in {', '.join(self.incomplete)}")
        if self.categories:
            counts = [f"{name} ({len(values)})" for name, values in self.categories.items()]
            parts.append(f"one column per value for {', '.join(counts)}")
        return "; ".join(parts) + "."


def _as_frame(rows: Dataset) -> pd.DataFrame:
    """The columns to encode: numbers as float64 with NaN, text as objects with None."""
    rows = rows.select_columns([name for name in rows.column_names if name not in ("label", "split", "group")])
    table = rows.with_format(None).to_pandas()
    for name, kind in rows.features.items():
        if isinstance(kind, ClassLabel):
            table[name] = table[name].map(lambda k, names=kind.names: names[int(k)] if k >= 0 else None)
        if is_text(kind):
            table[name] = table[name].astype(object).where(table[name].notna(), None)
            continue
        table[name] = table[name].astype(np.float64)
        if np.isinf(table[name]).any():
            raise ValueError(f"the column {name} has infinite values. {ADVICE}.")
    return table


def _is_id(values: pd.Series) -> bool:
    """Whether a column has another value in each row, and these are texts, or count, or are called an id."""
    if len(values) < MIN_ROWS or values.isna().any() or not values.is_unique:
        return False
    if values.dtype == object:
        return _are_numbers(values).mean() <= 0.5
    if (values % 1 != 0).any():
        return False
    return bool(re.fullmatch(ID_NAME, values.name) or values.max() - values.min() == len(values) - 1)


def _check_numbers(values: pd.Series) -> None:
    """Raises a ValueError if a column has values that cannot be standardized in float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = np.nanstd(values)
    if values.nunique() > 1 and not 0 < deviation < np.inf:
        raise ValueError(
            f"the column {values.name} has values from {values.min()} to {values.max()}, whose standard deviation is "
            f"outside the range of float64. Scale them. {ADVICE}."
        )


def _check_texts(values: pd.Series) -> None:
    """Raises a ValueError if a column has too many values; warns of numbers that are stored as text."""
    unique = pd.Series(values.dropna().unique())
    are_numbers = _are_numbers(unique)
    if are_numbers.mean() > 0.5:
        are_texts = pd.to_numeric(unique, errors="coerce").isna()
        texts = ", ".join(map(repr, unique[are_texts][:MAX_NAMED]))
        without = f", without {texts}" if texts else ""
        logger.warning(
            f"the column {values.name} is taken for text, though most of its values are numbers. Store it as numbers"
            f"{without}."
        )
    if len(unique) > MAX_CATEGORIES:
        raise ValueError(
            f"the column {values.name} has {len(unique)} different texts in {len(values)} training rows, at most "
            f"{MAX_CATEGORIES} can be encoded. {ADVICE}, without it."
        )


def _are_numbers(texts: pd.Series) -> pd.Series:
    return pd.to_numeric(texts, errors="coerce").notna() | texts.str.fullmatch(NUMBER_LIKE)
