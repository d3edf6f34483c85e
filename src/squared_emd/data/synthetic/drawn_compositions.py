"""Drawn compositions in AADB's own layout, to try things on without data: no photograph, nothing downloaded.

The rule that scores an image is written here, in full. Six properties, each from 0 (bad) to 1 (good), can be seen in
it, and the score is their weighted mean (`WEIGHTS`):

- `thirds`: how near the subject stands to one of the four points where the lines at thirds cross; 1 on the point,
  falling straight to 0 at the distance of the image's center.
- `harmony`: all hues are near one hue or its complement, or everything has a loud hue of its own.
- `light`: full contrast, or all tones drawn together to a quarter of it, towards dark, gray or white.
- `calm`: no rubbish lies about, or up to `MAX_CLUTTER` pieces do; 1 - pieces / `MAX_CLUTTER`.
- `sharpness`: no blur, or one of `MAX_BLUR` of the image's width.
- `level`: the horizon lies flat, or leans by up to `MAX_TILT` degrees.

An image has a skill, drawn from a Beta(1.5, 1.5) distribution, and each property is that skill and a normal deviate of
`PROPERTY_NOISE`, clipped to 0..1: the properties go together, as they do where someone knows how to take images. Five
raters see the score, each with a normal deviate of `RATER_NOISE`, and give one to five stars, the nearest of 0, 0.25,
0.5, 0.75 and 1. The label is their mean, so a multiple of 0.05 from 0 to 1; the rank correlation of the rule itself
with it is about 0.86, and no network can be expected to do better.
"""

import colorsys
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from squared_emd.data.aadb import IMAGE_FOLDERS, INFO
from squared_emd.data.prepared import prepare_once
from squared_emd.data.published_files import write_mat
from squared_emd.data.synthetic.drawing import Color, Pen, shrink, side_of_canvas, to_image

WEIGHTS = {"thirds": 0.15, "harmony": 0.2, "light": 0.2, "calm": 0.2, "sharpness": 0.15, "level": 0.1}
"""What each property counts for in the score; their sum is 1."""

PROPERTY_NOISE = 0.22
"""Standard deviation of a property about the skill of its image."""

RATER_NOISE = 0.3
"""Standard deviation of a rater's view about the score, before the stars are rounded."""

MAX_CLUTTER, MAX_BLUR, MAX_TILT = 10, 0.03, 16

VERSION = 1  # goes up when another folder comes out of the same arguments

NUM_RATERS, STARS = 5, 4  # the stars above the lowest one
README = """These are drawn compositions and no photographs: squared_emd.data.synthetic drew them by rule, from
random numbers. Their scores follow from the same rule and from made-up raters; rule.csv holds the properties of each
image and the score before the raters. The files have the layout of AADB, so that whatever reads AADB can be tried on
them; nothing that is measured on them says anything about aesthetics or about AADB.
"""


def draw_compositions(
    output_dir: str | os.PathLike | None = None,
    *,
    num_train: int = 1200,
    num_test: int = 300,
    size: int = 96,
    seed: int = 0,
) -> Path:
    """Draws landscapes with a real-valued score by the rule above, laid out as AADB is.

    `rule.csv` in the folder has the properties and the score before the raters.
    """
    if min(num_train, num_test) < 1:
        raise ValueError(f"num_train and num_test must be at least 1, got {num_train} and {num_test}.")
    counts = {"train": num_train, "test": num_test}
    settings = {"pictures": "compositions", "version": VERSION, **counts, "size": size, "seed": seed}
    return prepare_once(
        output_dir, "drawn_compositions", settings, README, lambda folder: _draw_all(folder, counts, size, seed)
    )


def _draw_all(folder: Path, counts: dict[str, int], size: int, seed: int) -> None:
    rows = []
    for part, (split, count) in enumerate(counts.items()):
        (folder / IMAGE_FOLDERS[split]).mkdir()
        for k in range(count):
            rng = np.random.default_rng((seed, part, k))
            name = f"drawn_{split}_{k:05d}.jpg"
            wanted = np.clip(rng.beta(1.5, 1.5) + rng.normal(0, PROPERTY_NOISE, len(WEIGHTS)), 0, 1)
            image, properties = _draw_scene(dict(zip(WEIGHTS, wanted.tolist(), strict=True)), rng, size)
            image.save(folder / IMAGE_FOLDERS[split] / name, quality=92)
            rule = sum(WEIGHTS[key] * value for key, value in properties.items())
            views = rule + rng.normal(0, RATER_NOISE, NUM_RATERS)
            stars = np.clip(np.rint(STARS * views), 0, STARS).sum()
            score = float(stars / (STARS * NUM_RATERS))
            numbers = {key: f"{value:.4f}" for key, value in (properties | {"score_before_raters": rule}).items()}
            rows.append({"split": split, "name": name} | numbers | {"score": score})
    table = pd.DataFrame(rows)
    table.to_csv(folder / "rule.csv", index=False, lineterminator="\r\n")
    info = {}
    for split, images in table.groupby("split", sort=False):
        info[f"{split}NameList"] = images[["name"]].to_numpy(dtype=object).T  # (1, N), a cell array
        info[f"{split}Score"] = images[["score"]].to_numpy().T  # (1, N)
    write_mat(folder / INFO, info, "drawn compositions")


def _draw_scene(wanted: dict[str, float], rng: np.random.Generator, size: int) -> tuple[Image.Image, dict[str, float]]:
    """An image of `size` x `size` pixels and its properties: `wanted`, as far as whole pieces and edges allow."""
    pen = _LandPen(wanted, rng, side_of_canvas(size))
    properties = dict(wanted)
    _draw_land(pen)
    pieces = round((1 - wanted["calm"]) * MAX_CLUTTER)
    properties["calm"] = 1 - pieces / MAX_CLUTTER
    subject, properties["thirds"] = _place(wanted["thirds"], rng)
    _draw_subject(pen, subject)
    for _ in range(pieces):
        _draw_piece(pen, subject)
    pixels = shrink(pen.canvas, (1 - wanted["sharpness"]) * MAX_BLUR * size)  # (size, size, 3)
    tone = rng.choice([0.05, 0.5, 0.95])
    pixels = tone + (0.25 + 0.75 * wanted["light"]) * (pixels - tone)
    return to_image(pixels + rng.normal(0, 0.012, pixels.shape)), properties


def _place(wanted: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Where the subject stands, and how near that is to a point of thirds."""
    points = np.array([(x, y) for x in (1 / 3, 2 / 3) for y in (1 / 3, 2 / 3)])
    reach = np.hypot(1 / 6, 1 / 6)  # from such a point to the center
    turn = rng.uniform(0, 2 * np.pi)
    start = points[rng.integers(4)]
    place = start + (1 - wanted) * reach * np.array([np.cos(turn), np.sin(turn)])
    place = place.clip(0.12, 0.88)
    return place, float(max(0, 1 - np.hypot(*(points - place).T).min() / reach))


class _LandPen(Pen):
    """Draws in parts of the image's side: (0, 0) is the upper left corner, (1, 1) the lower right one."""

    def __init__(self, wanted: dict[str, float], rng: np.random.Generator, side: int):
        self.canvas, self.rng = Image.new("RGB", (side, side)), rng
        super().__init__(self.canvas, unit=side)
        self.clash = 1 - wanted["harmony"]
        self.hue = rng.uniform(0, 1)
        self.lean = np.radians((1 - wanted["level"]) * MAX_TILT) * rng.choice([-1, 1])
        self.horizon = rng.choice([0.36, 0.62]) + rng.uniform(-0.04, 0.04)

    def color(self, light: float, turn: float = 0.0) -> Color:
        """A color of the palette, which a clash turns to another hue and makes louder."""
        hue = self.hue + turn + self.clash * self.rng.uniform(-0.5, 0.5)
        saturation = 0.42 + 0.53 * self.clash
        return tuple(round(255 * part) for part in colorsys.hls_to_rgb(hue % 1, light, saturation))

    def ground(self, x: np.ndarray) -> np.ndarray:
        """The height of the horizon at x."""
        return self.horizon + np.tan(self.lean) * (x - 0.5)


def _draw_land(pen: _LandPen) -> None:
    """Sky, sun, hills and ground."""
    rng = pen.rng
    x = np.linspace(0, 1, 25)
    top, low = np.array(pen.color(0.55)), np.array(pen.color(0.86))
    part = np.linspace(0, 1, pen.canvas.height)[:, None, None]  # (side, 1, 1)
    sky = np.broadcast_to(top + (low - top) * part, (*pen.canvas.size, 3))
    pen.canvas.paste(Image.fromarray(sky.astype(np.uint8)))
    sun, height = rng.uniform(0.15, 0.85), rng.uniform(0.25, 0.7) * pen.horizon
    for radius, light in ((0.085, 0.88), (0.055, 0.96)):
        pen.oval(sun, height, radius, radius, pen.color(light, 0.05))
    for k, light in enumerate((0.62, 0.46)):
        waves = np.sin(2 * np.pi * (rng.uniform(0.7, 1.6) * x + rng.uniform(0, 1)))
        ridge = pen.ground(x) - (0.075 - 0.035 * k) * (1 + waves)
        pen.shape([*np.stack([x, ridge], axis=1), (1, 1.3), (0, 1.3)], pen.color(light, 0.03))
    for k, light in enumerate((0.34, 0.28, 0.22)):
        edge = pen.ground(x) + 0.13 * k * (1 + k)
        pen.shape([*np.stack([x, edge], axis=1), (1, 1.4), (0, 1.4)], pen.color(light, 0.08))


def _draw_piece(pen: _LandPen, subject: np.ndarray) -> None:
    """One piece of rubbish, not upon the subject."""
    rng = pen.rng
    while True:
        x, y = rng.uniform(0.03, 0.97, 2)
        if np.hypot(x - subject[0], y - subject[1]) > 0.17:
            break
    color = pen.color(rng.choice([0.16, 0.45, 0.72, 0.9]), 0.5)
    width, height, turn = rng.uniform(0.02, 0.05), rng.uniform(0.03, 0.07), rng.uniform(0, np.pi)
    corners = {0: 33, 1: 4, 2: 5}[int(rng.integers(3))]  # an oval, a triangle or a box
    angles = np.linspace(0, 2 * np.pi, corners)
    local = np.stack([width * np.cos(angles), height * np.sin(angles)], axis=1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pen.shape(local @ rotation.T + (x, y), color)


def _draw_subject(pen: _LandPen, place: np.ndarray) -> None:
    """A balloon where the place is in the sky, else a tree or a house; its middle is at `place`."""
    rng, (x, y) = pen.rng, place
    scale = rng.uniform(0.9, 1.15)
    dark, bright = pen.color(0.16, 0.5), pen.color(0.78, 0.5)
    if y + 0.1 < pen.ground(x):
        pen.oval(x, y - 0.02 * scale, 0.095 * scale, 0.115 * scale, dark)
        pen.oval(x, y - 0.02 * scale, 0.04 * scale, 0.115 * scale, bright)
        pen.shape(np.array([(-0.03, 0.12), (0.03, 0.12), (0.022, 0.165), (-0.022, 0.165)]) * scale + place, dark)
    elif rng.random() < 0.5:
        pen.shape(np.array([(-0.02, 0), (0.02, 0), (0.03, 0.16), (-0.03, 0.16)]) * scale + place, dark)
        for dx, dy, radius in ((0, -0.07, 0.085), (-0.055, -0.01, 0.065), (0.055, -0.01, 0.065)):
            pen.oval(x + dx * scale, y + dy * scale, radius * scale, radius * scale, dark)
        pen.oval(x + 0.025 * scale, y - 0.08 * scale, 0.045 * scale, 0.04 * scale, bright)
    else:
        pen.shape(np.array([(-0.09, -0.03), (0.09, -0.03), (0.09, 0.13), (-0.09, 0.13)]) * scale + place, bright)
        pen.shape(np.array([(-0.12, -0.03), (0, -0.14), (0.12, -0.03)]) * scale + place, dark)
        pen.shape(np.array([(-0.025, 0.04), (0.025, 0.04), (0.025, 0.13), (-0.025, 0.13)]) * scale + place, dark)
