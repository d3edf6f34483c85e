"""Counts samples that are NaN or infinite, without making a GPU wait."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FiniteCheck"]


class FiniteCheck:
    """How many samples had features or logits that are not finite, and for how many steps in a row all had.

    Args:
        device: where the model computes; the counts stay there until somebody asks.

    >>> check = FiniteCheck()
    >>> check.look(torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]))
    tensor([ True, False])
    >>> check.end_step()
    >>> check.not_finite.item(), check.steps_without.item()
    (1, 0)
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.not_finite = torch.zeros((), dtype=torch.int64, device=device)  # samples since the last log
        self.steps_without = torch.zeros((), dtype=torch.int64, device=device)  # in a row, without a finite sample
        self._in_step = torch.zeros(2, dtype=torch.int64, device=device)  # samples, and finite ones

    def reset(self) -> None:
        """Forget all counts, as before a new run."""
        for counts in (self.not_finite, self.steps_without, self._in_step):
            counts.zero_()

    @torch.no_grad()
    def look(self, *tensors: Tensor, fresh: int | None = None) -> Tensor:
        """Count the samples of a batch.

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
        count = finite.sum()
        self.not_finite += samples - count
        self._in_step[0] += samples
        self._in_step[1] += count
        return finite

    def end_step(self) -> None:
        """An optimizer step is over; one in which this rank had no sample says nothing."""
        without = torch.where(self._in_step[1] > 0, 0, self.steps_without + 1)
        self.steps_without = torch.where(self._in_step[0] > 0, without, self.steps_without)
        self._in_step.zero_()
