"""The Aesthetics with Attributes Database (AADB): photographs with a real-valued score."""

import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, Features, Image, Value
from scipy.io import loadmat

from squared_emd.data.images import bad_images

__all__ = ["load_aadb"]

logger = logging.getLogger(__name__)

INFO = "AADBinfo.mat"
LISTS = {
    "train": "imgListTrainRegression_score.txt",
    "validation": "imgListValidationRegression_score.txt",
    "test": "imgListTestNewRegression_score.txt",
}
"""The lists of names and scores. The older `imgListTestRegression_score.txt` holds pictures that are no photographs."""

PICTURES = {"train": "datasetImages_originalSize", "test": "AADB_newtest_originalSize"}
NEEDED = ("train", "test")
LAYOUT = (
    f"AADB is {INFO} or the three lists {', '.join(LISTS.values())}, and the folders "
    f"{' and '.join(PICTURES.values())}, each in the data folder or in one folder below"
)


class _Row(NamedTuple):
    name: str
    score: float
    split: str
    place: str


def load_aadb(
    data_dir: str | os.PathLike,
    *,
    skip_bad_images: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Gives the photographs of AADB with their scores, in the order of the published lists.

    `AADBinfo.mat` has 8,458 photographs to train and 1,000 to test on, and is read where it exists; the text lists,
    read where it does not, have validation rows besides. A picture is looked for by its name, and then with a score
    such as `0.650_` before the name, first in the folder of its split and then in the other one. Every picture in use
    is decoded once (`bad_images`), so that a damaged one is found here and not after hours of training. A picture
    that is both to be tested on and in another list stays, with a warning.

    Source: files of Kong et al. 2016 (arXiv:1606.01621), as in Hou et al. 2016, Sec. 4.6.

    Args:
        data_dir: The folder that holds the lists and the pictures, or folders with them.
        skip_bad_images: Leaves out, with a warning, pictures that are absent or cannot be decoded.
        progress: Called as `progress(done, total)` after each picture that was checked.

    Returns:
        A dataset with `image` (decoded when read), `score` (float64, 0..1) and `split` (`train`, `validation` or
        `test`).

    Raises:
        FileNotFoundError: `data_dir`, the lists or the folders of pictures are missing.
        ValueError: A list, a name, a score or a picture is not as it should be, or a split has no usable row.
    """
    root = Path(os.path.abspath(data_dir))
    if not root.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder, {root} is not one. {LAYOUT}.")
    files = _find_lists(root)
    rows = _read_info(files[0]) if files[0].name == INFO else _read_lists(files)
    _check_splits(rows, "no row", "take the files as they were published")
    paths = _find_pictures(root, rows)
    _check_inside(rows, paths, root)
    tested = {row.name for row in rows if row.split == "test"}
    both = len({row.name for row in rows if row.split != "test"} & tested)
    if both:
        logger.warning("%d of %d pictures to test on are also in another list of AADB.", both, len(tested))
    bad = bad_images(paths, progress)
    if bad:
        few = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:5])
        count = f"{len(bad)} of {len(set(paths))} pictures in {root} are absent or cannot be decoded"
        if not skip_bad_images:
            raise ValueError(
                f"{count}, the first: {few}. Unpack the archives again, or leave them out with --skip_bad_images "
                "(skip_bad_images=True)."
            )
        logger.warning("%s and are left out, the first: %s.", count, few)
        rows = [row for row, path in zip(rows, paths, strict=True) if path not in bad]
        paths = [path for path in paths if path not in bad]
        _check_splits(rows, "no picture that can be decoded", "unpack the archives again")
    columns = {"image": paths, "score": [row.score for row in rows], "split": [row.split for row in rows]}
    kinds = {"image": Image(), "score": Value("float64"), "split": Value("string")}
    return Dataset.from_dict(columns, features=Features(kinds))


def _searched(root: Path) -> list[Path]:
    return [root, *sorted(path for path in root.iterdir() if path.is_dir())]


def _find_lists(root: Path) -> list[Path]:
    """`AADBinfo.mat`, or the three text lists in the order of `LISTS`."""
    for names in ([INFO], list(LISTS.values())):
        found = {folder: [name for name in names if (folder / name).is_file()] for folder in _searched(root)}
        complete = [folder for folder in found if len(found[folder]) == len(names)]
        if complete and complete[0] != root and len(complete) > 1:
            raise ValueError(
                f"One folder must hold {', '.join(names)}, got {', '.join(map(str, complete))}. Keep one of them."
            )
        if complete:
            return [complete[0] / name for name in names]
    if not any(found.values()):
        few = ", ".join(sorted(path.name for path in root.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(f"No list of AADB in {root} or a folder in it, which holds: {few}. {LAYOUT}.")
    best = max(found, key=lambda folder: len(found[folder]))
    missing = ", ".join(name for name in LISTS.values() if name not in found[best])
    raise FileNotFoundError(
        f"Without {INFO} all {len(LISTS)} lists must lie in one folder, {best} lacks {missing}. "
        f"Searched: {', '.join(map(str, found))}."
    )


def _read_info(file: Path) -> list[_Row]:
    wanted = [f"{split}{kind}" for split in NEEDED for kind in ("NameList", "Score")]
    try:
        info = loadmat(file, variable_names=wanted)
    except Exception as error:  # SciPy lets through whatever its parser stumbles over
        raise ValueError(f"{file} cannot be read as a MATLAB file ({error}). Take it as it was published.") from error
    missing = [name for name in wanted if name not in info]
    if missing:
        raise ValueError(
            f"{file} must hold {', '.join(wanted)}; it lacks {', '.join(missing)}. Take it as it was published."
        )
    rows = []
    for split in NEEDED:
        names, scores = info[f"{split}NameList"], info[f"{split}Score"]
        if names.dtype.kind != "O" or scores.dtype.kind not in "fiu" or names.size != scores.size:
            raise ValueError(
                f"{file}: {split}NameList must be a cell array of names and {split}Score as many numbers, got "
                f"{names.size} of type {names.dtype} and {scores.size} of type {scores.dtype}. "
                "Take it as it was published."
            )
        for number, (cell, score) in enumerate(zip(names.flat, scores.flat, strict=True), start=1):
            name = str(cell.flat[0]) if getattr(cell, "size", 0) == 1 and cell.dtype.kind == "U" else ""
            rows.append(_row(name, float(score), split, f"{file}, {split}NameList({number})"))
    return rows


def _read_lists(files: list[Path]) -> list[_Row]:
    rows = []
    for split, file in zip(LISTS, files, strict=True):
        lines = file.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{file}, line {number}"
            fields = line.rsplit(maxsplit=1)
            try:
                name, score = fields[0].strip(), float(fields[1])
            except (IndexError, ValueError):
                raise ValueError(
                    f"{place}: a file name and a score are required, got {line.strip()[:200]!r}. "
                    "Take the files as they were published."
                ) from None
            rows.append(_row(name, score, split, place))
    return rows


def _row(name: str, score: float, split: str, place: str) -> _Row:
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError(f"{place}: a picture must have a plain name inside its folder, got {name!r}.")
    if not 0 <= score <= 1:
        raise ValueError(
            f"{place}: a score must lie between 0 and 1, got {score}. Take the files as they were published."
        )
    return _Row(name, score, split, place)


def _check_splits(rows: list[_Row], lack: str, advice: str) -> None:
    empty = [split for split in NEEDED if split not in {row.split for row in rows}]
    if empty:
        raise ValueError(f"There is {lack} to {' or to '.join(empty)} on; {advice}.")


def _find_pictures(root: Path, rows: list[_Row]) -> list[str]:
    """The path of each row's picture; where there is none, the one where it should be."""
    folders = {
        split: [folder / name for folder in _searched(root) if (folder / name).is_dir()]
        for split, name in PICTURES.items()
    }
    if not any(folders.values()):
        raise FileNotFoundError(
            f"The pictures must lie in {' and '.join(f'{name}/' for name in PICTURES.values())} in {root} or a folder "
            f"in it. {LAYOUT}."
        )
    found = {split: _names_in(paths) for split, paths in folders.items()}
    paths = []
    for row in rows:
        own, other = ("test", "train") if row.split == "test" else ("train", "test")
        fallback = str((folders[own] or [root / PICTURES[own]])[0] / row.name)
        paths.append(found[own].get(row.name) or found[other].get(row.name) or fallback)
    return paths


def _names_in(folders: Iterable[Path]) -> dict[str, str]:
    """From the name of each picture, without a score before it, to its path; a name without one goes first."""
    plain, scored = {}, {}
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            plain.setdefault(name, str(folder / name))
            if re.match(r"\d\.\d{3}_", name, re.ASCII):
                scored.setdefault(name[6:], str(folder / name))
    return scored | plain


def _check_inside(rows: list[_Row], paths: list[str], root: Path) -> None:
    real_root = os.path.realpath(root)
    for row, path in zip(rows, paths, strict=True):
        real = os.path.realpath(path)
        if os.path.commonpath((real_root, real)) != real_root:
            raise ValueError(
                f"{row.place}: a picture must lie inside the data folder {root}, {path} leads to {real}. "
                "Put the pictures themselves there instead of links."
            )
