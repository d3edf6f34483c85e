"""The baselines of the paper: cross-entropy and regression (Hou et al. 2016, sections 2.1 and 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor

from .inputs import check_inputs, check_number, upcast_to_float32, values_are_checkable
from .reduction import reduce_losses


def cross_entropy_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    eps: float = 0.0,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy ``-sum_i t_i log(p_i + eps)`` (Hou et al. 2016, section 2.1; eps: section 4.1).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        eps: added to the probabilities inside the logarithm; 0 gives ``torch.nn.functional.cross_entropy``.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: shapes, ``eps``, ``class_weights`` or ``reduction`` are not as above; labels are out of range or
            rows do not sum to 1 (CPU).

    >>> cross_entropy_loss(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """
    check_number("eps", eps, least=0)
    labels = check_inputs(logits, labels)
    logits = upcast_to_float32(logits)
    log_p = logits.log_softmax(-1)  # (B, K)
    targets = torch.ones_like(logits[:, :1]) if labels.dim() == 1 else labels.to(logits)  # (B, 1) or (B, K)
    if labels.dim() == 1:
        log_p = log_p.gather(1, labels[:, None])  # (B, 1)
    if eps == 0:
        logs = log_p.masked_fill((targets == 0) & (log_p == -torch.inf), 0)  # 0 log 0 = 0
    else:
        logs = torch.logaddexp(log_p, torch.full_like(log_p, eps).log())  # log(p + eps), stable for tiny p
    losses = -(targets * logs).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, logits.shape[1])


def regression_loss(predictions: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared error of one linear output against the class index or a real-valued score (REG, section 4.3).

    Args:
        predictions: (B,) or (B, 1) outputs of the network, in classes or in the unit of the score.
        labels: (B,) class indices or scores, or (B, K) target distributions (then the expectation over them).
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: there is not one output per sample, or ``labels`` has another shape, or is not finite (CPU).

    >>> regression_loss(torch.tensor([[1.5], [2.0]]), torch.tensor([1, 4]), reduction="none")
    tensor([0.2500, 4.0000])
    """
    if predictions.dim() not in (1, 2) or predictions.numel() != predictions.shape[0]:
        raise ValueError(
            f"regression needs one output per sample, (B,) or (B, 1), got shape {tuple(predictions.shape)}. "
            "Load the model with num_labels=1."
        )
    predictions = upcast_to_float32(predictions).reshape(-1)  # (B,)
    if labels.dim() not in (1, 2) or len(labels) != len(predictions):
        raise ValueError(
            f"labels must be ({len(predictions)},) indices or scores, or ({len(predictions)}, K) distributions, "
            f"got shape {tuple(labels.shape)}."
        )
    if values_are_checkable(labels) and not labels.isfinite().all():
        wrong = labels[~labels.isfinite()][0]
        raise ValueError(f"labels must be finite, got {wrong}. Leave out samples without a label.")
    labels = labels.reshape(-1) if labels.shape[1:] == (1,) else labels  # one score a sample is no distribution
    targets = labels.to(predictions)
    if labels.dim() == 1:
        losses = (predictions - targets).square()  # (B,)
    else:
        classes = torch.arange(labels.shape[1], device=labels.device)
        losses = (targets * (predictions[:, None] - classes).square()).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels)
