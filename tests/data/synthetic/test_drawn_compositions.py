import csv

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from squared_emd.data.aadb import load_aadb
from squared_emd.data.synthetic.drawn_compositions import (
    MAX_CLUTTER,
    WEIGHTS,
    _draw_scene,
    draw_compositions,
)

BEST = dict.fromkeys(WEIGHTS, 1.0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_compositions(tmp_path_factory.mktemp("aadb") / "drawn", num_train=400, num_test=60, size=24)


@pytest.fixture(scope="module")
def rule(drawn):
    """The columns of rule.csv, numbers as numbers."""
    with open(drawn / "rule.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [row[name] for row in rows] if name in ("split", "name") else np.array([float(row[name]) for row in rows])
        for name in rows[0]
    }


def test_loads_as_aadb(drawn):
    dataset = load_aadb(drawn)
    assert dataset["split"][:] == ["train"] * 400 + ["test"] * 60
    assert all(image.size == (24, 24) and image.mode == "RGB" for image in dataset["image"])
    assert dataset[0]["image"].filename == str(drawn / "datasetImages_originalSize" / "drawn_train_00000.jpg")
    assert dataset[400]["image"].filename == str(drawn / "AADB_newtest_originalSize" / "drawn_test_00000.jpg")
    assert len({image.tobytes() for image in dataset["image"]}) == 460


def test_scores_are_means_of_five_raters(drawn):
    twentieths = 20 * np.array(load_aadb(drawn)["score"])
    np.testing.assert_allclose(twentieths, np.rint(twentieths), atol=1e-12)
    assert 0 <= twentieths.min() < 3 and 17 < twentieths.max() <= 20
    assert len(set(np.rint(twentieths))) >= 18
    np.testing.assert_allclose(twentieths.mean() / 20, 0.5, atol=0.06)  # the rule is symmetric; 5 standard errors


def test_the_rule(drawn, rule):
    assert sum(WEIGHTS.values()) == pytest.approx(1)
    score = sum(weight * rule[name] for name, weight in WEIGHTS.items())
    np.testing.assert_allclose(rule["score_before_raters"], score, atol=1e-4)  # four digits are written
    np.testing.assert_array_equal(rule["score"], load_aadb(drawn)["score"][:])
    for name in WEIGHTS:
        assert 0 <= rule[name].min() < 0.05 and 0.95 < rule[name].max() <= 1
        assert 0.4 < spearmanr(rule[name], rule["score"]).statistic < 0.85  # each counts, none is enough


def test_the_best_possible_rank_correlation_is_below_one(rule):
    assert 0.8 < spearmanr(rule["score_before_raters"], rule["score"]).statistic < 0.91


def scenes(property_name, value, count=24, size=48):
    """Images that are good in all but one property, and their properties."""
    images = [_draw_scene(BEST | {property_name: value}, np.random.default_rng(k), size) for k in range(count)]
    return np.stack([np.asarray(image, dtype=float) / 255 for image, _ in images]), [found for _, found in images]


def spread_of_hues(images):
    """How far the hues of an image lie apart, with the opposite hue counted as the same."""
    found = []
    for pixels in images:
        hsv = np.asarray(Image.fromarray((255 * pixels).astype(np.uint8)).convert("HSV"), dtype=float) / 255
        vivid = hsv[..., 1] > 0.2
        found.append(1 - np.abs(np.exp(4j * np.pi * hsv[..., 0][vivid]).mean()))
    return np.mean(found)


def step_at_the_horizon(images):
    """How much darker the right half is than the left one, in the middle rows."""
    rows = images[:, 12:36].mean(-1)
    return np.abs(rows[:, :, 24:].mean(axis=(1, 2)) - rows[:, :, :24].mean(axis=(1, 2))).mean()


@pytest.mark.parametrize(
    ("name", "statistic", "low", "high"),
    [
        ("light", lambda images: images.std(axis=(1, 2)).mean(), 0.2, 0.35),  # a quarter of the contrast, and noise
        ("sharpness", lambda images: (np.diff(images, axis=2) ** 2).mean(), 0, 0.5),  # squares: edges count
        ("harmony", spread_of_hues, 2, np.inf),
        ("level", step_at_the_horizon, 1.5, np.inf),
    ],
)
def test_what_can_be_seen(name, statistic, low, high):
    assert low < statistic(scenes(name, 0.0)[0]) / statistic(scenes(name, 1.0)[0]) < high


def test_clutter_is_counted_in_whole_pieces():
    good, found = scenes("calm", 1.0)
    assert {properties["calm"] for properties in found} == {1.0}
    cluttered, found = scenes("calm", 0.0)
    assert {properties["calm"] for properties in found} == {0.0}
    changed = (np.abs(good - cluttered).max(-1) > 0.1).mean(axis=(1, 2))  # the same scenes but for the pieces
    assert (changed > 0.02).all()
    _, found = scenes("calm", 0.77, count=1)
    assert found[0]["calm"] == pytest.approx(1 - 2 / MAX_CLUTTER)


def test_the_place_of_the_subject():
    _, found = scenes("thirds", 1.0)
    assert {properties["thirds"] for properties in found} == {1.0}
    _, found = scenes("thirds", 0.6)
    np.testing.assert_allclose([properties["thirds"] for properties in found], 0.6)
    _, found = scenes("thirds", 0.0, count=80)
    values = np.array([properties["thirds"] for properties in found])
    assert values.min() == 0 and (values < 1).all()  # some such places are nearer to another point
