import csv
import json
import multiprocessing
from collections import Counter, defaultdict

import numpy as np
import pytest
from datasets import Image
from tests.data.synthetic.folders import ADVICE, files_of, message_of

from squared_emd.data.adience import load_adience
from squared_emd.data.splits import fold_split
from squared_emd.data.synthetic.drawn_faces import ADIENCE_COUNTS, APPARENT_AGE_NOISE, VERSION, draw_faces


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_faces(tmp_path_factory.mktemp("faces") / "drawn", num_faces=300, size=32)


def test_loads_as_adience(drawn):
    dataset = load_adience(drawn)
    assert len(dataset) == 300
    assert all(image.size == (32, 32) and image.mode == "RGB" for image in dataset["image"])
    shares = np.array([Counter(dataset["label"])[label] for label in range(8)]) / 300
    # Rounding moves a count by less than one picture.
    np.testing.assert_allclose(shares, np.array(ADIENCE_COUNTS) / 17424, atol=1 / 300)


def test_folds_have_disjoint_people_and_every_group(drawn):
    dataset = load_adience(drawn)
    for fold in range(5):
        _, test = fold_split(dataset, fold)
        assert set(test["label"]) == set(range(8))
        assert 56 <= len(test) <= 64  # eight groups, each within one picture of a fifth


def test_a_person_has_one_group_and_several_pictures(drawn):
    labels = defaultdict(list)
    dataset = load_adience(drawn)
    for user, label in zip(dataset["user_id"], dataset["label"], strict=True):
        labels[user].append(label)
    assert all(len(set(values)) == 1 for values in labels.values())
    assert 2 < 300 / len(labels) < 5
    pictures = [path.read_bytes() for path in drawn.glob("aligned/*/*.jpg")]
    assert len(set(pictures)) == 300


def test_what_else_lies_in_the_folder(drawn):
    assert "These are drawn faces and no photographs" in (drawn / "README.txt").read_text()
    settings = {"version": VERSION, "num_faces": 300, "size": 32, "seed": 0, "noise": APPARENT_AGE_NOISE}
    said = json.loads((drawn / "prepared.json").read_text())
    assert said["settings"] == {"pictures": "faces", **settings}
    assert said["files"] == 300 + 5 + 2  # pictures, fold files, labels.csv and README.txt


def test_labels_file_names_the_same_faces(drawn):
    dataset = load_adience(drawn).cast_column("image", Image(decode=False))
    with open(drawn / "labels.csv", newline="") as file:
        rows = {(str(drawn / row["image"]), row["label"], row["group"]) for row in csv.DictReader(file)}
    names = dataset.features["label"].names
    assert rows == {(row["image"]["path"], names[row["label"]], row["user_id"]) for row in dataset}
    assert [path.name for path in drawn.parent.iterdir()] == ["drawn"]


def test_same_seed_same_bytes(tmp_path):
    first = files_of(draw_faces(tmp_path / "first", num_faces=98, size=24, seed=5))
    assert files_of(draw_faces(tmp_path / "second", num_faces=98, size=24, seed=5)) == first
    other = files_of(draw_faces(tmp_path / "other", num_faces=98, size=24, seed=6))
    assert not {other[name] for name in other if name.endswith(".jpg")} & set(first.values())


def test_a_complete_set_is_used_again(drawn):
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    assert draw_faces(str(drawn), num_faces=300, size=32) == drawn
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


def test_an_empty_folder_is_filled(tmp_path):
    assert draw_faces(tmp_path, num_faces=98, size=16) == tmp_path
    assert len(load_adience(tmp_path)) == 98


def test_other_settings_are_refused(drawn):
    before = files_of(drawn)
    found = {
        "pictures": "faces",
        "version": VERSION,
        "num_faces": 300,
        "size": 32,
        "seed": 0,
        "noise": APPARENT_AGE_NOISE,
    }
    assert message_of(FileExistsError, draw_faces, drawn, num_faces=300, size=32, seed=1) == (
        f"{drawn} holds prepared images with the settings {found}, required are {found | {'seed': 1}}. {ADVICE}"
    )
    assert files_of(drawn) == before


@pytest.mark.parametrize("name", ["notes.txt", "prepared.json"])
def test_a_folder_with_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    assert message_of(FileExistsError, draw_faces, tmp_path) == (
        f"A folder to prepare must be new, empty or hold prepared images, {tmp_path} does not. {ADVICE}"
    )
    assert files_of(tmp_path) == {name: b"mine"}


def test_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert message_of(FileExistsError, draw_faces, file) == (
        f"A folder to prepare must be new, empty or hold prepared images, {file} does not. {ADVICE}"
    )


def test_a_set_that_lost_pictures_is_refused(tmp_path):
    folder = draw_faces(tmp_path / "drawn", num_faces=98, size=16)
    next(folder.glob("aligned/*/*.jpg")).unlink()
    assert message_of(FileExistsError, draw_faces, folder, num_faces=98, size=16) == (
        f"{folder} holds 104 of its 105 files. {ADVICE}"
    )


def test_too_few_faces_and_too_small_ones(tmp_path):
    assert message_of(ValueError, draw_faces, tmp_path / "drawn", num_faces=97) == (
        "Each group needs a face in each fold: num_faces must be at least 98, got 97."
    )
    assert message_of(ValueError, draw_faces, tmp_path / "drawn", size=15) == (
        "size must be at least 16 pixels, got 15."
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_when_drawing_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("squared_emd.data.synthetic.drawn_faces.draw_image", fail)
    assert message_of(OSError, draw_faces, tmp_path / "drawn") == "disk full"
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        calls = [pool.apply_async(draw_faces, (tmp_path / "drawn",), {"num_faces": 98, "size": 16}) for _ in range(2)]
        folders = [call.get(timeout=60) for call in calls]
        pool.close()  # SIGTERM, which ends a pool otherwise, may have a handler of a library, and the forks with it.
        pool.join()
    assert folders == [tmp_path / "drawn"] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]
    assert len(load_adience(tmp_path / "drawn")) == 98


def test_the_second_to_finish_takes_the_first_ones_set(tmp_path, monkeypatch):
    import squared_emd.data.synthetic.drawn_faces as module

    draw, first = module._draw_folds, []

    def draw_after_another(*args):
        if not first:
            first.append(True)
            draw_faces(tmp_path / "drawn", num_faces=98, size=16)
        draw(*args)

    monkeypatch.setattr(module, "_draw_folds", draw_after_another)
    assert draw_faces(tmp_path / "drawn", num_faces=98, size=16) == tmp_path / "drawn"
    assert [path.name for path in tmp_path.iterdir()] == ["drawn"]


def test_faces_of_neighbouring_groups_look_more_alike(tmp_path):
    dataset = load_adience(draw_faces(tmp_path / "drawn", num_faces=600, size=24))
    pixels = np.stack([np.asarray(image, dtype=float).mean(-1).ravel() for image in dataset["image"]])
    labels = np.array(dataset["label"])
    means = np.stack([pixels[labels == group].mean(0) for group in range(8)])
    assert np.linalg.norm(means[0] - means[1]) < np.linalg.norm(means[0] - means[7])
    assert np.linalg.norm(means[7] - means[6]) < np.linalg.norm(means[7] - means[0])
