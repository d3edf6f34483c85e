"""The paper's views of a picture: random in training, the centre and its mirror image in evaluation (section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any

import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn.functional import affine_grid, grid_sample
from torch.utils.hooks import RemovableHandle
from torchvision.transforms.v2 import functional as F

_DEEP_MODES = ("I", "F")  # 16 and 32 bit greys: PIL would clip them to white


@dataclass(frozen=True)
class TrainTransform:
    """Gives a random view of a picture: crop, rotation, aspect ratio, mirror image and colour are drawn.

    Hou et al. 2016, section 4.1 names the five and two ranges, 20 degrees and 10 %. The rest is ours: a square of 7/8
    of the shorter side is cropped anywhere in the picture, corners that the rotation brings into the frame are filled
    with its reflection, and each of the three channels is multiplied by its own factor, up to 5 % either way.
    Random numbers come from PyTorch's global generator, which a DataLoader seeds for each of its workers.

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
        When called on a PIL image of any size and mode of 8 bits: (3, size, size), float32, normalised.
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

    def __call__(self, image: Image.Image) -> torch.Tensor:
        image = as_rgb(image)
        shrink = self.size / (self.crop * min(image.size))
        if shrink < 1:  # a resampling that averages; the one below only interpolates
            image = image.resize([math.ceil(side * shrink) for side in image.size], Image.Resampling.BILINEAR)
        x, y, angle, aspect, mirror, *colour = torch.rand(8).tolist()

        width, height = image.size
        side = self.crop * min(width, height)
        x, y = (2 * x - 1) * (1 - side / width), (2 * y - 1) * (1 - side / height)  # centre; the picture is [-1, 1]^2
        angle = math.radians(self.degrees) * (2 * angle - 1)
        stretch = math.sqrt(1 + self.aspect * (2 * aspect - 1))
        right, down = side * stretch * (-1 if mirror < self.mirror else 1), side / stretch  # the crop's sides in pixels
        rows = [
            [right * math.cos(angle) / width, -down * math.sin(angle) / width, x],
            [right * math.sin(angle) / height, down * math.cos(angle) / height, y],
        ]
        grid = affine_grid(torch.tensor([rows]), [1, 3, self.size, self.size], align_corners=False)
        pixels = F.pil_to_tensor(image).float().div_(255)  # (3, height, width)
        pixels = grid_sample(pixels[None], grid, padding_mode="reflection", align_corners=False)[0]  # (3, size, size)
        gains = 1 + self.colour * (2 * torch.tensor(colour) - 1)
        return F.normalize(pixels.mul_(gains[:, None, None]).clamp_(0, 1), self.mean, self.std, inplace=True)


@dataclass(frozen=True)
class EvalTransform:
    """Gives the middle of a picture: the centre crop that matches :class:`TrainTransform`, without anything random.

    Args:
        size: side of the view in pixels.
        mean: three channel means to subtract, for values in [0, 1].
        std: three channel standard deviations to divide by.
        crop: side of the crop, as a share of the shorter side, in (0, 1].

    Returns:
        When called on a PIL image of any size and mode of 8 bits: (3, size, size), float32, normalised.
    """

    size: int
    mean: Sequence[float]
    std: Sequence[float]
    _: KW_ONLY
    crop: float = 7 / 8

    def __call__(self, image: Image.Image) -> torch.Tensor:
        image = as_rgb(image)
        width, height = image.size
        side = self.crop * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        pixels = F.pil_to_tensor(image).float().div_(255)  # (3, size, size)
        return F.normalize(pixels, self.mean, self.std, inplace=True)


def apply_to_batch(
    transform: Callable[[Image.Image], torch.Tensor], image_column: str = "image", label_column: str | None = "label"
) -> Callable[[dict[str, list]], dict[str, list]]:
    """Gives the function that ``datasets.Dataset.with_transform`` wants; the Trainer needs remove_unused_columns=False.

    Args:
        transform: from a PIL image to a tensor.
        image_column: name of the column of images.
        label_column: name of the column of labels; None where there are none.

    Returns:
        A function from a batch to ``{"pixel_values": [...], "labels": [...]}``.
    """
    return partial(_transform_batch, transform, image_column, label_column)


def average_mirrored(model: nn.Module) -> RemovableHandle:
    """Makes a model in evaluation mode answer for the average of a picture and its mirror image.

    Hou et al. 2016, section 4.1: *probabilities* are averaged. The softmax of the logits that come out is that average;
    with a single logit, a regression, the outputs themselves are. In training mode nothing changes. A loss that the
    model computes itself is still that of the picture alone.

    Args:
        model: takes ``pixel_values`` (B, C, H, W) by keyword, returns a mapping with ``logits`` (B, K), as models of
            transformers do. The model itself, not one wrapped by DistributedDataParallel or ``torch.compile``.

    Returns:
        A handle; its ``remove()`` brings the model back.

    Raises:
        ValueError: later, when the model is called without ``pixel_values=``.
    """
    return model.register_forward_hook(_average_with_mirror_image, with_kwargs=True)


def averages_mirrored(model: nn.Module) -> bool:
    """Whether :func:`average_mirrored` is in force for a model.

    Args:
        model: any.
    """
    return _average_with_mirror_image in model._forward_hooks.values()


def _transform_batch(
    transform: Callable[[Image.Image], torch.Tensor],
    image_column: str,
    label_column: str | None,
    batch: dict[str, list],
) -> dict[str, list]:
    outputs = {"pixel_values": [transform(image) for image in batch[image_column]]}
    if label_column is not None:
        outputs["labels"] = list(batch[label_column])
    return outputs


def _average_with_mirror_image(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    if module.training:
        return output
    if kwargs.get("pixel_values") is None:
        raise ValueError(
            f"To average over mirror images, {type(module).__name__} must be called with pixel_values=... by keyword, "
            f"got {len(args)} positional arguments and the keywords {sorted(kwargs)}. Name the argument, or remove() "
            f"the handle that average_mirrored gave."
        )
    mirrored = module.forward(*args, **{**kwargs, "pixel_values": kwargs["pixel_values"].flip(-1)})["logits"]
    logits = output["logits"]  # (B, K)
    if logits.shape[-1] == 1:
        output["logits"] = (logits + mirrored) / 2
    else:
        precision = torch.promote_types(logits.dtype, torch.float32)
        both = logits.log_softmax(-1, dtype=precision), mirrored.log_softmax(-1, dtype=precision)
        output["logits"] = torch.logaddexp(*both) - math.log(2)  # log of the mean probability
    return output


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture upright, in three channels of 8 bits; what is transparent becomes white."""
    if image.mode.startswith(_DEEP_MODES):
        raise ValueError(f"image must have 8 bits a channel, got the mode {image.mode!r}. Rescale it to 8 bits first.")
    if image.getexif().get(0x0112, 1) != 1:  # the EXIF tag of the orientation
        image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")
