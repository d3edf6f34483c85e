"""The user's own images, texts, sounds and tables: rows with ordered classes and a training and a test split."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, Features, Image, List, Value, concatenate_datasets

from squared_emd.data.csv_files import MISSING_MARKERS
from squared_emd.data.labels import (
    check_class_names,
    column_as_text,
    hard_labels,
    missing_labels,
    order_by_names,
    soft_labels_from_votes,
)
from squared_emd.data.media_files import check_media
from squared_emd.data.sources import MEDIA_COLUMNS, SourceReader
from squared_emd.data.splits import (
    SPLIT_NAMES,
    complete_splits,
    describe_splits,
    join_duplicates,
    split_of,
    warn_about_duplicates,
    warn_about_splits,
)
from squared_emd.data.table_encoder import TEXT_TYPES, id_columns, is_number, is_text

logger = logging.getLogger(__name__)

BATCH = 256
PATH_COLUMNS = ("path", "file", "file_name")  # default names


class LabeledData(NamedTuple):
    """Rows with their classes.

    `dataset` has the inputs, `label` (`ClassLabel`, or K float32 that sum to 1: a soft label), `split` (`train`,
    `validation` or `test`), `group` if the rows have groups, and for images `content`, the same for copies of one image
    of rows without groups. `class_names` are the K names in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


def load_labeled_data(
    source: str | os.PathLike,
    noun: Literal["images", "sounds", "texts", "tables"],
    *,
    columns: Sequence[str] | str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    ordered: bool = True,
    needs_order: bool = False,
    skip_incomplete: bool = False,
    skip_bad_images: bool = False,
) -> LabeledData:
    """Loads the user's own data, with ordered classes and a test split.

    The classes are in the order of `classes`; else of a `ClassLabel`, unless it is sorted as text; else of their
    numbers, if all labels are numbers, begin with one or differ in one only; else of the alphabet. 1, 01 and 1.0 are
    one number, hence one class. If there is no test split, a fifth of each class of the training rows becomes one, by
    whole groups if there are groups; a single split counts as no split. All but images get a validation split likewise.

    Every image and sound is decoded once, so that a damaged one is found here, and those with the same content stay
    together. Texts and rows of a table that are equal in more than one split are counted in a warning.

    Args:
        source: A folder `<class>/<file>`, `<split>/<class>/<file>` or `<class>/<split>/<file>` of images or sounds; a
            .csv, .tsv, .json, .jsonl or .parquet file; a folder that `load_from_disk` or `load_dataset` reads; or the
            name of a dataset of the Hub.
        noun: What the rows hold.
        columns: The column of images, sounds or texts. Default: the only one of the type `Image` or `Audio`, or of
            text; else `image`, `audio`, `path`, `file` or `file_name` (relative to the file that has these paths), or
            `text`. Of a table: the inputs; default: all columns of numbers or text except label, group and split, but
            those that number or name the rows; what is left out is a warning.
        classes: Names of the K classes in order. If all are columns and there is no `label_column`, these hold soft
            labels: votes or probabilities, divided by their sum.
        label_column: Default: `label`. Class names, numbers, or lists of K numbers, which are soft labels.
        group_column: Default: `group`, if there is one. Rows of one group (as of one person) stay together when a split
            is made.
        ordered: Whether the classes have an order; if so, a guessed order is logged as a warning.
        needs_order: Refuses the order of the alphabet, as for a loss that uses the order.
        skip_incomplete: Leaves out, with a warning, rows without an input, a label or a group. The features of a table
            may be missing.
        skip_bad_images: Leaves out, with a warning, images that are missing or cannot be decoded.

    Returns:
        Rows with `image`; `audio` (`path` and `bytes`, which `squared_emd.data.sounds.audio_decoder` decodes); `text`;
        or the inputs of a table; and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no usable input, label, split or group; it is named.
    """
    rows = _Rows(source, noun, classes, label_column, group_column, skip_incomplete)
    is_media = noun in MEDIA_COLUMNS
    place = rows.place
    if noun == "tables":
        inputs = rows.table_inputs(columns)
        contents = pd.util.hash_pandas_object(inputs.with_format(None).to_pandas(), index=False).tolist()
        clashes = {name: f"{name} (input)" for name in inputs.column_names if name in ("label", "split", "group")}
        inputs = inputs.rename_columns(clashes)
    elif is_media:
        inputs, contents, places = _decoded(rows, columns, skip_bad_images)
        place = places.__getitem__
    else:
        inputs = rows.inputs(columns)
        contents = [text.strip() for text in _values(inputs, "text")]
    labels, names = rows.class_labels(ordered=ordered, needs_order=needs_order)
    likeliest = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
    groups = rows.groups()
    # Texts, and rows of few different values, are often equal by chance; to join them could make all groups one.
    together = join_duplicates(groups, contents) if is_media else groups
    wanted = ("test",) if noun == "images" else ("test", "validation")
    splits = complete_splits(rows.splits(), likeliest, together, source, wanted)
    called = "rows" if noun == "tables" else noun
    warn_about_duplicates(contents, place, likeliest, splits, source, called, are_joined=is_media)
    warn_about_splits(splits, likeliest, groups, names, source)
    kind = ClassLabel(names=list(names)) if labels.ndim == 1 else List(Value("float32"), length=len(names))
    dataset = inputs.add_column("label", labels.tolist(), feature=kind)
    dataset = dataset.add_column("split", splits.tolist(), feature=Value("string"))
    if groups is not None or (together is not None and noun == "images"):  # Who cuts a validation split needs them.
        name = "content" if groups is None else "group"
        dataset = dataset.add_column(name, together.tolist(), feature=Value("string"))
    return LabeledData(dataset, names)


class _Rows:
    """The rows of a source that are not left out, and which of its columns hold labels, groups and splits."""

    def __init__(
        self,
        source: str | os.PathLike,
        noun: str,
        classes: Sequence[str | int] | None,
        label_column: str | None,
        group_column: str | None,
        skip_incomplete: bool,
    ) -> None:
        self.source, self.noun, self.skip_incomplete = source, noun, skip_incomplete
        self.classes = None if classes is None else check_class_names(classes)
        texts = (label_column or "label", group_column or "group", "split")
        parts, self.folder = SourceReader(noun, texts, self.classes or ()).read(source)
        self.dataset = concatenate_datasets(list(parts.values())).with_format(None)
        self.features = self.dataset.features
        sizes = list(map(len, parts.values()))
        self.split_names = np.repeat(list(parts), sizes)  # (N,), and the number of each row in its split
        self.numbers = np.concatenate([np.arange(size) for size in sizes])
        self.has_splits = len(set(map(split_of, parts))) > 1
        self.votes = bool(self.classes and not label_column and all(name in self.features for name in self.classes))
        self.labels = (
            self.classes if self.votes else [self._column(self.features, label_column, ["label"], "label_column")]
        )
        self.group = None
        if group_column or "group" in self.features:
            self.group = self._column(self.features, group_column, ["group"], "group_column")
        used = (*self.labels, self.group, "split")
        self.free = {name: kind for name, kind in self.features.items() if name not in used}
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
            self._leave_out(missing, "vote for a class" if self.votes else "label")
        else:
            texts = self._texts(self.labels[0])
            missing = missing_labels(texts, self.defined, source)
            markers = ", ".join(repr(text) for text in texts[missing].unique() if text)
            self._leave_out(missing, f"label but {markers}" if markers else "label")
        if self.group:
            self._leave_out((self._texts(self.group) == "").to_numpy(), "group", "Give each row one, remove the column")

    def place(self, i: int) -> str:
        return f"{self.source}, split {self.split_names[i]}, row {self.numbers[i]}"

    def select(self, keep: np.ndarray) -> None:
        self.dataset = self.dataset.select(np.flatnonzero(keep))
        self.split_names, self.numbers = self.split_names[keep], self.numbers[keep]

    def inputs(self, wanted: str | None) -> Dataset:
        """The column of images, sounds or texts, under its name in the result, of the rows that have one."""
        name, kind = MEDIA_COLUMNS.get(self.noun, ("text", None))
        defaults = (name, *PATH_COLUMNS) if kind else (name,)
        typed = [column for column, found in self.free.items() if kind and isinstance(found, kind)]
        usable = typed or [column for column, found in self.free.items() if getattr(found, "dtype", "") in TEXT_TYPES]
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
        if self.features[column].dtype in TEXT_TYPES:
            missing = pc.or_(missing, pc.equal(pc.fill_null(pc.utf8_trim_whitespace(values), ""), ""))
        self._leave_out(missing.to_numpy(), self.noun[:-1])
        return self.dataset.select_columns([column]).rename_columns({column: name})

    def table_inputs(self, wanted: Sequence[str] | None) -> Dataset:
        """The inputs of a table: those that the user named, else all columns of numbers or text that name no rows."""
        usable = [name for name, kind in self.free.items() if is_number(kind) or is_text(kind)]
        if wanted is None:
            ids = id_columns(self.dataset.select_columns(usable))
            wanted = [name for name in usable if name not in ids]
            others = [name for name in self.free if name not in usable]
            if ids:
                logger.warning(
                    f"{self.source}: columns that number or name the rows are left out: {', '.join(ids)}. To learn "
                    "from them, name all inputs with --feature_columns."
                )
            if others:
                logger.warning(f"{self.source}: columns of neither numbers nor text are left out: {', '.join(others)}.")
        columns = list(dict.fromkeys(wanted))
        unusable = [name for name in columns if name not in usable]
        if unusable:
            raise ValueError(
                f"{self.source}: feature_columns must be columns of numbers or text other than label, group and split; "
                f"got {', '.join(unusable)}. Choose from: {', '.join(usable) or 'none'}."
            )
        if not columns:
            raise ValueError(
                f"{self.source} must have a column of numbers or text, its columns are {', '.join(self.features)}."
            )
        return self.dataset.select_columns(columns)

    def class_labels(self, *, ordered: bool, needs_order: bool) -> tuple[np.ndarray, tuple[str, ...]]:
        """(N,) class indices or (N, K) soft labels, and the names of the classes."""
        if self.votes or self.shares:
            columns = self.dataset.select_columns(self.labels)[:]
            rows = list(zip(*columns.values(), strict=True)) if self.votes else columns[self.labels[0]]
            return soft_labels_from_votes(rows, self.classes, self.place)
        texts, classes = self._texts(self.labels[0]), self.defined
        options = {"ordered": ordered, "needs_order": needs_order}
        if classes and not self.classes and classes == sorted(classes):  # as an image folder and class_encode_column do
            classes = order_by_names(classes, self.source, **options)
        return hard_labels(texts, classes, self.place, self.source, **options)

    def groups(self) -> np.ndarray | None:
        """(N,) the group of each row, if there are groups."""
        if not self.group:
            return None
        texts = self._texts(self.group).str.strip()
        marked = texts[texts.str.lower().isin(MISSING_MARKERS)]
        if len(marked):
            logger.warning(
                f"{self.source}: the group {', '.join(map(repr, sorted(set(marked))))} is taken for a group, of "
                f"{len(marked)} rows. If it means that there is no group, leave these cells empty."
            )
        return texts.to_numpy()

    def splits(self) -> np.ndarray:
        """(N,) `train`, `validation`, `test`, or "" if the only split of the source has another name."""
        given = self.split_names
        is_column = False
        if "split" in self.features and "split" not in (*self.labels, self.group):
            cells = self._texts("split").str.strip().to_numpy()
            reason = ""
            if self.has_splits:
                reason = "the source has splits of its own"
            elif not any(map(split_of, set(cells))):
                reason = f"its cells must be one of {', '.join(SPLIT_NAMES)}"
            if reason:
                logger.warning(f"{self.source}: the column split is left out, because {reason}.")
            else:
                given = cells
                is_column = True
        meant = {name: split_of(name) for name in set(given)}
        splits = np.array([meant[name] for name in given])
        if is_column and not splits.all():
            i = splits.tolist().index("")
            raise ValueError(f"{self.place(i)}: split must be one of {', '.join(SPLIT_NAMES)}; got {given[i]!r}.")
        if any(split and name.lower() not in SPLIT_NAMES for name, split in meant.items()):
            logger.warning(f"{self.source} has {describe_splits(given)}.")
        return splits

    def _texts(self, column: str) -> pd.Series:
        values = self.dataset.select_columns([column]).with_format(None).to_pandas()[column]
        return column_as_text(values, self.features[column])

    def _leave_out(self, missing: np.ndarray, what: str, advice: str = "Remove such rows") -> None:
        """Leaves out rows in which something is missing, (N,) booleans, or refuses them."""
        if not missing.any():
            return
        count = f"{missing.sum()} of {len(missing)} rows"
        if missing.all() or not self.skip_incomplete:
            raise ValueError(
                f"{self.place(missing.argmax())}: there is no {what} (in {count}). {advice}, or leave them out with "
                "--skip_incomplete (skip_incomplete=True)."
            )
        logger.warning(f"{self.source}: {count} without a {what} are left out.")
        self.select(~missing)

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


def _decoded(rows: _Rows, wanted: str | None, skip: bool) -> tuple[Dataset, list[bytes], list[str]]:
    """The images or sounds that can be decoded, the digest of each, and what each is called."""
    inputs = rows.inputs(wanted)
    column, kind = MEDIA_COLUMNS[rows.noun]
    if isinstance(inputs.features[column], kind):
        inputs = inputs.cast_column(column, kind(decode=False))
        paths = (file["path"] for file in _values(inputs, column))
        places = [f"{rows.place(i)}, {path}" if path else rows.place(i) for i, path in enumerate(paths)]
    else:
        places = [os.path.normpath(rows.folder / path.strip()) for path in inputs[column]]
        files = [{"bytes": None, "path": path} for path in places]
        features = Features({column: {"bytes": Value("binary"), "path": Value("string")}})  # Audio needs torchcodec.
        inputs = Dataset.from_dict({column: files}, features).cast_column(column, kind(decode=False))
    advice = "Repair them" if kind is Image else "Repair them, or convert them to WAV, FLAC, Ogg or MP3"
    found = check_media(_values(inputs, column), places, rows.noun, rows.source, skip=skip, advice=advice)
    keep = np.array([isinstance(digest, bytes) for digest in found])
    rows.select(keep)
    inputs = inputs.select(np.flatnonzero(keep))
    inputs = inputs.cast_column(column, Image()) if kind is Image else inputs
    contents, places = (np.array(values, dtype=object)[keep].tolist() for values in (found, places))
    return inputs, contents, places


def _values(dataset: Dataset, column: str) -> Iterator[Any]:
    """The values of a column, of which few are in memory at once."""
    for batch in dataset.iter(BATCH):
        yield from batch[column]
