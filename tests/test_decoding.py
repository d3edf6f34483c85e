"""Each rule by hand and against a loop over all decisions."""

import numpy as np
import pytest
import torch

from squared_emd import decode

P = np.array([[0.4, 0.25, 0.35], [0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
LINE = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))


def test_rules_by_hand():
    assert decode(P).tolist() == [0, 2, 0]
    assert decode(P, "median").tolist() == [1, 2, 0]
    np.testing.assert_allclose(decode(P, "expected"), [0.95, 1.6, 0.5])
    np.testing.assert_allclose(decode(P, "expected", scores=[1, 10, 100]), [37.9, 72.1, 5.5])
    # row 0: 0.25 + 0.70, 0.40 + 0.35, 0.80 + 0.25
    assert decode(P, "min_distance", ground_distance=LINE).tolist() == [1, 2, 0]


def test_least_expected_distance_tries_every_decision():
    generator = np.random.default_rng(0)
    matrix = generator.random((6, 6))
    matrix = (matrix + matrix.T) * (1 - np.eye(6))
    p = generator.dirichlet(np.ones(6), 50)
    expected = [min(range(6), key=lambda j: sum(row[i] * matrix[i, j] for i in range(6))) for row in p]
    assert decode(p, "min_distance", ground_distance=matrix).tolist() == expected
    assert expected != p.argmax(1).tolist()


def test_on_a_line_the_median_minimises_the_expected_distance():
    p = np.random.default_rng(1).dirichlet(np.ones(7), 100)
    line = np.abs(np.subtract.outer(np.arange(7.0), np.arange(7.0)))
    assert decode(p, "median").tolist() == decode(p, "min_distance", ground_distance=line).tolist()


def test_tensors_stay_tensors():
    decided = decode(torch.tensor(P, dtype=torch.float16))
    assert isinstance(decided, torch.Tensor)
    assert decided.dtype == torch.int64
    assert isinstance(decode(P), np.ndarray)


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
            {"rule": "min_distance", "ground_distance": [[0, np.inf, 2], [np.inf, 0, 1], [2, 1, 0]]},
            "ground_distance must be finite and not negative; from class 0 to class 1 it is inf.",
        ),
        (
            {"rule": "min_distance", "ground_distance": -LINE},
            "ground_distance must be finite and not negative; from class 0 to class 1 it is -1.",
        ),
        ({"rule": "expected", "scores": [1, 2]}, "scores must be (3,), one a class, got shape (2,)."),
        ({"rule": "expected", "scores": [1, 2, np.nan]}, "scores must be finite, got [1.0, 2.0, nan]."),
        ({"probabilities": np.zeros(3)}, "probabilities must be (B, K), got shape (3,)."),
        (
            {"probabilities": np.array([[3.0, -1.0, 0.5]])},
            "each row of probabilities must be a distribution (no negative entry, sum 1); "
            "apply softmax to logits first.",
        ),
        (
            {"probabilities": np.array([[np.nan, 0.5, 0.5]])},
            "each row of probabilities must be a distribution (no negative entry, sum 1); "
            "apply softmax to logits first.",
        ),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError) as error:
        decode(**({"probabilities": P} | arguments))
    assert str(error.value) == message


def test_mass_moves_from_the_row_to_the_column_of_d():
    matrix = np.array([[0, 1.0, 9], [5, 0, 9], [9, 9, 0]])  # not symmetric: D[0, 1] is not D[1, 0]
    # p @ D: 2.5, 0.5, 9; D @ p: 0.5, 2.5, 9
    assert decode(np.array([[0.5, 0.5, 0.0]]), "min_distance", ground_distance=matrix).tolist() == [1]
