"""Ground distances that are given, not learned: from positions, a circle, a label tree or the names of the classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .label_tree import LabelTree
from .learned import check_ground_distance, ground_distance_from_centroids, matrix_dtype


def ground_distance_from_positions(positions: Tensor, *, normalize: bool = False) -> Tensor:
    """Distances between classes whose positions are given: ages, grades, scores, or points in a space.

    ``D[i, j] = ||x_i - x_j||_2``; for positions 0 .. K-1 it is ``abs(i - j)`` (Hou et al. 2016, section 2.2.2).

    Args:
        positions: (K,) positions on a line or (K, d) points, in any unit.
        normalize: divide by the largest distance, so that D lies in [0, 1] as Eq. 16 expects it.

    Returns:
        (K, K) float64, in the unit of ``positions`` (or none with ``normalize``).

    Raises:
        ValueError: positions are not (K,) or (K, d), or not finite; ``normalize`` if all positions coincide.

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
    return _normalized(distances) if normalize else distances


def ground_distance_from_circle(spacing: Sequence[float] | Tensor | int, *, normalize: bool = False) -> Tensor:
    """Distances between classes on a circle, the shorter way round: hours, months, angles.

    Args:
        spacing: (K,) gaps from each class to the next, the last one from class K-1 to class 0, none negative, in any
            unit; or K: all gaps are 1.
        normalize: divide by the largest distance, so that D lies in [0, 1] as Eq. 16 expects it.

    Returns:
        (K, K) float64, in the unit of ``spacing`` (or none with ``normalize``).

    Raises:
        ValueError: ``spacing`` is not as above; ``normalize`` if all classes coincide.

    >>> ground_distance_from_circle(4)[0]
    tensor([0., 1., 2., 1.], dtype=torch.float64)
    """
    gaps = torch.ones(spacing) if isinstance(spacing, int) else torch.as_tensor(spacing)
    gaps = gaps.double()
    if gaps.dim() != 1 or not len(gaps) or not (gaps.isfinite().all() and (gaps >= 0).all()):
        raise ValueError(
            f"spacing must be the K gaps between neighbors on the circle, finite and not negative; got {gaps.tolist()}."
        )
    positions = torch.cat([gaps.new_zeros(1), gaps[:-1].cumsum(0)])
    along = (positions[:, None] - positions).abs()  # (K, K)
    distances = torch.minimum(along, gaps.sum() - along).clamp_min_(0)
    return _normalized(distances) if normalize else distances


def ground_distance_from_tree(tree: LabelTree, *, normalize: bool = False) -> Tensor:
    """Distances between the classes of a label tree: the lengths of the paths between them.

    Args:
        tree: of the K classes.
        normalize: divide by the largest distance, so that D lies in [0, 1] as Eq. 16 expects it.

    Returns:
        (K, K) float64, in the unit of the edges (or none with ``normalize``).

    Raises:
        ValueError: ``normalize`` if all classes coincide.

    >>> ground_distance_from_tree(LabelTree.from_nested({"pets": ["cat", "dog"], "tools": ["saw"]}))[0]
    tensor([0., 2., 4.], dtype=torch.float64)
    """
    distances = torch.from_numpy(tree.distances())
    return _normalized(distances) if normalize else distances


def ground_distance_from_text(
    class_names: Sequence[str], encode: Callable[[list[str]], Any], *, rank: str = "strict"
) -> Tensor:
    """Distances between classes by what their names mean, as a sentence encoder sees it.

    The embeddings take the place of the class centroids: they are divided by their length, and D is made of their
    distances as of those of centroids (Hou et al. 2016, Eq. 12 and 13).

    Args:
        class_names: (K,) names, or better a sentence for each class.
        encode: what gives (K, d) embeddings of a list of texts: any function, or an object with a method ``encode``
            such as a ``SentenceTransformer``.
        rank: ``"strict"`` or ``"inclusive"``, see :func:`percentile_ranks`.

    Returns:
        (K, K) float64 in [0, 1].

    Raises:
        ValueError: there is not one embedding of finite numbers, not all 0, for each name.

    >>> ground_distance_from_text(["bad", "poor", "good"], lambda texts: [[1, 0], [0.9, 0.1], [0, 1]])[0] * 6
    tensor([0., 2., 4.], dtype=torch.float64)
    """
    names = [str(name) for name in class_names]
    embeddings = getattr(encode, "encode", encode)(names)
    try:
        if isinstance(embeddings, (list, tuple)) and embeddings and isinstance(embeddings[0], Tensor):
            embeddings = torch.stack(list(embeddings))
        embeddings = torch.as_tensor(embeddings).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"encode must give one row of numbers for each of the {len(names)} names: {error}") from error
    if embeddings.dim() != 2 or len(embeddings) != len(names):
        raise ValueError(
            f"encode must give one row of numbers for each of the {len(names)} names, got shape "
            f"{tuple(embeddings.shape)}. Take the mean over tokens where it gives one a token."
        )
    lengths = torch.linalg.vector_norm(embeddings, dim=1, keepdim=True)  # (K, 1)
    wrong = ~(lengths.isfinite() & (lengths > 0)).squeeze(1)
    if wrong.any():
        raise ValueError(f"embeddings must be finite and not all 0; that of {names[int(wrong.nonzero()[0])]!r} is not.")
    return ground_distance_from_centroids(embeddings / lengths, rank=rank)


def blend_ground_distances(prior: Tensor, learned: Tensor, weight: float, *, known: Tensor | None = None) -> Tensor:
    """A D that lies between one that was given and one that was learned.

    ``weight * prior / max(prior) + (1 - weight) * learned``. Not in the paper.

    Args:
        prior: (K, K) given D, in any unit; it is scaled to a largest distance of 1.
        learned: (K, K) learned D, in [0, 1] (Hou et al. 2016, Eq. 13).
        weight: of the prior, in [0, 1].
        known: (K,) bool, the classes that ``learned`` knows; between others the prior stands alone. Default: all.

    Returns:
        (K, K) in [0, 1], dtype and device of ``learned``.

    Raises:
        ValueError: ``weight`` is not in [0, 1], or the shapes differ.

    >>> blend_ground_distances(torch.tensor([[0.0, 4.0], [4.0, 0.0]]), torch.tensor([[0.0, 0.5], [0.5, 0.0]]), 0.5)
    tensor([[0.0000, 0.7500],
            [0.7500, 0.0000]])
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must lie in 0 .. 1, got {weight}.")
    if prior.shape != learned.shape:
        raise ValueError(f"both ground distances must be (K, K), got {tuple(prior.shape)} and {tuple(learned.shape)}.")
    prior = prior.to(learned)
    largest = prior.max()
    prior = prior / torch.where(largest > 0, largest, 1)
    blend = torch.lerp(learned, prior, weight)
    return blend if known is None else torch.where(known[:, None] & known, blend, prior)


def as_ground_distance(given: Any, num_classes: int, *, source: str = "ground_distance") -> Tensor:
    """A D that a user gives, (K, K) numbers or a `LabelTree`, as a matrix that fits the classes.

    float64; float32 above 4,096 classes. Path lengths of a tree are scaled to a largest one of 1.
    """
    if isinstance(given, LabelTree):
        given = ground_distance_from_tree(given, normalize=True)
    try:
        has_dtype = hasattr(given, "dtype")  # else Python's numbers, which are float64
        matrix = torch.as_tensor(given, dtype=None if has_dtype else torch.float64).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{source} must be (K, K) numbers or a LabelTree, got {type(given).__name__}: {error}"
        ) from error
    check_ground_distance(matrix, num_classes, source=source)
    return matrix.to(matrix_dtype(num_classes))


def _normalized(distances: Tensor) -> Tensor:
    if distances.max() == 0:
        raise ValueError("positions must differ to be normalized; they all coincide.")
    return distances / distances.max()
