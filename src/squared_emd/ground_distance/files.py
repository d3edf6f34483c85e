"""Files on disk: JSON whose errors name the file, and writing that a kill leaves undone or done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """What a file of text in UTF-8 holds."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8; reading it gave: {error}; write it again") from error


def read_json(path: Path) -> Any:
    """What a JSON file holds; a ValueError that names it if it is no JSON, or nested too deep to be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{path} must be JSON in UTF-8; reading it gave: {error}; write it again") from error


def read_object(path: Path) -> dict[str, Any]:
    """What a JSON file with an object holds."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object; got {content!r:.80}; write it again")
    return content


@contextmanager
def write_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The path to write a file to, beside its place: a kill or a full disk leaves the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished.{path.name}")
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())  # else a power loss may keep the move and lose the content
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
