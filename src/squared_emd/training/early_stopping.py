"""`EMDEarlyStopping`: ends a run whose metric no longer improves."""

from __future__ import annotations

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["EMDEarlyStopping"]


class EMDEarlyStopping(EarlyStoppingCallback):
    """`EarlyStoppingCallback` for a run of `EMDTrainer`: ends it after some evaluations in a row without improvement.

    The metric is `metric_for_best_model`. An error, such as `eval_mae`, has to fall and any other metric but the loss
    to rise, unless `greater_is_better` says otherwise. The evaluations of the jump start do not count, because the
    network is then one of plain cross-entropy, and may be better than the first ones with the regularizer; that
    is the part of `GroundDistanceCallback`, which `EMDTrainer` has by itself.

    Args:
        early_stopping_patience: evaluations without improvement after which the run ends, at least 1.
        early_stopping_threshold: by how much the metric has to improve.

    Raises:
        ValueError: the patience is not as above; when training begins, there is no metric or no evaluation.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0) -> None:
        if early_stopping_patience < 1:
            raise ValueError(f"early_stopping_patience must be at least 1 evaluation, got {early_stopping_patience}.")
        super().__init__(early_stopping_patience, early_stopping_threshold)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Reject a run whose evaluations cannot be compared."""
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise ValueError(
                "early stopping compares evaluations by a metric: it needs metric_for_best_model, as in 'mae', and an "
                f"eval_strategy of 'epoch' or 'steps'; got {args.metric_for_best_model!r} and "
                f"{getattr(args.eval_strategy, 'value', args.eval_strategy)!r}."
            )
        super().on_train_begin(args, state, control, **kwargs)
