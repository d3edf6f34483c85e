"""The losses of Hou, Yu & Samaras (2016) as pure functions of logits, labels and a ground distance."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "cross_entropy_loss",
    "exact_emd_loss",
    "ground_distance_cost",
    "regression_loss",
    "self_guided_loss",
    "self_guided_regularizer",
    "squared_emd_loss",
]


def squared_emd_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    p: float = 2,
    spacing: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared Earth Mover's Distance between the softmax of ``logits`` and the target, for ordered classes.

    ``sum_i spacing_i * abs(CDF_i(p) - CDF_i(t)) ** p``: with the default ``p=2`` and unit gaps this is Eq. 10 of Hou et
    al. 2016, without 1/K and without a root; ``p=1`` is the plain EMD on a line (Eq. 9). The gradient in the logits is
    the closed form of Eq. 11 through the softmax; second derivatives are supported. None flows into ``labels`` or
    ``spacing``.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, at least 1.
        spacing: (K-1,) non-negative gaps between neighbouring classes, in any unit. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing`` or ``reduction`` are not as above; also labels out of range or rows that
            do not sum to 1 (checked where it costs no synchronisation: on the CPU).

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> squared_emd_loss(logits, torch.tensor([0]))  # CDF (0.5, 0.75), target (1, 1): 0.25 + 0.0625
    tensor(0.3125)
    """
    labels = _check(logits, labels, reduction)
    if not 1 <= p < float("inf"):
        raise ValueError(f"p must be at least 1 and finite, got {p}. Use p=2 for Eq. 10 or p=1 for the plain EMD.")
    if spacing is not None:
        spacing = torch.as_tensor(spacing, dtype=accurate(logits).dtype, device=logits.device)
        if spacing.shape != (logits.shape[1] - 1,):
            raise ValueError(
                f"spacing must hold the K-1 = {logits.shape[1] - 1} gaps between neighbouring classes, "
                f"got shape {tuple(spacing.shape)}."
            )
        if _may_look_at(spacing) and not (spacing.isfinite().all() and (spacing >= 0).all()):
            raise ValueError(f"spacing must be finite and not negative, got {spacing.tolist()}.")
    losses, _ = _SquaredEMD.apply(logits, labels, float(p), spacing)
    return _reduce(losses, reduction)


def exact_emd_loss(logits: Tensor, labels: Tensor, ground_distance: Tensor, *, reduction: str = "mean") -> Tensor:
    """Exact EMD between the softmax of ``logits`` and a single class, under any ground distance.

    ``sum_i p_i D[i, k]`` (Hou et al. 2016, Eq. 14). For (B, K) targets it is the expectation of that over the target,
    to which a one-hot row reduces it.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        ground_distance: (K, K) D, in any unit; ``D[i, k]`` is the cost of moving mass from class i to class k.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of ``ground_distance``.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0, 4.0], [1.0, 0.0, 2.0], [4.0, 2.0, 0.0]])
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> exact_emd_loss(logits, torch.tensor([0]), ground_distance)  # 0.25 * 1 + 0.25 * 4
    tensor(1.2500)
    """
    labels = _check(logits, labels, reduction, ground_distance)
    probabilities = accurate(logits).softmax(-1)
    cost = _cost_of_labels(labels, ground_distance.to(probabilities))  # (B, K)
    return _reduce((probabilities * cost).sum(-1), reduction)


def self_guided_loss(
    logits: Tensor,
    labels: Tensor,
    ground_distance: Tensor,
    *,
    weight: float | Tensor,
    omega: float,
    mu: float,
    true_class_cost: float | None = None,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy plus the squared EMD regulariser under a learned ground distance.

    ``-log(p_k + eps) + weight * sum_i p_i^2 (D[i, k]^omega + mu)`` (Hou et al. 2016, Eq. 16; eps: section 4.1).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1 (then the expectation).
        ground_distance: (K, K) D with entries in [0, 1] and a zero diagonal (Eq. 13).
        weight: lambda, the weight of the regulariser.
        omega: power of D; 1 is XEMD1, 2 is XEMD2.
        mu: bias, negative so that classes near the true one are rewarded: -0.5 for XEMD1, -0.25 for XEMD2.
        true_class_cost: if given (not in the paper), the true class contributes ``true_class_cost * (1 - p_k)^2`` in
            place of ``mu * p_k^2``.
        eps: added to the probabilities inside the logarithm.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``. It can be negative: the regulariser rewards.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> ground_distance = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> logits = torch.zeros(1, 2)  # p = (1/2, 1/2): log 2 + 2 * (1/4 * (-1/4) + 1/4 * (1 - 1/4))
    >>> self_guided_loss(logits, torch.tensor([0]), ground_distance, weight=2, omega=2, mu=-0.25, eps=0)
    tensor(0.9431)
    """
    labels = _check(logits, labels, reduction, ground_distance)
    logits = accurate(logits)  # once: the gradients of both terms are added before they are rounded
    cost = ground_distance_cost(ground_distance.to(logits), omega=omega, mu=mu)
    entropy = cross_entropy_loss(logits, labels, eps=eps, reduction="none")
    regularizer = self_guided_regularizer(logits, labels, cost, true_class_cost=true_class_cost, reduction="none")
    return _reduce(entropy + weight * regularizer, reduction)


def ground_distance_cost(ground_distance: Tensor, *, omega: float, mu: float, known: Tensor | None = None) -> Tensor:
    """The (K, K) cost ``D^omega + mu`` of Eq. 16.

    Args:
        ground_distance: (K, K) D.
        omega: power of D.
        mu: bias.
        known: (K,) bool; the rows and columns of the other classes cost 0: neither push nor reward. Default: a class
            whose distances are all 0 was never seen, unless all of D is 0.

    Returns:
        (K, K), dtype and device of ``ground_distance``.
    """
    if known is None:
        known = (ground_distance != 0).any(0)
        known = known | ~known.any()
    return (ground_distance.pow(omega) + mu) * known.outer(known)


def self_guided_regularizer(
    logits: Tensor,
    labels: Tensor,
    cost: Tensor,
    *,
    true_class_cost: float | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The regulariser of Eq. 16 without its weight: ``sum_i p_i^2 cost[i, k]``.

    Args:
        logits: (B, K) scores.
        labels: (B,) class indices, or (B, K) target distributions (then the expectation).
        cost: (K, K) as :func:`ground_distance_cost` gives it.
        true_class_cost: as in :func:`self_guided_loss`.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> self_guided_regularizer(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([[-0.25, 0.75], [0.75, -0.25]]))
    tensor(0.1250)
    """
    labels = _check(logits, labels, reduction, cost)
    probabilities = accurate(logits).softmax(-1)
    cost = cost.to(probabilities)
    cost_of_labels = _cost_of_labels(labels, cost)  # (B, K)
    if true_class_cost is None:
        return _reduce((probabilities.square() * cost_of_labels).sum(-1), reduction)
    # The true class leaves the sum and comes back as true_class_cost * (1 - p_k)^2.
    if labels.dim() == 1:
        cost_of_labels = cost_of_labels.scatter(1, labels[:, None], 0)
        miss = (1 - probabilities.gather(1, labels[:, None])).square().squeeze(1)  # (B,)
    else:
        labels = labels.to(probabilities)
        cost_of_labels = cost_of_labels - labels * cost.diagonal()
        miss = (labels * (1 - probabilities).square()).sum(-1)  # (B,)
    return _reduce((probabilities.square() * cost_of_labels).sum(-1) + true_class_cost * miss, reduction)


def cross_entropy_loss(logits: Tensor, labels: Tensor, *, eps: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross-entropy ``-sum_i t_i log(p_i + eps)`` (Hou et al. 2016, section 2.1; eps: section 4.1).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        eps: added to the probabilities inside the logarithm; 0 is ``torch.nn.functional.cross_entropy``.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: shapes or ``reduction`` are not as above; labels out of range or rows that do not sum to 1 (CPU).

    >>> cross_entropy_loss(torch.zeros(1, 4), torch.tensor([2]))  # log 4
    tensor(1.3863)
    """
    labels = _check(logits, labels, reduction)
    logits = accurate(logits)
    if labels.dim() == 2:
        labels = labels.to(logits)
    if eps == 0:
        return _reduce(F.cross_entropy(logits, labels, reduction="none"), reduction)
    log_probabilities = logits.log_softmax(-1)
    if labels.dim() == 1:
        log_probabilities = log_probabilities.gather(1, labels[:, None])  # (B, 1)
    # log(p + eps) without leaving the log domain
    logs = torch.logaddexp(log_probabilities, torch.full_like(log_probabilities, eps).log())
    return _reduce(-logs.squeeze(1) if labels.dim() == 1 else -(labels * logs).sum(-1), reduction)


def regression_loss(predictions: Tensor, labels: Tensor, *, reduction: str = "mean") -> Tensor:
    """Squared error of one linear output against the class index or a real-valued score (REG, section 4.3).

    Args:
        predictions: (B,) or (B, 1) outputs of the network, in classes (or in the unit of the score).
        labels: (B,) class indices or scores, or (B, K) target distributions (then the expectation over them).
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``.

    Raises:
        ValueError: there is not one output per sample, or ``labels`` has another shape.

    >>> regression_loss(torch.tensor([[1.5], [2.0]]), torch.tensor([1, 4]), reduction="none")
    tensor([0.2500, 4.0000])
    """
    _check_reduction(reduction)
    if predictions.dim() not in (1, 2) or predictions.numel() != predictions.shape[0]:
        raise ValueError(
            f"regression needs one output per sample, (B,) or (B, 1), got shape {tuple(predictions.shape)}. "
            "Load the model with num_labels=1."
        )
    predictions = accurate(predictions).reshape(-1)  # (B,)
    if labels.dim() not in (1, 2) or len(labels) != len(predictions):
        raise ValueError(
            f"labels must be ({len(predictions)},) indices or scores, or ({len(predictions)}, K) distributions, "
            f"got shape {tuple(labels.shape)}."
        )
    labels = labels.to(predictions)
    if labels.dim() == 1:
        return _reduce((predictions - labels).square(), reduction)
    classes = torch.arange(labels.shape[1], device=labels.device)
    return _reduce((labels * (predictions[:, None] - classes).square()).sum(-1), reduction)


class _SquaredEMD(torch.autograd.Function):
    """Per-sample loss; for backward it keeps the probabilities, as cross-entropy does, and the labels."""

    @staticmethod
    def forward(logits: Tensor, labels: Tensor, p: float, spacing: Tensor | None) -> tuple[Tensor, Tensor]:
        probabilities = accurate(logits).softmax(-1)  # (B, K)
        powers = _gaps(probabilities, labels).abs().pow(p)
        return (powers if spacing is None else powers * spacing).sum(-1), probabilities  # (B,) Eq. 9 and 10

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # noqa: ANN001
        logits, labels, ctx.p, spacing = inputs
        ctx.dtype = logits.dtype
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1], labels, spacing)

    @staticmethod
    def backward(ctx, grad_losses: Tensor | None, grad_probabilities: Tensor | None) -> tuple:  # noqa: ANN001
        # The probabilities are an output so that a second derivative can flow through them; the first has none there.
        probabilities, labels, spacing = ctx.saved_tensors
        total = grad_probabilities
        if grad_losses is not None:
            slopes = _slopes(_gaps(probabilities, labels), ctx.p)
            slopes = slopes if spacing is None else slopes * spacing
            # Eq. 11: the coefficient of p'_j is the sum of the slopes from j on
            coefficients = F.pad(slopes.flip(-1).cumsum(-1).flip(-1), (0, 1))  # (B, K)
            coefficients = coefficients * grad_losses[:, None]
            total = coefficients if total is None else total + coefficients
        if total is None:
            return None, None, None, None
        mean = (probabilities * total).sum(-1, keepdim=True)  # (B, 1) the softmax's Jacobian
        return (probabilities * (total - mean)).to(ctx.dtype), None, None, None


def _gaps(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(B, K-1) CDF(p) - CDF(t); the K-th is 0."""
    if labels.dim() == 1:
        difference = probabilities.scatter_add(1, labels[:, None], -torch.ones_like(probabilities[:, :1]))
    else:
        difference = probabilities - labels.to(probabilities)
    return difference[:, :-1].cumsum(-1)


def _slopes(gaps: Tensor, p: float) -> Tensor:
    """The derivative of ``abs(gaps) ** p``; at a gap of 0 it is 0, and so is its own derivative for p < 2."""
    if p == 2:
        return 2 * gaps
    if p == 1:
        return gaps.sign()
    sizes = torch.where(gaps == 0, 1, gaps.abs())
    return p * sizes.pow(p - 1) * gaps.sign()


def _cost_of_labels(labels: Tensor, cost: Tensor) -> Tensor:
    """(B, K) rows ``cost[:, k]``; a cost stored by columns (``matrix.T`` of a contiguous matrix) is read row by row."""
    if labels.dim() == 1:
        return cost.T[labels]
    with torch.autocast(cost.device.type, enabled=False):
        return labels.to(cost) @ cost.T


def accurate(logits: Tensor) -> Tensor:
    """Half precision as float32; what is more accurate stays."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[reduction]()


def _may_look_at(tensor: Tensor) -> bool:
    """Whether values can be read without stopping a GPU or breaking a compiled graph."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f'reduction must be "mean", "sum" or "none", got {reduction!r}.')


def _check(logits: Tensor, labels: Tensor, reduction: str, matrix: Tensor | None = None) -> Tensor:
    """The labels, as int64 where they are indices, once everything is found to fit."""
    _check_reduction(reduction)
    if logits.dim() != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be (B, K) floating point, got {tuple(logits.shape)} {logits.dtype}.")
    batch, num_classes = logits.shape
    if batch == 0:
        raise ValueError("the batch is empty: a loss needs at least one sample.")
    if matrix is not None and matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"the ground distance must be (K, K) = ({num_classes}, {num_classes}) like the logits' classes, "
            f"got shape {tuple(matrix.shape)}."
        )
    return check_labels(labels, batch, num_classes)


def check_labels(labels: Tensor, batch: int, num_classes: int) -> Tensor:
    """The labels, as int64 where they are indices, once they are found to fit the classes.

    Args:
        labels: (B,) class indices, or (B, K) target distributions.
        batch: B.
        num_classes: K.

    Returns:
        (B,) int64, or (B, K) as it came.

    Raises:
        ValueError: the shape is neither; a label is out of range or a row no distribution (read on the CPU only).
    """
    hard = labels.shape == (batch,) and not labels.is_floating_point()
    soft = labels.shape == (batch, num_classes) and labels.is_floating_point()
    if not hard and not soft:
        raise ValueError(
            f"labels must be ({batch},) class indices or ({batch}, {num_classes}) floating point distributions, "
            f"got {tuple(labels.shape)} {labels.dtype}."
        )
    if hard:
        labels = labels.long()
    if not _may_look_at(labels):
        return labels
    if hard and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; "
            f"got {int(labels.min())} .. {int(labels.max())}."
        )
    if soft:
        sums = labels.sum(-1, dtype=torch.float64)
        if not (labels.min() >= 0 and (sums - 1).abs().max() <= 1e-2):
            raise ValueError(
                "each row of soft labels must be a distribution: no negative entry, sum 1; "
                f"got entries from {labels.min():.4g} and sums {sums.min():.4g} .. {sums.max():.4g}."
            )
    return labels
