"""From class centroids to the ground distance matrix D, and what D says about the classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "ground_distance_from_centroids",
    "percentile_ranks",
    "raw_distances",
    "sdd",
]

DIRECT_DISTANCE_COST = 2**27  # K * K * d up to which differences are taken one by one, free of cancellation
TILE = 256  # above, distances come from matrix products of so many classes by so many
BLOCK = 2**20  # entries of a K x K matrix that are worked on at a time


def raw_distances(centroids: Tensor) -> Tensor:
    """Euclidean distances between class centroids: ``Dbar[i, j] = ||a_i - a_j||_2`` (Hou et al. 2016, Eq. 2).

    Args:
        centroids: (K, d), any floating dtype; computed in float64.

    Returns:
        (K, K) float64, symmetric, the diagonal exactly 0; in the unit of the features.

    Raises:
        ValueError: ``centroids`` is not (K, d) or has an entry that is not finite.

    >>> raw_distances(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    tensor([[0., 5.],
            [5., 0.]], dtype=torch.float64)
    """
    centred = centroids.double() - mean_of(centroids)
    if takes_differences(centred):
        return torch.cdist(centred, centred, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(0)
    num_classes, tiles = len(centred), centred.split(TILE)
    distances = centred.new_empty(num_classes, num_classes)
    for i, some in enumerate(tiles):
        for j, others in enumerate(tiles[i:], start=i):  # each pair once, so that D[i, j] is D[j, i] to the bit
            tile = distance_tile(some, others)
            distances[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE] = tile
            distances[j * TILE : (j + 1) * TILE, i * TILE : (i + 1) * TILE] = tile.T
    return distances


def mean_of(centroids: Tensor) -> Tensor:
    """(d,) float64: distances of centroids around their mean suffer less cancellation."""
    if centroids.dim() != 2 or not centroids.is_floating_point():
        raise ValueError(f"centroids must be (K, d) floating point, got {tuple(centroids.shape)} {centroids.dtype}.")
    mean = centroids.mean(0, dtype=torch.float64)
    if not mean.isfinite().all():
        bad = (~centroids.isfinite().all(1)).nonzero().flatten().tolist()
        raise ValueError(f"centroids must be finite; those of classes {bad} are not.")
    return mean


def takes_differences(centroids: Tensor) -> bool:
    """Whether distances are taken from differences; from matrix products where there would be too many."""
    num_classes, feature_dim = centroids.shape
    return num_classes**2 * feature_dim <= DIRECT_DISTANCE_COST


def distance_tile(some: Tensor, others: Tensor) -> Tensor:
    """Distances of centred classes to the same or to later ones, by a matrix product; at most TILE by TILE."""
    lengths = [torch.einsum("kd,kd->k", classes, classes) for classes in (some, others)]  # squared
    squares = torch.addmm(lengths[0][:, None] + lengths[1], some, others.T, alpha=-2)
    distances = squares.clamp_min_(0).sqrt_()
    if some.data_ptr() != others.data_ptr():
        return distances
    distances = distances.triu(1)
    return distances + distances.T


def percentile_ranks(distances: Tensor, *, rank: str = "strict") -> Tensor:
    """Each entry mapped to its percentile in its row (Hou et al. 2016, Eq. 12).

    ``B[i, j] = R / K``, where R counts the entries of row i that are smaller than entry j (``"strict"``, the paper's
    equation), or not larger (``"inclusive"``: an entry counts itself, as the paper's published Table 2 must have been
    made; there the diagonal is put back to 0). Entries that tie share one value.

    Args:
        distances: (K, K) raw distances.
        rank: ``"strict"`` or ``"inclusive"``.

    Returns:
        (K, K) float64 in [0, 1]. O(K^2 log K) time, O(K^2) memory.

    Raises:
        ValueError: ``distances`` is not square, or ``rank`` is something else.

    >>> percentile_ranks(torch.tensor([[0.0, 3.0, 7.0, 3.0]] * 4))[0]
    tensor([0.0000, 0.2500, 0.7500, 0.2500], dtype=torch.float64)
    """
    _check_square(distances)
    if rank not in ("strict", "inclusive"):
        raise ValueError(f'rank must be "strict" (Eq. 12) or "inclusive" (Table 2), got {rank!r}.')
    num_classes = len(distances)
    ranks = torch.empty(num_classes, num_classes, dtype=torch.float64, device=distances.device)
    for start, rows in blocks_of_rows(distances):
        ranks[start : start + len(rows)] = counts_in_rows(rows, rank=rank)
    ranks /= max(num_classes, 1)
    return ranks.fill_diagonal_(0) if rank == "inclusive" else ranks


def counts_in_rows(rows: Tensor, *, rank: str) -> Tensor:
    """How many entries of its row are smaller than an entry (``"strict"``), or not larger (``"inclusive"``).

    Args:
        rows: (b, K) numbers.
        rank: ``"strict"`` or ``"inclusive"``.

    Returns:
        (b, K) float32, which is exact for fewer than 2^24 classes.

    >>> counts_in_rows(torch.tensor([[3.0, 0.0, 3.0]]), rank="strict")
    tensor([[1., 0., 1.]])
    """
    rows = rows.detach() if rows.dtype in (torch.float32, torch.float64) else rows.detach().double()
    # NumPy's sort uses the vector instructions of the CPU
    order = torch.from_numpy(np.argsort(rows.numpy(), axis=1)) if rows.is_cpu else rows.argsort(1)
    in_order = rows.gather(1, order)
    places = torch.arange(rows.shape[1], dtype=torch.float32, device=rows.device)
    borders = torch.ones_like(rows, dtype=torch.bool)  # between an entry and a larger one
    if rank == "strict":
        torch.ne(in_order[:, 1:], in_order[:, :-1], out=borders[:, 1:])
        counts = torch.where(borders, places, 0).cummax(1).values  # the place where the run of equal entries begins
    else:
        torch.ne(in_order[:, 1:], in_order[:, :-1], out=borders[:, :-1])
        counts = torch.where(borders, places + 1, torch.inf).flip(1).cummin(1).values.flip(1)
    return torch.empty_like(counts).scatter_(1, order, counts)


def blocks_of_rows(matrix: Tensor) -> Iterator[tuple[int, Tensor]]:
    """A matrix in blocks of rows, of about ``BLOCK`` entries each.

    Args:
        matrix: (K, K).

    Yields:
        The first row's index, and (b, K) rows, a view.

    >>> [(start, len(rows)) for start, rows in blocks_of_rows(torch.zeros(2, 2**20 + 1))]
    [(0, 1), (1, 1)]
    """
    rows_at_a_time = max(BLOCK // max(matrix.shape[1], 1), 1)
    for start in range(0, len(matrix), rows_at_a_time):
        yield start, matrix[start : start + rows_at_a_time]


def ground_distance_from_centroids(centroids: Tensor, *, rank: str = "strict", known: Tensor | None = None) -> Tensor:
    """The learned ground distance ``D = (B + B^T) / 2`` (Hou et al. 2016, Eq. 13).

    Args:
        centroids: (K, d) class centroids, see :class:`~squared_emd.ClassCentroids`.
        rank: ``"strict"`` (Eq. 12) or ``"inclusive"`` (the paper's Table 2).
        known: (K,) bool; classes that never had a sample are left out of the ranks, and their rows and columns are 0.

    Returns:
        (K, K) float64 in [0, 1], symmetric, the diagonal exactly 0.

    Raises:
        ValueError: as :func:`raw_distances` and :func:`percentile_ranks`.

    >>> ground_distance_from_centroids(torch.tensor([[0.0], [1.0], [3.0]])) * 6  # in sixths
    tensor([[0., 2., 4.],
            [2., 0., 3.],
            [4., 3., 0.]], dtype=torch.float64)
    """
    return ground_distance_from_distances(raw_distances(_zero_unknown(centroids, known)), rank=rank, known=known)


def ground_distance_from_distances(distances: Tensor, *, rank: str = "strict", known: Tensor | None = None) -> Tensor:
    """As :func:`ground_distance_from_centroids`, from raw distances that are already there.

    Args:
        distances: (K, K) raw distances.
        rank: ``"strict"`` or ``"inclusive"``.
        known: (K,) bool, the classes to rank.

    Returns:
        (K, K) float64.
    """
    if known is None or known.all():
        ranks = percentile_ranks(distances, rank=rank)
        return (ranks + ranks.T) / 2
    ground_distance = torch.zeros_like(distances, dtype=torch.float64)
    ranks = percentile_ranks(distances[known][:, known], rank=rank)
    ground_distance[known.outer(known)] = ((ranks + ranks.T) / 2).flatten()
    return ground_distance


def sdd(distances: Tensor, *, relative: bool = False) -> Tensor:
    """Standard deviation of pair-wise distances between class centroids (SDD, Hou et al. 2016, section 4.7).

    High where classes are related to different degrees, low where all are about equally far apart. It has the unit of
    the features: compare it within one network, or use ``relative``.

    Args:
        distances: (K, K) raw distances (:func:`raw_distances`).
        relative: divide by the mean off-diagonal distance; 0 where all distances are 0.

    Returns:
        A float64 scalar: the population standard deviation over all K^2 entries, diagonal included.

    Raises:
        ValueError: ``distances`` is not square.

    >>> sdd(torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
    tensor(2., dtype=torch.float64)
    """
    _check_square(distances)
    distances = distances.double()
    deviation = distances.std(correction=0)
    if not relative:
        return deviation
    num_classes = len(distances)
    mean = distances.sum() / max(num_classes * (num_classes - 1), 1)
    return torch.where(mean > 0, deviation / mean, 0.0)


def check_ground_distance(ground_distance: Tensor, num_classes: int, *, source: str = "ground_distance") -> None:
    """Raise unless ``ground_distance`` can serve as D for ``num_classes`` classes.

    Args:
        ground_distance: the matrix to look at.
        num_classes: K.
        source: what the message calls the matrix, such as the file it came from.

    Raises:
        ValueError: it is not (K, K), finite, non-negative, symmetric and 0 on the diagonal.
    """
    if ground_distance.shape != (num_classes, num_classes):
        raise ValueError(
            f"{source} must be ({num_classes}, {num_classes}), one row a class of the model, "
            f"got shape {tuple(ground_distance.shape)}."
        )
    tolerance = 1e-6 * ground_distance.max()
    tests = {
        "finite": lambda rows, columns: rows.isfinite(),
        "non-negative": lambda rows, columns: rows >= 0,
        "symmetric": lambda rows, columns: (rows - columns).abs() <= tolerance,
    }
    for name, test in tests.items():
        for start, rows in blocks_of_rows(ground_distance):
            fails = ~test(rows, ground_distance[:, start : start + len(rows)].T)
            if fails.any():
                i, j = fails.nonzero()[0].tolist()
                _refuse(ground_distance, name, i + start, j, source)
    if ground_distance.diagonal().any():
        i = int(ground_distance.diagonal().nonzero()[0])
        _refuse(ground_distance, "0 on the diagonal", i, i, source)


def _refuse(ground_distance: Tensor, name: str, i: int, j: int, source: str) -> None:
    raise ValueError(
        f"{source} must be {name}, got D[{i}, {j}] = {ground_distance[i, j]:g} "
        f"and D[{j}, {i}] = {ground_distance[j, i]:g}."
    )


def _zero_unknown(centroids: Tensor, known: Tensor | None) -> Tensor:
    return centroids if known is None else torch.where(known[:, None], centroids, 0)


def _check_square(distances: Tensor) -> None:
    if distances.dim() != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be (K, K), got shape {tuple(distances.shape)}.")
