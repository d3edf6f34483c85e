"""The exact EMD of classes in a label tree: Eq. 9 and 10 of Hou et al. 2016, of which the chain is a special case."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .class_weights import weighted
from .inputs import accurate, check, mass_difference, reduce

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
    with ``p=2`` the counterpart of Eq. 10 of Hou et al. 2016, which it is where the tree is a chain. O(B (K + E)) time
    and memory for E edges; nothing of K x K.

    Args:
        logits: (B, K) scores, any floating dtype; half precision is computed in float32.
        labels: (B,) class indices, or (B, K) target distributions whose rows sum to 1.
        tree: of the K classes, in the order of the labels; its edges may have any unit.
        p: order of the norm, at least 1.
        class_weights: (K,) weights, none negative: each sample counts with that of its class, or with their mean over
            its target distribution; the mean is over the sum of the weights. Default: all 1.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or (B,) for ``reduction="none"``, in the unit of the edges.

    Raises:
        ValueError: shapes, ``p``, ``class_weights`` or ``reduction`` are not as above, or the tree has other classes;
            labels out of range or rows that do not sum to 1 (CPU).

    >>> from squared_emd import LabelTree
    >>> tree = LabelTree.from_nested({"pets": ["cat", "dog"], "tools": ["saw"]})
    >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    >>> tree_emd_loss(logits, torch.tensor([0]), tree, p=1)  # cat to dog 0.25 * 2, cat to saw 0.25 * 4
    tensor(1.5000)
    """
    if not 1 <= p < float("inf"):
        raise ValueError(f"p must be at least 1 and finite, got {p}. Use p=2 for Eq. 10 or p=1 for the plain EMD.")
    labels = check(logits, labels, reduction)
    if tree.num_classes != logits.shape[1]:
        raise ValueError(
            f"the label tree must have the {logits.shape[1]} classes of the logits, it has {tree.num_classes}."
        )
    probabilities = accurate(logits).softmax(-1)
    difference = mass_difference(probabilities, labels)
    order, starts, ends, lengths = _on_device(tree, logits.device)
    below = torch.nn.functional.pad(
        difference.index_select(1, order).cumsum(-1), (1, 0)
    )  # (B, K + 1) mass before each place
    flows = below.index_select(1, ends) - below.index_select(1, starts)  # (B, E)
    powers = flows.square() if p == 2 else flows.abs().pow(p)
    losses = (powers * lengths.to(powers)).sum(-1)  # (B,)
    if class_weights is not None:
        return weighted(losses, logits, labels, class_weights, reduction)
    return reduce(losses, reduction)


@lru_cache(maxsize=8)
def _on_device(tree: LabelTree, device: torch.device) -> tuple[Tensor, ...]:
    """The tree's order, starts, ends and lengths: it is copied once."""
    dtype = torch.float32 if device.type == "mps" else torch.float64
    with torch.inference_mode(False):  # they are kept, and training may need them later
        lengths = torch.as_tensor(tree.lengths, dtype=dtype, device=device)
        return *(torch.as_tensor(array, device=device) for array in (tree.order, tree.starts, tree.ends)), lengths
