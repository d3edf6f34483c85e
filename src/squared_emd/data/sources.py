"""The user's own datasets as `datasets` reads them: a folder of classes, a file, a saved dataset or one of the Hub."""

import glob
import logging
import os
import re
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict, Features, Value, concatenate_datasets, load_dataset, load_from_disk
from datasets.data_files import SPLIT_KEYWORDS
from datasets.exceptions import DatasetGenerationError, DatasetsError
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder

__all__ = ["SPLIT_NAMES", "Rows", "find_column", "find_optional_column", "read_rows"]

logger = logging.getLogger(__name__)

SPLIT_NAMES = {keyword: str(split) for split, keywords in SPLIT_KEYWORDS.items() for keyword in keywords}
"""What `datasets` takes for the name of a split, such as `dev` -> `validation`."""

BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
MAX_NAMED = 5


class Rows(NamedTuple):
    """The rows of all splits, one split after the other.

    `split_names` and `split_ends` say which rows are of which split of the source; `folder` is what paths in a file are
    relative to.
    """

    dataset: Dataset
    split_names: tuple[str, ...]
    split_ends: tuple[int, ...]
    source: str | os.PathLike
    folder: Path

    def place(self, i: int) -> str:
        """Describes the place of a row, for messages."""
        part = int(np.searchsorted(self.split_ends, i, side="right"))
        start = self.split_ends[part - 1] if part else 0
        return f"{self.source}, split {self.split_names[part]}, row {i - start}"

    def splits(self) -> np.ndarray:
        """(N,) `train`, `validation`, `test`, or "" if the only split of the source has another name."""
        names = [SPLIT_NAMES.get(name.lower(), "") for name in self.split_names]
        return np.repeat(names, np.diff((0, *self.split_ends)))


def read_rows(source: str | os.PathLike, noun: str, folder_builder: type[FolderBasedBuilder] | None = None) -> Rows:
    """Reads a dataset.

    Args:
        source: A folder `<class>/<file>` or `<split>/<class>/<file>`, if there is a `folder_builder`; a .csv, .tsv,
            .json, .jsonl or .parquet file; a folder that `load_from_disk` or `load_dataset` reads; a Hub dataset.
        noun: What the dataset holds, for messages: "images".
        folder_builder: The builder of `datasets` whose files may lie in folders of classes.

    Returns:
        The rows. Those of a folder of classes have the path of the file and `label`.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: It cannot be read, has no rows, or its splits have other names than `SPLIT_NAMES`.
    """
    path = Path(os.path.abspath(source))
    name = str(path) if path.exists() else str(source)
    folders = "a folder of <class>/<file> or <split>/<class>/<file>, " if folder_builder else ""
    supported = (
        f"Own {noun} are {folders}a {', '.join(BUILDERS)} file with a column of {noun} and one of labels, a folder "
        "that load_from_disk or load_dataset reads, or a dataset of the Hub"
    )
    if path.is_file() and path.suffix.lower() not in BUILDERS:
        raise ValueError(f"A file must be one of {', '.join(BUILDERS)}, got {path}. {supported}.")
    if not path.exists() and (name.endswith(tuple(BUILDERS)) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)):
        raise FileNotFoundError(f"There is no {path}. {supported}.")
    try:
        parts = _load_class_folders(path, folder_builder) if folder_builder and path.is_dir() else None
        parts = parts or _load(path, name)
    except (OSError, ValueError, DatasetsError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        reason = error.__cause__ if isinstance(error, DatasetGenerationError) else error  # The cause has the message.
        raise kind(f"{source} cannot be loaded as a dataset: {reason}. {supported}.") from error
    if len(parts) > 1 and any(split.lower() not in SPLIT_NAMES for split in parts):
        raise ValueError(f"{source}: splits must be named {', '.join(SPLIT_NAMES)}; got {', '.join(parts)}.")
    features = next(iter(parts.values())).features
    for split, part in parts.items():
        if part.features != features:
            raise ValueError(f"{source}: all splits must have the same columns, {split} has others: {part.features}.")
    rows = concatenate_datasets(list(parts.values())).with_format(None)
    if not len(rows):
        raise ValueError(f"{source} has no rows. {supported}.")
    ends = tuple(accumulate(map(len, parts.values())))
    return Rows(rows, tuple(parts), ends, source, path.parent if path.is_file() else path)


def find_column(available: Iterable[str], wanted: str | None, defaults: Iterable[str], option: str, source: Any) -> str:
    """Finds a column by the name that the user gave, else by the first default that exists.

    Args:
        available: Names of the columns.
        wanted: The name given by the user.
        defaults: Names to look for if the user gave none.
        option: The option that names the column, for the message.
        source: For the message.

    Raises:
        ValueError: There is no such column.
    """
    available, defaults = list(available), list(defaults)
    found = [name for name in ([wanted] if wanted else defaults) if name in available]
    if not found:
        required = repr(wanted) if wanted else " or ".join(defaults)
        raise ValueError(
            f"{source} needs a column {required}, it has: {', '.join(available) or 'none'}. Name it with --{option}."
        )
    return found[0]


def find_optional_column(
    available: Iterable[str], wanted: str | None, default: str, option: str, source: Any
) -> str | None:
    """Finds a column as `find_column`; None if the user named none and the default does not exist."""
    if wanted is None and default not in available:
        return None
    return find_column(available, wanted, [default], option, source)


def _load(path: Path, name: str) -> DatasetDict:
    """A file, a saved dataset, or what `load_dataset` makes of a folder or a name; `train` if it has no splits."""
    suffix = path.suffix.lower()
    if path.is_file():
        options = {"skipinitialspace": True} if BUILDERS[suffix] == "csv" else {}
        options |= {"sep": "\t"} if suffix == ".tsv" else {}
        parts = load_dataset(BUILDERS[suffix], data_files=glob.escape(name), **options)
    elif any((path / file).is_file() for file in ("dataset_dict.json", "state.json")):
        parts = load_from_disk(name)
    else:
        parts = load_dataset(name)
    return parts if isinstance(parts, DatasetDict) else DatasetDict(train=parts)


def _load_class_folders(root: Path, builder: type[FolderBasedBuilder]) -> DatasetDict | None:
    """The files of a folder with their class, which is the name of the first folder below the split's; else None."""
    top = _subfolders(root)
    split_folders = [folder for folder in top if folder.name.lower() in SPLIT_NAMES]
    bases = split_folders or [root]
    if any((base / name).exists() for base in {root, *bases} for name in builder.METADATA_FILENAMES):
        return None  # `load_dataset` reads the labels of these files.
    has_files = {folder: _has_files(folder, builder.EXTENSIONS) for base in bases for folder in _subfolders(base)}
    if not any(has_files.values()):
        return None
    others = [folder.name for folder in top if split_folders and folder not in bases]
    others = [name for name in others if _has_files(root / name, builder.EXTENSIONS)]
    if others:
        raise ValueError(
            f"{root} must hold folders of splits or of classes, it has both: "
            f"{', '.join(folder.name for folder in bases)} and {', '.join(others[:MAX_NAMED])}. Move one kind away"
        )
    empty = [str(folder.relative_to(root)) for folder, full in has_files.items() if not full]
    if empty:
        logger.warning(
            "%s: folders without %s files are left out: %s.", root, builder.BASE_COLUMN_NAME, ", ".join(empty)
        )
    patterns = {}
    for base in bases:
        split = SPLIT_NAMES[base.name.lower()] if split_folders else "train"
        patterns.setdefault(split, []).extend(
            f"{glob.escape(str(folder))}/**" for folder in _subfolders(base) if has_files[folder]
        )
    column = builder.BASE_COLUMN_NAME
    parts = load_dataset(
        builder.__name__.lower(),
        data_files=patterns,
        drop_labels=True,
        drop_metadata=True,
        features=Features({column: Value("string")}),
    )
    depth = len(root.parts) + bool(split_folders)
    for split, part in parts.items():
        labels = [Path(path).parts[depth] for path in part[column]]
        parts[split] = part.add_column("label", labels, feature=Value("string"))
    return parts


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _has_files(folder: Path, extensions: list[str]) -> bool:
    return any(path.suffix.lower() in extensions and path.is_file() for path in folder.rglob("*"))
