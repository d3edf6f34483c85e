"""The classes of a model, and labels that do not fit them: found before training where they can be, else in a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ..losses import check_labels

__all__ = [
    "balanced_draws",
    "check_batch_labels",
    "check_label_column",
    "class_shares",
    "labels_of",
    "num_classes_of",
]


def num_classes_of(model: nn.Module) -> int:
    """The number of classes K.

    Args:
        model: of Hugging Face, or any with an attribute `num_classes` or `num_labels`.

    Raises:
        ValueError: it does not say.
    """
    config = getattr(model, "config", None)
    for owner, name in ((config, "num_labels"), (model, "num_classes"), (model, "num_labels")):
        if isinstance(getattr(owner, name, None), int):
            return getattr(owner, name)
    raise ValueError(
        f"EMDTrainer needs to know the number of classes of {type(model).__name__}: give the model an attribute "
        "num_classes (a Hugging Face model has config.num_labels)."
    )


def check_batch_labels(num_classes: int, batch: Any) -> None:
    """Raise where the labels of a batch do not fit the classes.

    Args:
        num_classes: K.
        batch: a mapping with `labels`, on the CPU; anything else is left alone.

    Raises:
        ValueError: a label is out of range, or a row of soft labels is no distribution.
    """
    if isinstance(batch, Mapping) and "labels" in batch:
        labels = torch.as_tensor(batch["labels"])
        check_labels(labels, len(labels), num_classes)


def check_label_column(dataset: Any, num_classes: int) -> None:
    """Raise where a data set's column of labels does not fit the classes, as far as it can be read by itself.

    Args:
        dataset: a `datasets.Dataset` with one column `labels` or `label`, of integers, and no transform, which could
            make other labels of them; anything else is left alone.
        num_classes: K.

    Raises:
        ValueError: a label is out of range.
    """
    import datasets  # here: slow, and only training comes this way

    if not isinstance(dataset, datasets.Dataset) or dataset.format["type"] == "custom":
        return
    found = labels_of(dataset)
    if found is None or found[1].ndim != 1 or found[1].dtype.kind not in "iu":
        return
    name, labels = found
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; the column {name!r} "
            f"has {len(wrong)} others, the first in row {wrong[0]}: {labels[wrong[0]]}."
        )


def labels_of(dataset: Any) -> tuple[str, np.ndarray] | None:
    """The labels of a data set, as far as they can be read without making a sample.

    Args:
        dataset: a `datasets.Dataset` with one column `labels` or `label` (its transform is not asked), a list of
            dictionaries with such an entry, or a data set with an attribute `targets`, as those of torchvision have.

    Returns:
        The name of the column, and (N,) class indices or (N, K) distributions; None where they cannot be read.
    """
    import datasets  # here: slow, and only training comes this way

    is_table, is_list = isinstance(dataset, datasets.Dataset), isinstance(dataset, (list, tuple))
    if is_table or (is_list and dataset and isinstance(dataset[0], Mapping)):
        names = dataset.column_names if is_table else dataset[0]
        found = [name for name in ("labels", "label") if name in names]
        if len(found) != 1 or not len(dataset):
            return None
        (name,) = found
        if is_table:
            column = dataset.select_columns(name).with_format("numpy")[:][name]
        else:
            column = [np.asarray(sample[name]) for sample in dataset]
    else:
        name, column = "targets", getattr(dataset, "targets", None)
        if not hasattr(column, "__len__") or not len(column):
            return None
    try:
        labels = np.asarray(column)
    except ValueError:  # rows of different lengths
        return None
    return (name, labels) if labels.dtype.kind in "iuf" and labels.ndim in (1, 2) else None


def class_shares(dataset: Any, num_classes: int | None, *, needed_by: str) -> tuple[np.ndarray, np.ndarray]:
    """How many samples each class has, and the labels that say so.

    Args:
        dataset: to train on.
        num_classes: K; None: as many as the labels have.
        needed_by: the argument that needs the counts, for the message.

    Returns:
        (K,) counts, or sums of soft labels; and (N,) int64 class indices or (N, K) distributions.

    Raises:
        ValueError: the labels cannot be read without making the samples, or do not fit the classes.
    """
    found = labels_of(dataset)
    labels = np.zeros((0, 0, 0)) if found is None else found[1]
    are_indices = labels.ndim == 1 and (labels == labels.astype(np.int64)).all()
    are_shares = labels.ndim == 2 and num_classes in (None, labels.shape[1])
    if not are_indices and not are_shares:
        raise ValueError(
            f"{needed_by} needs to count the samples of each class: give the training data as a datasets.Dataset or a "
            "list, with one column `label` or `labels`, of class indices or of a share for each class; got "
            f"{type(dataset).__name__}{'' if found is None else f' with labels of shape {labels.shape}'}. "
            "class_weights can be given as numbers."
        )
    if are_shares:
        return labels.sum(0, dtype=np.float64), labels
    labels = labels.astype(np.int64)
    num_classes = int(labels.max()) + 1 if num_classes is None else num_classes
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; "
            f"got {labels.min()} .. {labels.max()}."
        )
    return np.bincount(labels, minlength=num_classes).astype(np.float64), labels


def balanced_draws(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How often each sample is to be drawn, so that each class comes equally often.

    Args:
        counts: (K,) as :func:`class_shares` gives them.
        labels: (N,) class indices, or (N, K) distributions.

    Returns:
        (N,) in proportion.

    >>> balanced_draws(np.array([1.0, 4.0]), np.array([0, 1, 1, 1, 1]))
    array([1.  , 0.25, 0.25, 0.25, 0.25])
    """
    shares = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    return shares[labels] if labels.ndim == 1 else labels @ shares
