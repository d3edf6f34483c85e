"""What the result of a run depends on, kept beside it, so that no stale result passes for a new one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets import Audio, Dataset, Image
from transformers import TrainingArguments

from ..ground_distance.files import read_json, write_aside
from ..ground_distance.saved import read_ground_distance
from ..metrics.logs import RESULTS_FILE
from ..training.argument_checks import LOSSES_OF_FIELDS

if TYPE_CHECKING:
    from .arguments import ExperimentArguments
    from .experiment import Run

SETTINGS_FILE = "settings.json"
# Fields of TrainingArguments that cannot change a result, or are chosen here.
_HARMLESS_PREFIXES = (
    "logging_", "log_", "save_", "hub_", "push_", "eval_", "ddp_", "trackio_", "do_", "include_", "dataloader_",
)  # fmt: skip
_HARMLESS = {
    "output_dir", "disable_tqdm", "report_to", "run_name", "project", "use_cpu", "resume_from_checkpoint", "debug",
    "skip_memory_metrics", "local_rank", "seed", "length_column_name", "label_names", "per_device_eval_batch_size",
    "prediction_loss_only", "batch_eval_metrics", "restore_callback_states_from_checkpoint", "load_best_model_at_end",
    "metric_for_best_model", "greater_is_better", "torch_empty_cache_steps", "enable_jit_checkpoint", "use_cache",
    "ignore_data_skip", "remove_unused_columns", "full_determinism", "learning_rate",
}  # fmt: skip
# Our fields that place a run in its table, that the digest of the data covers, or that belong to some losses alone.
_OF_THE_TABLE = {
    "data_dir", "dataset", "skip_bad_images", "model", "loss", "fold", "seeds", "entropic_strength", "dry_run", "redo",
    "nan_steps", "hub_license", "all_rows", "select_seeds", "metric",
}  # fmt: skip
_LEARNING_D = ("xemd", "xemd1", "xemd2")
_OF_LOSSES = LOSSES_OF_FIELDS | {
    "geometry": ("emd", "a-emd", *_LEARNING_D),
    "spacing": ("emd", "a-emd", *_LEARNING_D),
    "ground_distance": _LEARNING_D,
}


def settings_of(args: ExperimentArguments, run: Run, ground_distance: Path | None, digest: str) -> dict[str, Any]:
    """What the result of a run depends on, except its place in the table, as JSON has it.

    That of an a-emd run has a digest of D once the xemd2 run that it takes it from is there.
    """
    standard = {field.name for field in fields(TrainingArguments)}
    others = {name for name, losses in _OF_LOSSES.items() if run.loss not in losses}
    if args.label_smoothing_temperature is not None:  # They say how far apart the classes are that it is spread over.
        others -= {"geometry", "spacing", "ground_distance"}
    left_out = _OF_THE_TABLE | others | set(args.told_by_variant)
    settings: dict[str, Any] = {"dataloader_drop_last": args.dataloader_drop_last}
    for name in (field.name for field in fields(args)):
        is_harmless = name in _HARMLESS or name.startswith(_HARMLESS_PREFIXES)
        if not is_harmless if name in standard else name not in left_out:
            settings[name] = getattr(args, name)
    if args.has_validation_data:
        settings |= {name: getattr(args, name) for name in ("load_best_model_at_end", "metric_for_best_model")}
    settings["learning_rate"] = args.rate or run.experiment.rates[run.loss]
    if run.loss == "a-emd":
        settings["entropic_strength"] = args.entropic_strength
        if ground_distance is not None and ground_distance.exists():
            matrix = read_ground_distance(ground_distance).numpy().round(6) + 0.0  # as the config of a model has it
            settings["digest of D"] = hashlib.sha256(matrix.tobytes()).hexdigest()[:16]
    for name, values in run.candidates(args).items():
        settings[name] = f"of {', '.join(f'{value!r}' for value in values)} by {args.select_seeds} seeds"
    settings |= {"network": run.network, "data": run.experiment.data, "digest of the data": digest}
    settings["ranks"] = args.world_size
    return json.loads(json.dumps(settings, default=str))


def digest_of_rows(*parts: Dataset) -> str:
    """A digest of rows; of images and sounds the names of the files count, not their content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}".encode())
        for name, feature in part.features.items():
            if isinstance(feature, Image | Audio):
                digest.update("\n".join(file_names(part, name) or []).encode())
            else:
                column = part.select_columns(name).with_format(None)
                digest.update(f"{name} {feature} {column[:][name]}".encode())
    return digest.hexdigest()[:16]


def file_names(rows: Dataset, column: str) -> list[str] | None:
    """The files of a column of images or sounds, with their folders; None where they lie in the table itself."""
    files = rows.select_columns(column).with_format(None)
    files = files.cast_column(column, type(rows.features[column])(decode=False))
    if not len(rows) or files[0][column]["path"] is None:
        return None
    return ["/".join(Path(file["path"] or "").parts[-2:]) for file in files[:][column]]


def check_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Raises a ValueError where a run that is done or begun in a folder has other settings."""
    earlier = _read_json(folder / SETTINGS_FILE)
    if earlier is None:
        return
    names = sorted((earlier.keys() | settings.keys()) - ({"digest of D"} - settings.keys()))
    changed = [f"{n} {earlier.get(n)}, now {settings.get(n)}" for n in names if earlier.get(n) != settings.get(n)]
    if changed:
        raise ValueError(
            f"{folder} holds a run with other settings: {'; '.join(changed)}. Give another --output_dir, or --redo to "
            "train it again."
        )


def read_results(folder: Path) -> Any:
    """The results of a run or a trial, or None where it is not done."""
    return _read_json(folder / RESULTS_FILE)


def write_json(path: Path, content: dict | list) -> None:
    """Write a file that is complete or not there at all."""
    with write_aside(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{error}, delete it, or give --redo.") from None
