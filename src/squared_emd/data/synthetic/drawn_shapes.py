"""Drawn shapes in ImageNet's own layout, to try things on without data: no photograph, nothing downloaded."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from squared_emd.data.prepared import prepare_once
from squared_emd.data.synthetic.drawing import Color, Pen, shrink, side_of_canvas, to_image

VERSION = 1  # goes up when another folder comes out of the same arguments

# Where a shape is, by x, y, the distance from its center and the angle; it reaches to 1, y points down. In alphabetical
# order, so that the order says nothing of how they look.
_Where = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
SHAPES: dict[str, _Where] = {
    "arrow": lambda x, y, r, a: ((abs(y) < 0.17) & (x > -0.95) & (x < 0.8)) | ((x > 0.1) & (abs(y) < 0.85 * (1 - x))),
    "checks": lambda x, y, r, a: _square(x, y, 0.86) & ((np.floor(x / 0.43) + np.floor(y / 0.43)) % 2 == 0),
    "crescent": lambda x, y, r, a: (r < 0.95) & (np.hypot(x - 0.45, y) > 0.8),
    "cross": lambda x, y, r, a: _square(x, y, 0.95) & (np.minimum(abs(x), abs(y)) < 0.25),
    "disc": lambda x, y, r, a: r < 0.85,
    "dots": lambda x, y, r, a: _square(x, y, 0.9) & (np.hypot((x + 0.9) % 0.6 - 0.3, (y + 0.9) % 0.6 - 0.3) < 0.21),
    "flower": lambda x, y, r, a: (r < 0.65 + 0.3 * np.cos(5 * a)) & (r > 0.16),
    "frame": lambda x, y, r, a: _square(x, y, 0.82) & ~_square(x, y, 0.5),
    "gear": lambda x, y, r, a: (r < np.where(np.cos(8 * a) > 0, 0.95, 0.7)) & (r > 0.32),
    "heart": lambda x, y, r, a: (1.4 * x**2 + 1.4 * y**2 - 1) ** 3 < -2.2 * x**2 * y**3,
    "ladder": lambda x, y, r, a: (abs(x) < 0.95) & (abs(y) < 0.55) & ((abs(y) > 0.33) | ((x + 0.95) % 0.43 < 0.18)),
    "leaf": lambda x, y, r, a: (np.hypot(x, abs(y) + 0.6) < 1.12) & (abs(y) > 0.04),
    "rays": lambda x, y, r, a: (r < 0.95) & (np.cos(6 * a) > 0),
    "ring": lambda x, y, r, a: (r < 0.92) & (r > 0.58),
    "spiral": lambda x, y, r, a: (r < 0.97) & ((2.3 * r - a / (2 * np.pi)) % 1 < 0.5),
    "star": lambda x, y, r, a: r * (1 + 0.75 * abs((a * 5 / np.pi) % 2 - 1)) < 1,
    "stripes": lambda x, y, r, a: _square(x, y, 0.85) & ((x + 0.85) % 0.378 < 0.19),
    "target": lambda x, y, r, a: (r < 0.95) & (r % 0.38 < 0.19),
    "triangle": lambda x, y, r, a: (y < 0.55) & (abs(x) < 0.58 * (y + 1)),
    "zigzag": lambda x, y, r, a: (abs(x) < 0.95) & (abs(y - 0.35 + 1.4 * abs((x + 0.95) % 0.95 - 0.475)) < 0.19),
}
"""The classes that can be drawn: name -> function of coordinates. None is meant to be near to another."""

README = """These are drawn shapes and no photographs: squared_emd.data.synthetic drew them from random numbers.
The files have the layout of ImageNet with wnids of their own, so that whatever reads ImageNet can be tried on them;
a figure measured on them says nothing about ImageNet. The classes have no order:
"""


def draw_shapes(
    output_dir: str | os.PathLike | None = None,
    *,
    num_classes: int = 20,
    num_train: int = 1500,
    num_validation: int = 300,
    size: int = 96,
    seed: int = 0,
) -> Path:
    """Draws shapes of unordered classes, the first of `SHAPES`, in a training and a validation half as ImageNet has.

    All but the shape varies without regard to the class; the classes have equally many images, as near as can be.
    """
    if not 2 <= num_classes <= len(SHAPES):
        raise ValueError(f"num_classes must be 2 to {len(SHAPES)}, got {num_classes}.")
    sizes = {"num_train": num_train, "num_validation": num_validation}
    for name, number in sizes.items():
        if number < num_classes:
            raise ValueError(f"Each class needs an image: {name} must be at least {num_classes}, got {number}.")
    settings = {"pictures": "shapes", "version": VERSION, "num_classes": num_classes, **sizes}
    settings |= {"size": size, "seed": seed}
    wnids = {f"n{k + 1:08d}": name for k, name in enumerate(list(SHAPES)[:num_classes])}
    readme = README + "".join(f"{wnid} {name}\n" for wnid, name in wnids.items())
    counts = {"train": num_train, "val": num_validation}
    return prepare_once(
        output_dir, "drawn_shapes", settings, readme, lambda folder: _draw_halves(folder, wnids, counts, size, seed)
    )


def _draw_halves(folder: Path, wnids: dict[str, str], counts: dict[str, int], size: int, seed: int) -> None:
    for number, (half, count) in enumerate(counts.items()):
        for wnid in wnids:
            (folder / half / wnid).mkdir(parents=True)
        for i in range(count):
            wnid = list(wnids)[i % len(wnids)]
            image = draw_image(SHAPES[wnids[wnid]], np.random.default_rng((seed, number, i)), size)
            image.save(folder / half / wnid / f"drawn_{half}_{i + 1:08d}.JPEG", quality=90)


def draw_image(where: _Where, rng: np.random.Generator, size: int) -> Image.Image:
    """An image of a shape, `size` x `size` pixels; the rest comes from `rng`, and as much of it for every shape."""
    side = side_of_canvas(size)
    radius = side * rng.uniform(0.28, 0.4)
    center = side / 2 + rng.uniform(-0.08, 0.08, 2) * side
    color, behind = _colors(rng)
    canvas = _field(behind, side)
    pen = Pen(canvas)
    for _ in range(6):  # clutter
        _draw_blot(pen, rng, rng.uniform(0, side, 2), side * rng.uniform(0.03, 0.1), _any_color(rng))

    turn, stretch = rng.uniform(-0.55, 0.55), rng.uniform(0.85, 1.18)
    down, right = (np.mgrid[:side, :side] + 0.5 - center[:, None, None]) / radius  # (side, side) each
    x = (right * np.cos(turn) + down * np.sin(turn)) * stretch
    y = (down * np.cos(turn) - right * np.sin(turn)) / stretch
    inside = where(x, y, np.hypot(x, y), np.arctan2(y, x))  # (side, side)
    canvas.paste(_field(color, side), mask=Image.fromarray(inside))

    for _ in range(rng.integers(1, 3)):  # what covers a part of it
        angle, distance = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0.4, 1.0)
        middle = center[::-1] + distance * np.array([np.cos(angle), np.sin(angle)])
        _draw_blot(pen, rng, middle, radius * rng.uniform(0.2, 0.45), _any_color(rng))
    pixels = shrink(canvas, rng.uniform(0, 0.01) * size)  # (size, size, 3)
    return to_image(pixels ** rng.uniform(0.8, 1.25) + rng.normal(0, rng.uniform(0.02, 0.09), pixels.shape))


def _any_color(rng: np.random.Generator) -> Color:
    return tuple(rng.integers(20, 236, 3).tolist())


def _colors(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two fields of colors, (2, 2, 3) and (4, 4, 3), whose means differ enough to tell them apart."""
    while True:
        first, second = rng.uniform(30, 226, (2, 3))
        if np.linalg.norm(first - second) > 100:
            break
    return first + rng.normal(0, 15, (2, 2, 3)), second + rng.normal(0, 25, (4, 4, 3))


def _field(colors: np.ndarray, side: int) -> Image.Image:
    """Colors that go over into each other, as an image."""
    image = Image.fromarray(colors.clip(0, 255).astype(np.uint8))
    return image.resize((side, side), Image.Resampling.BICUBIC)


def _draw_blot(pen: Pen, rng: np.random.Generator, center: np.ndarray, radius: float, color: Color) -> None:
    """A polygon with three to six corners around a place."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
    reach = radius * rng.uniform(0.7, 1.3, len(angles))
    pen.shape(center + (reach * np.stack([np.cos(angles), np.sin(angles)])).T, color)


def _square(x: np.ndarray, y: np.ndarray, half: float) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) < half
