"""People's own pictures: a folder, a CSV file or a data set of the Hub."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from squared_emd.data.own_sources import FEW, SOURCES, Rows, Wanted, read_source
from squared_emd.data.own_splits import warn_of_splits, with_test_split
from squared_emd.data.pictures import bad_pictures

__all__ = ["OwnData", "load_own_data"]

logger = logging.getLogger(__name__)


class OwnData(NamedTuple):
    """Pictures with their classes.

    `dataset` has `image` (decoded when read), `label` (`ClassLabel`; soft: K float32 that sum to 1), `split` (`train`,
    `validation` or `test`; there is no validation unless the source has it) and, where there are groups, `group`.
    """

    dataset: Dataset
    class_names: tuple[str, ...]
    soft: bool


def load_own_data(
    source: str | os.PathLike,
    *,
    ordered: bool = True,
    classes: Sequence[str | int] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    skip_bad_images: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> OwnData:
    """Gives pictures of one's own with the order of their classes and a test split.

    The order of the classes is that of `classes`; else that of a `ClassLabel`; else of the numbers where all labels are
    numbers or begin with one; else of the alphabet. 1, 01 and 1.0 are one number and so one class. Where there is no
    test split, a fifth of the training rows of each class is cut off with a fixed seed, by whole groups where there are
    groups; one lone split counts as no split. Pictures of a folder or a CSV file are decoded once, so that a damaged
    one is found here.

    Source: ours; nothing of it is in Hou et al. 2016.

    Args:
        source: A folder `<class>/<picture>` or `train|validation|val|test/<class>/<picture>`; a `.csv` file in UTF-8
            with commas and a header; a data set of the Hub, or a folder that `load_dataset` or `load_from_disk` reads.
        ordered: Whether the classes have an order; if so, one that was guessed from the alphabet gets a warning.
        classes: Names of the K classes in order. Where all are columns and there is no `label_column`, the columns hold
            soft labels: votes or probabilities, divided by their sum.
        image_column: Default: `image`, `path` or `file_name`, and on the Hub a lone column of pictures. Paths in a CSV
            file are relative to it.
        label_column: Default: `label`. Class names or numbers; on the Hub also lists of K numbers, which are soft.
        group_column: Default: `group`, where there is such a column. For instance who is on the picture: rows of one
            group never part when a test split is cut.
        skip_bad_images: Leaves out, with a warning, pictures that are absent or cannot be decoded.
        progress: Called as `progress(done, total)` after each picture that was checked.

    Returns:
        The data set, the K names in order, and whether the labels are soft.

    Raises:
        FileNotFoundError: There is no such file, folder or data set.
        ValueError: The source is not as above, or a row has no usable label, split, group or picture; it is named.
    """
    names = None if classes is None else _checked_classes(classes)
    rows = read_source(source, Wanted(names, image_column, label_column, group_column))
    if not rows.labels:
        raise ValueError(f"{source} has no rows. {SOURCES}.")
    if rows.soft:
        labels, class_names = _soft_labels(rows, names, source)
    else:
        labels, class_names = _hard_labels(rows, names, ordered, source)
    if isinstance(rows.images, list):
        rows, labels = _without_bad_pictures(rows, labels, skip_bad_images, progress, source)
    groups = None if rows.groups is None else _checked_groups(rows)
    likeliest = labels.argmax(1) if rows.soft else labels  # (N,)
    splits = with_test_split(rows.splits, likeliest.tolist(), groups, source)
    warn_of_splits(splits, likeliest, groups, class_names, source)

    images = rows.images
    if isinstance(images, list):
        images = Dataset.from_dict({"image": images}, features=Features({"image": Image()}))
    kind = List(Value("float32"), length=len(class_names)) if rows.soft else ClassLabel(names=list(class_names))
    dataset = images.add_column("label", labels.tolist(), feature=kind)
    dataset = dataset.add_column("split", splits, feature=Value("string"))
    if groups is not None:
        dataset = dataset.add_column("group", groups, feature=Value("string"))
    return OwnData(dataset, class_names, rows.soft)


def _checked_classes(classes: Sequence[str | int]) -> list[str]:
    names = [classes] if isinstance(classes, str) else [str(name).strip() for name in classes]
    if len(names) < 2 or not all(names) or len({_key(name) for name in names}) < len(names):
        raise ValueError(f"classes must be at least two different names, got {names}.")
    return names


def _key(text: str) -> str | float:
    """What two spellings of a label have in common: "1", "01" and "1.0" are the same number."""
    return float(text) if re.fullmatch(r"[+-]?\d+(\.\d*)?", text, re.ASCII) else text


def _hard_labels(
    rows: Rows, classes: list[str] | None, ordered: bool, source: Any
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) class indices and the names of the classes."""
    texts = []
    for i, label in enumerate(rows.labels):
        missing = label is None or label != label or (rows.names is not None and label < 0)
        text = "" if missing else str(label if rows.names is None else rows.names[label]).strip()
        if not text:
            raise ValueError(f"{rows.place(i)}: there is no label. Leave such rows out.")
        texts.append(text)
    names = classes or rows.names or _names_in_order(texts, ordered, source)
    _check_two(names, source)
    index = {_key(name): k for k, name in enumerate(names)}
    for i, text in enumerate(texts):
        if _key(text) not in index:
            raise ValueError(f"{rows.place(i)}: the label must be one of {', '.join(names)}; got {text!r}.")
    return np.array([index[_key(text)] for text in texts]), tuple(names)


def _names_in_order(texts: list[str], ordered: bool, source: Any) -> list[str]:
    spellings = {}
    for text in sorted(set(texts), key=lambda text: (len(text), text)):
        spellings.setdefault(_key(text), text)
    if all(isinstance(key, float) for key in spellings):
        return [spellings[key] for key in sorted(spellings)]
    starts = {name: re.match(r"\d+", name, re.ASCII) for name in spellings.values()}
    by_number = all(starts.values())  # as 0-2, 3-9, 10-19
    names = sorted(starts, key=lambda name: (int(starts[name][0]), name) if by_number else name)
    if ordered:
        logger.warning(
            "%s does not say in which order its classes are, taken is that of %s: %s. If it is another, name the "
            "classes in their order with --classes (classes=...).",
            source,
            "their first numbers" if by_number else "the alphabet",
            ", ".join(names),
        )
    return names


def _soft_labels(rows: Rows, classes: list[str] | None, source: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N, K) rows that sum to 1 and the names of the classes."""
    names = classes or [str(k) for k in range(next((len(votes) for votes in rows.labels if votes), 0))]
    _check_two(names, source)
    labels = np.full((len(rows.labels), len(names)), np.nan)
    for i, votes in enumerate(rows.labels):
        with suppress(TypeError, ValueError):  # not numbers, or not as many
            labels[i] = np.array(votes, dtype=np.float64).reshape(len(names))
        if not (np.isfinite(labels[i]).all() and labels[i].min() >= 0 and labels[i].max() > 0):
            got = "nothing" if not votes else ", ".join(map(str, votes))
            raise ValueError(
                f"{rows.place(i)}: a soft label must be {len(names)} numbers, one for each of {', '.join(names)}, none "
                f"negative and not all 0; got {got}."
            )
    labels /= labels.max(1, keepdims=True)  # so that no sum overflows
    return labels / labels.sum(1, keepdims=True), tuple(names)


def _check_two(names: Sequence[str], source: Any) -> None:
    if len(names) < 2:
        raise ValueError(f"{source} must have at least two classes, it has: {', '.join(names) or 'none'}. {SOURCES}.")


def _checked_groups(rows: Rows) -> list[str]:
    groups = ["" if group is None or group != group else str(group).strip() for group in rows.groups]
    for i, group in enumerate(groups):
        if not group:
            raise ValueError(f"{rows.place(i)}: there is no group. Give each row one, or name no column of groups.")
    return groups


def _without_bad_pictures(
    rows: Rows, labels: np.ndarray, skip: bool, progress: Callable[[int, int], None] | None, source: Any
) -> tuple[Rows, np.ndarray]:
    bad = bad_pictures(rows.images, progress)
    if not bad:
        return rows, labels
    few = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:FEW])
    count = f"{len(bad)} of {len(set(rows.images))} pictures of {source} are absent or cannot be decoded"
    keep = [i for i, path in enumerate(rows.images) if path not in bad]
    if not skip or not keep:
        advice = "Mend them" if skip else "Mend them, or leave them out with --skip_bad_images (skip_bad_images=True)"
        raise ValueError(f"{count}, the first: {few}. {advice}.")
    logger.warning("%s and are left out, the first: %s.", count, few)

    def kept(values: list) -> list:
        return [values[i] for i in keep]

    groups = None if rows.groups is None else kept(rows.groups)
    place = rows.place
    rows = rows._replace(
        images=kept(rows.images), splits=kept(rows.splits), groups=groups, place=lambda i: place(keep[i])
    )
    return rows, labels[keep]
