"""The losses as modules, which keep D and weights as buffers: on the device of the model, and in its `state_dict`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .entropic_wasserstein import entropic_wasserstein_loss
from .inputs import values_are_checkable
from .self_guided import exact_emd_loss, self_guided_loss
from .squared_emd import circular_emd_loss, energy_distance_loss, squared_emd_loss, tree_emd_loss

TENSORS = ("ground_distance", "spacing", "class_weights")


class _Loss(nn.Module):
    """A function of logits and labels with the rest of its arguments: tensors as buffers, the others as attributes."""

    function: Callable[..., Tensor]

    def __init_subclass__(cls) -> None:
        _, _, *arguments = inspect.signature(cls.function).parameters.values()  # but for logits and labels
        cls.__signature__ = inspect.Signature(arguments)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        given = self.__signature__.bind(*args, **kwargs)
        given.apply_defaults()
        self._names = list(given.arguments)
        for name, value in given.arguments.items():
            if name in TENSORS:
                self.register_buffer(name, _as_buffer(name, value))
            else:
                setattr(self, name, value)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of (B, K) logits and (B,) class indices or (B, K) target distributions."""
        return type(self).function(logits, labels, **{name: getattr(self, name) for name in self._names})

    def extra_repr(self) -> str:
        """The arguments that are numbers or names."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names if name not in TENSORS)


def _as_buffer(name: str, values: Any) -> Tensor | None:
    if values is None:
        return None
    buffer = torch.as_tensor(values).detach().clone()
    if values_are_checkable(buffer) and not buffer.isfinite().all():
        raise ValueError(f"{name} must be finite, got {buffer[~buffer.isfinite()][0]}.")
    shape = tuple(buffer.shape)
    if name == "ground_distance" and (len(shape) != 2 or shape[0] != shape[1]):
        raise ValueError(f"ground_distance must be (K, K), one row a class, got shape {shape}.")
    return buffer


class SquaredEMDLoss(_Loss):
    """:func:`squared_emd_loss` as a module; `spacing` and `class_weights` are buffers.

    >>> loss = SquaredEMDLoss(spacing=[1.0, 2.0])
    >>> loss(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0]))  # 0.25 + 2 * 0.0625
    tensor(0.3750)
    """

    function = staticmethod(squared_emd_loss)


class CircularEMDLoss(_Loss):
    """:func:`circular_emd_loss` as a module; `spacing` and `class_weights` are buffers."""

    function = staticmethod(circular_emd_loss)


class TreeEMDLoss(_Loss):
    """:func:`tree_emd_loss` as a module; `class_weights` is a buffer, and the tree is not in the `state_dict`."""

    function = staticmethod(tree_emd_loss)


class EnergyDistanceLoss(_Loss):
    """:func:`energy_distance_loss` as a module; `ground_distance` and `class_weights` are buffers.

    >>> loss = EnergyDistanceLoss([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]])
    >>> loss(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0])), list(loss.state_dict())
    (tensor(0.3125), ['ground_distance'])
    """

    function = staticmethod(energy_distance_loss)


class ExactEMDLoss(_Loss):
    """:func:`exact_emd_loss` as a module; `ground_distance` and `class_weights` are buffers."""

    function = staticmethod(exact_emd_loss)


class SelfGuidedLoss(_Loss):
    """:func:`self_guided_loss` as a module; `ground_distance` and `class_weights` are buffers.

    A D that is learned on the way is assigned: `loss.ground_distance = matrix`.
    """

    function = staticmethod(self_guided_loss)


class EntropicWassersteinLoss(_Loss):
    """:func:`entropic_wasserstein_loss` as a module; `ground_distance` and `class_weights` are buffers."""

    function = staticmethod(entropic_wasserstein_loss)
