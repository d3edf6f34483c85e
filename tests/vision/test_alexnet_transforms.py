"""The views are computed again slowly in float64: a triangle filter, a crop, a mirror, a sum of components."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from squared_emd.vision.alexnet_transforms import EIGENVALUES, EIGENVECTORS, AlexNetTrainTransform
from squared_emd.vision.transforms import EvalTransform, apply_to_batch

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def picture(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def draws(seed):
    """What the next view is drawn from, after this seed."""
    torch.manual_seed(seed)
    place = torch.rand(3, dtype=torch.float64).tolist()
    return place, (0.1 * torch.randn(3)).double().tolist()


def resampled(line, start, stop, size):
    """`size` values along the first axis of `line` between two places, by the triangle that widens when reducing."""
    scale = (stop - start) / size
    values = []
    for i in range(size):
        distance = np.abs(np.arange(len(line)) + 0.5 - (start + (i + 0.5) * scale))
        weights = np.clip(1 - distance / max(scale, 1), 0, None)
        values.append(np.tensordot(weights / weights.sum(), line, 1))
    return np.stack(values)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (10, 10)], ids=["wide", "high", "enlarged"])
def test_view_by_hand(width, height, seed):
    image = picture(width, height)
    (x, y, mirror), deviates = draws(seed)
    torch.manual_seed(seed)
    view = AlexNetTrainTransform(14, (0.4, 0.5, 0.6), (0.5, 0.25, 2.0))(image)

    square = min(width, height)
    left = (width - square) / 2 + x * square * 32 / 256  # what 224 leave of 256
    top = (height - square) / 2 + y * square * 32 / 256
    side = square * 224 / 256
    pixels = np.asarray(image, dtype=np.float64) / 255
    pixels = resampled(pixels, top, top + side, 14)  # (14, width, 3)
    pixels = resampled(pixels.swapaxes(0, 1), left, left + side, 14).swapaxes(0, 1)  # (14, 14, 3)
    if mirror < 0.5:
        pixels = pixels[:, ::-1]
    for channel in range(3):
        for component in range(3):
            light = EIGENVECTORS[channel][component] * deviates[component] * EIGENVALUES[component]
            pixels[..., channel] += light
    # PIL rounds to 8 bits after the rows and again after the columns, half a level each.
    level = 1.01 / 255 / np.array([0.5, 0.25, 2.0])
    expected = (pixels - [0.4, 0.5, 0.6]) / [0.5, 0.25, 2.0]
    assert (np.abs(view.permute(1, 2, 0).numpy() - expected) < level).all()


def test_the_seeds_above_mirror_some_views_and_not_others():
    assert {draws(seed)[0][2] < 0.5 for seed in range(6)} == {True, False}


def test_published_components():
    vectors = np.array(EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-4)  # four digits are published
    assert np.ptp(vectors[:, 0]) < 0.02  # the strongest component is grey
    assert list(EIGENVALUES) == sorted(EIGENVALUES, reverse=True)


def test_the_light_has_the_published_covariance():
    grey = Image.new("RGB", (8, 8), (128, 128, 128))
    transform = AlexNetTrainTransform(4, ZERO, ONE)
    views = torch.stack([transform(grey) for _ in range(2000)])  # (2000, 3, 4, 4)
    torch.testing.assert_close(views, views[:, :, :1, :1].expand_as(views))
    light = views[:, :, 0, 0].double().numpy() - 128 / 255  # (2000, 3)
    deviates = np.linalg.solve(np.array(EIGENVECTORS), light.T) / np.array(EIGENVALUES)[:, None]  # (3, 2000)
    assert np.abs(deviates.mean(1)).max() < 4 * 0.1 / np.sqrt(2000)  # 4 standard errors, as below
    assert np.abs(deviates.std(1) / 0.1 - 1).max() < 4 / np.sqrt(2 * 2000)
    assert np.abs(np.corrcoef(deviates) - np.eye(3)).max() < 4 / np.sqrt(2000)


def test_mirror_rate():
    ramp = Image.fromarray(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2))
    transform = AlexNetTrainTransform(14, ZERO, ONE)
    mirrored = [bool(view[0, 0, 0] > view[0, 0, -1]) for view in (transform(ramp) for _ in range(400))]
    assert abs(np.mean(mirrored) - 0.5) < 4 * np.sqrt(0.25 / 400)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_patches_lie_anywhere_in_the_central_square(mirror):
    columns, rows = np.meshgrid(np.arange(256), np.arange(128))
    ramps = Image.fromarray(np.stack([columns, rows, 0 * rows], -1).astype(np.uint8))
    transform = AlexNetTrainTransform(112, ZERO, ONE, mirror=mirror, light=0.0)  # 112 of 128: nothing is scaled
    views = torch.stack([transform(ramps)[:2, ::111, ::111] for _ in range(200)]) * 255  # (200, 2, 2, 2)
    left, right = views[:, 0, 0].sort(dim=1).values.T.numpy()  # (200,) each
    top, bottom = views[:, 1, :, 0].T.numpy()
    np.testing.assert_allclose(right - left, 111, atol=1.01)  # each is rounded to 8 bits
    np.testing.assert_allclose(bottom - top, 111, atol=1.01)
    for start, low in ((left, 64), (top, 0)):  # of the 256 columns the square keeps 64 .. 191
        assert low <= start.min() < low + 2 and low + 14 < start.max() <= low + 16
        counts = np.histogram(start, bins=4, range=(low - 0.5, low + 16.5))[0]
        assert np.abs(counts - 50).max() < 4 * np.sqrt(200 * 0.25 * 0.75)
    assert abs(np.corrcoef(left, top)[0, 1]) < 4 / np.sqrt(200)


def test_nothing_is_clipped():
    transform = AlexNetTrainTransform(4, ZERO, ONE, light=1.0)
    white = torch.stack([transform(Image.new("RGB", (8, 8), "white")) for _ in range(50)])
    black = torch.stack([transform(Image.new("RGB", (8, 8), "black")) for _ in range(50)])
    assert white.max() > 1 and black.min() < 0


@pytest.mark.parametrize(("width", "height"), [(7, 5), (333, 500), (13, 13), (1, 1)])
def test_any_size_without_rounding_errors(width, height):
    transform = AlexNetTrainTransform(9, ZERO, ONE, crop=1.0, light=0.0)
    for _ in range(20):
        assert transform(picture(width, height)).shape == (3, 9, 9)


def test_a_patch_of_everything_is_the_centre_crop():
    image = picture(30, 20)
    view = AlexNetTrainTransform(12, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), crop=1.0, mirror=0.0, light=0.0)(image)
    expected = EvalTransform(12, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), crop=1.0)(image)
    torch.testing.assert_close(view, expected, atol=0, rtol=0)


def test_transparent_is_white_and_deep_is_refused():
    transform = AlexNetTrainTransform(4, ZERO, ONE, light=0.0)
    torch.testing.assert_close(transform(Image.new("RGBA", (9, 9), (255, 0, 0, 0))), torch.ones(3, 4, 4))
    torch.testing.assert_close(transform(Image.new("L", (9, 9), 51)), torch.full((3, 4, 4), 0.2))
    with pytest.raises(ValueError) as error:
        transform(Image.new("I;16", (9, 9)))
    assert str(error.value) == "image must have 8 bits a channel, got the mode 'I;16'. Rescale it to 8 bits first."


def test_exif_orientation(tmp_path):
    upright = picture(16, 24)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise when shown
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "stored.png", exif=exif)
    transform = AlexNetTrainTransform(14, ZERO, ONE)
    torch.manual_seed(1)
    expected = transform(upright)
    torch.manual_seed(1)
    with Image.open(tmp_path / "stored.png") as image:
        torch.testing.assert_close(transform(image), expected, atol=0, rtol=0)


def test_the_seed_decides_and_it_travels_to_worker_processes():
    image, transform = picture(16, 16), AlexNetTrainTransform(8, ZERO, ONE)
    views = torch.stack([transform(image) for _ in range(20)]).flatten(1)
    assert len(views.unique(dim=0)) == 20
    function = pickle.loads(pickle.dumps(apply_to_batch(transform)))
    torch.manual_seed(0)
    (view,) = function({"image": [image], "label": [0]})["pixel_values"]
    torch.testing.assert_close(view.flatten(), views[0], atol=0, rtol=0)
