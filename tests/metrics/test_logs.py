"""Metrics by epoch, worked by hand."""

import pytest

from squared_emd.metrics.logs import check_confusion_matrix, epoch_to_reach, points


def entries(metric, *values):
    return [{"epoch": float(epoch), metric: value} for epoch, value in enumerate(values, 1)]


def test_points():
    history = [*entries("eval_aem", 0.25, 0.5), {"epoch": 2.0, "eval_aem": 1.0}]  # a closing evaluation does not count
    others = [{"epoch": 1.0, "loss": 2.0}, {"eval_aem": 1.0}, {"epoch": 1.0, "eval_aem": None}]
    assert points([*others, *history], "eval_aem") == {1: 0.25, 2: 0.5}


@pytest.mark.parametrize(
    ("metric", "values", "level", "epoch"),
    [
        ("eval_aem", (0.5, 0.75, 0.5, 0.875), 0.75, 2),
        ("eval_aem", (0.5, 0.75, 0.5, 0.875), 0.8, 4),
        ("eval_aem", (0.5, 0.75, 0.5, 0.875), 0.9, None),
        ("eval_top_1_error", (0.5, 0.375, 0.25), 0.375, 2),  # less is better
        ("eval_top_1_error", (0.5, 0.375, 0.25), 0.125, None),
        ("eval_aem", (0.3,), 0.1 + 0.2, 1),  # whose last digit is greater
        ("eval_mae", (0.1 + 0.2,), 0.3, 1),
    ],
)
def test_epoch_to_reach(metric, values, level, epoch):
    assert epoch_to_reach(entries(metric, *values), metric, level) == epoch


def test_errors_of_a_confusion_matrix_are_compared_without_an_order():
    with pytest.raises(ValueError, match=r"share off the diagonal is 'eval_top_1_error', 0\.1; got 0\.25"):
        check_confusion_matrix([[2, 1], [0, 1]], 2, {"eval_top_1_error": 0.1})
