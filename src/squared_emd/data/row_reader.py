"""The rows of one of the user's own datasets: which columns are labels, groups and splits, and which rows are whole."""

import logging
import os
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, List, Value
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder

from squared_emd.data.csv_files import MISSING_MARKERS
from squared_emd.data.labels import (
    check_class_names,
    column_as_text,
    hard_labels,
    missing_labels,
    order_by_names,
    soft_labels_from_votes,
)
from squared_emd.data.media_folders import SPLIT_NAMES, describe_splits, split_of
from squared_emd.data.own_splits import complete_splits, join_duplicates, warn_about_duplicates, warn_about_splits
from squared_emd.data.sources import read_rows

__all__ = ["LabeledData", "RowReader", "is_number", "is_text"]

logger = logging.getLogger(__name__)

NUMBERS = ("int", "uint", "float", "bool", "decimal")
TEXTS = ("string", "large_string")


class LabeledData(NamedTuple):
    """Rows with their classes.

    `dataset` has the inputs, `label` (`ClassLabel`, or K float32 that sum to 1: a soft label), `split` (`train`,
    `validation` or `test`), `group` if the rows have groups, and for images `content`, the same for copies of one image
    of rows without groups. `class_names` are the K names in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


class RowReader:
    """The rows of a source, and which of its columns hold labels, groups and splits."""

    def __init__(
        self,
        source: str | os.PathLike,
        noun: str,
        classes: Sequence[str | int] | None,
        label_column: str | None,
        group_column: str | None,
        skip_incomplete: bool,
        folder_builder: type[FolderBasedBuilder] | None = None,
    ) -> None:
        self.source, self.noun, self.skip_incomplete = source, noun, skip_incomplete
        self.classes = None if classes is None else check_class_names(classes)
        names = (label_column or "label", group_column or "group", "split")
        self.rows = read_rows(source, noun, folder_builder, names, self.classes or ())
        self.dataset = self.rows.dataset
        self.numbers = np.arange(len(self.dataset))  # (N,) of the rows that are not left out
        self.features = self.dataset.features
        self.votes = bool(self.classes and not label_column and all(name in self.features for name in self.classes))
        self.labels = (
            self.classes if self.votes else [self._column(self.features, label_column, ["label"], "label_column")]
        )
        self.group = None
        if group_column or "group" in self.features:
            self.group = self._column(self.features, group_column, ["group"], "group_column")
        self.used = [*self.labels, *([self.group] if self.group else [])]
        self.split = self._split_column() if "split" in self.features and "split" not in self.used else None
        self.used.append("split")  # Never an input.
        kind = self.features[self.labels[0]]
        self.defined = self.classes or getattr(kind, "names", None)
        self.shares = isinstance(kind, List) and is_number(kind.feature)
        if not (self.shares or is_number(kind) or is_text(kind)):
            raise ValueError(
                f"{source}: {self.labels[0]} must be a ClassLabel, text, a number or a list of numbers (soft), got "
                f"{kind}."
            )
        if self.votes or self.shares:
            missing = self.dataset.select_columns(self.labels).to_pandas().isna().any(axis=1).to_numpy()
            self.leave_out(missing, "vote for a class" if self.votes else "label")
        else:
            texts = self.as_text(self.labels[0])
            missing = missing_labels(texts, self.defined, source)
            markers = ", ".join(repr(text) for text in texts[missing].unique() if text)
            self.leave_out(missing, f"label but {markers}" if markers else "label")
        if self.group:
            self.leave_out((self.as_text(self.group) == "").to_numpy(), "group", "Give each row one, remove the column")

    def place(self, i: int) -> str:
        return self.rows.place(self.numbers[i])

    def as_text(self, column: str) -> pd.Series:
        values = self.dataset.select_columns([column]).with_format(None).to_pandas()[column]
        return column_as_text(values, self.features[column])

    def leave_out(self, missing: np.ndarray, what: str, advice: str = "Remove such rows") -> None:
        """Leaves out rows in which something is missing, (N,) booleans, or refuses them."""
        if not missing.any():
            return
        count = f"{missing.sum()} of {len(missing)} rows"
        if missing.all() or not self.skip_incomplete:
            raise ValueError(
                f"{self.place(missing.argmax())}: there is no {what} (in {count}). {advice}, or leave them out with "
                "--skip_incomplete (skip_incomplete=True)."
            )
        logger.warning("%s: %s without a %s are left out.", self.source, count, what)
        self.select(~missing)

    def select(self, keep: np.ndarray) -> None:
        self.dataset = self.dataset.select(np.flatnonzero(keep))
        self.numbers = self.numbers[keep]

    def inputs(self, kind: type | None, wanted: str | None, defaults: Sequence[str], name: str) -> Dataset:
        """The column of inputs, of a type of `datasets` or of text, under a new name, of the rows that have one."""
        free = [column for column in self.features if column not in self.used]
        typed = [column for column in free if kind and isinstance(self.features[column], kind)]
        usable = typed or [column for column in free if getattr(self.features[column], "dtype", "") in TEXTS]
        if wanted in self.features and wanted not in usable:
            required = f"{kind.__name__} or text" if kind else "text"
            raise ValueError(
                f"{self.source}: {wanted} must be a column of {required}, not that of labels, groups or splits; got "
                f"{self.features[wanted]}."
            )
        only = usable if len(usable) == 1 and (typed or kind is None) else defaults
        column = self._column(usable, wanted, only, f"{name}_column")
        values = self.dataset.select_columns([column]).with_format("arrow")[:][column]
        missing = pc.is_null(values)
        if self.features[column].dtype in TEXTS:
            missing = pc.or_(missing, pc.equal(pc.fill_null(pc.utf8_trim_whitespace(values), ""), ""))
        self.leave_out(missing.to_numpy(), self.noun[:-1])
        return self.dataset.select_columns([column]).rename_columns({column: name})

    def _column(self, available: Iterable[str], wanted: str | None, defaults: Iterable[str], option: str) -> str:
        """The column that the user named, else the first default that exists."""
        found = [name for name in ([wanted] if wanted else defaults) if name in available]
        if not found:
            required = repr(wanted) if wanted else " or ".join(defaults)
            raise ValueError(
                f"{self.source} needs a column {required}, it has: {', '.join(available) or 'none'}. Name it with "
                f"--{option}."
            )
        return found[0]

    def absolute_path(self, path: str) -> str:
        return os.path.normpath(self.rows.folder / path.strip())

    def finish(
        self,
        inputs: Dataset,
        contents: Sequence[Hashable],
        places: Sequence[str] | None = None,
        *,
        ordered: bool,
        needs_order: bool,
        with_validation: bool = True,
    ) -> LabeledData:
        """Adds the labels and the splits to the inputs; media, which have `places`, stay together with their copies.

        Texts, and rows of few different values, are often equal by chance; to join them could make all groups one.
        """
        labels, names = self._labels(ordered, needs_order)
        groups = None
        if self.group:
            texts = self.as_text(self.group).str.strip()
            groups, marked = texts.to_numpy(), texts.str.lower().isin(MISSING_MARKERS).to_numpy()
            if marked.any():
                logger.warning(
                    "%s: the group %s is taken for a group, of %d rows. If it means that there is no group, leave "
                    "these cells empty.",
                    self.source,
                    ", ".join(map(repr, sorted(set(groups[marked])))),
                    marked.sum(),
                )
        likeliest = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
        together = groups if places is None else join_duplicates(groups, contents)
        wanted = ("test", "validation") if with_validation else ("test",)
        splits = complete_splits(self._splits(), likeliest, together, self.source, wanted)
        place, are_joined = places.__getitem__ if places else self.place, places is not None
        noun = "rows" if self.noun == "tables" else self.noun
        warn_about_duplicates(contents, place, likeliest, splits, self.source, noun, are_joined=are_joined)
        warn_about_splits(splits, likeliest, groups, names, self.source)
        kind = ClassLabel(names=list(names)) if labels.ndim == 1 else List(Value("float32"), length=len(names))
        dataset = inputs.add_column("label", labels.tolist(), feature=kind)
        dataset = dataset.add_column("split", splits.tolist(), feature=Value("string"))
        if groups is not None or (together is not None and not with_validation):  # Who cuts that needs the copies.
            name = "content" if groups is None else "group"
            dataset = dataset.add_column(name, together.tolist(), feature=Value("string"))
        return LabeledData(dataset, names)

    def _labels(self, ordered: bool, needs_order: bool) -> tuple[np.ndarray, tuple[str, ...]]:
        """(N,) class indices or (N, K) soft labels, and the names of the classes."""
        if self.votes or self.shares:
            columns = self.dataset.select_columns(self.labels)[:]
            rows = list(zip(*columns.values(), strict=True)) if self.votes else columns[self.labels[0]]
            return soft_labels_from_votes(rows, self.classes, self.place)
        texts, classes = self.as_text(self.labels[0]), self.defined
        options = {"ordered": ordered, "needs_order": needs_order}
        if classes and not self.classes and classes == sorted(classes):  # as an image folder and class_encode_column do
            classes = order_by_names(classes, self.source, **options)
        return hard_labels(texts, classes, self.place, self.source, **options)

    def _split_column(self) -> str | None:
        """The column `split`, unless the source has splits of its own or no cell names one."""
        if len(set(map(split_of, self.rows.split_names))) > 1:
            reason = "the source has splits of its own"
        elif not any(map(split_of, self.as_text("split").unique())):
            reason = f"its cells must be one of {', '.join(SPLIT_NAMES)}"
        else:
            return "split"
        logger.warning("%s: the column split is left out, because %s.", self.source, reason)
        return None

    def _splits(self) -> np.ndarray:
        """(N,) `train`, `validation`, `test`, or "" if the only split of the source has another name."""
        given = self.as_text("split").str.strip() if self.split else pd.Series(self.rows.splits()[self.numbers])
        found = {name: split_of(name) for name in given.unique()}
        splits = given.map(found).to_numpy(dtype=str)
        for i in np.flatnonzero(splits == "") if self.split else ():
            raise ValueError(f"{self.place(i)}: split must be one of {', '.join(SPLIT_NAMES)}; got {given.iloc[i]!r}.")
        if any(split and name.lower() not in SPLIT_NAMES for name, split in found.items()):
            logger.warning("%s has %s.", self.source, describe_splits(Counter(given)))
        return splits


def is_text(kind: Any) -> bool:
    return isinstance(kind, ClassLabel) or getattr(kind, "dtype", None) in TEXTS


def is_number(kind: Any) -> bool:
    return not isinstance(kind, ClassLabel) and str(getattr(kind, "dtype", "")).startswith(NUMBERS)
