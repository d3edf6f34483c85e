"""Where views look: from a file, from a decoded picture and from a stored small one, against the equations in float64.

The pictures are grey ramps, so that a view's values are the coordinates of the places it shows.
"""

import io
import math

import numpy as np
import pytest
import torch
from datasets import Dataset, Features, Image
from PIL import Image as PILImage

from squared_emd.data.small_pictures import small_pictures
from squared_emd.vision.alexnet_transforms import AlexNetTrainTransform
from squared_emd.vision.transforms import EvalTransform, TrainTransform

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SIZE, CROP, STORED = 56, 7 / 8, 64  # 64 pixels of the shorter side are used; a JPEG of 192 and more is decoded smaller
SHAPES = [(256, 256), (403, 259), (261, 389)]
WAYS = ("decoded before", "from the file", "stored small")


class Ramps:
    """Two pictures of one size: the column, and the row, of each pixel."""

    def __init__(self, width, height, folder):
        self.shape = width, height
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        rng = np.random.default_rng(0)
        self.files = []
        for places, side in ((columns, width), (rows, height)):
            file = io.BytesIO()
            grey = (places + 0.5) * 255 / side  # of the pixel's centre
            grey = np.floor(grey + rng.random(grey.shape))  # that on average, with nothing regular in the rounding
            PILImage.fromarray(grey.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=100)
            self.files.append({"bytes": file.getvalue(), "path": "ramp.jpg"})
        small = small_pictures(
            Dataset.from_dict({"image": self.files}, features=Features(image=Image())), STORED, cache_dir=folder
        )
        self.pictures = {
            "decoded before": [PILImage.open(io.BytesIO(file["bytes"])) for file in self.files],
            "from the file": self.files,
            "stored small": small.cast_column("image", Image(decode=False))[:]["image"],
        }

    def places(self, transform, way, seed):
        """(2, size, size): the x and y in the full picture, in pixels from its left and top, that a view shows."""
        views = []
        for picture, side in zip(self.pictures[way], self.shape, strict=True):
            torch.manual_seed(seed)
            views.append(transform(picture)[0].double().numpy() * side)
        return np.stack(views)


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def ramps(request, tmp_path_factory):
    return Ramps(*request.param, tmp_path_factory.mktemp("small"))


def training_places(width, height, seed):
    """The same as `Ramps.places` for `TrainTransform`, and the angle, the ratio of sides and whether it is mirrored."""
    torch.manual_seed(seed)
    draws = torch.rand(8).double().numpy()
    side = CROP * min(width, height)
    centre = np.array([side / 2 + draws[0] * (width - side), side / 2 + draws[1] * (height - side)])
    angle = math.radians(20 * (2 * draws[2] - 1))
    ratio = 1 + 0.1 * (2 * draws[3] - 1)
    mirrored = draws[4] < 0.5
    steps = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    across, down = np.meshgrid(steps, steps)
    across = across * side * math.sqrt(ratio) * (-1 if mirrored else 1)
    down = down * side / math.sqrt(ratio)
    turned = np.stack(
        [math.cos(angle) * across - math.sin(angle) * down, math.sin(angle) * across + math.cos(angle) * down]
    )
    return centre[:, None, None] + turned, math.degrees(angle), ratio, mirrored


def corners(places, inside):
    """(2, 4): where the four corners of a view lie, by the affine map that fits the places inside the picture best."""
    rows, columns = np.nonzero(inside)
    design = np.stack([columns, rows, np.ones_like(rows)], -1) / 1.0
    fit = np.linalg.lstsq(design, places[:, inside].T, rcond=None)[0]  # (3, 2)
    ends = np.array([[x, y, 1] for x in (-0.5, SIZE - 0.5) for y in (-0.5, SIZE - 0.5)])
    return (ends @ fit).T


def inside(places, shape, margin=12):
    """Where the picture shows itself, not its reflection or what the triangle filter cuts off at the edge."""
    limits = np.array(shape)[:, None, None]
    return ((places > margin) & (places < limits - margin)).all(0)


def tolerance(way, shape):
    """A pixel; where both sides of a stored picture were rounded to whole pixels, half a pixel of it."""
    width, height = shape
    return 1 if way != "stored small" or width == height else 0.5 * min(shape) / STORED


@pytest.mark.parametrize("way", WAYS)
def test_training_views_show_the_same_places_within_a_pixel(ramps, way):
    transform = TrainTransform(SIZE, ZERO, ONE, colour=0.0)
    for seed in range(12):
        expected, *_ = training_places(*ramps.shape, seed)
        where = inside(expected, ramps.shape)
        assert where.mean() > 0.5
        seen = ramps.places(transform, way, seed)
        assert np.abs(corners(seen, where) - corners(expected, where)).max() < tolerance(way, ramps.shape)


@pytest.mark.parametrize("way", WAYS)
def test_statistics_of_training_views(ramps, way):
    """Of the same 100 seeds: angles, ratios, mirror images and centres as they were drawn."""
    transform = TrainTransform(SIZE, ZERO, ONE, colour=0.0)
    drawn, measured = [], []
    for seed in range(100):
        expected, angle, ratio, mirrored = training_places(*ramps.shape, seed)
        where = inside(expected, ramps.shape)
        left_top, left_bottom, right_top, right_bottom = corners(ramps.places(transform, way, seed), where).T
        down, across = left_bottom - left_top, right_top - left_top
        measured.append(
            [
                math.degrees(math.atan2(-down[0], down[1])),
                np.linalg.norm(across) / np.linalg.norm(down),
                across[0] * down[1] - across[1] * down[0] < 0,
                *(left_top + right_bottom) / 2,
            ]
        )
        drawn.append([angle, ratio, mirrored, *expected.mean((1, 2))])
    drawn, measured = np.array(drawn, float), np.array(measured, float)
    assert (measured[:, 2] == drawn[:, 2]).all()
    tolerances = np.array([0.3, 0.01, 1e-12, 0.5, 0.5])  # degrees, -, -, pixels
    assert (np.abs(measured.mean(0) - drawn.mean(0)) < tolerances).all()
    assert (np.abs(measured.std(0) - drawn.std(0)) < tolerances).all()
    assert 35 < drawn[:, 2].sum() < 65 and drawn[:, 0].std() > 9  # they do vary


@pytest.mark.parametrize("way", WAYS)
def test_evaluation_views_show_the_same_places_within_a_pixel(ramps, way):
    width, height = ramps.shape
    side = CROP * min(width, height)
    seen = corners(ramps.places(EvalTransform(SIZE, ZERO, ONE), way, 0), np.full((SIZE, SIZE), True))
    left, top = (width - side) / 2, (height - side) / 2
    expected = [[left, left, left + side, left + side], [top, top + side, top, top + side]]
    assert np.abs(seen - expected).max() < tolerance(way, ramps.shape)


@pytest.mark.parametrize("way", WAYS)
def test_alexnets_views_show_the_same_places_within_a_pixel(ramps, way):
    width, height = ramps.shape
    square = min(width, height)
    side = 224 / 256 * square
    for seed in range(8):
        torch.manual_seed(seed)
        x, y, mirror = torch.rand(3, dtype=torch.float64).tolist()
        left, top = (width - square) / 2 + x * (square - side), (height - square) / 2 + y * (square - side)
        ends = [left + side, left] if mirror < 0.5 else [left, left + side]
        expected = [[ends[0], ends[0], ends[1], ends[1]], [top, top + side, top, top + side]]
        seen = ramps.places(AlexNetTrainTransform(SIZE, ZERO, ONE, light=0.0), way, seed)
        assert np.abs(corners(seen, inside(seen, ramps.shape)) - expected).max() < tolerance(way, ramps.shape)


@pytest.mark.parametrize("seed", [0, 3, 5, 11])  # whose corners lie outside, on all four sides
def test_what_lies_outside_is_the_reflection(seed):
    """Value by value where nothing is reduced: bilinear between pixels, reflected about the picture's edges."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 72, 3)).astype(np.uint8)
    torch.manual_seed(seed)
    view = TrainTransform(SIZE, ZERO, ONE, colour=0.0)(PILImage.fromarray(pixels)).double().numpy() * 255
    (x, y), *_ = training_places(72, 64, seed)
    assert x.min() < 0 or y.min() < 0 or x.max() > 72 or y.max() > 64
    padded = np.pad(pixels, ((40, 40), (40, 40), (0, 0)), "symmetric").astype(float)
    x, y = x - 0.5 + 40, y - 0.5 + 40  # a pixel's centre is a half from its left
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = (x - column)[..., None], (y - row)[..., None]
    expected = (
        padded[row, column] * (1 - right) * (1 - below)
        + padded[row, column + 1] * right * (1 - below)
        + padded[row + 1, column] * (1 - right) * below
        + padded[row + 1, column + 1] * right * below
    )
    np.testing.assert_allclose(view, expected.transpose(2, 0, 1), atol=0.02)  # float32 coordinates to 1e-5 of 72
