"""What the loaders of published datasets share: where their files lie, and which paths are allowed."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import Dataset, Features
from scipy.io import loadmat, savemat

from squared_emd.data.media_files import check_media

AS_PUBLISHED = "Take the files as they were published."
MAX_NAMED = 5


def data_folder(data_dir: str | os.PathLike, layout: str) -> Path:
    """The absolute path of a folder that exists; `layout` says for the error what it must hold."""
    root = Path(os.path.abspath(data_dir))
    if not root.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder, {root} is not one. {layout}.")
    return root


def folders_to_search(root: Path) -> list[Path]:
    """The folder and its subfolders, sorted."""
    return [root, *sorted(path for path in root.iterdir() if path.is_dir())]


def find_together(root: Path, names: Sequence[str], layout: str) -> list[Path]:
    """The files, which must all lie in the folder, or together in one of its subfolders and in no other."""
    found = {folder: [name for name in names if (folder / name).is_file()] for folder in folders_to_search(root)}
    complete = [folder for folder in found if len(found[folder]) == len(names)]
    if not complete:
        best = max(found, key=lambda folder: len(found[folder]))
        missing = ", ".join(name for name in names if name not in found[best])
        holds = ", ".join(sorted(path.name for path in best.iterdir())[:MAX_NAMED]) or "nothing"
        raise FileNotFoundError(
            f"{root} or one folder in it must hold {', '.join(names)}; {best} lacks {missing}, it holds: {holds}. "
            f"{layout}."
        )
    if complete[0] != root and len(complete) > 1:
        raise ValueError(
            f"One folder must hold {', '.join(names)}, got {', '.join(map(str, complete))}. Keep one of them."
        )
    return [complete[0] / name for name in names]


def check_name(name: str, place: str, what: str = "the name of an image") -> str:
    """Returns the name of a file if it has no folders, else raises a ValueError."""
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError(f"{place}: {what} must be a plain name inside the data folder, got {name!r}.")
    return name


def usable_rows(
    rows: Iterable[NamedTuple], root: Path, column: str, parts: Iterable[Any], *, skip_bad_images: bool
) -> list[NamedTuple]:
    """The rows whose `image` can be decoded; all must lie in the data folder, and each of `parts` must have some.

    `place` is where a row is listed; the parts are values of the column, "split" or "fold".
    """
    rows, parts = list(rows), list(parts)

    def check_parts(what: str, advice: str) -> None:
        missing = [str(part) for part in parts if part not in {getattr(row, column) for row in rows}]
        if missing:
            raise ValueError(f"{root} has no {what} of the {column} {', '.join(missing)}. {advice}")

    check_parts("row that can be used", AS_PUBLISHED)
    real_root = os.path.realpath(root)
    for row in rows:
        real = os.path.realpath(row.image)
        if os.path.commonpath((real_root, real)) != real_root:  # As behind a symbolic link.
            raise ValueError(
                f"{row.place}: an image must lie inside the data folder {root}, {row.image} leads to {real}. "
                "Put the images themselves there instead of links."
            )
    images = list(dict.fromkeys(row.image for row in rows))
    advice = "Unpack the archive again"
    found = check_media(images, images, "images", root, skip=skip_bad_images, advice=advice)
    bad = {image for image, reason in zip(images, found, strict=True) if isinstance(reason, str)}
    rows = [row for row in rows if row.image not in bad]
    check_parts("image that can be decoded", f"{advice}.")
    return rows


def to_dataset(rows: Sequence[NamedTuple], features: Mapping[str, Any]) -> Dataset:
    """The fields of rows that `features` names, as columns."""
    columns = {name: [getattr(row, name) for row in rows] for name in features}
    return Dataset.from_dict(columns, features=Features(features))


def read_lines(file: Path) -> Iterator[tuple[str, str]]:
    """The lines of a text that are not blank, each after its place, which errors name."""
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="replace").split("\n"), start=1):
        if line.strip():
            yield f"{file}, line {number}", line


def read_mat(file: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of the named variables that a MATLAB file holds."""
    try:
        return loadmat(file, variable_names=names)
    except Exception as error:  # what SciPy raises for a damaged file has no class of its own
        raise ValueError(
            f"{file} must be a MATLAB file of version 5 to 7.2, SciPy says: {error}. {AS_PUBLISHED}"
        ) from error


def write_mat(file: Path, variables: dict[str, Any], title: str) -> None:
    """Writes a MATLAB file; the same variables and title give the same bytes."""
    with io.BytesIO() as written:
        savemat(written, variables)
        data = written.getvalue()
    # The first 116 bytes are free text, where SciPy writes the time.
    file.write_bytes(f"MATLAB 5.0 MAT-file, {title}".encode().ljust(116) + data[116:])
