"""People's own data of any kind, with their classes in order and three splits."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, Features, List, Value

from squared_emd.data.own_folders import read_folder
from squared_emd.data.own_labels import checked_classes, checked_groups, labels_and_names
from squared_emd.data.own_parts import FILE_KINDS, load_parts, rows_of_parts
from squared_emd.data.own_rows import Wanted
from squared_emd.data.own_splits import warn_of_splits, with_test_split, with_validation_split

__all__ = ["OwnInputs", "load_own_inputs", "with_labels"]


class OwnInputs(NamedTuple):
    """Rows of one's own.

    `inputs` has the columns to learn from, `labels` (N,) class indices or (N, K) rows that sum to 1, `splits` `train`,
    `validation` or `test` for each row; `place` tells where a row stands, for messages.
    """

    inputs: Dataset
    labels: np.ndarray
    splits: list[str]
    class_names: tuple[str, ...]
    place: Callable[[int], str]


def load_own_inputs(
    source: str | os.PathLike,
    pick_inputs: Callable[[Features, Sequence[str]], Sequence[str]],
    *,
    sources: str,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    files: tuple[Callable[[Path], list[str]], str] | None = None,
) -> OwnInputs:
    """Gives rows of one's own with the order of their classes, a test split and a validation split.

    The order of the classes is found as for pictures (`load_own_data`). Where there is
    no test split a fifth of the training rows of each class is cut off, and where there is no validation split a fifth
    of what is left, by whole groups where there are groups, with a fixed seed. A column `split` of a file says them.

    Source: ours; nothing of it is in Hou et al. 2016.

    Args:
        source: A .csv, .tsv, .json, .jsonl or .parquet file; a folder that `load_from_disk` or `load_dataset` reads; a
            data set of the Hub.
        pick_inputs: (types of the columns, columns that say label, group and split) -> the columns to learn from.
        sources: What sources there are, for messages.
        classes: Names of the K classes in order. Where all are columns and there is no `label_column`, the columns hold
            soft labels: votes or probabilities, divided by their sum.
        label_column: Default: `label`. Class names, numbers, or lists of K numbers, which are soft.
        group_column: Default: `group`, where there is such a column. Rows of one group never part in a split.
        files: Where a folder may be one of `<class>/<file>`: what finds the files in a folder, and what they are, as
            "sounds". Its rows have the one column `path`.

    Returns:
        The rows.

    Raises:
        FileNotFoundError: There is no such file, folder or data set.
        ValueError: The source is not as above, or a row has no usable label, split or group; it is named.
    """
    wanted = Wanted(None if classes is None else checked_classes(classes), label_column, group_column)
    path = Path(os.path.abspath(source))
    if path.is_file() and path.suffix.lower() not in FILE_KINDS:
        raise ValueError(f"A file must be one of {', '.join(FILE_KINDS)}, got {path}. {sources}.")
    rows = read_folder(path, *files) if files and path.is_dir() else None
    if rows is None:
        rows = rows_of_parts(source, load_parts(source, path, sources), wanted, pick_inputs)
    else:
        paths = Dataset.from_dict({"path": rows.inputs}, features=Features({"path": Value("string")}))
        rows = rows._replace(inputs=paths)
    labels, names = labels_and_names(rows, wanted.classes, ordered=True, source=source, sources=sources)
    groups = checked_groups(rows)
    likeliest = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
    splits = with_test_split(rows.splits, likeliest.tolist(), groups, source)
    splits = with_validation_split(splits, likeliest.tolist(), groups, source)
    warn_of_splits(splits, likeliest, groups, names, source)
    return OwnInputs(rows.inputs, labels, splits, names, rows.place)


def with_labels(inputs: Dataset, own: OwnInputs) -> Dataset:
    """Gives a data set with `label` and `split` beside the columns to learn from.

    Args:
        inputs: N rows, as those of `own.inputs` or made of them.
        own: For the labels and splits.

    Returns:
        The columns of `inputs`, `label` (`ClassLabel`; soft: K float32 that sum to 1) and `split`.
    """
    num_classes = len(own.class_names)
    soft = own.labels.ndim == 2
    kind = List(Value("float32"), length=num_classes) if soft else ClassLabel(names=list(own.class_names))
    dataset = inputs.add_column("label", own.labels.tolist(), feature=kind)
    return dataset.add_column("split", own.splits, feature=Value("string"))
