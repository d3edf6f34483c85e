"""How people's own pictures lie: a folder of folders, a CSV file or a data set of the Hub, read to rows of one kind."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from datasets import Features, Image

from squared_emd.data.imagenet import pictures_in
from squared_emd.data.own_folders import read_folder
from squared_emd.data.own_parts import load_parts, rows_of_parts
from squared_emd.data.own_rows import (
    SPLIT_COLUMN,
    Rows,
    Wanted,
    find_column,
    find_group_column,
    find_label_columns,
    split_of,
)

__all__ = ["SOURCES", "read_source"]

SOURCES = (
    "Own data are a folder of <class>/<picture> or train|validation|val|test/<class>/<picture>, a .csv file with a "
    "column of paths and one of labels (or one of votes for each class), or a data set that load_dataset reads"
)
IMAGE_COLUMNS = ("image", "path", "file_name")


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
    rows = read_folder(path, pictures_in, "pictures") if path.is_dir() else None
    return rows or _read_datasets(source, path, wanted)


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

    image = find_column(header, wanted.inputs, IMAGE_COLUMNS, "image_column", file)
    columns = find_label_columns(header, wanted, file)
    group = find_group_column(header, wanted, file)

    def place(i: int) -> str:
        return f"{file}, line {lines[i]}"

    for i, row in enumerate(table):
        if not row[image]:
            raise ValueError(f"{place(i)}: {image} must be the path of a picture, it is empty.")
    has_splits = SPLIT_COLUMN in header
    soft = len(columns) > 1
    return Rows(
        inputs=[os.path.normpath(file.parent / row[image]) for row in table],
        labels=[[row[name] for name in columns] if soft else row[columns[0]] for row in table],
        splits=[split_of(row[SPLIT_COLUMN], place(i)) if has_splits else "" for i, row in enumerate(table)],
        groups=[row[group] for row in table] if group else None,
        place=place,
        soft=soft,
    )


def _read_datasets(source: str | os.PathLike, path: Path, wanted: Wanted) -> Rows:
    def pictures_of(features: Features, others: Sequence[str]) -> list[str]:
        pictures = [name for name, kind in features.items() if isinstance(kind, Image)]
        if not pictures:
            raise ValueError(f"{source} must have a column of the type Image, its columns are {', '.join(features)}.")
        names = IMAGE_COLUMNS if len(pictures) > 1 else pictures
        return [find_column(pictures, wanted.inputs, names, "image_column", source)]

    rows = rows_of_parts(source, load_parts(source, path, SOURCES), wanted, pictures_of)
    (column,) = rows.inputs.column_names
    return rows._replace(inputs=rows.inputs.rename_columns({column: "image"}))
