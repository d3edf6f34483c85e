"""The pixels that a transform needs: a third of the time of torchvision's chain (``benchmarks/input_pipeline.py``)."""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets.utils.file_utils import xopen
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

ImageSource = Image.Image | Mapping[str, Any] | str | os.PathLike
"""A PIL image; ``{"bytes": ..., "path": ...}``, as ``datasets.Image(decode=False)`` gives an image; or a path."""

_DRAFT_FACTOR = 1.5  # times the needed pixels that a JPEG decoder must leave; the rest is averaged exactly
_DEEP_MODES = ("I", "F")  # 16 and 32 bit grayscale: PIL would clip them to white
_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSITIONS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class DecodedImage(NamedTuple):
    """An image upright, in RGB of 8 bits, what is transparent now white; and left, top, right, bottom of its content.

    An image of 817 pixels that was decoded at half its size has 409, of which the content fills 408.5.
    """

    image: Image.Image
    extent: tuple[float, float, float, float]


def decode_image(source: ImageSource, shorter_side: int | None) -> DecodedImage:
    """Decodes an image; a JPEG at 1/2, 1/4 or 1/8 of its size where 1.5 times ``shorter_side`` pixels are left of it.

    Reduced to ``shorter_side``, the result differs from that of a full decode by less than a gray level on average in
    photographs. Gray levels of 16 bits are divided by 257, those of a float image, within 0 .. 1, multiplied by 255.
    """
    if isinstance(source, Image.Image):
        return _upright(source, source.size)
    with open_image(source) as image:
        extent = image.size
        if shorter_side is not None:
            needed = math.ceil(_DRAFT_FACTOR * shorter_side)
            drafted = image.draft(None, (needed, needed))  # None where the format has no draft mode
            if drafted is not None:
                extent = drafted[1][2:]
        image.load()
        return _upright(image, extent)


@contextmanager
def open_image(source: Mapping[str, Any] | str | os.PathLike) -> Iterator[Image.Image]:
    """A PIL image, not loaded unless it was downloaded; what goes wrong with it inside names the file."""
    content, path = (source.get("bytes"), source.get("path")) if isinstance(source, Mapping) else (None, source)
    if content is None and path is None:
        raise ValueError(f"an image must be a file, bytes or a PIL image, got {source!r}. Leave the row out.")
    try:
        if content is None and "://" in str(path):  # on the Hub, or in an archive
            with xopen(str(path), "rb") as file:
                content = file.read()
        elif content is None and not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
            raise ValueError("it is not a regular file")
        with Image.open(path if content is None else BytesIO(content)) as image:
            yield image
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow has a reader for each format, and each fails in its own ways
        reason = str(error).rstrip(".") or type(error).__name__
        reason = "it is not an image" if isinstance(error, UnidentifiedImageError) else reason
        raise ValueError(
            f"{path or 'an image without a path'} cannot be decoded: {reason}. Leave it out, or replace it by a "
            "complete image of 8 bits a channel."
        ) from ValueError(reason)


def _upright(image: Image.Image, size: tuple[float, float]) -> DecodedImage:
    """The image upright and in RGB, of which ``size`` is filled, from the left and the top."""
    (width, height), (right, bottom) = image.size, size
    extent = 0, 0, right, bottom
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except (OSError, SyntaxError, ValueError, struct.error):  # an odd EXIF block
        orientation = None
    if image.mode.startswith(_DEEP_MODES):
        image = _gray_of_8_bits(image)
    if orientation in _TRANSPOSITIONS:  # ImageOps.exif_transpose would also rewrite the EXIF block, which may fail
        image = image.transpose(_TRANSPOSITIONS[orientation])
        if orientation >= 5:  # the axes are exchanged
            (width, height), (right, bottom) = (height, width), (bottom, right)
        left = width - right if orientation in (2, 3, 6, 7) else 0
        top = height - bottom if orientation in (3, 4, 7, 8) else 0
        extent = left, top, left + right, top + bottom
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return DecodedImage(image if image.mode == "RGB" else image.convert("RGB"), extent)


def _gray_of_8_bits(image: Image.Image) -> Image.Image:
    """Gray levels 0 .. 65535, or 0 .. 1 as floats, on a scale of 8 bits."""
    levels = np.asarray(image).astype(np.float32)  # (height, width)
    highest = 1.0 if image.mode == "F" else 65535.0
    if not (levels.min() >= 0 and levels.max() <= highest):  # also NaN
        raise ValueError(
            f"gray levels of the mode {image.mode!r} must lie within 0 .. {highest:g}, got {levels.min():g} .. "
            f"{levels.max():g}. Rescale them first."
        )
    return Image.fromarray((levels * (255 / highest)).round().astype(np.uint8))


def pixels_of(image: Image.Image) -> Tensor:
    """(height, width, 3) uint8 pixels of an RGB image."""
    return torch.from_numpy(np.array(image))


def resize(pixels: Tensor, width: int, height: int) -> Tensor:
    """(height, width, 3) uint8, resampled by a triangle filter that averages where it reduces."""
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = pixels.permute(2, 0, 1)[None]  # (1, 3, old height, old width)
    return interpolate(planes, size=(height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)


def warp(pixels: Tensor, rows: Sequence[Sequence[float]], size: int) -> Tensor:
    """(3, size, size) float32 in 0 .. 255: (height, width, 3) pixels, bilinearly sampled, reflected beyond their edges.

    The 2 x 3 ``rows`` map the view, which is the square [-1/2, 1/2]^2, to x and y in pixels from the left and the top.
    """
    height, width = pixels.shape[:2]
    steps = (torch.arange(size, dtype=torch.float32) + 0.5) / size - 0.5  # (size,)
    grid = torch.empty(2, size, size, dtype=torch.float32)  # x and y: as two planes they are read fastest
    for plane, (across, down, center), side in zip(grid, rows, (width, height), strict=True):
        scale = 2 / side  # of a pixel: grid_sample has the image in [-1, 1]^2
        torch.add(steps * (scale * across), (steps * (scale * down) + (scale * center - 1))[:, None], out=plane)
    planes = torch.empty(1, 3, height, width, dtype=torch.float32)
    planes[0].copy_(pixels.permute(2, 0, 1))
    return grid_sample(planes, grid.permute(1, 2, 0)[None], padding_mode="reflection", align_corners=False)[0]


def crop_and_resize(image: Image.Image, box: tuple[float, float, float, float], size: int) -> Tensor:
    """(3, size, size) float32 whole numbers in 0 .. 255: what lies in a box, whose edges may lie between pixels."""
    left, top, right, bottom = box
    step_x, step_y = (right - left) / size, (bottom - top) / size
    reduced = image.width / step_x, image.height / step_y, left / step_x, top / step_y
    # Where the reduced image and the box have whole pixels, as a square of 816 for 224 of 256, PyTorch is faster.
    if min(step_x, step_y) >= 1 and all(number == int(number) for number in reduced):
        width, height, column, row = (int(number) for number in reduced)
        pixels = resize(pixels_of(image), width, height)[row : row + size, column : column + size]
    else:
        pixels = pixels_of(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return torch.empty(3, size, size, dtype=torch.float32).copy_(pixels.permute(2, 0, 1))


def normalize(
    view: Tensor, mean: Sequence[float], std: Sequence[float], *, offsets: Sequence[float] = (0.0, 0.0, 0.0)
) -> Tensor:
    """From 0 .. 255 to what a network takes, in place: (v / 255 + offset - mean) / std, channel by channel."""
    scales = torch.tensor([1 / (255 * sigma) for sigma in std], dtype=torch.float32)
    shifts = [(offset - mu) / sigma for offset, mu, sigma in zip(offsets, mean, std, strict=True)]
    return view.mul_(scales[:, None, None]).add_(torch.tensor(shifts, dtype=torch.float32)[:, None, None])
