"""The views are measured from their pixels alone."""

import pickle

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from squared_emd.vision.transforms import EvalTransform, TrainTransform, apply_to_batch, with_views

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
STILL = {"degrees": 0.0, "aspect": 0.0, "colour": 0.0, "mirror": 0.0}
SIZE, SIDE = 64, 256


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ramps():
    """Red is the column and green the row of each pixel, so that a view's colours say where it looks."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.uint8)
    return Image.fromarray(np.stack([columns, rows, np.zeros_like(rows)], -1))


@pytest.fixture(scope="module")
def placements():
    """For 400 views of the ramps, the affine map from the view's pixels to the picture's, by least squares."""
    torch.manual_seed(1)
    transform, image = TrainTransform(SIZE, ZERO, ONE, crop=0.5, colour=0.0), ramps()
    middle = torch.arange(28, 36)  # far from what is reflected
    rows, columns = torch.meshgrid(middle, middle, indexing="ij")
    design = torch.stack([columns, rows, torch.ones_like(rows)], -1).reshape(-1, 3).double()
    design[:, :2] -= (SIZE - 1) / 2  # the third coefficient is then where the view's centre lies
    maps = []
    for _ in range(400):
        view = transform(image)[:2, 28:36, 28:36].reshape(2, -1).double() * 255  # (2, 64)
        maps.append(torch.linalg.lstsq(design, view.T).solution.T)
    return torch.stack(maps).numpy()  # (400, 2, 3)


def test_mirror_rate(placements):
    mirrored = np.linalg.det(placements[:, :, :2]) < 0
    assert abs(mirrored.mean() - 0.5) < 4 * np.sqrt(0.25 / 400)  # 4 standard errors


def test_rotation_is_uniform_within_20_degrees(placements):
    down = placements[:, :, 1]  # one step down the view, in the picture; a mirror image leaves it alone
    angles = np.degrees(np.arctan2(-down[:, 0], down[:, 1]))
    assert np.abs(angles).max() < 20.01 and angles.min() < -19 and angles.max() > 19
    counts = np.histogram(angles, bins=4, range=(-20, 20))[0]
    assert np.abs(counts - 100).max() < 4 * np.sqrt(400 * 0.25 * 0.75)


def test_aspect_is_uniform_within_10_percent_and_the_area_stays(placements):
    right, down = np.linalg.norm(placements[:, :, 0], axis=1), np.linalg.norm(placements[:, :, 1], axis=1)
    ratios = right / down
    assert 0.899 < ratios.min() < 0.91 and 1.09 < ratios.max() < 1.101
    assert abs(ratios.mean() - 1) < 4 * 0.2 / np.sqrt(12 * 400)
    np.testing.assert_allclose(right * down, (0.5 * SIDE / SIZE) ** 2, rtol=1e-3)
    cosines = (placements[:, :, 0] * placements[:, :, 1]).sum(1) / (right * down)
    np.testing.assert_allclose(cosines, 0, atol=1e-3)  # no shear


def test_crop_is_anywhere_in_the_picture(placements):
    centres = placements[:, :, 2]  # in pixels, whose centres are at whole numbers
    assert centres.min() > 0.25 * SIDE - 1 and centres.max() < 0.75 * SIDE
    assert (centres.min(0) < 0.27 * SIDE).all() and (centres.max(0) > 0.73 * SIDE).all()
    assert abs(np.corrcoef(centres.T)[0, 1]) < 4 / np.sqrt(400)


def test_a_long_picture_is_cropped_along_its_length():
    ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2))  # 256 x 64
    views = [TrainTransform(56, ZERO, ONE, **STILL)(ramp)[0] * 255 for _ in range(100)]
    lefts = [float(view[28, 0]) for view in views]
    assert min(lefts) >= 0 and max(lefts) <= 200 and max(lefts) - min(lefts) > 150
    for view, left in zip(views, lefts, strict=True):
        torch.testing.assert_close(view[28], left + torch.arange(56.0), atol=1e-2, rtol=0)  # the scale stays


def test_colour_is_a_factor_per_channel():
    grey = Image.new("RGB", (32, 32), (100, 100, 100))
    transform = TrainTransform(16, ZERO, ONE)
    views = torch.stack([transform(grey) for _ in range(400)]) / (100 / 255)  # (400, 3, 16, 16)
    torch.testing.assert_close(views, views[:, :, :1, :1].expand_as(views))
    factors = views[:, :, 0, 0].numpy()  # (400, 3)
    assert (factors.min(0) > 0.9499).all() and (factors.min(0) < 0.955).all()
    assert (factors.max(0) < 1.0501).all() and (factors.max(0) > 1.045).all()
    assert np.abs(np.corrcoef(factors.T) - np.eye(3)).max() < 4 / np.sqrt(400)


def test_white_stays_within_range_and_no_corner_is_filled():
    transform = TrainTransform(32, ZERO, ONE, colour=0.0)
    for _ in range(50):
        assert transform(Image.new("RGB", (40, 30), "white")).min() > 1 - 1e-5
    assert TrainTransform(32, ZERO, ONE, colour=0.5)(Image.new("RGB", (40, 30), "white")).max() <= 1


def test_every_view_differs_and_the_seed_decides():
    transform, image = TrainTransform(24, ZERO, ONE), picture(30, 30)
    views = torch.stack([transform(image) for _ in range(50)]).flatten(1)
    assert len(views.unique(dim=0)) == 50
    torch.manual_seed(0)
    torch.testing.assert_close(transform(image), views[0].view(3, 24, 24), atol=0, rtol=0)


def test_normalisation():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    image = Image.new("RGB", (20, 20), (255, 51, 0))
    expected = torch.tensor([1.8, 0.0, -0.15])[:, None, None].expand(3, 8, 8)  # (1 - .1) / .5, (.2 - .2) / .25, -.3 / 2
    torch.testing.assert_close(EvalTransform(8, mean, std)(image), expected)
    torch.testing.assert_close(TrainTransform(8, mean, std, colour=0.0)(image), expected)


@pytest.mark.parametrize(("width", "height", "left", "top"), [(24, 16, 5, 1), (16, 24, 1, 5), (16, 16, 1, 1)])
def test_centre_crop_is_exact(width, height, left, top):
    image = picture(width, height)
    expected = torch.from_numpy(np.asarray(image)[top : top + 14, left : left + 14] / 255).permute(2, 0, 1).float()
    torch.testing.assert_close(EvalTransform(14, ZERO, ONE)(image), expected, atol=1e-7, rtol=0)  # 14 = 7/8 of 16


@pytest.mark.parametrize(("side", "size"), [(16, 16), (16, 40), (64, 16)], ids=["same", "enlarged", "reduced"])
def test_the_training_view_without_chance_is_the_centre_crop(side, size):
    image = picture(side, side)
    trained = TrainTransform(size, ZERO, ONE, crop=1.0, **STILL)(image)
    # PIL rounds to 8 bits after the rows and again after the columns, half a level each; PyTorch does not round.
    torch.testing.assert_close(trained, EvalTransform(size, ZERO, ONE, crop=1.0)(image), atol=1.01 / 255, rtol=0)


def test_reduction_averages():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    view = TrainTransform(32, ZERO, ONE, colour=0.0)(Image.fromarray(stripes))
    torch.testing.assert_close(view, torch.full((3, 32, 32), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("transform", [TrainTransform(8, ZERO, ONE, colour=0.0), EvalTransform(8, ZERO, ONE)])
@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", (9, 9), 51), (0.2, 0.2, 0.2)),
        (Image.new("1", (9, 9), 1), (1, 1, 1)),
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), (1, 0, 0)),
        (Image.new("RGB", (9, 9), "blue").quantize(4), (0, 0, 1)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 255)), (1, 0, 0)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), (1, 1, 1)),
        (Image.new("LA", (9, 9), (0, 0)), (1, 1, 1)),
    ],
    ids=["grey", "bilevel", "CMYK", "palette", "opaque", "transparent", "transparent grey"],
)
def test_every_mode_becomes_rgb(transform, image, colour):
    expected = torch.tensor(colour, dtype=torch.float32)[:, None, None].expand(3, 8, 8)
    torch.testing.assert_close(transform(image), expected)


def test_pictures_of_more_than_8_bits_are_refused():
    with pytest.raises(ValueError) as error:
        EvalTransform(8, ZERO, ONE)(Image.new("I;16", (9, 9)))
    assert str(error.value) == "image must have 8 bits a channel, got the mode 'I;16'. Rescale it to 8 bits first."


def test_exif_orientation(tmp_path):
    upright = picture(16, 24)
    stored = upright.transpose(Image.Transpose.ROTATE_90)  # orientation 6: to be turned clockwise when shown
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "stored.png", exif=exif)
    transform = EvalTransform(14, ZERO, ONE)
    with Image.open(tmp_path / "stored.png") as image:
        torch.testing.assert_close(transform(image), transform(upright), atol=0, rtol=0)
        assert image.size == (24, 16)  # the caller's picture is left as it was


def test_with_transform_of_datasets():
    images = [picture(16, 16, seed) for seed in range(3)]
    data = datasets.Dataset.from_dict(
        {"face": images, "age": [2, 0, 1]},
        features=datasets.Features(face=datasets.Image(), age=datasets.Value("int64")),
    )
    transform = EvalTransform(14, ZERO, ONE)
    batch = data.with_transform(apply_to_batch(transform, image_column="face", label_column="age"))[1:3]
    assert batch.keys() == {"pixel_values", "labels"} and batch["labels"] == [0, 1]
    torch.testing.assert_close(batch["pixel_values"], [transform(image) for image in images[1:]], atol=0, rtol=0)
    sample = data.with_transform(apply_to_batch(transform, image_column="face", label_column=None))[0]
    assert sample.keys() == {"pixel_values"}


def test_views_of_a_data_set_are_those_of_its_files(tmp_path):
    paths = [str(tmp_path / f"{seed}.jpg") for seed in range(2)]
    for seed, path in enumerate(paths):
        picture(64, 64, seed).save(path)
    kinds = datasets.Features(face=datasets.Image(), age=datasets.Value("int64"))
    data = datasets.Dataset.from_dict({"face": paths, "age": [2, 0]}, features=kinds)
    transform = EvalTransform(14, ZERO, ONE)
    rows = with_views(data, transform, image_column="face", label_column="age")[:]
    assert rows.keys() == {"pixel_values", "labels"} and rows["labels"] == [2, 0]
    torch.testing.assert_close(rows["pixel_values"], [transform(path) for path in paths], atol=0, rtol=0)
    with Image.open(paths[0]) as image:  # decoded in full, where that of the file is decoded at half its size
        assert not torch.equal(rows["pixel_values"][0], transform(image))
    assert with_views(data, transform, image_column="face", label_column=None)[0].keys() == {"pixel_values"}
    assert data[0]["face"].size == (64, 64)  # the data set itself is as it was


def test_transforms_travel_to_worker_processes():
    image = picture(16, 16)
    for transform in (TrainTransform(8, ZERO, ONE, degrees=5.0), EvalTransform(8, ZERO, ONE)):
        function = pickle.loads(pickle.dumps(apply_to_batch(transform)))
        torch.manual_seed(3)
        (view,) = function({"image": [image], "label": [0]})["pixel_values"]
        torch.manual_seed(3)
        torch.testing.assert_close(view, transform(image), atol=0, rtol=0)
