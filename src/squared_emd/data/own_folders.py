"""Folders of files whose names are classes."""

import logging
from collections.abc import Callable
from pathlib import Path

from squared_emd.data.imagenet import subfolders
from squared_emd.data.own_rows import FEW, SPLITS, Rows

__all__ = ["read_folder"]

logger = logging.getLogger(__name__)


def read_folder(root: Path, files_of: Callable[[Path], list[str]], kind: str) -> Rows | None:
    """Gives the files of a folder `<class>/<file>` or `train|validation|val|test/<class>/<file>`.

    Args:
        root: The folder.
        files_of: Gives the paths of those that lie in a folder itself.
        kind: What they are, for messages: "pictures".

    Returns:
        Rows whose `inputs` are paths, or None where there are no such files.

    Raises:
        ValueError: There are folders of splits and of classes side by side.
    """
    top = subfolders(root)
    halves = [name for name in top if name in SPLITS]
    folders = [(half, name) for half in halves or [""] for name in subfolders(root / half)]
    files = {(half, name): files_of(root / half / name) for half, name in folders}
    if not any(files.values()):
        return None
    others = [name for name in top if name not in SPLITS and files_of(root / name)] if halves else []
    if others:
        raise ValueError(
            f"{root} must hold folders of splits or of classes, it has both: {', '.join(halves)} and "
            f"{', '.join(others[:FEW])}. Move one kind away."
        )
    empty = [str(Path(half, name)) for (half, name), paths in files.items() if not paths]
    if empty:
        logger.warning("%s: folders without %s are left out: %s.", root, kind, ", ".join(empty))
    paths = [path for found in files.values() for path in found]
    return Rows(
        inputs=paths,
        labels=[name for (_, name), found in files.items() for _ in found],
        splits=[SPLITS.get(half, "") for (half, _), found in files.items() for _ in found],
        groups=None,
        place=paths.__getitem__,
    )
