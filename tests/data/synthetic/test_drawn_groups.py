import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from squared_emd.data.images_of_groups import FOLDERS, load_images_of_groups
from squared_emd.data.synthetic.cartoon import DARK, WHITE, draw_into, draw_person
from squared_emd.data.synthetic.drawn_groups import draw_groups


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_groups(tmp_path_factory.mktemp("groups") / "drawn", num_train=70, num_test=28)


@pytest.fixture(scope="module")
def dataset(drawn, tmp_path_factory):
    return load_images_of_groups(drawn, crops_dir=tmp_path_factory.mktemp("crops"))


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


def test_loads_as_images_of_groups(dataset):
    assert Counter(zip(dataset["split"], dataset["label"], strict=True)) == {
        **{("train", label): 10 for label in range(7)},
        **{("test", label): 4 for label in range(7)},
    }
    assert all(image.size == (256, 256) and image.mode == "RGB" for image in dataset["image"])
    assert len({image.tobytes() for image in dataset["image"]}) == 98
    pictures = Counter(dataset["picture"])
    assert len(set(zip(dataset["picture"], dataset["split"], strict=True))) == len(pictures)  # none on both sides
    assert set(pictures.values()) <= set(range(2, 9))
    assert len(set(pictures.values())) > 3


def test_layout(drawn):
    assert {path.name for path in drawn.iterdir()} == {
        *FOLDERS,
        "AgeGenderClassification",
        "README.txt",
        "prepared.json",
    }
    images = person_data(drawn)
    assert sorted(images) == sorted(drawn.glob("*/*.jpg"))
    rows = [row for rows in images.values() for row in rows]
    assert Counter(row[4] for row in rows) == dict.fromkeys((1, 5, 10, 16, 28, 51, 75), 14)
    assert {row[5] for row in rows} == {1, 2}
    for image, rows in images.items():
        assert int(image.parent.name[-2]) <= len(rows)  # Fam4a: at least four faces
        with Image.open(image) as image:
            for lx, ly, rx, ry, *_ in rows:
                assert 0 < lx < rx < image.width
                assert 0 < min(ly, ry) <= max(ly, ry) < image.height


def test_the_split_has_the_published_shape(drawn):
    folder = drawn / "AgeGenderClassification"
    for name, key, count in (("eventrain.mat", "trcoll", 70), ("eventest.mat", "tecoll", 28)):
        struct = loadmat(folder / name)[key]
        assert struct.shape == (1, 1)
        record = struct[0, 0]
        assert (record["name"].shape, record["name"].dtype) == ((1, count), object)
        assert (record["ageClass"].shape, record["ageClass"].dtype) == ((count, 1), np.uint8)
        assert (record["genClass"].shape, record["genClass"].dtype) == ((count, 1), np.uint8)
        assert (record["facePosSize"].shape, record["facePosSize"].dtype) == ((count, 7), np.float32)
        images = person_data(drawn)
        for cell, age, gender, (lx, ly, rx, ry, x, y, distance) in zip(
            record["name"][0], record["ageClass"], record["genClass"], record["facePosSize"], strict=True
        ):
            drive, top, place, image = cell[0].split("\\")
            assert (drive, top) == ("C:", "drawn")
            assert [lx, ly, rx, ry, age[0], gender[0]] in images[drawn / place / image]
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


def test_the_eyes_are_where_the_files_say(dataset):
    mean = np.mean([np.asarray(image.convert("L"), dtype=float) for image in dataset["image"]], axis=0)  # (256, 256)
    for x in (0.4, 0.6):
        row, column = round(0.46 * 256), round(x * 256)
        near = mean[row - 8 : row + 9, column - 12 : column + 13]
        assert abs(near.mean(0).argmin() - 12) <= 4  # the pupils are darkest; 4 pixels are 1 or 2 of the image
        assert abs(near.mean(1).argmin() - 8) <= 4
