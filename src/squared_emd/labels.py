"""Labels that do not fit the model's classes are found before training where they can be, else in their batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import torch

from .losses import check_labels

__all__ = ["check_batch_labels", "check_label_column"]


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
