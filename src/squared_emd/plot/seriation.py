"""The order of classes in which neighbours are near to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from .matrix import known_classes

__all__ = ["METHODS", "seriation", "tree_of_classes"]

METHODS = ("average", "complete", "single", "weighted")
_MOST_IN_BEST_ORDER = 2000  # the time grows with the third power


def seriation(matrix: ArrayLike, *, method: str = "average") -> np.ndarray:
    """The classes in an order in which near ones stand side by side; unknown ones come last.

    It is the order of the leaves of :func:`tree_of_classes`.

    Args:
        matrix: (K, K) distances; of a matrix that is not symmetric the mean with its transpose counts.
        method: how clusters are joined, as SciPy's `linkage` names it.

    Returns:
        (K,) the numbers of the classes.

    >>> seriation([[0, 3, 1], [3, 0, 2], [1, 2, 0]]).tolist()  # 0 and 1 are the ends of a line
    [0, 2, 1]
    """
    values = np.asarray(matrix, dtype=np.float64)
    known = known_classes(values)
    places = np.flatnonzero(known)
    order = leaves_list(tree_of_classes(values[known][:, known], method)) if len(places) > 1 else [0] * len(places)
    return np.concatenate([places[order], np.flatnonzero(~known)])


def tree_of_classes(matrix: np.ndarray, method: str) -> np.ndarray:
    """SciPy's tree of the classes, turned so that near leaves stand side by side.

    Of the orders of the leaves that the tree allows it has the one with the least sum of distances between neighbours
    (Bar-Joseph et al. 2001), in the direction that agrees better with the order of the classes. Above 2,000 classes
    only the direction is chosen.

    Args:
        matrix: (K, K) distances of two classes or more.
        method: how clusters are joined.

    Returns:
        (K - 1, 4) the merges, as `scipy.cluster.hierarchy.linkage` gives them.

    Raises:
        ValueError: there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be {', '.join(METHODS[:-1])} or {METHODS[-1]}, got {method!r}.")
    distances = (matrix + matrix.T) / 2
    merges = linkage(squareform(distances, checks=False), method)
    if len(matrix) <= _MOST_IN_BEST_ORDER:
        merges = _turned(merges, _best_order(merges, distances))
    order = leaves_list(merges)
    return merges if _agreement(order) >= _agreement(order[::-1]) else _turned(merges, order[::-1])


def _agreement(order: np.ndarray) -> int:
    return int(order @ np.arange(len(order)))


def _turned(merges: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The tree with its leaves in an order that it allows: of each merge the part that comes first stands first."""
    merges, num_leaves = merges.copy(), len(order)
    first = np.empty(num_leaves + len(merges), dtype=int)  # place of the first leaf of a node
    first[order] = np.arange(num_leaves)
    for row, merge in enumerate(merges):
        merge[:2] = sorted(merge[:2].astype(int), key=lambda node: first[node])
        first[num_leaves + row] = first[int(merge[0])]
    return merges


def _best_order(merges: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """The leaves in the order of least length, which SciPy's `optimal_leaf_ordering` often misses (its issue 11227).

    `best[u, w]` is the least length of the smallest cluster with both leaves, where u and w are its ends:
    the minimum over m, k of `best[u, m] + distances[m, k] + best[k, w]`, where m is the other end of the part with u,
    and k that of the part with w.
    """
    num_leaves = len(distances)
    best = np.zeros((num_leaves, num_leaves))
    leaves = [np.array([k]) for k in range(num_leaves)]  # of each node
    parts: list[tuple[int, int] | None] = [None] * num_leaves

    def opposite(node: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Pairs of leaves at which a node may begin and end: those of its one part with those of the other."""
        if parts[node] is None:
            return [(leaves[node], leaves[node])]
        left, right = (leaves[part] for part in parts[node])
        return [(left, right), (right, left)]

    for left, right in merges[:, :2].astype(int):
        for u, m in opposite(left):
            for k, w in opposite(right):
                to_k = _min_plus(best[np.ix_(u, m)], distances[np.ix_(m, k)])  # (u, k)
                lengths = _min_plus(to_k, best[np.ix_(k, w)])  # (u, w)
                best[np.ix_(u, w)] = lengths
                best[np.ix_(w, u)] = lengths.T
        parts.append((left, right))
        leaves.append(np.concatenate([leaves[left], leaves[right]]))

    root = len(leaves) - 1
    starts, ends = (leaves[part] for part in parts[root])
    u, w = np.unravel_index(best[np.ix_(starts, ends)].argmin(), (len(starts), len(ends)))
    order, open_nodes = [], [(root, starts[u], ends[w])]
    while open_nodes:  # from left to right
        node, u, w = open_nodes.pop()
        if parts[node] is None:
            order.append(u)
            continue
        left, right = parts[node] if u in leaves[parts[node][0]] else parts[node][::-1]
        inner = next(m for start, m in opposite(left) if u in start)
        outer = next(k for k, end in opposite(right) if w in end)
        lengths = best[u, inner][:, None] + distances[np.ix_(inner, outer)] + best[outer, w]
        m, k = np.unravel_index(lengths.argmin(), lengths.shape)
        open_nodes += [(right, outer[k], w), (left, u, inner[m])]
    return np.array(order)


def _min_plus(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a, c): the minimum over b of ``first[a, b] + second[b, c]``; the loop runs over the shortest of the three."""
    rows, inner, columns = *first.shape, second.shape[1]
    if inner == min(rows, inner, columns):
        result = np.full((rows, columns), np.inf)
        for b in range(inner):
            np.minimum(result, first[:, b, None] + second[b], out=result)
        return result
    if rows <= columns:
        return np.stack([(row[:, None] + second).min(axis=0) for row in first])
    return np.stack([(first + column).min(axis=1) for column in second.T], axis=1)
