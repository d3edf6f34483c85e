"""Accuracy of decisions between ordered classes, their agreement beyond chance, and the top-k error."""

from __future__ import annotations

import numpy as np

from .inputs import as_ground_distance, as_labels, as_scores, as_weights, as_whole_numbers, check_lengths


def within(
    predictions: np.ndarray, references: np.ndarray, *, tolerance: int = 0, sample_weight: np.ndarray | None = None
) -> float:
    """Share of samples whose predicted class is at most ``tolerance`` classes off.

    0 is the exact match AEM, 1 the within-one AEO (Hou et al. 2016, section 4.4).

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        tolerance: classes off that still count.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; a weight is negative, or all are 0.

    >>> within(np.array([0, 2, 5]), np.array([0, 1, 1]), tolerance=1)
    0.6666666666666666
    """
    (tolerance,) = as_whole_numbers(tolerance, "tolerance", 0)
    off, _ = _classes_off(predictions, references)
    return float(np.average(off <= tolerance, weights=as_weights(sample_weight, len(off))))


def mean_absolute_error(
    predictions: np.ndarray, references: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """Mean distance between predicted and true class, in classes.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A number of classes.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; a weight is negative, or all are 0.

    >>> mean_absolute_error(np.array([0, 2, 5]), np.array([0, 1, 1]))
    1.6666666666666667
    """
    off, _ = _classes_off(predictions, references)
    return float(np.average(off, weights=as_weights(sample_weight, len(off))))


def macro_mean_absolute_error(
    predictions: np.ndarray, references: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> float:
    """The mean absolute error of each true class, averaged over the classes that occur (Baccianella et al. 2009).

    A rare class counts as much as a frequent one.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A number of classes.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; a weight is negative, or all are 0.

    >>> macro_mean_absolute_error(np.array([0, 2, 5]), np.array([0, 1, 1]))  # class 0: 0, class 1: (1 + 4) / 2
    1.25
    """
    off, references = _classes_off(predictions, references)
    return float(np.mean(list(_per_class(off, references, sample_weight).values())))


def accuracy_per_class(
    predictions: np.ndarray, references: np.ndarray, *, sample_weight: np.ndarray | None = None
) -> dict[int, float]:
    """Share of exact matches among the samples of each true class (its recall).

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        From class index to fraction, for the classes that occur among ``references``.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; a weight is negative, or all are 0.

    >>> accuracy_per_class(np.array([0, 2, 1]), np.array([0, 1, 1]))
    {0: 1.0, 1: 0.5}
    """
    off, references = _classes_off(predictions, references)
    return _per_class(off == 0, references, sample_weight)


def confusion_matrix(predictions: np.ndarray, references: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class was taken for each.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        num_classes: K.

    Returns:
        (K, K) int64 counts: the row is the true class, the column the predicted one.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no index of K classes.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    predictions = as_labels(predictions, "predictions", num_classes)
    references = as_labels(references, "references", num_classes)
    check_lengths(predictions, references)
    cells = np.bincount(references * num_classes + predictions, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


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
    total = sample_weight.sum()
    shares_predicted = np.bincount(predictions, sample_weight) / total  # (rows,)
    shares_true = np.bincount(references, sample_weight) / total  # (columns,)
    expected = shares_predicted @ disagreement @ shares_true
    return float(1 - observed / expected) if expected > 0 else 0.0


def ranks_of_truth(scores: np.ndarray, references: np.ndarray) -> np.ndarray:
    """The place of the true class among all classes by falling score; 0 is the argmax.

    Among equal scores the class with the smaller index comes first, as ``argmax`` has it.

    Args:
        scores: (N, K) probabilities or logits.
        references: (N,) class indices.

    Returns:
        (N,) int64 in 0 .. K-1.

    Raises:
        ValueError: the lengths differ or are 0; a score is NaN; a label is no class.

    >>> ranks_of_truth(np.array([[0.5, 0.3, 0.2], [0.4, 0.4, 0.2]]), np.array([2, 1]))
    array([2, 1])
    """
    scores = as_scores(scores, "predictions")
    references = as_labels(references, "references", scores.shape[1])
    check_lengths(scores, references)
    truth = np.take_along_axis(scores, references[:, None], axis=1)  # (N, 1)
    before = np.arange(scores.shape[1]) < references[:, None]  # (N, K)
    return ((scores > truth) | ((scores == truth) & before)).sum(1)


def top_k_error(ranks: np.ndarray, k: int = 1, *, sample_weight: np.ndarray | None = None) -> float:
    """Share of samples whose true class is not among the k likeliest (Hou et al. 2016, Table 5).

    Args:
        ranks: (N,) as :func:`ranks_of_truth` gives them.
        k: how many classes may be named, at least 1; with all K the error is 0.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: ``k`` is less than 1, or no whole number; a weight is negative, or all are 0.

    >>> top_k_error(np.array([0, 1, 6, 2]), k=2)
    0.5
    """
    (k,) = as_whole_numbers(k, "k", 1)
    return float(np.average(np.asarray(ranks) >= k, weights=as_weights(sample_weight, len(ranks))))


def _per_class(values: np.ndarray, references: np.ndarray, sample_weight: np.ndarray | None) -> dict[int, float]:
    """The mean of ``values`` over each class that has weight."""
    classes, positions = np.unique(references, return_inverse=True)
    weights = as_weights(sample_weight, len(values))
    totals = np.bincount(positions, weights)  # (classes,)
    sums = np.bincount(positions, weights * values)  # (classes,)
    return {int(k): float(s / n) for k, s, n in zip(classes, sums, totals, strict=True) if n > 0}


def _classes_off(predictions: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    predictions, references = as_labels(predictions, "predictions"), as_labels(references, "references")
    check_lengths(predictions, references)
    return np.abs(predictions - references), references
