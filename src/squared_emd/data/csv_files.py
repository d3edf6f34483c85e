"""The user's own CSV files, as spreadsheets and pandas write them."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset, DatasetDict

# Texts that mean a missing number, in any case. Elsewhere they may be names, as of a class None.
MISSING_MARKERS = frozenset(("na", "n/a", "nan", "none", "null", "<na>", "#n/a", "#na"))
NUMBER_WITH_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][+-]?\d+)?"
SEPARATOR_LINE = r"\"?sep=(.)\"?[ \t]*[\r\n]+"  # which a spreadsheet reads and does not show


def read_csv_files(files: Mapping[str, Iterable[str]], names: Collection[str]) -> DatasetDict:
    """Reads the CSV files of each split: separated by comma, semicolon or tab, or as a first line `sep=;` says.

    A column becomes numbers if all its cells are, in all files, but for empty ones and `MISSING_MARKERS`; else it stays
    text as it stands in the file, as do the columns of `names` (classes, groups, splits).
    """
    parts = {split: [_read(path) for path in paths] for split, paths in files.items()}
    tables = [table for part in parts.values() for table in part]
    for table in tables:
        if list(table) != list(tables[0]):
            raise ValueError(f"all files must have the same columns, got {', '.join(tables[0])} and {', '.join(table)}")
    table = pd.concat(tables, ignore_index=True)
    among_semicolons = np.repeat([table.attrs["separator"] == ";" for table in tables], list(map(len, tables)))  # (N,)
    table = pd.DataFrame(
        {name: table[name] if name in names else _as_numbers(table[name], among_semicolons) for name in table}
    )
    ends = accumulate((sum(map(len, part)) for part in parts.values()), initial=0)
    rows = Dataset.from_pandas(table, preserve_index=False)
    return DatasetDict(
        {split: rows.select(range(*span)) for split, span in zip(map(str, parts), pairwise(ends), strict=True)}
    )


def _read(path: str) -> pd.DataFrame:
    """(N, columns) text, None where a cell is empty; `attrs` has the separator."""
    with open(path, "rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    options = {"dtype": str, "keep_default_na": False, "na_values": [""], "skipinitialspace": True}
    try:
        separator, skipped = _separator(path, encoding)
        # With `header=None` pandas neither renames a column nor takes the first for an index.
        cells = pd.read_csv(path, sep=separator, encoding=encoding, skiprows=skipped, header=None, **options)
    except UnicodeDecodeError as error:
        raise ValueError(f"{error}: save the file as CSV UTF-8") from error
    header = [name if isinstance(name, str) else "" for name in cells.iloc[0]]
    columns = [name.strip() or f"Unnamed: {k}" for k, name in enumerate(header)]  # as pandas calls them
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"the header has a column {', '.join(twice)} twice: rename or remove one")
    table = cells.iloc[1:].set_axis(columns, axis=1)
    again = (table.fillna("") == header).all(axis=1).to_numpy().nonzero()[0]
    if len(again):
        raise ValueError(f"row {again[0]} is the header once more: remove it")
    table.attrs["separator"] = separator
    return table


def _separator(path: str, encoding: str) -> tuple[str, int]:
    """The separator that a first line names, or that divides most rows as the header; and how many lines to skip."""
    with open(path, encoding=encoding) as file:
        head = file.read(2**16).replace("\0", "")
    if named := re.match(SEPARATOR_LINE, head):
        return named[1], 1

    def fit(separator: str) -> tuple[bool, float, int]:
        rows = [row for row in csv.reader(io.StringIO(head), delimiter=separator, skipinitialspace=True) if row]
        widths = [len(row) for row in rows[:100]] or [1]
        return widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0]

    return max("\t,;" if Path(path).suffix.lower() == ".tsv" else ",;\t", key=fit), 0


def _with_decimal_points(texts: pd.Series) -> pd.Series:
    """A column with decimal commas; dots divide thousands if a comma follows one and all cells can be read so."""
    groups = texts.str.contains(".", regex=False).any()
    if not texts.str.fullmatch(NUMBER_WITH_COMMA).all() or (groups and not texts.str.contains(r"\..*,").any()):
        return texts
    return texts.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)


def _as_numbers(values: pd.Series, among_semicolons: np.ndarray) -> pd.Series:
    """Numbers or booleans if that is what the cells are, else the text; a decimal comma only `among_semicolons`."""
    lower = values.str.strip().str.lower()
    present = values[values.notna() & ~lower.isin(MISSING_MARKERS)]
    if len(present) == len(values) and lower.isin(("true", "false")).all():
        return lower == "true"
    with_commas = among_semicolons[present.index]
    written = pd.concat([_with_decimal_points(present[with_commas].str.strip()), present[~with_commas]])
    numbers = pd.to_numeric(written, errors="coerce")
    if numbers.isna().any() or not (len(present) or values.isna().all()):
        return values
    return numbers.reindex(values.index)
