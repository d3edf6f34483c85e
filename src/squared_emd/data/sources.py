"""The user's own datasets as `datasets` reads them: a folder of classes, a file, a saved dataset or one of the Hub."""

import glob
import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import yaml
from datasets import (
    Audio,
    Dataset,
    DatasetBuilder,
    DatasetDict,
    DownloadManager,
    Image,
    Value,
    concatenate_datasets,
    load_dataset,
    load_dataset_builder,
    load_from_disk,
)
from datasets.exceptions import DatasetGenerationError, DatasetsError
from datasets.packaged_modules.audiofolder.audiofolder import AudioFolder
from datasets.packaged_modules.csv.csv import Csv
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from huggingface_hub import DatasetCard, snapshot_download

from squared_emd.data.csv_files import read_csv_files
from squared_emd.data.media_folders import MediaFolder, scan_folder, warn_left_out
from squared_emd.data.splits import SPLIT_NAMES, SPLITS, split_of

logger = logging.getLogger(__name__)

BUILDERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
SOUND_ENDINGS = frozenset((*AudioFolder.EXTENSIONS, ".aif", ".aifc", ".oga"))
# The column that files become, and its type.
MEDIA_COLUMNS = {"images": ("image", Image), "sounds": ("audio", Audio)}


class SourceReader(NamedTuple):
    """Reads folders of classes, files, folders that `load_from_disk` or `load_dataset` reads, and Hub datasets.

    `noun` says what they hold: only images and sounds may lie in folders of classes, of which `classes` may be named as
    splits. In CSV files `text_columns` stay text.
    """

    noun: str
    text_columns: Collection[str] = ()
    classes: Collection[str] = ()

    def read(self, source: str | os.PathLike) -> tuple[DatasetDict, Path]:
        """The rows of each split, and the folder to which paths in a file are relative.

        Those of a folder of classes have the path of the file and `label`.
        """
        path = Path(os.path.abspath(source))
        name = str(path) if path.exists() else str(source)
        folders = "a folder of <class>/<file> or <split>/<class>/<file>, " if self.noun in MEDIA_COLUMNS else ""
        inputs = "columns to learn from" if self.noun == "tables" else f"a column of {self.noun}"
        supported = (
            f"Own {self.noun} are {folders}a {', '.join(BUILDERS)} file with {inputs} and one of labels, a folder that "
            "load_from_disk or load_dataset reads, or a dataset of the Hub"
        )
        if path.is_file() and path.suffix.lower() not in BUILDERS:
            raise ValueError(f"A file must be one of {', '.join(BUILDERS)}, got {path}. {supported}.")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path} is neither a regular file nor a folder. {supported}.")
        if not path.exists() and (name.endswith(tuple(BUILDERS)) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)):
            raise FileNotFoundError(f"There is no {path}. {supported}.")
        try:
            parts = self._load(path, name)
        except (OSError, ValueError, DatasetsError) as error:
            kind = FileNotFoundError if isinstance(error, OSError) else ValueError
            reason = error.__cause__ if isinstance(error, DatasetGenerationError) else error
            where = "" if path.exists() else "there is no such folder, and "
            reason = f"{where}{reason}".rstrip(".")
            raise kind(f"{source} cannot be loaded as a dataset: {reason}. {supported}.") from error
        if len(parts) > 1 and not all(map(split_of, parts)):
            raise ValueError(f"{source}: splits must be named {', '.join(SPLIT_NAMES)}; got {', '.join(parts)}.")
        features = next(iter(parts.values())).features
        for split, part in parts.items():
            if part.features != features:
                raise ValueError(
                    f"{source}: all splits must have the same columns, {split} has others: {part.features}."
                )
        if not any(map(len, parts.values())):
            raise ValueError(f"{source} has no rows. {supported}.")
        return parts, path.parent if path.is_file() else path

    def _load(self, path: Path, name: str) -> DatasetDict:
        """A file, a folder, or what `load_dataset` makes of a name; `train` if it has no splits."""
        if path.is_file():
            return self._load_file(name)
        if path.is_dir():
            return self._load_folder(path)
        found = load_dataset_builder(name)
        if self.noun in MEDIA_COLUMNS and isinstance(found, FolderBasedBuilder):
            return self._load_folder(Path(snapshot_download(name, repo_type="dataset")))  # As the same folder on disk.
        return self._load_data_files(name, found)

    def _load_file(self, file: str) -> DatasetDict:
        kind = BUILDERS[os.path.splitext(file)[1].lower()]
        if kind == "csv":
            return read_csv_files({"train": [file]}, self.text_columns)
        return load_dataset(kind, data_files=glob.escape(file))

    def _load_data_files(self, name: str, builder: DatasetBuilder) -> DatasetDict:
        """What `load_dataset` makes of a name, with its CSV files read as others are here."""
        if not isinstance(builder, Csv):
            return load_dataset(name)
        return read_csv_files(DownloadManager().download_and_extract(builder.config.data_files), self.text_columns)

    def _load_folder(self, root: Path) -> DatasetDict:
        """A saved dataset, files in folders of classes, files listed in metadata, or what `load_dataset` finds."""
        if any((root / file).is_file() for file in ("dataset_dict.json", "state.json")):
            saved = load_from_disk(str(root))
            return saved if isinstance(saved, DatasetDict) else DatasetDict(train=saved)
        is_configured = _has_own_configuration(root)
        folder = scan_folder(root, _endings_of(self.noun))
        if folder.files and not is_configured:
            names = FolderBasedBuilder.METADATA_FILENAMES
            if metadata := [file for file in folder.others if os.path.basename(file) in names]:
                return self._load_metadata(folder, metadata)
            rows = folder.rows(self.noun, self.classes)
            if rows is not None:
                column, _ = MEDIA_COLUMNS[self.noun]
                dataset = Dataset.from_dict({column: rows.paths, "label": rows.labels})
                return _by_split(dataset, rows.splits)
        found = load_dataset_builder(str(root))
        read = {str(file) for part in found.config.data_files.values() for file in part}
        data_files = [file for file in folder.others if os.path.splitext(file)[1].lower() in BUILDERS]
        unread = [file for file in data_files if os.path.join(root, file) not in read]
        warn_left_out(root, "files left out because load_dataset reads others", unread)
        return self._load_data_files(str(root), found)

    def _load_metadata(self, folder: MediaFolder, files: Sequence[str]) -> DatasetDict:
        """The rows of metadata files, whose `file_name` is relative to them; a folder gives its files their split."""
        column, _ = MEDIA_COLUMNS[self.noun]
        csv_files = {file: [os.path.join(folder.root, file)] for file in files if file.endswith(".csv")}
        tables = dict(read_csv_files(csv_files, self.text_columns)) if csv_files else {}
        tables |= {
            file: self._load_file(os.path.join(folder.root, file))["train"] for file in files if file not in tables
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
        warn_left_out(folder.root, "files left out because no metadata name them", sorted(unread))
        return _by_split(rows, folder.splits_of([path or os.path.join(folder.root, "none") for path in rows[column]]))


def _endings_of(noun: str) -> Collection[str]:
    """The endings, in lower case, of the files that can be decoded."""
    if noun == "images":  # Asked at each read: a plugin may have registered further formats.
        return {ending for ending, kind in PIL.Image.registered_extensions().items() if kind in PIL.Image.OPEN}
    return SOUND_ENDINGS if noun == "sounds" else ()


def _by_split(rows: Dataset, splits: Sequence[str]) -> DatasetDict:
    splits = np.array(splits)
    return DatasetDict({split: rows.select(np.flatnonzero(splits == split)) for split in SPLITS if split in splits})


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
