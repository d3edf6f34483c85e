"""The EMD of classes in a label tree: Eq. 9 and 10 of Hou et al. 2016, of which the chain is a special case."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .inputs import check_inputs, check_order, mass_difference, power, reduce_losses, upcast_to_float32

if TYPE_CHECKING:
    from ..ground_distance.label_tree import LabelTree


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
    check_order(p)
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
    losses = (power(flows, p) * lengths.to(flows)).sum(-1)  # (B,)
    return reduce_losses(losses, reduction, labels, class_weights, num_classes)


@lru_cache(maxsize=8)
def _on_device(tree: LabelTree, device: torch.device) -> tuple[Tensor, ...]:
    """The tree's order, starts, ends and lengths as tensors; cached, so that they are copied to a GPU only once."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    with torch.inference_mode(False):  # The cached tensors may be needed in training later.
        lengths = torch.as_tensor(tree.lengths, dtype=dtype, device=device)
        return *(torch.as_tensor(array, device=device) for array in (tree.order, tree.starts, tree.ends)), lengths
