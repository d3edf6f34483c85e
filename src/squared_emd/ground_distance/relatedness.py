"""Whether the classes are related to different degrees at all, as their SDD says."""

from __future__ import annotations

import math

__all__ = ["HARDLY_RELATED", "are_hardly_related", "distance_variation", "note_on_relatedness"]

# Variation of the distances below which D, which keeps their ranks alone, makes large differences of small ones: of
# distances that spread as a normal distribution does, nine in ten lie within a quarter of their mean then. Classes in
# a line have 0.58 (8 of them) to 0.71 (many), independent points in 64 dimensions 0.09, in 512 dimensions 0.03;
# docs/reading_d.md has more.
HARDLY_RELATED = 0.15


def distance_variation(sdd_relative: float, num_classes: int) -> float:
    """How much the distances between classes differ: their standard deviation over their mean, without the diagonal.

    SDD counts the K zeros of the diagonal too (Hou et al. 2016, section 4.7), so that it is not 0 for classes that are
    all equally far apart: relative to the mean distance it is then ``sqrt(K - 1) / K``, 0.33 for 8 classes and 0.03 for
    1,000. With r for the relative SDD this is undone by ``sqrt(r^2 K / (K - 1) - 1 / K)``.

    Args:
        sdd_relative: SDD over the mean distance off the diagonal, of :func:`~squared_emd.sdd`; no unit.
        num_classes: K, the classes that it was measured on: those that D knows.

    Returns:
        The coefficient of variation of the K (K - 1) distances; 0 for fewer than two classes.

    >>> distance_variation(0.5, 2)  # one distance
    0.0
    >>> round(distance_variation(0.25 * 6**0.5, 4), 6)  # distances 1, 1, 1, 3, 3, 3: mean 2, deviation 1
    0.5
    """
    if num_classes < 2:
        return 0.0
    return math.sqrt(max(sdd_relative**2 * num_classes / (num_classes - 1) - 1 / num_classes, 0.0))


def are_hardly_related(sdd_relative: float, num_classes: int) -> bool:
    """Whether the classes are all about equally far apart, so that D says next to nothing about them.

    It says only how much the distances differ, not whether they differ for a reason: features that a network has not
    learned yet may well differ by chance.

    Args:
        sdd_relative: SDD over the mean distance off the diagonal.
        num_classes: K, the classes that it was measured on.

    Returns:
        Whether :func:`distance_variation` is below ``HARDLY_RELATED``; False for fewer than three classes, which have
        no two distances to compare.

    >>> are_hardly_related(0.0345, 1000), are_hardly_related(0.469, 8)
    (True, False)
    """
    return num_classes > 2 and distance_variation(sdd_relative, num_classes) < HARDLY_RELATED


def note_on_relatedness(
    sdd_relative: float, num_classes: int, *, omega: float, mu: float, regularizer_weight: float
) -> str | None:
    """What a run is to say where its classes are hardly related, and what can be done.

    Args:
        sdd_relative: SDD over the mean distance off the diagonal.
        num_classes: K, the classes that it was measured on.
        omega: the power of D in the regulariser (Hou et al. 2016, Eq. 16).
        mu: what is added to it; negative: near classes are rewarded.
        regularizer_weight: lambda.

    Returns:
        A message of some sentences, or None where the classes are related.

    >>> note_on_relatedness(0.469, 8, omega=2, mu=-0.25, regularizer_weight=3.5)
    >>> print(note_on_relatedness(0.0345, 1000, omega=2, mu=-0.25, regularizer_weight=3.5).partition(":")[0])
    SDD says that the 1000 classes are hardly related
    """
    if not are_hardly_related(sdd_relative, num_classes):
        return None
    variation = distance_variation(sdd_relative, num_classes)
    in_line = math.sqrt((num_classes - 2) / (2 * num_classes + 2))
    rewarded = "" if mu >= 0 else f"; mu={mu:g} also rewards those that come out near, and one nearer to 0 rewards less"
    return (
        f"SDD says that the {num_classes} classes are hardly related: the distances between them differ by "
        f"{100 * variation:.1f} % of their mean (as many classes in a line: {100 * in_line:.0f} %; this note: below "
        f"{100 * HARDLY_RELATED:.0f} %). D keeps only the ranks of the distances, and so makes large differences of "
        "these small ones. Do not expect more of the regulariser than of cross-entropy: on ImageNet, whose classes are "
        "hardly related, the paper saw neither gain nor harm (section 4.7). Compare with loss='xe' or a "
        f"regularizer_weight below {regularizer_weight:.3g}; an omega below {omega:g} makes all other classes cost "
        f"more alike{rewarded}. See docs/reading_d.md."
    )
