"""Ground distances that are given: positions, circles, names, and blends of a given and a learned one."""

import numpy as np
import pytest
import torch
from tests.errors import message_of

from squared_emd import (
    LabelTree,
    blend_ground_distances,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_text,
)
from squared_emd.ground_distance.given import as_ground_distance


def test_positions():
    ages = torch.tensor([1.0, 5.0, 10.0, 17.0])
    assert ground_distance_from_positions(ages).tolist() == [[abs(a - b) for b in ages] for a in ages]
    assert ground_distance_from_positions(ages, normalize=True).max() == 1
    assert ground_distance_from_positions([[0, 0], [3, 4]]).tolist() == [[0, 5], [5, 0]]


def test_circle():
    assert ground_distance_from_circle(12)[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
    assert ground_distance_from_circle(12, normalize=True).max() == 1
    assert ground_distance_from_circle([1.0, 2.0, 4.0]).tolist() == [[0, 1, 3], [1, 0, 2], [3, 2, 0]]


def test_matrix_or_tree_as_ground_distance():
    assert as_ground_distance([[0, 0.5], [0.5, 0]], 2).dtype == torch.float64
    assert as_ground_distance(LabelTree.from_nested({"a": ["x", "y"], "b": ["z"]}), 3)[0].tolist() == [0, 0.5, 1]


class Encoder:
    def encode(self, texts):
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_distances_of_names_are_percentile_ranks_of_their_embeddings():
    names = ["bad", "mediocre", "ok"]
    directions = np.array([[3, 1], [8, 1], [2, 1]]) / np.sqrt([[10], [65], [5]])
    raw = np.linalg.norm(directions[:, None] - directions[None], axis=-1)
    ranks = (raw[:, None, :] < raw[:, :, None]).sum(-1) / 3  # the entries of a row that are smaller
    np.testing.assert_allclose(ground_distance_from_text(names, Encoder()), (ranks + ranks.T) / 2)
    as_tensors = ground_distance_from_text(names, lambda texts: [torch.tensor([len(text), 1.0]) for text in texts])
    np.testing.assert_allclose(as_tensors, (ranks + ranks.T) / 2)


def test_a_blend_lies_between_and_knows_what_nobody_learned():
    prior = ground_distance_from_positions([0, 1, 4])
    learned = torch.tensor([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]], dtype=torch.float64)
    known = torch.tensor([True, True, False])
    blend = blend_ground_distances(prior, learned, 0.25, known=known)
    assert blend.tolist() == [[0, 0.25 * 0.25 + 0.75 * 0.5, 1], [0.25 * 0.25 + 0.75 * 0.5, 0, 0.75], [1, 0.75, 0]]
    assert blend_ground_distances(prior, learned, 1).equal(prior / 4)
    assert blend_ground_distances(prior, learned, 0).equal(learned)


ERRORS = [
    (lambda: ground_distance_from_circle([1.0, -1.0]),
     "spacing must be the K gaps between neighbors on the circle, finite and not negative; got [1.0, -1.0]."),
    (lambda: ground_distance_from_text(["a"], lambda texts: [[[1.0]]]), "encode must give one row of numbers for each "
     "of the 1 names, got shape (1, 1, 1). Take the mean over tokens where it gives one a token."),
    (lambda: ground_distance_from_text(["a", "b"], lambda texts: [[1.0], [0.0]]),
     "embeddings must be finite and not all 0; that of 'b' is not."),
    (lambda: blend_ground_distances(torch.eye(2), torch.eye(2), 2), "weight must lie in 0 .. 1, got 2."),
    (lambda: blend_ground_distances(torch.eye(2), torch.eye(3), 1),
     "both ground distances must be (K, K), got (2, 2) and (3, 3)."),
    (lambda: ground_distance_from_positions([1.0, float("inf")]),
     "positions must be (K,) or (K, d) finite numbers, got shape (2,): [1.0, inf]."),
    (lambda: ground_distance_from_positions([2, 2], normalize=True),
     "positions must differ to be normalized; they all coincide."),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    assert message_of(ValueError, call) == message
