"""Trains and tests one run of a table, with a line an epoch, the cost of a step, and D after each epoch."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Audio, Dataset, Image
from scipy.special import softmax
from tqdm.auto import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainerState, set_seed
from transformers.trainer_utils import PredictionOutput

from ..ground_distance.files import write_aside
from ..ground_distance.saved import HISTORY_FILE, MAX_CLASSES_IN_CONFIG, read_epoch_distances
from ..metrics import ScoreMetrics, confusion_matrix
from ..metrics.names import METRICS
from ..reports.predictions import Predictions
from ..training.callbacks import EMDEarlyStopping
from ..training.criterion import EMDCriterion
from ..training.trainer import EMDTrainer
from .arguments import ExperimentArguments
from .experiment import Experiment, Samples
from .launch import user_errors
from .settings import file_names

logger = logging.getLogger(__name__)

MAX_PREDICTIONS = 2**24  # probabilities, 134 MB, that a run leaves on disk
_PRINTED = ("eval_mae", "eval_aem", "eval_squared_emd", "eval_spearman", "eval_top_1_error")
_GROUP_COLUMNS = ("user_id", "group")  # of rows that belong together


@dataclass(frozen=True)
class Outcome:
    """What came out of a run; the same on all ranks."""

    trainer: EMDTrainer
    metrics: dict[str, float]  # `eval_...`, and `validation_...` where the data have a validation split
    predictions: dict[str, Predictions]  # `test`, and `validation` where the rule to decide by may be chosen on it
    confusion: np.ndarray | None  # (K, K) counts of the test; None above 256 classes
    seconds_per_step: float | None
    cpu_seconds_per_step: float | None
    samples: Samples
    num_validation: int | None  # rows that were evaluated after each epoch in place of the test rows


class _ProgressBars(ProgressCallback):
    """Bars without the logs, of which `RunRecorder` prints what matters."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Prints nothing."""


def arguments_of_run(args: ExperimentArguments, experiment: Experiment, **own: Any) -> ExperimentArguments:
    """The arguments of one run."""
    run = copy.copy(args)
    rate = args.rate or experiment.rates[own["loss"]]
    vars(run).update({"learning_rate": rate, **args.options_of(own["loss"]), **own})
    run.push_to_hub = False  # a run is pushed when it is done
    if run.early_stopping_patience is not None:
        run.metric_for_best_model = experiment.selected_by
        run.greater_is_better = not METRICS[experiment.selected_by].less_is_better
        run.restore_callback_states_from_checkpoint = True  # the count of epochs without a better one goes on
    return run


def train(
    args: ExperimentArguments,
    experiment: Experiment,
    model: str,
    rows: tuple[Dataset, Dataset],
    *,
    checkpoint: str | None = None,
    is_trial: bool = False,
) -> Outcome:
    """Train a run, and test it.

    `rows` are to train on and to test on. With early stopping, or a validation split, validation rows are evaluated
    after each epoch; `rows` of a trial already are training and validation rows. A network that cannot be had ends the
    program with a message.
    """
    train_rows, test_rows = rows
    is_given = args.has_validation_data or experiment.validation is not None
    validates = args.early_stopping_patience is not None or (is_given and not is_trial)
    chosen_by = None
    if validates:
        train_rows, chosen_by = experiment.with_validation(train_rows, args.seed)
    samples = experiment.samples(train_rows, chosen_by if validates else test_rows, args.loss)
    set_seed(args.seed)
    with user_errors():
        network = experiment.build(model, samples, 1 if args.loss == "reg" else len(samples.class_names))
        trainer = EMDTrainer(
            network.model,
            args,
            train_dataset=network.train_view(samples.train),
            eval_dataset=network.eval_view(samples.test),
            processing_class=network.processor,
            data_collator=network.data_collator,
            compute_metrics=samples.compute_metrics,
        )
    if args.early_stopping_patience is not None:
        trainer.add_callback(EMDEarlyStopping(args.early_stopping_patience))
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if not args.disable_tqdm:
        trainer.add_callback(_ProgressBars)
    recorder = RunRecorder(trainer.criterion, args.output_dir, prints=not is_trial)
    trainer.add_callback(recorder)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_state()  # the curves; what comes now is no part of them
    metrics, predictions = {}, {}
    # `evaluate` would reuse the loader of the validation data where its workers persist, hence `predict`.
    if validates:
        validated = trainer.predict(network.eval_view(samples.test), metric_key_prefix="validation")
        if chosen_by is not test_rows:  # as under --validate, where nothing may be chosen by them
            _, predictions["validation"] = _decisions_and_predictions(validated, samples)
        metrics |= validated.metrics if args.has_validation_data else {}
        samples = experiment.samples(train_rows, test_rows, args.loss)
        trainer.compute_metrics = samples.compute_metrics
    tested = trainer.predict(network.eval_view(samples.test), metric_key_prefix="eval")
    (decisions, labels), predictions["test"] = _decisions_and_predictions(tested, samples)
    num_classes = len(samples.class_names)
    return Outcome(
        trainer,
        metrics | tested.metrics,
        {part: of for part, of in predictions.items() if of is not None},
        confusion_matrix(decisions, labels, num_classes) if num_classes <= MAX_CLASSES_IN_CONFIG else None,
        recorder.per_step(recorder.seconds),
        recorder.per_step(recorder.cpu_seconds),
        samples,
        len(chosen_by) if validates else None,
    )


def _decisions_and_predictions(
    tested: PredictionOutput, samples: Samples
) -> tuple[tuple[np.ndarray, np.ndarray], Predictions | None]:
    """The decided and the true classes of the rows to test on, (N,) each, and what was predicted of them."""
    num_classes, metrics = len(samples.class_names), samples.compute_metrics
    outputs = np.asarray(tested.predictions[0] if isinstance(tested.predictions, tuple) else tested.predictions)
    labels = np.asarray(tested.label_ids)
    is_regression = outputs.shape[1:] != (num_classes,)
    is_soft = labels.shape[1:] == (num_classes,)
    if is_regression:
        outputs = outputs.reshape(-1)
        if isinstance(metrics, ScoreMetrics):  # of the score itself
            decisions, labels = metrics.bins_of(outputs), metrics.bins_of(labels.reshape(-1))
        else:
            decisions = np.rint(outputs).clip(0, num_classes - 1)
        decisions = decisions.astype(np.int64)
        labels = labels if is_soft else labels.reshape(-1).astype(np.int64)
    else:
        decisions = outputs.argmax(1)
    true_classes = labels.argmax(1) if is_soft else labels.reshape(-1)
    if len(decisions) * num_classes > MAX_PREDICTIONS:
        return (decisions, true_classes), None
    # The loss emd leaves some classes with less than float32 can hold, of which the negative log-likelihood is made.
    probabilities = np.eye(num_classes)[decisions] if is_regression else softmax(outputs.astype(np.float64), axis=1)
    rows = samples.test
    media = next((name for name, feature in rows.features.items() if isinstance(feature, Image | Audio)), None)
    names = None if media is None else file_names(rows, media)
    group = next((column for column in _GROUP_COLUMNS if column in rows.column_names), None)
    groups = None if group is None else np.asarray(rows.with_format(None)[:][group], dtype=str)
    predictions = Predictions(
        probabilities, labels, None if names is None else np.asarray(names), groups, is_of_regression=is_regression
    )
    return (decisions, true_classes), predictions


class RunRecorder(TrainerCallback):
    """Times the epochs, prints a line for each, and writes D down at the end of each where it is learned.

    To be added after the Trainer is made, so that it comes after the callback that refreshes D. Above 256 classes only
    the log tells how D went: its matrices would take gigabytes. `seconds` (wall clock) and `cpu_seconds` (this process,
    all threads) are those of the epochs, with the refresh of D and without evaluation; `steps` those of the optimizer.
    """

    def __init__(self, criterion: EMDCriterion, folder: str | Path, *, prints: bool = False) -> None:
        self.criterion, self.prints = criterion, prints
        self.path = Path(folder) / HISTORY_FILE
        self.seconds, self.cpu_seconds, self.steps = 0.0, 0.0, 0
        self.logs: dict[str, float] = {}  # of the epoch that has not been printed
        self.epochs: list[float] = []
        self.matrices: list[np.ndarray] = []

    def per_step(self, seconds: float) -> float | None:
        """The share of a step in a time; None before the first epoch has ended."""
        return seconds / self.steps if self.steps else None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Take up what a resumed run had written."""
        if state.global_step and self._writes(state) and self.path.is_file():
            try:
                epochs, matrices = read_epoch_distances(self.path, self.criterion.num_classes)
            except ValueError as error:  # it is only drawn, and training goes on without it
                logger.warning("D of the earlier epochs is not kept: %s.", error)
                return
            kept = epochs <= state.epoch
            self.epochs, self.matrices = epochs[kept].tolist(), list(matrices[kept].astype(np.float32))

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Print the last epoch, whose evaluation is over, and start the clocks."""
        self._print_epoch(args, state)
        self._began, self._began_at = (time.perf_counter(), time.process_time()), state.global_step

    def on_epoch_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Stop the clocks and note D."""
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]
        self.steps += state.global_step - self._began_at
        matrix = self.criterion.ground_distance
        if self._writes(state) and matrix is not None:
            if state.epoch in self.epochs[-1:]:  # The run was resumed from a checkpoint of the epoch's last step.
                del self.epochs[-1], self.matrices[-1]
            self.epochs.append(state.epoch)
            self.matrices.append(matrix.cpu().numpy().astype(np.float32))
            with write_aside(self.path) as path:
                np.savez_compressed(path, epochs=self.epochs, ground_distance=np.stack(self.matrices))  # (E, K, K)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Keep it for the line of the epoch."""
        self.logs |= logs

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Print the last epoch."""
        self._print_epoch(args, state)

    def _print_epoch(self, args: Any, state: TrainerState) -> None:
        logs, self.logs = self.logs, {}
        found = [f"loss {logs['loss']:.3f}"] if "loss" in logs else []
        if found and {"loss_ce", "loss_emd"} <= logs.keys():  # The sum rises where the regularizer sets in.
            entropy, emd = logs["loss_ce"], logs["loss_emd"]
            found[0] += f" ({entropy:.3f} cross-entropy {'-' if emd < 0 else '+'} {abs(emd):.3f} EMD)"
        for name in _PRINTED:
            if name in logs:
                metric, unit = METRICS[name], " %" if METRICS[name].in_percent else ""
                found.append(f"{metric.heading.removesuffix(' %')} {metric.shown(logs[name]):.{metric.digits}f}{unit}")
        if found and self.prints and state.is_world_process_zero:
            seconds = time.perf_counter() - self._began[0]
            tqdm.write(f"  epoch {state.epoch:g} of {args.num_train_epochs:g}: {', '.join(found)}, {seconds:.1f} s")

    def _writes(self, state: TrainerState) -> bool:
        learns = self.criterion.learns_ground_distance and self.criterion.num_classes <= MAX_CLASSES_IN_CONFIG
        return learns and state.is_world_process_zero
