"""AlexNet's random views of a picture, which the paper takes for ImageNet (section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import torch

from .images import Picture, decode
from .view_pixels import normalise, pixels_in

__all__ = ["EIGENVALUES", "EIGENVECTORS", "AlexNetTrainTransform"]

EIGENVALUES = (0.2175, 0.0188, 0.0045)
"""Of the RGB values in [0, 1] over ImageNet's training pictures, as fb.resnet.torch publishes them."""

EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""(channel, component): each column belongs to one eigenvalue; the first is grey."""


@dataclass(frozen=True)
class AlexNetTrainTransform:
    """Gives a random view of a picture as AlexNet was trained on: crop, mirror image and light are drawn.

    Krizhevsky et al. 2012, sections 2 and 4.1: the shorter side is scaled to 256, the central square of 256 x 256 is
    kept, a patch of 224 x 224 is taken anywhere in it and mirrored every second time, and the three principal
    components of ImageNet's RGB values are added, each times its eigenvalue times its own deviate of N(0, 0.1).
    Other sizes keep the share 224/256. The patch is resampled once and may lie between pixels; what the light makes
    brighter than white or darker than black stays so. `EvalTransform` of `vision.transforms` takes the centre
    of the same size. Random numbers come from PyTorch's global generator, which a DataLoader seeds for each worker.

    Args:
        size: side of the view in pixels.
        mean: three channel means to subtract, for values in [0, 1].
        std: three channel standard deviations to divide by.
        crop: side of the patch, as a share of the shorter side, in (0, 1].
        mirror: probability of a horizontal flip.
        light: standard deviation of the three deviates.

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
    crop: float = 224 / 256
    mirror: float = 0.5
    light: float = 0.1

    @property
    def shorter_side(self) -> int:
        """As many pixels of a picture's shorter side are used; a picture with more of them is reduced to this."""
        return math.ceil(self.size / self.crop)

    def __call__(self, picture: Picture) -> torch.Tensor:
        image, (left, top, right, bottom) = decode(picture, self.shorter_side)
        x, y, mirror = torch.rand(3, dtype=torch.float64).tolist()
        deviates = self.light * torch.randn(3)

        width, height = right - left, bottom - top
        square = min(width, height)
        side = self.crop * square
        left += (width - square) / 2 + x * (square - side)
        top += (height - square) / 2 + y * (square - side)
        box = (left, top, min(left + side, right), min(top + side, bottom))  # PIL refuses a rounding error outside
        view = pixels_in(image, box, self.size)
        if mirror < self.mirror:
            view = view.flip(-1)
        lights = torch.tensor(EIGENVECTORS) @ (deviates * torch.tensor(EIGENVALUES))  # (3,)
        return normalise(view, self.mean, self.std, lights=lights.tolist())
