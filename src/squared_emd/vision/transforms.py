"""The paper's views of an image: random in training, the center and its flip in evaluation (section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import datasets
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .images import ImageSource, crop_and_resize, decode_image, normalize, pixels_of, resize, warp

__all__ = ["AlexNetTrainTransform", "EvalTransform", "TrainTransform", "average_flips", "with_views"]

# Principal components of the RGB values in [0, 1] over ImageNet, as fb.resnet.torch publishes them. The vectors have a
# row for each channel and a column for each value.
IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@dataclass(frozen=True)
class _CroppedView:
    """What the transforms share."""

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    _: KW_ONLY
    crop: float = 7 / 8

    @property
    def shorter_side(self) -> int:
        """How many pixels of an image's shorter side are used; a larger image is reduced to this.

        >>> TrainTransform(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).shorter_side
        256
        """
        return math.ceil(self.size / self.crop)


@dataclass(frozen=True)
class TrainTransform(_CroppedView):
    """A random view of an image: crop, rotation, aspect ratio, horizontal flip and color are drawn.

    Hou et al. 2016, section 4.1 names the five and two ranges, 20 degrees and 10 %. The rest is ours: a square of 7/8
    of the shorter side is cropped anywhere in the image, corners that the rotation brings into the frame are filled by
    reflection, and each of the three channels is multiplied by its own factor, up to 5 % either way. Random numbers
    come from PyTorch's global generator, which a DataLoader seeds for each of its workers.

    The image is first reduced by averaging until the crop has ``size`` pixels, then crop, rotation, aspect ratio and
    flip are one bilinear sampling. A JPEG that is not decoded yet is decoded no larger than that needs.

    Args:
        size: side of the view in pixels.
        mean: of each channel, as in :class:`EvalTransform`.
        std: of each channel.
        crop: side of the crop, as a share of the shorter side, in (0, 1].
        degrees: the angle is uniform in (-degrees, degrees).
        aspect: width over height of the crop is uniform in (1 - aspect, 1 + aspect); its area stays.
        color: the factor of each channel is uniform in (1 - color, 1 + color).
        flip: probability of a horizontal flip.
    """

    _: KW_ONLY
    degrees: float = 20.0
    aspect: float = 0.1
    color: float = 0.05
    flip: float = 0.5

    def __call__(self, source: ImageSource) -> Tensor:
        image, (left, top, right, bottom) = decode_image(source, self.shorter_side)
        x, y, angle, aspect, flip, *color = torch.rand(8).tolist()

        width, height = right - left, bottom - top
        side = self.crop * min(width, height)
        x = left + width / 2 + (x - 0.5) * (width - side)  # the crop's center
        y = top + height / 2 + (y - 0.5) * (height - side)
        angle = math.radians(self.degrees) * (2 * angle - 1)
        stretch = math.sqrt(1 + self.aspect * (2 * aspect - 1))
        right, down = side * stretch * (-1 if flip < self.flip else 1), side / stretch  # the crop's sides in pixels
        rows = [
            [right * math.cos(angle), -down * math.sin(angle), x],
            [right * math.sin(angle), down * math.cos(angle), y],
        ]

        pixels, sides = pixels_of(image), image.size  # (height, width, 3)
        if side > self.size:
            sides = [math.ceil(old * self.size / side) for old in image.size]
            pixels = resize(pixels, *sides)
        rows = [[entry * new / old for entry in row] for row, new, old in zip(rows, sides, image.size, strict=True)]
        view = warp(pixels, rows, self.size)  # (3, size, size)
        gains = torch.tensor([1 + self.color * (2 * draw - 1) for draw in color], dtype=torch.float32)
        return normalize(view.mul_(gains[:, None, None]).clamp_(0, 255), self.mean, self.std)


@dataclass(frozen=True)
class EvalTransform(_CroppedView):
    """The center crop that matches :class:`TrainTransform`, without anything random.

    A JPEG that is not decoded yet is decoded no larger than that needs. The image processor that is saved with a model
    decodes in full: views of 72 photographs, decoded here at a half or a quarter of their sides, differed from the
    processor's by 0.3 to 0.7 gray levels on average.

    Args:
        size: side of the view in pixels.
        mean: three channel means to subtract, for values in [0, 1].
        std: three channel standard deviations to divide by.
        crop: side of the crop, as a share of the shorter side, in (0, 1].

    Returns:
        When called on an image of any size and mode, a PIL image, a path or what ``datasets.Image(decode=False)``
        gives: (3, size, size), float32, normalized.

    Raises:
        FileNotFoundError: when called: there is no such file.
        ValueError: when called: the image cannot be decoded.
    """

    def __call__(self, source: ImageSource) -> Tensor:
        image, (left, top, right, bottom) = decode_image(source, self.shorter_side)
        width, height = right - left, bottom - top
        side = self.crop * min(width, height)
        left, top = left + (width - side) / 2, top + (height - side) / 2
        view = crop_and_resize(image, (left, top, left + side, top + side), self.size)
        return normalize(view, self.mean, self.std)


@dataclass(frozen=True)
class AlexNetTrainTransform(_CroppedView):
    """A random view of an image as AlexNet was trained on: crop, horizontal flip and lighting are drawn.

    Krizhevsky et al. 2012, sections 2 and 4.1, which the paper takes for ImageNet: the shorter side is scaled to 256,
    the central square of 256 x 256 is kept, a patch of 224 x 224 is taken anywhere in it and flipped every second time,
    and the three principal components of ImageNet's RGB values are added, each times its eigenvalue times its own
    deviate of N(0, 0.1). Other sizes keep the share 224/256. The patch is resampled once and may lie between pixels;
    values that the lighting moves out of [0, 1] are not clipped. :class:`EvalTransform` takes the center of the same
    size. Random numbers come from PyTorch's global generator.

    Args:
        size: side of the view in pixels.
        mean: of each channel, as in :class:`EvalTransform`.
        std: of each channel.
        crop: side of the crop, as a share of the shorter side, in (0, 1].
        flip: probability of a horizontal flip.
        lighting: standard deviation of the three deviates.
    """

    _: KW_ONLY
    flip: float = 0.5
    lighting: float = 0.1

    def __call__(self, source: ImageSource) -> Tensor:
        image, (left, top, right, bottom) = decode_image(source, self.shorter_side)
        x, y, flip = torch.rand(3, dtype=torch.float64).tolist()
        deviates = self.lighting * torch.randn(3)

        width, height = right - left, bottom - top
        square = min(width, height)
        side = self.crop * square
        left += (width - square) / 2 + x * (square - side)
        top += (height - square) / 2 + y * (square - side)
        box = (left, top, min(left + side, right), min(top + side, bottom))  # PIL refuses a rounding error outside
        view = crop_and_resize(image, box, self.size)
        if flip < self.flip:
            view = view.flip(-1)
        offsets = torch.tensor(IMAGENET_EIGENVECTORS) @ (deviates * torch.tensor(IMAGENET_EIGENVALUES))  # (3,)
        return normalize(view, self.mean, self.std, offsets=offsets.tolist())


def with_views(
    dataset: datasets.Dataset,
    transform: Callable[[ImageSource], Tensor],
    image_column: str = "image",
    label_column: str | None = "label",
) -> datasets.Dataset:
    """The dataset whose rows are views, for a Trainer with ``remove_unused_columns=False``.

    The images stay undecoded until the transform opens them, so that it decodes no more than it needs.

    Args:
        dataset: with a column of images.
        transform: from an image to a tensor.
        image_column: name of the column of images.
        label_column: name of the column of labels; None where there are none.

    Returns:
        A dataset that makes ``pixel_values`` and ``labels`` of a row when it is read.

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
    return dataset.with_transform(partial(_view_rows, transform, image_column, label_column))


def _view_rows(
    transform: Callable[[ImageSource], Tensor], image_column: str, label_column: str | None, batch: dict[str, list]
) -> dict[str, list]:
    rows = {"pixel_values": [transform(image) for image in batch[image_column]]}
    if label_column is not None:
        rows["labels"] = list(batch[label_column])
    return rows


def average_flips(model: nn.Module) -> RemovableHandle:
    """Makes a model in evaluation mode return the average over an image and its horizontal flip.

    Hou et al. 2016, section 4.1: *probabilities* are averaged. The softmax of the returned logits is that average; with
    a single output, a regression, the outputs are averaged. In training mode nothing changes. A loss that the model
    computes itself is still that of the image alone.

    Args:
        model: takes ``pixel_values`` (B, C, H, W) by keyword and returns a mapping with ``logits`` (B, K), as models of
            transformers do. The model itself, not one wrapped by DistributedDataParallel or ``torch.compile``.

    Returns:
        A handle; its ``remove()`` restores the model.

    Raises:
        ValueError: later, when the model is called without ``pixel_values=``.
    """
    return model.register_forward_hook(_average_with_flip, with_kwargs=True)


def _average_with_flip(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    """The output averaged with that for the flipped images: a forward hook."""
    if module.training:
        return output
    if kwargs.get("pixel_values") is None:
        raise ValueError(
            f"To average over flips, {type(module).__name__} must be called with pixel_values=... by keyword, "
            f"got {len(args)} positional arguments and the keywords {sorted(kwargs)}. Name the argument, or remove() "
            f"the handle that average_flips returned."
        )
    flipped = module.forward(*args, **{**kwargs, "pixel_values": kwargs["pixel_values"].flip(-1)})["logits"]
    output["logits"] = average_views(output["logits"], flipped)
    return output


_average_with_flip.averages_flips = True  # how the trainer recognizes it, which does not import this package


def average_views(logits: Tensor, flipped: Tensor) -> Tensor:
    """(B, K) logits whose softmax is the mean probability over an image and its flip; of one output the mean itself."""
    if logits.shape[-1] == 1:
        return (logits + flipped) / 2
    dtype = torch.promote_types(logits.dtype, torch.float32)
    both = logits.log_softmax(-1, dtype=dtype), flipped.log_softmax(-1, dtype=dtype)
    return torch.logaddexp(*both) - math.log(2)  # log of the mean probability
