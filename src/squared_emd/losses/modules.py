"""The losses as modules, which keep D and weights as buffers: on the device of the model, and in its `state_dict`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .energy_distance import energy_distance_loss
from .entropic_wasserstein import entropic_wasserstein_loss
from .inputs import values_are_checkable
from .self_guided import exact_emd_loss, self_guided_loss
from .squared_emd import circular_emd_loss, squared_emd_loss, tree_emd_loss

if TYPE_CHECKING:
    from ..ground_distance.label_tree import LabelTree

Numbers = Tensor | Sequence[float] | None


class _Loss(nn.Module):
    """A function of logits and labels with the rest of its arguments: tensors as buffers, the others as attributes."""

    function: Callable[..., Tensor]

    def __init__(self, tensors: dict[str, Any], **options: Any) -> None:
        super().__init__()
        for name, values in tensors.items():
            buffer = None if values is None else torch.as_tensor(values).detach().clone()
            if buffer is not None and values_are_checkable(buffer) and not buffer.isfinite().all():
                raise ValueError(f"{name} must be finite, got {buffer[~buffer.isfinite()][0]}.")
            self.register_buffer(name, buffer)
        vars(self).update(options)
        self._names = [*tensors, *options]

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of (B, K) logits and (B,) class indices or (B, K) target distributions."""
        return type(self).function(logits, labels, **{name: getattr(self, name) for name in self._names})

    def extra_repr(self) -> str:
        """The arguments that are numbers or names."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names if name not in self._buffers)


class _DistanceLoss(_Loss):
    """A loss under a ground distance."""

    def __init__(self, ground_distance: Any, class_weights: Numbers, **options: Any) -> None:
        super().__init__({"ground_distance": ground_distance, "class_weights": class_weights}, **options)
        shape = tuple(self.ground_distance.shape)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(f"ground_distance must be (K, K), one row a class, got shape {shape}.")


class SquaredEMDLoss(_Loss):
    """:func:`squared_emd_loss` as a module; `spacing` and `class_weights` are buffers.

    >>> loss = SquaredEMDLoss(spacing=[1.0, 2.0])
    >>> loss(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0]))  # 0.25 + 2 * 0.0625
    tensor(0.3750)
    """

    function = staticmethod(squared_emd_loss)

    def __init__(
        self,
        *,
        p: float = 2,
        spacing: Numbers = None,
        class_weights: Numbers = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"spacing": spacing, "class_weights": class_weights}, p=p, reduction=reduction)


class CircularEMDLoss(_Loss):
    """:func:`circular_emd_loss` as a module; `spacing` and `class_weights` are buffers."""

    function = staticmethod(circular_emd_loss)

    def __init__(
        self,
        *,
        p: int = 2,
        spacing: Numbers = None,
        class_weights: Numbers = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__({"spacing": spacing, "class_weights": class_weights}, p=p, reduction=reduction)


class TreeEMDLoss(_Loss):
    """:func:`tree_emd_loss` as a module; `class_weights` is a buffer, and the tree is not in the `state_dict`."""

    function = staticmethod(tree_emd_loss)

    def __init__(
        self, tree: LabelTree, *, p: float = 2, class_weights: Numbers = None, reduction: str = "mean"
    ) -> None:
        super().__init__({"class_weights": class_weights}, tree=tree, p=p, reduction=reduction)


class EnergyDistanceLoss(_DistanceLoss):
    """:func:`energy_distance_loss` as a module; `ground_distance` and `class_weights` are buffers.

    >>> loss = EnergyDistanceLoss([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    >>> loss(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0])), list(loss.state_dict())
    (tensor(0.3125), ['ground_distance'])
    """

    function = staticmethod(energy_distance_loss)

    def __init__(self, ground_distance: Any, *, class_weights: Numbers = None, reduction: str = "mean") -> None:
        super().__init__(ground_distance, class_weights, reduction=reduction)


class ExactEMDLoss(_DistanceLoss):
    """:func:`exact_emd_loss` as a module; `ground_distance` and `class_weights` are buffers."""

    function = staticmethod(exact_emd_loss)

    def __init__(self, ground_distance: Any, *, class_weights: Numbers = None, reduction: str = "mean") -> None:
        super().__init__(ground_distance, class_weights, reduction=reduction)


class SelfGuidedLoss(_DistanceLoss):
    """:func:`self_guided_loss` as a module; `ground_distance` and `class_weights` are buffers.

    A D that is learned on the way is assigned: `loss.ground_distance = matrix`.
    """

    function = staticmethod(self_guided_loss)

    def __init__(
        self,
        ground_distance: Any,
        *,
        weight: float,
        omega: float,
        mu: float,
        true_class_cost: float | None = None,
        eps: float = 1e-6,
        class_weights: Numbers = None,
        reduction: str = "mean",
    ) -> None:
        options = {"weight": weight, "omega": omega, "mu": mu, "true_class_cost": true_class_cost, "eps": eps}
        super().__init__(ground_distance, class_weights, **options, reduction=reduction)


class EntropicWassersteinLoss(_DistanceLoss):
    """:func:`entropic_wasserstein_loss` as a module; `ground_distance` and `class_weights` are buffers."""

    function = staticmethod(entropic_wasserstein_loss)

    def __init__(
        self,
        ground_distance: Any,
        *,
        strength: float,
        iterations: int = 100,
        class_weights: Numbers = None,
        reduction: str = "mean",
    ) -> None:
        options = {"strength": strength, "iterations": iterations, "reduction": reduction}
        super().__init__(ground_distance, class_weights, **options)
