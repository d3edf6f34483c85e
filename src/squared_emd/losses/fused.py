"""A loss and its gradient in one go over the logits by ``kernels.c``, as a function that autograd knows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .inputs import check_values, reduce
from .kernels import BatchOfC, DistancesOfC, kernels

__all__ = ["Fused", "Kernel", "columns"]

_GRAIN = 2**14  # logits of a batch below which one thread does all of it


class Kernel:
    """A function of ``kernels.c`` with the arguments that are its own.

    Args:
        name: of the function.
        arguments: what it takes after the batch.
        plain: from logits to the (B,) values of each term in PyTorch's operations, for second derivatives.
        terms: how many terms it gives.
        keep: tensors that ``arguments`` point into.
    """

    __slots__ = ("arguments", "keep", "name", "plain", "terms")

    def __init__(
        self,
        name: str,
        arguments: tuple,
        plain: Callable[[Tensor], tuple[Tensor, ...]],
        *,
        terms: int = 1,
        keep: object = None,
    ) -> None:
        self.name, self.arguments, self.plain, self.terms, self.keep = name, arguments, plain, terms, keep

    def without_unknown_classes(self) -> bool:
        """Called where distances between classes were 0: whether that changed ``arguments``."""
        return False


class Fused(torch.autograd.Function):
    """The loss of a batch, whose gradient is made on the way; backward hands it over.

    ``apply(logits, labels, kernel, reduction)`` gives the reduced loss, or for the reduction None the terms of each
    sample. Needs logits and labels for which :func:`kernels_for` gave the functions.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor, kernel: Kernel, reduction: str | None):  # noqa: ANN001
        # labels and D are saved so that a change of theirs before backward is noticed
        kept = [tensor for tensor in (kernel.keep,) if isinstance(tensor, Tensor)]
        ctx.save_for_backward(logits, labels, *kept)
        ctx.labels = (labels if labels.dim() == 1 else labels.detach().to(torch.float32)).contiguous()
        ctx.kernel, ctx.reduction = kernel, reduction
        gradient = _on_host(logits.shape) if ctx.needs_input_grad[0] else None
        reduced = _on_host(()) if reduction in ("mean", "sum") else None
        values = _on_host((kernel.terms, len(logits))) if reduced is None else None
        if _run(ctx, logits, values, reduced, gradient) and kernel.without_unknown_classes():
            _run(ctx, logits, values, reduced, gradient)
        ctx.gradient = gradient
        if reduced is not None:
            return reduced
        return values.sum(0) if reduction == "none" else values.unbind()

    @staticmethod
    def backward(ctx, first: Tensor, *others: Tensor) -> tuple:  # noqa: ANN001
        (logits, *_), kernel = ctx.saved_tensors, ctx.kernel
        again = torch.is_grad_enabled()  # create_graph: a second derivative is wanted
        if again or _is_batched(first):
            with torch.enable_grad():
                at = logits.view_as(logits)  # hooks of the logits themselves run once
                terms = kernel.plain(at)
                terms = terms if ctx.reduction is None else (reduce(sum(terms), ctx.reduction),)
            return *torch.autograd.grad(terms, at, (first, *others), create_graph=again), None, None, None
        alike = not others or all(torch.equal(first, other) for other in others)
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None or not alike:  # an earlier backward has got it, or it is of other slopes
            gradient = _on_host(logits.shape)
            _run(ctx, logits, None, None, gradient, () if alike else (first, *others))
        if alike and first.dim() == 1:
            gradient.mul_(first[:, None])
        elif alike and first.item() != 1:
            gradient.mul_(first)
        return gradient, None, None, None


def _is_batched(slopes: Tensor) -> bool:
    """Whether a whole batch of slopes is worked on at once (``is_grads_batched``, ``vmap``)."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(slopes) or functorch.is_legacy_batchedtensor(slopes)


def _on_host(shape: tuple[int, ...]) -> Tensor:
    """Memory for what C writes, whatever PyTorch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def columns(matrix: Tensor, labels: Tensor) -> tuple[Tensor, DistancesOfC]:
    """The columns of D for the labels.

    Args:
        matrix: (K, K), float32 or float64. Where its columns are contiguous (``matrix.T`` of a contiguous matrix) they
            are read where they are; else those of the labels are copied.
        labels: (B,) class indices.

    Returns:
        What has to be kept in memory, and what ``kernels.c`` takes.

    Raises:
        ValueError: a label is out of range.
    """
    is_double = matrix.dtype == torch.float64
    if matrix.stride(0) == 1:
        return matrix, DistancesOfC(matrix.data_ptr(), matrix.stride(1), False, is_double)
    check_values(labels, len(matrix))
    rows = matrix.T[labels]
    return rows, DistancesOfC(rows.data_ptr(), rows.stride(0), True, is_double)


def _run(
    ctx,  # noqa: ANN001
    logits: Tensor,
    values: Tensor | None,
    reduced: Tensor | None,
    gradient: Tensor | None,
    slopes: tuple = (),
) -> int:
    """Call the function; gives how many distances were 0."""
    labels, kernel, (size, num_classes) = ctx.labels, ctx.kernel, logits.shape
    hard = labels.dim() == 1
    slopes = tuple(slope.contiguous() for slope in slopes) if slopes else ()  # kept until the function is done
    batch = BatchOfC(
        logits.data_ptr(),
        logits.stride(0),
        labels.data_ptr() if hard else None,
        None if hard else labels.data_ptr(),
        size,
        num_classes,
        None if values is None else values.data_ptr(),
        None if reduced is None else reduced.data_ptr(),
        None if gradient is None else gradient.data_ptr(),
        tuple(slope.data_ptr() for slope in slopes) if slopes else (),
        0,
        1 / size if ctx.reduction == "mean" else 1.0,
        torch.get_num_threads() if size * num_classes >= _GRAIN else 1,  # of PyTorch's own pool
    )
    if getattr(kernels(), kernel.name)(batch, *kernel.arguments):
        check_values(labels, num_classes)  # says what is wrong
        raise MemoryError(f"there is no memory for rows of {num_classes} classes.")
    return batch.zeros
