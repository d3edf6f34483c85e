"""What it costs to move mass to the class of a label, from a ground distance matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def ground_distance_cost(
    ground_distance: Tensor, *, omega: float, mu: float, known: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """The (K, K) cost ``D^omega + mu`` of Eq. 16.

    Args:
        ground_distance: (K, K) D.
        omega: power of D.
        mu: bias.
        known: (K,) bool; the rows and columns of the other classes cost 0: neither push nor reward. Default: a class
            whose distances are all 0 was never seen, unless all of D is 0.
        out: (K, K) of any floating dtype and device, where the cost is written; it is then computed in float64, some
            rows at a time.

    Returns:
        (K, K), dtype and device of ``ground_distance``, or ``out``.
    """
    if known is None:
        known = known_classes(ground_distance)
    if out is None:
        return (ground_distance.pow(omega) + mu) * known.outer(known)
    rows = max(2**21 // len(known), 1)  # 16 MB of float64 at a time
    for some in (slice(start, start + rows) for start in range(0, len(known), rows)):
        out[some] = (ground_distance[some].double().pow(omega) + mu) * known[some].outer(known)
    return out


def cost_by_label(labels: Tensor, cost: Tensor) -> Tensor:
    """(B, K) rows ``cost[:, k]``; a cost stored by columns (``matrix.T`` of a contiguous matrix) is read row by row."""
    if labels.dim() == 1:
        return cost.T[labels]
    with torch.autocast(cost.device.type, enabled=False):
        return labels.to(cost) @ cost.T


def known_classes(ground_distance: Tensor) -> Tensor:
    """(K,) bool: not those whose distances are all 0, unless all of D is 0."""
    seen = ground_distance.any(0) | ground_distance.any(1)
    return seen | ~seen.any()


def no_zero_between_classes(rows: Tensor, labels: Tensor) -> bool:
    """Whether only a class and itself are 0 apart; then none of D's rows can be all 0."""
    own = rows.gather(1, labels[:, None])
    return rows.numel() - rows.count_nonzero() == own.numel() - own.count_nonzero()
