"""Weights of classes from how many samples they have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["class_weights_from_counts"]


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
