"""Folders of checkpoints: which are complete, which is the last, and their weights under the names of files."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets.fingerprint import Hasher
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ..ground_distance.files import read_json, write_aside

__all__ = ["last_complete_checkpoint", "mark_complete", "validate_checkpoint"]

logger = logging.getLogger(__name__)

STATE_FILE = "emd_state.safetensors"  # the first file that is written
MANIFEST = "files.json"  # of each file the sizes and digests that it may have; the last file that is written


def mark_complete(folder: str | Path) -> None:
    """Write the manifest of a checkpoint: every file, with its size and a digest of its content.

    Args:
        folder: the checkpoint, once all ranks have written their part, or once its owner has changed it.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"a checkpoint to be marked complete must be a folder, there is no {folder}.")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    with ThreadPoolExecutor() as pool:
        contents = list(pool.map(_content, files))
    names = [path.relative_to(folder).as_posix() for path in files]
    _write_manifest(folder, {name: [content] for name, content in zip(names, contents, strict=True)})


def replace_files(folder: str | Path, replacements: str | Path) -> None:
    """Move the files of a folder on the same disk into a complete checkpoint, which is complete all the time."""
    folder, files = Path(folder), sorted(Path(replacements).iterdir())
    manifest = read_json(folder / MANIFEST)
    for path in files:
        if path.name in manifest:  # a kill may leave either of both
            manifest[path.name].append(_content(path))
    _write_manifest(folder, manifest)
    for path in files:
        os.replace(path, folder / path.name)


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
            manifest = dict(read_json(folder / MANIFEST))
        except (OSError, TypeError, ValueError):
            return f"{MANIFEST} is incomplete"
        for name, contents in manifest.items():
            if (change := _change(folder / name, contents)) is not None:
                source = f"from {mark_complete.__module__} import {mark_complete.__name__}"
                accept = shlex.join(["python", "-c", f"{source}; {mark_complete.__name__}({str(folder)!r})"])
                return f"{name} {change} (if you changed the checkpoint on purpose, accept it as it is: {accept})"
        return None
    if (folder / STATE_FILE).exists():
        return "it has no manifest"
    try:  # a plain Trainer writes this after the weights and the optimizer
        read_json(folder / "trainer_state.json")
    except (OSError, ValueError):
        return "it has no readable trainer_state.json"
    return None


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    with write_aside(folder / MANIFEST) as path:
        path.write_text(json.dumps(manifest) + "\n", encoding="utf-8")


def _content(path: Path) -> list[int | str]:
    """Size and XXH64 digest, which finds any damage and takes little more time than reading does."""
    with path.open("rb") as file:
        return [path.stat().st_size, Hasher.hash_bytes(iter(partial(file.read, 2**20), b""))]


def _change(path: Path, contents: Any) -> str | None:
    """What has become of a file whose sizes and digests are given; of earlier versions the size alone, or None."""
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    if isinstance(contents, list):
        sizes = [content[0] for content in contents]
    else:
        sizes = [size if contents is None else contents]
    if size not in sizes:
        return f"has {size} bytes in place of {sizes[-1]}"
    if isinstance(contents, list) and _content(path) not in contents:
        return "has as many bytes as it was written with, and other ones"
    return None


def checkpoint_to_resume(given: str | os.PathLike[str] | bool, output_dir: str) -> str:
    """The checkpoint that a run is resumed from: the given one, or for True the last complete one."""
    if given is True:
        last = last_complete_checkpoint(output_dir)
        if last is None:
            raise ValueError(
                f"resume_from_checkpoint=True needs a complete checkpoint in {output_dir}; there is none. Start "
                "without it."
            )
        return last
    problem = validate_checkpoint(given)
    if problem is not None:
        raise ValueError(
            f"resume_from_checkpoint must name a complete checkpoint; {given} is none: {problem}. "
            "resume_from_checkpoint=True takes the last complete one of output_dir."
        )
    return os.fspath(given)


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


def why_not_written(checkpoint: str, error: Exception) -> str:
    """Why a checkpoint could not be written, and from where the run goes on."""
    reason, run = f"{type(error).__name__}: {error}", Path(checkpoint).absolute().parent
    is_full = any(os.strerror(code) in str(error) for code in (errno.ENOSPC, errno.EDQUOT))
    # torch.save does not say why it failed.
    if is_full or shutil.disk_usage(next(path for path in (run, *run.parents) if path.exists())).free < 2**20:
        reason = f"the disk is full ({reason}). Free some space"
    last = last_complete_checkpoint(run)
    if last is None:
        return f"{checkpoint} could not be written: {reason}. There is no complete checkpoint yet: start again."
    return f"{checkpoint} could not be written: {reason}. resume_from_checkpoint=True then goes on from {last}."


def load_weights(model: PreTrainedModel, folder: str | Path) -> None:
    """Load what `save_pretrained` of such a model wrote, of ViT, Swin, AST and others under names of its own."""
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
