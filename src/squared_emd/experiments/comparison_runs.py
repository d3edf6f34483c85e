"""Compares losses on data of any kind: each is trained once a seed, chosen by validation data and tested once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from ..training.checkpoints import last_whole_checkpoint
from .comparison import ComparedRun, Comparison
from .comparison_arguments import RATES, ComparisonArguments
from .comparison_table import write_comparison
from .comparison_training import CommonSettings, choose_rate, train_and_test
from .launch import check_ranks, user_errors
from .results import RESULTS, read_json, write_json

__all__ = ["run_comparison"]


def run_comparison(args: ComparisonArguments, comparison: Comparison) -> list[dict[str, Any]]:
    """Train every run that is not done yet, and write the table of all of them.

    Each run lies in `<output_dir>/<network>/<loss>/seed_<n>`: its model, its log, and last its `all_results.json`,
    where `eval_...` are of the test data and `validation_...` of the validation data. A run whose results lie there is
    not trained again; one with a whole checkpoint goes on from it; one with other settings is refused.

    Args:
        args: the command line.
        comparison: the data and the network.

    Returns:
        The results of the runs asked for, each with its `folder`, loss by loss. The same on all ranks.
    """
    say = print if args.should_save else _silent
    root = Path(args.output_dir, comparison.network.replace("/", "--").replace(" ", "_"))
    runs = [ComparedRun(loss, seed, root / loss / f"seed_{seed}") for loss in args.losses for seed in args.run_seeds]
    with user_errors():
        check_ranks(args)
        settings = CommonSettings(args, comparison)
        places = {run: _ground_distance_of(args, runs, run) for run in runs}
        if not args.redo:
            for run in runs:
                settings.check_earlier(run)
        comparison.build(len(comparison.class_names))  # one that cannot be had is found before others are trained
    results = []
    for number, run in enumerate(runs, start=1):
        with user_errors():
            done = broadcast_object_list([None if args.redo else read_json(run.folder / RESULTS)])[0]
        if done is None:
            say(f"\nRun {number} of {len(runs)}: {run}.")
            if args.redo and args.should_save:
                shutil.rmtree(run.folder, ignore_errors=True)
            checkpoint = broadcast_object_list([last_whole_checkpoint(run.folder)])[0]
            if args.should_save:
                settings.note(run)
            rate = args.rate or comparison.rates[run.loss]
            if args.select_rate:
                rate = choose_rate(args, comparison, run, settings, RATES, say, places[run])
            say(f"{args.num_train_epochs:g} epochs, learning rate {rate:.2g}{', goes on' if checkpoint else ''}.")
            done = train_and_test(args, comparison, run, rate, places[run], checkpoint)
            if args.should_save:
                write_json(run.folder / RESULTS, done)
                for folder in run.folder.glob("checkpoint-*"):
                    shutil.rmtree(folder)
        else:
            say(f"{run}: done.")
        results.append(done | {"folder": str(run.folder)})
    if args.should_save:
        with user_errors():
            print(f"\n{write_comparison(args.output_dir)}")
    return results


def _ground_distance_of(args: ComparisonArguments, runs: Sequence[ComparedRun], run: ComparedRun) -> str | None:
    """The xemd2 run of the same seed, whose D an a-emd run takes where none was given (section 4.3)."""
    if run.loss != "a-emd" or args.ground_distance is not None or args.geometry is not None:
        return None  # the arguments say it
    place = run.folder.parents[1] / "xemd2" / run.folder.name
    if not (place / RESULTS).is_file() and not any(other.folder == place for other in runs):
        raise ValueError(
            "a-emd needs a D: that of an xemd2 run of the same seed (--loss xemd2,a-emd or --loss all; there is no "
            f"{place}), --ground_distance FILE or --geometry line."
        )
    return str(place)


def _silent(*_: object) -> None:
    """What the other ranks print."""
