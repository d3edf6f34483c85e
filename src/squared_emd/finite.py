"""Notices what is NaN or infinite: samples, without making a GPU wait, and weights before they are saved."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["FiniteCheck", "local_part", "not_finite"]


class FiniteCheck:
    """Which samples have features or logits that are finite, and for how many steps in a row none had.

    Args:
        device: where the model computes, and where the count is made.

    Attributes:
        steps_without: steps in a row without a finite sample. Of a GPU it may lag a few steps behind, as nothing waits
            for it.

    >>> check = FiniteCheck()
    >>> check.look(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
    tensor([ True, False])
    >>> check.end_step()
    >>> check.steps_without
    0
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._steps_without = torch.zeros((), dtype=torch.int64, device=device)
        pinned = self._steps_without.device.type == "cuda"
        self._on_host = torch.zeros((), dtype=torch.int64, pin_memory=pinned)  # its copy, made in the background
        self._in_step = torch.zeros(2, dtype=torch.int64, device=device)  # samples, and finite ones

    def reset(self) -> None:
        """Forget all steps, as before a new run."""
        self._steps_without.zero_()
        self._on_host.zero_()
        self._in_step.zero_()

    @property
    def steps_without(self) -> int:
        return int(self._on_host)

    @torch.no_grad()
    def look(self, *tensors: Tensor, fresh: int | None = None) -> Tensor:
        """Look at the samples of a batch.

        Args:
            tensors: each (B, n) or (B,).
            fresh: how many of the B samples count; those after them are repeats. Default: all.

        Returns:
            (B,) bool: the samples that count and all of whose values are finite.
        """
        rows = [tensor.isfinite() if tensor.dim() == 1 else tensor.isfinite().all(1) for tensor in tensors]
        finite = torch.stack(rows).all(0)  # (B,)
        samples = len(finite) if fresh is None else fresh
        finite[samples:] = False
        self._in_step[0] += samples
        self._in_step[1] += finite.sum()
        return finite

    def end_step(self) -> None:
        """An optimizer step is over; one in which this rank had no sample says nothing."""
        without = torch.where(self._in_step[1] > 0, 0, self._steps_without + 1)
        self._steps_without = torch.where(self._in_step[0] > 0, without, self._steps_without)
        self._on_host.copy_(self._steps_without, non_blocking=True)
        self._in_step.zero_()


def local_part(tensor: Tensor) -> Tensor:
    """The part of a weight or gradient that this rank holds.

    Args:
        tensor: whole, or sharded by FSDP2 or by DeepSpeed ZeRO-3.

    Returns:
        A plain tensor that shares its memory.
    """
    tensor = getattr(tensor, "ds_tensor", tensor)  # ZeRO-3 leaves the parameter itself empty
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


@torch.no_grad()
def not_finite(model: nn.Module) -> list[str]:
    """The weights of which this rank holds NaN or infinite values.

    Args:
        model: as the Trainer has it; it may be sharded.

    Returns:
        Their names.

    >>> layer = nn.Linear(1, 1)
    >>> _ = layer.bias.data.fill_(float("nan"))
    >>> not_finite(layer)
    ['bias']
    """
    return [name for name, weight in model.named_parameters() if not local_part(weight).isfinite().all()]
