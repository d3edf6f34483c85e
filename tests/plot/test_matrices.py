"""Checks of a matrix, block means, and orders of classes against all orders there are and against known ones."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import is_valid_linkage, leaves_list
from tests.plot.matrices import NAN, of_line, of_points, refused, without

from squared_emd.plot.matrices import block_means, check_matrix, cluster_tree, seriation


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        ([[0, 1, 2], [1, 0, 2]], "ab", "matrix must be square, one row per class; got shape (2, 3); pass a (K, K) matrix"),  # noqa: E501
        ([], "", "matrix must be square, one row per class; got shape (0,); pass a (K, K) matrix"),
        ([[0, 1], [1, 0]], "abc", "class_names must hold one name per row of matrix, 2; got 3; name each class"),
        ([[0, np.nan], [1, 0]], "ab", NAN),
    ],
)  # fmt: skip
def test_bad_matrices(matrix, names, message):
    refused(check_matrix, message, matrix, names)


@pytest.mark.parametrize("size", [1, 3, 7, 30])
def test_block_means_against_one_block_at_a_time(size):
    matrix = without(np.random.default_rng(0).uniform(0.1, 1, size=(17, 17)), 2, 9, 10, 11)
    known = matrix.any(axis=1)
    means = block_means(torch.tensor(matrix), size)
    starts = range(0, 17, size)
    assert means.shape == (len(starts), len(starts))
    for i, start in enumerate(starts):
        for j, other in enumerate(starts):
            block = matrix[start : start + size, other : other + size]
            block = block[known[start : start + size]][:, known[other : other + size]]
            assert means[i, j] == pytest.approx(block.mean() if block.size else 0)


@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_line_is_found_again(seed):
    places = np.random.default_rng(seed).permutation(12)
    order = seriation(of_line(12)[np.ix_(places, places)])
    assert places[order].tolist() in ([*range(12)], [*range(11, -1, -1)])
    assert np.corrcoef(order, range(12))[0, 1] >= 0  # in the direction of the classes


@pytest.mark.parametrize("method", ["average", "complete", "single", "weighted"])
def test_the_order_keeps_clusters_together_and_is_short(method):
    """SciPy's order is not always the shortest (its issue 11227), but it is shorter than most of the tree's 2^6."""
    matrix = of_points(np.random.default_rng(1).normal(size=(7, 3)))
    merges = cluster_tree(matrix, method)
    clusters = [{k} for k in range(7)]
    for first, second in merges[:, :2].astype(int):
        clusters.append(clusters[first] | clusters[second])
    lengths = {
        order: matrix[list(order[:-1]), list(order[1:])].sum()
        for order in permutations(range(7))
        if all(np.ptp([order.index(k) for k in cluster]) == len(cluster) - 1 for cluster in clusters)
    }
    assert len(lengths) == 2**6
    assert lengths[tuple(leaves_list(merges))] < np.median([*lengths.values()])


def test_unknown_classes_come_last():
    assert seriation(without(of_line(6), 1, 4)).tolist() == [0, 2, 3, 5, 1, 4]
    assert seriation(np.zeros((3, 3))).tolist() == [0, 1, 2]
    assert seriation([[0]]).tolist() == [0]


def test_a_tree_in_the_other_direction_is_a_tree():
    merges = cluster_tree(of_line(9)[::-1, ::-1], "complete")
    assert is_valid_linkage(merges)
    assert leaves_list(merges).tolist() == list(range(9))


def test_no_such_method():
    message = "method must be average, complete, single or weighted, got 'ward'."
    refused(cluster_tree, message, of_line(3), "ward")
