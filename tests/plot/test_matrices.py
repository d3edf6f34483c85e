"""Checks of a matrix, and orders of classes against known ones."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import leaves_list
from tests.plot.matrices import NAN, of_line, refused, without

from squared_emd.plot.matrices import check_matrix, cluster_tree, seriation


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


@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_line_is_found_again(seed):
    places = np.random.default_rng(seed).permutation(12)
    order = seriation(of_line(12)[np.ix_(places, places)], "seriation")
    assert places[order].tolist() in ([*range(12)], [*range(11, -1, -1)])
    assert np.corrcoef(order, range(12))[0, 1] >= 0  # in the direction of the classes


def test_unknown_classes_come_last():
    assert seriation(without(of_line(6), 1, 4), "seriation").tolist() == [0, 2, 3, 5, 1, 4]
    assert seriation(np.zeros((3, 3)), "seriation").tolist() == [0, 1, 2]
    assert seriation(np.zeros((1, 1)), "seriation").tolist() == [0]


def test_a_tree_in_the_direction_of_the_classes():
    assert leaves_list(cluster_tree(of_line(9)[::-1, ::-1], "complete")).tolist() == list(range(9))
