"""From class probabilities (and D, class scores, or a calibration) to a class, a score, or an interval of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .losses import check_labels

__all__ = ["calibrate_intervals", "decode", "predict_intervals"]

RULES = ("argmax", "median", "expected", "min_distance")
_TIE = 1e-9  # Probabilities that differ by less are equal, but for rounding.
_ROUNDING = 1e-6  # Of sums of float32 probabilities, as a pipeline has them; the calibration may be of float64 ones.


def decode(
    probabilities: Tensor | np.ndarray,
    rule: str = "argmax",
    *,
    ground_distance: Tensor | np.ndarray | None = None,
    scores: Tensor | np.ndarray | None = None,
) -> Tensor | np.ndarray:
    """One decision a sample from its distribution over the classes.

    ``argmax``: the likeliest class. ``median``: the first class at which the cumulative probability reaches 1/2.
    ``expected``: ``sum_i p_i s_i`` (the expected score of Hou et al. 2016, section 4.6). ``min_distance``: the class
    with the least expected ground distance, ``argmin_j sum_i p_i D[i, j]``, among those that D knows: a class whose
    distances are all 0 was never seen in training.

    Args:
        probabilities: (B, K) rows that sum to 1 (not logits), a tensor or an array.
        rule: ``"argmax"``, ``"median"``, ``"expected"`` or ``"min_distance"``.
        ground_distance: (K, K) D, for ``"min_distance"``.
        scores: (K,) value of each class, for ``"expected"``; default: the class indices 0 .. K-1.

    Returns:
        (B,) class indices (int64), or (B,) expected scores for ``"expected"``; a tensor for a tensor, else an array.

    Raises:
        ValueError: an unknown rule, rows that are no distribution, or a D or scores that are missing, do not fit or
            are not finite.

    >>> decode(np.array([[0.4, 0.25, 0.35]]), "argmax"), decode(np.array([[0.4, 0.25, 0.35]]), "median")
    (array([0]), array([1]))
    >>> decode(np.array([[0.5, 0.0, 0.5]]), "expected", scores=np.array([1.0, 5.0, 10.0]))
    array([5.5])
    """
    if not isinstance(probabilities, Tensor):  # as_tensor would keep half precision and take no read-only array
        as_tensor = torch.tensor(np.asarray(probabilities, dtype=np.float64))
        return decode(as_tensor, rule, ground_distance=ground_distance, scores=scores).numpy()
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
    _check_distributions(probabilities)
    probabilities = probabilities.double()
    num_classes = probabilities.shape[1]
    if rule == "argmax":
        return probabilities.argmax(-1)
    if rule == "median":
        reached = probabilities.cumsum(-1) >= 0.5 - _TIE  # a tie such as (0.5, 0.5) goes to the first class
        return reached.int().argmax(-1)
    if rule == "expected":
        scores = torch.arange(num_classes) if scores is None else scores
        scores = torch.as_tensor(scores).to(probabilities)
        if scores.shape != (num_classes,):
            raise ValueError(f"scores must be ({num_classes},), one a class, got shape {tuple(scores.shape)}.")
        if not scores.isfinite().all():
            raise ValueError(f"scores must be finite, got {scores.tolist()}.")
        return probabilities @ scores
    if ground_distance is None:
        raise ValueError('rule "min_distance" needs ground_distance, the (K, K) matrix of the checkpoint\'s config.')
    ground_distance = torch.as_tensor(ground_distance).to(probabilities)
    if ground_distance.shape != (num_classes, num_classes):
        raise ValueError(
            f"ground_distance must be ({num_classes}, {num_classes}), got shape {tuple(ground_distance.shape)}."
        )
    invalid = ~(ground_distance.isfinite() & (ground_distance >= 0))  # (K, K)
    if invalid.any():
        i, j = invalid.nonzero()[0].tolist()
        raise ValueError(
            f"ground_distance must be finite and not negative; from class {i} to class {j} it is "
            f"{ground_distance[i, j]:g}."
        )
    expected = probabilities @ ground_distance  # (B, K)
    known = (ground_distance != 0).any(0)
    if known.any():  # a class that training never saw has a D of 0 to all others, which says nothing
        expected = expected.masked_fill(~known, torch.inf)
    return expected.argmin(-1)


def calibrate_intervals(
    probabilities: Tensor | np.ndarray, labels: Tensor | np.ndarray, *, coverage: float = 0.9
) -> dict[str, Any]:
    """How far :func:`predict_intervals` lets intervals grow so that they hold the true class with a chosen probability.

    Split conformal prediction with contiguous sets. The interval of a sample grows from its likeliest class, each time
    by the likelier of its two neighbors (the lower of two equal ones). The nonconformity score of a class is the
    probability of the interval just before that class joins it: 0 for the likeliest class (Romano et al. 2020, Eq. 4 to
    6, for an interval in place of the sorted classes and without randomization). The threshold is the smallest score
    ``q`` with

        ``sum_i sum_k t_ik [score_ik <= q] >= (n + 1) coverage``,

    where ``t_i`` is the label of sample i as a distribution: for class indices the ``ceil((n + 1) coverage)``-th
    smallest score of the n true classes, for soft labels the rule of conformal risk control (Angelopoulos et al. 2024,
    Eq. 4) for the share of a label that is left out.

    For a new sample that could be exchanged with these, the interval then holds the true class with a probability of at
    least ``coverage``, on average over calibration sets; for soft labels it holds that share of its label. It is at
    most ``1 / (n + 1)`` more where no scores are equal. More it is where the likeliest class alone is right that often,
    because no interval is empty.

    Args:
        probabilities: (N, K) rows that sum to 1 (not logits), a tensor or an array: of samples that were not trained
            on.
        labels: (N,) class indices, or (N, K) distributions.
        coverage: greater than 0 and less than 1.

    Returns:
        ``coverage``, ``threshold`` (a probability), ``num_classes`` and ``num_samples``: numbers that JSON can hold.

    Raises:
        ValueError: rows that are no distribution, labels that do not fit, a coverage that is not between 0 and 1, or
            fewer samples than ``coverage / (1 - coverage)``, which only intervals of all classes would be enough for.

    >>> probabilities = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.125, 0.75, 0.125]])
    >>> calibration = calibrate_intervals(probabilities, np.array([0, 1, 2]), coverage=0.5)  # scores 0, 0.5, 0.875
    >>> calibration["threshold"]  # the second of them: 4 * 0.5
    0.5
    """
    if not isinstance(coverage, Real) or not 0 < coverage < 1:
        raise ValueError(f"coverage must be a number greater than 0 and less than 1, got {coverage!r}.")
    scores = _growth_scores(_as_tensor(probabilities, "probabilities"))  # (N, K)
    num_samples, num_classes = scores.shape
    needed = (num_samples + 1) * coverage - _TIE
    if needed > num_samples:
        least = math.ceil(coverage / (1 - coverage) - _TIE)
        raise ValueError(
            f"a coverage of {coverage:g} needs at least {least} labeled samples, got {num_samples}; only intervals of "
            "all classes would be sure to have it. Give more samples, or ask for a smaller coverage."
        )
    labels = check_labels(_as_tensor(labels, "labels").cpu(), num_samples, num_classes).to(scores.device)
    if labels.dim() == 1:
        scores = scores.gather(1, labels[:, None])  # (N, 1)
        shares = torch.ones_like(scores)
    else:
        shares = labels.double() / labels.sum(1, keepdim=True, dtype=torch.float64)
    scores, order = scores.flatten().sort()
    reached = shares.flatten()[order].cumsum(0) >= needed - _TIE * num_samples
    return {
        "coverage": float(coverage),
        "threshold": scores[reached.int().argmax()].item(),
        "num_classes": num_classes,
        "num_samples": num_samples,
    }


def predict_intervals(
    probabilities: Tensor | np.ndarray, calibration: Mapping[str, Any]
) -> tuple[Tensor, Tensor] | tuple[np.ndarray, np.ndarray]:
    """For each sample the interval of classes that holds the true one with the probability of a calibration.

    It grows from the likeliest class as long as its probability is not greater than the calibrated threshold.

    Args:
        probabilities: (B, K) rows that sum to 1 (not logits), a tensor or an array.
        calibration: as :func:`calibrate_intervals` gives it.

    Returns:
        The lowest and the highest class of each interval, (B,) int64 each; tensors for a tensor, else arrays.

    Raises:
        ValueError: rows that are no distribution, or a calibration that is none, or one of another number of classes.

    >>> calibration = {"coverage": 0.5, "threshold": 0.5, "num_classes": 3, "num_samples": 3}
    >>> predict_intervals(np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), calibration)
    (array([0, 1]), array([1, 1]))
    """
    if not is_calibration(calibration):
        raise ValueError(
            "calibration must be what calibrate_intervals gives, with coverage, threshold, num_classes and "
            f"num_samples; got {calibration!r:.80}."
        )
    scores = _growth_scores(_as_tensor(probabilities, "probabilities"))
    if scores.shape[1] != calibration["num_classes"]:
        raise ValueError(
            f"the calibration is of {calibration['num_classes']} classes, and the probabilities are of "
            f"{scores.shape[1]}. Calibrate again with probabilities of this model."
        )
    inside = (scores <= calibration["threshold"] + _ROUNDING).int()  # (B, K)
    low, high = inside.argmax(1), scores.shape[1] - 1 - inside.flip(1).argmax(1)
    return (low, high) if isinstance(probabilities, Tensor) else (low.numpy(), high.numpy())


def is_calibration(value: Any) -> bool:
    """Whether a value is what :func:`calibrate_intervals` gives; it may have further entries."""
    if not isinstance(value, Mapping):
        return False
    shares = [value.get(name) for name in ("coverage", "threshold")]
    counts = [value.get(name) for name in ("num_classes", "num_samples")]
    are_shares = all(isinstance(share, Real) and not isinstance(share, bool) and 0 <= share <= 1 for share in shares)
    are_counts = all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in counts)
    return are_shares and are_counts


def _growth_scores(probabilities: Tensor) -> Tensor:
    """(B, K) float64: the probability of the interval that grows from the likeliest class before each class joins."""
    _check_distributions(probabilities)
    shares = probabilities.double()
    shares = shares / shares.sum(1, keepdim=True)
    num_classes = shares.shape[1]
    # A column of -1 on either side is never the likelier neighbor.
    padded = torch.nn.functional.pad(shares, (1, 1), value=-1.0)  # (B, K + 2)
    joining = padded[:, 1:-1].argmax(1, keepdim=True) + 1  # (B, 1), in padded
    below, above = joining - 1, joining + 1  # (B, 1)
    scores, mass = torch.zeros_like(padded), torch.zeros_like(shares[:, :1])
    for _ in range(num_classes):
        scores.scatter_(1, joining, mass)
        mass = (mass + padded.gather(1, joining)).clamp(max=1)
        goes_down = padded.gather(1, below) >= padded.gather(1, above.clamp(max=num_classes + 1))
        joining = torch.where(goes_down, below, above)
        below, above = below - goes_down.long(), above + (~goes_down).long()
        below, above = below.clamp(min=0), above.clamp(max=num_classes + 1)
    return scores[:, 1:-1]


def _as_tensor(values: Any, name: str) -> Tensor:
    """Numbers as a tensor; arrays are copied, because torch takes no read-only ones."""
    try:
        return values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, in a tensor or an array, got {values!r:.80}.") from error


def _check_distributions(probabilities: Tensor) -> None:
    if probabilities.dim() != 2 or probabilities.shape[1] == 0:
        raise ValueError(f"probabilities must be (B, K), got shape {tuple(probabilities.shape)}.")
    sums = probabilities.sum(-1, dtype=torch.float64)
    if not ((probabilities >= 0).all() and ((sums - 1).abs() <= 1e-2).all()):
        raise ValueError(
            "each row of probabilities must be a distribution (no negative entry, sum 1); "
            "apply softmax to logits first."
        )
