"""Labels of a run: read, checked and counted before training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..losses import check_labels, remedy_of_range

_REAL = (Real, Decimal)  # Decimals are those of Arrow.


def num_classes_of(model: nn.Module) -> int:
    """The number of classes K of a Hugging Face model, or of one with an attribute `num_classes` or `num_labels`."""
    config = getattr(model, "config", None)
    for owner, name in ((config, "num_labels"), (model, "num_classes"), (model, "num_labels")):
        if isinstance(getattr(owner, name, None), int):
            return getattr(owner, name)
    raise ValueError(
        f"the number of classes of {type(model).__name__} must be known: give the model an attribute num_classes (a "
        "Hugging Face model has config.num_labels)."
    )


def check_batch_labels(num_classes: int | None, batch: Any) -> None:
    """Raise a ValueError if the labels of a batch on the CPU do not fit the K classes, or None: are no scores."""
    if not isinstance(batch, Mapping) or "labels" not in batch:
        return
    labels = torch.as_tensor(batch["labels"])
    if num_classes is not None:
        check_labels(labels, len(labels), num_classes)
        return
    fits = _fits(_as_array(labels), None)
    if not fits.all():
        row = int(fits.argmin())
        raise ValueError(
            f"labels must be {_required(None)}; sample {row} of a batch has {labels[row].tolist()}. "
            "Leave out samples without a label."
        )


def check_label_column(
    dataset: Any,
    num_classes: int | None,
    collate: Callable[[list], Mapping],
    *,
    source: str,
    is_optional: bool = False,
) -> None:
    """Raise a ValueError if labels that :func:`labels_of` reads do not fit; `source` is what it calls the dataset.

    Where the collator or a transform makes other labels, what they make of the first one that does not fit counts. If
    they are optional, no sample has to have one.
    """
    if isinstance(dataset, Mapping):
        for name, part in dataset.items():
            check_label_column(part, num_classes, collate, source=f"{source}[{name!r}]", is_optional=is_optional)
        return
    found = labels_of(dataset)
    misfit = None if found is None else _first_misfit(*found, num_classes, source)
    if misfit is None or (is_optional and all(label is None or label != label for label in found[1].ravel())):
        return
    row, message = misfit
    try:
        check_batch_labels(num_classes, {"labels": collate([dataset[row]])["labels"]})
    except Exception as error:  # whatever it is that a collator raises for such a label
        raise ValueError(message) from error


def check_one_split(dataset: Any, *, source: str) -> None:
    """Raise a ValueError if a dataset is several by name, as a `datasets.DatasetDict` is."""
    if isinstance(dataset, Mapping):
        names = list(dataset)
        raise ValueError(
            f"{source} must be the samples of one split, got a {type(dataset).__name__} of {', '.join(map(str, names))}"
            f". Give one of them, as dataset[{(names or ['test'])[-1]!r}]."
        )


def _first_misfit(name: str, labels: np.ndarray, num_classes: int | None, source: str) -> tuple[int, str] | None:
    """The first row whose label does not fit, and what to say of it."""
    fits = _fits(labels, num_classes)
    if fits.all():
        return None
    row = int(fits.argmin())
    label = labels[row].tolist() if hasattr(labels[row], "tolist") else labels[row]
    return row, (
        f"labels must be {_required(num_classes)}; of the column {name!r} of {source} {(~fits).sum()} are not, the "
        f"first in row {row}: {label!r:.80}. {_remedy(label, name, labels, num_classes)}"
    )


def _as_array(labels: Tensor) -> np.ndarray:
    """NumPy has no bfloat16."""
    return (labels.float() if labels.dtype == torch.bfloat16 else labels).numpy(force=True)


def _required(num_classes: int | None) -> str:
    if num_classes is None:
        return "finite numbers"
    return f"class indices in 0 .. {num_classes - 1}, or {num_classes} shares of sum 1 each"


def _fits(labels: np.ndarray, num_classes: int | None) -> np.ndarray:
    """(N,) bool: whether each label is a class index or a distribution; without classes, whether it is a score."""
    if labels.dtype.kind not in "biuf":  # Of several types: what cannot fit becomes a number that does not.
        if num_classes is None:
            labels = np.array([label if isinstance(label, _REAL) else np.nan for label in labels], np.float64)
        elif isinstance(labels[0], (list, tuple)) or np.ndim(labels[0]):
            labels = np.stack([_as_shares(label, num_classes) for label in labels])
        else:
            indices = (label if isinstance(label, (Integral, np.bool_)) else -1 for label in labels)
            labels = np.array([k if 0 <= k < num_classes else -1 for k in indices], np.int64)
    rows = labels.reshape(len(labels), -1)
    if num_classes is None:
        # -100 marks a sample without a label, unless the scores go below 0.
        is_marked = (rows == -100).any(1) & ~((rows < 0) & (rows != -100)).any()
        return np.isfinite(rows).all(1) & ~is_marked
    if labels.dtype.kind != "f":
        return (labels >= 0) & (labels < num_classes) if labels.ndim == 1 else np.zeros(len(labels), bool)
    if labels.ndim == 1:  # No index, but where some are missing, numbers that were whole are floating point.
        return np.isfinite(labels) & np.isnan(labels).any()
    is_distribution = (rows >= 0).all(1) & (np.abs(rows.sum(1, dtype=np.float64) - 1) <= 1e-2)
    return is_distribution & (labels.shape[1:] == (num_classes,))


def _as_shares(label: Any, num_classes: int) -> np.ndarray:
    """(K,) what is given as a distribution; NaN where it is none."""
    with suppress(ValueError):  # rows within rows, of different lengths
        shares = np.asarray(label)
        if shares.dtype.kind == "f" and shares.shape == (num_classes,):
            return shares
    return np.full(num_classes, np.nan)


def _remedy(label: Any, name: str, labels: np.ndarray, num_classes: int | None) -> str:
    if isinstance(label, str):
        return (
            f'Number the classes in all splits at once: dataset.class_encode_column("{name}") in alphabetical order, '
            f'or dataset.cast_column("{name}", ClassLabel(names=[...])) in another one.'
        )
    if num_classes is None:
        return "Leave out samples without a label."
    if isinstance(label, list):
        if all(isinstance(share, int) for share in label) and sorted(label) == [0] * (num_classes - 1) + [1]:
            return "Give shares as floating point: labels.float()."
        return "squared_emd.soft_labels makes such shares of votes."
    if isinstance(label, (float, Decimal)) and math.isfinite(label):
        return (
            f'Cast class indices to integers: dataset.cast_column("{name}", Value("int64")); real-valued scores are '
            "for the loss reg."
        )
    indices = labels if labels.dtype.kind in "iu" else [other for other in labels if isinstance(other, Integral)]
    if not isinstance(label, int) or not len(indices):
        return "Leave out samples without a label."
    return remedy_of_range(min(indices), max(indices), num_classes)


def labels_of(dataset: Any) -> tuple[str, np.ndarray] | None:
    """The name of the column of labels and (N, ...) what is in it, if it can be read without loading a sample.

    It is that of a `datasets.Dataset` with one column `labels` or `label` (its transform is not applied), of a list of
    dictionaries with such an entry, or the attribute `targets` of a dataset, as those of torchvision have.
    """
    import datasets  # Slow to import, and only training needs it.

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
            column = [sample.get(name) for sample in dataset]
            column = [_as_array(label)[()] if isinstance(label, Tensor) else label for label in column]
    else:
        name, column = "targets", getattr(dataset, "targets", None)
        if not hasattr(column, "__len__") or not len(column):
            return None
    # One array of labels of several types would hide which of them does not fit.
    rows, types = (list, tuple, np.ndarray), {object}
    if isinstance(column, rows[:2]):
        types = {list if isinstance(label, rows) else type(label) for label in column}
    with suppress(ValueError):  # rows of different lengths
        if len(types) == 1:
            return name, np.asarray(column)
    labels = np.empty(len(column), object)
    labels[:] = column
    return name, labels


def class_shares(dataset: Any, num_classes: int | None, *, needed_by: str) -> tuple[np.ndarray, np.ndarray]:
    """(K,) the number of samples of each class, or sums of soft labels, and the labels (N,) or (N, K) themselves.

    Without `num_classes` there are as many as the labels have; `needed_by` is the argument that needs the counts.
    """
    found = labels_of(dataset)
    name, labels = ("", np.zeros((0, 0, 0))) if found is None else found
    is_mixed = labels.dtype == object and all(isinstance(label, _REAL) for label in labels)
    numbers = labels.astype(np.float64) if is_mixed else labels
    if numbers.dtype.kind == "f" and numbers.ndim == 1 and (numbers == np.rint(numbers)).all():
        labels = numbers.astype(np.int64)
    if num_classes is None and labels.ndim == 2:
        num_classes = labels.shape[1]
    elif num_classes is None and labels.dtype.kind in "biu":
        num_classes = int(labels.max()) + 1
    if found is None or num_classes is None:
        raise ValueError(
            f"{needed_by} needs to count the samples of each class: give the training data as a datasets.Dataset or a "
            "list, with one column `label` or `labels`, of class indices or of a share for each class; got "
            f"{type(dataset).__name__}{'' if found is None else f' with labels of shape {labels.shape}'}. "
            "class_weights can be given as numbers."
        )
    misfit = _first_misfit(name, labels, num_classes, "the training data")
    if misfit is not None:
        raise ValueError(misfit[1])
    if labels.ndim == 2:
        return labels.sum(0, dtype=np.float64), labels
    labels = labels.astype(np.int64)
    return np.bincount(labels, minlength=num_classes).astype(np.float64), labels


def balanced_draws(counts: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) the relative frequency at which to draw each sample so that all classes are drawn equally often.

    >>> balanced_draws(np.array([1.0, 4.0]), np.array([0, 1, 1, 1, 1]))
    array([1.  , 0.25, 0.25, 0.25, 0.25])
    """
    shares = np.divide(1, counts, out=np.zeros_like(counts), where=counts > 0)
    return shares[labels] if labels.ndim == 1 else labels @ shares


def transformed(transform: Callable[[dict[str, Any]], Mapping], inputs: dict[str, Any]) -> dict[str, Any]:
    """A batch as `train_batch_transform` changes it; a ValueError if samples are lost or added."""
    size = len(inputs["labels"])
    inputs = dict(transform(inputs))
    if len(inputs.get("labels", ())) != size:
        raise ValueError(
            f"train_batch_transform must keep the {size} samples of a batch, which the loss of the step is divided "
            f"by; it gave {len(inputs.get('labels', ()))}."
        )
    return inputs
