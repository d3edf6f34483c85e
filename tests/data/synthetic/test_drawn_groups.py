import json
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat
from tests.data.synthetic.folders import files_of, message_of

from squared_emd.data.images_of_groups import AGE_CODES, FOLDERS, load_images_of_groups
from squared_emd.data.synthetic.cartoon import DARK, WHITE, draw_into, draw_person
from squared_emd.data.synthetic.drawn_faces import APPARENT_AGE_NOISE
from squared_emd.data.synthetic.drawn_groups import AGE_EDGES, README, VERSION, cached_drawn_groups, draw_groups


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_groups(tmp_path_factory.mktemp("groups") / "drawn", num_train=70, num_test=28)


@pytest.fixture(scope="module")
def dataset(drawn, tmp_path_factory):
    return load_images_of_groups(drawn, crops_dir=tmp_path_factory.mktemp("crops"))


def person_data(folder):
    """Picture -> rows of six numbers, of all folders."""
    pictures = defaultdict(list)
    for name in FOLDERS:
        picture = None
        for line in (folder / name / "PersonData.txt").read_text().splitlines():
            if "\t" in line:
                pictures[picture].append([int(number) for number in line.split("\t")])
            else:
                picture = folder / name / line
    return pictures


def test_loads_as_images_of_groups(dataset):
    assert Counter(zip(dataset["split"], dataset["label"], strict=True)) == {
        **{("train", label): 10 for label in range(7)},
        **{("test", label): 4 for label in range(7)},
    }
    assert all(image.size == (256, 256) and image.mode == "RGB" for image in dataset["image"])
    assert len({image.tobytes() for image in dataset["image"]}) == 98


def test_no_picture_on_both_sides(dataset):
    pictures = defaultdict(set)
    for picture, split in zip(dataset["picture"], dataset["split"], strict=True):
        pictures[picture].add(split)
    assert all(len(splits) == 1 for splits in pictures.values())
    sizes = Counter(Counter(dataset["picture"]).values())
    assert set(sizes) <= set(range(2, 9))
    assert len(sizes) > 3


def test_layout(drawn):
    assert {path.name for path in drawn.iterdir()} == {
        *FOLDERS,
        "AgeGenderClassification",
        "README.txt",
        "prepared.json",
    }
    pictures = person_data(drawn)
    assert sorted(pictures) == sorted(drawn.glob("*/*.jpg"))
    rows = [row for rows in pictures.values() for row in rows]
    assert Counter(row[4] for row in rows) == dict.fromkeys((1, 5, 10, 16, 28, 51, 75), 14)
    assert {row[5] for row in rows} == {1, 2}
    for picture, rows in pictures.items():
        assert int(picture.parent.name[-2]) <= len(rows)  # Fam4a: at least four faces
        with Image.open(picture) as image:
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
        pictures = person_data(drawn)
        for cell, age, gender, (lx, ly, rx, ry, x, y, distance) in zip(
            record["name"][0], record["ageClass"], record["genClass"], record["facePosSize"], strict=True
        ):
            drive, top, place, picture = cell[0].split("\\")
            assert (drive, top) == ("C:", "drawn")
            assert [lx, ly, rx, ry, age[0], gender[0]] in pictures[drawn / place / picture]
            assert (x, y) == ((lx + rx) / 2, (ly + ry) / 2)
            assert distance == pytest.approx(math.hypot(rx - lx, ry - ly), rel=1e-6)


def test_what_else_lies_in_the_folder(drawn):
    assert (drawn / "README.txt").read_text() == README
    assert README.startswith("These are drawn people and no photographs")
    assert "They show nobody." in README.replace("\n", " ")
    said = json.loads((drawn / "prepared.json").read_text())
    settings = {"version": VERSION, "num_train": 70, "num_test": 28, "seed": 0, "noise": APPARENT_AGE_NOISE}
    assert said["settings"] == {"pictures": "groups", **settings}


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
        assert abs(near.mean(0).argmin() - 12) <= 4  # the pupils are darkest; 4 pixels are 1 or 2 of the picture
        assert abs(near.mean(1).argmin() - 8) <= 4


def test_the_age_axis():
    assert len(AGE_EDGES) == len(AGE_CODES) + 1
    assert (AGE_EDGES[0], AGE_EDGES[-1]) == (0, 8)
    assert all(np.diff(AGE_EDGES) > 0)


def test_same_seed_same_bytes(tmp_path):
    first = files_of(draw_groups(tmp_path / "first", num_train=14, num_test=7, seed=5))
    assert files_of(draw_groups(tmp_path / "second", num_train=14, num_test=7, seed=5)) == first
    other = files_of(draw_groups(tmp_path / "other", num_train=14, num_test=7, seed=6))
    assert not {data for name, data in other.items() if name.endswith(".jpg")} & set(first.values())


def test_the_smallest_set(tmp_path):
    dataset = load_images_of_groups(draw_groups(tmp_path / "drawn", num_train=7, num_test=7), crops_dir=tmp_path / "c")
    assert sorted(dataset["label"]) == sorted(2 * list(range(7)))
    assert min(Counter(dataset["picture"]).values()) >= 2


def test_a_complete_set_is_used_again_and_another_is_refused(drawn):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    assert draw_groups(str(drawn), num_train=70, num_test=28) == drawn
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before
    found = json.loads((drawn / "prepared.json").read_text())["settings"]
    assert message_of(FileExistsError, draw_groups, drawn, num_train=70, num_test=28, seed=1) == (
        f"{drawn} holds prepared images with the settings {found}, required are {found | {'seed': 1}}. "
        "Give another folder, or move that one away."
    )


def test_numbers_that_cannot_be_shared_out(tmp_path):
    for name, count in (("num_train", 71), ("num_test", 0), ("num_test", -7)):
        assert message_of(ValueError, draw_groups, tmp_path / "drawn", **{name: count}) == (
            f"{name} must be a positive multiple of 7, the number of groups, got {count}."
        )
    assert list(tmp_path.iterdir()) == []


def test_the_cached_set(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "squared_emd.data.synthetic.drawn_groups._draw_set", lambda folder, counts, seed: calls.append(counts)
    )
    folder = cached_drawn_groups()
    assert folder == tmp_path / "squared-emd" / f"drawn_groups_v{VERSION}"
    assert cached_drawn_groups() == folder
    assert calls == [{"train": 1120, "test": 280}]


def test_faces_of_neighbouring_groups_look_more_alike(dataset):
    pixels = np.stack([np.asarray(image.resize((24, 24)), dtype=float).mean(-1).ravel() for image in dataset["image"]])
    labels = np.array(dataset["label"])
    pixels -= pixels.mean(1, keepdims=True)
    means = np.stack([pixels[labels == group].mean(0) for group in range(7)])
    assert np.linalg.norm(means[0] - means[1]) < np.linalg.norm(means[0] - means[6])
    assert np.linalg.norm(means[6] - means[5]) < np.linalg.norm(means[6] - means[0])
