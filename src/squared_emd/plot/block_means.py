"""A large matrix made small enough for a picture."""

from __future__ import annotations

import numpy as np
from torch import Tensor

__all__ = ["MOST_CELLS", "block_means"]

MOST_CELLS = 1000  # a side; a picture has not many more pixels


def block_means(matrix: np.ndarray | Tensor, size: int) -> np.ndarray:
    """Means over blocks of neighbouring classes; only pairs of known classes count.

    The matrix is looked at some rows at a time, so that one on another device is never copied as a whole.

    Args:
        matrix: (K, K) finite distances of 0 or more.
        size: classes a block; the last block may have fewer.

    Returns:
        (ceil(K / size), ceil(K / size)) float64; 0 for a pair of blocks without a pair of known classes.

    >>> block_means(np.array([[0, 1, 2, 0], [1, 0, 3, 0], [2, 3, 0, 0], [0, 0, 0, 0]]), 2)  # the last is unknown
    array([[0.5, 2.5],
           [2.5, 0. ]])
    """
    starts = np.arange(0, len(matrix), size)
    sums = np.empty((len(starts), len(starts)))
    known = np.zeros(len(matrix), dtype=bool)
    for block, start in enumerate(starts):
        rows = matrix[start : start + size]
        rows = np.asarray(rows.detach().cpu() if isinstance(rows, Tensor) else rows)  # (size, K)
        sums[block] = np.add.reduceat(rows.sum(axis=0, dtype=np.float64), starts)
        known |= (rows != 0).any(axis=0)
        known[start : start + size] |= (rows != 0).any(axis=1)
    counts = np.add.reduceat(known.astype(np.float64), starts)  # (blocks,)
    return sums / np.maximum(np.outer(counts, counts), 1)
