"""Stored small images: made once, whole or not at all, anew when anything changed; and what is in them."""

import io
import os
import re

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PILImage
from tests.errors import message_of

from squared_emd.data import image_cache as module
from squared_emd.data.image_cache import small_images
from squared_emd.vision.transforms import EvalTransform, TrainTransform

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SIZES = [(64, 48), (48, 80), (130, 130), (20, 30), (32, 32)]
N = len(SIZES)


def smooth(width, height, seed):
    """Colors that change slowly, as JPEG keeps them well."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return PILImage.fromarray(coarse).resize((width, height), PILImage.Resampling.BICUBIC)


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def rows(images, labels=None):
    columns = {"label": labels or [k % 2 for k in range(len(images))], "image": images}
    kinds = {"label": ClassLabel(names=["no", "yes"]), "image": Image()}
    return Dataset.from_dict(columns, features=Features(kinds))


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for k, size in enumerate(SIZES):
        (folder / f"{k}.jpg").write_bytes(encoded(smooth(*size, k), quality=95))
    return [str(folder / f"{k}.jpg") for k in range(N)]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def undecoded(dataset):
    return dataset.cast_column("image", Image(decode=False))[:]["image"]


def arrows(cache):
    assert all(path.suffix == ".arrow" for path in cache.iterdir())
    return sorted(path.name for path in cache.iterdir())


def reduced(path, size):
    return np.asarray(PILImage.open(path).resize(size, PILImage.Resampling.BILINEAR)).astype(float)


@pytest.mark.parametrize("quality", [None, 95])
def test_the_shorter_side_is_reduced_and_all_else_stays(files, cache, quality):
    dataset = rows(files)
    small = small_images(dataset, 32, quality=quality, cache_dir=cache)
    assert small.features == dataset.features and small["label"][:] == dataset["label"][:]
    assert [image.size for image in small["image"]] == [(43, 32), (32, 53), (32, 32), (20, 30), (32, 32)]
    assert [picture["path"] for picture in undecoded(small)] == files
    for k in (0, 1, 2):
        image = small[k]["image"]
        difference = np.abs(np.asarray(image) - reduced(files[k], image.size))
        if quality is None:
            # the third was decoded at half its size
            assert difference.max() == 0 if k < 2 else difference.mean() < 1
        else:
            assert 0 < difference.mean() < 1.5  # a JPEG of smooth colors
    for k in (3, 4):
        assert (np.asarray(small[k]["image"]) == np.asarray(PILImage.open(files[k]))).all()
        if quality is not None:  # the file itself
            with open(files[k], "rb") as file:
                assert undecoded(small)[k]["bytes"] == file.read()


def test_images_in_the_table_of_any_kind_are_upright_and_in_rgb(cache):
    exif = PILImage.Exif()
    exif[0x0112] = 6  # to be turned clockwise when shown
    images = [
        encoded(smooth(64, 48, 0), exif=exif),
        encoded(PILImage.new("RGBA", (40, 40), (255, 0, 0, 0)), "PNG"),
        encoded(PILImage.new("L", (40, 40), 51), "PNG"),
    ]
    pictures = [{"bytes": content, "path": None} for content in images]
    small = small_images(rows(pictures), 16, cache_dir=cache)["image"][:]
    assert [(image.size, image.mode) for image in small] == [((16, 21), "RGB"), ((16, 16), "RGB"), ((16, 16), "RGB")]
    assert [image.getextrema() for image in small[1:]] == [((255, 255),) * 3, ((51, 51),) * 3]


def test_it_is_made_once(files, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))  # where it lies if no folder is given
    first = small_images(rows(files), 32)
    monkeypatch.setattr(module, "_stored", None)
    again = small_images(rows(files), 32)
    assert undecoded(again) == undecoded(first)
    assert len(arrows(tmp_path / "home" / "squared-emd" / "small_images")) == 1
    assert again.select([4, 0])[1]["label"] == 0  # it can be split as the data set itself


def test_what_changes_makes_it_anew(files, cache):
    small_images(rows(files), 32, cache_dir=cache)
    small_images(rows(files), 33, cache_dir=cache)
    small_images(rows(files, labels=[1] * N), 32, cache_dir=cache)
    small_images(rows(files).select([0, 1]), 32, cache_dir=cache)
    small_images(rows(files), 32, quality=90, cache_dir=cache)
    assert len(arrows(cache)) == 5
    black = encoded(PILImage.new("RGB", (64, 48)))
    with open(files[0], "wb") as file:
        file.write(black)
    small = small_images(rows(files), 32, cache_dir=cache)
    assert small[0]["image"].getextrema() == ((0, 0),) * 3 and len(arrows(cache)) == 6
    os.utime(files[0], ns=(1, 1))
    small_images(rows(files), 32, cache_dir=cache)
    assert len(arrows(cache)) == 7


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_call_leaves_nothing(files, cache, monkeypatch, interruption):
    monkeypatch.setattr(module, "BATCH", 2)
    store = module._stored

    def interrupted(shorter_side, quality, picture):
        if picture["path"] == files[3]:
            raise interruption("stop")
        return store(shorter_side, quality, picture)

    monkeypatch.setattr(module, "_stored", interrupted)
    with pytest.raises(interruption, match=r"^stop$"):
        small_images(rows(files), 32, cache_dir=cache)
    assert arrows(cache) == []
    monkeypatch.setattr(module, "_stored", store)
    assert len(small_images(rows(files), 32, cache_dir=cache)) == N


def test_bad_images_are_named_together(files, cache, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)
    for k, content in ((1, b"text"), (3, b"")):
        with open(files[k], "wb") as file:
            file.write(content)
    message = message_of(ValueError, small_images, rows(files), 32, cache_dir=cache)
    assert message.startswith(f"2 of 5 images cannot be stored, the first: row 1: {files[1]} cannot be decoded: ")
    assert f"; row 3: {files[3]} cannot be decoded: " in message
    assert arrows(cache) == []
    whole = encoded(PILImage.effect_noise((30, 30), 50))  # small already
    message = message_of(ValueError, small_images, rows([{"bytes": whole[:-200], "path": "cut.jpg"}]), 32)
    assert re.fullmatch(r"1 of 1 images .+ row 0: cut\.jpg cannot be decoded: .*truncated.*", message)
    assert message_of(ValueError, small_images, rows([None]), 32, cache_dir=cache) == (
        "1 of 1 images cannot be stored, the first: row 0: there is no image. Leave the row out."
    )
    os.remove(files[2])
    with pytest.raises(FileNotFoundError, match=re.escape(files[2])):
        small_images(rows(files), 32, cache_dir=cache)


@pytest.mark.parametrize(
    ("shorter_side", "options", "message"),
    [
        (0, {}, "shorter_side must be at least 1 pixel, got 0."),
        (32, {"quality": 101}, "quality must be 1 to 100, or None for no JPEG, got 101."),
        (32, {"image_column": "label"},
         "image_column must name a column of the type Image, got 'label'; the dataset has: image."),
    ],
)  # fmt: skip
def test_what_is_asked_for_wrongly(shorter_side, options, message, files, cache):
    assert message_of(ValueError, small_images, rows(files), shorter_side, **options, cache_dir=cache) == message
    assert not cache.exists()


@pytest.mark.parametrize("quality", [None, 95])
@pytest.mark.parametrize("make_view", [TrainTransform, EvalTransform])
def test_views_are_those_of_the_files(files, cache, make_view, quality):
    view = make_view(28, ZERO, ONE)
    assert view.shorter_side == 32
    small = small_images(rows(files), view.shorter_side, quality=quality, cache_dir=cache)
    for k, (path, stored) in enumerate(zip(files, undecoded(small), strict=True)):
        torch.manual_seed(0)
        direct = view(path)
        torch.manual_seed(0)
        difference = (view(stored) - direct).abs() * 255
        if quality is None and k >= 2:  # squares: PyTorch reduces as Pillow does, up to the rounding of two passes
            assert difference.max() < 1.01
        else:  # sides that were rounded, a JPEG of smooth colors
            assert difference.mean() < 2.5
