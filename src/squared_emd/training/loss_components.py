"""The loss that the arguments name, as components per sample, and the cost that its regularizer has of a D."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ground_distance.learned import MAX_CLASSES_IN_FLOAT64
from ..losses import (
    cross_entropy_loss,
    energy_distance_loss,
    entropic_wasserstein_loss,
    ground_distance_cost,
    regression_loss,
    self_guided_regularizer,
)
from .arguments import EMDTrainingArguments
from .geometry import Geometry

__all__ = ["cost_of", "loss_components", "regularizer_of"]


def loss_components(
    args: EMDTrainingArguments,
    geometry: Geometry,
    logits: Tensor,
    labels: Tensor,
    *,
    cost: Tensor | None,
    weight: float | None,
) -> dict[str, Tensor]:
    """The components by name, each (B,), before class weights.

    Args:
        args: of the run.
        geometry: where the classes of the loss `emd` lie.
        logits: (B, K) scores; (B, 1) or (B,) outputs for `reg`.
        labels: (B,) class indices (or scores for `reg`), or (B, K) target distributions.
        cost: (K, K) as :func:`cost_of` gives it, where the loss has one.
        weight: lambda; None or 0: a self-guided loss is cross-entropy alone.
    """
    if args.loss == "reg":
        return {"mse": regression_loss(logits, labels, reduction="none")}
    if args.loss == "emd":
        return {"emd": geometry.loss(logits, labels)}
    if args.loss == "a-emd":
        options = {"strength": args.entropic_strength, "iterations": args.sinkhorn_iterations}
        return {"emd": entropic_wasserstein_loss(logits, labels, cost.T, **options, reduction="none")}
    if not weight:
        return {"ce": cross_entropy_loss(logits, labels, reduction="none")}
    entropy = cross_entropy_loss(logits, labels, eps=1e-6, reduction="none")  # eps: section 4.1
    return {"ce": entropy, "emd": weight * regularizer_of(args, logits, labels, cost)}  # Eq. 16


def regularizer_of(args: EMDTrainingArguments, logits: Tensor, labels: Tensor, cost: Tensor) -> Tensor:
    """(B,) the regularizer of a self-guided loss, before lambda."""
    if args.loss == "xemd":
        return energy_distance_loss(logits, labels, cost, reduction="none")
    # D is symmetric: transposed, the columns of the labels are contiguous rows.
    return self_guided_regularizer(logits, labels, cost.T, true_class_cost=args.true_class_cost, reduction="none")


def cost_of(
    args: EMDTrainingArguments, ground_distance: Tensor, known: Tensor, *, earlier: Tensor | None = None
) -> Tensor:
    """What the loss has of D: ``D^omega + mu`` (Eq. 16); D itself for `a-emd` and `xemd`.

    Args:
        args: of the run.
        ground_distance: (K, K) D.
        known: (K,) bool, the classes that D knows, on the device of the loss.
        earlier: (K, K) the cost of the D before, which one of many classes is written over.

    Returns:
        (K, K) float32 on the device of `known`.
    """
    if args.loss in ("a-emd", "xemd"):
        cost = ground_distance.to(known.device, torch.float32)
        if args.loss == "xemd" and not known.all():  # The mean distance stands for unknown ones.
            cost = torch.where(known.outer(known), cost, 1).fill_diagonal_(0)
        return cost
    omega, mu = args.self_guided_parameters()
    if earlier is None or len(ground_distance) <= MAX_CLASSES_IN_FLOAT64:
        earlier = torch.empty(ground_distance.shape, dtype=torch.float32, device=known.device)
    known = known.to(ground_distance.device)
    return ground_distance_cost(ground_distance, omega=omega, mu=mu, known=known, out=earlier)
