"""A pen for shapes on a canvas of twice an image's size, and the way from the canvas to the image."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

COS, SIN = np.cos(np.linspace(0, 2 * np.pi, 33)), np.sin(np.linspace(0, 2 * np.pi, 33))

Color = tuple[int, ...]


class Pen:
    """Draws on a canvas in coordinates of its own, y downwards: (0, 0) is at `center`, a length of 1 has `unit` pixels.

    All is turned by `roll` radians.
    """

    def __init__(self, canvas: Image.Image, unit: float = 1, center: np.ndarray | float = 0, roll: float = 0):
        self.draw, self.unit, self.center = ImageDraw.Draw(canvas), unit, center
        self.rotation = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])

    def points(self, xy: np.ndarray) -> list[tuple[float, float]]:
        """The places (N, 2) in pixels of the canvas."""
        return [tuple(point) for point in (np.asarray(xy) @ self.rotation * self.unit + self.center).tolist()]

    def shape(self, xy: np.ndarray, color: Color) -> None:
        self.draw.polygon(self.points(xy), fill=color)

    def oval(self, x: float, y: float, half_width: float, half_height: float, color: Color) -> None:
        self.shape(np.stack([x + half_width * COS, y + half_height * SIN], axis=1), color)

    def line(self, xy: np.ndarray, width: float, color: Color, joint: str | None = None) -> None:
        self.draw.line(self.points(xy), fill=color, width=max(1, round(width * self.unit)), joint=joint)

    def curve(self, start: tuple, end: tuple, bend: float, width: float, color: Color) -> None:
        """A line that bends downwards by `bend` in its middle."""
        xy = np.linspace(start, end, 9)  # (9, 2)
        xy[:, 1] += bend * np.sin(np.linspace(0, np.pi, 9))
        self.line(xy, width, color, "curve")


def side_of_canvas(size: int) -> int:
    """The side of the canvas for an image of `size` x `size` pixels, which must not be too small to see anything."""
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}.")
    return 2 * size


def shrink(canvas: Image.Image, blur: float) -> np.ndarray:
    """A canvas at half its size, blurred by so many pixels: (height, width, 3) float32, 0 to 1."""
    image = canvas.resize((canvas.width // 2, canvas.height // 2), Image.Resampling.BOX)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255


def to_image(pixels: np.ndarray) -> Image.Image:
    """An RGB image of (height, width, 3) numbers, of which those beyond 0 and 1 are clipped."""
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))
