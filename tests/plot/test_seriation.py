"""Orders of classes: against all orders there are, and against known ones."""

import re
from itertools import permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import is_valid_linkage, leaves_list
from tests.plot.distances import of_line, without

from squared_emd.plot.seriation import METHODS, seriation, tree_of_classes


def length(matrix, order):
    return matrix[order[:-1], order[1:]].sum()


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_line_is_found_again(seed):
    places = np.random.default_rng(seed).permutation(12)
    order = seriation(of_line(12)[np.ix_(places, places)])
    assert places[order].tolist() in ([*range(12)], [*range(11, -1, -1)])
    assert np.corrcoef(order, range(12))[0, 1] >= 0  # runs with the classes


def test_classes_in_order_stay_as_they_are():
    assert seriation(of_line(50)).tolist() == list(range(50))
    assert seriation(of_line(4)[::-1, ::-1]).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [1, 5])
def test_no_other_order_of_the_tree_is_shorter(seed, method):
    """Of the 7! orders those in which each cluster of the tree stands together, one by one."""
    points = np.random.default_rng(seed).normal(size=(7, 3))
    matrix = np.linalg.norm(points[:, None] - points, axis=-1)
    clusters = [{k} for k in range(7)]
    for first, second in tree_of_classes(matrix, method)[:, :2].astype(int):
        clusters.append(clusters[first] | clusters[second])
    allowed = [
        order
        for order in map(list, permutations(range(7)))
        if all(np.ptp([order.index(k) for k in cluster]) == len(cluster) - 1 for cluster in clusters)
    ]
    assert len(allowed) == 2**6
    assert seriation(matrix, method=method).tolist() in allowed
    assert length(matrix, seriation(matrix, method=method)) == pytest.approx(
        min(length(matrix, order) for order in allowed)
    )


def test_unknown_classes_come_last():
    assert seriation(without(of_line(6), 1, 4)).tolist() == [0, 2, 3, 5, 1, 4]
    assert seriation(np.zeros((3, 3))).tolist() == [0, 1, 2]
    assert seriation([[0]]).tolist() == [0]


def test_more_classes_than_have_an_optimal_order():
    num_classes = 2010
    places = np.random.default_rng(0).permutation(num_classes)
    order = seriation(of_line(num_classes)[np.ix_(places, places)])
    assert sorted(order) == list(range(num_classes))
    steps = np.abs(np.diff(places[order]))
    assert np.median(steps) == 1  # of a shuffled line: about K / 3


def test_a_mirrored_tree_is_a_tree():
    merges = tree_of_classes(of_line(9)[::-1, ::-1], "complete")
    assert is_valid_linkage(merges)
    assert leaves_list(merges).tolist() == list(range(9))


def test_no_such_method():
    message = "method must be average, complete, single or weighted, got 'ward'."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tree_of_classes(of_line(3), "ward")
