"""What the result of a run depends on, kept beside it, so that no stale result passes for a new one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import Dataset, Image
from transformers import TrainingArguments

from ..ground_distance.saved import read_ground_distance
from ..training.arguments import EMDTrainingArguments
from .arguments import ExperimentArguments
from .plan import Run, learned_where
from .results import read_json, write_json

__all__ = ["differences", "digest_of_rows", "fields_that_matter", "note_settings", "settings_of"]

_SETTINGS = "settings.json"
# Of TrainingArguments, what cannot change a result, or is chosen here.
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
# Of ours, what places a run in its table, and what belongs to some losses alone.
_OF_THE_TABLE = {
    "data_dir", "skip_bad_images", "model", "loss", "fold", "seeds", "entropic_strength", "dry_run", "redo",
    "nan_steps", "hub_license",
}  # fmt: skip
_GEOMETRY = {"geometry", "spacing"}
_SELF_GUIDED = _GEOMETRY | {
    "omega", "mu", "regularizer_weight", "regularizer_ratio", "jump_start_epochs", "true_class_cost", "rank",
    "ground_distance_update_steps", "ground_distance", "prior_weight", "prior_decay",
}  # fmt: skip
_OF_LOSSES = {
    "emd": _GEOMETRY,
    "a-emd": _GEOMETRY | {"sinkhorn_iterations"},
    "xemd1": _SELF_GUIDED,
    "xemd2": _SELF_GUIDED,
}


def fields_that_matter(args: EMDTrainingArguments, loss: str, *, left_out: Set[str]) -> dict[str, Any]:
    """The fields that the result of a run depends on.

    Args:
        args: as given on the command line.
        loss: of the run; options of other losses are left out.
        left_out: names of fields of ours that do not matter, or are told otherwise.

    Returns:
        Name -> value.
    """
    standard = {field.name for field in fields(TrainingArguments)}
    used = _OF_LOSSES.get(loss, set())
    others = set().union(*_OF_LOSSES.values()) - used
    names = [field.name for field in fields(args)]
    own = [name for name in names if name not in standard | left_out | others]
    chosen = [name for name in names if name in standard - _HARMLESS and not name.startswith(_HARMLESS_PREFIXES)]
    return {name: getattr(args, name) for name in (*chosen, "dataloader_drop_last", *own)}


def settings_of(args: ExperimentArguments, run: Run, rows: tuple[Dataset, Dataset], digest: str) -> dict[str, Any]:
    """What the result of a run depends on, but for its place in the table.

    Args:
        args: as given on the command line.
        run: the run.
        rows: to train on and to test on.
        digest: of `rows`, see :func:`digest_of_rows`.

    Returns:
        Values as JSON has them. That of an a-emd run has a digest of D once the xemd2 run it takes it from is there.
    """
    settings = fields_that_matter(args, run.loss, left_out=_OF_THE_TABLE | set(args.told_by_variant))
    settings["learning_rate"] = "select" if args.select_rate else args.rate or run.experiment.rates[run.loss]
    if run.loss == "a-emd":
        settings["entropic_strength"] = "select" if args.select_strength else args.entropic_strength
        place = learned_where(args, run)
        if place is not None and place.exists():
            matrix = read_ground_distance(place).numpy().round(6) + 0.0  # as the config of a model has it
            settings["digest of D"] = hashlib.sha256(matrix.tobytes()).hexdigest()[:16]
    settings |= {"network": run.network, "data": run.experiment.data, "digest of the data": digest}
    settings |= {"ranks": args.world_size, "num_train": len(rows[0]), "num_test": len(rows[1])}
    return json.loads(json.dumps(settings, default=str))


def digest_of_rows(*parts: Dataset) -> str:
    """A digest of labels, splits and names of pictures; what is in the pictures is not looked at.

    Args:
        parts: rows with `image`.

    Returns:
        16 hexadecimal digits, the same wherever the folder of pictures lies.
    """
    digest = hashlib.sha256()
    for part in parts:
        others = [name for name in part.column_names if name != "image"]
        for name in others:
            digest.update(
                f"{name} {part.features[name]} {part.select_columns(name).with_format(None)[:][name]}".encode()
            )
        pictures = part.select_columns("image").cast_column("image", Image(decode=False))
        if len(part) and pictures[0]["image"]["bytes"] is None:  # else the pictures lie in the table itself
            paths = [picture["path"] for picture in pictures[:]["image"]]
            digest.update("\n".join("/".join(Path(path).parts[-2:]) for path in paths).encode())
    return digest.hexdigest()[:16]


def differences(folder: Path, settings: dict[str, Any]) -> list[str]:
    """In what a run that lies there differs from what is asked for now.

    Args:
        folder: of a run that is done, begun or not there.
        settings: as :func:`settings_of` gives them.

    Returns:
        "name was, now is" for each setting; empty where nothing lies there.
    """
    earlier = read_json(folder / _SETTINGS)
    if earlier is None:
        return []
    names = sorted((earlier.keys() | settings.keys()) - ({"digest of D"} - settings.keys()))
    return [
        f"{name} {earlier.get(name)}, now {settings.get(name)}"
        for name in names
        if earlier.get(name) != settings.get(name)
    ]


def note_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Write down what a run is trained with, before it is.

    Args:
        folder: of a run that is about to be trained.
        settings: as :func:`settings_of` gives them.
    """
    write_json(folder / _SETTINGS, settings)
