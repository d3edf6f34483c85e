"""The user's own CSV files, as spreadsheets and pandas write them."""

import csv
import io
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate, pairwise
from pathlib import Path

import pandas as pd
from datasets import Dataset, DatasetDict

__all__ = ["MISSING_MARKERS", "read_csv_files"]

MISSING_MARKERS = frozenset(("na", "n/a", "nan", "none", "null", "<na>", "#n/a", "#na"))
"""Texts that mean a missing number, in any case. Elsewhere they may be names, as of a class None."""

NUMBER_WITH_COMMA = r"[+-]?\d+(,\d+)?([eE][+-]?\d+)?"


def read_csv_files(files: Mapping[str, Iterable[str]], names: Collection[str]) -> DatasetDict:
    """Reads CSV files: separated by comma, semicolon or tab, with a decimal point, or a decimal comma among semicolons.

    Only an empty cell is missing. A column becomes numbers if all its cells are, but for missing ones and
    `MISSING_MARKERS`; else it stays text as it stands in the file.

    Args:
        files: Split -> paths of files, all with the same columns.
        names: Columns whose cells are names (classes, groups, splits): they stay text.

    Returns:
        Split -> rows. A column without a name is called `Unnamed: <k>`, as in pandas.

    Raises:
        ValueError: A file is no such table, or its header has a name twice, or comes twice.
    """
    parts = {split: [_read(path) for path in paths] for split, paths in files.items()}
    tables = [table for part in parts.values() for table in part]
    for table in tables:
        if list(table) != list(tables[0]):
            raise ValueError(f"all files must have the same columns, got {', '.join(tables[0])} and {', '.join(table)}")
    table = pd.concat(tables, ignore_index=True)
    table = pd.DataFrame({name: table[name] if name in names else _as_numbers(table[name]) for name in table})
    ends = accumulate((sum(map(len, part)) for part in parts.values()), initial=0)
    rows = Dataset.from_pandas(table, preserve_index=False)
    return DatasetDict(
        {split: rows.select(range(*span)) for split, span in zip(map(str, parts), pairwise(ends), strict=True)}
    )


def _read(path: str) -> pd.DataFrame:
    """(N, columns) text, None where a cell is empty."""
    with open(path, "rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    options = {"dtype": str, "keep_default_na": False, "na_values": [""], "skipinitialspace": True}
    try:
        separator = _separator(path, encoding)
        # With `header=None` pandas neither renames a column nor takes the first for an index.
        cells = pd.read_csv(path, sep=separator, encoding=encoding, header=None, **options)
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}: save the file as CSV UTF-8") from error
    header = [name if isinstance(name, str) else "" for name in cells.iloc[0]]
    columns = [name.strip() or f"Unnamed: {k}" for k, name in enumerate(header)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"the header has a column {', '.join(twice)} twice: rename or remove one")
    table = cells.iloc[1:].set_axis(columns, axis=1)
    again = (table.fillna("") == header).all(axis=1).to_numpy().nonzero()[0]
    if len(again):
        raise ValueError(f"row {again[0]} is the header once more: remove it")
    return table.apply(_with_decimal_points) if separator == ";" else table


def _separator(path: str, encoding: str) -> str:
    """The separator that divides the header, and as many rows as can be into as many fields."""
    with open(path, encoding=encoding) as file:
        head = file.read(2**16).replace("\0", "")

    def fit(separator: str) -> tuple[bool, float, int]:
        rows = [row for row in csv.reader(io.StringIO(head), delimiter=separator, skipinitialspace=True) if row]
        widths = [len(row) for row in rows[:100]] or [1]
        return widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0]

    return max("\t,;" if Path(path).suffix.lower() == ".tsv" else ",;\t", key=fit)


def _with_decimal_points(values: pd.Series) -> pd.Series:
    present = values.dropna()
    if present.str.fullmatch(NUMBER_WITH_COMMA).all():
        return values.str.replace(",", ".")
    return values


def _as_numbers(values: pd.Series) -> pd.Series:
    """Numbers or booleans if that is what the cells are, else the text."""
    lower = values.str.strip().str.lower()
    present = values[values.notna() & ~lower.isin(MISSING_MARKERS)]
    if len(present) == len(values) and lower.isin(("true", "false")).all():
        return lower == "true"
    numbers = pd.to_numeric(present, errors="coerce")
    if numbers.isna().any() or not (len(present) or values.isna().all()):
        return values
    return numbers.reindex(values.index)
