"""The input of the classifier head of any model: the features whose class means are the centroids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_LAYERS = (nn.Linear, *_CONVOLUTIONS)
_MASKED = -1e4  # what masks a class is -inf, the smallest number of a type, -1e9 or this
_MAX_LISTED = 6  # layers that an error message names


class HeadInput:
    """Gives the features f of a classifier: the input of its final linear layer (Hou et al. 2016, section 3.1).

    A forward hook keeps what the training step computes anyway, so there is no second forward pass. The head is found
    at the first :meth:`take`: of the layers with ``num_outputs`` outputs, the one whose output is the logits. The hook
    is on the model while it is armed; of a compiled model, whose code calls it, until :meth:`remove`.

    Args:
        model: the model itself, before DistributedDataParallel or ``torch.compile`` wrap it; it may have adapters.
        num_outputs: number of logits, K (1 for a regression).
        head: dotted name of the module whose input to take. None: it is found.

    Attributes:
        head: dotted name of the head; None until it is found.

    Raises:
        ValueError: ``model`` has no module named ``head``, or no layer with ``num_outputs`` outputs.

    Examples:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4))
        >>> head_input = HeadInput(model, num_outputs=4)
        >>> with head_input.armed():
        ...     logits = model(torch.ones(5, 2))
        >>> head_input.take(logits).shape, head_input.head
        (torch.Size([5, 3]), '2')
    """

    def __init__(self, model: nn.Module, num_outputs: int, head: str | None = None) -> None:
        layers = {name: layer for name, layer in model.named_modules() if isinstance(_unadapted(layer), _LAYERS)}
        candidates = {name: layer for name, layer in layers.items() if _widths(layer)[1] == num_outputs}
        shown = f"Layers with {num_outputs} outputs: {_listing(candidates)}."
        if not candidates:
            shown = f"No layer has {num_outputs} outputs; the last layers: {_listing(layers)}."
        if head is not None:
            modules = dict(model.named_modules(remove_duplicate=False))
            if not head or head not in modules:
                raise ValueError(f"head must name a module of {type(model).__name__}, got {head!r}. {shown}")
            candidates = {head: modules[head]}
        elif not candidates:
            raise ValueError(
                f"{type(model).__name__} must have a Linear or convolution layer with {num_outputs} outputs, the "
                f'classifier head. {shown} Check num_outputs, or pass head="module.name".'
            )
        self.head: str | None = head
        self._search = head is None  # Constant, because compiled code depends on it.
        self._shown = shown
        self._modules = candidates
        self._armed = False
        self._held: dict[str, tuple[torch.Tensor, torch.Tensor | None]] = {}  # input and output of the last call
        self._handles: dict[str, RemovableHandle] = {}
        self._is_traced = False  # a hook, by torch.compile
        self._has_hooked = False  # since the last remove()

    @contextmanager
    def armed(self, model: nn.Module | None = None) -> Iterator[None]:
        """Keep the input of the head during the one forward pass inside the ``with`` block.

        Args:
            model: what is called there, with its wrappers. Only needed if it is compiled.
        """
        if not self._has_hooked:
            # Code that was compiled for a model of this class does not look for hooks that were added since.
            if model is not None and any(_is_compiled(module) for module in model.modules()):
                torch.compiler.reset()
            self._has_hooked = True
        if not self._handles:
            self._handles = {
                name: module.register_forward_hook(partial(self._hold, name), with_kwargs=True)
                for name, module in self._modules.items()
                if self.head in (None, name)
            }
        self._held.clear()
        self._armed = True
        try:
            yield
        except BaseException:
            self._held.clear()
            raise
        finally:
            self._armed = False
            if not self._is_traced:
                self._unhook()

    def take(self, logits: torch.Tensor) -> torch.Tensor:
        """Give the features of the last armed forward pass, and release them.

        The first call compares values, and so synchronizes the device; later ones do not.

        Args:
            logits: (B, K), what that forward pass returned, any floating dtype.

        Returns:
            (B, d), detached, dtype of the head's input: the mean over the positions of a convolution's input
            (B, d, h, w), or over the middle axes of another layer's (B, T, d).

        Raises:
            RuntimeError: the head did not run while armed.
            ValueError: not exactly one layer gives the logits, or the features are not B rows.
        """
        held = dict(self._held)
        self._held.clear()
        if not held or (self.head is not None and self.head not in held):
            raise RuntimeError(
                f"The head ({self.head or ', '.join(self._modules)}) must run inside `with head_input.armed():` before "
                "each take(), but did not. Run the model in that block, and let head name a layer that always runs."
            )
        if self.head is None:
            self._find(held, logits)
        features = held[self.head][0]
        head = _unadapted(self._modules[self.head])
        rows = features  # Of other layers with more axes it is unknown which holds the channels: rejected below.
        if isinstance(head, _CONVOLUTIONS) and features.ndim > 2:
            rows = features.flatten(2).mean(2)  # (B, d, h, w) -> (B, d)
        elif features.ndim == 3 or (features.ndim > 3 and isinstance(head, nn.Linear)):
            rows = features.flatten(1, -2).mean(1)  # (B, T, d) -> (B, d)
        if rows.ndim != 2 or rows.shape[0] != logits.shape[0]:
            raise ValueError(
                f"The input of the head {self.head!r} must be one row of features for each of the {logits.shape[0]} "
                f'samples, got the shape {tuple(features.shape)}. Pass head="module.name", a Linear or convolution '
                f"layer that runs once on the whole batch. {self._shown}"
            )
        return rows

    def remove(self) -> None:
        """Remove what a compiled model has kept of the hooks, and release the features."""
        self._unhook()
        self._held.clear()
        self._is_traced = self._has_hooked = False

    def _unhook(self) -> None:
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()

    def _hold(self, name: str, module: nn.Module, args: tuple, kwargs: dict[str, Any], output: torch.Tensor) -> None:
        if self._armed:
            if torch.compiler.is_compiling():
                self._is_traced = True
            features = args[0] if args else next(iter(kwargs.values()))
            self._held[name] = (features.detach(), output.detach() if self._search else None)

    def _find(self, held: dict[str, tuple[torch.Tensor, torch.Tensor]], logits: torch.Tensor) -> None:
        found = [name for name, (_, output) in held.items() if _is_cast_of(output, logits)]
        # The layer within an adapter gives the logits, too, as long as the adapter adds nothing to them.
        found = [name for name in found if not any(name.startswith(f"{other}.") for other in found)]
        if len(found) != 1:
            raise ValueError(
                f"The output of exactly one layer must be the logits, of shape {tuple(logits.shape)}, got "
                f'{len(found)} such layers among the {len(held)} that ran. Pass head="module.name". {self._shown}'
            )
        self.head = found[0]
        for name in self._handles.keys() - {self.head}:  # A compiled model is compiled once more.
            self._handles.pop(name).remove()


def _is_compiled(module: nn.Module) -> bool:
    """Whether `torch.compile` has made or wrapped the module, by any of its three ways."""
    is_wrapper, is_method = "_orig_mod" in module._modules, hasattr(module.forward, "_torchdynamo_orig_callable")
    return is_wrapper or is_method or module._compiled_call_impl is not None


def _is_cast_of(output: torch.Tensor, logits: torch.Tensor) -> bool:
    """Whether a layer's output is the logits, up to casts of floating types, axes of length 1 and masked classes."""
    if output.shape[:1] != logits.shape[:1] or output.numel() != logits.numel():
        return False
    rounding = 2 * max(torch.finfo(output.dtype).eps, torch.finfo(logits.dtype).eps)
    output, logits = output.float().flatten(), logits.detach().float().flatten()
    kept = logits.isfinite() & (logits > _MASKED)
    if kept.any():  # the others may have been masked after the head
        output, logits = output[kept], logits[kept]
    largest = float(torch.where(logits.isfinite(), logits.abs(), 0).amax())
    return torch.allclose(output, logits, rtol=rounding, atol=rounding * largest, equal_nan=True)


def _unadapted(module: nn.Module) -> nn.Module:
    """The layer that an adapter of PEFT, such as LoRA, wraps; else the module itself."""
    while isinstance(getattr(module, "base_layer", None), nn.Module):
        module = module.base_layer
    return module


def _widths(layer: nn.Module) -> tuple[int, int]:
    layer = _unadapted(layer)
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return layer.in_channels, layer.out_channels


def _listing(layers: dict[str, nn.Module]) -> str:
    return ", ".join(
        f"{name} ({type(layer).__name__}, {' -> '.join(map(str, _widths(layer)))})"
        for name, layer in list(layers.items())[-_MAX_LISTED:]
    )
