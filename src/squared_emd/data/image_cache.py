"""Images stored once, no larger than training needs them, so that each epoch reads and decodes less."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

from datasets import Dataset, Image
from PIL.Image import Resampling

from squared_emd.data.prepared import cache_folder
from squared_emd.vision.images import decode_image, open_image

__all__ = ["small_images"]

VERSION = 1
"""Goes up when the same arguments give other images."""

FEW = 5
BATCH = 256


def small_images(
    dataset: Dataset,
    shorter_side: int,
    *,
    quality: int | None = None,
    image_column: str = "image",
    cache_dir: str | os.PathLike | None = None,
) -> Dataset:
    """Gives the same dataset with small images in it, which are made once and kept in a file.

    An image whose shorter side has more than `shorter_side` pixels is reduced to that by averaging, as
    `TrainTransform` does it each time anew; its longer side is rounded to whole pixels. Stored are the pixels, with
    nothing lost and nothing to decode: 200 KB for 256 x 256. With `quality` they are JPEG files, in a sixth of the
    space, and what needs no reduction stays the file it is. The views of a transform whose own `shorter_side` is no
    larger show the same places, in the same distribution.

    The file is an Arrow file of `datasets`, named by a fingerprint of the dataset, the size and time of the files it
    names, `shorter_side` and `quality`: what changes makes a new one. It gets its name when it is whole, so that an
    interrupted call leaves nothing that would be taken for it. Of several processes, let one be first
    (`TrainingArguments.main_process_first`); processes that make the same file at once do not harm each other.

    Args:
        dataset: with a column of images (`datasets.Image`). A format or transform of its own does not stay.
        shorter_side: in pixels. `shorter_side` of a transform says how many it uses.
        quality: of JPEG, 1 to 100, in place of the pixels as they are.
        image_column: name of the column of images.
        cache_dir: where the file lies. Default: `small_images` below `$XDG_CACHE_HOME/squared-emd` (or
            `~/.cache/squared-emd`). Nothing is ever deleted there; the folder may be, when no run uses it.

    Returns:
        The dataset: the same rows and columns, the images upright and in RGB (but for files that stay as they are).

    Raises:
        ValueError: `shorter_side` or `quality` is out of its range, there is no such column of images, or images
            cannot be decoded: the first are named.
        FileNotFoundError: the file of an image is not there.

    >>> import PIL.Image, tempfile
    >>> from datasets import Features
    >>> wide = Dataset.from_dict({"image": [PIL.Image.new("RGB", (80, 40))]}, features=Features(image=Image()))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     small_images(wide, 16, cache_dir=folder)[0]["image"].size
    (32, 16)
    """
    if shorter_side < 1:
        raise ValueError(f"shorter_side must be at least 1 pixel, got {shorter_side}.")
    if quality is not None and not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, or None for no JPEG, got {quality}.")
    if not isinstance(dataset.features.get(image_column), Image):
        columns = ", ".join(name for name, kind in dataset.features.items() if isinstance(kind, Image)) or "none"
        raise ValueError(
            f"image_column must name a column of the type Image, got {image_column!r}; the dataset has: {columns}."
        )
    features = dataset.features
    undecoded = dataset.with_format(None).cast_column(image_column, Image(decode=False))
    key = _key(undecoded, [VERSION, dataset._fingerprint, shorter_side, quality, image_column])
    folder = Path(cache_folder("small_images") if cache_dir is None else os.path.abspath(cache_dir))
    folder.mkdir(parents=True, exist_ok=True)
    bad: dict[int, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and encoding let other threads run

        def store(batch: dict[str, list], rows: Sequence[int]) -> dict[str, list]:
            made = list(pool.map(partial(_stored, shorter_side, quality), batch[image_column]))
            bad.update((row, error) for row, error in zip(rows, made, strict=True) if isinstance(error, str))
            if bad and rows[-1] == len(undecoded) - 1:
                few = "; ".join(f"row {row}: {reason}" for row, reason in list(bad.items())[:FEW])
                raise ValueError(f"{len(bad)} of {len(undecoded)} images cannot be stored, the first: {few}")
            return batch | {image_column: [None if isinstance(image, str) else image for image in made]}

        return undecoded.map(
            store,
            with_indices=True,
            batched=True,
            batch_size=BATCH,
            writer_batch_size=BATCH,
            features=features,
            cache_file_name=str(folder / f"{key}.arrow"),
            load_from_cache_file=True,
            new_fingerprint=key,
            desc=f"Storing images with a shorter side of {shorter_side}",
        )


def _key(undecoded: Dataset, settings: list) -> str:
    """A digest of all that the stored images depend on; the last setting is the column."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    column = undecoded.select_columns([settings[-1]])  # no other column is read or decoded
    for start in range(0, len(column), BATCH):
        for encoded in column[start : start + BATCH][settings[-1]]:
            if encoded is not None and encoded["bytes"] is None and not _is_remote(encoded):
                file = os.stat(encoded["path"])
                digest.update(f"{file.st_size} {file.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _stored(shorter_side: int, quality: int | None, encoded: dict[str, Any] | None) -> dict[str, Any] | str:
    """The image as it is stored, or what is wrong with it."""
    if encoded is None:
        return "there is no image. Leave the row out."
    try:
        with open_image(encoded) as opened:
            is_small = min(opened.size) <= shorter_side
        image, box = decode_image(encoded, shorter_side)
    except ValueError as error:
        return str(error)
    if is_small and quality is not None and not _is_remote(encoded):
        return encoded | {"bytes": encoded["bytes"] or Path(encoded["path"]).read_bytes()}
    width, height = box[2] - box[0], box[3] - box[1]
    shrink = min(shorter_side / min(width, height), 1)
    small = image.resize((round(width * shrink), round(height * shrink)), Resampling.BILINEAR, box=box)
    file = BytesIO()
    if quality is None:
        small.save(file, "PPM")
    else:
        small.save(file, "JPEG", quality=quality, subsampling=0)  # with all of the color's pixels
    return encoded | {"bytes": file.getvalue()}


def _is_remote(encoded: dict[str, Any]) -> bool:
    return encoded["bytes"] is None and "://" in encoded["path"]
