"""Runs a table: trains what is not there, goes on where it was interrupted, and reports what came out."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list

from ..launch import check_ranks, user_errors
from ..reports import write_report
from ..reports.figures import plot_ground_distance
from ..score_metrics import ScoreMetrics
from .arguments import ExperimentArguments
from .ensemble import EXPECTED_SCORES
from .estimate import measure_pace, spoken
from .experiment import Experiment
from .plan import RESULTS, Run, differences, learned_where, note_settings, plan, read_json, settings_of, write_json
from .selection import choose, trial_folders, trials_of
from .training import Outcome, arguments_of, train

__all__ = ["report_table", "run_table"]


def run_table(args: ExperimentArguments, experiment: Experiment, *, report: bool = True) -> list[dict[str, Any]]:
    """Train every run of a table that is not done yet, and report all of them.

    Each run lies in a folder of its own below `args.output_dir` (`Run`): its model, its results as `all_results.json`,
    its log. A run whose results lie there is not trained again; one with a whole checkpoint goes on from it.

    Args:
        args: the command line.
        experiment: what is trained on.
        report: write the report of the output folder, and print it.

    Returns:
        The results of all runs asked for, each with its `folder`, in the order of :func:`plan`; none of a dry run. The
        same on all ranks.
    """
    say = print if args.should_save else _silent
    with user_errors():
        check_ranks(args)
        runs = plan(args, experiment)
        rows = {fold: experiment.split(fold) for fold in args.folds}
        settings = {run: settings_of(args, experiment, run.loss, *map(len, rows[run.fold])) for run in runs}
        for train_rows, _ in rows.values():
            args.check_steps(len(train_rows))
        if not args.redo:
            _check_earlier(runs, settings)
        _check_ground_distances(args, experiment, runs)
    if args.dry_run:
        _tell_cost(args, experiment, runs, rows, say)
        return []

    job = broadcast_object_list([f"{time.strftime('%Y-%m-%d %H:%M')} {uuid.uuid4().hex[:8]}"])[0]
    if args.redo and args.should_save:
        _forget(runs)
    results = []
    for number, run in enumerate(runs, start=1):
        done = broadcast_object_list([read_json(run.folder / RESULTS)])[0]  # as the first rank sees it
        if done is not None:
            say(f"{run}: done.")
            results.append(done | {"folder": str(run.folder)})
            continue
        say(f"\nRun {number} of {len(runs)}: {run}.")
        trained = _trained(args, experiment, run, rows[run.fold], settings[run], job, say)
        results.append(trained | {"folder": str(run.folder)})
    if report:
        report_table(args)
    return results


def report_table(args: ExperimentArguments) -> None:
    """Write the report of all runs in the output folder, and print it, on the first rank.

    Args:
        args: of the table.
    """
    if args.should_save:
        print(f"\n{write_report([args.output_dir])}")
        print(f"\nEach run's model lies in {args.output_dir}/<network>/<loss>/fold_<k>/seed_<n>.")


def _trained(
    args: ExperimentArguments,
    experiment: Experiment,
    run: Run,
    rows: tuple,
    settings: dict[str, Any],
    job: str,
    say: Callable[..., None],
) -> dict[str, Any]:
    """Train one run and write what came out into its folder."""
    own: dict[str, Any] = {"loss": run.loss}
    if run.loss == "a-emd":
        own["ground_distance"] = str(learned_where(args, experiment, run))
    checkpoint = broadcast_object_list([run.checkpoint])[0]
    if args.should_save:
        note_settings(run, settings)
    own |= choose(args, experiment, run, rows[0], settings, say, **own)
    if args.validate:
        rows = experiment.cut_validation(rows[0], run.seed)
    arguments = arguments_of(args, experiment, **own, seed=run.seed, output_dir=str(run.folder))
    say(
        f"{arguments.num_train_epochs:g} epochs, learning rate {arguments.learning_rate:.2g}"
        + (f", from {Path(checkpoint).name} on." if checkpoint else ".")
    )
    outcome = train(arguments, experiment, run.model, rows, checkpoint=checkpoint)
    outcome.trainer.save_model()
    results = _results(arguments, experiment, run, outcome) | {"folds": args.num_folds, "job": job}
    results["num_train"], results["num_test"] = map(len, rows)
    if args.should_save:
        if arguments.is_self_guided:
            plot_ground_distance(
                outcome.trainer.criterion.ground_distance.cpu().numpy(),
                outcome.samples.class_names,
                run.folder / "ground_distance.png",
                title=f"Ground distance learned by {run.loss.upper()}, {experiment.data}",
            )
        metrics = outcome.samples.compute_metrics
        if isinstance(metrics, ScoreMetrics):
            scores = {"predicted": metrics.expected_scores, "true": metrics.true_scores}  # (N,) each
            np.savez_compressed(run.folder / EXPECTED_SCORES, **scores)
        write_json(run.folder / RESULTS, results)
    outcome.trainer.accelerator.wait_for_everyone()  # a-emd reads it
    outcome.trainer.accelerator.free_memory()
    return results


def _results(arguments: ExperimentArguments, experiment: Experiment, run: Run, outcome: Outcome) -> dict[str, Any]:
    criterion = outcome.trainer.criterion
    return {
        "table": experiment.table,
        "data": experiment.data,
        "stand_in": experiment.stand_in,
        "variant": experiment.variant,
        "model": run.model,
        "loss": run.loss,
        "fold": run.fold,
        "seed": run.seed,
        "tested_on": "validation data" if arguments.validate else experiment.tested_on,
        "learning_rate": arguments.learning_rate,
        "entropic_strength": arguments.entropic_strength if run.loss == "a-emd" else None,
        **{name: value for name, value in outcome.metrics.items() if isinstance(value, int | float)},
        "epochs": outcome.trainer.state.epoch,
        "sdd": criterion.sdd,
        "sdd_relative": criterion.sdd_relative,
        "regularizer_weight": criterion.regularizer_weight if arguments.is_self_guided else None,
        "seconds_per_step": outcome.seconds_per_step,
        "device": _device_name(arguments.device),
        "class_names": list(outcome.samples.class_names),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _forget(runs: list[Run]) -> None:
    """Take away what runs have left, and the trials behind them."""
    for run in runs:
        for folder in (run.folder, trials_of(run)):
            shutil.rmtree(folder, ignore_errors=True)


def _check_earlier(runs: list[Run], settings: dict[Run, dict[str, Any]]) -> None:
    """Refuse to mix runs that were made with other settings."""
    for run in runs:
        changed = differences(run, settings[run])
        if changed:
            raise ValueError(
                f"{run.folder} holds a run with other settings: {'; '.join(changed)}. Give another --output_dir, or "
                "--redo to train it again."
            )


def _check_ground_distances(args: ExperimentArguments, experiment: Experiment, runs: list[Run]) -> None:
    """Refuse a-emd where no xemd2 run is there or planned that it can take its D from."""
    planned = {run.folder for run in runs if run.loss == "xemd2"}
    for run in runs:
        place = learned_where(args, experiment, run) if run.loss == "a-emd" else None
        if place is not None and place not in planned and not place.exists():
            raise ValueError(
                f"a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, or "
                f"--loss all; there is no {place}."
            )


def _tell_cost(
    args: ExperimentArguments, experiment: Experiment, runs: list[Run], rows: dict[int, tuple], say: Callable[..., None]
) -> None:
    """Print the runs, what is done, and how long the rest may take."""
    say(f"\nRuns in {args.output_dir}:")
    seconds, trials_left, trials = 0.0, 0, 0
    paces = {}
    chosen_for = set()
    for run in runs:
        home = run.folder.parent
        folders = [] if home in chosen_for else [f for group in trial_folders(args, run).values() for f in group]
        chosen_for.add(home)
        left = sum(1 for folder in folders if args.redo or not (folder / RESULTS).is_file())
        trials, trials_left = trials + len(folders), trials_left + left
        state = "to do" if args.redo else run.state
        note = f", {len(folders)} trials, {left} of them to do" if folders else ""
        say(f"  {run}: {state}{note}")
        if state == "done":
            continue
        if run.model not in paces:
            paces[run.model] = measure_pace(args, experiment, run.model, rows[run.fold])
        num_train, num_test = map(len, rows[run.fold])
        seconds += (left + 1) * paces[run.model].of_run(args, num_train, num_test)
    for model, pace in paces.items():
        say(f"Measured with {model}: {pace.step:.3g} s a step, {pace.row:.3g} s a row of the test.")
    done = sum(run.is_done for run in runs) if not args.redo else 0
    count = f"{len(runs) - done} of {len(runs)} runs are to do"
    say(
        f"{count}{f' and {trials_left} of {trials} trials' if trials else ''}: about {spoken(seconds)} on this machine."
    )


def _silent(*_: object) -> None:
    """What the other ranks print."""
