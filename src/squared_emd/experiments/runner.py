"""Runs a table: trains the runs that are not done, resumes those that were interrupted, and reports all of them."""

from __future__ import annotations

import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from datasets import Dataset

from ..ground_distance.given import as_ground_distance
from ..ground_distance.saved import read_ground_distance
from ..hub.main_process import on_main_process
from ..hub.upload import UploadError, create_repository, push_model
from ..reports import write_report
from .arguments import ExperimentArguments
from .experiment import Experiment, Run, path_to_ground_distance, plan
from .launch import check_ranks, print_on_main, user_errors
from .results import results_of_run, write_results
from .selection import select_hyperparameters
from .settings import SETTINGS_FILE, check_settings, digest_of_rows, read_results, settings_of, write_json
from .training import arguments_of_run, train

_CUT_SEED = 42  # of the rows that --validate tests on: the same whatever seeds a table has, or is given later


def run_table(
    args: ExperimentArguments,
    *experiments: Experiment,
    before_report: Callable[[list[dict[str, Any]]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train every run of a table that is not done yet, and report all of them.

    Each run lies in a folder of its own below `args.output_dir` (`Run`): its model, its results as `all_results.json`,
    its log. A run whose results lie there is not trained again; one with a complete checkpoint resumes from it. All
    that can be refused is refused before anything is trained. With `args.push_to_hub` each run is pushed when it is
    done, as is one that was done before; where that fails the table goes on.

    Args:
        args: the command line.
        experiments: what is trained on; several are variants of one table, with the same folds.
        before_report: gets the results on the main process, before all that lies in the output folder is reported.

    Returns:
        The results of all runs asked for, each with its `folder`, in the order of :func:`plan`; none of a dry run. The
        same on all ranks.
    """
    with user_errors():
        check_ranks(args)
        runs = plan(args, experiments)
        table = _Table(args, experiments)
        table.check(runs)
        print_on_main(_count(runs))
        if args.dry_run:
            print_on_main(f"\nRuns in {args.output_dir}:")
            for run in runs:
                print_on_main(f"  {run}: {_state(args, run)}")
            return []
        if args.push_to_hub:
            names = [repository_of(args, run, runs) for run in runs]
            options = {"token": args.hub_token, "private": args.hub_private_repo}
            # A token that may not write is found before anything is trained.
            on_main_process(lambda: create_repository(names[0], runs[0].folder, **options), UploadError)
            print_on_main(f"Finished runs go to {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}.")

    job = broadcast_object_list([f"{time.strftime('%Y-%m-%d %H:%M')} {uuid.uuid4().hex[:8]}"])[0]
    if _num_trainings(args, runs) > 1:
        known = f"Without any option this recipe takes about {args.cpu_seconds} s of CPU time. "
        known = "" if args.has_data or args.cpu_seconds is None else known
        print_on_main(f"{known}How long these runs take is told after the first.")
    results, failures, left = [], [], None
    if args.redo and args.should_save:
        for run in runs:
            shutil.rmtree(run.trials, ignore_errors=True)
    for number, run in enumerate(runs, start=1):
        with user_errors():
            found = broadcast_object_list([None if args.redo else read_results(run.folder)])[0]
        if found is None:
            print_on_main(f"\nRun {number} of {len(runs)}: {run}.")
            if args.redo and args.should_save:
                shutil.rmtree(run.folder, ignore_errors=True)
            begun, trainings = time.perf_counter(), _num_trainings(args, runs[number - 1 :])
            found = _train_run(args, run, table, job)
            if left is None and (left := _num_trainings(args, runs[number:])):
                minutes = (time.perf_counter() - begun) * left / (trainings - left) / 60
                print_on_main(f"About {_duration(minutes)} for the others, by the time of this one.")
        else:
            print_on_main(f"{run}: done.")
        results.append(found | {"folder": str(run.folder)})
        if args.push_to_hub and (failure := _push(args, run, repository_of(args, run, runs))):
            failures.append(failure)
    if args.should_save:
        with user_errors():
            if before_report is not None:
                before_report(results)
            report = write_report([args.output_dir], metric=f"eval_{args.metric}", all_rows=args.all_rows)
        fold = "" if args.has_validation_data else "fold_<k>/"
        print(f"\nEach run's model lies in {args.output_dir}/<network>/<loss>/{fold}seed_<n>.\n\n{report}")
    if failures:
        sys.exit(f"All runs are done; {len(failures)} of {len(runs)} were not pushed. The first: {failures[0]}")
    return results


class _Table:
    """The rows and the settings of the runs of a table."""

    def __init__(self, args: ExperimentArguments, experiments: Sequence[Experiment]) -> None:
        self.args = args
        self._rows, self._digests = {}, {}
        for experiment in experiments:
            for fold in [None] if args.has_validation_data else args.folds:
                rows = experiment.split(fold or 0)
                args.check_steps(len(rows[0]))
                validation = [] if experiment.validation is None else [experiment.validation]
                self._rows[experiment.variant, fold] = rows
                self._digests[experiment.variant, fold] = digest_of_rows(*rows, *validation)

    def rows(self, run: Run) -> tuple[Dataset, Dataset]:
        return self._rows[run.experiment.variant, run.fold]

    def settings(self, run: Run) -> dict[str, Any]:
        place = path_to_ground_distance(self.args, run)
        return settings_of(self.args, run, place, self._digests[run.experiment.variant, run.fold])

    def check(self, runs: Sequence[Run]) -> None:
        """Refuse what can be refused before anything is trained."""
        planned = {run.folder for run in runs if run.loss == "xemd2"}
        for run in runs:
            place = path_to_ground_distance(self.args, run)
            if place is not None and place not in planned and not place.exists():
                raise ValueError(
                    "a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, or "
                    f"--loss all; there is no {place}."
                )
        given = self.args.ground_distance
        for run in {run.experiment.variant: run for run in runs if self._takes_matrix(run)}.values():
            class_names = run.experiment.samples(*self.rows(run), run.loss).class_names
            as_ground_distance(read_ground_distance(given, class_names), len(class_names), source=given)
        if not self.args.redo:
            for run in runs:
                check_settings(run.folder, self.settings(run))
        for run in {run.model: run for run in runs if self.args.redo or not run.is_done}.values():
            samples = run.experiment.samples(*self.rows(run), run.loss)
            run.experiment.build(run.model, samples, len(samples.class_names))  # a network that cannot be had

    def _takes_matrix(self, run: Run) -> bool:
        """Whether a given D is that of the run, as a matrix; a-emd may be given the folder of a table."""
        given = self.args.options_of(run.loss).get("ground_distance", self.args.ground_distance)
        return given is not None and run.loss != "a-emd"


def _count(runs: Sequence[Run]) -> str:
    """As "6 runs: xe, xemd x seeds 42, 43, 44."; networks, bins and folds are named where there are several."""
    networks, variants, losses, folds, seeds = (
        list(dict.fromkeys(of))
        for of in zip(*((r.network, r.experiment.variant, r.loss, r.fold, r.seed) for r in runs), strict=True)
    )
    parts = [", ".join(map(str, of)) for of in (networks, variants) if len(of) > 1] + [", ".join(losses)]
    parts += [f"folds {', '.join(map(str, folds))}"] if len(folds) > 1 else []
    parts.append(f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}")
    return f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}: {' x '.join(parts)}."


def _num_trainings(args: ExperimentArguments, runs: Sequence[Run]) -> int:
    """How many of the runs, and of their trials, are to be trained."""
    to_do = [run for run in runs if args.redo or not run.is_done]
    selected = {run.trials: run for run in to_do if not run.trials.exists()}.values()
    return len(to_do) + args.select_seeds * sum(len(of) for run in selected for of in run.candidates(args).values())


def _duration(minutes: float) -> str:
    return f"{minutes:.0f} minutes" if minutes >= 1.5 else f"{60 * minutes:.0f} seconds"


def _state(args: ExperimentArguments, run: Run) -> str:
    if args.redo:
        return "to do"
    checkpoint = run.checkpoint
    return "done" if run.is_done else f"resumes from {Path(checkpoint).name}" if checkpoint else "to do"


def _train_run(args: ExperimentArguments, run: Run, table: _Table, job: str) -> dict[str, Any]:
    """Train one run and write what came out into its folder."""
    own: dict[str, Any] = {"loss": run.loss}
    if place := path_to_ground_distance(args, run):
        own["ground_distance"] = str(place)
    rows, settings = table.rows(run), table.settings(run)
    experiment = chooser = run.experiment
    if args.validate:  # what is chosen is chosen on other rows, cut from those that are left
        rows, chooser = experiment.with_validation(rows[0], _CUT_SEED), replace(experiment, validation=None)
    checkpoint = on_main_process(lambda: run.checkpoint, OSError)
    on_main_process(lambda: write_json(run.folder / SETTINGS_FILE, settings), OSError)
    choosing = replace(run, experiment=chooser)
    own |= select_hyperparameters(args, choosing, rows[0], settings, **own)
    arguments = arguments_of_run(args, experiment, **own, seed=run.seed, output_dir=str(run.folder))
    resumes = f", from {Path(checkpoint).name} on" if checkpoint else ""
    epochs = "1 epoch" if arguments.num_train_epochs == 1 else f"{arguments.num_train_epochs:g} epochs"
    print_on_main(f"{epochs}, learning rate {arguments.learning_rate:.2g}{resumes}.")
    outcome = train(arguments, chooser if args.chooses_epoch else experiment, run.model, rows, checkpoint=checkpoint)
    outcome.trainer.save_model()
    outcome.trainer.accelerator.wait_for_everyone()
    results = results_of_run(arguments, run, outcome, job)
    on_main_process(lambda: write_results(run, outcome, results), OSError)  # all ranks wait: a-emd reads them
    outcome.trainer.accelerator.free_memory()
    return results


def repository_of(args: ExperimentArguments, run: Run, runs: Sequence[Run]) -> str:
    """The repository of a run: `hub_model_id`, followed by what sets the run apart where there are several."""
    parts = [
        lambda run: run.network,
        lambda run: run.experiment.variant,
        lambda run: run.loss,
        lambda run: f"fold-{run.fold}",
        lambda run: f"seed-{run.seed}",
    ]
    apart = [part(run) for part in parts if len({part(other) for other in runs}) > 1]
    names = [args.hub_model_id, *(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in apart)]
    return "-".join(filter(None, names))


def _push(args: ExperimentArguments, run: Run, repository: str) -> str | None:
    """Push a finished run; None, or why it failed and how to try again, the same on all ranks."""
    options = {"token": args.hub_token, "private": args.hub_private_repo, "revision": args.hub_revision}
    options |= {"license": args.hub_license, "message": f"{run}"}
    try:
        on_main_process(lambda: push_model(run.folder, repository, **options).oid, UploadError)
    except UploadError as error:
        print_on_main(f"{error}")
        return str(error)
    print_on_main(f"Pushed to {repository}.")
    return None
