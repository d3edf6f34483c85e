"""What is decoded: how large, which part of it is filled, upright; and how far it is from a full decode."""

import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from tests.errors import message_of
from tests.vision.images import ONE, ORIENTATION, ZERO, jpeg, noise

from squared_emd.vision.images import decode_image
from squared_emd.vision.transforms import EvalTransform


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
    image, filled = decode_image(jpeg(Image.new("RGB", (width, height))), shorter_side)
    assert image.size == size and filled == extent


def test_other_formats_and_decoded_images_keep_their_size(tmp_path):
    Image.new("RGB", (200, 100)).save(tmp_path / "image.png")
    assert decode_image(tmp_path / "image.png", 10).image.size == (200, 100)
    with Image.open(io.BytesIO(jpeg(Image.new("RGB", (200, 100)))["bytes"])) as opened:
        assert decode_image(opened, 10).image.size == opened.size == (200, 100)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_and_filled_to_the_right_edges(orientation):
    # An upright image of 201 x 233 with four colors in its quarters, as it is stored under the EXIF orientation.
    upright = np.zeros((233, 201, 3), np.uint8)
    upright[:116, :100], upright[:116, 100:], upright[116:, :100] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p),  # counterclockwise, to be turned clockwise when shown
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: np.rot90(p, -1),
    }
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    source = jpeg(Image.fromarray(np.ascontiguousarray(stored[orientation](upright))), exif=exif)
    image, (left, top, right, bottom) = decode_image(source, 32)
    assert image.size == (51, 59) and (right - left, bottom - top) == (50.25, 58.25)  # a quarter
    # A stored image is filled from its own left and top, so one that is flipped lacks pixels there.
    assert left == (0.75 if orientation in (2, 3, 6, 7) else 0)
    assert top == (0.75 if orientation in (3, 4, 7, 8) else 0)
    quarters = np.asarray(image)[[[10], [48]], [10, 40]].round(-1) // 50  # far from where they meet
    assert quarters.tolist() == [[[5, 0, 0], [0, 5, 0]], [[0, 0, 5], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("image", "color"),
    [
        (Image.new("L", (9, 9), 51), (51, 51, 51)),
        (Image.new("1", (9, 9), 1), (255, 255, 255)),
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("RGB", (9, 9), "blue").quantize(4), (0, 0, 255)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 255)), (255, 0, 0)),
        (Image.new("RGBA", (9, 9), (255, 0, 0, 0)), (255, 255, 255)),
        (Image.new("LA", (9, 9), (0, 0)), (255, 255, 255)),
    ],
    ids=["gray", "bilevel", "CMYK", "palette", "opaque", "transparent", "transparent gray"],
)
def test_every_mode_becomes_rgb(image, color):
    decoded = decode_image(image, 8).image
    assert decoded.mode == "RGB" and decoded.getpixel((4, 4)) == color


@pytest.mark.parametrize(
    ("dtype", "levels", "suffix", "mode"),
    [
        ("<u2", (0, 25700, 65535), "png", "I;16"),
        ("<u2", (0, 25700, 65535), "tiff", "I;16"),
        (">u2", (0, 25700, 65535), "tiff", "I;16B"),
        ("<i4", (0, 25700, 65535), "tiff", "I"),
        ("<f4", (0, 100 / 255, 1), "tiff", "F"),
    ],
)
def test_gray_levels_of_more_than_8_bits_are_scaled(dtype, levels, suffix, mode, tmp_path):
    pixels = np.array([levels], np.dtype(dtype))
    Image.fromarray(pixels).save(tmp_path / f"deep.{suffix}")
    with Image.open(tmp_path / f"deep.{suffix}") as opened:
        assert opened.mode == mode
        for source in (tmp_path / f"deep.{suffix}", opened):
            decoded = decode_image(source, 8).image
            assert np.asarray(decoded).tolist() == [[[0] * 3, [100] * 3, [255] * 3]]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_an_odd_exif_block(tmp_path):
    # The unit of the resolution, a SHORT, is kept as the LONG 70000: it can be read, but not written again.
    entries = struct.pack("<HHHII HHII", 2, ORIENTATION, 3, 1, 6, 0x0128, 4, 1, 70_000)
    block = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + bytes(4)
    Image.new("RGB", (40, 20)).save(tmp_path / "odd.jpg", exif=block)
    with Image.open(tmp_path / "odd.jpg") as opened, pytest.raises(struct.error):
        ImageOps.exif_transpose(opened)
    assert decode_image(tmp_path / "odd.jpg", 64).image.size == (20, 40)
    Image.new("RGB", (40, 20)).save(tmp_path / "cut.jpg", exif=block[:20])
    assert decode_image(tmp_path / "cut.jpg", 64).image.size == (40, 20)


def test_an_image_in_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("one.jpg", jpeg(Image.new("RGB", (40, 20), "white"))["bytes"])
    source = {"bytes": None, "path": f"zip://one.jpg::{tmp_path / 'images.zip'}"}
    assert decode_image(source, 16).image.size == (40, 20)


def test_a_reduced_decode_gives_nearly_the_same_view():
    """The decoder's average is a box, followed by the triangle filter: below one gray level of 255 on average."""
    smooth = Image.fromarray(noise(26, 26)).resize((408, 408), Image.Resampling.BICUBIC)
    source = jpeg(smooth)
    full = Image.open(io.BytesIO(source["bytes"]))
    for size in (64, 112):  # of a quarter and a half
        view = EvalTransform(size, ZERO, ONE)
        difference = (view(source) - view(full)).abs() * 255
        assert 0 < difference.mean() < 1 and difference.max() < 6
    view = EvalTransform(357, ZERO, ONE)  # where nothing is reduced, nothing is lost
    assert (view(source) == view(full)).all()


def test_bad_images_are_named(tmp_path):
    def message(source):
        return message_of(ValueError, decode_image, source, 8)

    advice = "Leave it out, or replace it by a complete image of 8 bits a channel."
    (tmp_path / "text.jpg").write_text("no image")
    assert message(tmp_path / "text.jpg") == f"{tmp_path}/text.jpg cannot be decoded: it is not an image. {advice}"
    cut = jpeg(Image.effect_noise((64, 64), 50))
    said = message({"bytes": cut["bytes"][:-900], "path": "folder/cut.jpg"})
    assert said.startswith("folder/cut.jpg cannot be decoded: ") and "truncated" in said
    assert said.endswith(f". {advice}")
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "."):
        path = tmp_path / name
        assert message(path) == f"{path} cannot be decoded: it is not a regular file. {advice}"
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    Image.new("RGB", (1, 1)).save(tmp_path / "bomb.png")
    content = (tmp_path / "bomb.png").read_bytes()
    (tmp_path / "bomb.png").write_bytes(content[:8] + chunk + content[8 + len(chunk) :])
    assert message(tmp_path / "bomb.png") == (
        f"{tmp_path}/bomb.png cannot be decoded: Image size (2500000000 pixels) exceeds limit of 178956970 pixels, "
        f"could be decompression bomb DOS attack. {advice}"
    )
    Image.fromarray(np.array([[0.5, np.nan]], np.float32)).save(tmp_path / "nan.tiff")
    for image, mode, limit, levels in (
        (Image.open(tmp_path / "nan.tiff"), "F", "1", "nan .. nan"),
        (Image.new("F", (2, 2), 3.5), "F", "1", "3.5 .. 3.5"),
        (Image.new("I", (2, 2), -7), "I", "65535", "-7 .. -7"),
    ):
        reason = f"gray levels of the mode {mode!r} must lie within 0 .. {limit}, got {levels}. Rescale them first."
        assert message(image) == reason
        image.save(tmp_path / "deep.tiff")
        path = str(tmp_path / "deep.tiff")
        assert message({"bytes": None, "path": path}) == f"{path} cannot be decoded: {reason} {advice}"
    assert message({"bytes": b"", "path": None}) == (
        f"an image without a path cannot be decoded: it is not an image. {advice}"
    )
    assert message({"bytes": None, "path": None}) == (
        "an image must be a file, bytes or a PIL image, got {'bytes': None, 'path': None}. Leave the row out."
    )
    assert str(tmp_path / "none.jpg") in message_of(FileNotFoundError, decode_image, str(tmp_path / "none.jpg"), 8)
