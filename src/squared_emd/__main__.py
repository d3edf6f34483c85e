"""The console script ``squared-emd``: reports of runs, D and intervals of a model, uploads, Spaces of the metrics."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

METRICS = ("mae", "aem", "aeo")
SPLITS = ("train", "validation", "test")
_FUNCTIONS = {
    "report": ("reports", "write_report"),
    "compare": ("reports", "write_comparison"),
    "distance": ("training.learned_distance", "write_learned_distance"),
    "calibrate": ("training.calibration", "write_calibration"),
    "push": ("hub.upload", "push_model"),
    "space": ("evaluate_modules", "write_space"),
}  # each takes seconds to import: not for --help


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one of the commands ``report``, ``compare``, ``distance``, ``calibrate``, ``push`` and ``space``.

    Args:
        arguments: of the command line; those of this process by default.
    """
    if hasattr(sys.stdout, "reconfigure"):  # A report has "±", which an ASCII terminal cannot show.
        sys.stdout.reconfigure(errors="replace")
    parser = argparse.ArgumentParser(prog="squared-emd", description="Squared EMD losses.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report", help="tables and figures of runs", description="Tables and figures of runs; nothing is trained."
    )
    report.add_argument("folders", nargs="+", metavar="DIR", help="a folder with runs in or below it")
    report.add_argument("--output", metavar="DIR", help="where the report is written; the first DIR by default")
    report.add_argument("--all_rows", action="store_true", help="show the paper's rows that nobody ran")
    compare = commands.add_parser(
        "compare",
        help="say whether one way to train is better than another",
        description="Compares runs that predicted the same samples, paired over samples and seeds, and says in a "
        "sentence whether the difference is clear. Nothing is trained.",
    )
    compare.add_argument(
        "folders",
        nargs="+",
        metavar="DIR",
        help="runs of one way to train, each with predictions.npz; the baseline first",
    )
    compare.add_argument("--output", metavar="FILE", help="write what came out as JSON too")
    for command in (report, compare):
        what = "that the rule to decide between classes is chosen by, on validation data; mae by default"
        command.add_argument("--metric", choices=METRICS, default="mae", help=what)
    _add_distance(commands)
    _add_calibrate(commands)
    push = commands.add_parser(
        "push",
        help="upload the model of a run to the Hub",
        description="Writes the card of a run's model and uploads both, with D and figures, to the Hub.",
    )
    push.add_argument("folder", metavar="DIR", help="the folder of the run")
    push.add_argument("repo_id", metavar="REPOSITORY", help="as me/age; made where it is not there")
    push.add_argument("--private", action="store_true", default=None, help="if it is made")
    push.add_argument("--revision", metavar="BRANCH", help="main by default")
    push.add_argument("--license", metavar="ID", help="of the weights, as the Hub names it: apache-2.0, cc-by-4.0 ...")
    space = commands.add_parser(
        "space",
        help="write a metric as a folder for the Hub",
        description="Writes a metric for evaluate as a folder that stands alone, with a page: a Space of the Hub.",
    )
    space.add_argument("name", metavar="NAME", help="of the metric, as ordinal_accuracy")
    space.add_argument(
        "folder", metavar="DIR", help="where to write; best called like the metric, as evaluate.load wants"
    )
    options = vars(parser.parse_args(arguments))
    command = options.pop("command")
    if "metric" in options:
        options["metric"] = f"eval_{options['metric']}"
    if options.get("rank") == "none":
        options["rank"] = None
    module, function = _FUNCTIONS[command]
    try:
        outcome = getattr(import_module(f"squared_emd.{module}"), function)(**options)
        if command == "push":
            print(f"{options['folder']} is at {outcome.repo_url}.")
        elif outcome:
            print(outcome)
    except (OSError, ValueError) as error:  # what the user can mend
        sys.exit(f"squared-emd {command}: {error}")


def _add_distance(commands: argparse._SubParsersAction) -> None:
    distance = commands.add_parser(
        "distance",
        help="learn D of a model that is trained already",
        description="Learns how far apart a trained classifier finds its classes, in one pass over labeled data, and "
        "saves that with the model. Nothing is trained. With several ranks: accelerate launch -m squared_emd distance",
    )
    _add_model_and_data(distance)
    distance.add_argument("--split", choices=SPLITS, help="of the data; all by default")
    distance.add_argument(
        "--rank",
        choices=("strict", "inclusive", "none"),
        default="strict",
        help="D is percentile ranks (Eq. 12), these counting the class itself, or the distances themselves",
    )
    distance.add_argument("--head", metavar="MODULE", help="the classifier head, where it cannot be found by itself")
    distance.add_argument("--num_proc", type=int, default=0, help="processes that read samples")
    distance.add_argument("--device", help="as cuda:1 or cpu")
    distance.add_argument("--output_dir", metavar="DIR", help="where the model is saved with D")
    distance.add_argument(
        "--push", dest="push_to", nargs="?", const="", metavar="REPOSITORY", help="upload it, to MODEL by default"
    )
    distance.add_argument("--private", action="store_true", default=None, help="if a repository is made")


def _add_calibrate(commands: argparse._SubParsersAction) -> None:
    calibrate = commands.add_parser(
        "calibrate",
        help="calibrate intervals of classes that hold the truth with a chosen probability",
        description="Calibrates the intervals of a trained classifier on labeled data that it was not trained on, "
        "measures their coverage on others, and writes both into its config and on its card. Nothing is trained.",
    )
    _add_model_and_data(calibrate)
    calibrate.add_argument("--coverage", type=float, nargs="+", default=[0.9], help="one or several; 0.9 by default")
    what = "of the data, to calibrate on: none that the model was trained on; validation by default, or where the data "
    what += "have none, half of the rows that the coverage is measured on"
    calibrate.add_argument("--split", choices=SPLITS, help=what)
    what = "of the data, to measure the coverage on; test by default"
    calibrate.add_argument("--test_split", choices=SPLITS, default="test", help=what)
    what = "where a model of the Hub is saved with its calibration; a folder is changed where it is"
    calibrate.add_argument("--output_dir", metavar="DIR", help=what)


def _add_model_and_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="a classifier on the Hub, or the folder of one")
    command.add_argument("--dataset", required=True, metavar="DATA", help="a folder, a file or a dataset of the Hub")
    command.add_argument("--input_column", metavar="NAME", help="of the images, texts or sounds")
    command.add_argument("--label_column", metavar="NAME", help="of the labels; label by default")
    command.add_argument("--batch_size", type=int, default=32)


if __name__ == "__main__":
    main()
