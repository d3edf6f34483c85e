"""The pixels of a view: taken out of a picture by an affine map or a box, and normalised in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

_PIXELS_OF_A_BLOCK = 2**22  # Pillow splits what takes more than 16 MB, and then has no whole to give

__all__ = ["normalise", "pixels_in", "pixels_of", "reduce", "warp"]


def pixels_of(image: Image.Image) -> Tensor:
    """The pixels of a picture, to be read only: they may be the picture's own.

    Args:
        image: in RGB.

    Returns:
        (height, width, 3 or 4), uint8; the fourth channel says nothing.
    """
    own = image.width * image.height <= _PIXELS_OF_A_BLOCK and Image.core.get_alignment() == 1
    try:
        values = pa.array(image).values if own else None  # where they lie, which takes a tenth of the time of a copy
    except ValueError:  # Pillow was told to take smaller blocks
        values = None
    if values is None or len(values) != 4 * image.width * image.height:
        return torch.from_numpy(np.array(image))
    return torch.from_dlpack(values).view(image.height, image.width, 4)


def reduce(pixels: Tensor, width: int, height: int) -> Tensor:
    """Resamples a whole picture by a triangle filter, which averages where it reduces, to 8 bits.

    Args:
        pixels: (old height, old width, 3 or 4), uint8.
        width: of the result, in pixels.
        height: the same.

    Returns:
        (height, width, 3 or 4), uint8.

    >>> columns = torch.tensor([0, 0, 0, 224], dtype=torch.uint8)[:, None].expand(4, 4, 3)
    >>> reduce(columns, 2, 2)[0, :, 0]  # the last is the mean of three columns, weighted 1 : 3 : 3
    tensor([ 0, 96], dtype=torch.uint8)
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = pixels.permute(2, 0, 1)[None]  # (1, 3 or 4, old height, old width), a pixel's channels side by side
    return interpolate(planes, size=(height, width), mode="bilinear", antialias=True)[0].permute(1, 2, 0)


def warp(pixels: Tensor, rows: Sequence[Sequence[float]], size: int) -> Tensor:
    """Samples a picture on a grid by bilinear interpolation; beyond its edges its reflection goes on.

    Args:
        pixels: (height, width, 3 or 4), uint8; the first three channels are sampled.
        rows: 2 x 3, from the view, which is the square [-1/2, 1/2]^2, to x and y in pixels from the left and the top.
        size: side of the view.

    Returns:
        (3, size, size), float32, in 0 .. 255.

    >>> ramp = torch.arange(4, dtype=torch.uint8)[:, None].expand(4, 4)[..., None].expand(4, 4, 3)  # the row
    >>> warp(ramp, [[0, 2, 2], [2, 0, 2]], 2)[0]  # the middle, turned: each column has the mean of two rows
    tensor([[1., 2.],
            [1., 2.]])
    """
    height, width = pixels.shape[:2]
    steps = (torch.arange(size, dtype=torch.float32) + 0.5) / size - 0.5  # (size,)
    grid = torch.empty(2, size, size, dtype=torch.float32)  # x and y: as two planes they are read fastest
    for plane, (across, down, centre), side in zip(grid, rows, (width, height), strict=True):
        scale = 2 / side  # of a pixel: grid_sample has the picture in [-1, 1]^2
        torch.add(steps * (scale * across), (steps * (scale * down) + (scale * centre - 1))[:, None], out=plane)
    planes = torch.empty(1, 3, height, width, dtype=torch.float32)
    planes[0].copy_(pixels[..., :3].permute(2, 0, 1))
    return grid_sample(planes, grid.permute(1, 2, 0)[None], padding_mode="reflection", align_corners=False)[0]


def pixels_in(image: Image.Image, box: tuple[float, float, float, float], size: int) -> Tensor:
    """Resamples what lies in a box to a square, by a triangle filter that averages where it reduces.

    Args:
        image: in RGB.
        box: left, top, right and bottom in pixels, inside the picture; they may lie between pixels.
        size: side of the square.

    Returns:
        (3, size, size), float32, whole numbers in 0 .. 255.
    """
    left, top, right, bottom = box
    step_x, step_y = (right - left) / size, (bottom - top) / size
    whole = image.width / step_x, image.height / step_y, left / step_x, top / step_y  # the picture when it is reduced
    if min(step_x, step_y) >= 1 and all(
        number == int(number) for number in whole
    ):  # as a square of 816 for 224 of 256: PyTorch is faster
        width, height, column, row = (int(number) for number in whole)
        pixels = reduce(pixels_of(image), width, height)[row : row + size, column : column + size]
    else:
        pixels = pixels_of(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return torch.empty(3, size, size, dtype=torch.float32).copy_(pixels[..., :3].permute(2, 0, 1))


def normalise(
    view: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    gains: Sequence[float] = (1.0, 1.0, 1.0),
    lights: Sequence[float] = (0.0, 0.0, 0.0),
    clip: bool = False,
) -> Tensor:
    """From 0 .. 255 to what a network wants, in place: (v / 255 * gain + light - mean) / std, channel by channel.

    Args:
        view: (3, height, width), float32.
        mean: of each channel, for values in [0, 1].
        std: of each channel.
        gains: factor of each channel.
        lights: what is added to each channel, for values in [0, 1].
        clip: let no gain make anything darker than black or brighter than white.

    Returns:
        `view`.

    >>> normalise(torch.full((3, 1, 1), 255.0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.25), gains=(1.0, 0.8, 1.0)).flatten()
    tensor([1.0000, 0.6000, 2.0000])
    """
    if clip:
        view.mul_(torch.tensor(gains, dtype=torch.float32)[:, None, None]).clamp_(0, 255)
        gains = (1.0, 1.0, 1.0)
    scales = tuple(gain / (255 * sigma) for gain, sigma in zip(gains, std, strict=True))
    shifts = tuple((light - mu) / sigma for light, mu, sigma in zip(lights, mean, std, strict=True))
    return view.mul_(_by_channel(scales)).add_(_by_channel(shifts))


@lru_cache(maxsize=16)
def _by_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
