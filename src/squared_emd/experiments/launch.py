"""How a program of several processes starts, and how it ends: well, or with a message for its user."""

from __future__ import annotations

import argparse
import copy
import difflib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState
from transformers import HfArgumentParser, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from ..training.arguments import EMDTrainingArguments
from .arguments import ExperimentArguments

_TITLES = ("this recipe", "tables of runs", "losses", "training (documented as transformers.TrainingArguments)")
Arguments = TypeVar("Arguments", bound=TrainingArguments)


def parse_arguments(arguments: type[Arguments]) -> Arguments:
    """The command line of this process; what is wrong with it ends the program with a message.

    `--help` lists the options of the recipe, and of others on such data, first, then those of all recipes, those of the
    losses, and those of `transformers.TrainingArguments`.
    """
    parser = _RecipeParser(arguments)
    unknown = [word.partition("=")[0] for word in parser.parse_known_args()[1] if word.startswith("-")]
    if unknown:
        like = similar_options(unknown[0], parser.options)
        meant = f" Did you mean {' or '.join(like)}?" if like else ""
        sys.exit(f"{Path(sys.argv[0]).name}: there is no option {unknown[0]}.{meant} --help lists all.")
    with user_errors():
        return parser.parse_args_into_dataclasses()[0]


def similar_options(word: str, options: list[str]) -> list[str]:
    """The options that may have been meant, at most three.

    >>> similar_options("--epochs", ["--num_train_epochs", "--loss"]), similar_options("--lr", ["--learning_rate"])
    (['--num_train_epochs'], ['--learning_rate'])
    """
    name = word.lstrip("-").replace("-", "_")
    names = [option.lstrip("-") for option in options]
    containing = [other for other in names if len(name) > 3 and name in other]
    of_initials = [other for other in names if name == "".join(part[:1] for part in other.split("_"))]
    close = difflib.get_close_matches(name, names, cutoff=0.55)
    return [f"--{other}" for other in dict.fromkeys((*of_initials, *containing, *close))][:3]


class _RecipeParser(HfArgumentParser):
    """Lists the options by the class that declares them, each by one of its two spellings."""

    def __init__(self, arguments: type[TrainingArguments]) -> None:
        super().__init__(arguments, allow_abbrev=False)
        self._classes = [base for base in arguments.__mro__ if "__annotations__" in vars(base)]
        self.options = [option for action in self._actions for option in action.option_strings[:1]]

    def format_usage(self) -> str:
        """One line: the options fill a screen."""
        return f"usage: {self.prog} [options]\n"

    def format_help(self) -> str:
        """The usage and the options."""
        sections: dict[str, list[argparse.Action]] = {}
        for action in self._actions[1:]:  # The first is --help itself.
            shown = copy.copy(action)
            shown.option_strings = action.option_strings[:1]
            sections.setdefault(self._title(action), []).append(shown)
        formatter = self.formatter_class(prog=self.prog)
        formatter.add_usage("%(prog)s [options]", [], [])
        for title in _TITLES:
            formatter.start_section(title)
            formatter.add_arguments(sections.get(title, []))
            formatter.end_section()
        return formatter.format_help()

    def _title(self, action: argparse.Action) -> str:
        declared_in = next((base for base in self._classes if action.dest in base.__annotations__), TrainingArguments)
        if declared_in is TrainingArguments or not action.help:  # A default of ours for an option of transformers.
            return _TITLES[3]
        return _TITLES[{ExperimentArguments: 1, EMDTrainingArguments: 2}.get(declared_in, 0)]


def check_ranks(args: TrainingArguments) -> None:
    """Refuse a process that is alone although a launcher started several, as `torchrun` does without a GPU."""
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started > args.world_size:
        raise ValueError(
            f"{started} processes were started, but this one is connected to none of the others: each would train "
            "alone and overwrite the files of the rest. On a machine without a GPU add --use_cpu True."
        )


def print_on_main(text: str | Callable[[], str]) -> None:
    """Prints a text, or what a function gives, on the main process alone; the others do not call the function."""
    if PartialState().is_main_process:
        print(text() if callable(text) else text)


@contextmanager
def user_errors() -> Iterator[None]:
    """An OSError or ValueError ends the program with its message and status 1, without a traceback."""
    try:
        yield
    except (OSError, ValueError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def run_program(main: Callable[[], None]) -> None:
    """Run the program of one rank, and leave the process group; an interrupt ends it with status 130."""
    if hasattr(sys.stdout, "reconfigure"):  # A report has "±", which an ASCII terminal cannot show.
        sys.stdout.reconfigure(errors="replace")
    disable_progress_bar()  # of each model that is written
    timm_wrapper = "transformers.models.timm_wrapper.image_processing_timm_wrapper"
    logging.getLogger(timm_wrapper).setLevel(logging.ERROR)  # it warns of where it saves itself
    try:
        main()
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues with what is not done.", file=sys.stderr)
        sys.exit(130)
    PartialState().destroy_process_group()  # else one of several ranks may abort at its very end
