"""What a label becomes: soft labels from votes, smoothed labels, and class weights."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from tests.errors import message_of

from squared_emd import class_weights_from_counts, ground_distance_from_positions, smooth_labels, soft_labels

AGES = ground_distance_from_positions([1, 5, 10, 17])


def test_votes_become_shares():
    votes = [[1, 2, 0, 1], [0, 0, 5, 0]]
    assert soft_labels(votes).tolist() == [[0.25, 0.5, 0, 0.25], [0, 0, 1, 0]]
    assert soft_labels(torch.tensor(votes)).dtype == torch.float32
    assert soft_labels([[1, 0, 1, 3], [2], [2, 2]], num_classes=4).tolist() == [
        [0.25, 0.5, 0, 0.25],
        [0, 0, 1, 0],
        [0, 0, 1, 0],
    ]


NO_VOTE = "each sample must have at least one vote, and none negative; sample {}. Leave out samples without a vote."
NO_CLASS = (
    "the votes of a sample must be classes in 0 .. 2; sample 1 has {}. Number the classes from 0; num_classes says how "
    "many there are."
)
COUNTS = "counts must be (K,) numbers of samples, none negative and not all 0; got {}."
ERRORS = [
    (lambda: soft_labels([[1, 0], [0, 0]]), NO_VOTE.format("1 has [0.0, 0.0]")),
    (lambda: soft_labels([[1, -1, 3]]), NO_VOTE.format("0 has [1.0, -1.0, 3.0]")),
    (lambda: soft_labels([[0], [4]], num_classes=3), NO_CLASS.format(4)),
    (lambda: soft_labels([[0], [0.5]], num_classes=3), NO_CLASS.format(0.5)),
    (
        lambda: soft_labels([[0, 1], [1]]),
        "votes must be (N, K) numbers; for lists of different lengths, of the classes that annotators gave, say "
        "num_classes.",
    ),
    (lambda: soft_labels([1, 2]), "votes must be (N, K), got shape (2,)."),
    (lambda: smooth_labels(torch.tensor([0]), AGES, share=1.5), "share must lie in 0 .. 1, got 1.5."),
    (
        lambda: smooth_labels(torch.tensor([0]), AGES, share=0.1, temperature=0),
        "temperature must be greater than 0 and finite, got 0.",
    ),
    (
        lambda: smooth_labels(torch.tensor([4]), AGES, share=0.1),
        "labels must lie in 0 .. 3, the model's 4 classes; got 4 .. 4. If the labels count from 1, subtract 1; "
        "otherwise give the model num_labels=5.",
    ),
    (lambda: class_weights_from_counts([0, 0]), COUNTS.format([0.0, 0.0])),
    (lambda: class_weights_from_counts([1, -1]), COUNTS.format([1.0, -1.0])),
    (
        lambda: class_weights_from_counts([1, 2], "equal"),
        'scheme must be "balanced" or "effective", got \'equal\'.',
    ),
    (
        lambda: class_weights_from_counts([1, 2], "effective", beta=1),
        "beta must be at least 0 and less than 1, got 1. Cui et al. try 0.9 to 0.9999.",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    assert message_of(ValueError, call) == message


@pytest.mark.parametrize("temperature", [0.05, 1.0, 1e6])
def test_smoothing_gives_to_near_classes_first(temperature):
    distances = AGES.numpy()
    mean = distances[~np.eye(4, dtype=bool)].mean()
    kernel = softmax(-distances / (temperature * mean), axis=1)
    labels = torch.tensor([1, 3])
    smooth = smooth_labels(labels, AGES, share=0.3, temperature=temperature)
    expected = 0.7 * np.eye(4)[[1, 3]] + 0.3 * kernel[[1, 3]]
    np.testing.assert_allclose(smooth, expected, atol=1e-6)
    soft = torch.tensor([[0.5, 0.25, 0, 0.25]])
    np.testing.assert_allclose(
        smooth_labels(soft, AGES, share=0.3, temperature=temperature),
        0.7 * soft.numpy() + 0.3 * soft.numpy() @ kernel,
        atol=1e-6,
    )
    near_first = smooth[0, [0, 2, 3]]
    if temperature < 1e6:
        assert near_first[0] > near_first[1] > near_first[2]
    else:  # as common label smoothing
        np.testing.assert_allclose(near_first, 0.3 / 4, atol=1e-6)


def test_a_class_that_d_does_not_know_is_at_the_mean_distance():
    distance = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    known = torch.tensor([True, True, False])
    expected = softmax(-(1 - np.eye(3)), axis=1)
    np.testing.assert_allclose(smooth_labels(torch.arange(3), distance, share=1, known=known), expected, atol=1e-6)


@pytest.mark.parametrize("scheme", ["balanced", "effective"])
def test_class_weights_are_those_of_the_equation_and_have_mean_1_over_the_samples(scheme):
    counts, beta = np.array([100, 10, 0, 1]), 0.99
    seen = counts > 0
    expected = np.ones(4)
    expected[seen] = 1 / counts[seen] if scheme == "balanced" else (1 - beta) / (1 - beta ** counts[seen])
    expected[seen] *= counts.sum() / (expected * counts).sum()
    weights = class_weights_from_counts(counts, scheme, beta=beta)
    np.testing.assert_allclose(weights, expected)
    assert (weights.numpy() * counts).sum() == pytest.approx(counts.sum())
