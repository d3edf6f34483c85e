"""Checks of what every loss is given, and the first steps that the losses share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def upcast_to_float32(tensor: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 stay as they are."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def logits_of(outputs: Any, num_classes: int | None = None) -> Tensor:
    """The logits in what a model returns.

    Args:
        outputs: the logits; a tuple that begins with them; or a mapping or an object with ``logits``.
        num_classes: K, to check the shape; not that of a network with one output.

    Returns:
        (B, K) as the model gave them.

    Raises:
        ValueError: there are none.

    >>> logits_of({"features": torch.zeros(1, 2), "logits": torch.ones(1, 3)})
    tensor([[1., 1., 1.]])
    """
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", outputs)
    logits = logits[0] if isinstance(logits, (tuple, list)) and logits else logits
    is_tensor = isinstance(logits, Tensor)
    if is_tensor and (num_classes in (None, 1) or logits.shape[-1:] == (num_classes,)):
        return logits
    got = f"the entries {sorted(outputs)}" if isinstance(outputs, Mapping) else f"a {type(outputs).__name__}"
    got += f", and for logits the shape {tuple(logits.shape)}" if is_tensor else ""
    raise ValueError(
        f"the model must return its logits, (B, {num_classes or 'K'}): as a tensor, first in a tuple, or as `logits` "
        f'of a mapping; got {got}. Return {{"logits": logits}}.'
    )


def mass_difference(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(B, K) ``p - t``: the mass that the prediction has in each class beyond the target."""
    if labels.dim() == 1:
        return probabilities.scatter_add(1, labels[:, None], -torch.ones_like(probabilities[:, :1]))
    return probabilities - labels.to(probabilities)


def values_are_checkable(tensor: Tensor) -> bool:
    """Whether values can be read without synchronizing a GPU, breaking a compiled graph or leaving ``vmap``."""
    if tensor.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:  # A tensor inside vmap, or a fake one, has no storage of its own.
        return False
    return True


def check_inputs(logits: Tensor, labels: Tensor, ground_distance: Tensor | None = None) -> Tensor:
    """The labels, as int64 if they are class indices; raises ValueError unless they fit the logits and D."""
    if logits.dim() != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be (B, K) floating point, got {tuple(logits.shape)} {logits.dtype}.")
    batch, num_classes = logits.shape
    if batch == 0:
        raise ValueError("the batch is empty: a loss needs at least one sample.")
    if num_classes == 0:
        raise ValueError(f"logits must have at least one class, got shape {tuple(logits.shape)}.")
    if ground_distance is not None and ground_distance.shape != (num_classes, num_classes):
        raise ValueError(
            f"the ground distance must be (K, K) = ({num_classes}, {num_classes}) like the logits' classes, "
            f"got shape {tuple(ground_distance.shape)}."
        )
    return check_labels(labels, batch, num_classes)


def check_number(
    name: str, number: float | Tensor, *, least: float | None = None, above: float | None = None, hint: str = ""
) -> None:
    """Raise ValueError unless a number is finite, and not below ``least`` or greater than ``above``."""
    if isinstance(number, Tensor) and not values_are_checkable(number):
        return
    is_finite = float("-inf") < number < float("inf")
    if is_finite and (least is None or number >= least) and (above is None or number > above):
        return
    bound = f"at least {least} and " if least is not None else f"greater than {above} and " if above is not None else ""
    raise ValueError(f"{name} must be {bound}finite, got {number}.{hint}")


def check_weights(name: str, weights: Tensor | Sequence[float], like: Tensor, count: int, meaning: str) -> Tensor:
    """(count,) weights in the dtype and on the device of ``like``; raises ValueError unless they can be weights."""
    weights = torch.as_tensor(weights, dtype=like.dtype, device=like.device)
    if weights.shape != (count,):
        raise ValueError(f"{name} must be ({count},), {meaning}, got shape {tuple(weights.shape)}.")
    if values_are_checkable(weights):
        valid = (weights.isfinite() & (weights >= 0)).all() and (weights.any() or count == 0)
        if not valid:
            raise ValueError(f"{name} must be finite, not negative and not all 0, got {weights.tolist()}.")
    return weights


def check_labels(labels: Tensor, batch: int, num_classes: int) -> Tensor:
    """The labels, as int64 if they are class indices.

    Args:
        labels: (B,) class indices, or (B, K) target distributions.
        batch: B.
        num_classes: K.

    Returns:
        (B,) int64, or (B, K) unchanged.

    Raises:
        ValueError: the shape is neither; a label is out of range or a row is no distribution (values are checked on the
            CPU only).

    >>> check_labels(torch.tensor([True, False]), 2, 2)
    tensor([1, 0])
    """
    hard = labels.shape == (batch,) and not labels.is_floating_point()
    soft = labels.shape == (batch, num_classes) and labels.is_floating_point()
    if not hard and not soft:
        remedies = {
            (batch,): ' Cast class indices to integers, as by dataset.cast_column("label", Value("int64")); '
            "real-valued scores are for the loss reg.",
            (batch, num_classes): " Give shares as floating point: labels.float().",
            (batch, 1): " Give one row of labels: labels.squeeze(1).",
        }
        raise ValueError(
            f"labels must be ({batch},) class indices or ({batch}, {num_classes}) floating point distributions, "
            f"got {tuple(labels.shape)} {labels.dtype}.{remedies.get(tuple(labels.shape), '')}"
        )
    labels = labels.long() if hard else labels
    if not labels.numel() or not values_are_checkable(labels):
        return labels
    if hard:
        smallest, largest = int(labels.min()), int(labels.max())
        if not 0 <= smallest <= largest < num_classes:
            raise ValueError(
                f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; "
                f"got {smallest} .. {largest}. {remedy_of_range(smallest, largest, num_classes)}"
            )
        return labels
    sums = labels.sum(-1, dtype=torch.float64)
    if not (labels.min() >= 0 and (sums - 1).abs().max() <= 1e-2):
        raise ValueError(
            "each row of soft labels must be a distribution: no negative entry, sum 1; "
            f"got entries from {labels.min():.4g} and sums {sums.min():.4g} .. {sums.max():.4g}."
        )
    return labels


def remedy_of_range(smallest: float, largest: float, num_classes: int) -> str:
    """What to do about labels of which some are not in 0 .. K-1."""
    if not smallest >= 0:  # -1 and -100 stand for it, and NaN
        return "Leave out samples without a label."
    enlarge = f"give the model num_labels={largest + 1:.0f}"
    if smallest >= 1 and largest == num_classes:
        return f"If the labels count from 1, subtract 1; otherwise {enlarge}."
    return f"{enlarge.capitalize()}, or leave out what is no class."
