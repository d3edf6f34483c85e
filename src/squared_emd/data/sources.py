"""The user's own datasets as `datasets` reads them: a folder of classes, a file, a saved dataset or one of the Hub."""

import glob
import logging
import os
import re
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import yaml
from datasets import (
    Dataset,
    DatasetBuilder,
    DatasetDict,
    DownloadManager,
    Features,
    Value,
    concatenate_datasets,
    load_dataset,
    load_dataset_builder,
    load_from_disk,
)
from datasets.exceptions import DatasetGenerationError, DatasetsError
from datasets.packaged_modules.csv.csv import Csv
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from huggingface_hub import DatasetCard, snapshot_download

from squared_emd.data.csv_files import read_csv_files
from squared_emd.data.media_folders import SPLIT_NAMES, SPLITS, MediaFolder, name_few, scan_folder, split_of

__all__ = ["Rows", "read_rows"]

logger = logging.getLogger(__name__)

BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


class Rows(NamedTuple):
    """The rows of all splits, one split after the other; `split_ends` says where in the source each split ends.

    Paths in a file are relative to `folder`.
    """

    dataset: Dataset
    split_names: tuple[str, ...]
    split_ends: tuple[int, ...]
    source: str | os.PathLike
    folder: Path

    def place(self, i: int) -> str:
        """The place of a row, for messages."""
        part = int(np.searchsorted(self.split_ends, i, side="right"))
        start = self.split_ends[part - 1] if part else 0
        return f"{self.source}, split {self.split_names[part]}, row {i - start}"

    def splits(self) -> np.ndarray:
        """The split of each row, (N,), as the source calls it."""
        return np.repeat(self.split_names, np.diff((0, *self.split_ends)))


def read_rows(
    source: str | os.PathLike,
    noun: str,
    folder_builder: type[FolderBasedBuilder] | None = None,
    names: Collection[str] = (),
    classes: Collection[str] = (),
) -> Rows:
    """Reads a folder of classes, a file, a folder that `load_from_disk` or `load_dataset` reads, or a Hub dataset.

    Args:
        source: A folder `<class>/<file>`, `<split>/<class>/<file>` or `<class>/<split>/<file>`, if there is a
            `folder_builder`; a .csv, .tsv, .json, .jsonl or .parquet file; any other folder; or a name.
        noun: What the dataset holds, for messages: "images".
        folder_builder: The builder of `datasets` whose files may lie in folders of classes.
        names: See `squared_emd.data.csv_files.read_csv_files`.
        classes: The names of the classes, if the user gave them.

    Returns:
        The rows. Those of a folder of classes have the path of the file and `label`.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: It cannot be read, has no rows, or its splits have other names than `split_of` knows.
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
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path} is neither a regular file nor a folder. {supported}.")
    if not path.exists() and (name.endswith(tuple(BUILDERS)) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)):
        raise FileNotFoundError(f"There is no {path}. {supported}.")
    try:
        parts = _load(path, name, folder_builder, names, classes)
    except (OSError, ValueError, DatasetsError) as error:
        kind = FileNotFoundError if isinstance(error, OSError) else ValueError
        reason = error.__cause__ if isinstance(error, DatasetGenerationError) else error  # The cause has the message.
        raise kind(f"{source} cannot be loaded as a dataset: {reason}. {supported}.") from error
    if len(parts) > 1 and not all(map(split_of, parts)):
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


def _load(
    path: Path,
    name: str,
    builder: type[FolderBasedBuilder] | None,
    names: Collection[str],
    classes: Collection[str],
) -> DatasetDict:
    """A file, a folder, or what `load_dataset` makes of a name; `train` if it has no splits."""
    if path.is_file():
        return _load_file(name, names)
    if not path.is_dir():
        found = load_dataset_builder(name)
        if not (builder and isinstance(found, FolderBasedBuilder)):
            return _load_data_files(name, found, names)
        path = Path(snapshot_download(name, repo_type="dataset"))  # As the same folder on disk.
    return _load_folder(path, builder, names, classes)


def _load_file(file: str, names: Collection[str]) -> DatasetDict:
    kind = BUILDERS[os.path.splitext(file)[1].lower()]
    return (
        read_csv_files({"train": [file]}, names) if kind == "csv" else load_dataset(kind, data_files=glob.escape(file))
    )


def _load_data_files(name: str, builder: DatasetBuilder, names: Collection[str]) -> DatasetDict:
    """What `load_dataset` makes of a name, with its CSV files read as others are here."""
    if isinstance(builder, Csv):
        return read_csv_files(DownloadManager().download_and_extract(builder.config.data_files), names)
    return load_dataset(name)


def _load_folder(
    root: Path, builder: type[FolderBasedBuilder] | None, names: Collection[str], classes: Collection[str]
) -> DatasetDict:
    """A saved dataset, files in folders of classes, files listed in metadata, or what `load_dataset` finds."""
    if any((root / file).is_file() for file in ("dataset_dict.json", "state.json")):
        saved = load_from_disk(str(root))
        return saved if isinstance(saved, DatasetDict) else DatasetDict(train=saved)
    is_configured = _has_own_configuration(root)
    folder = scan_folder(root, _endings(builder) if builder else ())
    if folder.files and not is_configured:
        metadata = [file for file in folder.others if os.path.basename(file) in builder.METADATA_FILENAMES]
        if metadata:
            return _load_metadata(folder, metadata, builder.BASE_COLUMN_NAME, names)
        noun = {"image": "images", "audio": "sounds"}[builder.BASE_COLUMN_NAME]
        rows = folder.rows(noun, classes)
        if rows is not None:
            kinds = Features({builder.BASE_COLUMN_NAME: Value("string"), "label": Value("string")})
            return DatasetDict(
                {split: Dataset.from_dict(dict(zip(kinds, part, strict=True)), kinds) for split, part in rows.items()}
            )
    found = load_dataset_builder(str(root))
    read = {str(file) for part in found.config.data_files.values() for file in part}
    data_files = [file for file in folder.others if os.path.splitext(file)[1].lower() in BUILDERS]
    _warn_about_unread(root, "load_dataset reads others", [f for f in data_files if os.path.join(root, f) not in read])
    return _load_data_files(str(root), found, names)


def _load_metadata(folder: MediaFolder, files: Sequence[str], column: str, names: Collection[str]) -> DatasetDict:
    """The rows of metadata files, whose `file_name` is relative to them, in the split of the folder of each file."""
    csv_files = {file: [os.path.join(folder.root, file)] for file in files if file.endswith(".csv")}
    tables = dict(read_csv_files(csv_files, names)) if csv_files else {}
    tables |= {
        file: _load_file(os.path.join(folder.root, file), names)["train"] for file in files if file not in tables
    }
    parts = []
    for file, table in tables.items():
        if "file_name" not in table.column_names:
            raise ValueError(f"{file} needs a column file_name, it has: {', '.join(table.column_names)}")
        place = os.path.join(folder.root, os.path.dirname(file))
        paths = [name and os.path.normpath(os.path.join(place, name.strip())) for name in table["file_name"]]
        parts.append(table.remove_columns("file_name").add_column(column, paths, feature=Value("string")))
    rows = concatenate_datasets(parts)
    unread = {os.path.join(folder.root, file) for file in folder.files} - set(rows[column])
    _warn_about_unread(folder.root, "no metadata name them", sorted(unread))
    splits = np.array(folder.splits_of([path or os.path.join(folder.root, "none") for path in rows[column]]))
    return DatasetDict({split: rows.select(np.flatnonzero(splits == split)) for split in SPLITS if split in splits})


def _warn_about_unread(root: Path, reason: str, files: Sequence[str]) -> None:
    if files:
        logger.warning("%s: files left out because %s: %d (%s).", root, reason, len(files), name_few(files))


def _has_own_configuration(root: Path) -> bool:
    """Whether the README of a dataset says which files are of which split."""
    card = root / "README.md"
    if not card.is_file():
        return False
    with card.open("rb") as file:
        if file.read(3) != b"---":  # The README of an archive, in any encoding.
            return False
    try:
        return bool(DatasetCard.load(card).data.to_dict().get("configs"))
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(
            f"the YAML at the top of {card} cannot be read: {error}. Repair it, or remove the file"
        ) from error


def _endings(builder: type[FolderBasedBuilder]) -> set[str]:
    """The endings of what can be decoded, in lower case."""
    if builder.BASE_COLUMN_NAME == "audio":
        return {*builder.EXTENSIONS, ".aif", ".aifc", ".oga"}
    return {ending for ending, kind in PIL.Image.registered_extensions().items() if kind in PIL.Image.OPEN}
