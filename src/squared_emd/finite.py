"""Notices samples that are NaN or infinite, without making a GPU wait."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FiniteCheck"]


class FiniteCheck:
    """Which samples have features or logits that are finite, and for how many steps in a row none had.

    Args:
        device: where the model computes; the count stays there until somebody asks.

    >>> check = FiniteCheck()
    >>> check.look(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
    tensor([ True, False])
    >>> check.end_step()
    >>> check.steps_without.item()
    0
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.steps_without = torch.zeros((), dtype=torch.int64, device=device)  # in a row, without a finite sample
        self._in_step = torch.zeros(2, dtype=torch.int64, device=device)  # samples, and finite ones

    def reset(self) -> None:
        """Forget all steps, as before a new run."""
        self.steps_without.zero_()
        self._in_step.zero_()

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
        without = torch.where(self._in_step[1] > 0, 0, self.steps_without + 1)
        self.steps_without = torch.where(self._in_step[0] > 0, without, self.steps_without)
        self._in_step.zero_()
