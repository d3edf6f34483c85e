"""Folders of images or sounds: which files are of which split and class."""

import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from squared_emd.data.splits import SPLIT_NAMES, describe_splits, split_of

logger = logging.getLogger(__name__)

MAX_NAMED = 5

Folders = tuple[str, ...]  # From the root to a file.


class FolderRows(NamedTuple):
    """Files in folders of classes: the path, class and split of each."""

    paths: list[str]
    labels: list[str]
    splits: list[str]


class MediaFolder(NamedTuple):
    """What lies below a folder, as paths relative to it: files of the wanted endings, other files, other folders."""

    root: Path
    files: list[str]
    others: list[str]
    empty_folders: list[str]

    def splits_of(self, paths: Sequence[str]) -> list[str]:
        """The split of each path below the root: that of its folder, if all folders of its level name splits."""
        folders = [_folders(os.path.relpath(path, self.root)) for path in paths]
        level = _top_level(folders)
        names = [parts[level] for parts in folders if len(parts) > level]
        if not names or not all(map(split_of, names)):
            return ["train"] * len(paths)
        if any(split_of(name) != name for name in names):
            logger.warning(f"{self.root} is read as {'*/' * level}<split>/**; {describe_splits(names)}.")
        return [split_of(parts[level]) if len(parts) > level else "train" for parts in folders]

    def rows(self, noun: str, classes: Collection[str] = ()) -> FolderRows | None:
        """The files in folders of classes; None if there are no folders.

        What is left out is counted in a warning, and so is the meaning of folders that is not plain.
        """
        folders = {file: _folders(file) for file in self.files}
        if not any(folders.values()):
            return None
        split_level, class_level = self._levels(folders.values(), classes)
        depth = max(split_level, class_level) + 1
        inside = {file: parts for file, parts in folders.items() if len(parts) >= depth}
        loose = [file for file in folders if file not in inside]
        warn_left_out(self.root, "files left out because of their endings", self.others)
        warn_left_out(self.root, f"{noun} left out because no folder of a class holds them", loose)
        warn_left_out(self.root, f"folders left out because they hold no {noun}", self.empty_folders)
        names = [parts[split_level] for parts in inside.values()] if split_level >= 0 else []
        roles = {split_level: "<split>", class_level: "<class>"}
        pattern = "/".join(roles.get(level, "*") for level in range(depth))
        is_deep = any(len(parts) > depth for parts in inside.values())
        if is_deep or pattern not in ("<class>", "<split>/<class>") or any(split_of(name) != name for name in names):
            splits = f"; {describe_splits(names)}" if names else ""
            ignored = "; folders below those of classes are ignored" if is_deep else ""
            logger.warning(f"{self.root} is read as {pattern}{'/**' * is_deep}/<file>{splits}{ignored}.")
        return FolderRows(
            [os.path.join(self.root, file) for file in inside],
            [parts[class_level] for parts in inside.values()],
            list(map(split_of, names)) or ["train"] * len(inside),
        )

    def _levels(self, folders: Collection[Folders], classes: Collection[str]) -> tuple[int, int]:
        """The levels of the folders that name splits, -1 if none do, and of those that name classes."""
        top = _top_level(folders)
        names, below = _names(folders, top), _names(folders, top + 1)
        if below and all(map(split_of, names)):
            return top, _class_level(folders, top)
        self._refuse_splits(names, classes)
        if below and all(map(split_of, below)) and all(len(parts) in (top, top + 2) for parts in folders):
            return top + 1, top
        self._refuse_splits(below, ())
        return -1, top

    def _refuse_splits(self, names: list[str], classes: Collection[str]) -> None:
        """Raises a ValueError if some folders of a level name splits for certain, unless all are classes."""
        certain = [name for name in names if name.lower() in SPLIT_NAMES]
        if certain and not set(names) <= set(classes):
            raise ValueError(
                f"{self.root}: folders of splits must be all on their level, above those of classes or in each; got "
                f"{_few(certain)} among {_few(names)}. Move them, or list all with --classes (classes=...) if all are "
                "classes"
            )


def scan_folder(root: Path, endings: Collection[str]) -> MediaFolder:
    """Finds the files below a folder, without hidden ones, each folder once however many links lead to it.

    `endings` are those of the wanted files, in lower case, as `.png`; a name of one that is not UTF-8 is a ValueError.
    """
    files, others, folders, seen = [], [], [], set()

    def refuse(error: OSError) -> None:
        raise error

    for path, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:  # A link back up would be followed without end.
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__")))
        here = os.path.relpath(path, root)
        folders.append(here)
        for name in sorted(names):
            if not name.startswith("."):
                kind = files if os.path.splitext(name)[1].lower() in endings else others
                kind.append(os.path.normpath(os.path.join(here, name)))
    paths = [os.path.join(root, file) for file in files]
    odd = [path for path in paths if path.encode(errors="ignore").decode() != path]
    if odd:
        raise ValueError(
            f"names of files and folders must be valid UTF-8, {len(odd)} are not, the first: {os.fsencode(odd[0])!r}. "
            "Rename them"
        )
    full = {os.sep.join(parts[:k]) for parts in map(_folders, files) for k in range(len(parts) + 1)}
    empty = [folder for folder in folders[1:] if folder not in full and os.path.dirname(folder) in full]
    return MediaFolder(root, files, others, empty)


def warn_left_out(root: Path, what: str, names: Sequence[str]) -> None:
    if names:
        logger.warning(f"{root}: {what}: {len(names)} ({_few(names)}).")


def _few(names: Sequence[str]) -> str:
    """The first names of a list, for messages, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(name.encode(errors="backslashreplace").decode() for name in names[:MAX_NAMED]) + more


def _top_level(folders: Collection[Folders]) -> int:
    """The level below the folders that hold nothing but one folder, as an archive unpacks."""
    level = 0
    while True:
        names = _names(folders, level)
        if len(names) != 1 or split_of(names[0]) or any(len(parts) == level + 1 for parts in folders):
            return level
        level += 1


def _class_level(folders: Collection[Folders], split_level: int) -> int:
    """The level below the splits that has classes: `train/train/<class>` and `train/images/<class>` have another."""
    level = split_level + 1
    while True:
        pairs = {(parts[split_level], parts[level]) for parts in folders if len(parts) > level}
        is_alone = len(pairs) == len({split for split, _ in pairs})
        is_same = len({name for _, name in pairs}) == 1 or all(split_of(a) == split_of(b) for a, b in pairs)
        if not (is_alone and is_same) or any(len(parts) == level + 1 for parts in folders):
            return level
        level += 1


def _names(folders: Collection[Folders], level: int) -> list[str]:
    return sorted({parts[level] for parts in folders if len(parts) > level})


def _folders(file: str) -> Folders:
    return tuple(file.split(os.sep)[:-1])
