"""Folders of checkpoints: which are complete, which is the last, and their weights under the names of files."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..ground_distance.saved import GROUND_DISTANCE_FILE

__all__ = [
    "STATE_FILE",
    "last_complete_checkpoint",
    "load_weights",
    "mark_complete",
    "mark_incomplete",
    "validate_checkpoint",
]

logger = logging.getLogger(__name__)

STATE_FILE = "emd_state.safetensors"  # the first file that is written
MANIFEST = "files.json"  # names and sizes of all files; the last file that is written
REPLACED = ("config.json", GROUND_DISTANCE_FILE)  # may be replaced in a complete checkpoint: of any size


def mark_complete(folder: str | Path) -> None:
    """Write the manifest of a checkpoint: every file and its size.

    Args:
        folder: the checkpoint, once all ranks have written their part.
    """
    folder = Path(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(folder).as_posix() for path in files if path.name != MANIFEST}
    sizes = {name: None if name in REPLACED else path.stat().st_size for path, name in names.items()}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def mark_incomplete(folder: str | Path) -> None:
    """Remove the manifest, before the checkpoint is written again.

    Args:
        folder: the checkpoint; it need not exist.
    """
    (Path(folder) / MANIFEST).unlink(missing_ok=True)


def validate_checkpoint(folder: str | Path) -> str | None:
    """Why a run cannot be resumed from a checkpoint.

    Args:
        folder: the checkpoint of an `EMDTrainer`, or of a plain `Trainer`.

    Returns:
        The reason, or None where it is complete.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return "there is no such folder"
    if (folder / MANIFEST).is_file():
        try:
            sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except ValueError:
            return f"{MANIFEST} is incomplete"
        for name, size in sizes.items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if size is not None and (folder / name).stat().st_size != size:
                return f"{name} has {(folder / name).stat().st_size} bytes in place of {size}"
        return None
    if (folder / STATE_FILE).exists():
        return "it has no manifest"
    try:  # a plain Trainer writes this after the weights and the optimizer
        json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "it has no readable trainer_state.json"
    return None


def last_complete_checkpoint(folder: str | Path) -> str | None:
    """The last complete checkpoint of a run; one that is incomplete is skipped with a warning.

    Args:
        folder: the run's `output_dir`.

    Returns:
        Its path, or None where there is none.
    """
    found = []
    for path in Path(folder).glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        number = re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)", path.name)
        if number and path.is_dir():
            found.append((int(number[1]), path))
    for _, path in sorted(found, reverse=True):
        problem = validate_checkpoint(path)
        if problem is None:
            return str(path)
        logger.warning("%s is skipped: %s.", path, problem)
    return None


def load_weights(model: PreTrainedModel, folder: str | Path) -> None:
    """Load weights under the names that an architecture has in files.

    `save_pretrained` writes ViT, Swin, AST and others under names that `load_state_dict` does not know.

    Args:
        model: gets the weights.
        folder: what `save_pretrained` of such a model wrote.

    Raises:
        ValueError: the files hold other weights than the model has.
    """
    saved: dict[str, Tensor] = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        if path.name.startswith("model"):
            saved |= load_file(path)
    own = model.state_dict()
    named = revert_weight_conversion(model, dict(own))  # as in files
    places = {tensor.data_ptr() for tensor in own.values()}
    if not all(tensor.data_ptr() in places for tensor in named.values()):  # some are merged or split in files
        saved = type(model).from_pretrained(folder, dtype=model.dtype).state_dict()
        named = own
    loaded = {named[name].data_ptr() for name in saved.keys() & named.keys()}  # tied weights are saved once
    ignored = re.compile("|".join(model._keys_to_ignore_on_save or ["$^"]))
    missing = [name for name, tensor in named.items() if tensor.data_ptr() not in loaded and not ignored.search(name)]
    unknown = sorted(saved.keys() - named.keys())
    if missing or unknown:
        raise ValueError(
            f"the weights in {folder} must be those of this {type(model).__name__}; missing are "
            f"{missing[:3] or 'none'}, unknown {unknown[:3] or 'none'}. Build the model as in the run that wrote them."
        )
    with torch.no_grad():
        for name, tensor in saved.items():
            named[name].copy_(tensor)
