"""What is decoded: how large, which part of it is filled, upright; and how far it is from a full decode."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from squared_emd.data.synthetic.cartoon import draw_person, draw_picture
from squared_emd.vision.images import decode
from squared_emd.vision.transforms import EvalTransform, TrainTransform

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
ORIENTATION = 0x0112


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **{"quality": 95, "subsampling": 0} | options)
    return {"bytes": file.getvalue(), "path": "folder/picture.jpg"}


@pytest.fixture(scope="module")
def face():
    """408 x 408 pixels with edges, shading and noise, as a photograph has them."""
    rng = np.random.default_rng(0)
    image = draw_picture(draw_person(rng, 4.0), rng, 408)
    noisy = np.asarray(image) + rng.normal(0, 4, (408, 408, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("width", "height", "shorter_side", "size", "extent"),
    [
        (96, 96, 32, (48, 48), (0, 0, 48, 48)),  # a half leaves 1.5 times 32
        (95, 96, 32, (95, 96), (0, 0, 95, 96)),
        (193, 243, 32, (49, 61), (0, 0, 48.25, 60.75)),  # a quarter; the last pixels are filled in part
        (400, 420, 32, (50, 53), (0, 0, 50, 52.5)),  # an eighth
        (900, 910, 32, (113, 114), (0, 0, 112.5, 113.75)),  # no less than that
        (30, 20, 32, (30, 20), (0, 0, 30, 20)),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(width, height, shorter_side, size, extent):
    image, filled = decode(jpeg(Image.new("RGB", (width, height))), shorter_side)
    assert image.size == size and filled == extent


def test_what_is_decoded_already_and_other_formats_keep_their_size(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "picture.png")
    assert decode(tmp_path / "picture.png", 10).image.size == (200, 100)
    with Image.open(io.BytesIO(jpeg(Image.new("RGB", (200, 100)))["bytes"])) as opened:
        assert decode(opened, 10).image.size == (200, 100)
        assert opened.size == (200, 100)  # the caller's picture is left as it was


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_and_filled_to_the_right_edges(orientation):
    # An upright picture of 201 x 233 with four colours in its quarters, as it is stored under the EXIF orientation.
    upright = np.zeros((233, 201, 3), np.uint8)
    upright[:116, :100], upright[:116, 100:], upright[116:, :100] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    turns = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p),  # anticlockwise, to be turned clockwise when shown
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = jpeg(Image.fromarray(np.ascontiguousarray(turns[orientation](upright))), exif=exif)
    image, (left, top, right, bottom) = decode(picture, 32)
    assert image.size == (51, 59) and (right - left, bottom - top) == (50.25, 58.25)  # a quarter
    # A stored picture is filled from its own left and top, so one that is flipped lacks pixels there.
    assert left == (0.75 if orientation in (2, 3, 6, 7) else 0)
    assert top == (0.75 if orientation in (3, 4, 7, 8) else 0)
    quarters = np.asarray(image)[[[10], [48]], [10, 40]].round(-1) // 50  # far from where they meet
    assert quarters.tolist() == [[[5, 0, 0], [0, 5, 0]], [[0, 0, 5], [0, 0, 0]]]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs(mode):
    image = decode(jpeg(Image.new("RGB", (64, 64), (200, 200, 200)).convert(mode)), 8).image
    assert image.mode == "RGB" and image.size == (16, 16)
    assert np.abs(np.asarray(image).astype(int) - 200).max() <= 1


def test_a_picture_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("one.jpg", jpeg(Image.new("RGB", (40, 20), "white"))["bytes"])
    picture = {"bytes": None, "path": f"zip://one.jpg::{tmp_path / 'pictures.zip'}"}
    assert decode(picture, 16).image.size == (40, 20)


def test_a_decode_of_a_half_gives_nearly_the_same_views(face):
    """The decoder's own average is a box, then comes the triangle: a grey level of 255 is the noise of a photograph."""
    picture = jpeg(face)
    full = Image.open(io.BytesIO(picture["bytes"]))
    for size in (64, 112):  # of a quarter and a half
        view = EvalTransform(size, ZERO, ONE)
        difference = (view(picture) - view(full)).abs() * 255
        assert 0 < difference.mean() < 1
        assert difference.quantile(0.99) < 6  # at edges


def test_nothing_is_lost_where_nothing_is_reduced(face):
    picture = jpeg(face.resize((72, 64)))
    view = EvalTransform(56, ZERO, ONE)
    assert (view(picture) == view(Image.open(io.BytesIO(picture["bytes"])))).all()


def message_of(picture, transform=None, error=ValueError):
    with pytest.raises(error) as caught:
        (transform or TrainTransform(8, ZERO, ONE))(picture)
    return str(caught.value)


def test_bad_images_are_named(tmp_path):
    advice = "Leave it out, or put a whole picture of 8 bits a channel there."
    (tmp_path / "text.jpg").write_text("no picture")
    assert message_of(tmp_path / "text.jpg") == f"{tmp_path}/text.jpg cannot be taken: it is not an image. {advice}"
    whole = jpeg(Image.effect_noise((64, 64), 50))
    cut = {"bytes": whole["bytes"][:-900], "path": "folder/cut.jpg"}
    said = message_of(cut, EvalTransform(8, ZERO, ONE))
    assert said.startswith("folder/cut.jpg cannot be taken: ") and "truncated" in said and said.endswith(f". {advice}")
    Image.new("I;16", (9, 9)).save(tmp_path / "deep.png")
    assert message_of({"bytes": None, "path": str(tmp_path / "deep.png")}) == (
        f"{tmp_path}/deep.png cannot be taken: image must have 8 bits a channel, got the mode 'I;16'. Rescale it to "
        f"8 bits first. {advice}"
    )
    assert message_of({"bytes": b"", "path": None}) == (
        f"a picture without a name cannot be taken: it is not an image. {advice}"
    )
    assert str(tmp_path / "none.jpg") in message_of(str(tmp_path / "none.jpg"), error=FileNotFoundError)
