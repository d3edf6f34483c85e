"""From class centroids (or positions) to the ground distance matrix D, and what D says about the classes."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "ground_distance_from_centroids",
    "ground_distance_from_positions",
    "percentile_ranks",
    "raw_distances",
    "sdd",
]

DIRECT_DISTANCE_COST = 2**27  # K * K * d up to which differences are taken one by one, free of cancellation


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
    if centroids.dim() != 2 or not centroids.is_floating_point():
        raise ValueError(f"centroids must be (K, d) floating point, got {tuple(centroids.shape)} {centroids.dtype}.")
    if not centroids.isfinite().all():
        bad = (~centroids.isfinite().all(1)).nonzero().flatten().tolist()
        raise ValueError(f"centroids must be finite; those of classes {bad} are not.")
    num_classes, feature_dim = centroids.shape
    centred = centroids.double()
    centred = centred - centred.mean(0)  # the same distances, with less cancellation
    if num_classes**2 * feature_dim <= DIRECT_DISTANCE_COST:
        distances = torch.cdist(centred, centred, compute_mode="donot_use_mm_for_euclid_dist")
    else:
        distances = torch.cdist(centred, centred, compute_mode="use_mm_for_euclid_dist")
        distances = (distances + distances.T) / 2
    return distances.fill_diagonal_(0)


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
    distances = distances.contiguous()
    rows = distances.sort(dim=1).values
    counts = torch.searchsorted(rows, distances, right=rank == "inclusive")  # (K, K)
    ranks = counts.double() / len(distances)
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


def ground_distance_from_positions(positions: Tensor, *, normalize: bool = False) -> Tensor:
    """Distances between classes whose positions are given: ages, grades, scores, or points in a space.

    ``D[i, j] = ||x_i - x_j||_2``; for positions 0 .. K-1 it is ``abs(i - j)`` (Hou et al. 2016, section 2.2.2).

    Args:
        positions: (K,) positions on a line or (K, d) points, in any unit.
        normalize: divide by the largest distance, so that D lies in [0, 1] as Eq. 16 expects it.

    Returns:
        (K, K) float64, in the unit of ``positions`` (or none with ``normalize``).

    Raises:
        ValueError: positions are not (K,) or (K, d), or not finite; ``normalize`` where all positions coincide.

    >>> ground_distance_from_positions([1, 5, 10])
    tensor([[0., 4., 9.],
            [4., 0., 5.],
            [9., 5., 0.]], dtype=torch.float64)
    """
    positions = torch.as_tensor(positions).double()
    if positions.dim() not in (1, 2) or not positions.isfinite().all():
        raise ValueError(
            "positions must be (K,) or (K, d) finite numbers, "
            f"got shape {tuple(positions.shape)}: {positions.tolist()}."
        )
    positions = positions.reshape(len(positions), -1)  # (K, d)
    distances = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    if not normalize:
        return distances
    if distances.max() == 0:
        raise ValueError("positions must differ to be normalised; they all coincide.")
    return distances / distances.max()


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
    tests = {
        "finite": ground_distance.isfinite(),
        "non-negative": ground_distance >= 0,
        "symmetric": (ground_distance - ground_distance.T).abs() <= 1e-6 * ground_distance.abs().max(),
        "0 on the diagonal": ground_distance.diagonal().diag() == 0,
    }
    for name, holds in tests.items():
        if not holds.all():
            i, j = (~holds).nonzero()[0].tolist()
            raise ValueError(
                f"{source} must be {name}, got D[{i}, {j}] = {ground_distance[i, j]:g} "
                f"and D[{j}, {i}] = {ground_distance[j, i]:g}."
            )


def _zero_unknown(centroids: Tensor, known: Tensor | None) -> Tensor:
    return centroids if known is None else torch.where(known[:, None], centroids, 0)


def _check_square(distances: Tensor) -> None:
    if distances.dim() != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be (K, K), got shape {tuple(distances.shape)}.")
