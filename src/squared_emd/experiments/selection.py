"""Chooses a learning rate, or the entropic strength of A-EMD, on data cut from the training side (section 4.1, 4.3)."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from datasets import Dataset

from .arguments import PAPER_RATES, PAPER_STRENGTHS, ExperimentArguments
from .experiment import Experiment
from .plan import Run
from .results import RESULTS, read_json, write_json
from .training import arguments_of, train

__all__ = ["choose", "trial_folders", "trial_result"]

logger = logging.getLogger(__name__)

_WORST = {True: -math.inf, False: math.inf}


def trial_folders(args: ExperimentArguments, run: Run) -> dict[str, list[Path]]:
    """The folders of the trials that a run needs.

    Args:
        args: of the table.
        run: one of its runs.

    Returns:
        `learning_rate` and `entropic_strength`, where they are to be chosen, each with a folder a candidate.
    """
    folders = {}
    if args.select_rate:
        folders["learning_rate"] = [run.trials / f"rate_1e{math.log10(rate):g}" for rate in PAPER_RATES]
    if args.select_strength and run.loss == "a-emd":
        folders["entropic_strength"] = [run.trials / f"strength_{strength:g}" for strength in PAPER_STRENGTHS]
    return folders


def trial_result(folder: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What a trial that lies there gave, if it was one with these settings.

    Args:
        folder: of the trial.
        settings: of the run.

    Returns:
        `value` is the metric that chooses, None where the trial ran into values that are not finite.
    """
    found = read_json(folder / RESULTS)
    return found if found is not None and found["settings"] == settings else None


def choose(
    args: ExperimentArguments,
    run: Run,
    train_rows: Dataset,
    settings: dict[str, Any],
    say: Callable[..., None],
    **own: Any,
) -> dict[str, float]:
    """The rate and the strength that do best on validation data; each trial is trained once and kept as a figure.

    The rate is chosen first (at the strength that is the default), the strength then at that rate. Rows are cut away
    with the first seed of the table, so that all seeds of a network, loss and fold share the choice. A trial that runs
    into NaN or infinite values counts as the worst.

    Args:
        args: of the table.
        run: one of its runs.
        train_rows: its training side; nothing else is looked at.
        settings: of the run; a trial that lies there with others is trained again.
        say: prints on the first rank.
        own: fields that the trials have in common with the run, `loss` among them.

    Returns:
        `learning_rate` and `entropic_strength`, as far as they are to be chosen.

    Raises:
        ValueError: no trial came to an end.
    """
    chosen: dict[str, float] = {}
    experiment = run.experiment
    rows = experiment.cut_validation(train_rows, args.seed)
    for name, folders in trial_folders(args, run).items():
        values = PAPER_RATES if name == "learning_rate" else PAPER_STRENGTHS
        results = {}
        for value, folder in zip(values, folders, strict=True):
            trial = arguments_of(args, experiment, **own, **chosen, **{name: value}, seed=args.seed)
            results[value] = _tried(trial, run, rows, folder, settings)
            told = f"{results[value]:.3f}" if math.isfinite(results[value]) else "failed"
            say(f"{run.loss}, {name.replace('_', ' ')} {value:.2g}: {_short(experiment)} {told} on validation data")
        best = (max if experiment.more_is_better else min)(results, key=results.__getitem__)
        if not math.isfinite(results[best]):
            raise ValueError(
                f"no {name} of {', '.join(f'{value:.2g}' for value in values)} could be trained with {run}: each ran "
                "into NaN or infinite values. Look for them in the data, or give a number."
            )
        chosen[name] = best
    return chosen


def _tried(
    trial: ExperimentArguments,
    run: Run,
    rows: tuple[Dataset, Dataset],
    folder: Path,
    settings: dict[str, Any],
) -> float:
    """The metric that chooses, of a trial that lies there or is trained now; the same on all ranks."""
    experiment = run.experiment
    trial.output_dir = str(folder)
    found = broadcast_object_list([trial_result(folder, settings)])[0]  # as the first rank sees it
    if found is not None:
        return _WORST[experiment.more_is_better] if found["value"] is None else found["value"]
    trial.nan_policy = "skip"  # on several ranks an error of one would leave the others waiting
    value = None
    try:
        outcome = train(trial, experiment, run.model, rows)
        if not any(entry.get("non_finite_samples") for entry in outcome.trainer.state.log_history):
            value = outcome.metrics[experiment.selected_by]
    except ValueError as error:
        if "finite" not in str(
            error
        ):  # else the metrics, or the automatic weight, met values that are not; on all ranks
            raise
        logger.warning("A trial of %s failed: %s", run, error)
    if trial.should_save:
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        write_json(folder / RESULTS, {"value": value, "metric": experiment.selected_by, "settings": settings})
    return _WORST[experiment.more_is_better] if value is None else value


def _short(experiment: Experiment) -> str:
    name = experiment.selected_by.removeprefix("eval_")
    return name.upper() if len(name) == 3 else name.replace("_", " ")
