"""From centroids to D, against cases worked by hand, SciPy, and the sums that the paper's Table 2 demands."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import percentileofscore
from tests.errors import message_of

from squared_emd import ground_distance_from_centroids, percentile_ranks, raw_distances, sdd
from squared_emd.ground_distance import learned
from squared_emd.ground_distance.learned import check_ground_distance, ground_distance_and_sdd

# Four classes at 0, 1, 3 and 7 on a line. Rows of Dbar: (0 1 3 7), (1 0 2 6), (3 2 0 4), (7 6 4 0).
LINE = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
K, D = 83, 6
both_ranks = pytest.mark.parametrize("rank", ["strict", "inclusive"])


def random_centroids(num_classes=K, num_features=D):
    return torch.rand(num_classes, num_features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def centroids_with_ties():
    corners = torch.randint(0, 3, (K // 2, D), generator=torch.Generator().manual_seed(0)).double()
    return torch.cat([corners, -corners, torch.zeros(1, D)])  # their mean is 0, so that nothing is rounded


@pytest.fixture(params=["differences", "products"])
def small_tiles(request, monkeypatch):
    """Tiles and blocks of a few rows; distances from differences, or from matrix products."""
    monkeypatch.setattr(learned, "TILE", 16)
    monkeypatch.setattr(learned, "BLOCK", 5 * K)
    if request.param == "products":
        monkeypatch.setattr(learned, "DIRECT_DISTANCE_COST", 0)


def reference(centroids, known, rank):
    """Eq. 2, 12 and 13 of the known classes by SciPy, in float64."""
    distances = cdist(centroids[known], centroids[known])
    kind = {"strict": "strict", "inclusive": "weak"}[rank]
    ranks = np.array([percentileofscore(row, row, kind=kind) / 100 for row in distances])
    if rank == "inclusive":
        np.fill_diagonal(ranks, 0)
    matrix = np.zeros((len(centroids), len(centroids)))
    matrix[np.ix_(known, known)] = (ranks + ranks.T) / 2
    return matrix, distances


def test_raw_distances_are_those_of_scipy(small_tiles):
    centroids = random_centroids() + 1000  # far from the origin: the matrix product would cancel
    got = raw_distances(centroids)
    torch.testing.assert_close(got, torch.from_numpy(cdist(centroids, centroids)), rtol=1e-9, atol=1e-9)
    assert torch.equal(got, got.T)
    assert not got.diagonal().any()


@pytest.mark.parametrize(
    ("rank", "eighths"),
    [
        # Ranks by row: (0 1 2 3), (1 0 2 3), (2 1 0 3), (3 2 1 0), each over 4; D is the mean with the transpose.
        ("strict", [[0, 2, 4, 6], [2, 0, 3, 5], [4, 3, 0, 4], [6, 5, 4, 0]]),
        # An entry counts itself: every off-diagonal rank is one more.
        ("inclusive", [[0, 4, 6, 8], [4, 0, 5, 7], [6, 5, 0, 6], [8, 7, 6, 0]]),
    ],
)
def test_ranks_by_hand(rank, eighths):
    assert (ground_distance_from_centroids(LINE, rank=rank) * 8).tolist() == eighths


def test_sums_of_eight_classes_on_a_line():
    # Off-diagonal entries add up to 28 with strict and to 35 with inclusive ranks, 2/8 .. 8/8 as in Table 2.
    centroids = torch.tensor([0.0, 1.0, 2.9, 5.7, 9.6, 14.8, 21.5, 30.1])[:, None]  # no two distances tie in a row
    assert ground_distance_from_centroids(centroids).sum() == 28  # 8 rows of 0 + 1/8 + ... + 7/8
    inclusive = ground_distance_from_centroids(centroids, rank="inclusive")
    assert inclusive.sum() == 35  # 8 rows of 2/8 + ... + 8/8
    off_diagonal = inclusive[~torch.eye(8, dtype=torch.bool)]
    assert (off_diagonal.min(), off_diagonal.max()) == (2 / 8, 8 / 8)


@both_ranks
@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("make", [random_centroids, centroids_with_ties])
def test_is_the_reference_at_any_size_with_ties_and_unknown_classes(small_tiles, monkeypatch, make, large, share, rank):
    if make is centroids_with_ties and learned.DIRECT_DISTANCE_COST == 0:
        pytest.skip("by products, distances that tie differ by rounding")
    monkeypatch.setattr(learned, "MAX_CLASSES_IN_FLOAT64", 0 if large else K)
    half = torch.rand(K // 2, generator=torch.Generator().manual_seed(1)) < share
    centroids, known = make(), torch.cat([half, half, torch.tensor([True])])
    expected, distances = reference(centroids.numpy(), known.numpy(), rank)
    centroids[~known] = torch.nan  # never read
    out = torch.full((K, K), 7.0)
    matrix, deviation, relative = ground_distance_and_sdd(centroids, rank=rank, known=known, out=out)
    assert (matrix is out) == large
    assert matrix.dtype == (torch.float32 if large else torch.float64)
    np.testing.assert_allclose(matrix, expected, atol=1e-7 if large else 1e-12)
    assert torch.equal(matrix, matrix.T)
    assert deviation == pytest.approx(distances.std(), rel=1e-9)
    assert relative == pytest.approx(float(sdd(torch.from_numpy(distances), relative=True)), rel=1e-9)
    exact = ground_distance_from_centroids(centroids, rank=rank, known=known)
    assert torch.equal(matrix, exact.to(matrix.dtype))


@both_ranks
def test_ranks_are_percentiles_of_scipy(rank):
    distances = raw_distances(random_centroids(9).mul(4).round())  # coarse: many ties
    expected, _ = reference(random_centroids(9).mul(4).round().numpy(), np.ones(9, dtype=bool), rank)
    ranks = percentile_ranks(distances, rank=rank)
    np.testing.assert_allclose((ranks + ranks.T) / 2, expected, atol=1e-12)
    assert not torch.equal(ranks, ranks.T)


@pytest.mark.parametrize("out", [torch.zeros(K + 1, K + 1), torch.zeros(K, K, dtype=torch.float64), None])
def test_an_earlier_matrix_that_does_not_fit_is_left_alone(monkeypatch, out):
    monkeypatch.setattr(learned, "MAX_CLASSES_IN_FLOAT64", 0)
    matrix, _, _ = ground_distance_and_sdd(random_centroids(), out=out)
    assert matrix.dtype == torch.float32
    assert out is None or not out.any()


def test_no_class_known_and_coinciding_centroids_give_zeros():
    matrix, deviation, relative = ground_distance_and_sdd(torch.zeros(4, 3), known=torch.zeros(4, dtype=torch.bool))
    assert not matrix.any()
    assert np.isnan(deviation)
    assert relative == 0
    assert not ground_distance_from_centroids(torch.zeros(4, 3)).any()
    assert ground_distance_and_sdd(torch.zeros(4, 3))[1:] == (0, 0)


def test_nothing_of_k_by_k_but_the_matrix(monkeypatch):
    num_classes = 600
    monkeypatch.setattr(learned, "MAX_CLASSES_IN_FLOAT64", 0)
    monkeypatch.setattr(learned, "TILE", 16)
    centroids = torch.rand(num_classes, 8, generator=torch.Generator().manual_seed(0))
    with torch.profiler.profile(profile_memory=True) as profile:
        matrix, _, _ = ground_distance_and_sdd(centroids)
    assert matrix.sum().item() == pytest.approx(num_classes * (num_classes - 1) / 2)
    largest = sorted(event.self_cpu_memory_usage for event in profile.events())[-2:]
    assert largest[1] == 4 * num_classes**2  # D, in float32
    assert largest[0] < 4 * num_classes**2 / 8


ERRORS = [
    (lambda: raw_distances(torch.zeros(4)), "centroids must be (K, d) floating point, got (4,) torch.float32."),
    (
        lambda: ground_distance_and_sdd(torch.tensor([[0.0], [torch.nan], [1.0]])),
        "centroids must be finite; those of classes [1] are not.",
    ),
    (lambda: percentile_ranks(torch.zeros(2, 3)), "distances must be (K, K), got shape (2, 3)."),
    (
        lambda: ground_distance_from_centroids(LINE, rank="weak"),
        'rank must be "strict" (Eq. 12) or "inclusive" (Table 2), got \'weak\'.',
    ),
    (
        lambda: check_ground_distance(torch.zeros(3, 3), 4, source="d.npy"),
        "d.npy must be (4, 4), one row a class of the model, got shape (3, 3).",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    assert message_of(ValueError, call) == message
