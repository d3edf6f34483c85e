"""Trains one run of a table."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, set_seed

from ..ground_distance.saved import MAX_CLASSES_IN_CONFIG
from ..metrics import confusion_matrix
from ..training.trainer import EMDTrainer
from ..vision.flip_averaging import average_flips
from ..vision.networks import ImageClassifier, load_image_classifier
from ..vision.transforms import EvalTransform, with_views
from .arguments import ExperimentArguments
from .experiment import Experiment, Samples
from .launch import user_errors
from .recorder import RunRecorder

__all__ = ["Outcome", "arguments_of", "build_trainer", "check_small_pictures", "train"]


@dataclass(frozen=True)
class Outcome:
    """What came out of a run; the same on all ranks.

    Args:
        trainer: after training and the test.
        metrics: `eval_...` on the rows to test on.
        confusion: (K, K) counts of the test, or None above 256 classes.
        seconds_per_step: see `RunRecorder`.
        samples: what it was trained and tested on.
    """

    trainer: EMDTrainer
    metrics: dict[str, float]
    confusion: np.ndarray | None
    seconds_per_step: float | None
    samples: Samples


def arguments_of(args: ExperimentArguments, experiment: Experiment, **own: Any) -> ExperimentArguments:
    """The arguments of one run.

    Args:
        args: of the table.
        experiment: for the learning rate of the loss, where none is given.
        own: fields that the run has for itself, `loss` among them.
    """
    run = copy.copy(args)
    rate = args.rate or experiment.rates[own["loss"]]
    for name, value in {"learning_rate": rate, **args.without_other_losses(own["loss"]), **own}.items():
        setattr(run, name, value)
    run.push_to_hub = False  # a run is pushed when it is done
    if run.early_stopping_patience is not None:
        run.metric_for_best_model, run.greater_is_better = experiment.selected_by, experiment.more_is_better
        run.restore_callback_states_from_checkpoint = True  # the count of epochs without a better one goes on
    return run


def check_small_pictures(
    args: ExperimentArguments, experiment: Experiment, model: str, network: ImageClassifier
) -> None:
    """Refuse stored pictures that are smaller than the views of a network need.

    Args:
        args: of the table.
        experiment: for its views.
        model: the network, as it was asked for.
        network: the same, loaded.

    Raises:
        ValueError: `small_pictures` is too small.
    """
    if args.small_pictures is None:
        return
    make_views = experiment.train_view, experiment.eval_view
    views = [make_view(network.size, network.mean, network.std) for make_view in make_views]
    used = max(getattr(view, "shorter_side", 0) for view in views)
    if args.small_pictures < used:
        raise ValueError(
            f"small_pictures must be at least {used} for {model}, whose views have {network.size} pixels and show a "
            f"part of the picture; got {args.small_pictures}."
        )


def train(
    run: ExperimentArguments,
    experiment: Experiment,
    model: str,
    rows: tuple[Dataset, Dataset],
    *,
    checkpoint: str | None = None,
) -> Outcome:
    """Train and test.

    Args:
        run: as :func:`arguments_of` gives them.
        experiment: what is trained on.
        model: the network.
        rows: to train on, and to test on. With early stopping a part of the first is cut away to choose the epoch by.
        checkpoint: from where to go on.

    Returns:
        The outcome. A model that the user can mend ends the program; errors of the training are raised.
    """
    train_rows, test_rows = rows
    if run.early_stopping_patience is not None:
        train_rows, chosen_by = experiment.cut_validation(train_rows, run.seed)
        samples = experiment.samples(train_rows, chosen_by, run.loss)
    else:
        samples = experiment.samples(train_rows, test_rows, run.loss)
    trainer, view = build_trainer(run, experiment, model, samples)
    recorder = RunRecorder(trainer.criterion, run.output_dir)
    trainer.add_callback(recorder)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_state()  # the curves; what comes now is no part of them
    if run.early_stopping_patience is not None:
        samples = experiment.samples(train_rows, test_rows, run.loss)
        trainer.compute_metrics = samples.compute_metrics
    # evaluate would take the loader of the validation data once more where its workers live on
    tested = trainer.predict(view(samples), metric_key_prefix="eval")
    confusion = _confusion(tested.predictions, tested.label_ids, samples)
    return Outcome(trainer, tested.metrics, confusion, recorder.seconds_per_step, samples)


def _confusion(outputs: Any, labels: np.ndarray, samples: Samples) -> np.ndarray | None:
    num_classes = len(samples.class_names)
    if num_classes > MAX_CLASSES_IN_CONFIG:
        return None
    outputs = np.asarray(outputs[0] if isinstance(outputs, tuple) else outputs)
    true = labels.argmax(1) if labels.shape[1:] == (num_classes,) else labels.reshape(-1)
    if outputs.shape[1:] == (num_classes,):
        return confusion_matrix(outputs.argmax(1), true, num_classes)
    outputs, bins = outputs.reshape(-1), getattr(samples.compute_metrics, "bins", None)  # a regression
    if bins is not None:  # of the score itself
        return confusion_matrix(bins.labels(outputs), bins.labels(true), num_classes)
    return confusion_matrix(np.rint(outputs).clip(0, num_classes - 1).astype(int), true, num_classes)


def build_trainer(
    run: ExperimentArguments, experiment: Experiment, model: str, samples: Samples
) -> tuple[EMDTrainer, Any]:
    """The Trainer of a run.

    Args:
        run: as :func:`arguments_of` gives them.
        experiment: what is trained on.
        model: the network.
        samples: the rows, and what is learned of them.

    Returns:
        The Trainer, and the function that gives it the rows to test on.
    """
    set_seed(run.seed)
    with user_errors():
        network = load_image_classifier(
            model, samples.class_names, num_outputs=1 if run.loss == "reg" else None, from_scratch=run.from_scratch
        )
        average_flips(network.model)
        views = (network.size, network.mean, network.std)
        tested = experiment.eval_view(*views)
        if isinstance(tested, EvalTransform):
            network = network.with_central_crop(tested.crop)
        if samples.class_scores is not None:
            scores = [float(score) for score in samples.class_scores]
            network.model.config.emd = (getattr(network.model.config, "emd", None) or {}) | {"scores": scores}

        def test_rows(samples: Samples) -> Dataset:
            return with_views(samples.test, tested, label_column=samples.label_column)

        view = experiment.train_view(*views)
        trainer = EMDTrainer(
            network.model,
            run,
            train_dataset=with_views(samples.train, view, label_column=samples.label_column),
            eval_dataset=test_rows(samples),
            processing_class=network.processor,
            compute_metrics=samples.compute_metrics,
        )
    if run.early_stopping_patience is not None:
        trainer.add_callback(_StopAfterJumpStart(run.early_stopping_patience))
    return trainer, test_rows


class _StopAfterJumpStart(EarlyStoppingCallback):
    """`EarlyStoppingCallback` to which the jump start does not count.

    The best epoch is one of those after it: before, the network is one of plain cross-entropy, and it may be better
    than the first epochs with the regulariser.
    """

    def on_epoch_begin(
        self, args: ExperimentArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if args.is_self_guided and round(state.epoch) == args.jump_start_epochs:
            state.best_metric = state.best_model_checkpoint = state.best_global_step = None

    def on_evaluate(
        self,
        args: ExperimentArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        if not args.is_self_guided or state.epoch > args.jump_start_epochs:
            super().on_evaluate(args, state, control, metrics, **kwargs)
