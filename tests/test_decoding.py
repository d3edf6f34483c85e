"""Each rule by hand and against a loop over all decisions; intervals against loops and on samples that are drawn."""

import json

import numpy as np
import pytest
import torch
from tests.errors import message_of

from squared_emd import decode
from squared_emd.decoding import calibrate_intervals, predict_intervals

P = np.array([[0.4, 0.25, 0.35], [0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
LINE = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))


def test_rules_by_hand():
    assert decode(P).tolist() == [0, 2, 0]
    assert isinstance(decode(P), np.ndarray)
    decided = decode(torch.tensor(P, dtype=torch.float16))
    assert decided.dtype == torch.int64 and decided.tolist() == [0, 2, 0]
    assert decode(P, "median").tolist() == [1, 2, 0]
    np.testing.assert_allclose(decode(P, "expected"), [0.95, 1.6, 0.5])
    np.testing.assert_allclose(decode(P, "expected", scores=[1, 10, 100]), [37.9, 72.1, 5.5])
    # row 0: 0.25 + 0.70, 0.40 + 0.35, 0.80 + 0.25
    assert decode(P, "min_distance", ground_distance=LINE).tolist() == [1, 2, 0]


def test_least_expected_distance_tries_every_decision():
    generator = np.random.default_rng(0)
    matrix = generator.random((6, 6))
    np.fill_diagonal(matrix, 0)  # not symmetric: mass moves from the row to the column
    p = generator.dirichlet(np.ones(6), 50)
    expected = [min(range(6), key=lambda j: sum(row[i] * matrix[i, j] for i in range(6))) for row in p]
    assert decode(p, "min_distance", ground_distance=matrix).tolist() == expected
    assert expected != p.argmax(1).tolist()


def test_on_a_line_the_median_minimises_the_expected_distance():
    p = np.random.default_rng(1).dirichlet(np.ones(7), 100)
    line = np.abs(np.subtract.outer(np.arange(7.0), np.arange(7.0)))
    assert decode(p, "median").tolist() == decode(p, "min_distance", ground_distance=line).tolist()


def test_a_class_that_was_never_seen_is_never_decided_for():
    matrix = np.array([[0, 1.0, 0, 4], [1, 0, 0, 2], [0, 0, 0, 0], [4, 2, 0, 0]])
    probabilities = np.array([[0.1, 0.5, 0.0, 0.4], [0.9, 0.0, 0.1, 0.0]])
    # of classes 0, 1, 3: 0.5 + 1.6, 0.1 + 0.8, 0.4 + 1.0 and 0, 0.9, 3.6
    assert decode(probabilities, "min_distance", ground_distance=matrix).tolist() == [1, 0]
    assert decode(probabilities, "min_distance", ground_distance=np.zeros((4, 4))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "mean"}, "rule must be one of argmax, median, expected, min_distance, got 'mean'."),
        (
            {"rule": "min_distance"},
            'rule "min_distance" needs ground_distance, the (K, K) matrix of the checkpoint\'s config.',
        ),
        (
            {"rule": "min_distance", "ground_distance": np.zeros((2, 2))},
            "ground_distance must be (3, 3), got shape (2, 2).",
        ),
        (
            {"rule": "min_distance", "ground_distance": [[0, 1, 2], [1, 0, np.nan], [2, np.nan, 0]]},
            "ground_distance must be finite and not negative; from class 1 to class 2 it is nan.",
        ),
        (
            {"rule": "min_distance", "ground_distance": -LINE},
            "ground_distance must be finite and not negative; from class 0 to class 1 it is -1.",
        ),
        ({"rule": "expected", "scores": [1, 2]}, "scores must be (3,), one a class, got shape (2,)."),
        ({"rule": "expected", "scores": [1, 2, np.nan]}, "scores must be finite, got [1.0, 2.0, nan]."),
        ({"probabilities": np.zeros(3)}, "probabilities must be (B, K), got shape (3,)."),
        *(
            (
                {"probabilities": np.array([row])},
                "each row of probabilities must be a distribution (no negative entry, sum 1); "
                "apply softmax to logits first.",
            )
            for row in ([3.0, -1.0, 0.5], [2.0, -1.0, 0.0], [np.nan, 0.5, 0.5])
        ),
    ],
)
def test_errors(arguments, message):
    assert message_of(ValueError, decode, **({"probabilities": P} | arguments)) == message


def scores_slowly(row):
    """The probability of the interval that grows from the likeliest class before each class joins it."""
    low = high = int(np.argmax(row))
    scores, mass = {low: 0.0}, row[low]
    while len(scores) < len(row):
        goes_down = high == len(row) - 1 or (low > 0 and row[low - 1] >= row[high + 1])
        low, high = (low - 1, high) if goes_down else (low, high + 1)
        joining = low if goes_down else high
        scores[joining], mass = mass, mass + row[joining]
    return scores


def interval_slowly(row, threshold):
    """The classes whose score is not above the threshold, which must be neighbors of one another."""
    inside = sorted(k for k, score in scores_slowly(row).items() if score <= threshold + 1e-9)
    assert inside == list(range(inside[0], inside[-1] + 1))
    return inside[0], inside[-1]


def drawn(count, num_classes=5, seed=0, sharpness=1.0, masked=None):
    """Predictions and classes drawn from other distributions than the predicted ones, unless the sharpness is 1."""
    generator = np.random.default_rng(seed)
    centers, widths = generator.uniform(0, num_classes - 1, (count, 1)), generator.uniform(0.5, 1.5, (count, 1))
    logits = -np.abs(np.arange(num_classes) - centers) / widths + 0.3 * generator.normal(size=(count, num_classes))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (true.cumsum(1) < generator.random((count, 1))).sum(1)
    predicted = true**sharpness
    if masked is not None:
        predicted[:, masked] = 0
    return predicted / predicted.sum(1, keepdims=True), labels


class TestIntervals:
    @pytest.mark.parametrize("coverage", [0.5, 0.75, 0.9])
    @pytest.mark.parametrize("num_classes", [1, 2, 3, 9])
    def test_against_loops(self, num_classes, coverage):
        probabilities, labels = drawn(60, num_classes)
        probabilities[:20] = np.round(probabilities[:20], 1)  # equal neighbors, and zeros
        probabilities /= probabilities.sum(1, keepdims=True)
        calibration = calibrate_intervals(probabilities[:39], labels[:39], coverage=coverage)
        scores = sorted(scores_slowly(row)[k] for row, k in zip(probabilities[:39], labels[:39], strict=True))
        expected = scores[int(np.ceil(40 * coverage)) - 1]
        assert calibration == {
            "coverage": coverage, "threshold": pytest.approx(expected, abs=1e-12), "num_classes": num_classes,
            "num_samples": 39,
        }  # fmt: skip
        found = predict_intervals(probabilities, calibration)
        assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == [
            interval_slowly(row, expected) for row in probabilities
        ]

    def test_soft_labels_count_as_samples_of_their_classes(self):
        """The rule of conformal risk control; of class indices as distributions it is the quantile."""
        probabilities, labels = drawn(50)
        soft = 0.7 * np.eye(5)[labels] + 0.3 * drawn(50, seed=1)[0]
        pairs = sorted(
            (score, soft[i, k]) for i, row in enumerate(probabilities) for k, score in scores_slowly(row).items()
        )
        sums = np.cumsum([share for _, share in pairs])
        expected = next(score for (score, _), total in zip(pairs, sums, strict=True) if total >= 51 * 0.8)
        calibration = calibrate_intervals(probabilities, soft, coverage=0.8)
        assert calibration["threshold"] == pytest.approx(expected, abs=1e-12)
        assert calibrate_intervals(probabilities, np.eye(5)[labels]) == calibrate_intervals(probabilities, labels)

    @pytest.mark.parametrize("coverage", [0.8, 0.9])
    @pytest.mark.parametrize(
        "options",
        [
            {}, {"sharpness": 3.0}, {"sharpness": 0.2}, {"masked": 2}, {"masked": 0, "sharpness": 0.5},
            {"num_classes": 2}, {"num_classes": 40}, {"num_classes": 2, "masked": 1},
        ],
        ids=str,
    )  # fmt: skip
    def test_coverage_on_new_samples(self, options, coverage):
        """Too sure, too unsure, without a class that occurs: a calibration makes up for all of it."""
        calibration = calibrate_intervals(*drawn(2_000, **options), coverage=coverage)
        probabilities, labels = drawn(4_000, seed=1, **options)
        low, high = predict_intervals(probabilities, calibration)
        share = np.mean((low <= labels) & (labels <= high))
        error = 3 * (coverage * (1 - coverage) * (1 / 2_000 + 1 / 4_000)) ** 0.5
        assert share >= coverage - error
        if {"sharpness", "masked"}.isdisjoint(options) and options.get("num_classes") != 2:
            assert share <= coverage + error
            assert np.ptp(high - low) >= 2  # wider where a sample is harder

    def test_a_likeliest_class_that_is_right_often_enough_is_alone(self):
        probabilities = np.tile([0.1, 0.8, 0.1], (100, 1))
        labels = np.r_[np.ones(95, int), np.zeros(5, int)]
        calibration = calibrate_intervals(probabilities, labels)
        assert calibration["threshold"] == 0
        assert [bound.tolist() for bound in predict_intervals(probabilities[:1], calibration)] == [[1], [1]]
        calibration = calibrate_intervals(probabilities, labels, coverage=0.95)  # 95.95 of them
        assert [bound.tolist() for bound in predict_intervals(probabilities[:1], calibration)] == [[0], [1]]

    def test_tensors_of_any_precision_and_arrays_agree(self):
        probabilities, labels = drawn(100)
        halves = torch.tensor(probabilities).bfloat16()
        of_tensors = calibrate_intervals(halves, torch.tensor(labels))
        assert json.loads(json.dumps(of_tensors)) == of_tensors
        assert of_tensors == calibrate_intervals(halves.float().numpy(), labels)
        bounds = predict_intervals(halves, of_tensors)
        assert [bound.dtype for bound in bounds] == [torch.int64] * 2
        for bound, of_array in zip(bounds, predict_intervals(halves.double().numpy(), of_tensors), strict=True):
            assert isinstance(of_array, np.ndarray) and bound.tolist() == of_array.tolist()

    def test_ties_of_another_precision_stay_ties(self):
        """Many rows have the score of the threshold, which float32 rounds up or down."""
        logits = np.random.default_rng(0).permuted(np.tile(np.log([1.0, 2.0, 3.0, 4.0, 3.0]), (200, 1)), axis=1)
        double = torch.tensor(logits).softmax(1)
        calibration = calibrate_intervals(double, torch.arange(200) % 5, coverage=0.8)
        single = torch.tensor(logits, dtype=torch.float32).softmax(1)
        for bound, expected in zip(*(predict_intervals(rows, calibration) for rows in (single, double)), strict=True):
            assert bound.tolist() == expected.tolist()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"coverage": 1.0}, "coverage must be a number greater than 0 and less than 1, got 1.0."),
            ({"coverage": "90%"}, "coverage must be a number greater than 0 and less than 1, got '90%'."),
            ({"coverage": 0.95}, "a coverage of 0.95 needs at least 19 labeled samples, got 9; only intervals of all "
             "classes would be sure to have it. Give more samples, or ask for a smaller coverage."),
            ({"probabilities": np.zeros((0, 3))}, "a coverage of 0.9 needs at least 9 labeled samples, got 0; only "
             "intervals of all classes would be sure to have it. Give more samples, or ask for a smaller coverage."),
            ({"labels": np.arange(8)}, "labels must be (9,) class indices or (9, 3) floating point distributions, got "
             "(8,) torch.int64."),
            ({"labels": [-100, *range(8)]}, "labels must lie in 0 .. 2, the model's 3 classes; got -100 .. 7. Leave "
             "out samples without a label."),
            ({"labels": np.ones((9, 3))}, "each row of soft labels must be a distribution: no negative entry, sum 1; "
             "got entries from 1 and sums 3 .. 3."),
            ({"labels": ["old"] * 9}, "labels must be numbers, in a tensor or an array, got ['old', 'old', 'old', "
             "'old', 'old', 'old', 'old', 'old', 'old']."),
            ({"probabilities": np.ones((9, 3))}, "each row of probabilities must be a distribution (no negative entry, "
             "sum 1); apply softmax to logits first."),
        ],
    )  # fmt: skip
    def test_errors_of_a_calibration(self, changes, message):
        given = {"probabilities": np.full((9, 3), 1 / 3), "labels": np.arange(9) % 3} | changes
        assert message_of(ValueError, calibrate_intervals, **given) == message

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"num_classes": 4}, "the calibration is of 4 classes, and the probabilities are of 3. Calibrate again "
             "with probabilities of this model."),
            ({"threshold": None}, "calibration must be what calibrate_intervals gives, with coverage, threshold, "
             "num_classes and num_samples; got {'coverage': 0.9, 'threshold': None, 'num_classes': 3, "
             "'num_samples': 9}."),
        ],
    )  # fmt: skip
    def test_errors_of_a_prediction(self, changes, message):
        calibration = {"coverage": 0.9, "threshold": 0.5, "num_classes": 3, "num_samples": 9} | changes
        assert message_of(ValueError, predict_intervals, P, calibration) == message
