"""The user's own images, texts, sounds and tables: rows with ordered classes and a training and a test split."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from datasets import Audio, ClassLabel, Dataset, Features, Image, List, Value
from datasets.packaged_modules.audiofolder.audiofolder import AudioFolder
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

from squared_emd.data.images import find_bad_images
from squared_emd.data.labels import check_class_names, column_as_text, hard_labels, soft_labels_from_votes
from squared_emd.data.sources import SPLIT_NAMES, find_column, find_optional_column, read_rows
from squared_emd.data.splits import complete_splits, warn_about_splits

__all__ = ["LabeledData", "load_labeled_images", "load_labeled_sounds", "load_labeled_table", "load_labeled_texts"]

logger = logging.getLogger(__name__)

PATH_COLUMNS = ("image", "audio", "path", "file", "file_name")
NUMBERS = ("int", "uint", "float", "bool", "decimal")
TEXTS = ("string", "large_string")


class LabeledData(NamedTuple):
    """Rows with their classes.

    `dataset` has the inputs, `label` (`ClassLabel`, or K float32 that sum to 1: a soft label), `split` (`train`,
    `validation` or `test`) and, for images with groups, `group`. `class_names` are the K names in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


def load_labeled_images(
    source: str | os.PathLike,
    *,
    ordered: bool = True,
    classes: Sequence[str | int] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    skip_bad_images: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LabeledData:
    """Loads the user's own images, with ordered classes and a test split.

    The classes are in the order of `classes`; else of a `ClassLabel`; else of their numbers, if all labels are numbers
    or begin with one; else of the alphabet. 1, 01 and 1.0 are one number, hence one class. If there is no test split, a
    fifth of each class of the training rows becomes one, by whole groups if there are groups; a single split counts as
    no split. Image files are decoded once, so that a damaged one is found here.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        ordered: Whether the classes have an order; if so, a guessed order is logged as a warning.
        classes: Names of the K classes in order. If all are columns and there is no `label_column`, these hold soft
            labels: votes or probabilities, divided by their sum.
        image_column: Default: the only column of images; else `image`, `path`, `file` or `file_name`. Paths are
            relative to the file that has them.
        label_column: Default: `label`. Class names, numbers, or lists of K numbers, which are soft labels.
        group_column: Default: `group`, if there is one. Rows of one group (as of one person) stay together when a split
            is made.
        skip_bad_images: Leaves out, with a warning, image files that are missing or cannot be decoded.
        progress: Called as `progress(done, total)` after each image that was checked.

    Returns:
        The images and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no usable image, label, split or group; it is named.
    """
    reader = _Reader(source, "images", classes, label_column, group_column, ImageFolder)
    column = reader.find_input(Image, TEXTS, image_column, PATH_COLUMNS, "image_column")
    inputs, keep = reader.inputs(column, "image"), None
    if not isinstance(inputs.features["image"], Image):
        paths = reader.absolute_paths(inputs["image"], "image")
        bad = find_bad_images(paths, source, skip=skip_bad_images, advice="Repair them", progress=progress)
        keep = np.array([path not in bad for path in paths])
        inputs = Dataset.from_dict({"image": paths}, features=Features({"image": Image()}))
    return reader.finish(inputs, keep, ordered=ordered, with_validation=False, with_groups=True)


def load_labeled_texts(
    source: str | os.PathLike,
    *,
    text_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> LabeledData:
    """Loads the user's own texts, with ordered classes, a test split and a validation split.

    Both splits are made as the test split of `load_labeled_images`, if the source has none.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        text_column: Default: the only column of text besides label, group and split; else `text`.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups.

    Returns:
        Rows with `text`, and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no text, label, split or group; it is named.
    """
    reader = _Reader(source, "texts", classes, label_column, group_column)
    inputs = reader.inputs(reader.find_input(None, TEXTS, text_column, ("text",), "text_column"), "text")
    reader.check_present([text and text.strip() for text in inputs["text"]], "text")
    return reader.finish(inputs)


def load_labeled_sounds(
    source: str | os.PathLike,
    *,
    audio_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> LabeledData:
    """Loads the user's own sounds, with ordered classes, a test split and a validation split.

    Nothing is decoded here, see `squared_emd.data.sounds.audio_decoder`; files must exist.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        audio_column: Default: the only column of the type `Audio`; else `audio`, `path`, `file` or `file_name`. Paths
            are relative to the file that has them.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups, as of speakers.

    Returns:
        Rows with `audio` (a path, or an `Audio` that is not decoded), and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder, dataset or sound.
        ValueError: The source is none of the above, or a row has no sound, label, split or group; it is named.
    """
    reader = _Reader(source, "sounds", classes, label_column, group_column, AudioFolder)
    inputs = reader.inputs(reader.find_input(Audio, TEXTS, audio_column, PATH_COLUMNS, "audio_column"), "audio")
    if isinstance(inputs.features["audio"], Audio):
        inputs = inputs.cast_column("audio", Audio(decode=False))
        reader.check_present(inputs["audio"], "sound")
        return reader.finish(inputs)
    paths = reader.absolute_paths(inputs["audio"], "sound")
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(paths)} sounds of {source} are missing, the first: {missing[0]}. Paths are "
            f"relative to {reader.rows.folder}."
        )
    return reader.finish(Dataset.from_dict({"audio": paths}, features=Features({"audio": Value("string")})))


def load_labeled_table(
    source: str | os.PathLike,
    *,
    feature_columns: Sequence[str] | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> LabeledData:
    """Loads the user's own table, with ordered classes, a test split and a validation split.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        feature_columns: The inputs. Default: all columns of numbers or text except label, group and split; other
            columns are left out with a warning.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups, as of patients.

    Returns:
        Rows with the feature columns, and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no label, split or group; it is named.
    """
    reader = _Reader(source, "tables", classes, label_column, group_column)
    free = {name: kind for name, kind in reader.features.items() if name not in reader.used}
    usable = [name for name, kind in free.items() if _is_number(kind) or _is_text(kind)]
    columns = list(dict.fromkeys(usable if feature_columns is None else feature_columns))
    unusable = [name for name in columns if name not in usable]
    if unusable:
        raise ValueError(
            f"{source}: feature_columns must be columns of numbers or text other than label, group and split; got "
            f"{', '.join(unusable)}. Choose from: {', '.join(usable) or 'none'}."
        )
    if not columns:
        raise ValueError(
            f"{source} must have a column of numbers or text, its columns are {', '.join(reader.features)}."
        )
    left_out = [name for name in free if name not in usable]
    if feature_columns is None and left_out:
        logger.warning("%s: columns of neither numbers nor text are left out: %s.", source, ", ".join(left_out))
    inputs = reader.rows.dataset.select_columns(columns)
    clashes = {name: f"{name} (input)" for name in columns if name in ("label", "split")}
    return reader.finish(inputs.rename_columns(clashes))


class _Reader:
    """The rows of a source, and which of its columns hold labels, groups and splits."""

    def __init__(
        self,
        source: str | os.PathLike,
        noun: str,
        classes: Sequence[str | int] | None,
        label_column: str | None,
        group_column: str | None,
        folder_builder: type[FolderBasedBuilder] | None = None,
    ) -> None:
        self.source = source
        self.classes = None if classes is None else check_class_names(classes)
        self.rows = read_rows(source, noun, folder_builder)
        self.features = self.rows.dataset.features
        self.votes = bool(self.classes and not label_column and all(name in self.features for name in self.classes))
        self.labels = (
            self.classes
            if self.votes
            else [find_column(self.features, label_column, ["label"], "label_column", source)]
        )
        self.group = find_optional_column(self.features, group_column, "group", "group_column", source)
        has_splits = os.path.isfile(source) and "split" in self.features and "split" not in self.labels
        self.split = "split" if has_splits else None
        self.used = [*self.labels, *filter(None, (self.group, self.split))]

    def find_input(
        self, kind: type | None, dtypes: tuple[str, ...], wanted: str | None, defaults: Sequence[str], option: str
    ) -> str:
        """The column of a type of `datasets`, or else one of the dtypes."""
        typed = [name for name, feature in self.features.items() if kind is not None and isinstance(feature, kind)]
        usable = typed or [name for name, feature in self.features.items() if getattr(feature, "dtype", "") in dtypes]
        if wanted in self.features and wanted not in usable:
            required = f"{kind.__name__} or text" if kind else "text"
            raise ValueError(f"{self.source}: {wanted} must be a column of {required}, got {self.features[wanted]}.")
        free = [name for name in usable if name not in self.used]
        only = free if len(free) == 1 and (typed or kind is None) else defaults
        return find_column(usable, wanted, only, option, self.source)

    def inputs(self, column: str, name: str) -> Dataset:
        return self.rows.dataset.select_columns([column]).rename_columns({column: name})

    def check_present(self, values: Sequence[Any], what: str) -> None:
        for i, value in enumerate(values):
            if not value:
                raise ValueError(f"{self.rows.place(i)}: there is no {what}. Remove such rows.")

    def absolute_paths(self, paths: Sequence[str | None], what: str) -> list[str]:
        self.check_present([path and path.strip() for path in paths], what)
        return [os.path.normpath(self.rows.folder / path.strip()) for path in paths]

    def finish(
        self,
        inputs: Dataset,
        keep: np.ndarray | None = None,
        *,
        ordered: bool = True,
        with_validation: bool = True,
        with_groups: bool = False,
    ) -> LabeledData:
        """Adds the labels and the splits to the inputs; `keep` (N,) says which rows stay."""
        table = self.rows.dataset.select_columns(self.used).to_pandas()
        labels, names = self._labels(table, ordered)
        groups = None
        if self.group:
            advice = "Give each row one, or remove the column."
            groups = column_as_text(
                table[self.group], self.features[self.group], self.rows.place, "group", advice
            ).to_numpy()
        splits = self._splits(table)
        if keep is not None:
            inputs, labels, splits = inputs.select(np.flatnonzero(keep)), labels[keep], splits[keep]
            groups = None if groups is None else groups[keep]
        likeliest = labels.argmax(1) if labels.ndim == 2 else labels  # (N,)
        wanted = ("test", "validation") if with_validation else ("test",)
        splits = complete_splits(splits, likeliest, groups, self.source, wanted)
        warn_about_splits(splits, likeliest, groups, names, self.source)
        kind = ClassLabel(names=list(names)) if labels.ndim == 1 else List(Value("float32"), length=len(names))
        dataset = inputs.add_column("label", labels.tolist(), feature=kind)
        dataset = dataset.add_column("split", splits.tolist(), feature=Value("string"))
        if with_groups and groups is not None:
            dataset = dataset.add_column("group", groups.tolist(), feature=Value("string"))
        return LabeledData(dataset, names)

    def _labels(self, table: Any, ordered: bool) -> tuple[np.ndarray, tuple[str, ...]]:
        """(N,) class indices or (N, K) soft labels, and the names of the classes."""
        column, place = self.labels[0], self.rows.place
        kind = self.features[column]
        if self.votes:
            return soft_labels_from_votes(
                list(zip(*(table[name] for name in self.labels), strict=True)), self.classes, place
            )
        if isinstance(kind, List) and _is_number(kind.feature):
            votes = [() if row is None else row for row in table[column]]
            return soft_labels_from_votes(votes, self.classes, place)
        if not (_is_number(kind) or _is_text(kind)):
            raise ValueError(
                f"{self.source}: {column} must be a ClassLabel, text, a number or a list of numbers (soft), got {kind}."
            )
        texts = column_as_text(table[column], kind, place, "label", "Remove such rows.")
        classes = self.classes or getattr(kind, "names", None)
        return hard_labels(texts, classes, place, self.source, ordered=ordered)

    def _splits(self, table: Any) -> np.ndarray:
        if not self.split:
            return self.rows.splits()
        names = table["split"].astype(str).str.strip().str.lower()
        for i in np.flatnonzero(~names.isin(list(SPLIT_NAMES))):
            raise ValueError(
                f"{self.rows.place(i)}: split must be one of {', '.join(SPLIT_NAMES)}; got {table['split'].iloc[i]!r}."
            )
        return names.map(SPLIT_NAMES).to_numpy(dtype=str)


def _is_text(kind: Any) -> bool:
    return isinstance(kind, ClassLabel) or getattr(kind, "dtype", None) in TEXTS


def _is_number(kind: Any) -> bool:
    return not isinstance(kind, ClassLabel) and str(getattr(kind, "dtype", "")).startswith(NUMBERS)
