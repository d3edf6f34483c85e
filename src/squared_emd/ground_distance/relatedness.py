"""How differently classes are related: SDD (Hou et al. 2016, section 4.7), and what it says about a run."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Variation of the distances below which D, which keeps only their ranks, makes large differences of small ones: if the
# distances are normally distributed, nine in ten are then within a quarter of their mean. Classes on a line have 0.58
# (8 of them) to 0.71 (many), independent points in 64 dimensions 0.09, in 512 dimensions 0.03; docs/reading_d.md has
# more.
HARDLY_RELATED = 0.15


def sdd(distances: Tensor, *, relative: bool = False) -> Tensor:
    """Standard deviation of pairwise distances between class centroids (SDD, Hou et al. 2016, section 4.7).

    High if classes are related to different degrees, low if all are about equally far apart. It has the unit of the
    features: compare it within one network, or use ``relative``.

    Args:
        distances: (K, K) raw distances (:func:`raw_distances`).
        relative: divide by the mean off-diagonal distance; 0 if all distances are 0.

    Returns:
        A float64 scalar: the population standard deviation over all K^2 entries, diagonal included.

    Raises:
        ValueError: ``distances`` is not square.

    >>> sdd(torch.tensor([[0.0, 4.0], [4.0, 0.0]]))
    tensor(2., dtype=torch.float64)
    """
    if distances.dim() != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be (K, K), got shape {tuple(distances.shape)}.")
    distances = distances.double()
    deviation = distances.std(correction=0)
    if not relative:
        return deviation
    num_classes = len(distances)
    mean = distances.sum() / max(num_classes * (num_classes - 1), 1)
    return torch.where(mean > 0, deviation / mean, 0.0)


def sdd_from_sums(total: float, total_squares: float, num_classes: int) -> tuple[float, float]:
    """SDD and relative SDD, as :func:`sdd` gives them, from the sums of the distances and of their squares."""
    if not num_classes:
        return math.nan, 0.0
    deviation = math.sqrt(max(total_squares / num_classes**2 - (total / num_classes**2) ** 2, 0.0))
    mean = total / max(num_classes * (num_classes - 1), 1)  # off the diagonal
    return deviation, deviation / mean if mean > 0 else 0.0


def distance_variation(sdd_relative: float, num_classes: int) -> float:
    """The coefficient of variation of the distances between classes, without the diagonal.

    SDD counts the K zeros of the diagonal too, so that it is not 0 for classes that are all equally far apart: relative
    to the mean distance it is then ``sqrt(K - 1) / K``, 0.33 for 8 classes and 0.03 for 1,000. With the relative SDD r,
    ``sqrt(r^2 K / (K - 1) - 1 / K)`` corrects this.

    Args:
        sdd_relative: SDD over the mean off-diagonal distance, of :func:`sdd`.
        num_classes: K, the classes that it was measured on: those that D knows.

    Returns:
        The standard deviation of the K (K - 1) distances over their mean; 0 for fewer than two classes.

    >>> distance_variation(0.5, 2)  # one distance
    0.0
    >>> round(distance_variation(0.25 * 6**0.5, 4), 6)  # distances 1, 1, 1, 3, 3, 3: mean 2, deviation 1
    0.5
    """
    if num_classes < 2:
        return 0.0
    return math.sqrt(max(sdd_relative**2 * num_classes / (num_classes - 1) - 1 / num_classes, 0.0))


def are_hardly_related(sdd_relative: float, num_classes: int) -> bool:
    """Whether :func:`distance_variation` is below ``HARDLY_RELATED``; False for fewer than three classes.

    >>> are_hardly_related(0.0345, 1000), are_hardly_related(0.469, 8)
    (True, False)
    """
    return num_classes > 2 and distance_variation(sdd_relative, num_classes) < HARDLY_RELATED


def note_on_relatedness(
    sdd_relative: float, num_classes: int, *, omega: float, mu: float, regularizer_weight: float
) -> str | None:
    """The message for a run whose classes are hardly related, with what can be done; None if they are related."""
    if not are_hardly_related(sdd_relative, num_classes):
        return None
    variation = distance_variation(sdd_relative, num_classes)
    in_line = math.sqrt((num_classes - 2) / (2 * num_classes + 2))
    rewarded = "" if mu >= 0 else f"; mu={mu:g} also rewards those that come out near, and one nearer to 0 rewards less"
    return (
        f"SDD says that the {num_classes} classes are hardly related: the distances between them differ by "
        f"{100 * variation:.1f} % of their mean (as many classes in a line: {100 * in_line:.0f} %; this note: below "
        f"{100 * HARDLY_RELATED:.0f} %). D keeps only the ranks of the distances, and so makes large differences of "
        "these small ones. Do not expect more of the regularizer than of cross-entropy: on ImageNet, whose classes are "
        "hardly related, the paper saw neither gain nor harm (section 4.7). Compare with loss='xe' or a "
        f"regularizer_weight below {regularizer_weight:.3g}; an omega below {omega:g} makes all other classes cost "
        f"more alike{rewarded}. See docs/reading_d.md."
    )
