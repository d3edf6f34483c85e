"""NaN and infinity in training: counted per sample without synchronizing a GPU, and acted on by `nan_policy`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class FiniteCheck(TrainerCallback):
    """Which samples have finite features and logits; where too many have not, it acts as `nan_policy` says."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._steps_without = torch.zeros((), dtype=torch.int64, device=device)
        pinned = self._steps_without.device.type == "cuda"
        self._on_host = torch.zeros((), dtype=torch.int64, pin_memory=pinned)  # copied to without blocking
        self._samples_in_step = 0
        self._finite_in_step = torch.zeros((), dtype=torch.int64, device=device)
        self.last_finite = torch.zeros_like(self._finite_in_step)  # samples of the last batch

    @property
    def steps_without(self) -> int:
        """Steps in a row without a finite sample; on a GPU it may lag some steps behind."""
        return int(self._on_host)

    @torch.no_grad()
    def check(self, logits: Tensor, *features: Tensor, num_unique: int | None = None) -> Tensor:
        """(B,) bool, the samples that count, the first `num_unique`, and whose values are all finite.

        Some logits of a sample may be -inf, as those of masked classes are, but not all. There is one pass over the
        values, and no temporary of their size.
        """
        largest = logits if logits.dim() == 1 else logits.amax(1)  # (B,) NaN where a logit is
        bounds = [largest]
        for tensor in features:
            bounds += [tensor] if tensor.dim() == 1 else tensor.aminmax(dim=1)  # (B,) NaN where a feature is
        finite = torch.stack(bounds).isfinite().all(0)  # (B,)
        samples = len(finite) if num_unique is None else num_unique
        if samples < len(finite):
            finite[samples:] = False
        self._samples_in_step += samples
        self.last_finite = finite.sum()
        self._finite_in_step += self.last_finite
        return finite

    def end_step(self) -> None:
        """Count an optimizer step; one in which this rank had no sample is ignored."""
        if self._samples_in_step == 0:
            return
        self._steps_without.add_(1).mul_(self._finite_in_step == 0)
        self._on_host.copy_(self._steps_without, non_blocking=True)
        self._samples_in_step = 0
        self._finite_in_step.zero_()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module, **kwargs: Any
    ) -> None:
        """Under `skip`, set a gradient that is not finite to 0; with fp16 the gradient scaler skips the step."""
        if args.nan_policy == "raise" or args.fp16:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        finite = (norm.full_tensor() if hasattr(norm, "full_tensor") else norm).isfinite()
        for gradient in gradients:
            local = local_part(gradient)
            local.copy_(torch.where(finite, local, 0))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count the step; under `raise`, end the run after `nan_steps` steps in a row without a finite sample."""
        self.end_step()
        without = self.steps_without
        if args.nan_policy == "raise" and without >= args.nan_steps:
            raise FloatingPointError(
                f"for {without} steps, up to step {state.global_step}, all features or logits were NaN or infinite "
                "on this rank: the weights are most likely NaN. Lower learning_rate, raise warmup_steps, lower "
                "max_grad_norm, or look for NaN in the data; resume_from_checkpoint=True goes on from the last "
                "checkpoint. nan_policy='skip' leaves such steps out."
            )


def local_part(tensor: Tensor) -> Tensor:
    """The part of a weight or gradient that this rank holds, if FSDP2 or DeepSpeed ZeRO-3 shards it; a view."""
    tensor = getattr(tensor, "ds_tensor", tensor)  # ZeRO-3 leaves the parameter itself empty.
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


@torch.no_grad()
def check_weights(model: nn.Module, step: int, reduce: Callable[[Tensor, str], Tensor] | None = None) -> None:
    """Raise a FloatingPointError unless all weights are finite and no buffer is NaN.

    Where each rank holds a part, `reduce` adds up over them: all stop with the one whose part is not finite.
    """
    broken = [name for name, weight in model.named_parameters() if not local_part(weight).isfinite().all()]
    # A buffer may hold infinity on purpose, as the mask of an attention does.
    broken += [name for name, buffer in model.named_buffers() if local_part(buffer).isnan().any()]
    number = len(broken)
    if reduce is not None:
        number = reduce(torch.tensor(number, device=next(model.parameters()).device), "sum")
    if number:
        raise FloatingPointError(
            f"at step {step} the weights {broken[0] if broken else 'of another rank'} are NaN or infinite, so they are "
            "not saved over good ones. Lower learning_rate, raise warmup_steps, lower max_grad_norm, or look for NaN "
            "in the data. nan_policy='skip' leaves out what would make them so."
        )
