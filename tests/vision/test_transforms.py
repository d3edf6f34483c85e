"""Where the views look and what they show, against the equations in float64.

Most images are gray ramps, so that a view's values are the coordinates of the places it shows.
"""

import io
import math
import pickle

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from tests.vision.images import ONE, ORIENTATION, ZERO, jpeg, noise

from squared_emd.vision.transforms import (
    IMAGENET_EIGENVALUES,
    IMAGENET_EIGENVECTORS,
    AlexNetTrainTransform,
    EvalTransform,
    TrainTransform,
    with_views,
)

SIZE, CROP = 56, 7 / 8  # 64 pixels of the shorter side are used; a JPEG of 192 and more is decoded smaller
SHAPES = [(256, 256), (403, 259), (261, 389)]
STILL = {"degrees": 0.0, "aspect": 0.0, "color": 0.0, "flip": 0.0}
SEEDS = range(8)


class Ramps:
    """Two images of one size: the column, and the row, of each pixel."""

    def __init__(self, width, height):
        self.shape = width, height
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        rng = np.random.default_rng(0)
        self.files = []
        for places, side in ((columns, width), (rows, height)):
            gray = (places + 0.5) * 255 / side  # of the pixel's center
            gray = np.floor(gray + rng.random(gray.shape))  # that on average, with nothing regular in the rounding
            self.files.append(jpeg(Image.fromarray(gray.clip(0, 255).astype(np.uint8)), quality=100))
        self.decoded = [Image.open(io.BytesIO(file["bytes"])) for file in self.files]

    def corners(self, transform, seed, expected=None):
        """(2, 4): where the corners of a view lie, by the affine map that fits the places that it shows."""
        inside = np.full((SIZE, SIZE), True) if expected is None else self.inside(expected)
        assert inside.mean() > 0.5
        found = []
        for images in (self.files, self.decoded):
            views = []
            for image, side in zip(images, self.shape, strict=True):
                torch.manual_seed(seed)
                views.append(transform(image)[0].double().numpy() * side)
            found.append(corners(np.stack(views), inside))
        return found

    def inside(self, places, margin=12):
        """Where the image shows itself, not its reflection or what the triangle filter cuts off at the edge."""
        limits = np.array(self.shape)[:, None, None]
        return ((places > margin) & (places < limits - margin)).all(0)


def corners(places, inside):
    rows, columns = np.nonzero(inside)
    design = np.stack([columns, rows, np.ones_like(rows)], -1) / 1.0
    fit = np.linalg.lstsq(design, places[:, inside].T, rcond=None)[0]  # (3, 2)
    ends = np.array([[x, y, 1] for x in (-0.5, SIZE - 0.5) for y in (-0.5, SIZE - 0.5)])
    return (ends @ fit).T


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def ramps(request):
    return Ramps(*request.param)


def train_places(width, height, seed):
    """(2, SIZE, SIZE): the x and y that `TrainTransform` should show, in pixels of the image, from its draws."""
    torch.manual_seed(seed)
    draws = torch.rand(8).double().numpy()
    side = CROP * min(width, height)
    center = np.array([side / 2 + draws[0] * (width - side), side / 2 + draws[1] * (height - side)])
    angle = math.radians(20 * (2 * draws[2] - 1))
    ratio = 1 + 0.1 * (2 * draws[3] - 1)
    steps = (np.arange(SIZE) + 0.5) / SIZE - 0.5
    across, down = np.meshgrid(steps, steps)
    across = across * side * math.sqrt(ratio) * (-1 if draws[4] < 0.5 else 1)
    down = down * side / math.sqrt(ratio)
    turned = [math.cos(angle) * across - math.sin(angle) * down, math.sin(angle) * across + math.cos(angle) * down]
    return center[:, None, None] + np.stack(turned)


def test_training_views_lie_where_they_were_drawn(ramps):
    transform = TrainTransform(SIZE, ZERO, ONE, color=0.0)
    for seed in SEEDS:
        expected = train_places(*ramps.shape, seed)
        for found in ramps.corners(transform, seed, expected):
            assert np.abs(found - corners(expected, ramps.inside(expected))).max() < 1  # pixel


def test_evaluation_views_lie_in_the_center(ramps):
    width, height = ramps.shape
    side = CROP * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    expected = [[left, left, left + side, left + side], [top, top + side, top, top + side]]
    for found in ramps.corners(EvalTransform(SIZE, ZERO, ONE), 0):
        assert np.abs(found - expected).max() < 1


def alexnet_box(width, height, seed):
    """Left, top, side of the patch, and whether it is flipped."""
    torch.manual_seed(seed)
    x, y, flip = torch.rand(3, dtype=torch.float64).tolist()
    square = min(width, height)
    side = 224 / 256 * square
    return (width - square) / 2 + x * (square - side), (height - square) / 2 + y * (square - side), side, flip < 0.5


def test_alexnet_views_lie_where_they_were_drawn(ramps):
    flips = set()
    for seed in SEEDS:
        left, top, side, flip = alexnet_box(*ramps.shape, seed)
        ends = [left + side, left] if flip else [left, left + side]
        expected = np.array([[ends[0], ends[0], ends[1], ends[1]], [top, top + side, top, top + side]])
        x = np.linspace(*ends, SIZE)[None, :].repeat(SIZE, 0)
        y = np.linspace(top, top + side, SIZE)[:, None].repeat(SIZE, 1)
        for found in ramps.corners(AlexNetTrainTransform(SIZE, ZERO, ONE, lighting=0.0), seed, np.stack([x, y])):
            assert np.abs(found - expected).max() < 1
        flips.add(flip)
    assert flips == {True, False}


@pytest.mark.parametrize("seed", [0, 3, 5, 11])  # whose corners lie outside, on all four sides
def test_what_lies_outside_is_the_reflection(seed):
    """Value by value where nothing is reduced: bilinear between pixels, reflected about the image's edges."""
    pixels = noise(72, 64, seed)
    x, y = train_places(72, 64, seed)
    assert x.min() < 0 or y.min() < 0 or x.max() > 72 or y.max() > 64
    torch.manual_seed(seed)
    view = TrainTransform(SIZE, ZERO, ONE, color=0.0)(Image.fromarray(pixels)).double().numpy() * 255
    padded = np.pad(pixels, ((40, 40), (40, 40), (0, 0)), "symmetric").astype(float)
    x, y = x - 0.5 + 40, y - 0.5 + 40  # a pixel's center is a half from its left
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, below = (x - column)[..., None], (y - row)[..., None]
    expected = (
        padded[row, column] * (1 - right) * (1 - below)
        + padded[row, column + 1] * right * (1 - below)
        + padded[row + 1, column] * (1 - right) * below
        + padded[row + 1, column + 1] * right * below
    )
    np.testing.assert_allclose(view, expected.transpose(2, 0, 1), atol=0.02)  # float32 coordinates to 1e-5 of 72


@pytest.mark.parametrize("color", [0.05, 0.5])
def test_color_is_a_factor_of_each_channel_and_clipped(color):
    transform = TrainTransform(16, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0), color=color)
    for seed in SEEDS:
        torch.manual_seed(seed)
        factors = 1 + color * (2 * torch.rand(8)[5:] - 1)
        torch.manual_seed(seed)
        view = transform(Image.new("RGB", (32, 32), (200, 100, 255)))
        expected = (factors * torch.tensor([200, 100, 255]) / 255).clamp(max=1)
        expected = (expected - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.25, 2.0])
        torch.testing.assert_close(view, expected[:, None, None].expand_as(view))


@pytest.mark.parametrize(("width", "height", "left", "top"), [(24, 16, 5, 1), (16, 24, 1, 5), (16, 16, 1, 1)])
def test_center_crop_is_exact(width, height, left, top):
    pixels = noise(width, height)
    expected = torch.from_numpy(pixels[top : top + 14, left : left + 14] / 255).permute(2, 0, 1).float()
    view = EvalTransform(14, ZERO, ONE)(Image.fromarray(pixels))  # 14 = 7/8 of 16
    torch.testing.assert_close(view, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("side", "size"), [(16, 16), (16, 40), (64, 16)], ids=["same", "enlarged", "reduced"])
def test_views_without_chance_are_the_center_crop(side, size):
    image, options = Image.fromarray(noise(side, side)), {"crop": 1.0}
    expected = EvalTransform(size, ZERO, ONE, **options)(image)
    # PIL rounds to 8 bits after the rows and again after the columns, half a level each; PyTorch does not round.
    train = TrainTransform(size, ZERO, ONE, **options, **STILL)(image)
    torch.testing.assert_close(train, expected, atol=1.01 / 255, rtol=0)
    alexnet = AlexNetTrainTransform(size, ZERO, ONE, **options, flip=0.0, lighting=0.0)(image)
    torch.testing.assert_close(alexnet, expected, atol=0, rtol=0)


def test_reduction_averages():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    view = TrainTransform(32, ZERO, ONE, color=0.0)(Image.fromarray(stripes))
    torch.testing.assert_close(view, torch.full((3, 32, 32), 0.5), atol=0.02, rtol=0)


def resampled(line, start, stop, size):
    """`size` values along the first axis of `line` between two places, by the triangle that widens when reducing."""
    scale = (stop - start) / size
    values = []
    for i in range(size):
        distance = np.abs(np.arange(len(line)) + 0.5 - (start + (i + 0.5) * scale))
        weights = np.clip(1 - distance / max(scale, 1), 0, None)
        values.append(np.tensordot(weights / weights.sum(), line, 1))
    return np.stack(values)


@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (10, 10)], ids=["wide", "high", "enlarged"])
def test_alexnet_view_by_hand(width, height):
    """A triangle filter, a crop, a flip, and a sum of principal components that is not clipped."""
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.5, 0.25, 2.0])
    for seed in SEEDS:
        left, top, side, flip = alexnet_box(width, height, seed)
        deviates = (0.1 * torch.randn(3)).double().numpy()
        pixels = resampled(noise(width, height) / 255, top, top + side, 14)  # (14, width, 3)
        pixels = resampled(pixels.swapaxes(0, 1), left, left + side, 14).swapaxes(0, 1)  # (14, 14, 3)
        pixels = pixels[:, ::-1] if flip else pixels
        pixels = pixels + np.array(IMAGENET_EIGENVECTORS) @ (deviates * IMAGENET_EIGENVALUES)
        torch.manual_seed(seed)
        view = AlexNetTrainTransform(14, mean, std)(Image.fromarray(noise(width, height)))
        level = 1.01 / 255 / std  # PIL rounds twice, half a level each
        assert (np.abs(view.permute(1, 2, 0).numpy() - (pixels - mean) / std) < level).all()
    white = AlexNetTrainTransform(4, ZERO, ONE, lighting=1.0)
    assert max(white(Image.new("RGB", (8, 8), "white")).max() for _ in range(9)) > 1


def test_published_components():
    vectors = np.array(IMAGENET_EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-4)  # four digits are published
    assert np.ptp(vectors[:, 0]) < 0.02  # the strongest component is gray


@pytest.mark.parametrize(("width", "height"), [(7, 5), (333, 500), (1, 1)])
def test_any_size_without_rounding_errors(width, height):
    transform = AlexNetTrainTransform(9, ZERO, ONE, crop=1.0, lighting=0.0)
    for _ in range(20):
        assert transform(Image.fromarray(noise(width, height))).shape == (3, 9, 9)


@pytest.mark.parametrize("kind", [TrainTransform, EvalTransform, AlexNetTrainTransform])
def test_orientation_seed_and_worker_processes(kind, tmp_path):
    upright = Image.fromarray(noise(16, 24))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise when shown
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "stored.png", exif=exif)
    transform = kind(14, ZERO, ONE)
    torch.manual_seed(0)
    views = torch.stack([transform(upright) for _ in range(9)]).flatten(1)
    assert len(views.unique(dim=0)) == (1 if kind is EvalTransform else 9)
    for source in (upright, tmp_path / "stored.png"):
        torch.manual_seed(0)
        assert torch.equal(pickle.loads(pickle.dumps(transform))(source).flatten(), views[0])


def test_with_views(tmp_path):
    paths = [str(tmp_path / f"{k}.jpg") for k in range(2)]
    for seed, path in enumerate(paths):
        Image.fromarray(noise(64, 64, seed)).save(path, quality=95)
    features = datasets.Features(face=datasets.Image(), age=datasets.Value("int64"))
    data = datasets.Dataset.from_dict({"face": paths, "age": [4, 7]}, features=features)
    transform = EvalTransform(14, ZERO, ONE)
    rows = with_views(data, transform, "face", "age")[:]
    assert rows["labels"] == [4, 7]
    assert all(torch.equal(view, transform(path)) for view, path in zip(rows["pixel_values"], paths, strict=True))
    with Image.open(paths[0]) as image:  # decoded in full, where that of the file is decoded at half its size
        assert not torch.equal(rows["pixel_values"][0], transform(image))
    assert with_views(data, transform, "face", None)[0].keys() == {"pixel_values"}
    assert data[0]["face"].size == (64, 64)  # the dataset itself is unchanged
