"""The squared EMD of classes on a line (Hou et al. 2016, Eq. 9 to 11), on a circle and in a tree."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import check_inputs, check_number, check_weights, mass_difference, upcast_to_float32
from .reduction import reduce_losses

if TYPE_CHECKING:
    from ..ground_distance.label_tree import LabelTree


def squared_emd_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    p: float = 2,
    spacing: Tensor | None = None,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Squared Earth Mover's Distance between the softmax of ``logits`` and the target, for ordered classes.

    ``sum_i spacing_i * abs(CDF_i(p) - CDF_i(t)) ** p``. With the default ``p=2`` and unit gaps this is Eq. 10 of Hou et
    al. 2016, without 1/K and without a root, and its gradient is Eq. 11; ``p=1`` is the plain EMD on a line (Eq. 9).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, at least 1.
        spacing: (K-1,) non-negative gaps between neighboring classes, not all 0, in any unit. Default: all 1.
        class_weights: (K,) non-negative weights, not all 0: each sample counts with that of its class, or with their
            mean over its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels are out of
            range or rows do not sum to 1 (checked on the CPU only, where it costs no synchronization).

    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> squared_emd_loss(logits, torch.tensor([0]))  # CDF (0.5, 0.75), target (1, 1): 0.25 + 0.0625
    tensor(0.3125)
    """
    _check_order(p)
    labels = check_inputs(logits, labels)
    num_classes = logits.shape[1]
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    gaps = mass_difference(probabilities, labels)[:, :-1].cumsum(-1)  # (B, K-1) CDF(p) - CDF(t); the K-th is 0
    powers = _power(gaps, p)  # (B, K-1) Eq. 9 and 10
    if spacing is not None:
        meaning = "the K-1 gaps between neighboring classes"
        powers = powers * check_weights("spacing", spacing, powers, num_classes - 1, meaning)
    return reduce_losses(powers.sum(-1), reduction, labels, class_weights, num_classes)


def circular_emd_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    p: int = 2,
    spacing: Tensor | None = None,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """EMD between the softmax of ``logits`` and the target, for classes on a circle.

    ``min_m sum_i spacing_i * abs(CDF_i(p) - CDF_i(t) - m) ** p``: the flow over each gap is known up to the flow m all
    the way round, and the best m counts. With ``p=1`` it is the exact EMD under the shorter way round (m is the
    weighted median; Werman et al. 1986); with ``p=2`` the counterpart of Eq. 10 of Hou et al. 2016 (m is the weighted
    mean).

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        p: order of the norm, 1 or 2.
        spacing: (K,) non-negative gaps from each class to the next, the last one from class K-1 to class 0, not all 0,
            in any unit. Default: all 1.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``; float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes, ``p``, ``spacing``, ``class_weights`` or ``reduction`` are not as above; labels are out of
            range or rows do not sum to 1 (CPU).

    >>> logits = torch.tensor([[1e-9, 0.5, 1e-9, 0.5]]).log()
    >>> circular_emd_loss(logits, torch.tensor([0]), p=1)  # both halves are one class away from class 0
    tensor(1.)
    """
    if p not in (1, 2):
        raise ValueError(f"p must be 1 (the EMD) or 2 (the squared EMD), got {p}.")
    labels = check_inputs(logits, labels)
    num_classes = logits.shape[1]
    probabilities = upcast_to_float32(logits).softmax(-1)  # (B, K)
    meaning = "the K gaps between neighbors on the circle, the last one from the last class to the first"
    spacing = probabilities.new_ones(num_classes) if spacing is None else spacing
    spacing = check_weights("spacing", spacing, probabilities, num_classes, meaning)  # (K,)
    flows = mass_difference(probabilities, labels).cumsum(-1)  # (B, K) over the gap after each class
    center = _weighted_mean if p == 2 else _weighted_median
    losses = (_power(flows - center(flows, spacing), p) * spacing).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, num_classes)


def tree_emd_loss(
    logits: Tensor,
    labels: Tensor,
    tree: LabelTree,
    *,
    p: float = 2,
    class_weights: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """EMD between the softmax of ``logits`` and the target, for classes in a tree.

    ``sum_e length_e * abs(P_e - T_e) ** p`` over the edges e, where P_e and T_e are the masses of prediction and target
    below e. With ``p=1`` it is the exact EMD under the lengths of the paths between the classes (Evans & Matsen 2012);
    with ``p=2`` it is the counterpart of Eq. 10 of Hou et al. 2016, and equal to it if the tree is a chain. It takes
    O(B (K + E)) time and memory for E edges, and no K x K matrix.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        tree: of the K classes, in the order of the labels; its edges may have any unit.
        p: order of the norm, at least 1.
        class_weights: (K,) non-negative weights, as in :func:`squared_emd_loss`. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of the edges.

    Raises:
        ValueError: shapes, ``p``, ``class_weights`` or ``reduction`` are not as above, or the tree has other classes;
            labels are out of range or rows do not sum to 1 (CPU).

    >>> from squared_emd import LabelTree
    >>> tree = LabelTree.from_nested({"pets": ["cat", "dog"], "tools": ["saw"]})
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> tree_emd_loss(logits, torch.tensor([0]), tree, p=1)  # cat to dog 0.25 * 2, cat to saw 0.25 * 4
    tensor(1.5000)
    """
    _check_order(p)
    labels = check_inputs(logits, labels)
    num_classes = logits.shape[1]
    if tree.num_classes != num_classes:
        raise ValueError(
            f"the label tree must have the {num_classes} classes of the logits, it has {tree.num_classes}."
        )
    order, starts, ends, lengths = _on_device(tree, logits.device)
    difference = mass_difference(upcast_to_float32(logits).softmax(-1), labels)  # (B, K)
    cumulative = F.pad(difference.index_select(1, order).cumsum(-1), (1, 0))  # (B, K + 1) in the order of the tree
    flows = cumulative.index_select(1, ends) - cumulative.index_select(1, starts)  # (B, E) P_e - T_e
    losses = (_power(flows, p) * lengths.to(flows)).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, num_classes)


def _power(values: Tensor, p: float) -> Tensor:
    """``abs(values) ** p`` for p >= 1; all derivatives at 0 are finite (0 where p < 2)."""
    if p == 1:
        return values.abs()
    if p == 2:
        return values.square()
    is_zero = values == 0
    return torch.where(is_zero, 0, torch.where(is_zero, 1, values).abs().pow(p))


def _check_order(p: float) -> None:
    """Raise ValueError unless ``p`` is the order of a norm."""
    check_number("p", p, least=1, hint=" Use p=2 for Eq. 10 or p=1 for the plain EMD.")


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """(B, 1), of the (B, K) values of each row."""
    return (values * weights).sum(-1, keepdim=True) / weights.sum()


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(B, 1), one of the (B, K) values of each row."""
    ascending, order = values.sort(-1)
    cumulative = weights[order].cumsum(-1)  # (B, K)
    index = (cumulative < cumulative[:, -1:] / 2).sum(-1, keepdim=True)  # (B, 1)
    return ascending.gather(1, index)


@lru_cache(maxsize=8)
def _on_device(tree: LabelTree, device: torch.device) -> tuple[Tensor, ...]:
    """The tree's order, starts, ends and lengths as tensors; cached, so that they are copied to a GPU only once."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    with torch.inference_mode(False):  # The cached tensors may be needed in training later.
        lengths = torch.as_tensor(tree.lengths, dtype=dtype, device=device)
        return *(torch.as_tensor(array, device=device) for array in (tree.order, tree.starts, tree.ends)), lengths
