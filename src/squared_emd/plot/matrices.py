"""The matrix that is drawn: its check, classes without distances, and the tree and order of its classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

__all__ = ["check_matrix", "cluster_tree", "known_classes", "seriation"]

_MAX_OPTIMAL = 2000  # classes; the time of the optimal order grows with the third power


def check_matrix(matrix: ArrayLike, class_names: Sequence[str]) -> np.ndarray:
    """The matrix as (K, K) float64; raises where it is not square or not finite, or does not fit the names."""
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise ValueError(f"matrix must be square, one row per class; got shape {values.shape}; pass a (K, K) matrix")
    if len(class_names) != len(values):
        raise ValueError(
            f"class_names must hold one name per row of matrix, {len(values)}; got {len(class_names)}; name each class"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        got = f"{values[row, column]} in row {row}, column {column}"
        raise ValueError(f"matrix must be finite; got {got}; set unknown distances to 0")
    return values


def known_classes(matrix: np.ndarray) -> np.ndarray:
    """Which classes have a distance to another one, (K,) bool; all of them where all distances are 0.

    D is 0 in the row and column of a class that training never saw.

    >>> known_classes(np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [True, True, False]
    """
    nonzero = matrix != 0
    known = nonzero.any(axis=0) | nonzero.any(axis=1)
    return known if known.any() else ~known


def cluster_tree(matrix: np.ndarray, method: str) -> np.ndarray:
    """SciPy's linkage of two or more classes, with similar leaves side by side.

    The leaves are in SciPy's optimal order (Bar-Joseph et al. 2001; above 2,000 classes as they come), in the direction
    that agrees better with the order of the classes.

    Args:
        matrix: (K, K) distances; of a matrix that is not symmetric the mean with its transpose counts.
        method: as `scipy.cluster.hierarchy.linkage` names it.

    Returns:
        (K - 1, 4), as `scipy.cluster.hierarchy.linkage` gives it.
    """
    distances = squareform((matrix + matrix.T) / 2, checks=False)  # (K * (K - 1) / 2,)
    merges = linkage(distances, method)
    if len(matrix) <= _MAX_OPTIMAL:
        merges = optimal_leaf_ordering(merges, distances)
    order = leaves_list(merges)
    if order @ np.arange(len(order)) < order[::-1] @ np.arange(len(order)):
        merges[:, :2] = merges[:, [1, 0]]
    return merges


def seriation(matrix: np.ndarray, order: str) -> np.ndarray:
    """The classes in the order in which they are drawn, (K,); unknown ones come last in a seriation.

    Args:
        matrix: (K, K) distances.
        order: "classes", as they are, or "seriation", with similar ones side by side.

    >>> seriation(np.array([[0, 3, 1], [3, 0, 2], [1, 2, 0]]), "seriation").tolist()  # 0 and 1 are the ends of a line
    [0, 2, 1]
    """
    if order not in ("classes", "seriation"):
        raise ValueError(f'order must be "classes" or "seriation", got {order!r}.')
    if order == "classes":
        return np.arange(len(matrix))
    known = known_classes(check_matrix(matrix, matrix))
    places = np.flatnonzero(known)
    leaves = leaves_list(cluster_tree(matrix[np.ix_(places, places)], "average")) if len(places) > 1 else [0]
    return np.concatenate([places[leaves], np.flatnonzero(~known)])
