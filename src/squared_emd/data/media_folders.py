"""Folders of images or sounds: which files are of which split and class."""

import logging
import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.data_files import SPLIT_KEYWORDS

__all__ = [
    "SPLITS",
    "SPLIT_NAMES",
    "FolderRows",
    "MediaFolder",
    "describe_splits",
    "name_few",
    "scan_folder",
    "split_of",
]

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {keyword: str(split) for split, keywords in SPLIT_KEYWORDS.items() for keyword in keywords}
SPLIT_NAMES |= {"holdout": "test"}
"""What is taken for the name of a split, such as `dev` -> `validation`."""

MAX_NAMED = 5

Folders = tuple[str, ...]
"""The folders from the root to a file."""


class FolderRows(NamedTuple):
    """The files of one split: paths and names of their classes."""

    paths: list[str]
    labels: list[str]


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
        taken = Counter(parts[level] for parts in folders if len(parts) > level)
        if not taken or not all(map(split_of, taken)):
            return ["train"] * len(paths)
        if any(split_of(name) != name for name in taken):
            logger.warning("%s is read as %s<split>/**; %s.", self.root, "*/" * level, describe_splits(taken))
        return [split_of(parts[level]) if len(parts) > level else "train" for parts in folders]

    def rows(self, noun: str, classes: Collection[str] = ()) -> dict[str, FolderRows] | None:
        """The files of each split with their class; None if there are no folders of classes.

        What is left out is counted in a warning, and so is the meaning of folders that is not plain. Folders of which
        only some are named for splits are classes if all are among `classes`; else that is a ValueError.
        """
        folders = {file: _folders(file) for file in self.files}
        if not any(folders.values()):
            return None
        split_level, class_level = self._levels(folders.values(), classes)
        depth = max(class_level, -1 if split_level is None else split_level) + 1
        found = {split: FolderRows([], []) for split in SPLITS}
        for file, parts in folders.items():
            if len(parts) >= depth:
                rows = found["train" if split_level is None else split_of(parts[split_level])]
                rows.paths.append(os.path.join(self.root, file))
                rows.labels.append(parts[class_level])
        self._report(noun, folders, split_level, class_level, depth)
        return {split: rows for split, rows in found.items() if rows.paths}

    def _levels(self, folders: Collection[Folders], classes: Collection[str]) -> tuple[int | None, int]:
        """The levels of the folders that name splits, None if none do, and of those that name classes."""
        top = _top_level(folders)
        names, below = _names(folders, top), _names(folders, top + 1)
        if below and all(map(split_of, names)):
            return top, _class_level(folders, top)
        self._refuse_splits(names, classes)
        if below and all(map(split_of, below)) and all(len(parts) in (top, top + 2) for parts in folders):
            return top + 1, top
        self._refuse_splits(below, ())
        return None, top

    def _refuse_splits(self, names: list[str], classes: Collection[str]) -> None:
        """Raises a ValueError if some folders of a level name splits for certain, unless all are classes."""
        certain = [name for name in names if name.lower() in SPLIT_NAMES]
        if certain and not set(names) <= set(classes):
            raise ValueError(
                f"{self.root}: folders of splits must be all on their level, above those of classes or in each; got "
                f"{name_few(certain)} among {name_few(names)}. Move them, or list all with --classes (classes=...) if "
                "all are classes"
            )

    def _report(
        self, noun: str, folders: dict[str, Folders], split_level: int | None, class_level: int, depth: int
    ) -> None:
        loose = [file for file, parts in folders.items() if len(parts) < depth]
        for what, left_out in (
            ("files left out because of their endings", self.others),
            (f"{noun} left out because no folder of a class holds them", loose),
            (f"folders left out because they hold no {noun}", self.empty_folders),
        ):
            if left_out:
                logger.warning("%s: %s: %d (%s).", self.root, what, len(left_out), name_few(left_out))
        inside = [parts for parts in folders.values() if len(parts) >= depth]
        taken = Counter(parts[split_level] for parts in inside if split_level is not None)
        is_deep = any(len(parts) > depth for parts in inside)
        is_plain = (split_level, class_level) in ((None, 0), (0, 1)) and all(split_of(name) == name for name in taken)
        if is_deep or not is_plain:
            roles = {split_level: "<split>", class_level: "<class>"}
            pattern = "/".join([roles.get(level, "*") for level in range(depth)] + ["**"] * is_deep + ["<file>"])
            splits = f"; {describe_splits(taken)}" if taken else ""
            ignored = "; folders below those of classes are ignored" * is_deep
            logger.warning("%s is read as %s%s%s.", self.root, pattern, splits, ignored)


def scan_folder(root: Path, endings: Collection[str]) -> MediaFolder:
    """Finds the files below a folder, without hidden ones, each folder once however many links lead to it.

    `endings` are those of the wanted files, in lower case, as `.png`; a name of one that is not UTF-8 is a ValueError.
    """
    files, others, folders, seen = [], [], [], set()

    def refuse(error: OSError) -> None:
        raise error

    for path, subfolders, names in os.walk(root, onerror=refuse, followlinks=True):
        status = os.stat(path)
        here = os.path.relpath(path, root)
        if (status.st_dev, status.st_ino) in seen:  # A link back up would be followed without end.
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__")))
        folders.append(here)
        for name in sorted(names):
            if not name.startswith("."):
                kind = files if os.path.splitext(name)[1].lower() in endings else others
                kind.append(os.path.normpath(os.path.join(here, name)))
    odd = [path for path in (os.path.join(root, file) for file in files) if not _is_utf8(path)]
    if odd:
        raise ValueError(
            f"names of files and folders must be valid UTF-8, {len(odd)} are not, the first: {os.fsencode(odd[0])!r}. "
            "Rename them"
        )
    full = {os.sep.join(parts[:k]) for parts in map(_folders, files) for k in range(len(parts) + 1)}
    empty = [folder for folder in folders[1:] if folder not in full and os.path.dirname(folder) in full]
    return MediaFolder(root, files, others, empty)


def split_of(name: str) -> str:
    """The split that a name stands for; "" if its name begins and ends with none, or with two.

    >>> split_of("Train"), split_of("seg_test"), split_of("hold-out"), split_of("trainval"), split_of("train_val")
    ('train', 'test', 'test', '', '')
    """
    words = re.sub(r"h[eo]ld[-._ ]?out", "holdout", name.lower())
    words = [re.sub(r"(set|data)$", "", word) for word in re.split(r"[-._ 0-9]+", words) if word]
    found = {SPLIT_NAMES[word] for word in words[:1] + words[-1:] if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""


def name_few(names: Sequence[str]) -> str:
    """The first names of a list, for messages, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(name.encode(errors="backslashreplace").decode() for name in names[:MAX_NAMED]) + more


def describe_splits(taken: Counter) -> str:
    """What each name of a split is taken for, and the number of its files or rows."""
    return "splits: " + ", ".join(f"{name} as {split_of(name)} ({taken[name]})" for name in sorted(taken))


def _top_level(folders: Collection[Folders]) -> int:
    """The level below the folders that hold nothing but one folder, as an archive unpacks."""
    level = 0
    while True:
        inside = [parts for parts in folders if len(parts) > level]
        names = _names(folders, level)
        if len(names) != 1 or split_of(names[0]) or any(len(parts) == level + 1 for parts in inside):
            return level
        level += 1


def _class_level(folders: Collection[Folders], split_level: int) -> int:
    """The level below the splits that has classes: `train/train/<class>` and `train/images/<class>` have another."""
    level = split_level + 1
    while True:
        inside = [parts for parts in folders if len(parts) > level]
        pairs = {(parts[split_level], parts[level]) for parts in inside}
        is_alone = len(pairs) == len({split for split, _ in pairs})
        is_same = len({name for _, name in pairs}) == 1 or all(split_of(a) == split_of(b) for a, b in pairs)
        if not (is_alone and is_same) or any(len(parts) == level + 1 for parts in inside):
            return level
        level += 1


def _names(folders: Collection[Folders], level: int) -> list[str]:
    return sorted({parts[level] for parts in folders if len(parts) > level})


def _folders(file: str) -> Folders:
    return tuple(file.split(os.sep)[:-1])


def _is_utf8(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
