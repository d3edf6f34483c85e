"""The Adience faces: eight age groups in five folds of disjoint users."""

import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from datasets import ClassLabel, Dataset, Image, Value

from squared_emd.data.published_files import (
    AS_PUBLISHED,
    check_name,
    data_folder,
    find_together,
    read_lines,
    to_dataset,
    usable_rows,
)

__all__ = ["AGE_BOUNDS", "AGE_GROUPS", "load_adience"]

AGE_GROUPS: tuple[str, ...] = ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-")
"""Names of the age groups as Hou et al. 2016 write them, youngest first."""

AGE_BOUNDS: tuple[tuple[int, int], ...] = (
    (0, 2), (4, 6), (8, 12), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100),
)  # fmt: skip
"""The same groups as the published files write them: "(8, 12)" is the paper's 8-13."""

NUM_FOLDS = 5
FOLD_FILE_COLUMNS = ("user_id", "original_image", "face_id", "age")
FEATURES = {
    "image": Image(),
    "label": ClassLabel(names=list(AGE_GROUPS)),
    "user_id": Value("string"),
    "fold": Value("int32"),
}
PREFIXES = {"aligned": "landmark_aligned_face", "faces": "coarse_tilt_aligned_face"}
LAYOUT = (
    "Adience is fold_0_data.txt .. fold_4_data.txt beside the image folder or in one folder below, and the images "
    "in aligned/<user_id>/landmark_aligned_face.<face_id>.<original_image> or "
    "faces/<user_id>/coarse_tilt_aligned_face.<face_id>.<original_image>"
)


class _Row(NamedTuple):
    image: str
    label: int
    user_id: str
    fold: int
    place: str


def load_adience(
    data_dir: str | os.PathLike,
    *,
    odd_labels: Literal["drop", "map"] = "drop",
    skip_bad_images: bool = False,
) -> Dataset:
    """Gives the faces of Adience that have an age group, in the order of the fold files.

    The published files hold 19,487 rows, of which 17,424 have one of the eight labels. 114 of the (user, face, image)
    keys stand in two rows: like the standard protocol this keeps every row; the copies have the same user, so they
    never stand on both sides of a fold. Every image in use is decoded once, so that a damaged one is found here and not
    after hours of training.

    Source: files of Eidinger et al. 2014, protocol of Levi and Hassner 2015, as in Hou et al. 2016, Sec. 4.4.

    Args:
        data_dir: The folder that holds `aligned/`, which goes first, or `faces/`, and the fold files or one folder with
            these.
        odd_labels: `drop` leaves out every label that is none of the eight (the standard protocol);
            `map` puts an age into the group that contains it or has the nearest bound, and a misspelled pair into the
            group of both its ages, and drops what is as near to two groups: 13 goes to 8-13, (27, 32) to 25-32, and
            35 and (38, 48) are dropped.
        skip_bad_images: Leaves out, with a warning, images that are absent or cannot be decoded.

    Returns:
        A dataset with `image` (decoded when read), `label` (`ClassLabel`, 0..7), `user_id` (string) and `fold` (0..4).

    Raises:
        FileNotFoundError: `data_dir`, a fold file or the image folder is missing.
        ValueError: An option, a fold file, a path or an image is not as it should be, or a fold has no usable row.
    """
    if odd_labels not in ("drop", "map"):
        raise ValueError(f'odd_labels must be "drop" or "map", got {odd_labels!r}.')
    root = data_folder(data_dir, LAYOUT)
    fold_files = find_together(root, [f"fold_{fold}_data.txt" for fold in range(NUM_FOLDS)], LAYOUT)
    folder = next((root / name for name in PREFIXES if (root / name).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"The images must lie in {' or '.join(PREFIXES)} in {root}. {LAYOUT}.")
    rows = [row for fold, file in enumerate(fold_files) for row in _read_fold(file, fold, folder, odd_labels)]
    rows = usable_rows(rows, root, "fold", range(NUM_FOLDS), skip_bad_images=skip_bad_images)
    return to_dataset(rows, FEATURES)


def _read_fold(file: Path, fold: int, folder: Path, odd_labels: str) -> list[_Row]:
    lines = read_lines(file)
    header = [name.strip() for name in next(lines, ("", ""))[1].split("\t")]
    missing = [name for name in FOLD_FILE_COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"{file}: the first line must name the tab-separated columns {', '.join(FOLD_FILE_COLUMNS)}; "
            f"it lacks {', '.join(missing)}, got {' '.join(header)[:200]!r}. {AS_PUBLISHED}"
        )
    rows = []
    for place, line in lines:
        fields = line.split("\t")
        if len(fields) < len(header):
            raise ValueError(f"{place}: {len(header)} tab-separated fields are required, got {len(fields)}.")
        row = dict(zip(header, fields, strict=False))
        user, image, face = (row[name].strip() for name in FOLD_FILE_COLUMNS[:3])
        for name, text in (("user_id", user), ("original_image", image), ("face_id", face)):
            check_name(text, place, name)
        label = _label(row["age"].strip(), odd_labels, place)
        if label is not None:
            path = folder / user / f"{PREFIXES[folder.name]}.{face}.{image}"
            rows.append(_Row(str(path), label, user, fold, place))
    return rows


def _label(text: str, odd_labels: str, place: str) -> int | None:
    if text == "None":
        return None
    if not re.fullmatch(r"\d{1,3}|\(\d{1,3}, ?\d{1,3}\)", text, re.ASCII):
        raise ValueError(
            f'{place}: age must be a pair such as "(25, 32)", one whole number or "None", got {text!r}. {AS_PUBLISHED}'
        )
    ages = tuple(int(age) for age in re.findall(r"\d+", text))
    if ages in AGE_BOUNDS:
        return AGE_BOUNDS.index(ages)
    if odd_labels == "drop":
        return None
    groups = {_nearest_group(age) for age in ages}
    return groups.pop() if len(groups) == 1 else None


def _nearest_group(age: int) -> int | None:
    distances = [max(low - age, age - high, 0) for low, high in AGE_BOUNDS]
    nearest = min(distances)
    return distances.index(nearest) if distances.count(nearest) == 1 else None
