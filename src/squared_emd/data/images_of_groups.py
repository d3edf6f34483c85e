"""The faces of Images of Groups: seven age groups, cut out of images of several people."""

import hashlib
import json
import math
import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
import PIL.Image
from datasets import ClassLabel, Dataset, Image, Value

from squared_emd.data.prepared import prepare_once
from squared_emd.data.published_files import (
    AS_PUBLISHED,
    check_name,
    data_folder,
    find_together,
    read_lines,
    read_mat,
    to_dataset,
    usable_rows,
)

__all__ = ["AGE_CODES", "AGE_GROUPS", "FOLDERS", "crop_face", "load_images_of_groups"]

AGE_GROUPS: tuple[str, ...] = ("0-2", "3-7", "8-12", "13-19", "20-36", "37-65", "66-")
"""Names of the age groups, youngest first."""

AGE_CODES: tuple[int, ...] = (1, 5, 10, 16, 28, 51, 75)
"""The same groups as the published files write them."""

FOLDERS: tuple[str, ...] = (
    "Wed2a", "Wed3a", "Wed5a", "Fam2a", "Fam4a", "Fam5a", "Fam8a", "Group2a", "Group4a", "Group5a", "Group8a",
)  # fmt: skip
"""The folders of images; each has a PersonData.txt."""

CROP_SIDE = 5.0
"""Side of a crop, in eye distances: 2 on each side of the eyes, and a margin that a smaller random crop may cut off."""

CROP_BELOW = 0.2
"""How far the middle of a crop lies below the eyes, in eye distances: the chin needs more room than the forehead."""

CROP_SIZE = 256
VERSION = 1  # of the crops: goes up when others come out of the same images
SPLITS = {"train": ("eventrain.mat", "trcoll"), "test": ("eventest.mat", "tecoll")}
FIELDS = ("name", "ageClass", "facePosSize")
FEATURES = {
    "image": Image(),
    "label": ClassLabel(names=list(AGE_GROUPS)),
    "split": Value("string"),
    "picture": Value("string"),
}
LAYOUT = (
    f"Images of Groups is the folders {', '.join(FOLDERS)}, each with its images and PersonData.txt, and "
    "eventrain.mat and eventest.mat beside them or in one folder more"
)
README = """These faces were cut out of the images of Images of Groups by squared_emd.data.images_of_groups, one for
each row of eventrain.mat and eventest.mat. They can be made again from these images.
"""


class _Face(NamedTuple):
    """A face row of a PersonData.txt; `split` follows, and its crop in place of the image."""

    image: str
    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    age_code: float
    place: str
    picture: str
    split: str = ""

    @property
    def label(self) -> int:
        return AGE_CODES.index(self.age_code)


def load_images_of_groups(data_dir: str | os.PathLike, *, skip_bad_images: bool = False) -> Dataset:
    """Gives the faces of the published split of Images of Groups, cut out, those for training first.

    A face of `eventrain.mat` (3,500 rows) or `eventest.mat` (1,050) is the one of PersonData.txt whose point between
    the eyes is nearest, at most half its eye distance (or 2 pixels) away; both must give it the same age. The struct in
    such a file is read as published, 1 x 1 with one array a field, or as 1 x N with one face an element. The faces are
    cut out once into a folder of the user's cache (`crop_face`, 256 x 256 JPEG), and again when an image has changed.

    Source: files and split of Gallagher and Chen 2009, as in Hou et al. 2016, Sec. 4.5.

    Args:
        data_dir: The folder that holds the 11 folders of images and the two .mat files (or one folder with these).
        skip_bad_images: Leaves out, with a warning, faces whose image is absent or cannot be decoded.

    Returns:
        A dataset with `image` (decoded when read), `label` (`ClassLabel`, 0..6), `split` ("train" or "test") and
        `picture`, the name of the image that the face is in: the faces of one image belong on one side of a
        validation split.

    Raises:
        FileNotFoundError: `data_dir`, a PersonData.txt or a .mat file is missing.
        ValueError: A file, a path, a face or an image is not as it should be, or a split has no usable face.
    """
    root = data_folder(data_dir, LAYOUT)
    files = dict(zip(SPLITS, find_together(root, [name for name, _ in SPLITS.values()], LAYOUT), strict=True))
    known = _read_person_data(root)
    faces = [face for split, file in files.items() for face in _read_split(file, split, known)]
    faces = usable_rows(faces, root, "split", SPLITS, skip_bad_images=skip_bad_images)
    settings = {"pictures": "faces of Images of Groups", "version": VERSION, "size": CROP_SIZE}
    settings["made_from"] = _fingerprint(faces, root)
    folder = prepare_once(None, "images_of_groups", settings, README, lambda empty: _cut_out(faces, empty))
    return to_dataset([face._replace(image=str(folder / f"{i:04d}.jpg")) for i, face in enumerate(faces)], FEATURES)


def crop_face(
    image: PIL.Image.Image, left_eye: tuple[float, float], right_eye: tuple[float, float], size: int
) -> PIL.Image.Image:
    """A face upright, `size` x `size` in RGB, from where the left eye and the right eye of the image are (x, y).

    The square is `CROP_SIDE` = 5 eye distances wide and lies so that the eyes land at (0.4, 0.46) and (0.6, 0.46) of
    its side; 227 of 256 pixels in its middle still hold 2 eye distances on each side of the point between the eyes.
    Each pixel is the mean of a grid of bicubic samples, at most one pixel of `image` apart. Beyond its edges, the
    outermost pixels of `image` go on. A pixel's center has whole numbers.

    Source: ours; Hou et al. 2016 do not say how they cut out the faces.

    >>> white = PIL.Image.new("L", (40, 40), 255)
    >>> white.paste(0, (14, 19, 16, 21))  # four pixels about (14.5, 19.5)
    >>> face = crop_face(white, (14.5, 19.5), (24.5, 19.5), size=50)  # 5 times 10 pixels: nothing is resized
    >>> [face.getpixel((x, 22))[0] for x in (18, 19, 20, 21)]  # about 0.4 of 50
    [255, 0, 0, 255]
    """
    left, right = np.array(left_eye, dtype=float), np.array(right_eye, dtype=float)
    across, middle = right - left, (left + right) / 2
    distance = math.hypot(*across)
    if not 0 < distance <= math.hypot(*image.size) or not all((middle > -0.5) & (middle < np.array(image.size) - 0.5)):
        raise ValueError(
            "The eyes must be two points with their middle in the image and no further apart than its corners, got "
            f"{tuple(left_eye)} and {tuple(right_eye)} in {image.width} x {image.height} pixels."
        )
    down = np.array([-across[1], across[0]])  # one eye distance towards the chin
    center = middle + CROP_BELOW * down
    reach = CROP_SIDE / 2 * (abs(across) + abs(down)) + 2  # half the box around the square, and 2 pixels for bicubic
    first, last = np.floor(center - reach).astype(int), np.ceil(center + reach).astype(int)
    x, y = (np.arange(first[k], last[k] + 1).clip(0, image.size[k] - 1) for k in (0, 1))  # repeats the outermost pixels
    part = np.asarray(image.crop((x[0], y[0], x[-1] + 1, y[-1] + 1)).convert("RGB"))
    part = PIL.Image.fromarray(part[y - y[0]][:, x - x[0]])
    samples = math.ceil(CROP_SIDE * distance / size)  # in each pixel of the result, along each side
    start = center - first + 0.5 - (across + down) * CROP_SIDE / 2  # Pillow counts from a corner, not a pixel's center
    right_step, down_step = (way * CROP_SIDE / (samples * size) for way in (across, down))
    affine = (right_step[0], down_step[0], start[0], right_step[1], down_step[1], start[1])
    side = (samples * size, samples * size)
    return part.transform(side, PIL.Image.Transform.AFFINE, affine, PIL.Image.Resampling.BICUBIC).reduce(samples)


def _read_mat(file: Path, key: str) -> list[tuple[str, float, list[float]]]:
    """Name, age and position of each face in a struct of arrays or an array of structs."""
    struct = read_mat(file, [key]).get(key)
    if struct is None or not set(FIELDS) <= set(struct.dtype.names or ()):
        raise ValueError(f"{file} must hold a struct {key} with the fields {', '.join(FIELDS)}. {AS_PUBLISHED}")
    faces = []
    for record in struct.ravel():
        names = ["".join(map(str, np.ravel(cell))) for cell in record["name"].ravel()]
        codes, numbers = record["ageClass"].ravel(), record["facePosSize"].ravel()
        width = len(numbers) // max(len(names), 1)
        fits = len(codes) == len(names) and 3 <= width == len(numbers) / len(names)
        if not fits or not {codes.dtype.kind, numbers.dtype.kind} <= set("fiu"):
            raise ValueError(
                f"{file}: {key} must have a name, a number as ageClass and a row of numbers as facePosSize, with x, y "
                f"and eye distance at its end, for each face, got {len(names)} names, {len(codes)} ages and "
                f"facePosSize of shape {record['facePosSize'].shape}. {AS_PUBLISHED}"
            )
        positions = numbers.astype(float).reshape(len(names), width).tolist()  # float32 as published
        faces += zip(names, codes.tolist(), positions, strict=True)
    return faces


def _read_person_data(root: Path) -> dict[str, list[_Face]]:
    """Image name -> its faces. A name that stands in several folders has the faces of all of them."""
    missing = [name for name in FOLDERS if not (root / name / "PersonData.txt").is_file()]
    if missing:
        raise FileNotFoundError(f"There is no PersonData.txt in {', '.join(missing)} in {root}. {LAYOUT}.")
    faces = defaultdict(list)
    for folder in FOLDERS:
        image = None
        for place, line in read_lines(root / folder / "PersonData.txt"):
            fields = line.split()
            numbers = _numbers(fields)
            if len(fields) == 1 and not numbers:
                image = check_name(fields[0], place)
            elif len(numbers) == 6 and image is not None:
                path = str(root / folder / image)
                face = _Face(path, tuple(numbers[:2]), tuple(numbers[2:4]), numbers[4], place, image)
                faces[image].append(face)
            else:
                raise ValueError(
                    f"{place}: the name of an image is required, or after one six numbers (left eye x y, right eye "
                    f"x y, age, gender), got {line.strip()[:200]!r}. {AS_PUBLISHED}"
                )
    return faces


def _numbers(fields: list[str]) -> list[float]:
    """The fields as finite numbers, or nothing where one is none."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []


def _read_split(file: Path, split: str, known: dict[str, list[_Face]]) -> list[_Face]:
    """The faces of a .mat file, each the nearest one of PersonData.txt."""
    faces = []
    for number, (text, age_code, position) in enumerate(_read_mat(file, SPLITS[split][1]), start=1):
        place = f"{file}, face {number}"
        name = check_name(PureWindowsPath(text).name, place)
        if age_code not in AGE_CODES:
            raise ValueError(f"{place}: ageClass must be one of {AGE_CODES}, got {age_code}. {AS_PUBLISHED}")
        if name not in known:
            raise ValueError(f"{place}: no PersonData.txt has a face in {name!r}. {AS_PUBLISHED}")
        middle = position[-3:-1]
        distances = {face: math.dist(middle, np.add(face.left_eye, face.right_eye) / 2) for face in known[name]}
        # Where one face has two rows, the one with the same age.
        face, distance = min(distances.items(), key=lambda item: (item[1], item[0].age_code != age_code))
        limit = max(2.0, math.dist(face.left_eye, face.right_eye) / 2)
        if not distance <= limit:  # nor is a distance that is no number
            raise ValueError(
                f"{place}: PersonData.txt must have this face of {name!r}, between whose eyes is "
                f"({middle[0]:.1f}, {middle[1]:.1f}); the nearest ({face.place}) is {distance:.1f} pixels away, more "
                f"than {limit:.1f}. {AS_PUBLISHED}"
            )
        if face.age_code != age_code:
            raise ValueError(
                f"{place}: ageClass must be the age of this face in PersonData.txt ({face.place}), got {age_code} "
                f"and {face.age_code:g}. {AS_PUBLISHED}"
            )
        faces.append(face._replace(split=split))
    return faces


def _fingerprint(faces: list[_Face], root: Path) -> str:
    """Changes with whatever the crops are made from."""
    stats = {path: os.stat(path) for path in {face.image for face in faces}}
    files = {path: [os.path.relpath(path, root), stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()}
    made_from = [[files[face.image], face.left_eye, face.right_eye] for face in faces]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def _cut_out(faces: list[_Face], folder: Path) -> None:
    images = defaultdict(list)
    for index, face in enumerate(faces):
        images[face.image].append((index, face))

    def cut(path: str) -> None:
        # The eyes are given in the pixels as they are stored: no turning by EXIF.
        with PIL.Image.open(path) as opened:
            image = opened.convert("RGB")
        for index, face in images[path]:
            try:
                crop = crop_face(image, face.left_eye, face.right_eye, CROP_SIZE)
            except ValueError as error:
                raise ValueError(f"{face.place}: {error} {AS_PUBLISHED}") from None
            crop.save(folder / f"{index:04d}.jpg", quality=95, subsampling=0)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(cut, images))  # raises what one of them raised
