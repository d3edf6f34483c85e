"""Runs a table: trains what is not there, goes on where it was interrupted, and reports what came out."""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import broadcast_object_list
from datasets import Dataset

from ..data.score_metrics import ScoreMetrics
from ..hub.results import digests_of_weights, facts_of_arguments
from ..plot import heat_map
from ..reports import write_report
from ..vision.networks import load_image_classifier
from .arguments import ExperimentArguments
from .command import command_of
from .cost import tell_cost
from .ensemble import EXPECTED_SCORES
from .experiment import Experiment
from .launch import check_ranks, user_errors
from .plan import Run, learned_where, plan
from .publishing import check_repository, push_run, repository_of
from .results import RESULTS, read_json, write_json
from .selection import choose
from .settings import differences, digest_of_rows, note_settings, settings_of
from .training import Outcome, arguments_of, check_small_pictures, train

__all__ = ["report_table", "run_table"]

Rows = tuple[Dataset, Dataset]  # to train on, and to test on


def run_table(args: ExperimentArguments, *experiments: Experiment, report: bool = True) -> list[dict[str, Any]]:
    """Train every run of a table that is not done yet, and report all of them.

    Each run lies in a folder of its own below `args.output_dir` (`Run`): its model, its results as `all_results.json`,
    its log. A run whose results lie there is not trained again; one with a whole checkpoint goes on from it. All that
    can be refused is refused before anything is trained. With `args.push_to_hub` each run is pushed when it is done, as
    is one that was done before; where that fails the table goes on.

    Args:
        args: the command line.
        experiments: what is trained on; several are variants of one table, with the same folds.
        report: write the report of the output folder, and print it.

    Returns:
        The results of all runs asked for, each with its `folder`, in the order of :func:`plan`; none of a dry run. The
        same on all ranks.
    """
    say = print if args.should_save else _silent
    with user_errors():
        check_ranks(args)
        runs = plan(args, experiments)
        rows = {(e.variant, fold): e.split(fold) for e in experiments for fold in args.folds}
        rows_of = {run: rows[run.experiment.variant, run.fold] for run in runs}
        digests = {key: digest_of_rows(*sides) for key, sides in rows.items()}

        def settings_now(run: Run) -> dict[str, Any]:
            return settings_of(args, run, rows_of[run], digests[run.experiment.variant, run.fold])

        for train_rows, _ in rows.values():
            args.check_steps(len(train_rows))
        _check_ground_distances(args, runs)
        if not args.redo:
            _check_earlier(runs, settings_now)
        _check_networks(args, runs, rows_of)
        if args.dry_run:
            tell_cost(args, runs, rows_of, settings_now, say)
            return []
        if args.push_to_hub:
            check_repository(args, runs)
            names = [repository_of(args, run, runs) for run in runs]
            say(f"What is done goes to {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}.")

    job = broadcast_object_list([f"{time.strftime('%Y-%m-%d %H:%M')} {uuid.uuid4().hex[:8]}"])[0]
    results, forgotten, failures = [], set(), []
    for number, run in enumerate(runs, start=1):
        with user_errors():
            done = broadcast_object_list([None if args.redo else read_json(run.folder / RESULTS)])[0]
        if done is None:
            say(f"\nRun {number} of {len(runs)}: {run}.")
            if args.redo and args.should_save:
                _forget(run, forgotten)
            done = _trained(args, run, rows_of[run], settings_now(run), job, say)
        else:
            say(f"{run}: done.")
        results.append(done | {"folder": str(run.folder)})
        if args.push_to_hub and (failure := push_run(args, run, runs, say)):
            failures.append(failure)
    if report:
        report_table(args)
    if failures:
        sys.exit(f"All runs are done; {len(failures)} of {len(runs)} were not pushed. The first: {failures[0]}")
    return results


def report_table(args: ExperimentArguments) -> None:
    """Write the report of all runs in the output folder, and print it, on the first rank.

    Args:
        args: of the table.
    """
    if args.should_save:
        with user_errors():
            print(f"\n{write_report([args.output_dir])}")
        print(f"\nEach run's model lies in {args.output_dir}/<network>/<loss>/fold_<k>/seed_<n>.")


def _trained(
    args: ExperimentArguments, run: Run, rows: Rows, settings: dict[str, Any], job: str, say: Callable[..., None]
) -> dict[str, Any]:
    """Train one run and write what came out into its folder."""
    own: dict[str, Any] = {"loss": run.loss}
    if place := learned_where(args, run):
        own["ground_distance"] = str(place)
    if args.validate:
        rows = run.experiment.cut_validation(rows[0], args.seed)
    checkpoint = broadcast_object_list([run.checkpoint])[0]
    if args.should_save:
        note_settings(run.folder, settings)
    own |= choose(args, run, rows[0], settings, say, **own)
    arguments = arguments_of(args, run.experiment, **own, seed=run.seed, output_dir=str(run.folder))
    say(
        f"{arguments.num_train_epochs:g} epochs, learning rate {arguments.learning_rate:.2g}"
        + (f", from {Path(checkpoint).name} on." if checkpoint else ".")
    )
    outcome = train(arguments, run.experiment, run.model, rows, checkpoint=checkpoint)
    outcome.trainer.save_model()
    outcome.trainer.accelerator.wait_for_everyone()
    results = _results(args, arguments, run, outcome) | {"job": job}
    if args.should_save:
        _write(run, outcome, results)
    outcome.trainer.accelerator.wait_for_everyone()  # a-emd reads it
    outcome.trainer.accelerator.free_memory()
    return results


def _results(args: ExperimentArguments, arguments: ExperimentArguments, run: Run, outcome: Outcome) -> dict[str, Any]:
    criterion, experiment = outcome.trainer.criterion, run.experiment
    return {
        "table": experiment.table,
        "data": experiment.data,
        "stand_in": experiment.stand_in,
        "variant": experiment.variant,
        "model": run.network,
        "loss": run.loss,
        "fold": run.fold,
        "folds": args.num_folds,
        "seed": run.seed,
        "tested_on": "validation data" if arguments.validate else experiment.tested_on,
        "num_train": len(outcome.samples.train),
        "num_test": len(outcome.samples.test),
        "learning_rate": arguments.learning_rate,
        "entropic_strength": arguments.entropic_strength if run.loss == "a-emd" else None,
        **{name: value for name, value in outcome.metrics.items() if isinstance(value, int | float)},
        "epochs": outcome.trainer.state.epoch,
        "sdd": criterion.sdd,
        "sdd_relative": criterion.sdd_relative,
        "regularizer_weight": criterion.regularizer_weight if arguments.is_self_guided else None,
        "seconds_per_step": outcome.seconds_per_step,
        "class_names": list(outcome.samples.class_names),
        "confusion_matrix": None if outcome.confusion is None else outcome.confusion.tolist(),
        "command": command_of(sys.argv, args, run),
        **facts_of_arguments(arguments),
        "weights": digests_of_weights(run.folder),
    }


def _write(run: Run, outcome: Outcome, results: dict[str, Any]) -> None:
    """The figures of a run, and last its results; its checkpoints have served."""
    if run.loss in ("xemd1", "xemd2"):
        heat_map(
            outcome.trainer.criterion.ground_distance.cpu().numpy(),
            class_names=outcome.samples.class_names,
            path=run.folder / "ground_distance.png",
            title=f"Ground distance learned by {run.loss.upper()}, {run.experiment.data}",
        )
    metrics = outcome.samples.compute_metrics
    if isinstance(metrics, ScoreMetrics):
        scores = {"predicted": metrics.expected_scores, "true": metrics.true_scores}  # (N,) each
        np.savez_compressed(run.folder / EXPECTED_SCORES, **scores)
    write_json(run.folder / RESULTS, results)
    for checkpoint in run.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _forget(run: Run, forgotten: set[Path]) -> None:
    """Take away what a run has left, and once the trials behind it."""
    shutil.rmtree(run.folder, ignore_errors=True)
    if run.trials not in forgotten:
        shutil.rmtree(run.trials, ignore_errors=True)
        forgotten.add(run.trials)


def _check_earlier(runs: list[Run], settings_now: Callable[[Run], dict[str, Any]]) -> None:
    """Refuse to mix runs that were made with other settings."""
    for run in runs:
        changed = differences(run.folder, settings_now(run))
        if changed:
            raise ValueError(
                f"{run.folder} holds a run with other settings: {'; '.join(changed)}. Give another --output_dir, or "
                "--redo to train it again."
            )


def _check_ground_distances(args: ExperimentArguments, runs: list[Run]) -> None:
    """Refuse a-emd where no xemd2 run is there or planned that it can take its D from."""
    planned = {run.folder for run in runs if run.loss == "xemd2"}
    for run in runs:
        place = learned_where(args, run)
        if place is not None and place not in planned and not place.exists():
            raise ValueError(
                "a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, or "
                f"--loss all; there is no {place}."
            )


def _check_networks(args: ExperimentArguments, runs: list[Run], rows_of: dict[Run, Rows]) -> None:
    """Build each network once, so that one that cannot be had is found before others are trained."""
    left = {run.model: run for run in runs if args.redo or not run.is_done}
    for model, run in left.items():
        names = run.experiment.samples(*rows_of[run], run.loss).class_names
        network = load_image_classifier(model, names, from_scratch=args.from_scratch)
        check_small_pictures(args, run.experiment, model, network)


def _silent(*_: object) -> None:
    """What the other ranks print."""
