"""D from class centroids (Hou et al. 2016, Eq. 2, 12 and 13), a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .relatedness import sdd_from_sums

MAX_CLASSES_IN_FLOAT64 = 4096  # above, D is float32 and written in place
DIRECT_DISTANCE_COST = 2**27  # K * K * d up to which differences are taken one by one, free of cancellation
TILE = 256  # above, distances come from matrix products of this many classes by as many
BLOCK = 2**20  # entries of a K x K matrix that are processed at a time


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
    _check_centroids(centroids)
    distances = centroids.new_empty(len(centroids), len(centroids), dtype=torch.float64)
    for start, rows in _rows_of_raw_distances(centroids):
        distances[start : start + len(rows)] = rows
    return distances


def percentile_ranks(distances: Tensor, *, rank: str = "strict") -> Tensor:
    """Each entry mapped to its percentile in its row (Hou et al. 2016, Eq. 12).

    ``B[i, j] = R / K``, where R counts the entries of row i that are smaller than entry j (``"strict"``, the paper's
    equation), or not larger (``"inclusive"``: an entry counts itself, as the paper's published Table 2 must have been
    made; there the diagonal is set back to 0). Entries that tie share one value.

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
    if distances.dim() != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be (K, K), got shape {tuple(distances.shape)}.")
    _check_rank(rank)
    ranks = torch.empty_like(distances, dtype=torch.float64)
    for start, rows in blocks_of_rows(distances):
        ranks[start : start + len(rows)] = _counts_in_rows(rows, rank)
    ranks /= max(len(distances), 1)
    return ranks.fill_diagonal_(0) if rank == "inclusive" else ranks


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
    matrix = torch.zeros(len(centroids), len(centroids), dtype=torch.float64, device=centroids.device)
    _write_ground_distance(matrix, centroids, rank, known)
    return matrix


def ground_distance_and_sdd(
    centroids: Tensor, *, rank: str | None = "strict", known: Tensor | None = None, out: Tensor | None = None
) -> tuple[Tensor, float, float]:
    """D of :func:`matrix_dtype`, SDD, and SDD over the mean distance (Eq. 2, 12, 13 and section 4.7).

    With the rank None D is the distances themselves (Eq. 2). `out`, an earlier D, is overwritten if it is large and
    fits: nothing of K x K but D is kept, so that 21,841 classes of 2,048 features take less than 6 GB.
    """
    num_classes = len(centroids)
    shape, dtype = (num_classes, num_classes), matrix_dtype(num_classes)
    fits = out is not None and (out.shape, out.dtype, out.device) == (shape, dtype, centroids.device)
    if num_classes > MAX_CLASSES_IN_FLOAT64 and fits:
        matrix = out.zero_()
    else:
        matrix = torch.zeros(shape, dtype=dtype, device=centroids.device)
    return matrix, *_write_ground_distance(matrix, centroids, rank, known)


def scale_to_mean_one(matrix: Tensor, known: Tensor) -> Tensor:
    """Divide D by the mean of its entries between different known classes, unless that is 0; in place."""
    num_known = int(known.sum())
    total = float(matrix.sum(dtype=torch.float64))
    return matrix.mul_(num_known * (num_known - 1) / total) if total > 0 else matrix


def matrix_dtype(num_classes: int) -> torch.dtype:
    """The dtype of D: float64, or float32 above ``MAX_CLASSES_IN_FLOAT64`` classes, exact to 6e-8 for ranks."""
    return torch.float64 if num_classes <= MAX_CLASSES_IN_FLOAT64 else torch.float32


def blocks_of_rows(matrix: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The index of the first row and (b, K) rows of a matrix, views of about ``BLOCK`` entries each."""
    num_rows = max(BLOCK // max(matrix.shape[1], 1), 1)
    for start in range(0, len(matrix), num_rows):
        yield start, matrix[start : start + num_rows]


def check_ground_distance(ground_distance: Tensor, num_classes: int, *, source: str = "ground_distance") -> None:
    """Raise unless D is (K, K), of real numbers, finite, non-negative, symmetric and 0 on the diagonal."""
    if ground_distance.is_complex() or ground_distance.dtype == torch.bool:
        raise ValueError(f"{source} must hold real numbers, got {ground_distance.dtype}.")
    if ground_distance.shape != (num_classes, num_classes):
        raise ValueError(
            f"{source} must be ({num_classes}, {num_classes}), one row a class of the model, "
            f"got shape {tuple(ground_distance.shape)}."
        )
    tolerance = 1e-6 * ground_distance.max()
    checks = {
        "finite": lambda rows, columns: rows.isfinite(),
        "non-negative": lambda rows, columns: rows >= 0,
        "symmetric": lambda rows, columns: (rows - columns).abs() <= tolerance,
    }
    for name, check in checks.items():
        for start, rows in blocks_of_rows(ground_distance):
            fails = ~check(rows, ground_distance[:, start : start + len(rows)].T)
            if fails.any():
                i, j = fails.nonzero()[0].tolist()
                raise _entry_error(ground_distance, name, i + start, j, source)
    if ground_distance.diagonal().any():
        i = int(ground_distance.diagonal().nonzero()[0])
        raise _entry_error(ground_distance, "0 on the diagonal", i, i, source)


def _write_ground_distance(
    matrix: Tensor, centroids: Tensor, rank: str | None, known: Tensor | None
) -> tuple[float, float]:
    """Write D of the known classes into (K, K) zeros; gives SDD, and SDD over the mean distance."""
    if rank is not None:
        _check_rank(rank)
    _check_centroids(centroids, known)
    if known is None or known.all():
        classes = torch.arange(len(centroids), device=centroids.device)  # (k,)
    else:
        classes = known.nonzero().flatten()  # (k,)
        centroids = centroids[classes]  # (k, d)
    total, total_squares = 0.0, 0.0
    for start, distances in _rows_of_raw_distances(centroids):
        total += float(distances.sum())
        total_squares += float(distances.square().sum())
        rows = classes[start : start + len(distances), None]  # (b, 1)
        entries = distances if rank is None else _counts_in_rows(distances, rank)  # (b, k) Eq. 2, or 12 times k
        matrix[rows, classes] = entries.to(matrix.dtype)
    if rank == "inclusive":
        matrix.fill_diagonal_(0)
    if rank is not None:
        _average_with_transpose(matrix, max(len(classes), 1))
    return sdd_from_sums(total, total_squares, len(classes))


def _rows_of_raw_distances(centroids: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Eq. 2: index of the first row and (b, K) float64 distances, at most ``TILE`` rows at a time.

    Each pair is computed with the earlier class first in both of its places, so that the matrix is symmetric.
    """
    mean = centroids.mean(0, dtype=torch.float64)  # (d,) distances around the mean suffer less cancellation
    num_classes, num_features = centroids.shape
    is_direct = num_classes**2 * num_features <= DIRECT_DISTANCE_COST
    distances = _distances_by_difference if is_direct else _distances_by_product
    for start in range(0, num_classes, TILE):
        tile = centroids[start : start + TILE].double() - mean  # (b, d)
        rows = tile.new_empty(len(tile), num_classes)
        for other_start in range(0, num_classes, TILE):
            others = centroids[other_start : other_start + TILE].double() - mean
            block = distances(others, tile).T if start > other_start else distances(tile, others)  # (b, c)
            if start == other_start:  # a product with its own transpose need not be symmetric to the last bit
                block = block.triu(1) + block.triu(1).T
            rows[:, other_start : other_start + TILE] = block
        yield start, rows


def _distances_by_difference(some: Tensor, others: Tensor) -> Tensor:
    """(b, c) distances without cancellation."""
    return torch.cdist(some, others, compute_mode="donot_use_mm_for_euclid_dist")


def _distances_by_product(some: Tensor, others: Tensor) -> Tensor:
    """(b, c) distances by one matrix product."""
    squared_lengths = [torch.einsum("kd,kd->k", classes, classes) for classes in (some, others)]
    squares = torch.addmm(squared_lengths[0][:, None] + squared_lengths[1], some, others.T, alpha=-2)
    return squares.clamp_min_(0).sqrt_()


def _counts_in_rows(rows: Tensor, rank: str) -> Tensor:
    """(b, K) how many entries of its row are smaller than an entry (``"strict"``), or not larger (``"inclusive"``)."""
    rows = rows.detach().contiguous()
    # NumPy's sort uses the vector instructions of the CPU, and PyTorch's does not.
    ascending = torch.from_numpy(np.sort(rows.numpy(), axis=1)) if rows.is_cpu else rows.sort(1).values
    return torch.searchsorted(ascending, rows, right=rank == "inclusive")


def _average_with_transpose(matrix: Tensor, num_known: int) -> None:
    """Eq. 13: ``(B + B^T) / 2`` from counts of Eq. 12, in place, a tile at a time."""
    for i in range(0, len(matrix), TILE):
        for j in range(i, len(matrix), TILE):
            here, there = matrix[i : i + TILE, j : j + TILE], matrix[j : j + TILE, i : i + TILE]
            mean = (here.double() / num_known + there.T.double() / num_known) / 2
            here.copy_(mean)
            there.copy_(mean.T)


def _check_centroids(centroids: Tensor, known: Tensor | None = None) -> None:
    if centroids.dim() != 2 or not centroids.is_floating_point():
        raise ValueError(f"centroids must be (K, d) floating point, got {tuple(centroids.shape)} {centroids.dtype}.")
    bad = ~centroids.isfinite().all(1)  # (K,)
    bad = bad if known is None else bad & known
    if bad.any():
        raise ValueError(f"centroids must be finite; those of classes {bad.nonzero().flatten().tolist()} are not.")


def _check_rank(rank: str) -> None:
    if rank not in ("strict", "inclusive"):
        raise ValueError(f'rank must be "strict" (Eq. 12) or "inclusive" (Table 2), got {rank!r}.')


def _entry_error(ground_distance: Tensor, name: str, i: int, j: int, source: str) -> ValueError:
    return ValueError(
        f"{source} must be {name}, got D[{i}, {j}] = {ground_distance[i, j]:g} "
        f"and D[{j}, {i}] = {ground_distance[j, i]:g}."
    )
