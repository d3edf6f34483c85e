"""How a program of several processes starts, and how it ends: well, or with a message for its user."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from accelerate import PartialState
from accelerate.commands.config.config_args import default_config_file, load_config_from_file
from transformers import TrainingArguments
from transformers.utils.logging import disable_progress_bar

__all__ = ["check_ranks", "requested_processes", "run_program", "user_errors"]

logger = logging.getLogger(__name__)


def requested_processes() -> int:
    """The number of processes that the launcher was told to start, as far as it can be seen from inside.

    Returns:
        `WORLD_SIZE` where a launcher set it; else what `--num_processes`, or the config file, said to the `accelerate
        launch` that started this process (with `--cpu` it sets no variable); else 1.
    """
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    try:
        command = psutil.Process().parent().cmdline()
    except (psutil.Error, AttributeError):  # no parent that may be looked at
        return 1
    if sys.argv[0] in command:
        command = command[: command.index(sys.argv[0])]  # what follows are the script's own options
    start = " ".join(command[:4])
    words = [word for part in command for word in part.replace("--num-processes", "--num_processes").split("=", 1)]
    if "accelerate" not in start or "launch" not in start:
        return 1
    if "--num_processes" in words[:-1]:
        count = words[words.index("--num_processes") + 1]
        return int(count) if count.isdigit() else 1
    file = words[words.index("--config_file") + 1] if "--config_file" in words[:-1] else default_config_file
    return load_config_from_file(file).num_processes if os.path.isfile(file) else 1


def check_ranks(args: TrainingArguments) -> None:
    """Report a process that is alone although more were requested.

    `accelerate launch --cpu --num_processes 2` starts one process: a warning. `torchrun` without `--use_cpu True` on a
    machine without a GPU starts several that are not connected and overwrite each other's files: an error.

    Raises:
        ValueError: several unconnected processes run the same script.
    """
    requested, have = requested_processes(), args.world_size
    if requested <= have:
        return
    if "WORLD_SIZE" in os.environ:
        raise ValueError(
            f"{requested} processes were started, but this one is connected to none of the others: each would train "
            "alone and overwrite the files of the rest. On a machine without a GPU add --use_cpu True."
        )
    logger.warning(
        "%d processes were requested, %d is running (accelerate launch --cpu starts one only). For two ranks on one "
        "machine: torchrun --nproc_per_node 2 SCRIPT --use_cpu True",
        requested,
        have,
    )


@contextmanager
def user_errors() -> Iterator[None]:
    """An OSError or ValueError ends the program with its message and status 1, without a traceback."""
    try:
        yield
    except (OSError, ValueError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def run_program(main: Callable[[], None]) -> None:
    """Run the program of one rank, and leave the process group.

    Raises:
        SystemExit: with status 130, where it was interrupted.
    """
    disable_progress_bar()  # of each model that is written
    timm_wrapper = "transformers.models.timm_wrapper.image_processing_timm_wrapper"
    logging.getLogger(timm_wrapper).setLevel(logging.ERROR)  # it warns of where it saves itself
    try:
        main()
    except KeyboardInterrupt:
        print("\nInterrupted. The same command continues with what is not done.", file=sys.stderr)
        sys.exit(130)
    PartialState().destroy_process_group()  # else one of several ranks may abort at its very end
