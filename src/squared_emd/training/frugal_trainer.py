"""A Trainer whose evaluation keeps a few batches on the device, and on the host only what the metrics need."""

from __future__ import annotations

import inspect
from typing import Any

from accelerate.data_loader import DataLoaderDispatcher, DataLoaderShard
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from .publishing_trainer import PublishingTrainer

__all__ = ["FrugalTrainer"]

_BATCHES_ON_DEVICE = 16  # of outputs, before they go to the host together


def takes_batches(compute_metrics: Any) -> bool:
    """Whether metrics can be given batch by batch, and all at once, too.

    Args:
        compute_metrics: what a Trainer was given; it can where it has a method `restart()`, and an argument
            `compute_result` that may be left out.

    >>> takes_batches(lambda prediction, compute_result=True: {})
    False
    """
    if not callable(getattr(compute_metrics, "restart", None)):
        return False
    argument = inspect.signature(compute_metrics).parameters.get("compute_result")
    return argument is not None and argument.default is not inspect.Parameter.empty


class FrugalTrainer(PublishingTrainer):
    """Evaluates in memory that does not grow with the evaluation data, where `compute_metrics` lets it.

    A `compute_metrics` that has a method `restart()` and an optional argument `compute_result`, such as
    `ordinal_metrics`, `top_k_metrics` and `ScoreMetrics`, gets each batch of `evaluate()` as soon as it is there, as
    with `batch_eval_metrics=True`, and the outputs are not kept. Any other gets all outputs at once, as from `Trainer`.

    `predict()` returns all outputs, and so keeps them, on the host. Unless `eval_accumulation_steps` says otherwise,
    they leave the device every 16 batches, in `evaluate()` too.
    """

    def evaluation_loop(self, dataloader: DataLoader, description: str, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """As `Trainer`, with the same numbers from less memory.

        Args:
            dataloader: as `Trainer` takes it.
            description: as `Trainer` takes it.
            args: as `Trainer` takes them.
            kwargs: as `Trainer` takes them.
        """
        fields = {"eval_accumulation_steps": self.args.eval_accumulation_steps or _BATCHES_ON_DEVICE}
        # only a loader of Accelerate tells Trainer which batch is the last one
        if takes_batches(self.compute_metrics) and isinstance(dataloader, (DataLoaderShard, DataLoaderDispatcher)):
            self.compute_metrics.restart()  # an evaluation before may have been interrupted between two batches
            # the outputs that predict() keeps do not leave the device where the metrics take batches
            fields["batch_eval_metrics"] = description != "Prediction"
        before = {name: getattr(self.args, name) for name in fields}
        try:
            vars(self.args).update(fields)
            return super().evaluation_loop(dataloader, description, *args, **kwargs)
        finally:
            vars(self.args).update(before)
