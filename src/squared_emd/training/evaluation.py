"""What `EMDTrainer` adds to an evaluation: logits in their place, bounded memory, and figures for the card."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from accelerate.data_loader import DataLoaderDispatcher, DataLoaderShard
from torch import Tensor, nn
from transformers.trainer_utils import EvalLoopOutput

from ..losses import logits_of

BATCHES_ON_DEVICE = 16  # whose outputs leave the device together
_NOT_ON_A_CARD = ("loss", "loss_ce", "loss_emd", "loss_mse", "model_preparation_time")


class LogitsFirst:
    """Calls a model; what it returns becomes a dictionary that begins with the logits."""

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


def evaluation_loss(trainer: Any, logits: Tensor, labels: Tensor, num_unique: int) -> Tensor:
    """The mean loss of the `num_unique` samples of a batch, whose components are added to the evaluation."""
    criterion = trainer.criterion
    may_lack_distance = trainer.is_in_train or trainer.state.global_step > 0  # as in the jump start
    if criterion.args.is_self_guided and criterion.ground_distance is None and not may_lack_distance:
        raise ValueError(
            f"the loss {criterion.args.loss} needs a ground distance to be evaluated, and there is none yet: train "
            "first, give ground_distance, or load a model that was saved after training with this loss."
        )
    components = criterion(logits, labels)  # name -> (B,)
    for name, values in components.items():
        trainer.add_to_evaluation(f"loss_{name}", values[:num_unique].sum(), num_unique)
    # The loss of a batch of duplicates alone is not used.
    return sum(components.values())[: max(num_unique, 1)].mean()


@contextmanager
def settings_of_evaluation(trainer: Any, dataloader: Any, *, returns_outputs: bool) -> Iterator[None]:
    """Let outputs leave the device every few batches, and compute metrics batch by batch where that is possible."""
    args, trained = trainer.args, trainer.criterion.args
    if changed := args.changed_fields(trained):
        earlier, now = ({name: getattr(fields, name) for name in changed} for fields in (trained, args))
        raise ValueError(
            f"an evaluation needs the arguments of the last training, or before any those that the trainer was made "
            f"with, {earlier}; they were changed to {now}. "
            "Set them back, or call train(), which takes them up."
        )
    fields = {"eval_accumulation_steps": args.eval_accumulation_steps or BATCHES_ON_DEVICE}
    # Only a loader of Accelerate tells Trainer which batch is the last one.
    if _takes_batches(trainer.compute_metrics) and isinstance(dataloader, (DataLoaderShard, DataLoaderDispatcher)):
        trainer.compute_metrics.restart()  # an earlier evaluation may have been interrupted between two batches
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


def keep_evaluation(trainer: Any, output: EvalLoopOutput, prefix: str) -> None:
    """Keep an evaluation for the card, in place of earlier ones, but beside those of other evaluation sets."""
    evaluations = trainer.evaluated.setdefault(trainer.weights_version, {})
    is_one_of_several = prefix.startswith("eval_")  # as Trainer has it where eval_dataset is a dictionary
    for other in [name for name in evaluations if not (is_one_of_several and name.startswith("eval_"))]:
        del evaluations[other]
    beginning = prefix if is_one_of_several else "eval"
    metrics = {name.removeprefix(f"{prefix}_"): value for name, value in output.metrics.items()}
    metrics = {f"{beginning}_{name}": value for name, value in metrics.items() if name not in _NOT_ON_A_CARD}
    evaluations[prefix] = metrics, output.num_samples


def keep_best_evaluation(trainer: Any) -> None:
    """Once the best model is loaded, give its weights the evaluation of when they were new."""
    earlier = [version for version in trainer.evaluated if version[1] == trainer.state.best_global_step]
    if earlier:
        trainer.evaluated[trainer.weights_version] = trainer.evaluated[earlier[-1]]
