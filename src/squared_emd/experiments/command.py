"""The command that makes one run of a table again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence

from .arguments import ExperimentArguments
from .plan import Run, learned_where

__all__ = ["command_of"]

# What says where things lie, what is done with them afterwards, and which runs there are.
_LEFT_OUT = {
    "output_dir", "dry_run", "redo", "push_to_hub", "resume_from_checkpoint", "disable_tqdm", "report_to", "run_name",
    "use_cpu", "model", "loss", "fold", "seeds", "seed", "validate",
}  # fmt: skip
_PATHS = {"data_dir", "ground_distance", "geometry", "deepspeed", "fsdp_config", "accelerator_config"}
_PREFIXES = ("hub_", "logging_", "save_")


def command_of(argv: Sequence[str], args: ExperimentArguments, run: Run) -> str:
    """The command line of one run: what was typed, less what does not change its result; folders are called DIR.

    Args:
        argv: of the recipe that trains it, as `sys.argv` has it.
        args: what was made of it.
        run: one of the table's.

    Returns:
        One line for a shell, to be run where the repository lies.
    """
    recipe = f"recipes/{os.path.basename(argv[0])}"
    ranks = args.world_size
    if ranks == 1:
        words = ["accelerate", "launch", recipe]
    elif args.device.type == "cpu":
        words = ["torchrun", "--nproc_per_node", str(ranks), recipe, "--use_cpu", "True"]
    else:
        words = ["accelerate", "launch", "--multi_gpu", "--num_processes", str(ranks), recipe]
    needs_distance = args.ground_distance is None and learned_where(args, run) is not None
    losses = ("xemd2", "a-emd") if needs_distance else (run.loss,)
    of_others = set.intersection(*(set(args.without_other_losses(loss)) for loss in losses))
    left_out = _LEFT_OUT | set(args.told_by_variant) | of_others
    for name, values in _options(argv[1:]):
        if name not in left_out and not name.startswith(_PREFIXES):
            words += [f"--{name}", *(_without_folder(value, is_path=name in _PATHS) for value in values)]
    if run.model != run.experiment.model:
        words += ["--model", _without_folder(run.model, is_path=True)]
    words += ["--loss", ",".join(losses)]
    if args.num_folds > 1:
        words += ["--fold", str(run.fold)]
    shared = args.seeds > 1 and (args.validate or args.select_rate or args.select_strength)
    # what is chosen is chosen with the first seed, for all of them
    words += ["--seed", str(args.seed), "--seeds", str(args.seeds)] if shared else ["--seed", str(run.seed)]
    words += run.experiment.options
    if args.validate:
        words += ["--validate"]
    return shlex.join(words)


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    name, values = None, []
    for word in words:
        if word.startswith("--"):
            if name is not None:
                yield name, values
            name, equals, value = word[2:].partition("=")
            name, values = name.replace("-", "_"), [value] if equals else []
        else:
            values.append(word)
    if name is not None:
        yield name, values


def _without_folder(value: str, *, is_path: bool) -> str:
    local = os.path.isabs(os.path.expanduser(value)) or value.startswith(("./", "../", "~"))
    if not local and not (is_path and os.path.exists(value)):
        return value
    return "FILE" if os.path.isfile(value) else "DIR"
