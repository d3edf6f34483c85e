import math
import os
import re

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tests.errors import message_of

from squared_emd.data.images_of_groups import (
    AGE_CODES,
    AGE_GROUPS,
    FOLDERS,
    LAYOUT,
    README,
    crop_face,
    load_images_of_groups,
)
from squared_emd.data.published_files import AS_PUBLISHED

SIZE = (60, 40)
# An image in each folder, with these faces: left eye, right eye, age code. The train rows are the first faces of the
# first seven images, the test rows the second faces of the last four and of the first three.
EYES = [((10, 15), (18, 15)), ((38, 20), (46, 22))]
CODES = [(code, 28) for code in AGE_CODES] + [(75, 1), (75, 5), (75, 10), (75, 16)]


def image_name(k):
    return f"{k}_abc_12_345@N07.jpg"


def middle(eyes):
    return [(eyes[0][0] + eyes[1][0]) / 2, (eyes[0][1] + eyes[1][1]) / 2]


def face(k, i, folder="C:\\research\\flickrGroupShot\\"):
    """A row as a .mat file has it: Windows path, age code, seven numbers."""
    (lx, ly), (rx, ry) = EYES[i]
    position = [lx, ly, rx, ry, *middle(EYES[i]), math.hypot(rx - lx, ry - ly)]
    return f"{folder}{FOLDERS[k]}\\{image_name(k)}", CODES[k][i], position


TRAIN = [face(k, 0) for k in range(7)]
TEST = [face(k, 1) for k in (7, 8, 9, 10, 0, 1, 2)]


def write_mat(file, key, rows, one_struct=True):
    """`one_struct` as published; else an array of structs with one face each."""
    names, ages, positions = zip(*rows, strict=True)
    if one_struct:
        cells = np.array([names], dtype=object)
        positions = np.array(positions, dtype=np.float32)
        struct = {"name": cells, "ageClass": np.array(ages, dtype=np.uint8)[:, None], "facePosSize": positions}
    else:
        struct = np.zeros((1, len(rows)), dtype=[(name, object) for name in ("name", "ageClass", "facePosSize")])
        for k, row in enumerate(rows):
            struct[0, k] = (row[0], row[1], np.array([row[2]]))
    file.parent.mkdir(parents=True, exist_ok=True)
    savemat(file, {key: struct})


def write_split(root, train=TRAIN, test=TEST, one_struct=True):
    write_mat(root / "eventrain.mat", "trcoll", train, one_struct)
    write_mat(root / "eventest.mat", "tecoll", test, one_struct)


def person_data(k):
    faces = [f"{lx}\t{ly}\t{rx}\t{ry}\t{code}\t1" for ((lx, ly), (rx, ry)), code in zip(EYES, CODES[k], strict=True)]
    return [image_name(k), *faces]


def make_tree(root, below=".", one_struct=True):
    rng = np.random.default_rng(0)
    for k, name in enumerate(FOLDERS):
        (root / name).mkdir(parents=True)
        (root / name / "PersonData.txt").write_text("\n".join(person_data(k)) + "\n")
        pixels = rng.integers(0, 256, (5, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC).save(root / name / image_name(k), quality=95)
    write_split(root / below, one_struct=one_struct)
    return root


def change_lines(root, k, lines):
    file = root / FOLDERS[k] / "PersonData.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "squared-emd"


@pytest.fixture
def root(tmp_path):
    return make_tree(tmp_path / "groups")


def test_columns_order_and_crops(root):
    dataset = load_images_of_groups(root)
    assert AGE_GROUPS == ("0-2", "3-7", "8-12", "13-19", "20-36", "37-65", "66-")
    assert dataset.column_names == ["image", "label", "split", "picture"]
    assert tuple(dataset.features["label"].names) == AGE_GROUPS
    # Test: the second faces are 1, 5, 10, 16 years old in folders 7 to 10 and 28 in the first three.
    assert dataset["label"][:] == [*range(7), 0, 1, 2, 3, 4, 4, 4]
    assert dataset["split"][:] == ["train"] * 7 + ["test"] * 7
    assert dataset["picture"][:] == [image_name(k) for k in (*range(7), 7, 8, 9, 10, 0, 1, 2)]
    for row, (k, i) in {2: (2, 0), 7: (7, 1), 13: (2, 1)}.items():
        expected = crop_face(Image.open(root / FOLDERS[k] / image_name(k)), *EYES[i], 256)
        difference = np.asarray(dataset[row]["image"], dtype=float) - np.asarray(expected)
        assert dataset[row]["image"].size == (256, 256)
        assert abs(difference).mean() < 2  # JPEG


@pytest.mark.parametrize("one_struct", [True, False])
@pytest.mark.parametrize("below", [".", "AgeGenderClassification"])
def test_both_structs_and_both_places(tmp_path, one_struct, below):
    root = make_tree(tmp_path / "groups", below, one_struct)
    assert load_images_of_groups(root)["label"][:] == [*range(7), 0, 1, 2, 3, 4, 4, 4]
    write_split(root / below, TRAIN[:1], TEST[:1], one_struct)  # one face each
    assert load_images_of_groups(root)["picture"][:] == [image_name(0), image_name(7)]


def test_the_nearest_face_is_taken_and_of_two_rows_the_one_of_the_same_age(root):
    name, _, (*_, x, y, distance) = face(0, 1)
    near = (name, 28, [x - 3, y + 2, distance])  # 3.6 of the 4.1 pixels allowed
    write_split(root, [near, *((name, age, position[-3:]) for name, age, position in TRAIN)])  # three are enough
    row = "10\t15\t18\t15\t{}\t1"
    change_lines(root, 0, [image_name(0), row.format(51), row.format(1), row.format(28), person_data(0)[2]])
    assert load_images_of_groups(root)["label"][:8] == [4, *range(7)]


def test_an_image_name_in_two_folders(root):
    other = root / FOLDERS[3] / image_name(0)
    Image.new("RGB", SIZE, (0, 0, 255)).save(other)
    change_lines(root, 3, [*person_data(3), image_name(0), "30\t30\t36\t30\t10\t2"])
    write_split(root, [*TRAIN, (f"x\\{image_name(0)}", 10, [30, 30, 36, 30, 33, 30, 6])])
    dataset = load_images_of_groups(root)
    assert dataset["picture"][7] == dataset["picture"][0] == image_name(0)
    assert dataset["label"][7] == 2
    assert np.asarray(dataset[7]["image"])[..., 2].min() > 240


def test_an_image_is_not_turned_by_its_exif(root):
    before = np.asarray(load_images_of_groups(root)[0]["image"])
    path = root / FOLDERS[0] / image_name(0)
    with Image.open(path) as image:
        exif = image.getexif()
        exif[0x0112] = 6  # turned by a quarter
        image.save(path, quality=95, exif=exif)
    after = np.asarray(load_images_of_groups(root)[0]["image"])
    assert abs(before.astype(float) - after).mean() < 3


def test_crops_are_made_once_and_the_data_folder_is_left_alone(root, cache):
    before = sorted(root.rglob("*"))
    load_images_of_groups(root)
    assert sorted(root.rglob("*")) == before
    (folder,) = cache.iterdir()
    assert re.fullmatch("images_of_groups_[0-9a-f]{16}", folder.name)
    assert (folder / "README.txt").read_text() == README
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(times) == 14 + 2  # crops, README.txt, prepared.json
    load_images_of_groups(os.path.relpath(root))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_crops_are_made_again_when_an_eye_has_moved_or_the_image_has_changed(root):
    before = np.asarray(load_images_of_groups(root)[0]["image"])
    lines = person_data(0)
    for old, new in (("10\t15", "11\t16"), ("18\t15", "17\t16")):  # the left eye, the right eye
        lines[1] = lines[1].replace(old, new)
        change_lines(root, 0, lines)
        after = np.asarray(load_images_of_groups(root)[0]["image"])
        assert abs(before.astype(float) - after).mean() > 3
        before = after
    Image.new("RGB", SIZE, (0, 255, 0)).save(root / FOLDERS[0] / image_name(0))
    assert np.asarray(load_images_of_groups(root)[0]["image"])[..., 1].min() > 240


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["10\t15\t18\t15\t1\t1"], 1),
        ([image_name(0), "10\t15\t18\t15\t1"], 2),
        ([image_name(0), "10\t15\t18\t15\t1\tf"], 2),
        ([image_name(0), "", "nan\t15\t18\t15\t1\t2"], 3),
        (["12"], 1),
    ],
)
def test_lines_that_are_no_face(root, lines, number):
    file = change_lines(root, 0, lines)
    assert message_of(ValueError, load_images_of_groups, root) == (
        f"{file}, line {number}: the name of an image is required, or after one six numbers (left eye x y, right eye "
        f"x y, age, gender), got {lines[-1]!r}. {AS_PUBLISHED}"
    )


def test_images_that_are_not_there(root):
    (root / FOLDERS[7] / image_name(7)).unlink()
    dataset = load_images_of_groups(root, skip_bad_images=True)
    assert dataset["label"][:] == [*range(7), 1, 2, 3, 4, 4, 4]
    expected = crop_face(Image.open(root / FOLDERS[8] / image_name(8)), *EYES[1], 256)
    assert abs(np.asarray(dataset[7]["image"], dtype=float) - np.asarray(expected)).mean() < 2  # JPEG
    assert message_of(ValueError, load_images_of_groups, root) == (
        f"1 of 11 images of {root} are missing or cannot be decoded, the first: {root}/{FOLDERS[7]}/{image_name(7)} "
        "(missing). Unpack the archive again, or leave them out with --skip_bad_images (skip_bad_images=True)."
    )
    write_split(root, TRAIN[:3], TEST[1:3])
    assert len(load_images_of_groups(root)) == 5  # an image out of use is not needed
    write_split(root, test=TEST[:1])
    assert message_of(ValueError, load_images_of_groups, root, skip_bad_images=True) == (
        f"{root} has no image that can be decoded of the split test. Unpack the archive again."
    )


def test_eyes_at_one_point(root, cache):
    file = change_lines(root, 0, [image_name(0), "14\t15\t14\t15\t1\t1", person_data(0)[2]])
    assert message_of(ValueError, load_images_of_groups, root) == (
        f"{file}, line 2: The eyes must be two points with their middle in the image and no further apart than its "
        f"corners, got (14.0, 15.0) and (14.0, 15.0) in 60 x 40 pixels. {AS_PUBLISHED}"
    )
    assert list(cache.iterdir()) == []


def test_missing_files(root):
    for name in ("Group8a", "Fam4a"):
        (root / name / "PersonData.txt").unlink()
    assert message_of(FileNotFoundError, load_images_of_groups, root) == (
        f"There is no PersonData.txt in Fam4a, Group8a in {root}. {LAYOUT}."
    )


NAME, AGE, POSITION = TRAIN[1]
FACE = f"PersonData.txt must have this face of {image_name(1)!r}, between whose eyes is"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([TRAIN[0], ("C:\\groups\\absent.jpg", AGE, POSITION)], "no PersonData.txt has a face in 'absent.jpg'."),
        ([(NAME, 6, POSITION)], "ageClass must be one of (1, 5, 10, 16, 28, 51, 75), got 6."),
        ([(NAME, 10, POSITION)], "ageClass must be the age of this face in PersonData.txt (PLACE), got 10 and 5."),
        # 3 * sqrt(2) of the 4 pixels that half an eye distance is
        (
            [(NAME, AGE, [14 + 3, 15 + 3, 8])],
            f"{FACE} (17.0, 18.0); the nearest (PLACE) is 4.2 pixels away, more than 4.0.",
        ),
        (
            [(NAME, AGE, [math.nan, 15, 8])],
            f"{FACE} (nan, 15.0); the nearest (PLACE) is nan pixels away, more than 4.0.",
        ),
    ],
)
def test_rows_of_the_split_that_have_no_face(root, rows, message):
    write_split(root, rows)
    message = message.replace("PLACE", f"{root / 'Wed3a' / 'PersonData.txt'}, line 2")
    assert message_of(ValueError, load_images_of_groups, root) == (
        f"{root / 'eventrain.mat'}, face {len(rows)}: {message} {AS_PUBLISHED}"
    )


def struct(names, ages, positions):
    return {"name": np.array([names], dtype=object), "ageClass": ages, "facePosSize": np.array(positions)}


LACKS = " must hold a struct trcoll with the fields name, ageClass, facePosSize."


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"other": 1}, LACKS),
        ({"trcoll": 1}, LACKS),
        ({"trcoll": {"name": "a", "ageClass": 1}}, LACKS),
        (
            {"trcoll": struct(["a", "b"], [1], [[1, 2, 3], [1, 2, 3]])},
            "2 names, 1 ages and facePosSize of shape (2, 3).",
        ),
        ({"trcoll": struct(["a", "b"], [1, 5], [[1, 2, 3, 4, 5]])}, "2 names, 2 ages and facePosSize of shape (1, 5)."),
        ({"trcoll": struct(["a", "b"], [1, 5], [[1, 2], [1, 2]])}, "2 names, 2 ages and facePosSize of shape (2, 2)."),
        ({"trcoll": struct(["a"], [1], [["text"]])}, "1 names, 1 ages and facePosSize of shape (1, 1)."),
        ({"trcoll": struct(["a"], ["1"], [[1, 2, 3]])}, "1 names, 1 ages and facePosSize of shape (1, 3)."),
        ({"trcoll": struct([], [], [])}, "0 names, 0 ages and facePosSize of shape (0, 0)."),
    ],
)
def test_files_that_are_no_split(root, variables, message):
    file = root / "eventrain.mat"
    savemat(file, variables)
    if message != LACKS:
        message = (
            ": trcoll must have a name, a number as ageClass and a row of numbers as facePosSize, with x, y and eye "
            f"distance at its end, for each face, got {message}"
        )
    assert message_of(ValueError, load_images_of_groups, root) == f"{file}{message} {AS_PUBLISHED}"
