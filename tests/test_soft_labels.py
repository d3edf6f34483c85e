"""Votes, smoothing and mixing: labels that are distributions."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from timm.data import Mixup

from squared_emd import ground_distance_from_positions, smooth_labels, soft_labels
from squared_emd.vision.mixup import BatchMixup

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


@pytest.mark.parametrize(
    ("votes", "options", "message"),
    [
        (
            [[1, 0], [0, 0]],
            {},
            "each sample must have at least one vote, and none negative; sample 1 has [0.0, 0.0]. "
            "Leave out samples without a vote.",
        ),
        (
            [[1, -1, 3]],
            {},
            "each sample must have at least one vote, and none negative; sample 0 has [1.0, -1.0, 3.0]. "
            "Leave out samples without a vote.",
        ),
        ([[0], [4]], {"num_classes": 3}, "the votes of a sample must be classes in 0 .. 2; sample 1 has 4."),
        ([[0], [0.5]], {"num_classes": 3}, "the votes of a sample must be classes in 0 .. 2; sample 1 has 0.5."),
        (
            [[0, 1], [1]],
            {},
            "votes must be (N, K) numbers; for lists of different lengths, of the classes that annotators gave, say "
            "num_classes.",
        ),
        ([1, 2], {}, "votes must be (N, K), got shape (2,)."),
    ],
)
def test_votes_that_are_none(votes, options, message):
    with pytest.raises(ValueError) as error:
        soft_labels(votes, **options)
    assert str(error.value) == message


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


def test_smoothing_that_cannot_be():
    for options, message in (
        ({"share": 1.5}, "share must lie in 0 .. 1, got 1.5."),
        ({"share": 0.1, "temperature": 0}, "temperature must be greater than 0 and finite, got 0."),
    ):
        with pytest.raises(ValueError) as error:
            smooth_labels(torch.tensor([0]), AGES, **options)
        assert str(error.value) == message


@pytest.mark.parametrize("size", [1, 6, 7])
def test_mixed_labels_are_the_shares_of_the_mixed_pictures(size):
    """Each picture holds its label in every pixel, so that a mixture says by itself what is in it."""
    labels = torch.arange(size) % 4
    pictures = labels.float()[:, None, None, None].expand(size, 3, 8, 8).clone()
    batch = {"pixel_values": pictures, "labels": labels, "other": "kept"}
    np.random.seed(0)
    mixed = BatchMixup(Mixup(mixup_alpha=0.4, label_smoothing=0, num_classes=4))(batch)
    assert mixed["labels"].shape == (size, 4)
    torch.testing.assert_close(mixed["labels"] @ torch.arange(4.0), mixed["pixel_values"].mean((1, 2, 3)))
    assert mixed["other"] == "kept"
    assert batch["pixel_values"].mean((1, 2, 3)).tolist() == labels.tolist()  # nothing is changed in place
    if size % 2:
        assert mixed["labels"][-1].tolist() == torch.eye(4)[labels[-1]].tolist()
    else:
        assert (mixed["labels"].max(1).values < 1).any()


def test_cut_pictures_keep_their_shares_and_smoothing_reaches_the_odd_one():
    labels = torch.arange(5) % 4
    pictures = labels.float()[:, None, None, None].expand(5, 3, 8, 8).clone()
    np.random.seed(1)
    mixup = Mixup(mixup_alpha=0, cutmix_alpha=1.0, label_smoothing=0.2, num_classes=4)
    mixed = BatchMixup(mixup)({"pixel_values": pictures, "labels": labels})
    np.testing.assert_allclose(mixed["labels"][-1], [0.85, 0.05, 0.05, 0.05])
    shares = (mixed["labels"] - 0.05) / 0.8
    torch.testing.assert_close(shares @ torch.arange(4.0), mixed["pixel_values"].mean((1, 2, 3)))


def test_batches_that_cannot_be_mixed():
    mix = BatchMixup(Mixup(mixup_alpha=1.0, num_classes=4))
    pictures = torch.zeros(2, 3, 4, 4)
    for batch, message in (
        (
            {"inputs": pictures, "labels": torch.tensor([0, 1])},
            "mixup needs the input 'pixel_values' in each batch, got ['inputs', 'labels']. Say name=...",
        ),
        (
            {"pixel_values": pictures, "labels": torch.eye(4)[:2]},
            "mixup needs class indices (B,) as labels, got shape (2, 4). Mix before labels are made soft, or leave "
            "mixup out.",
        ),
        (
            {"pixel_values": pictures, "labels": torch.tensor([0, 4])},
            "labels must lie in 0 .. 3, the model's 4 classes; got 0 .. 4.",
        ),
    ):
        with pytest.raises(ValueError) as error:
            mix(batch)
        assert str(error.value) == message
