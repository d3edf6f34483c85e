"""What `EMDTrainer` adds to an evaluation: logits in their place, the components of the loss, and bounded memory."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.data_loader import DataLoaderDispatcher, DataLoaderShard
from torch import Tensor, nn
from transformers.trainer_utils import EvalLoopOutput

from ..losses import logits_of
from .arguments import EMDTrainingArguments

__all__ = ["ComponentSums", "LogitsFirst", "check_unchanged", "fields_of_evaluation", "keep_evaluation"]

_COMPONENTS = ("ce", "emd", "mse")  # of losses, in the order in which an evaluation sums them up
_BATCHES_ON_DEVICE = 16  # whose outputs leave the device together


class LogitsFirst:
    """Calls a model; what it returns becomes a dictionary that begins with the logits.

    Args:
        model: as Accelerate wrapped it.
        num_classes: K.
    """

    def __init__(self, model: nn.Module, num_classes: int) -> None:
        self.model, self.num_classes = model, num_classes
        self.training = model.training

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        outputs = self.model(**inputs)
        logits = logits_of(outputs, self.num_classes)
        if hasattr(outputs, "_asdict") and hasattr(outputs, "logits"):  # a named tuple, which may begin with others
            outputs = outputs._asdict()
        others = outputs if isinstance(outputs, Mapping) else {}
        if isinstance(outputs, (tuple, list)):
            others = dict(enumerate(outputs[1:]))
        kept = {name: value for name, value in others.items() if name != "logits" and value is not None}
        return {"logits": logits} | kept


class ComponentSums:
    """The components of the loss over the samples of an evaluation.

    Args:
        device: where the sums are kept.
        dtype: float64, where the device has it.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._sums = torch.zeros(len(_COMPONENTS), 2, device=device, dtype=dtype)  # of losses, and of samples

    def reset(self) -> None:
        """Begin another evaluation."""
        self._sums.zero_()

    def add(self, components: Mapping[str, Tensor], num_unique: int) -> None:
        """Add a batch of (B,) components, of which the first `num_unique` samples are no padding duplicates."""
        for name, values in components.items():
            sums = self._sums[_COMPONENTS.index(name)]
            sums[0] += values[:num_unique].sum().to(sums)
            sums[1] += num_unique

    def means(self, reduce: Callable[[Tensor, str], Tensor]) -> dict[str, float]:
        """By name, the mean over all samples, of which `reduce` adds up those of all ranks."""
        sums = zip(_COMPONENTS, reduce(self._sums, "sum").tolist(), strict=True)
        return {name: total / samples for name, (total, samples) in sums if samples}


def check_unchanged(trained: EMDTrainingArguments, now: EMDTrainingArguments) -> None:
    """Raise a ValueError if fields have changed since the last training, or since construction if there was none."""
    if changed := now.changed_fields(trained):
        before, after = ({name: getattr(args, name) for name in changed} for args in (trained, now))
        raise ValueError(
            f"an evaluation needs the arguments of the last training, or before any those that the trainer was made "
            f"with, {before}; they were changed to {after}. "
            "Set them back, or call train(), which takes them up."
        )


@contextmanager
def fields_of_evaluation(
    args: EMDTrainingArguments, compute_metrics: Any, dataloader: Any, *, returns_outputs: bool
) -> Iterator[None]:
    """Let outputs leave the device every few batches, and compute metrics batch by batch where that is possible.

    Args:
        args: which are other ones inside the ``with`` block.
        compute_metrics: of the Trainer; the memory does not grow with the data if it takes batches.
        dataloader: of the evaluation.
        returns_outputs: all outputs are needed in any case.
    """
    fields = {"eval_accumulation_steps": args.eval_accumulation_steps or _BATCHES_ON_DEVICE}
    # Only a loader of Accelerate tells Trainer which batch is the last one.
    if _takes_batches(compute_metrics) and isinstance(dataloader, (DataLoaderShard, DataLoaderDispatcher)):
        compute_metrics.restart()  # an earlier evaluation may have been interrupted between two batches
        fields["batch_eval_metrics"] = not returns_outputs
    before = {name: getattr(args, name) for name in fields}
    vars(args).update(fields)
    try:
        yield
    finally:
        vars(args).update(before)


def _takes_batches(compute_metrics: Any) -> bool:
    """Whether metrics can be computed both batch by batch and from all outputs."""
    if not callable(getattr(compute_metrics, "restart", None)):
        return False
    argument = inspect.signature(compute_metrics).parameters.get("compute_result")
    return argument is not None and argument.default is not inspect.Parameter.empty


def keep_evaluation(evaluations: dict[str, tuple[dict[str, float], int]], output: EvalLoopOutput, prefix: str) -> None:
    """Keep an evaluation for the card in place of earlier ones, but beside those of other evaluation sets.

    Args:
        evaluations: of the same weights, by prefix: the metrics, as `eval_...`, and the number of samples.
        output: of the evaluation.
        prefix: of its metrics.
    """
    is_one_of_several = prefix.startswith("eval_")  # as Trainer has it where eval_dataset is a dictionary
    for other in [name for name in evaluations if not (is_one_of_several and name.startswith("eval_"))]:
        del evaluations[other]
    metrics = {name.removeprefix(f"{prefix}_"): value for name, value in output.metrics.items()}
    beginning = prefix if is_one_of_several else "eval"
    others = ("loss", "model_preparation_time")
    metrics = {f"{beginning}_{name}": value for name, value in metrics.items() if name not in others}
    evaluations[prefix] = metrics, output.num_samples
