"""Rows of people's own data, whatever they are of: the columns that say label, group and split."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from datasets import Dataset

__all__ = ["FEW", "GROUP_COLUMN", "LABEL_COLUMN", "SPLITS", "SPLIT_COLUMN", "Rows", "Wanted"]
__all__ += ["find_column", "find_group_column", "find_label_columns", "split_of"]

SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
FEW = 5
LABEL_COLUMN, GROUP_COLUMN, SPLIT_COLUMN = "label", "group", "split"


class Rows(NamedTuple):
    """The rows of a source, whatever it was."""

    inputs: list[str] | Dataset  # paths, or a data set with the columns to learn from
    labels: list[Any]  # text or numbers, soft: lists of K numbers
    splits: list[str]
    groups: list[Any] | None
    place: Callable[[int], str]  # of a row, for messages
    names: list[str] | None = None  # the classes in their order, where the source says it
    soft: bool = False


class Wanted(NamedTuple):
    """What the user named: classes in order, and columns."""

    classes: list[str] | None = None
    label: str | None = None
    group: str | None = None
    inputs: str | None = None


def find_column(available: Sequence[str], wanted: str | None, defaults: Iterable[str], option: str, source: Any) -> str:
    """The column that is meant.

    Args:
        available: The columns of the source.
        wanted: What the user named.
        defaults: Names to look for where the user named none.
        option: Of the command line, with which it can be named.
        source: For messages.

    Raises:
        ValueError: There is none.
    """
    found = [name for name in ([wanted] if wanted else defaults) if name in available]
    if not found:
        need = repr(wanted) if wanted else " or ".join(defaults) or "of pictures"
        raise ValueError(
            f"{source} needs a column {need}, it has: {', '.join(available) or 'none'}. Name it with --{option}."
        )
    return found[0]


def find_label_columns(available: Sequence[str], wanted: Wanted, source: Any) -> list[str]:
    """One column of labels, or one of votes for each class.

    Args:
        available: The columns of the source.
        wanted: What the user named.
        source: For messages.

    Raises:
        ValueError: There is none.
    """
    if wanted.classes and not wanted.label and all(name in available for name in wanted.classes):
        return wanted.classes
    return [find_column(available, wanted.label, [LABEL_COLUMN], "label_column", source)]


def find_group_column(available: Sequence[str], wanted: Wanted, source: Any) -> str | None:
    """The column of groups, where there is one.

    Args:
        available: The columns of the source.
        wanted: What the user named.
        source: For messages.

    Raises:
        ValueError: There is none of the name that the user gave.
    """
    if wanted.group is None and GROUP_COLUMN not in available:
        return None
    return find_column(available, wanted.group, [GROUP_COLUMN], "group_column", source)


def split_of(text: str | None, place: str) -> str:
    """`train`, `validation` or `test`.

    Args:
        text: What a row has in its column of splits.
        place: Of the row, for the message.

    Raises:
        ValueError: It is none of these.
    """
    if str(text).lower() not in SPLITS:
        raise ValueError(f"{place}: {SPLIT_COLUMN} must be {', '.join(SPLITS)}, got {text!r}.")
    return SPLITS[str(text).lower()]
