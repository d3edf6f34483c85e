import csv
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from datasets import Image as ImageColumn
from PIL import Image
from scipy.io import loadmat

from squared_emd.data.adience import load_adience
from squared_emd.data.images_of_groups import FOLDERS, load_images_of_groups
from squared_emd.data.splits import fold_split
from squared_emd.data.synthetic.cartoon import DARK, WHITE, draw_into, draw_person
from squared_emd.data.synthetic.drawn_people import ADIENCE_COUNTS, draw_faces, draw_groups


@pytest.fixture(scope="module")
def faces_folder(tmp_path_factory):
    return draw_faces(tmp_path_factory.mktemp("faces") / "drawn", num_faces=300, size=32)


@pytest.fixture(scope="module")
def faces(faces_folder):
    return load_adience(faces_folder)


def test_loads_as_adience(faces):
    assert len(faces) == 300
    assert all(image.size == (32, 32) and image.mode == "RGB" for image in faces["image"])
    shares = np.array([Counter(faces["label"])[label] for label in range(8)]) / 300
    # Rounding moves a count by less than one image.
    np.testing.assert_allclose(shares, np.array(ADIENCE_COUNTS) / 17424, atol=1 / 300)


def test_folds_have_disjoint_people_and_every_group(faces):
    for fold in range(5):
        _, test = fold_split(faces, fold)
        assert set(test["label"]) == set(range(8))
        assert 56 <= len(test) <= 64  # eight groups, each within one image of a fifth


def test_a_person_has_one_group_and_several_images(faces_folder, faces):
    people = set(faces["user_id"])
    assert len(set(zip(faces["user_id"], faces["label"], strict=True))) == len(people)
    assert 2 < 300 / len(people) < 5
    assert len({path.read_bytes() for path in faces_folder.glob("aligned/*/*.jpg")}) == 300


def test_labels_file_names_the_same_faces(faces_folder, faces):
    faces = faces.cast_column("image", ImageColumn(decode=False))
    with open(faces_folder / "labels.csv", newline="") as file:
        rows = {(str(faces_folder / row["image"]), row["label"], row["group"]) for row in csv.DictReader(file)}
    names = faces.features["label"].names
    assert rows == {(row["image"]["path"], names[row["label"]], row["user_id"]) for row in faces}
    assert [path.name for path in faces_folder.parent.iterdir()] == ["drawn"]


def test_faces_of_neighboring_groups_look_more_alike(faces):
    pixels = np.stack([np.asarray(image, dtype=float).mean(-1).ravel() for image in faces["image"]])
    labels = np.array(faces["label"])
    means = np.stack([pixels[labels == group].mean(0) for group in range(8)])
    assert np.linalg.norm(means[0] - means[1]) < np.linalg.norm(means[0] - means[7])
    assert np.linalg.norm(means[7] - means[6]) < np.linalg.norm(means[7] - means[0])


@pytest.fixture(scope="module")
def groups_folder(tmp_path_factory):
    return draw_groups(tmp_path_factory.mktemp("groups") / "drawn", num_train=70, num_test=28)


@pytest.fixture(scope="module")
def groups(groups_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("crops")))
        return load_images_of_groups(groups_folder)


def person_data(folder):
    """Image -> rows of six numbers, of all folders."""
    images = defaultdict(list)
    for name in FOLDERS:
        image = None
        for line in (folder / name / "PersonData.txt").read_text().splitlines():
            if "\t" in line:
                images[image].append([int(number) for number in line.split("\t")])
            else:
                image = folder / name / line
    return images


def test_loads_as_images_of_groups(groups):
    assert Counter(zip(groups["split"], groups["label"], strict=True)) == {
        **{("train", label): 10 for label in range(7)},
        **{("test", label): 4 for label in range(7)},
    }
    assert all(image.size == (256, 256) and image.mode == "RGB" for image in groups["image"])
    assert len({image.tobytes() for image in groups["image"]}) == 98
    pictures = Counter(groups["picture"])
    assert len(set(zip(groups["picture"], groups["split"], strict=True))) == len(pictures)  # none on both sides
    assert set(pictures.values()) <= set(range(2, 9))
    assert len(set(pictures.values())) > 3


def test_layout(groups_folder):
    assert {path.name for path in groups_folder.iterdir()} == {
        *FOLDERS,
        "AgeGenderClassification",
        "README.txt",
        "prepared.json",
    }
    images = person_data(groups_folder)
    assert sorted(images) == sorted(groups_folder.glob("*/*.jpg"))
    rows = [row for rows in images.values() for row in rows]
    assert Counter(row[4] for row in rows) == dict.fromkeys((1, 5, 10, 16, 28, 51, 75), 14)
    assert {row[5] for row in rows} == {1, 2}
    for image, rows in images.items():
        assert int(image.parent.name[-2]) <= len(rows)  # Fam4a: at least four faces
        with Image.open(image) as image:
            for lx, ly, rx, ry, *_ in rows:
                assert 0 < lx < rx < image.width
                assert 0 < min(ly, ry) <= max(ly, ry) < image.height


def test_the_split_has_the_published_shape(groups_folder):
    folder = groups_folder / "AgeGenderClassification"
    for name, key, count in (("eventrain.mat", "trcoll", 70), ("eventest.mat", "tecoll", 28)):
        struct = loadmat(folder / name)[key]
        assert struct.shape == (1, 1)
        record = struct[0, 0]
        assert (record["name"].shape, record["name"].dtype) == ((1, count), object)
        assert (record["ageClass"].shape, record["ageClass"].dtype) == ((count, 1), np.uint8)
        assert (record["genClass"].shape, record["genClass"].dtype) == ((count, 1), np.uint8)
        assert (record["facePosSize"].shape, record["facePosSize"].dtype) == ((count, 7), np.float32)
        images = person_data(groups_folder)
        for cell, age, gender, (lx, ly, rx, ry, x, y, distance) in zip(
            record["name"][0], record["ageClass"], record["genClass"], record["facePosSize"], strict=True
        ):
            drive, top, place, image = cell[0].split("\\")
            assert (drive, top) == ("C:", "drawn")
            assert [lx, ly, rx, ry, age[0], gender[0]] in images[groups_folder / place / image]
            assert (x, y) == ((lx + rx) / 2, (ly + ry) / 2)
            assert distance == pytest.approx(math.hypot(rx - lx, ry - ly), rel=1e-6)


@pytest.mark.parametrize("roll", [-0.4, 0, 0.4])
def test_the_eyes_are_where_a_person_is_said_to_have_them(roll):
    rng = np.random.default_rng(0)
    for _ in range(5):
        person = draw_person(rng, age=rng.uniform(0, 8))
        person.glasses, person.eyes = False, (0, 0, 255)
        canvas = Image.new("RGB", (400, 400))
        eyes = draw_into(canvas, person, rng, np.array([190, 180]), 100, roll)
        pixels = np.asarray(canvas)
        seen = [(pixels == color).all(-1) for color in (WHITE, person.eyes, DARK)]  # white, iris, pupil
        places = np.argwhere(np.any(seen, axis=0))[:, ::-1] + 0.5  # (N, 2), x and y from the corner
        nearest = np.linalg.norm(places[:, None] - eyes[None], axis=2).argmin(1)
        for side in (0, 1):  # an eye is some 24 pixels wide; lids hide a little of it
            np.testing.assert_allclose(places[nearest == side].mean(0), eyes[side], atol=2.5)
        np.testing.assert_allclose(math.atan2(*(eyes[1] - eyes[0])[::-1]), roll, atol=1e-6)


def test_the_eyes_are_where_the_files_say(groups):
    mean = np.mean([np.asarray(image.convert("L"), dtype=float) for image in groups["image"]], axis=0)  # (256, 256)
    for x in (0.4, 0.6):
        row, column = round(0.46 * 256), round(x * 256)
        near = mean[row - 8 : row + 9, column - 12 : column + 13]
        assert abs(near.mean(0).argmin() - 12) <= 4  # the pupils are darkest; 4 pixels are 1 or 2 of the image
        assert abs(near.mean(1).argmin() - 8) <= 4
