"""Probabilities averaged over an image and its horizontal flip (section 4.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


def average_flips(model: nn.Module) -> RemovableHandle:
    """Makes a model in evaluation mode return the average over an image and its horizontal flip.

    Hou et al. 2016, section 4.1: *probabilities* are averaged. The softmax of the returned logits is that average; with
    a single output, a regression, the outputs are averaged. In training mode nothing changes. A loss that the model
    computes itself is still that of the image alone.

    Args:
        model: takes ``pixel_values`` (B, C, H, W) by keyword and returns a mapping with ``logits`` (B, K), as models of
            transformers do. The model itself, not one wrapped by DistributedDataParallel or ``torch.compile``.

    Returns:
        A handle; its ``remove()`` restores the model.

    Raises:
        ValueError: later, when the model is called without ``pixel_values=``.
    """
    return model.register_forward_hook(_average_with_flip, with_kwargs=True)


def _average_with_flip(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    if module.training:
        return output
    if kwargs.get("pixel_values") is None:
        raise ValueError(
            f"To average over flips, {type(module).__name__} must be called with pixel_values=... by keyword, "
            f"got {len(args)} positional arguments and the keywords {sorted(kwargs)}. Name the argument, or remove() "
            f"the handle that average_flips returned."
        )
    flipped = module.forward(*args, **{**kwargs, "pixel_values": kwargs["pixel_values"].flip(-1)})["logits"]
    logits = output["logits"]  # (B, K)
    if logits.shape[-1] == 1:
        output["logits"] = (logits + flipped) / 2
    else:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        both = logits.log_softmax(-1, dtype=dtype), flipped.log_softmax(-1, dtype=dtype)
        output["logits"] = torch.logaddexp(*both) - math.log(2)  # log of the mean probability
    return output


_average_with_flip.averages_flips = True  # how the trainer recognizes it, which does not import this package
