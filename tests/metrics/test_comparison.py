"""The paired comparison of two ways to train: by hand, against SciPy, and by simulation."""

import numpy as np
import pytest
from scipy import stats
from tests.errors import message_of

from squared_emd.metrics import Difference, paired_difference


def test_two_seeds_and_two_samples_by_hand():
    # Differences (0 1), (1 2): mean 1; those of the seeds 0.5, 1.5, of the samples 0.5, 1.5, and nothing is left over.
    found = paired_difference(np.array([[1.0, 3.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    half = stats.t.ppf(0.975, 1) * (0.5 / 2 + 0.5 / 2) ** 0.5
    assert (found.baseline, found.value) == (1.5, 2.5)
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half))


def test_it_is_the_one_sample_t_test_where_only_one_kind_of_chance_is():
    draws = np.random.default_rng(0).normal(size=40)
    of_samples = paired_difference(np.tile(draws, (3, 1)), np.zeros((3, 40)))
    expected = stats.ttest_1samp(draws, 0).confidence_interval(0.95)
    assert (of_samples.low, of_samples.high) == pytest.approx(tuple(expected))
    of_seeds = paired_difference(np.tile(draws[:5, None], 7), np.zeros((5, 7)))
    expected = stats.ttest_1samp(draws[:5], 0).confidence_interval(0.95)
    assert (of_seeds.low, of_seeds.high) == pytest.approx(tuple(expected))


def test_groups_of_equal_samples_count_once():
    """Copies of a sample tell nothing new: the interval is that of the samples before they were copied."""
    values = np.random.default_rng(0).normal(size=(3, 20))
    alone = paired_difference(values, np.zeros((3, 20)))
    copied = paired_difference(np.repeat(values, 4, axis=1), np.zeros((3, 80)), groups=np.repeat(np.arange(20), 4))
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


SETTINGS = [(3, 300, 0.0, 0.1, 0.5), (3, 300, 0.02, 0.1, 0.5), (3, 1000, 0.02, 0.0, 0.1), (5, 200, 0.01, 0.2, 0.7)]


@pytest.mark.parametrize(("num_seeds", "num_samples", "of_seed", "of_sample", "of_both"), SETTINGS)
def test_simulation(num_seeds, num_samples, of_seed, of_sample, of_both):
    """Of 200 repetitions of two equal losses 93 % at least show no clear difference, and a true one is found."""
    generator = np.random.default_rng(1)
    unclear, found = 0, 0
    spread = (of_seed**2 / num_seeds + of_sample**2 / num_samples + of_both**2 / num_seeds / num_samples) ** 0.5
    for _ in range(200):
        noise = generator.normal(0, of_seed, (num_seeds, 1)) + generator.normal(0, of_sample, num_samples)
        noise = noise + generator.normal(0, of_both, (num_seeds, num_samples))
        baseline = generator.normal(1, 1, (num_seeds, num_samples))
        equal = paired_difference(baseline + noise, baseline)
        unclear += equal.verdict(less_is_better=True) == "no clear difference"
        better = paired_difference(baseline + noise - 8 * spread, baseline)
        found += better.verdict(less_is_better=True) == "better"
    assert unclear >= 0.93 * 200
    assert found >= 0.9 * 200


def test_verdicts():
    assert Difference(0.5, 0.6, 0.05, 0.15).verdict(less_is_better=True) == "worse"
    assert Difference(0.5, 0.6, 0.05, 0.15).verdict(less_is_better=False) == "better"
    assert Difference(0.5, 0.5, 0.0, 0.0).verdict(less_is_better=True) == "no clear difference"
    one = paired_difference(np.ones((1, 3)), np.zeros((1, 3)))
    assert (one.low, one.high, one.verdict(less_is_better=True)) == (None, None, "one seed")


def test_errors():
    two, three = np.zeros((2, 3)), np.zeros((3, 3))
    assert message_of(ValueError, paired_difference, two, three) == (
        "values and baseline must both be (S, N), finite, one row a seed and one column a sample; got shapes (2, 3) "
        "and (3, 3)."
    )
    assert message_of(ValueError, paired_difference, two, two, groups=[0, 0, 0]) == (
        "a comparison needs at least two samples, or groups, one of each sample; got 3 samples and 3 groups, 1 of them "
        "different."
    )
