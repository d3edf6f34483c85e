"""Files of figures: written whole, read back or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "read_json", "write_json"]

RESULTS = "all_results.json"  # of a run, or of a trial: the last that it writes


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
