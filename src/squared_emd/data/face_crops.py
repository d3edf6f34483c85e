"""Faces cut out of pictures by where their eyes are."""

import math

import numpy as np
import PIL.Image

__all__ = ["CROP_BELOW", "CROP_SIDE", "crop_face"]

CROP_SIDE = 5.0
"""Side of a crop, in eye distances: 2 on each side of the eyes, and a margin that a smaller random crop may cut off."""

CROP_BELOW = 0.2
"""How far the middle of a crop lies below the eyes, in eye distances: the chin needs more room than the forehead."""


def crop_face(
    image: PIL.Image.Image, left_eye: tuple[float, float], right_eye: tuple[float, float], size: int
) -> PIL.Image.Image:
    """Gives a face upright and of one size, from where its eyes are.

    The square is `CROP_SIDE` = 5 eye distances wide and lies so that the eyes land at (0.4, 0.46) and (0.6, 0.46) of
    its side; 227 of 256 pixels in its middle still hold 2 eye distances on each side of the point between the eyes.
    Each pixel is the mean of a grid of bicubic samples, at most one pixel of `image` apart. Beyond its edges, the
    outermost pixels of `image` go on.

    Source: ours; Hou et al. 2016 do not say how they cut out the faces.

    Args:
        image: A picture of any mode.
        left_eye: x and y of the eye that is left in the picture, in pixels; a pixel's centre has whole numbers.
        right_eye: The other one.
        size: Side of the result, in pixels.

    Returns:
        An RGB picture of `size` x `size` pixels.

    Raises:
        ValueError: The eyes are one point or further apart than the picture's diagonal, or the point between them lies
            outside the picture.

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
            "The eyes must be two points with their middle in the picture and no further apart than its corners, got "
            f"{tuple(left_eye)} and {tuple(right_eye)} in {image.width} x {image.height} pixels."
        )
    down = np.array([-across[1], across[0]])  # one eye distance towards the chin
    centre = middle + CROP_BELOW * down
    reach = CROP_SIDE / 2 * (abs(across) + abs(down)) + 2  # half the box around the square, and 2 pixels for bicubic
    first, last = np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int)
    x, y = (np.arange(first[k], last[k] + 1).clip(0, image.size[k] - 1) for k in (0, 1))  # repeats the outermost pixels
    part = np.asarray(image.crop((x[0], y[0], x[-1] + 1, y[-1] + 1)).convert("RGB"))
    part = PIL.Image.fromarray(part[y - y[0]][:, x - x[0]])
    samples = math.ceil(CROP_SIDE * distance / size)  # in each pixel of the result, along each side
    start = centre - first + 0.5 - (across + down) * CROP_SIDE / 2  # Pillow counts from a corner, not a pixel's centre
    right_step, down_step = (way * CROP_SIDE / (samples * size) for way in (across, down))
    affine = (right_step[0], down_step[0], start[0], right_step[1], down_step[1], start[1])
    side = (samples * size, samples * size)
    return part.transform(side, PIL.Image.Transform.AFFINE, affine, PIL.Image.Resampling.BICUBIC).reduce(samples)
