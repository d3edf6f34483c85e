"""Bins of a real-valued score, so that a classifier can learn it (Hou et al. 2016, section 4.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset

from ..metrics.inputs import as_reals, as_whole_numbers

__all__ = ["ScoreBins", "balanced_bins"]


@dataclass(frozen=True, eq=False)
class ScoreBins:
    """K neighboring bins of a score: the classes of a classifier, lowest first.

    Attributes:
        edges: (K-1,) float64, increasing, in the unit of the score; a score that equals an edge is above it.
        means: (K,) float64, increasing, the score that a bin stands for: the mean training score in it.
        names: of the K bins, such as `0.00-0.25`, all different.

    Raises:
        ValueError: the three do not fit each other, or `edges` or `means` do not increase.

    >>> ScoreBins(edges=[0.4], means=[0.2, 0.7], names=["low", "high"]).labels([0.3, 0.4, 5])
    array([0, 1, 1])
    """

    edges: np.ndarray
    means: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        edges, means = as_reals(self.edges, "edges"), as_reals(self.means, "means")
        names = tuple(map(str, self.names))
        if not 1 <= len(edges) == len(means) - 1 == len(names) - 1:
            raise ValueError(
                "bins need K-1 edges, K means and K names with K at least 2, "
                f"got {len(edges)}, {len(means)} and {len(names)}."
            )
        for values, name in ((edges, "edges"), (means, "means")):
            if not (values[1:] > values[:-1]).all():
                raise ValueError(f"{name} of bins must increase, got {values.tolist()}.")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if len(set(names)) < len(names):
            raise ValueError(f"names of bins must all be different, got {list(names)}.")
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.means)

    def labels(self, scores: Any) -> np.ndarray:
        """Gives the bin of each score.

        Args:
            scores: (N,) finite numbers, in the unit of `edges`; those beyond the training scores go into the first or
                the last bin.

        Returns:
            (N,) int64, 0 .. K-1.

        Raises:
            ValueError: `scores` are no row of finite numbers.
        """
        return np.searchsorted(self.edges, as_reals(scores, "scores"), side="right").astype(np.int64)

    def label_dataset(self, dataset: Dataset, score_column: str = "score") -> Dataset:
        """Gives a dataset a column `label` with the bin of each row.

        Args:
            dataset: with a column of scores; images in it are not decoded.
            score_column: its name.

        Returns:
            The dataset with the further column, a `ClassLabel` with the names of the bins.

        Raises:
            ValueError: there is no such column, or there is a `label` already; a score is not finite.
        """
        if score_column not in dataset.column_names:
            raise ValueError(
                f"score_column must be a column of the dataset, got {score_column!r}; it has {dataset.column_names}."
            )
        if "label" in dataset.column_names:
            raise ValueError("the dataset has a column 'label' already. Remove it, or rename it, before binning.")
        scores = dataset.select_columns([score_column]).with_format("numpy")[:][score_column]
        return dataset.add_column("label", self.labels(scores).tolist(), feature=ClassLabel(names=list(self.names)))


def balanced_bins(scores: Any, num_bins: int) -> ScoreBins:
    """Gives the bins whose numbers of samples are as equal as ties allow.

    Equal scores always share a bin, so N/K samples in each can be out of reach: AADB has 63 distinct scores. These are
    the bins with the least sum of squared deviations from N/K, found exactly by dynamic programming over the distinct
    scores; of several such, those whose first edge is lowest, then the second, and so on. An edge lies halfway between
    the two neighboring training scores. Hou et al. 2016, section 4.6, balance ten bins and do not say how.

    Args:
        scores: (N,) finite training scores, in any unit.
        num_bins: K, at least 2.

    Returns:
        K bins, none of them empty, with the mean of their scores.

    Raises:
        ValueError: `num_bins` is below 2; there are fewer distinct scores; a score is not finite.

    >>> bins = balanced_bins([0.1, 0.1, 0.1, 0.2, 0.4, 0.6], 2)  # 3 and 3 samples
    >>> bins.edges, bins.means, bins.names
    (array([0.15]), array([0.1, 0.4]), ('0.10-0.10', '0.20-0.60'))
    """
    (num_bins,) = as_whole_numbers(num_bins, "num_bins", 2)
    scores = as_reals(scores, "scores")
    values, counts = np.unique(scores, return_counts=True)  # (M,)
    if len(values) < num_bins:
        raise ValueError(
            f"{num_bins} bins need at least {num_bins} distinct scores, got {len(values)}. Ask for fewer bins."
        )
    starts = _balanced_starts(counts, num_bins)  # (K,) the first value of each bin
    ends = np.append(starts[1:], len(values)) - 1  # (K,) and its last one
    lows, highs = values[starts], values[ends]  # (K,)
    halfway = highs[:-1] / 2 + lows[1:] / 2  # (K-1,) halves first: the sum of two large scores overflows
    edges = np.where(halfway > highs[:-1], halfway, lows[1:])  # no number lies between two neighboring floats
    means = np.add.reduceat(values * (counts / len(scores)), starts)  # (K,)
    means /= np.add.reduceat(counts / len(scores), starts)
    return ScoreBins(edges, means.clip(lows, highs), _names(lows, highs))


def _balanced_starts(counts: np.ndarray, num_bins: int) -> np.ndarray:
    """(K,) where each bin starts, so that the sum of squared bin sizes is least, and with it that of the deviations."""
    before = np.concatenate([[0], np.cumsum(counts)])  # (M+1,) samples below each value
    num_values = len(counts)
    cost = (before[-1] - before) ** 2  # (M+1,) of one bin that holds all from each value on
    nexts = []  # for each number of bins but the first: where the second bin starts, given where the first one does
    for bins in range(2, num_bins + 1):
        wider, second = np.full_like(cost, -1), np.zeros_like(cost)
        for start in range(num_values - bins + 1):
            ends = slice(start + 1, num_values - bins + 2)  # each later bin needs a value of its own
            totals = (before[ends] - before[start]) ** 2 + cost[ends]
            best = int(totals.argmin())  # the first of several: the lowest edge
            wider[start], second[start] = totals[best], start + 1 + best
        cost = wider
        nexts.append(second)
    starts = [0]
    for second in reversed(nexts):
        starts.append(int(second[starts[-1]]))
    return np.array(starts)


def _names(lows: np.ndarray, highs: np.ndarray) -> tuple[str, ...]:
    """The lowest and highest training score of each bin, with as many digits as make the names differ."""
    for digits in range(2, 7):
        names = [f"{low:.{digits}f}-{high:.{digits}f}" for low, high in zip(lows, highs, strict=True)]
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(f"{float(low)!r}-{float(high)!r}" for low, high in zip(lows, highs, strict=True))
