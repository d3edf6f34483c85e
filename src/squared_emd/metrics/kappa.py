"""Agreement beyond chance on ordered classes."""

from __future__ import annotations

import numpy as np

from .inputs import as_ground_distance, as_labels, as_weights, check_lengths


def weighted_kappa(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    weights: str | None = None,
    ground_distance: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> float:
    """Cohen's weighted kappa: 1 - observed disagreement / disagreement expected by chance (Cohen 1968).

    A pair of classes (i, k) disagrees by ``(i - k)^2`` (quadratic), ``abs(i - k)`` (linear) or ``D[i, k]``. Class
    indices are positions: a class that nobody used still keeps its two neighbors apart.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        weights: ``"quadratic"`` (default) or ``"linear"``.
        ground_distance: (K, K) D, 0 on its diagonal, in place of ``weights``; ``D[i, k]`` for prediction i and
            reference k.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A number up to 1; 0 is chance. 0, too, where chance leaves nothing to disagree on, as when both sides are
        constant and equal: there kappa is 0/0.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; ``weights``, ``ground_distance`` or
            ``sample_weight`` is not as above, or the first two are both given.

    >>> weighted_kappa(np.array([0, 1, 2, 1]), np.array([0, 1, 2, 2]))  # observed 1/4, expected 20/16
    0.8
    """
    predictions, references = as_labels(predictions, "predictions"), as_labels(references, "references")
    check_lengths(predictions, references)
    if weights is not None and ground_distance is not None:
        raise ValueError("give weights or ground_distance, not both: each says how far two classes are apart.")
    weights = "quadratic" if weights is None else weights
    if weights not in ("linear", "quadratic"):
        raise ValueError(f'weights must be "quadratic" or "linear", got {weights!r}.')
    sample_weight = as_weights(sample_weight, len(references))
    rows, predictions = np.unique(predictions, return_inverse=True)  # the classes that occur
    columns, references = np.unique(references, return_inverse=True)
    if ground_distance is None:
        disagreement = np.abs(rows[:, None] - columns[None, :]).astype(np.float64)
        disagreement = disagreement**2 if weights == "quadratic" else disagreement
    else:
        ground_distance = as_ground_distance(ground_distance)
        if max(rows[-1], columns[-1]) >= len(ground_distance):
            raise ValueError(
                f"ground_distance must cover every class: it is for 0 .. {len(ground_distance) - 1}, "
                f"got class {max(rows[-1], columns[-1])}."
            )
        disagreement = ground_distance[np.ix_(rows, columns)]
    observed = np.average(disagreement[predictions, references], weights=sample_weight)
    shares = (np.bincount(side, sample_weight) / sample_weight.sum() for side in (predictions, references))
    expected = next(shares) @ disagreement @ next(shares)
    return float(1 - observed / expected) if expected > 0 else 0.0
