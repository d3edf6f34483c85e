"""The classes of a model, and labels that do not fit them: found before training where they can be, else in a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from .losses import check_labels

__all__ = [
    "are_other_classes",
    "check_batch_labels",
    "check_class_order",
    "check_label_column",
    "class_names_of",
    "in_short",
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


def class_names_of(model: nn.Module) -> list[str] | None:
    """The names of the classes, in their order.

    Args:
        model: of Hugging Face; of any other None is returned.
    """
    names = getattr(getattr(model, "config", None), "id2label", None)
    return None if names is None else [names[k] for k in sorted(names)]


def check_class_order(saved: Sequence[str] | None, now: Sequence[str], *, source: str) -> None:
    """Raise where the classes of a saved model stand in another order than the one in which they were learned.

    Args:
        saved: names of the classes as they were learned; None: nobody knows.
        now: as the model names them now.
        source: the model, for the message.

    Raises:
        ValueError: the same names in another order.
    """
    if saved and list(saved) != list(now) and sorted(saved) == sorted(now):
        raise ValueError(
            f"the classes of {source} must stand in the order in which its ground distance and its classifier head "
            f"were learned, {in_short(saved)}; id2label has {in_short(now)}. Load it without id2label, and give your "
            "data the labels in that order."
        )


def are_other_classes(saved: Sequence[str] | None, now: Sequence[str]) -> bool:
    """Whether a model's classes have other names than when they were learned; "LABEL_0" and so on are no names.

    Args:
        saved: names of the classes as they were learned; None: nobody knows.
        now: as the model names them now.

    >>> are_other_classes(["baby", "child"], ["cat", "dog"])
    True
    >>> are_other_classes(["baby", "child"], ["LABEL_0", "LABEL_1"])
    False
    """
    unnamed = [f"LABEL_{k}" for k in range(len(now))]
    if saved and len(saved) != len(now):
        return True
    return bool(saved) and list(saved) != list(now) and unnamed not in (list(saved), list(now))


def in_short(names: Sequence[str]) -> str:
    """The first names of the classes, for a message.

    >>> in_short(["a", "b"]), in_short("abcdefghij")
    ('a, b', 'a, b, c, d, e, f, g, h, ...')
    """
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


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
    names = [name for name in ("labels", "label") if name in dataset.column_names]
    if len(names) != 1 or not len(dataset):
        return
    labels = dataset.select_columns(names).with_format("numpy")[:][names[0]]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise ValueError(
            f"labels must lie in 0 .. {num_classes - 1}, the model's {num_classes} classes; the column {names[0]!r} "
            f"has {len(wrong)} others, the first in row {wrong[0]}: {labels[wrong[0]]}."
        )
