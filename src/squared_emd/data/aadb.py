"""The Aesthetics with Attributes Database (AADB): photographs with a real-valued score."""

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, Image, Value

from squared_emd.data.published_files import (
    AS_PUBLISHED,
    check_name,
    data_folder,
    find_together,
    folders_to_search,
    read_lines,
    read_mat,
    to_dataset,
    usable_rows,
)

__all__ = ["load_aadb"]

logger = logging.getLogger(__name__)

INFO = "AADBinfo.mat"
LISTS = {
    "train": "imgListTrainRegression_score.txt",
    "validation": "imgListValidationRegression_score.txt",
    "test": "imgListTestNewRegression_score.txt",
}
"""The lists of names and scores. The older `imgListTestRegression_score.txt` holds images that are no photographs."""

IMAGE_FOLDERS = {"train": "datasetImages_originalSize", "test": "AADB_newtest_originalSize"}
LAYOUT = (
    f"AADB is {INFO} or the three lists {', '.join(LISTS.values())}, and the folders "
    f"{' and '.join(IMAGE_FOLDERS.values())}, each in the data folder or in one folder below"
)


class _Row(NamedTuple):
    name: str
    score: float
    split: str
    place: str
    image: str = ""


def load_aadb(data_dir: str | os.PathLike, *, skip_bad_images: bool = False) -> Dataset:
    """Gives the photographs of AADB with their scores, in the order of the published lists.

    `AADBinfo.mat` has 8,458 photographs to train and 1,000 to test on, and is read where it exists; the text lists,
    read where it does not, have validation rows besides. An image is looked for by its name, and then with a score
    such as `0.650_` before the name, first in the folder of its split and then in the other one. Every image in use
    is decoded once, so that a damaged one is found here and not after hours of training. An image
    that is both to be tested on and in another list stays, with a warning.

    Source: files of Kong et al. 2016 (arXiv:1606.01621), as in Hou et al. 2016, Sec. 4.6.

    Args:
        data_dir: The folder that holds the lists and the images, or folders with them.
        skip_bad_images: Leaves out, with a warning, images that are absent or cannot be decoded.

    Returns:
        A dataset with `image` (decoded when read), `score` (float64, 0..1) and `split` (`train`, `validation` or
        `test`).

    Raises:
        FileNotFoundError: `data_dir`, the lists or the folders of images are missing.
        ValueError: A list, a name, a score or an image is not as it should be, or a split has no usable row.
    """
    root = data_folder(data_dir, LAYOUT)
    if any((folder / INFO).is_file() for folder in folders_to_search(root)):
        rows = _read_info(*find_together(root, [INFO], LAYOUT))
    else:
        rows = _read_lists(find_together(root, list(LISTS.values()), LAYOUT))
    rows = usable_rows(_find_images(root, rows), root, "split", IMAGE_FOLDERS, skip_bad_images=skip_bad_images)
    tested = {row.name for row in rows if row.split == "test"}
    both = len({row.name for row in rows if row.split != "test"} & tested)
    if both:
        logger.warning("%d of %d images to test on are also in another list of AADB.", both, len(tested))
    return to_dataset(rows, {"image": Image(), "score": Value("float64"), "split": Value("string")})


def _read_info(file: Path) -> list[_Row]:
    wanted = [f"{split}{kind}" for split in IMAGE_FOLDERS for kind in ("NameList", "Score")]
    info = read_mat(file, wanted)
    missing = [name for name in wanted if name not in info]
    if missing:
        raise ValueError(f"{file} must hold {', '.join(wanted)}; it lacks {', '.join(missing)}. {AS_PUBLISHED}")
    rows = []
    for split in IMAGE_FOLDERS:
        names, scores = info[f"{split}NameList"], info[f"{split}Score"]
        if names.dtype.kind != "O" or scores.dtype.kind not in "fiu" or names.size != scores.size:
            raise ValueError(
                f"{file}: {split}NameList must be a cell array of names and {split}Score as many numbers, got "
                f"{names.size} of type {names.dtype} and {scores.size} of type {scores.dtype}. {AS_PUBLISHED}"
            )
        for number, (cell, score) in enumerate(zip(names.flat, scores.flat, strict=True), start=1):
            name = str(cell.flat[0]) if getattr(cell, "size", 0) == 1 and cell.dtype.kind == "U" else ""
            rows.append(_row(name, float(score), split, f"{file}, {split}NameList({number})"))
    return rows


def _read_lists(files: list[Path]) -> list[_Row]:
    rows = []
    for split, file in zip(LISTS, files, strict=True):
        for place, line in read_lines(file):
            fields = line.rsplit(maxsplit=1)
            try:
                name, score = fields[0].strip(), float(fields[1])
            except (IndexError, ValueError):
                raise ValueError(
                    f"{place}: a file name and a score are required, got {line.strip()[:200]!r}. {AS_PUBLISHED}"
                ) from None
            rows.append(_row(name, score, split, place))
    return rows


def _row(name: str, score: float, split: str, place: str) -> _Row:
    if not 0 <= score <= 1:
        raise ValueError(f"{place}: a score must lie between 0 and 1, got {score}. {AS_PUBLISHED}")
    return _Row(check_name(name, place), score, split, place)


def _find_images(root: Path, rows: list[_Row]) -> list[_Row]:
    """The rows with the path of the image of each; where there is none, the one where it should be."""
    folders = {
        split: [folder / name for folder in folders_to_search(root) if (folder / name).is_dir()]
        for split, name in IMAGE_FOLDERS.items()
    }
    if not any(folders.values()):
        wanted = " and ".join(f"{name}/" for name in IMAGE_FOLDERS.values())
        raise FileNotFoundError(f"The images must lie in {wanted} in {root} or a folder in it. {LAYOUT}.")
    names = {split: _names_in(paths) for split, paths in folders.items()}

    def image_of(row: _Row) -> str:
        own, other = ("test", "train") if row.split == "test" else ("train", "test")
        expected = (folders[own] or [root / IMAGE_FOLDERS[own]])[0] / row.name
        return names[own].get(row.name) or names[other].get(row.name) or str(expected)

    return [row._replace(image=image_of(row)) for row in rows]


def _names_in(folders: Iterable[Path]) -> dict[str, str]:
    """From the name of each image, without a score before it, to its path; a name without one goes first."""
    plain, scored = {}, {}
    for folder in folders:
        for name in sorted(os.listdir(folder)):
            plain.setdefault(name, str(folder / name))
            if re.match(r"\d\.\d{3}_", name, re.ASCII):
                scored.setdefault(name[6:], str(folder / name))
    return scored | plain
