"""People's own pictures: a folder, a CSV file or a data set of the Hub."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from squared_emd.data.own_labels import checked_classes, checked_groups, labels_and_names
from squared_emd.data.own_rows import FEW, Rows, Wanted
from squared_emd.data.own_sources import SOURCES, read_source
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
    names = None if classes is None else checked_classes(classes)
    rows = read_source(source, Wanted(names, label_column, group_column, image_column))
    labels, class_names = labels_and_names(rows, names, ordered=ordered, source=source, sources=SOURCES)
    if isinstance(rows.inputs, list):
        rows, labels = _without_bad_pictures(rows, labels, skip_bad_images, progress, source)
    groups = checked_groups(rows)
    likeliest = labels.argmax(1) if rows.soft else labels  # (N,)
    splits = with_test_split(rows.splits, likeliest.tolist(), groups, source)
    warn_of_splits(splits, likeliest, groups, class_names, source)

    images = rows.inputs
    if isinstance(images, list):
        images = Dataset.from_dict({"image": images}, features=Features({"image": Image()}))
    kind = List(Value("float32"), length=len(class_names)) if rows.soft else ClassLabel(names=list(class_names))
    dataset = images.add_column("label", labels.tolist(), feature=kind)
    dataset = dataset.add_column("split", splits, feature=Value("string"))
    if groups is not None:
        dataset = dataset.add_column("group", groups, feature=Value("string"))
    return OwnData(dataset, class_names, rows.soft)


def _without_bad_pictures(
    rows: Rows, labels: np.ndarray, skip: bool, progress: Callable[[int, int], None] | None, source: Any
) -> tuple[Rows, np.ndarray]:
    bad = bad_pictures(rows.inputs, progress)
    if not bad:
        return rows, labels
    few = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:FEW])
    count = f"{len(bad)} of {len(set(rows.inputs))} pictures of {source} are absent or cannot be decoded"
    keep = [i for i, path in enumerate(rows.inputs) if path not in bad]
    if not skip or not keep:
        advice = "Mend them" if skip else "Mend them, or leave them out with --skip_bad_images (skip_bad_images=True)"
        raise ValueError(f"{count}, the first: {few}. {advice}.")
    logger.warning("%s and are left out, the first: %s.", count, few)

    def kept(values: list) -> list:
        return [values[i] for i in keep]

    groups = None if rows.groups is None else kept(rows.groups)
    place = rows.place
    rows = rows._replace(
        inputs=kept(rows.inputs), splits=kept(rows.splits), groups=groups, place=lambda i: place(keep[i])
    )
    return rows, labels[keep]
