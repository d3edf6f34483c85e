"""Whether one way to train is better than another: paired over samples, and over the seeds of training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .inputs import as_array

CONFIDENCE = 0.95
UNCLEAR = "no clear difference"


@dataclass(frozen=True)
class Difference:
    """What :func:`paired_difference` found.

    Attributes:
        baseline: mean of the baseline.
        value: mean of what is compared with it.
        low, high: the 95 % interval of ``value - baseline``; None with one seed, whose chance nothing is known of.
    """

    baseline: float
    value: float
    low: float | None
    high: float | None

    @property
    def difference(self) -> float:
        """``value - baseline``."""
        return self.value - self.baseline

    def verdict(self, *, less_is_better: bool) -> str:
        """``"better"``, ``"worse"``, ``"no clear difference"`` where the interval holds 0, or ``"one seed"``.

        >>> Difference(0.5, 0.4, -0.15, -0.05).verdict(less_is_better=True)
        'better'
        """
        if self.low is None or self.high is None:
            return "one seed"
        if self.low <= 0 <= self.high:
            return UNCLEAR
        return "better" if (self.high < 0) == less_is_better else "worse"


def paired_difference(values: np.ndarray, baseline: np.ndarray, *, groups: np.ndarray | None = None) -> Difference:
    """The difference of two means over seeds and samples, with an interval that covers the chance of both.

    The difference of seed s on sample n is taken as ``mu + a_s + b_n + e_sn``. The interval is
    ``sqrt(t_a^2 V_a + t_b^2 V_b)`` to either side: V_a is the variance of the means of the seeds over their number,
    which holds the share of e, V_b that of the means of the samples (or groups) over theirs, less that share, and t_a
    and t_b are quantiles of Student's t with one degree of freedom less than there are seeds, and samples. In
    simulations with two to five seeds it missed the true difference in 2 to 6 % of the cases.

    Args:
        values: (S, N) a metric of each sample, for each of S seeds.
        baseline: (S, N) the same of the baseline, with the same seeds and samples in the same order.
        groups: (N,) samples of one group, as images of one person, count as drawn together. Default: each by itself.

    Returns:
        Means and interval.

    Raises:
        ValueError: the shapes are not as above, an entry is not finite, or there are fewer than two samples or groups.
        ImportError: SciPy is not installed.

    >>> found = paired_difference(np.array([[1.0, 3.0], [2.0, 4.0]]), np.array([[1.0, 2.0], [1.0, 2.0]]))
    >>> found.difference, found.verdict(less_is_better=True)
    (1.0, 'no clear difference')
    """
    values, baseline = (as_array(part, "values").astype(np.float64) for part in (values, baseline))
    if values.ndim != 2 or values.shape != baseline.shape or not (np.isfinite(values) & np.isfinite(baseline)).all():
        raise ValueError(
            "values and baseline must both be (S, N), finite, one row a seed and one column a sample; got shapes "
            f"{values.shape} and {baseline.shape}."
        )
    num_seeds, num_samples = values.shape
    groups = np.arange(num_samples) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    num_groups = len(np.unique(groups)) if len(groups) == num_samples else 0
    if num_groups < 2:
        raise ValueError(
            f"a comparison needs at least two samples, or groups, one of each sample; got {num_samples} samples and "
            f"{len(groups)} groups, {num_groups} of them different."
        )
    means = float(baseline.mean()), float(values.mean())
    if num_seeds < 2:
        return Difference(*means, None, None)
    try:
        from scipy.stats import t as student
    except ImportError:
        raise ImportError(
            'the interval of a difference needs SciPy, which is not installed: pip install "squared-emd[metrics]".'
        ) from None
    deviations = (values - baseline) - (means[1] - means[0])  # (S, N)
    sums = np.stack([np.bincount(groups, row) for row in deviations]) * (num_groups / num_samples)  # (S, G)
    of_seeds, of_groups = sums.mean(1, keepdims=True), sums.mean(0)  # (S, 1), (G,)
    residual = ((sums - of_seeds - of_groups) ** 2).sum() / ((num_seeds - 1) * (num_groups - 1))
    seed_variance = of_seeds.var(ddof=1) / num_seeds
    group_variance = max(of_groups.var(ddof=1) / num_groups - residual / sums.size, 0)
    quantiles = student.ppf((1 + CONFIDENCE) / 2, [num_seeds - 1, num_groups - 1])
    half = float(np.sqrt(quantiles**2 @ [seed_variance, group_variance]))
    difference = means[1] - means[0]
    return Difference(*means, difference - half, difference + half)
