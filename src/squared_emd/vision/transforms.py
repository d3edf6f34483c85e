"""The paper's views of a picture: random in training, the centre in evaluation (section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial

import datasets
import torch

from .images import Picture, decode
from .view_pixels import normalise, pixels_in, pixels_of, reduce, warp

__all__ = ["EvalTransform", "TrainTransform", "apply_to_batch", "with_views"]


@dataclass(frozen=True)
class TrainTransform:
    """Gives a random view of a picture: crop, rotation, aspect ratio, mirror image and colour are drawn.

    Hou et al. 2016, section 4.1 names the five and two ranges, 20 degrees and 10 %. The rest is ours: a square of 7/8
    of the shorter side is cropped anywhere in the picture, corners that the rotation brings into the frame are filled
    with its reflection, and each of the three channels is multiplied by its own factor, up to 5 % either way.
    Random numbers come from PyTorch's global generator, which a DataLoader seeds for each of its workers.

    The picture is first reduced by averaging until the crop has `size` pixels, then crop, rotation, aspect ratio and
    mirror image are one bilinear sampling. A JPEG that is not decoded yet is decoded no larger than that needs
    (:func:`squared_emd.vision.images.decode`).

    Args:
        size: side of the view in pixels.
        mean: three channel means to subtract, for values in [0, 1].
        std: three channel standard deviations to divide by.
        crop: side of the crop, as a share of the shorter side, in (0, 1].
        degrees: the angle is uniform in (-degrees, degrees).
        aspect: width over height of the crop is uniform in (1 - aspect, 1 + aspect); its area stays.
        colour: the factor of each channel is uniform in (1 - colour, 1 + colour).
        mirror: probability of a horizontal flip.

    Returns:
        When called on a picture of any size and mode of 8 bits, a PIL image, a path or what
        `datasets.Image(decode=False)` gives: (3, size, size), float32, normalised.

    Raises:
        FileNotFoundError: when called: there is no such file.
        ValueError: when called: the picture cannot be decoded, or has more than 8 bits a channel.
    """

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    _: KW_ONLY
    crop: float = 7 / 8
    degrees: float = 20.0
    aspect: float = 0.1
    colour: float = 0.05
    mirror: float = 0.5

    @property
    def shorter_side(self) -> int:
        """As many pixels of a picture's shorter side are used; a picture with more of them is reduced to this.

        >>> TrainTransform(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).shorter_side
        256
        """
        return math.ceil(self.size / self.crop)

    def __call__(self, picture: Picture) -> torch.Tensor:
        image, (left, top, right, bottom) = decode(picture, self.shorter_side)
        x, y, angle, aspect, mirror, *colour = torch.rand(8).tolist()

        width, height = right - left, bottom - top
        side = self.crop * min(width, height)
        x = left + width / 2 + (x - 0.5) * (width - side)  # the crop's centre
        y = top + height / 2 + (y - 0.5) * (height - side)
        angle = math.radians(self.degrees) * (2 * angle - 1)
        stretch = math.sqrt(1 + self.aspect * (2 * aspect - 1))
        right, down = side * stretch * (-1 if mirror < self.mirror else 1), side / stretch  # the crop's sides in pixels
        rows = [
            [right * math.cos(angle), -down * math.sin(angle), x],
            [right * math.sin(angle), down * math.cos(angle), y],
        ]

        pixels, sides = pixels_of(image), image.size  # (height, width, 3 or 4)
        if side > self.size:
            sides = [math.ceil(old * self.size / side) for old in image.size]
            pixels = reduce(pixels, *sides)
        rows = [[entry * new / old for entry in row] for row, new, old in zip(rows, sides, image.size, strict=True)]
        view = warp(pixels, rows, self.size)
        gains = [1 + self.colour * (2 * draw - 1) for draw in colour]
        return normalise(view, self.mean, self.std, gains=gains, clip=True)


@dataclass(frozen=True)
class EvalTransform:
    """Gives the middle of a picture: the centre crop that matches :class:`TrainTransform`, without anything random.

    A JPEG that is not decoded yet is decoded no larger than that needs (:func:`decode`). The image
    processor that is saved with a model decodes in full: views of 72 photographs, decoded here at a half or a quarter
    of their sides, differed from the processor's by 0.3 to 0.7 grey levels on average.

    Args:
        size: side of the view in pixels.
        mean: three channel means to subtract, for values in [0, 1].
        std: three channel standard deviations to divide by.
        crop: side of the crop, as a share of the shorter side, in (0, 1].

    Returns:
        When called on a picture of any size and mode of 8 bits, a PIL image, a path or what
        `datasets.Image(decode=False)` gives: (3, size, size), float32, normalised.

    Raises:
        FileNotFoundError: when called: there is no such file.
        ValueError: when called: the picture cannot be decoded, or has more than 8 bits a channel.
    """

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    _: KW_ONLY
    crop: float = 7 / 8

    @property
    def shorter_side(self) -> int:
        """As many pixels of a picture's shorter side are used; a picture with more of them is reduced to this."""
        return math.ceil(self.size / self.crop)

    def __call__(self, picture: Picture) -> torch.Tensor:
        image, (left, top, right, bottom) = decode(picture, self.shorter_side)
        width, height = right - left, bottom - top
        side = self.crop * min(width, height)
        left, top = left + (width - side) / 2, top + (height - side) / 2
        view = pixels_in(image, (left, top, left + side, top + side), self.size)
        return normalise(view, self.mean, self.std)


def with_views(
    dataset: datasets.Dataset,
    transform: Callable[[Picture], torch.Tensor],
    image_column: str = "image",
    label_column: str | None = "label",
) -> datasets.Dataset:
    """Gives the data set whose rows are views, for a Trainer with remove_unused_columns=False.

    The pictures stay undecoded until the transform opens them, so that it decodes no more than it needs.

    Args:
        dataset: with a column of pictures.
        transform: from a picture to a tensor.
        image_column: name of the column of pictures.
        label_column: name of the column of labels; None where there are none.

    Returns:
        A data set that makes `pixel_values` and `labels` of a row when it is read.

    >>> from PIL import Image
    >>> white = datasets.Dataset.from_dict(
    ...     {"image": [Image.new("RGB", (20, 20), "white")], "label": [3]},
    ...     features=datasets.Features(image=datasets.Image(), label=datasets.Value("int64")),
    ... )
    >>> row = with_views(white, EvalTransform(2, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))[0]
    >>> row["labels"], row["pixel_values"][0]
    (3, tensor([[1., 1.],
            [1., 1.]]))
    """
    if isinstance(dataset.features[image_column], datasets.Image):
        dataset = dataset.cast_column(image_column, datasets.Image(decode=False))
    return dataset.with_transform(apply_to_batch(transform, image_column, label_column))


def apply_to_batch(
    transform: Callable[[Picture], torch.Tensor], image_column: str = "image", label_column: str | None = "label"
) -> Callable[[dict[str, list]], dict[str, list]]:
    """Gives the function that ``datasets.Dataset.with_transform`` wants; the Trainer needs remove_unused_columns=False.

    :func:`with_views` does both, and keeps the pictures undecoded until then, which is faster.

    Args:
        transform: from a picture to a tensor.
        image_column: name of the column of images.
        label_column: name of the column of labels; None where there are none.

    Returns:
        A function from a batch to ``{"pixel_values": [...], "labels": [...]}``.
    """
    return partial(_transform_batch, transform, image_column, label_column)


def _transform_batch(
    transform: Callable[[Picture], torch.Tensor],
    image_column: str,
    label_column: str | None,
    batch: dict[str, list],
) -> dict[str, list]:
    outputs = {"pixel_values": [transform(image) for image in batch[image_column]]}
    if label_column is not None:
        outputs["labels"] = list(batch[label_column])
    return outputs
