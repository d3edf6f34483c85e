import csv
from collections import Counter

import numpy as np
import pytest
from datasets import Image

from squared_emd.data.adience import load_adience
from squared_emd.data.splits import fold_split
from squared_emd.data.synthetic.drawn_faces import ADIENCE_COUNTS, draw_faces


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_faces(tmp_path_factory.mktemp("faces") / "drawn", num_faces=300, size=32)


@pytest.fixture(scope="module")
def dataset(drawn):
    return load_adience(drawn)


def test_loads_as_adience(dataset):
    assert len(dataset) == 300
    assert all(image.size == (32, 32) and image.mode == "RGB" for image in dataset["image"])
    shares = np.array([Counter(dataset["label"])[label] for label in range(8)]) / 300
    # Rounding moves a count by less than one image.
    np.testing.assert_allclose(shares, np.array(ADIENCE_COUNTS) / 17424, atol=1 / 300)


def test_folds_have_disjoint_people_and_every_group(dataset):
    for fold in range(5):
        _, test = fold_split(dataset, fold)
        assert set(test["label"]) == set(range(8))
        assert 56 <= len(test) <= 64  # eight groups, each within one image of a fifth


def test_a_person_has_one_group_and_several_images(drawn, dataset):
    people = set(dataset["user_id"])
    assert len(set(zip(dataset["user_id"], dataset["label"], strict=True))) == len(people)
    assert 2 < 300 / len(people) < 5
    assert len({path.read_bytes() for path in drawn.glob("aligned/*/*.jpg")}) == 300


def test_labels_file_names_the_same_faces(drawn, dataset):
    dataset = dataset.cast_column("image", Image(decode=False))
    with open(drawn / "labels.csv", newline="") as file:
        rows = {(str(drawn / row["image"]), row["label"], row["group"]) for row in csv.DictReader(file)}
    names = dataset.features["label"].names
    assert rows == {(row["image"]["path"], names[row["label"]], row["user_id"]) for row in dataset}
    assert [path.name for path in drawn.parent.iterdir()] == ["drawn"]


def test_faces_of_neighboring_groups_look_more_alike(dataset):
    pixels = np.stack([np.asarray(image, dtype=float).mean(-1).ravel() for image in dataset["image"]])
    labels = np.array(dataset["label"])
    means = np.stack([pixels[labels == group].mean(0) for group in range(8)])
    assert np.linalg.norm(means[0] - means[1]) < np.linalg.norm(means[0] - means[7])
    assert np.linalg.norm(means[7] - means[6]) < np.linalg.norm(means[7] - means[0])
