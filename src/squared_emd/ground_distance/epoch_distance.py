"""What a self-guided loss learns in an epoch: D and how far apart the classes are, at any number of classes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from .learned import (
    TILE,
    blocks_of_rows,
    counts_in_rows,
    distance_tile,
    ground_distance_from_distances,
    mean_of,
    raw_distances,
    sdd,
    takes_differences,
)

__all__ = ["MAX_CLASSES_IN_FLOAT64", "learn_ground_distance", "matrix_dtype"]

MAX_CLASSES_IN_FLOAT64 = 4096  # above, D is float32, and K x K numbers are kept no more often than they must be


def matrix_dtype(num_classes: int) -> torch.dtype:
    """The dtype of D for so many classes.

    Args:
        num_classes: K.

    Returns:
        float64; float32 above ``MAX_CLASSES_IN_FLOAT64``. Percentile ranks are multiples of 1 / 2K, which float32 has
        to 6e-8.
    """
    return torch.float64 if num_classes <= MAX_CLASSES_IN_FLOAT64 else torch.float32


def learn_ground_distance(
    centroids: Tensor, *, rank: str = "strict", known: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, float, float]:
    """D from class centroids, with its SDD (Hou et al. 2016, Eq. 2, 12, 13 and section 4.7).

    Above ``MAX_CLASSES_IN_FLOAT64`` classes the raw distances are computed some rows at a time and never kept; D has
    the numbers of :func:`~squared_emd.ground_distance_from_centroids`, rounded to float32.

    Args:
        centroids: (K, d).
        rank: ``"strict"`` (Eq. 12) or ``"inclusive"`` (the paper's Table 2).
        known: (K,) bool; classes that never had a sample are left out, and their rows and columns of D are 0.
        out: an earlier D that is needed no more; a large D is written over it. It may be None, or not fit.

    Returns:
        D: (K, K), of :func:`matrix_dtype`; SDD in the unit of the features, and relative to the mean distance.

    Raises:
        ValueError: as :func:`~squared_emd.raw_distances` and :func:`~squared_emd.percentile_ranks`.

    >>> matrix, deviation, relative = learn_ground_distance(torch.tensor([[0.0], [4.0]]))
    >>> matrix
    tensor([[0.0000, 0.5000],
            [0.5000, 0.0000]], dtype=torch.float64)
    >>> deviation, relative
    (2.0, 0.5)
    """
    num_classes = len(centroids)
    known = torch.ones(num_classes, dtype=torch.bool, device=centroids.device) if known is None else known
    places = known.nonzero().flatten()  # (k,)
    has_unknown = len(places) < num_classes
    if has_unknown:
        centroids = torch.where(known[:, None], centroids, 0)
    if num_classes <= MAX_CLASSES_IN_FLOAT64:
        distances = raw_distances(centroids)
        matrix = ground_distance_from_distances(distances, rank=rank, known=known)
        distances = distances[known][:, known] if has_unknown else distances
        return matrix, float(sdd(distances)), float(sdd(distances, relative=True))
    shape, dtype = (num_classes, num_classes), matrix_dtype(num_classes)
    fits = out is not None and out.shape == shape and out.dtype == dtype and out.device == centroids.device
    matrix = out if fits else torch.empty(shape, dtype=dtype, device=centroids.device)
    spread, start = _Spread(), 0
    for distances in raw_distances_by_rows(centroids):
        own = known[start : start + len(distances)].nonzero().flatten()  # among these rows
        if has_unknown:
            distances = distances[own][:, places]  # (b, k)
            matrix[start : start + TILE] = 0
        for offset, rows in blocks_of_rows(distances):
            spread.add(rows)
            counts = counts_in_rows(rows, rank=rank)
            if has_unknown:
                matrix[own[offset : offset + len(rows), None] + start, places] = counts
            else:
                matrix[start + offset : start + offset + len(rows)] = counts
        start += TILE
    if rank == "inclusive":
        matrix.fill_diagonal_(0)
    _average_with_transpose(matrix, 2 * len(places))
    return matrix, *spread.deviations(len(places))


def raw_distances_by_rows(centroids: Tensor) -> Iterator[Tensor]:
    """The very numbers of :func:`~squared_emd.raw_distances`, some rows after the others.

    Where they come from matrix products each pair is computed twice, so that nothing of K x K is kept.

    Args:
        centroids: (K, d).

    Yields:
        (b, K) float64, b at most ``TILE``; all together in order K rows.

    >>> [tuple(rows.shape) for rows in raw_distances_by_rows(torch.zeros(300, 2))]
    [(256, 300), (44, 300)]
    """
    mean, tiles = mean_of(centroids), centroids.split(TILE)
    if takes_differences(centroids):
        centred = centroids.double() - mean
        for some in centred.split(TILE):
            yield torch.cdist(some, centred, compute_mode="donot_use_mm_for_euclid_dist")
        return
    for i, some in enumerate(tiles):
        some = some.double() - mean
        rows = some.new_empty(len(some), len(centroids))
        for j, others in enumerate(tiles):
            others = some if i == j else others.double() - mean
            tile = distance_tile(some, others) if i <= j else distance_tile(others, some).T
            rows[:, j * TILE : j * TILE + len(others)] = tile
        yield rows


class _Spread:
    """Mean and standard deviation of numbers that come in parts (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, numbers: Tensor) -> None:
        count = numbers.numel()
        if not count:
            return
        mean = float(numbers.mean())
        squares = float((numbers - mean).square().sum())  # around their own mean
        total, step = self.count + count, mean - self.mean
        self.squares += squares + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count = total

    def deviations(self, num_classes: int) -> tuple[float, float]:
        """SDD and SDD over the mean of the distances off the diagonal, as :func:`~squared_emd.sdd` gives them."""
        if not self.count:
            return math.nan, 0.0
        deviation = math.sqrt(self.squares / self.count)
        mean = self.mean * num_classes / max(num_classes - 1, 1)
        return deviation, deviation / mean if mean > 0 else 0.0


def _average_with_transpose(matrix: Tensor, divisor: int) -> None:
    """``(matrix + matrix^T) / divisor``, in place, tile by tile."""
    for i in range(0, len(matrix), TILE):
        for j in range(i, len(matrix), TILE):
            here, there = matrix[i : i + TILE, j : j + TILE], matrix[j : j + TILE, i : i + TILE]
            mean = (here + there.T) / max(divisor, 1)
            here.copy_(mean)
            there.copy_(mean.T)
