"""A picture as the views take it: opened where it lies, decoded no larger than they need, upright, in RGB."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import datasets
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["SPARE", "Decoded", "Picture", "decode", "open_picture", "place_of"]

Picture = Image.Image | Mapping[str, Any] | str | os.PathLike
"""A PIL image; `{"bytes": ..., "path": ...}`, as `datasets.Image(decode=False)` gives a picture; or a path."""

SPARE = 1.5
"""How many times the pixels that are needed a JPEG's decoder must leave; the rest of the way is averaged exactly."""

_DEEP_MODES = ("I", "F")  # 16 and 32 bit greys: PIL would clip them to white
_ORIENTATION = 0x0112  # the EXIF tag


class Decoded(NamedTuple):
    """A picture in memory.

    Args:
        image: upright, in three channels of 8 bits; what is transparent has become white.
        extent: left, top, right and bottom of what the picture shows, in pixels of `image`. A picture of 817 pixels
            that was decoded at half its size has 409 of which it fills 408.5.
    """

    image: Image.Image
    extent: tuple[float, float, float, float]


def decode(picture: Picture, shorter_side: int) -> Decoded:
    """Gives a picture no smaller than needed.

    A JPEG that is opened here is decoded at a half, a quarter or an eighth of its size, where its shorter side then
    still has `SPARE` times `shorter_side` pixels: its decoder averages on the way, in less time. Other files, and PIL
    images, keep their size. What is then reduced to `shorter_side` differs from a full decode by less than a grey level
    on average in photographs.

    Args:
        picture: a PIL image of any size and mode of 8 bits, which is left as it is; a path; or what
            `datasets.Image(decode=False)` gives.
        shorter_side: that many pixels of it are needed.

    Returns:
        The picture upright and in RGB, and which part of it is filled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or has more than 8 bits a channel; the message names the file.

    >>> decode(Image.new("L", (40, 30), 255), 16).extent
    (0, 0, 40, 30)
    """
    if isinstance(picture, Image.Image):
        return _upright(picture, picture.size)
    with open_picture(picture) as image:
        shown = image.size
        needed = math.ceil(SPARE * shorter_side)
        drafted = image.draft(None, (needed, needed))  # None where the format cannot
        if drafted is not None:
            shown = drafted[1][2:]
        image.load()
        return _upright(image, shown)


@contextmanager
def open_picture(picture: Mapping[str, Any] | str | os.PathLike) -> Iterator[Image.Image]:
    """Opens a picture that is not decoded yet; what goes wrong with it inside names the file.

    Args:
        picture: a path, or what `datasets.Image(decode=False)` gives.

    Yields:
        The PIL image, not loaded unless it had to be fetched.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture, or a damaged one.
    """
    content, path = (picture.get("bytes"), picture.get("path")) if isinstance(picture, Mapping) else (None, picture)
    if content is None and path is None:
        raise ValueError(f"a picture must be a file, bytes or a PIL image, got {picture!r}. Leave the row out.")
    try:
        if content is None and "://" in str(path):  # on the Hub, or in an archive
            image = datasets.Image().decode_example({"bytes": None, "path": path})
        else:
            image = Image.open(path if content is None else BytesIO(content))
        with image:
            yield image
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError, Image.DecompressionBombError) as error:
        reason = "it is not a picture" if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        raise ValueError(
            f"{place_of(picture)} cannot be taken: {reason}. Leave it out, or put a whole picture of 8 bits a channel "
            "there."
        ) from error


def place_of(picture: Picture) -> str:
    """Where a picture lies, for messages.

    Args:
        picture: any.

    >>> place_of({"bytes": b"", "path": "faces/1.jpg"}), place_of(Image.new("L", (1, 1)))
    ('faces/1.jpg', 'a picture without a name')
    """
    path = picture.get("path") if isinstance(picture, Mapping) else picture
    return "a picture without a name" if path is None or isinstance(path, Image.Image) else str(path)


def _upright(image: Image.Image, shown: tuple[float, float]) -> Decoded:
    """The picture upright and in RGB, where `shown` says how much of it is filled, from the left and the top."""
    if image.mode.startswith(_DEEP_MODES):
        raise ValueError(f"image must have 8 bits a channel, got the mode {image.mode!r}. Rescale it to 8 bits first.")
    (width, height), (right, bottom) = image.size, shown
    extent = 0, 0, right, bottom
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation in range(2, 9):
        image = ImageOps.exif_transpose(image)
        if orientation >= 5:  # the axes are exchanged
            (width, height), (right, bottom) = (height, width), (bottom, right)
        left = width - right if orientation in (2, 3, 6, 7) else 0
        top = height - bottom if orientation in (3, 4, 7, 8) else 0
        extent = left, top, left + right, top + bottom
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return Decoded(image if image.mode == "RGB" else image.convert("RGB"), extent)
