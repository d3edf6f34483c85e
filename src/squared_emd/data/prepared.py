"""Folders of images that were drawn or cut out here: made once, whole or not at all, never over something else."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from ..ground_distance.files import read_json

SETTINGS_FILE = "prepared.json"


def prepare_once(
    output_dir: str | os.PathLike | None, name: str, settings: dict, readme: str, fill: Callable[[Path], None]
) -> Path:
    """Fills a folder (of the user's cache if None) by a function, unless it holds a set with equal settings already.

    `fill` gets an empty folder, which takes the place of `output_dir` when all is done; `name` is what the folder in
    the cache is called, before a digest of the settings. A folder with something else in it is a FileExistsError.
    """
    if output_dir is None:
        output_dir = cache_folder(f"{name}_{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]}")
    target = Path(output_dir).resolve()
    if _is_there(target, settings):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{uuid.uuid4().hex}.unfinished")
    unfinished.mkdir()
    try:
        fill(unfinished)
        (unfinished / "README.txt").write_text(readme, encoding="utf-8")
        files = sum(1 for path in unfinished.rglob("*") if path.is_file())
        text = json.dumps({"settings": settings, "files": files}, indent=2)
        (unfinished / SETTINGS_FILE).write_text(text + "\n", encoding="utf-8")
        unfinished.rename(target)
    except OSError:
        if not _is_there(target, settings):  # else another process has finished the same set first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/squared-emd/<name>`, or `~/.cache/squared-emd/<name>`; it need not exist."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "squared-emd" / name


def _is_there(target: Path, settings: dict) -> bool:
    """Whether the folder holds this very set; raises where it holds something else."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    advice = "Give another folder, or move that one away."
    try:
        found = read_json(target / SETTINGS_FILE)
        found, files = found["settings"], found["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FileExistsError(
            f"A folder to prepare must be new, empty or hold prepared images, {target} does not. {advice}"
        ) from None
    if found != settings:
        raise FileExistsError(
            f"{target} holds prepared images with the settings {found}, required are {settings}. {advice}"
        )
    have = sum(1 for path in target.rglob("*") if path.is_file() and path.name != SETTINGS_FILE)
    if have != files:
        raise FileExistsError(f"{target} holds {have} of its {files} files. {advice}")
    return True
