"""Faces cut out by their eyes."""

import math

import numpy as np
import pytest
from PIL import Image
from tests.errors import message_of

from squared_emd.data.images_of_groups import crop_face


def spots(size, places, radius):
    """An image with a soft spot of its own color at each place; a pixel's center has whole numbers."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return Image.fromarray(
        np.stack(
            [255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in places], axis=-1
        ).astype(np.uint8)
    )


def centers(image):
    """Where the spots are, counted from the corner of the image, in parts of its side."""
    pixels = np.asarray(image, dtype=float)  # (size, size, 3)
    pixels[pixels < 16] = 0
    place = np.arange(image.width) + 0.5
    total = pixels.sum((0, 1))
    across = (pixels * place[None, :, None]).sum((0, 1)) / total
    down = (pixels * place[:, None, None]).sum((0, 1)) / total
    return np.stack([across, down], axis=1) / image.width


@pytest.mark.parametrize("size", [40, 100, 256])  # smaller, as large and larger than in the image
@pytest.mark.parametrize(
    ("eye_distance", "angle", "between"),
    [
        (20, 0, (75, 60)),
        (20, 30, (75.3, 60.6)),
        (20, -100, (90, 50)),
        (20, 180, (75, 60)),
        (20, 12, (20, 20)),  # the square reaches over two edges
        (20, -12, (131, 88)),
    ],
)
def test_eyes_and_chin_land_where_they_should(size, eye_distance, angle, between):
    turn = math.radians(angle)
    across = np.array([math.cos(turn), math.sin(turn)]) * eye_distance
    down = np.array([-across[1], across[0]])
    left, right, below = between - across / 2, between + across / 2, between + 0.6 * down
    image = spots((150, 120), (left, right, below), radius=1.5)
    crop = crop_face(image, tuple(left), tuple(right), size)
    assert (crop.size, crop.mode) == ((size, size), "RGB")
    # By hand: an eye distance is a fifth of the side: the eyes are 0.1 left and right of the middle, 0.2 / 5 above it.
    np.testing.assert_allclose(centers(crop), [[0.4, 0.46], [0.6, 0.46], [0.5, 0.58]], atol=0.003)


def test_a_crop_that_needs_no_resampling():
    pixels = np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    crop = crop_face(image, (34.5, 29.5), (44.5, 29.5), 50)
    # Between the eyes is (40, 30) from the corner; the square goes 25 to each side of (40, 32).
    assert np.array_equal(np.asarray(crop), pixels[7:57, 15:65])
    upside_down = crop_face(image, (44.5, 29.5), (34.5, 29.5), 50)
    assert np.array_equal(np.asarray(upside_down), pixels[3:53, 15:65][::-1, ::-1])


def test_a_fine_pattern_turns_gray_when_made_smaller():
    chequered = (np.indices((200, 200)).sum(0) % 2 * 255).astype(np.uint8)
    # 160 pixels on 20: each is the mean of 8 x 8, which are the pixels themselves (the square begins at 20 and 17).
    crop = np.asarray(crop_face(Image.fromarray(chequered), (83.5, 90.1), (115.5, 90.1), 20))
    assert crop.min() >= 126
    assert crop.max() <= 129


def test_the_outermost_pixels_go_on_beyond_the_edge():
    lines = np.random.default_rng(0).integers(0, 256, (40, 1, 3), dtype=np.uint8)
    image = Image.fromarray(np.tile(lines, (1, 120, 1)))  # every line has one color
    inside, outside = (crop_face(image, (x, 19.5), (x + 10, 19.5), 50) for x in (54.5, 0.5))
    assert np.array_equal(np.asarray(inside), np.asarray(outside))
    above = np.asarray(crop_face(image, (54.5, 2.5), (64.5, 2.5), 50))
    assert (above[:20] == lines[0]).all()  # the square begins 20 pixels above the image
    assert (above[20:50] == lines[:30]).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_modes(mode):
    crop = crop_face(Image.new("RGB", (40, 40), (204, 204, 204)).convert(mode), (15, 20), (25, 20), 8)
    assert (crop.mode, crop.getpixel((4, 4))) == ("RGB", (204, 204, 204))


@pytest.mark.parametrize(
    "eyes",
    [
        ((20, 20), (20, 20)),
        ((20, math.nan), (30, 20)),
        ((20, 20), (math.inf, 20)),
        ((-9, 20), (-3, 20)),
        ((20, 39), (30, 42)),
        ((-20, 20), (60, 20)),
    ],
)
def test_eyes_that_are_none(eyes):
    assert message_of(ValueError, crop_face, Image.new("RGB", (40, 40)), *eyes, 8) == (
        "The eyes must be two points with their middle in the image and no further apart than its corners, got "
        f"{eyes[0]} and {eyes[1]} in 40 x 40 pixels."
    )
