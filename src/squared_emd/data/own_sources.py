"""How people's own pictures lie: a folder of folders, a CSV file or a data set of the Hub, read to rows of one kind."""

import csv
import logging
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from datasets import ClassLabel, Dataset, DatasetDict, Image, List, concatenate_datasets, load_dataset, load_from_disk
from datasets.exceptions import DatasetsError

from squared_emd.data.imagenet import pictures_in, subfolders

__all__ = ["SOURCES", "Rows", "Wanted", "read_source"]

logger = logging.getLogger(__name__)

SOURCES = (
    "Own data are a folder of <class>/<picture> or train|validation|val|test/<class>/<picture>, a .csv file with a "
    "column of paths and one of labels (or one of votes for each class), or a data set that load_dataset reads"
)
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
FEW = 5
IMAGE_COLUMNS, LABEL_COLUMN, GROUP_COLUMN, SPLIT_COLUMN = ("image", "path", "file_name"), "label", "group", "split"
NUMBERS = ("int", "uint", "float", "bool")


class Rows(NamedTuple):
    """The rows of a source, whatever it was."""

    images: list[str] | Dataset  # paths, or a data set with the one column `image`
    labels: list[Any]  # text or numbers, soft: lists of K numbers
    splits: list[str]
    groups: list[Any] | None
    place: Callable[[int], str]  # of a row, for messages
    names: list[str] | None = None  # the classes in their order, where the source says it
    soft: bool = False


class Wanted(NamedTuple):
    """What the user named."""

    classes: list[str] | None
    image: str | None
    label: str | None
    group: str | None


def read_source(source: str | os.PathLike, wanted: Wanted) -> Rows:
    """Gives the rows of a source.

    Args:
        source: A folder, a .csv file, or a data set that `load_dataset` or `load_from_disk` reads.
        wanted: The columns and classes that the user named.

    Returns:
        The rows in the order of the source.

    Raises:
        FileNotFoundError: There is no such source.
        ValueError: It is none of these, or lacks a column.
    """
    path = Path(os.path.abspath(source))
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise ValueError(f"A file must be a .csv file, got {path}. {SOURCES}.")
        return _read_csv(path, wanted)
    rows = _read_folder(path) if path.is_dir() else None
    return rows or _read_datasets(source, path, wanted)


def _read_folder(root: Path) -> Rows | None:
    """None where it holds no folders of pictures."""
    top = subfolders(root)
    halves = [name for name in top if name in SPLITS]
    folders = [(half, name) for half in halves or [""] for name in subfolders(root / half)]
    pictures = {(half, name): pictures_in(root / half / name) for half, name in folders}
    if not any(pictures.values()):
        return None
    others = [name for name in top if name not in SPLITS and pictures_in(root / name)] if halves else []
    if others:
        raise ValueError(
            f"{root} must hold folders of splits or of classes, it has both: {', '.join(halves)} and "
            f"{', '.join(others[:FEW])}. Move one kind away."
        )
    empty = [str(Path(half, name)) for (half, name), paths in pictures.items() if not paths]
    if empty:
        logger.warning("%s: folders without pictures are left out: %s.", root, ", ".join(empty))
    paths = [path for found in pictures.values() for path in found]
    return Rows(
        images=paths,
        labels=[name for (_, name), found in pictures.items() for _ in found],
        splits=[SPLITS.get(half, "") for (half, _), found in pictures.items() for _ in found],
        groups=None,
        place=paths.__getitem__,
    )


def _read_csv(file: Path, wanted: Wanted) -> Rows:
    lines, table = [], []
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            header = reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            for row in reader:
                if None in row or None in row.values():
                    got = len(header) + len(row[None]) if None in row else sum(v is not None for v in row.values())
                    raise ValueError(f"{file}, line {reader.line_num}: {len(header)} fields are required, got {got}.")
                lines.append(reader.line_num)
                table.append({name: value.strip() for name, value in row.items()})
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be text in UTF-8: {error}. Save it as UTF-8.") from None
    except csv.Error as error:
        raise ValueError(f"{file} must be a CSV file: {error}.") from None

    image = _column(header, wanted.image, IMAGE_COLUMNS, "image_column", file)
    columns = _label_columns(header, wanted, file)
    group = _group_column(header, wanted, file)

    def place(i: int) -> str:
        return f"{file}, line {lines[i]}"

    splits = [row.get(SPLIT_COLUMN, "").lower() for row in table]
    for i, (row, split) in enumerate(zip(table, splits, strict=True)):
        if not row[image]:
            raise ValueError(f"{place(i)}: {image} must be the path of a picture, it is empty.")
        if SPLIT_COLUMN in header and split not in SPLITS:
            raise ValueError(f"{place(i)}: {SPLIT_COLUMN} must be {', '.join(SPLITS)}, got {row[SPLIT_COLUMN]!r}.")
    soft = len(columns) > 1
    return Rows(
        images=[os.path.normpath(file.parent / row[image]) for row in table],
        labels=[[row[name] for name in columns] if soft else row[columns[0]] for row in table],
        splits=[SPLITS.get(split, "") for split in splits],
        groups=[row[group] for row in table] if group else None,
        place=place,
        soft=soft,
    )


def _load_parts(source: str | os.PathLike, path: Path) -> DatasetDict:
    """The splits of a data set by their names."""
    name = str(path) if path.exists() else str(source)
    if not path.exists() and (name.endswith(".csv") or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)):
        raise FileNotFoundError(f"There is no {path}. {SOURCES}.")
    saved = any((path / file).is_file() for file in ("dataset_dict.json", "state.json"))
    try:
        parts = load_from_disk(name) if saved else load_dataset(name)
    except (OSError, ValueError, DatasetsError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        raise kind(f"{source} cannot be loaded as a data set: {error}. {SOURCES}.") from error
    parts = parts if isinstance(parts, DatasetDict) else DatasetDict(train=parts)
    if len(parts) > 1 and not set(parts) <= set(SPLITS):
        raise ValueError(f"{source}: splits must be named {', '.join(SPLITS)}, got {', '.join(parts)}.")
    return parts


def _read_datasets(source: str | os.PathLike, path: Path, wanted: Wanted) -> Rows:
    parts = _load_parts(source, path)
    features = next(iter(parts.values())).features
    pictures = [name for name, kind in features.items() if isinstance(kind, Image)]
    if not pictures:
        raise ValueError(f"{source} must have a column of the type Image, its columns are {', '.join(features)}.")
    image = _column(pictures, wanted.image, IMAGE_COLUMNS if len(pictures) > 1 else pictures, "image_column", source)
    columns = _label_columns(list(features), wanted, source)
    group = _group_column(list(features), wanted, source)
    used = list(dict.fromkeys([*columns, *([group] if group else [])]))
    for name, part in parts.items():
        if any(part.features.get(column) != features[column] for column in (image, *used)):
            raise ValueError(
                f"{source}: {', '.join((image, *used))} must be the same in all splits, {name} has others."
            )

    kind, votes = features[columns[0]], len(columns) > 1
    listed = isinstance(kind, List) and getattr(kind.feature, "dtype", "").startswith(NUMBERS)
    soft = votes or (listed and not isinstance(kind.feature, ClassLabel))
    if not (soft or isinstance(kind, ClassLabel) or getattr(kind, "dtype", "").startswith((*NUMBERS, "string"))):
        raise ValueError(
            f"{source}: {columns[0]} must be a ClassLabel, text, a number or a list of numbers (soft), got {kind}."
        )
    ends = list(accumulate(len(part) for part in parts.values()))

    def place(i: int) -> str:
        part = bisect_right(ends, i)
        return f"{source}, split {list(parts)[part]}, row {i - [0, *ends][part]}"

    table = concatenate_datasets([part.select_columns(used) for part in parts.values()]).with_format(None)[:]
    images = concatenate_datasets([part.select_columns([image]) for part in parts.values()])
    return Rows(
        images=images.with_format(None).rename_columns({image: "image"}),
        labels=list(zip(*(table[name] for name in columns), strict=True)) if votes else table[columns[0]],
        splits=[SPLITS.get(name, "") for name, part in parts.items() for _ in range(len(part))],
        groups=table[group] if group else None,
        place=place,
        names=kind.names if isinstance(kind, ClassLabel) else None,
        soft=soft,
    )


def _column(available: Sequence[str], wanted: str | None, defaults: Iterable[str], option: str, source: Any) -> str:
    found = [name for name in ([wanted] if wanted else defaults) if name in available]
    if not found:
        need = repr(wanted) if wanted else " or ".join(defaults) or "of pictures"
        raise ValueError(
            f"{source} needs a column {need}, it has: {', '.join(available) or 'none'}. Name it with --{option}."
        )
    return found[0]


def _label_columns(available: Sequence[str], wanted: Wanted, source: Any) -> list[str]:
    """One column of labels, or one of votes for each class."""
    if wanted.classes and not wanted.label and all(name in available for name in wanted.classes):
        return wanted.classes
    return [_column(available, wanted.label, [LABEL_COLUMN], "label_column", source)]


def _group_column(available: Sequence[str], wanted: Wanted, source: Any) -> str | None:
    if wanted.group is None and GROUP_COLUMN not in available:
        return None
    return _column(available, wanted.group, [GROUP_COLUMN], "group_column", source)
