"""Chooses a learning rate, or the entropic strength of A-EMD, on data cut from the training side (section 4.1, 4.3)."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from datasets import Dataset

from ..hub.main_process import on_main_process
from ..metrics.logs import RESULTS_FILE
from ..metrics.names import METRICS
from .arguments import ExperimentArguments
from .experiment import Run
from .launch import print_on_main
from .settings import read_results, write_json
from .training import arguments_of_run, train

logger = logging.getLogger(__name__)


def select_hyperparameters(
    args: ExperimentArguments, run: Run, train_rows: Dataset, settings: dict[str, Any], **own: Any
) -> dict[str, float]:
    """The rate and the strength that do best on validation data; each trial is trained once and kept as a number.

    The rate is chosen first (at the strength that is the default), the strength then at that rate; of several trials
    (`select_seeds`) the mean counts. Rows are cut away with the first seed of the table, so that all seeds of a
    network, loss and fold share the choice. A trial that runs into NaN or infinite values counts as the worst; one that
    lies there with other `settings` is trained again. `own`: fields that the trials have in common with the run.
    """
    experiment = run.experiment
    candidates = run.candidates(args)
    rows = experiment.with_validation(train_rows, args.seed) if candidates else None
    metric = METRICS[experiment.selected_by]
    sign = 1 if metric.less_is_better else -1
    heading = metric.heading.removesuffix(" %")
    chosen: dict[str, float] = {}
    for name, values in candidates.items():
        errors = {}
        for value in values:
            results, place = [], run.trials / f"{name}_{value!r}"  # all digits: no two values share it
            is_new = not place.exists()
            for number in range(args.select_seeds):
                folder = place / f"trial_{number}"
                own_seed = {name: value, "seed": args.seed + number, "output_dir": str(folder)}
                trial = arguments_of_run(args, experiment, **own, **chosen, **own_seed)
                results.append(_result_of_trial(trial, run, rows, folder, settings))
            failed = None in results
            errors[value] = math.inf if failed else sign * sum(results) / len(results)
            text = "failed" if failed else f"{sign * errors[value]:.3f}"
            if is_new:
                print_on_main(f"  {name.replace('_', ' ')} {value:.2g}: {heading} {text} on validation data")
        best = min(errors, key=errors.__getitem__)
        if math.isinf(errors[best]):
            raise ValueError(
                f"no {name} of {', '.join(f'{value:.2g}' for value in errors)} could be trained with {run}: each ran "
                "into NaN or infinite values. Look for them in the data, or give a number."
            )
        chosen[name] = best
    return chosen


def _result_of_trial(
    trial: ExperimentArguments, run: Run, rows: tuple[Dataset, Dataset], folder: Path, settings: dict[str, Any]
) -> float | None:
    """The metric that chooses, of a trial that lies there or is trained now; the same on all ranks."""
    own = {name: getattr(trial, name) for name in ("learning_rate", "entropic_strength")}
    settings = settings | own  # not the list that it is of: for seeds that are added it may be longer
    found = broadcast_object_list([read_results(folder)])[0]  # as the main process sees it
    if found is not None and found["settings"] == settings:
        return found["value"]
    trial.nan_policy = "skip"  # on several ranks an error of one would leave the others waiting
    if trial.has_validation_data and trial.early_stopping_patience is None:
        trial.save_strategy, trial.eval_strategy, trial.load_best_model_at_end = "no", "no", False
    value = None
    try:
        outcome = train(trial, run.experiment, run.model, rows, is_trial=True)
        if not any(entry.get("non_finite_samples") for entry in outcome.trainer.state.log_history):
            value = outcome.metrics[run.experiment.selected_by]
    except ValueError as error:
        if "finite" not in str(error):  # else the metrics, or the automatic weight, met NaN, on all ranks
            raise
        logger.warning("A trial of %s failed: %s", run, error)

    def keep() -> None:
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        content = {"value": value, "metric": run.experiment.selected_by, "settings": settings}
        write_json(folder / RESULTS_FILE, content)

    on_main_process(keep, OSError)
    return value
