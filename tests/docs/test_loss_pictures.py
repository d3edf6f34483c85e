"""What the pictures of the losses show, by hand, and that they lie there."""

import importlib.util

import pytest
from PIL import Image
from tests.docs.pages import ROOT

spec = importlib.util.spec_from_file_location("draw_losses", ROOT / "docs" / "draw_losses.py")
draw_losses = importlib.util.module_from_spec(spec)
spec.loader.exec_module(draw_losses)

NEARLY = 1e-6  # 1e-9 stands in place of a probability of 0


def test_squared_emd_grows_by_the_square_of_the_wrong_mass():
    steps = [2, 1, 0, 1, 2, 3, 4, 5]  # from the true class
    values = draw_losses.by_wrong_class(draw_losses.LOSSES["squared_emd"])
    assert values == pytest.approx([0.6**2 * step for step in steps], abs=NEARLY)


def test_cross_entropy_is_flat():
    values = draw_losses.by_wrong_class(draw_losses.LOSSES["cross_entropy"])
    assert [values[k] for k in (0, 1, 3, 4, 5, 6, 7)] == pytest.approx([0.916291] * 7, abs=1e-5)  # -log 0.4


def test_push_of_cross_entropy_is_label_less_probability():
    label = [0, 0, 1, 0, 0, 0, 0, 0]
    expected = [t - p for t, p in zip(label, draw_losses.PREDICTION.tolist(), strict=True)]
    assert draw_losses.push(draw_losses.LOSSES["cross_entropy"]) == pytest.approx(expected, abs=NEARLY)


def test_regression_by_hand():
    assert draw_losses.by_output() == [4, 1, 0, 1, 4, 9, 16, 25]
    assert draw_losses.push_of_regression() == [4, 2, 0, -2, -4, -6, -8, -10]


def test_pictures_lie_there_and_are_small(tmp_path):
    drawn = draw_losses.draw_all(tmp_path)
    assert len(drawn) == 7
    for file in drawn:
        there = ROOT / "docs" / "images" / file.name
        assert there.stat().st_size < 60_000
        assert Image.open(there).size == Image.open(file).size
