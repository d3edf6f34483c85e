"""Balanced bins against all ways to cut, and by hand."""

from itertools import combinations

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from PIL.Image import new as new_image
from tests.errors import message_of

from squared_emd.data.bins import ScoreBins, balanced_bins

THREE = ScoreBins(edges=[0.25, 0.5], means=[0.1, 0.3, 0.9], names=["low", "middle", "high"])


def best_cuts(scores, num_bins):
    """Of all ways to cut between distinct values: the first of those with the least sum of squared deviations."""
    values = sorted(set(scores))
    best = None
    for cuts in combinations(range(1, len(values)), num_bins - 1):
        sizes = [
            sum(values[start] <= score <= values[end - 1] for score in scores)
            for start, end in zip((0, *cuts), (*cuts, len(values)), strict=True)
        ]
        cost = sum((num_bins * size - len(scores)) ** 2 for size in sizes)  # K^2 times it: whole numbers
        if best is None or cost < best[0]:
            best = cost, cuts
    return [(values[cut - 1] + values[cut]) / 2 for cut in best[1]]


@pytest.mark.parametrize("seed", range(15))
def test_edges_are_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.full(9, 0.7))  # some values are frequent, some absent
    scores = rng.choice(np.arange(9) / 8, rng.integers(9, 60), p=weights)
    scores[:4] = np.arange(4) / 8  # at least four distinct ones
    for num_bins in range(2, min(len(set(scores.tolist())), 6) + 1):
        bins = balanced_bins(scores, num_bins)
        np.testing.assert_array_equal(bins.edges, best_cuts(scores.tolist(), num_bins))  # eighths: exact in binary


@pytest.mark.parametrize(
    ("scores", "num_bins", "edges", "means", "names"),
    [
        # 10 + 2 + 2 beats every other way; filling bins to N/K one after the other would leave the third bin empty.
        ([0] * 10 + [1, 1, 2, 2], 3, [0.5, 1.5], [0, 1, 2], ("0.00-0.00", "1.00-1.00", "2.00-2.00")),
        # Of several best the lowest edge.
        ([1, 2, 3], 2, [1.5], [1, 2.5], ("1.00-1.00", "2.00-3.00")),
        # Means weigh every sample: 0.75 / 4 and 3.75 / 4.
        ([0.0, 0.25, 0.25, 0.25, 1.0, 1.0, 0.75, 1.0], 2, [0.5], [0.1875, 0.9375], ("0.00-0.25", "0.75-1.00")),
        # Names have as many digits as they need.
        ([0.5, 0.501, 1], 3, [0.5005, 0.7505], [0.5, 0.501, 1], ("0.500-0.500", "0.501-0.501", "1.000-1.000")),
    ],
)
def test_bins_by_hand(scores, num_bins, edges, means, names):
    bins = balanced_bins(scores, num_bins)
    np.testing.assert_allclose(bins.edges, edges, rtol=1e-15)
    assert (bins.means.tolist(), bins.names, len(bins)) == (means, names, num_bins)


def test_labels():
    assert THREE.labels([0.1, 0.25, 0.4999, 0.5, -3, 7]).tolist() == [0, 1, 1, 2, 0, 2]


def test_training_scores_land_in_their_bins_however_close():
    first = 0.1
    second = np.nextafter(first, 1)
    third = np.nextafter(second, 1)
    bins = balanced_bins([first, second, third], 3)
    assert bins.labels([first, second, third]).tolist() == [0, 1, 2]
    assert bins.names == tuple(f"{float(value)!r}-{float(value)!r}" for value in (first, second, third))
    huge = balanced_bins([-1.7e308, 1.6e308, 1.7e308], 2)
    assert huge.labels([-1.7e308, 1.6e308, 1.7e308]).tolist() == [0, 1, 1]
    assert np.isfinite(huge.means).all()


def test_bins_cannot_be_changed():
    with pytest.raises(ValueError):
        THREE.means[0] = 0
    with pytest.raises(AttributeError):
        THREE.means = [1, 2, 3]


def dataset_of(scores, **columns):
    images = [new_image("RGB", (4, 4), (20 * k, 0, 0)) for k in range(len(scores))]
    features = Features({"image": Image(), "score": Value("float64"), **{name: Value("int64") for name in columns}})
    return Dataset.from_dict({"image": images, "score": scores, **columns}, features=features)


def test_label_dataset_of_some_rows_with_a_transform_and_another_name():
    dataset = dataset_of([0.9, 0.1, 0.3]).rename_column("score", "beauty").select([2, 0])
    dataset.set_transform(lambda rows: {"nothing": [0] * len(rows["image"])})
    labelled = THREE.label_dataset(dataset, "beauty").with_format(None)
    assert labelled["label"][:] == [1, 2]
    assert labelled.features["label"] == ClassLabel(names=["low", "middle", "high"])
    assert labelled["beauty"][:] == [0.3, 0.9]
    assert labelled[1]["image"].getpixel((0, 0)) == (0, 0, 0)


COUNTS = "bins need K-1 edges, K means and K names with K at least 2, got"


@pytest.mark.parametrize(
    ("call", "args", "message"),
    [
        (THREE.label_dataset, (dataset_of([0.9]), "beauty"),
         "score_column must be a column of the dataset, got 'beauty'; it has ['image', 'score']."),
        (THREE.label_dataset, (dataset_of([0.9], label=[1]),),
         "the dataset has a column 'label' already. Remove it, or rename it, before binning."),
        (THREE.label_dataset, (dataset_of([0.9, float("nan")]),), "scores must be finite; entry 1 is nan."),
        (balanced_bins, ([0.1, 0.2, 0.2, 0.3], 4),
         "4 bins need at least 4 distinct scores, got 3. Ask for fewer bins."),
        (balanced_bins, ([], 2), "2 bins need at least 2 distinct scores, got 0. Ask for fewer bins."),
        *((balanced_bins, ([0.1, 0.2, 0.3], k), f"num_bins must be whole numbers, at least 2; got [{k}].")
          for k in (1, 0, 2.5)),
        (balanced_bins, ([0.1, float("nan"), 0.3], 2), "scores must be finite; entry 1 is nan."),
        (balanced_bins, ([[0.1, 0.2]], 2), "scores must be one row of numbers, got shape (1, 2)."),
        (ScoreBins, ([0.5], [0.1, 0.3, 0.9], ["a", "b"]), f"{COUNTS} 1, 3 and 2."),
        (ScoreBins, ([], [0.1], ["a"]), f"{COUNTS} 0, 1 and 1."),
        (ScoreBins, ([0.5, 0.5], [0.1, 0.3, 0.9], "abc"), "edges of bins must increase, got [0.5, 0.5]."),
        (ScoreBins, ([0.4, 0.5], [0.1, 0.9, 0.3], "abc"), "means of bins must increase, got [0.1, 0.9, 0.3]."),
        (ScoreBins, ([0.4, 0.5], [0.1, 0.3, 0.9], "aba"),
         "names of bins must all be different, got ['a', 'b', 'a']."),
    ],
)  # fmt: skip
def test_what_is_refused(call, args, message):
    assert message_of(ValueError, call, *args) == message
