"""Probabilities averaged over a picture and its mirror image (section 4.1)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

__all__ = ["average_mirrored", "averages_mirrored"]


def average_mirrored(model: nn.Module) -> RemovableHandle:
    """Makes a model in evaluation mode answer for the average of a picture and its mirror image.

    Hou et al. 2016, section 4.1: *probabilities* are averaged. The softmax of the logits that come out is that average;
    with a single logit, a regression, the outputs themselves are. In training mode nothing changes. A loss that the
    model computes itself is still that of the picture alone.

    Args:
        model: takes ``pixel_values`` (B, C, H, W) by keyword, returns a mapping with ``logits`` (B, K), as models of
            transformers do. The model itself, not one wrapped by DistributedDataParallel or ``torch.compile``.

    Returns:
        A handle; its ``remove()`` brings the model back.

    Raises:
        ValueError: later, when the model is called without ``pixel_values=``.
    """
    return model.register_forward_hook(_average_with_mirror_image, with_kwargs=True)


def averages_mirrored(model: nn.Module) -> bool:
    """Whether :func:`average_mirrored` is in force for a model.

    Args:
        model: any.
    """
    return _average_with_mirror_image in model._forward_hooks.values()


def _average_with_mirror_image(module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    if module.training:
        return output
    if kwargs.get("pixel_values") is None:
        raise ValueError(
            f"To average over mirror images, {type(module).__name__} must be called with pixel_values=... by keyword, "
            f"got {len(args)} positional arguments and the keywords {sorted(kwargs)}. Name the argument, or remove() "
            f"the handle that average_mirrored gave."
        )
    mirrored = module.forward(*args, **{**kwargs, "pixel_values": kwargs["pixel_values"].flip(-1)})["logits"]
    logits = output["logits"]  # (B, K)
    if logits.shape[-1] == 1:
        output["logits"] = (logits + mirrored) / 2
    else:
        precision = torch.promote_types(logits.dtype, torch.float32)
        both = logits.log_softmax(-1, dtype=precision), mirrored.log_softmax(-1, dtype=precision)
        output["logits"] = torch.logaddexp(*both) - math.log(2)  # log of the mean probability
    return output
