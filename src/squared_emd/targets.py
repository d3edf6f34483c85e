"""What a label becomes: soft labels from votes, label smoothing towards near classes, and class weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import check_labels

__all__ = ["class_weights_from_counts", "smooth_labels", "smoothing_kernel", "soft_labels"]


def soft_labels(votes: Tensor | Sequence[Sequence[float]], *, num_classes: int | None = None) -> Tensor:
    """Target distributions from votes.

    Args:
        votes: (N, K) votes for each class (counts, or any shares), none negative; or with ``num_classes`` N lists of
            the classes that the annotators of a sample gave, in any number.
        num_classes: K, where ``votes`` are lists of class indices.

    Returns:
        (N, K) float32 rows that sum to 1.

    Raises:
        ValueError: a sample has no vote, or one that is negative, not finite or no class.

    >>> soft_labels([[3, 1, 0]])
    tensor([[0.7500, 0.2500, 0.0000]])
    >>> soft_labels([[0, 0, 2], [1]], num_classes=3)
    tensor([[0.6667, 0.0000, 0.3333],
            [0.0000, 1.0000, 0.0000]])
    """
    if num_classes is None:
        try:
            counts = torch.as_tensor(votes).double()
        except (TypeError, ValueError) as error:
            raise ValueError(
                "votes must be (N, K) numbers; for lists of different lengths, of the classes that annotators gave, "
                "say num_classes."
            ) from error
    else:
        counts = torch.zeros(len(votes), num_classes, dtype=torch.float64)
        for row, given in enumerate(votes):
            classes = torch.as_tensor(given).reshape(-1)
            wrong = (classes < 0) | (classes >= num_classes) | (classes != classes.long())
            if wrong.any():
                raise ValueError(
                    f"the votes of a sample must be classes in 0 .. {num_classes - 1}; sample {row} has "
                    f"{classes[wrong][0].item()}. Number the classes from 0; num_classes says how many "
                    "there are."
                )
            counts[row] = torch.bincount(classes.long(), minlength=num_classes)
    if counts.dim() != 2:
        raise ValueError(f"votes must be (N, K), got shape {tuple(counts.shape)}.")
    sums = counts.sum(1, keepdim=True)
    wrong = ~(counts.isfinite() & (counts >= 0)).all(1) | ~(sums.squeeze(1) > 0)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"each sample must have at least one vote, and none negative; sample {row} has {counts[row].tolist()}. "
            "Leave out samples without a vote."
        )
    return (counts / sums).float()


def smoothing_kernel(ground_distance: Tensor, temperature: float, *, known: Tensor | None = None) -> Tensor:
    """The share that label smoothing moves from each class to each other: near classes get more.

    ``softmax_j(-D[k, j] / (temperature * mean D))`` (Diaz & Marathe 2019, with D as the metric), where the mean is over
    different classes. At a high temperature all get the same, as in plain label smoothing.

    Args:
        ground_distance: (K, K) D, in any unit.
        temperature: greater than 0; in the mean distance between classes.
        known: (K,) bool; a class that D does not know is at the mean distance from all others. Default: all.

    Returns:
        (K, K) float32 rows that sum to 1.

    Raises:
        ValueError: ``temperature`` is not as above.

    >>> smoothing_kernel(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 1 / torch.tensor(3.0).log().item())
    tensor([[0.7500, 0.2500],
            [0.2500, 0.7500]])
    """
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be greater than 0 and finite, got {temperature}.")
    num_classes = len(ground_distance)
    distances = ground_distance.float()
    count = num_classes if known is None else int(known.sum())
    mean = distances.sum() / max(count * (count - 1), 1)
    mean = torch.where(mean > 0, mean, 1)
    if known is not None:
        distances = torch.where(known[:, None] & known, distances, mean)
        distances = distances.masked_fill(torch.eye(num_classes, dtype=torch.bool, device=distances.device), 0)
    return (-distances / (temperature * mean)).softmax(1)


def smooth_labels(
    labels: Tensor, ground_distance: Tensor, *, share: float, temperature: float = 1.0, known: Tensor | None = None
) -> Tensor:
    """Labels of which a share is spread over the classes, near ones first.

    ``(1 - share) * t + share * t S`` with ``S_kj = softmax_j(-D[k, j] / (temperature * mean D))``, the mean over
    different classes (Diaz & Marathe 2019, with D as the metric). At a high temperature all classes get the same, as in
    plain label smoothing. Not in the paper.

    Args:
        labels: (B,) class indices, or (B, K) target distributions.
        ground_distance: (K, K) D, in any unit.
        share: of the mass, in [0, 1]; 1 gives the soft labels of Diaz & Marathe (2019).
        temperature: greater than 0; the lower, the nearer the mass stays.
        known: (K,) bool, the classes that D knows; others are at the mean distance from all. Default: all.

    Returns:
        (B, K) float32 rows that sum to 1.

    Raises:
        ValueError: ``labels``, ``share`` or ``temperature`` are not as above.

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> smooth_labels(torch.tensor([0]), ground_distance, share=0.4, temperature=1 / torch.tensor(3.0).log().item())
    tensor([[0.9000, 0.1000]])
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in 0 .. 1, got {share}.")
    labels = check_labels(labels, len(labels), len(ground_distance))
    return spread(labels, smoothing_kernel(ground_distance, temperature, known=known), share)


def spread(labels: Tensor, kernel: Tensor, share: float) -> Tensor:
    """(B, K) labels of which a share is spread by the (K, K) rows of a kernel, in its dtype and on its device."""
    labels = labels.to(kernel.device)
    if labels.dim() == 1:
        given, spread_out = F.one_hot(labels.long(), len(kernel)).to(kernel), kernel[labels.long()]
    else:
        given = labels.to(kernel)
        with torch.autocast(kernel.device.type, enabled=False):
            spread_out = given @ kernel
    return (1 - share) * given + share * spread_out


def class_weights_from_counts(
    counts: Sequence[float] | Tensor, scheme: str = "balanced", *, beta: float = 0.999
) -> Tensor:
    """Weights that make up for rare classes; the mean over the samples that were counted is 1.

    ``"balanced"``: ``w_k = N / (K n_k)``, so that every class weighs as much as any other. ``"effective"``: ``w_k``
    proportional to ``(1 - beta) / (1 - beta^n_k)``, one over the effective number of samples (Cui et al. 2019, Eq. 2):
    the nearer ``beta`` is to 1, the nearer to balanced; at 0 all weigh 1. Because the mean is 1, a learning rate chosen
    without weights still fits.

    Args:
        counts: (K,) samples of each class, or sums of their soft labels; none negative.
        scheme: ``"balanced"`` or ``"effective"``.
        beta: of ``"effective"``, in [0, 1).

    Returns:
        (K,) float64. A class without samples weighs 1.

    Raises:
        ValueError: ``counts``, ``scheme`` or ``beta`` are not as above.

    >>> class_weights_from_counts([1, 3])  # 4 samples: each class weighs 2 in all
    tensor([2.0000, 0.6667], dtype=torch.float64)
    """
    counts = torch.as_tensor(counts, dtype=torch.float64)
    if counts.dim() != 1 or not (counts.isfinite().all() and (counts >= 0).all() and counts.any()):
        raise ValueError(f"counts must be (K,) numbers of samples, none negative and not all 0; got {counts.tolist()}.")
    if scheme not in ("balanced", "effective"):
        raise ValueError(f'scheme must be "balanced" or "effective", got {scheme!r}.')
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be at least 0 and less than 1, got {beta}. Cui et al. try 0.9 to 0.9999.")
    seen = counts > 0
    present = torch.where(seen, counts, 1)
    weights = 1 / present if scheme == "balanced" else (1 - beta) / (1 - beta**present)
    weights = weights * counts.sum() / (weights * counts).sum()
    return torch.where(seen, weights, 1)
