"""From centroids to D, against hand-worked cases, SciPy, and the sums that method demands."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import percentileofscore

from squared_emd import ground_distance as module
from squared_emd import (
    ground_distance_from_centroids,
    ground_distance_from_positions,
    percentile_ranks,
    raw_distances,
    sdd,
)
from squared_emd.ground_distance.learned import check_ground_distance

# Four classes at 0, 1, 3 and 7 on a line. Rows of Dbar: (0 1 3 7), (1 0 2 6), (3 2 0 4), (7 6 4 0).
LINE = torch.tensor([[0.0], [1.0], [3.0], [7.0]])


def random_centroids(num_classes=9, feature_dim=4):
    return torch.rand(num_classes, feature_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_raw_distances_by_hand():
    expected = [[0, 1, 3, 7], [1, 0, 2, 6], [3, 2, 0, 4], [7, 6, 4, 0]]
    assert raw_distances(LINE).tolist() == expected


@pytest.mark.parametrize("cost", [module.DIRECT_DISTANCE_COST, 0])
def test_raw_distances_are_scipys_by_either_way(monkeypatch, cost):
    monkeypatch.setattr(module, "DIRECT_DISTANCE_COST", cost)
    centroids = random_centroids(40, 16) + 1000  # far from the origin: the matrix product would cancel
    got = raw_distances(centroids)
    torch.testing.assert_close(got, torch.from_numpy(cdist(centroids, centroids)), rtol=1e-9, atol=1e-9)
    assert (got == got.T).all()
    assert (got.diagonal() == 0).all()


def test_strict_by_hand():
    # Ranks by row: (0 1 2 3), (1 0 2 3), (2 1 0 3), (3 2 1 0), each over 4; D is the mean with the transpose.
    expected = torch.tensor([[0, 2, 4, 6], [2, 0, 3, 5], [4, 3, 0, 4], [6, 5, 4, 0]]) / 8
    assert (ground_distance_from_centroids(LINE) == expected).all()


def test_inclusive_by_hand():
    # An entry counts itself: every off-diagonal rank is one more.
    expected = torch.tensor([[0, 4, 6, 8], [4, 0, 5, 7], [6, 5, 0, 6], [8, 7, 6, 0]]) / 8
    assert (ground_distance_from_centroids(LINE, rank="inclusive") == expected).all()


def test_sums_of_eight_classes_on_a_line():
    # method: off-diagonal entries add up to 28 with strict and to 35... with inclusive ranks, 2/8 .. 8/8 as in Table 2.
    centroids = torch.tensor([0.0, 1.0, 2.9, 5.7, 9.6, 14.8, 21.5, 30.1])[:, None]  # no two distances tie in a row
    strict = ground_distance_from_centroids(centroids)
    inclusive = ground_distance_from_centroids(centroids, rank="inclusive")
    assert strict.sum().item() == 28  # 8 rows of 0 + 1/8 + ... + 7/8
    assert inclusive.sum().item() == 35  # 8 rows of 2/8 + ... + 8/8
    off_diagonal = inclusive[~torch.eye(8, dtype=torch.bool)]
    assert off_diagonal.min().item() == 2 / 8
    assert off_diagonal.max().item() == 8 / 8
    assert strict.diagonal().tolist() == inclusive.diagonal().tolist() == [0] * 8


@pytest.mark.parametrize(("rank", "kind"), [("strict", "strict"), ("inclusive", "weak")])
def test_ranks_are_scipys_percentiles_with_ties(rank, kind):
    distances = raw_distances(random_centroids().mul(4).round())  # coarse: many ties
    assert len(distances.unique()) < distances.numel() / 3
    expected = np.array([[percentileofscore(row, entry, kind=kind) / 100 for entry in row] for row in distances])
    if rank == "inclusive":
        np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(percentile_ranks(distances, rank=rank), expected, atol=1e-12)


@pytest.mark.parametrize("rank", ["strict", "inclusive"])
def test_laws(rank):
    centroids = random_centroids()
    matrix = ground_distance_from_centroids(centroids, rank=rank)
    assert (matrix == matrix.T).all()
    assert (matrix.diagonal() == 0).all()
    assert ((matrix >= 0) & (matrix <= 1)).all()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    assert (ground_distance_from_centroids(centroids[order], rank=rank) == matrix[order][:, order]).all()
    assert (ground_distance_from_centroids(7 * centroids + 2, rank=rank) == matrix).all()


@pytest.mark.parametrize("rank", ["strict", "inclusive"])
def test_unknown_classes_are_left_out(rank):
    centroids = random_centroids()
    known = torch.tensor([True, False, True, True, True, False, True, True, True])
    matrix = ground_distance_from_centroids(centroids, rank=rank, known=known)
    expected = ground_distance_from_centroids(centroids[known], rank=rank)
    assert (matrix[known][:, known] == expected).all()
    assert (matrix[~known] == 0).all()
    assert (matrix[:, ~known] == 0).all()
    centroids[1] = torch.nan  # never looked at
    assert (ground_distance_from_centroids(centroids, rank=rank, known=known) == matrix).all()


def test_coinciding_centroids_give_zero_and_no_nan():
    assert (ground_distance_from_centroids(torch.zeros(4, 3)) == 0).all()
    assert sdd(raw_distances(torch.zeros(4, 3)), relative=True) == 0


def test_memory_stays_quadratic():
    centroids = torch.rand(600, 8, generator=torch.Generator().manual_seed(0))
    with torch.profiler.profile(profile_memory=True) as profile:
        matrix = ground_distance_from_centroids(centroids)
    assert matrix.sum().item() == pytest.approx(600 * 599 / 2)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert 600**2 * 8 <= largest < 10 * 600**2 * 8  # a K^3 tensor, even of bytes, has 75 times K^2 float64


def test_positions():
    ages = torch.tensor([1.0, 5.0, 10.0, 17.0])
    assert ground_distance_from_positions(ages).tolist() == [[abs(a - b) for b in ages] for a in ages]
    assert ground_distance_from_positions(ages, normalize=True).max() == 1
    assert ground_distance_from_positions([[0, 0], [3, 4]]).tolist() == [[0, 5], [5, 0]]


def test_sdd_by_hand():
    distances = raw_distances(LINE)  # 16 entries: four 0, two each of 1, 3, 7, 2, 6, 4
    entries = [0] * 4 + [1, 3, 7, 2, 6, 4] * 2
    assert sdd(distances).item() == pytest.approx(np.std(entries))
    assert sdd(distances, relative=True).item() == pytest.approx(np.std(entries) / (46 / 12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: raw_distances(torch.zeros(4)), "centroids must be (K, d) floating point, got (4,) torch.float32."),
        (
            lambda: raw_distances(torch.tensor([[0.0], [torch.nan], [1.0]])),
            "centroids must be finite; those of classes [1] are not.",
        ),
        (lambda: percentile_ranks(torch.zeros(2, 3)), "distances must be (K, K), got shape (2, 3)."),
        (
            lambda: percentile_ranks(torch.zeros(2, 2), rank="weak"),
            'rank must be "strict" (Eq. 12) or "inclusive" (Table 2), got \'weak\'.',
        ),
        (
            lambda: ground_distance_from_positions([1.0, float("inf")]),
            "positions must be (K,) or (K, d) finite numbers, got shape (2,): [1.0, inf].",
        ),
        (
            lambda: ground_distance_from_positions([2, 2], normalize=True),
            "positions must differ to be normalised; they all coincide.",
        ),
        (
            lambda: check_ground_distance(torch.zeros(3, 3), 4, source="d.npy"),
            "d.npy must be (4, 4), one row a class of the model, got shape (3, 3).",
        ),
        (
            lambda: check_ground_distance(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), 2),
            "ground_distance must be symmetric, got D[0, 1] = 1 and D[1, 0] = 2.",
        ),
        (
            lambda: check_ground_distance(torch.tensor([[0.0, -1.0], [-1.0, 0.0]]), 2),
            "ground_distance must be non-negative, got D[0, 1] = -1 and D[1, 0] = -1.",
        ),
        (
            lambda: check_ground_distance(torch.tensor([[0.0, torch.nan], [torch.nan, 0.0]]), 2),
            "ground_distance must be finite, got D[0, 1] = nan and D[1, 0] = nan.",
        ),
        (
            lambda: check_ground_distance(torch.eye(2), 2),
            "ground_distance must be 0 on the diagonal, got D[0, 0] = 1 and D[0, 0] = 1.",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == message
