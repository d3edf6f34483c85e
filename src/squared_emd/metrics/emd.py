"""Earth Mover's Distances between predicted and true distributions."""

from __future__ import annotations

import numpy as np

from .inputs import as_distributions_of_pairs, as_ground_distance, as_reals, reduce_values


def squared_emd(
    probabilities: np.ndarray,
    references: np.ndarray,
    *,
    p: float = 2,
    spacing: np.ndarray | None = None,
    reduction: str = "mean",
) -> float | np.ndarray:
    """Squared EMD between predicted distributions and the truth, for ordered classes.

    ``sum_i spacing_i * abs(CDF_i(p) - CDF_i(t)) ** p``: Eq. 10 of Hou et al. 2016 with the default ``p=2`` and unit
    gaps, the plain EMD on a line (Eq. 9) with ``p=1``.

    Args:
        probabilities: (N, K) rows that sum to 1.
        references: (N,) class indices, or (N, K) distributions.
        p: order of the norm, at least 1.
        spacing: (K-1,) non-negative gaps between neighboring classes, not all 0, in any unit. Default: all 1.
        reduction: ``"mean"``, or ``"none"`` for one value a sample.

    Returns:
        The mean over the samples, or (N,).

    Raises:
        ValueError: the lengths differ or are 0; a row is no distribution, a label no class; ``p``, ``spacing`` or
            ``reduction`` is not as above.

    >>> squared_emd(np.array([[0.5, 0.25, 0.25]]), np.array([0]))  # CDF (0.5, 0.75), target (1, 1): 0.25 + 0.0625
    0.3125
    """
    probabilities, references = as_distributions_of_pairs(probabilities, references)
    if not (isinstance(p, (int, float, np.number)) and 1 <= p < np.inf):
        raise ValueError(
            f"p must be a number, at least 1 and finite, got {p!r}. Use p=2 for the squared EMD or p=1 for the EMD."
        )
    if references.ndim == 2:
        probabilities -= references
    else:
        probabilities[np.arange(len(references)), references] -= 1
    gaps = np.cumsum(probabilities, axis=1, out=probabilities)[:, :-1]  # (N, K-1) CDF(p) - CDF(t); the K-th is 0
    powers = np.square(gaps, out=gaps) if p == 2 else np.abs(gaps) ** p
    if spacing is None:
        values = powers.sum(1)  # (N,)
    else:
        spacing = as_reals(spacing, "spacing")
        if spacing.shape != gaps.shape[1:] or (spacing < 0).any() or (len(spacing) and not spacing.any()):
            raise ValueError(
                f"spacing must hold the K-1 = {gaps.shape[1]} gaps between neighboring classes, none negative "
                f"and not all 0; got {spacing.tolist()}."
            )
        with np.errstate(over="ignore"):
            values = powers @ spacing  # (N,)
        if not np.isfinite(values).all():
            raise ValueError(f"spacing is too large for float64: the EMD overflows; got {spacing.tolist()}.")
    return reduce_values(values, reduction)


def exact_emd(
    probabilities: np.ndarray, references: np.ndarray, ground_distance: np.ndarray, *, reduction: str = "mean"
) -> float | np.ndarray:
    """Exact EMD between predicted distributions and the truth, under any ground distance.

    For a label k it is ``sum_i p_i D[i, k]`` (Hou et al. 2016, Eq. 14). Two full distributions are a transport problem,
    which POT's ``ot.emd2`` solves, one sample after the other. (The loss ``exact_emd_loss`` takes the expectation of
    Eq. 14 there: an upper bound, with a gradient that costs nothing.)

    Args:
        probabilities: (N, K) rows that sum to 1.
        references: (N,) class indices, or (N, K) distributions.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        reduction: ``"mean"``, or ``"none"`` for one value a sample.

    Returns:
        The mean over the samples, or (N,), in the unit of ``ground_distance``.

    Raises:
        ValueError: the lengths differ or are 0; a row is no distribution, a label no class; ``ground_distance`` or
            ``reduction`` is not as above.
        ImportError: the references are distributions and POT is not installed.

    >>> ground_distance = np.array([[0, 1, 4], [1, 0, 2], [4, 2, 0]])
    >>> exact_emd(np.array([[0.5, 0.25, 0.25]]), np.array([0]), ground_distance)  # 0.25 * 1 + 0.25 * 4
    1.25
    """
    probabilities, references = as_distributions_of_pairs(probabilities, references)
    ground_distance = as_ground_distance(ground_distance, probabilities.shape[1])
    if references.ndim == 1:
        return reduce_values((probabilities * ground_distance.T[references]).sum(1), reduction)  # Eq. 14
    try:
        from ot import emd2
    except ImportError:
        raise ImportError(
            "the EMD between two full distributions under a ground distance needs POT, which is not installed: "
            'pip install "squared-emd[metrics]". '
            "Class indices as references, or p=1 with spacing for classes on a line, do without."
        ) from None
    values = [emd2(source, target, ground_distance) for source, target in zip(probabilities, references, strict=True)]
    return reduce_values(np.array(values, dtype=np.float64), reduction)


def ranked_probability_score(squared_emd: float, num_classes: int) -> float:
    """The ranked probability score (Epstein 1969; Murphy 1971): the squared EMD over its largest value, K - 1.

    Args:
        squared_emd: as :func:`squared_emd` gives it with its defaults.
        num_classes: K.

    Returns:
        A number in [0, 1]; 0 where there is one class, which cannot be missed.

    >>> ranked_probability_score(0.3125, 3)
    0.15625
    """
    return squared_emd / max(num_classes - 1, 1)
