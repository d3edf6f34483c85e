import os
from pathlib import Path

import pytest
from PIL import Image
from tests.data.files import write_jpeg
from tests.errors import message_of

from squared_emd.data.imagenet import IMAGE_SUFFIXES, LAYOUT, load_imagenet

WNIDS = ("n01440764", "n02119789", "n15075141")


def make_tree(root):
    """Three classes; class k has k + 1 images in train and one in val. They are written in reverse order."""
    for k in (2, 1, 0):
        for i in reversed(range(k + 1)):
            write_jpeg(root / "train" / WNIDS[k] / f"{WNIDS[k]}_{i}.JPEG")
        write_jpeg(root / "val" / WNIDS[k] / f"ILSVRC2012_val_{9 - k:08d}.JPEG", 20)
    return root


def files_of(dataset):
    return [Path(image["path"]).name for image in dataset.data["image"].to_pylist()]


def test_columns_and_order_and_images_decoded_when_read(tmp_path):
    dataset = load_imagenet(os.path.relpath(make_tree(tmp_path)))
    assert dataset.column_names == ["image", "label", "split"]
    assert dataset.features["label"].names == list(WNIDS)
    assert dataset["label"][:] == [0, 1, 1, 2, 2, 2, 0, 1, 2]
    assert dataset["split"][:] == ["train"] * 6 + ["validation"] * 3
    assert files_of(dataset) == [
        "n01440764_0.JPEG", "n02119789_0.JPEG", "n02119789_1.JPEG",
        "n15075141_0.JPEG", "n15075141_1.JPEG", "n15075141_2.JPEG",
        "ILSVRC2012_val_00000009.JPEG", "ILSVRC2012_val_00000008.JPEG", "ILSVRC2012_val_00000007.JPEG",
    ]  # fmt: skip
    assert dataset[0]["image"].filename == str(tmp_path / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG")
    assert [image.size for image in dataset.select([5, 6])["image"]] == [(16, 16), (20, 20)]
    assert dataset.filter(lambda split: split == "validation", input_columns="split")["label"][:] == [0, 1, 2]


def test_other_files_are_ignored_and_suffixes_have_any_case(tmp_path):
    make_tree(tmp_path)
    folder = tmp_path / "train" / WNIDS[0]
    for name in ("a.jpg", "b.Png", "c.WEBP"):
        write_jpeg(folder / name)
    for name in ("list.txt", "._a.jpg", "JPEG", "a.jpg.part", "d.gif"):  # no image is opened
        (folder / name).write_text("no image")
    (folder / "folder.jpg").mkdir()
    (tmp_path / "train" / ".cache").mkdir()
    write_jpeg(tmp_path / "val" / "flat.JPEG")
    (tmp_path / "devkit").mkdir()
    dataset = load_imagenet(tmp_path)
    assert files_of(dataset)[:4] == ["a.jpg", "b.Png", "c.WEBP", "d.gif"]
    assert len(dataset) == 9 + 4


def test_every_suffix_is_one_that_pillow_reads():
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert set(IMAGE_SUFFIXES) <= readable


def test_links_are_followed(tmp_path):
    make_tree(tmp_path / "real")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "train").symlink_to(tmp_path / "real" / "train")
    (tmp_path / "linked" / "val").mkdir()
    for wnid in WNIDS:
        (tmp_path / "linked" / "val" / wnid).symlink_to(tmp_path / "real" / "val" / wnid)
    folder = tmp_path / "real" / "train" / WNIDS[0]
    (folder / "a.png").symlink_to(folder / f"{WNIDS[0]}_0.JPEG")
    (folder / "dead.png").symlink_to(tmp_path / "missing")
    assert load_imagenet(tmp_path / "linked")["label"][:] == [0, 0, 1, 1, 2, 2, 2, 0, 1, 2]


def test_missing_folders(tmp_path):
    absent = tmp_path / "missing"
    assert message_of(FileNotFoundError, load_imagenet, absent) == (
        f"data_dir must be a folder, {absent} is not one. {LAYOUT}."
    )
    assert message_of(FileNotFoundError, load_imagenet, tmp_path) == (
        f"{tmp_path} lacks train/ and val/, it holds: nothing. {LAYOUT}."
    )
    make_tree(tmp_path)
    os.rename(tmp_path / "val", tmp_path / "validation")
    assert message_of(FileNotFoundError, load_imagenet, tmp_path) == (
        f"{tmp_path} lacks val/, it holds: train, validation. {LAYOUT}."
    )


def test_flat_validation_images(tmp_path):
    make_tree(tmp_path)
    for path in list((tmp_path / "val").glob("*/*")):
        path.rename(tmp_path / "val" / path.name)
        path.parent.rmdir()
    assert message_of(ValueError, load_imagenet, tmp_path) == (
        "The validation images must be sorted into folders of their wnid, as those in train/ are; in "
        f"{tmp_path / 'val'} they lie flat, as published. Move each to val/<wnid>/; the XML annotation of each names "
        "its wnid."
    )


@pytest.mark.parametrize("half", ["train", "val"])
def test_a_half_without_folders(tmp_path, half):
    make_tree(tmp_path)
    os.rename(tmp_path / half, tmp_path / "away")
    (tmp_path / half).mkdir()
    assert message_of(ValueError, load_imagenet, tmp_path) == (
        f"{tmp_path / half} must hold a folder for each wnid, it has none. {LAYOUT}."
    )


def test_classes_in_one_half_only(tmp_path):
    make_tree(tmp_path)
    os.rename(tmp_path / "val" / WNIDS[1], tmp_path / "val" / "n99")
    assert message_of(ValueError, load_imagenet, tmp_path) == (
        f"{tmp_path} must have the same wnids in train/ and val/, 2 stand alone: {WNIDS[1]} is in train/ only, "
        f"n99 is in val/ only. {LAYOUT}."
    )
    for i in range(6):
        (tmp_path / "train" / f"m{i}").mkdir()
    message = message_of(ValueError, load_imagenet, tmp_path)
    assert "8 stand alone: m0 is in train/ only, " in message and "m4" in message and "m5" not in message


@pytest.mark.parametrize("half", ["train", "val"])
def test_a_class_without_images(tmp_path, half):
    make_tree(tmp_path)
    for path in (tmp_path / half / WNIDS[1]).iterdir():
        path.rename(path.with_suffix(".tar"))
    assert message_of(ValueError, load_imagenet, tmp_path) == (
        f"Each wnid must have images in train/ and in val/, {tmp_path / half / WNIDS[1]} has none "
        f"(.bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp). Unpack it again, or remove {WNIDS[1]} from both."
    )
