"""People's own data as `datasets` reads them: the Hub, a folder or a file, to rows of one kind."""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from datasets import ClassLabel, DatasetDict, Features, List, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetGenerationError, DatasetsError

from squared_emd.data.own_rows import (
    SPLIT_COLUMN,
    SPLITS,
    Rows,
    Wanted,
    find_group_column,
    find_label_columns,
    split_of,
)

__all__ = ["FILE_KINDS", "load_parts", "rows_of_parts"]

FILE_KINDS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
NUMBERS = ("int", "uint", "float", "bool")


def load_parts(source: str | os.PathLike, path: Path, sources: str) -> DatasetDict:
    """The splits of a data set by their names.

    Args:
        source: As the user gave it.
        path: The same as an absolute path; what is there goes before a name of the Hub.
        sources: What sources there are, for messages.

    Returns:
        The splits as they are there; one, `train`, where there are none.

    Raises:
        FileNotFoundError: There is no such file, folder or data set.
        ValueError: It cannot be read, or its splits have other names.
    """
    name = str(path) if path.exists() else str(source)
    if not path.exists() and (name.endswith(tuple(FILE_KINDS)) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)):
        raise FileNotFoundError(f"There is no {path}. {sources}.")
    saved = any((path / file).is_file() for file in ("dataset_dict.json", "state.json"))
    try:
        if path.is_file():
            options = {"sep": "\t"} if path.suffix.lower() == ".tsv" else {}
            parts = load_dataset(FILE_KINDS[path.suffix.lower()], data_files=name, **options)
        else:
            parts = load_from_disk(name) if saved else load_dataset(name)
    except (OSError, ValueError, DatasetsError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        why = error.__cause__ if isinstance(error, DatasetGenerationError) else error  # else it says nothing
        raise kind(f"{source} cannot be loaded as a data set: {why}. {sources}.") from error
    parts = parts if isinstance(parts, DatasetDict) else DatasetDict(train=parts)
    if len(parts) > 1 and not set(parts) <= set(SPLITS):
        raise ValueError(f"{source}: splits must be named {', '.join(SPLITS)}, got {', '.join(parts)}.")
    return parts


def rows_of_parts(
    source: str | os.PathLike,
    parts: DatasetDict,
    wanted: Wanted,
    pick_inputs: Callable[[Features, Sequence[str]], Sequence[str]],
) -> Rows:
    """The rows of all splits, one after the other.

    A column `split` of a file says the splits.

    Args:
        source: As the user gave it, for messages.
        parts: The splits of the data set.
        wanted: The columns and classes that the user named.
        pick_inputs: (types of the columns, columns of labels, groups and splits) -> the columns to learn from.

    Returns:
        Rows whose `inputs` are a data set with the columns to learn from.

    Raises:
        ValueError: A column is absent, of another type than is required, or not the same in all splits.
    """
    features = next(iter(parts.values())).features
    columns = find_label_columns(list(features), wanted, source)
    group = find_group_column(list(features), wanted, source)
    has_splits = os.path.isfile(source) and SPLIT_COLUMN in features and SPLIT_COLUMN not in columns
    split = SPLIT_COLUMN if has_splits else None
    inputs = list(pick_inputs(features, [*columns, *filter(None, (group, split))]))
    used = list(dict.fromkeys([*columns, *filter(None, (group, split))]))
    for name, part in parts.items():
        if any(part.features.get(column) != features[column] for column in (*inputs, *used)):
            raise ValueError(
                f"{source}: {', '.join((*inputs, *used))} must be the same in all splits, {name} has others."
            )

    kind, votes = features[columns[0]], len(columns) > 1
    listed = isinstance(kind, List) and getattr(kind.feature, "dtype", "").startswith(NUMBERS)
    soft = votes or (listed and not isinstance(kind.feature, ClassLabel))
    if not (
        soft
        or isinstance(kind, ClassLabel)
        or getattr(kind, "dtype", "").startswith((*NUMBERS, "string", "large_string"))
    ):
        raise ValueError(
            f"{source}: {columns[0]} must be a ClassLabel, text, a number or a list of numbers (soft), got {kind}."
        )
    ends = list(accumulate(len(part) for part in parts.values()))

    def place(i: int) -> str:
        part = bisect_right(ends, i)
        return f"{source}, split {list(parts)[part]}, row {i - [0, *ends][part]}"

    table = concatenate_datasets([part.select_columns(used) for part in parts.values()]).with_format(None)[:]
    named = [SPLITS.get(name, "") for name, part in parts.items() for _ in range(len(part))]
    return Rows(
        inputs=concatenate_datasets([part.select_columns(inputs) for part in parts.values()]).with_format(None),
        labels=list(zip(*(table[name] for name in columns), strict=True)) if votes else table[columns[0]],
        splits=[split_of(text, place(i)) for i, text in enumerate(table[split])] if split else named,
        groups=table[group] if group else None,
        place=place,
        names=kind.names if isinstance(kind, ClassLabel) else None,
        soft=soft,
    )
