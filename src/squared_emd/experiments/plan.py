"""Which runs a table needs, where each lies, and what of it is there already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from ..checkpoints import last_whole_checkpoint
from .arguments import ExperimentArguments
from .experiment import Experiment

__all__ = [
    "RESULTS",
    "Run",
    "differences",
    "learned_where",
    "note_settings",
    "plan",
    "read_json",
    "settings_of",
    "write_json",
]

RESULTS = "all_results.json"
_SETTINGS = "settings.json"
# Of TrainingArguments, what can change a result; our own fields all can, but for these.
_STANDARD = (
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "optim",
    "optim_args", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "weight_decay", "adam_beta1",
    "adam_beta2", "adam_epsilon", "max_grad_norm", "label_smoothing_factor", "data_seed", "bf16", "fp16",
)  # fmt: skip
_OF_THE_TABLE = {
    "data_dir", "skip_bad_images", "model", "loss", "fold", "seeds", "learning_rate", "entropic_strength", "dry_run",
    "redo", "output_dir", "nan_policy", "nan_steps",
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One cell of a table.

    Args:
        model: the network, as it was asked for.
        loss: the loss.
        fold: the test fold.
        seed: the seed.
        folder: where it lies.
    """

    model: str
    loss: str
    fold: int
    seed: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.model}, {self.loss}, test fold {self.fold}, seed {self.seed}"

    @property
    def is_done(self) -> bool:
        """Whether its results lie there: they are the last that is written."""
        return (self.folder / RESULTS).is_file()

    @property
    def checkpoint(self) -> str | None:
        """From where it can go on, if it was interrupted."""
        return None if self.is_done else last_whole_checkpoint(self.folder)

    @property
    def state(self) -> str:
        """In words."""
        if self.is_done:
            return "done"
        return f"goes on from {Path(self.checkpoint).name}" if self.checkpoint else "to do"


def plan(args: ExperimentArguments, experiment: Experiment) -> list[Run]:
    """The runs of a table, in the order in which they are trained.

    Args:
        args: networks, losses, folds and seeds.
        experiment: its default network and its variant.

    Returns:
        One run each; an xemd2 run comes before the a-emd run that takes its D.
    """
    return list(_runs(args, experiment))


def _runs(args: ExperimentArguments, experiment: Experiment) -> Iterator[Run]:
    for model in args.model or [experiment.model]:
        for loss in args.losses:
            for fold in args.folds:
                for seed in args.run_seeds:
                    yield Run(model, loss, fold, seed, folder_of(args.output_dir, experiment, model, loss, fold, seed))


def folder_of(output: str | Path, experiment: Experiment, model: str, loss: str, fold: int, seed: int) -> Path:
    """Where a run lies below an output folder.

    Args:
        output: the output folder of the table.
        experiment: of the run.
        model: the network; a path or Hub name becomes one folder.
        loss: the loss.
        fold: the test fold.
        seed: the seed.
    """
    network = model.strip("/").replace("/", "--")
    variant = [experiment.variant.replace(" ", "_")] if experiment.variant else []
    return Path(output, network, *variant, loss, f"fold_{fold}", f"seed_{seed}")


def learned_where(args: ExperimentArguments, experiment: Experiment, run: Run) -> Path:
    """Where the D for an a-emd run lies: the xemd2 run of the same network, fold and seed (section 4.3).

    Args:
        args: `ground_distance` may be a file with a matrix, the folder of a run or that of a table; without it the
            table's own folder is meant.
        experiment: of the run.
        run: the a-emd run.

    Returns:
        A file or the folder of a run; an xemd2 run that is planned need not be there yet.
    """
    given = Path(args.ground_distance or args.output_dir)
    if given.is_file() or (given / "config.json").is_file() or given.suffix in (".json", ".npy", ".safetensors"):
        return given
    return folder_of(given, experiment, run.model, "xemd2", run.fold, run.seed)


def settings_of(
    args: ExperimentArguments, experiment: Experiment, loss: str, num_train: int, num_test: int
) -> dict[str, Any]:
    """What the result of a run depends on, but for its place in the table.

    Args:
        args: as given on the command line.
        experiment: what is trained on.
        loss: of the run.
        num_train: rows to train on.
        num_test: rows to test on.

    Returns:
        Values as JSON has them.
    """
    standard = {field.name for field in fields(TrainingArguments)}
    own = [field.name for field in fields(args) if field.name not in standard | _OF_THE_TABLE]
    settings = {name: getattr(args, name) for name in (*_STANDARD, *own)}
    settings["learning_rate"] = "select" if args.select_rate else args.rate or experiment.rates[loss]
    if loss == "a-emd":
        settings["entropic_strength"] = "select" if args.select_strength else args.entropic_strength
    settings |= {"data": experiment.data, "ranks": args.world_size, "num_train": num_train, "num_test": num_test}
    return json.loads(json.dumps(settings, default=str))


def differences(run: Run, settings: dict[str, Any]) -> list[str]:
    """In what a run that lies there differs from what is asked for now.

    Args:
        run: done, begun or not there.
        settings: as :func:`settings_of` gives them.

    Returns:
        "name was, now is" for each setting; empty where nothing lies there.
    """
    earlier = read_json(run.folder / _SETTINGS)
    if earlier is None:
        return []
    names = sorted(earlier.keys() | settings.keys())
    return [
        f"{name} {earlier.get(name)}, now {settings.get(name)}"
        for name in names
        if earlier.get(name) != settings.get(name)
    ]


def note_settings(run: Run, settings: dict[str, Any]) -> None:
    """Write down what a run is trained with, before it is.

    Args:
        run: about to be trained.
        settings: as :func:`settings_of` gives them.
    """
    write_json(run.folder / _SETTINGS, settings)


def read_json(path: Path) -> Any:
    """What a file of ours holds, or None where there is none.

    Args:
        path: the file.

    Raises:
        ValueError: it holds something else.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} must hold JSON, reading it gave: {error}. Delete the file, or give --redo.") from None


def write_json(path: Path, content: dict | list) -> None:
    """Write figures as data: whole or not at all.

    Args:
        path: the file; its folder is made.
        content: what JSON can hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, path)
