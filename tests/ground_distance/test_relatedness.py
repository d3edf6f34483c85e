"""How related classes are: against the distances themselves, and against classes whose relation is known."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from squared_emd import raw_distances, sdd
from squared_emd.ground_distance.relatedness import are_hardly_related, distance_variation, note_on_relatedness


def relative_sdd(points):
    return float(sdd(raw_distances(torch.as_tensor(points, dtype=torch.float64)), relative=True))


def independent(num_classes, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(num_classes, dimensions))


def test_sdd_by_hand():
    distances = raw_distances(torch.tensor([[0.0], [1.0], [3.0], [7.0]]))
    entries = [0] * 4 + [1, 3, 7, 2, 6, 4] * 2
    assert sdd(distances).item() == pytest.approx(np.std(entries))
    assert sdd(distances, relative=True).item() == pytest.approx(np.std(entries) / (46 / 12))
    assert sdd(torch.zeros(4, 4), relative=True) == 0


def test_variation_is_that_of_the_pairs():
    for points in (independent(2, 3), independent(8, 3), independent(100, 3), np.eye(1000)):
        pairs, num_classes = pdist(points), len(points)
        expected = pairs.std() / pairs.mean()
        assert distance_variation(relative_sdd(points), num_classes) == pytest.approx(expected, abs=1e-6)
    assert distance_variation(0.0, 0) == distance_variation(0.0, 1) == 0


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (np.eye(8), True),
        (independent(100, 64), True),
        (independent(1000, 256), True),
        (1e-4 * independent(30, 200), True),  # the scale of the features does not matter
        (np.arange(8)[:, None], False),
        (independent(100, 8), False),
        (np.repeat(3 * independent(10, 64), 10, axis=0) + independent(100, 64, seed=1), False),  # in ten groups
        (np.eye(2), False),  # no two distances to compare
        (np.eye(3), True),
    ],
)
def test_hardly_related(points, expected):
    assert are_hardly_related(relative_sdd(points), len(points)) is expected


def test_note():
    # half of the distances 10 % shorter than the mean, half 10 % longer; a line has sqrt(10 / 26) = 62 %
    pairs = np.where(np.arange(66) % 2, 1.1, 0.9)
    relative = float(sdd(torch.tensor(squareform(pairs)), relative=True))
    start = (
        "SDD says that the 12 classes are hardly related: the distances between them differ by 10.0 % of their mean "
        "(as many classes in a line: 62 %; this note: below 15 %). D keeps only the ranks of the distances, and so "
        "makes large differences of these small ones. Do not expect more of the regularizer than of cross-entropy: on "
        "ImageNet, whose classes are hardly related, the paper saw neither gain nor harm (section 4.7). Compare with "
        "loss='xe' or a regularizer_weight below 3.46; an omega below 2 makes all other classes cost more alike"
    )
    rewarded = "; mu=-0.25 also rewards those that come out near, and one nearer to 0 rewards less"
    for mu, more in ((-0.25, rewarded), (0.0, "")):
        note = note_on_relatedness(relative, 12, omega=2.0, mu=mu, regularizer_weight=3.46)
        assert note == f"{start}{more}. See docs/reading_d.md."
    assert note_on_relatedness(0.633, 8, omega=1.0, mu=-0.5, regularizer_weight=1.0) is None
