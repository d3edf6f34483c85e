"""The user's own images, texts, sounds and tables: rows with ordered classes and a training and a test split."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from datasets import Audio, Dataset, Features, Image, Value
from datasets.packaged_modules.audiofolder.audiofolder import AudioFolder
from datasets.packaged_modules.folder_based_builder.folder_based_builder import FolderBasedBuilder
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

from squared_emd.data.media_files import check_media
from squared_emd.data.row_reader import LabeledData, RowReader, is_number, is_text
from squared_emd.data.table_encoder import id_columns

__all__ = ["LabeledData", "load_labeled_data"]

logger = logging.getLogger(__name__)

BATCH = 256


class _Modality(NamedTuple):
    """The column of inputs in the result, its default names in the source, its type and the builder of folders."""

    column: str
    defaults: tuple[str, ...]
    kind: type[Image] | type[Audio] | None = None
    builder: type[FolderBasedBuilder] | None = None


PATHS = ("path", "file", "file_name")
MODALITIES = {
    "images": _Modality("image", ("image", *PATHS), Image, ImageFolder),
    "sounds": _Modality("audio", ("audio", *PATHS), Audio, AudioFolder),
    "texts": _Modality("text", ("text",)),
    "tables": _Modality("feature", ()),
}


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
        source: See `squared_emd.data.sources.read_rows`.
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
    modality = MODALITIES[noun]
    reader = RowReader(source, noun, classes, label_column, group_column, skip_incomplete, modality.builder)
    options = {"ordered": ordered, "needs_order": needs_order}
    if noun == "tables":
        inputs = _table_inputs(reader, columns)
        contents = pd.util.hash_pandas_object(inputs.with_format(None).to_pandas(), index=False).tolist()
        clashes = {name: f"{name} (input)" for name in inputs.column_names if name in ("label", "split", "group")}
        return reader.finish(inputs.rename_columns(clashes), contents, **options)
    inputs = reader.inputs(modality.kind, columns, modality.defaults, modality.column)
    if noun == "texts":
        return reader.finish(inputs, [text.strip() for text in _values(inputs, "text")], **options)
    return _check_and_finish(reader, inputs, modality, skip_bad_images, options)


def _check_and_finish(
    reader: RowReader, inputs: Dataset, modality: _Modality, skip: bool, options: dict[str, bool]
) -> LabeledData:
    """Images and sounds: decodes each, and leaves out those that cannot be decoded, if they may be left out."""
    column = modality.column
    undecoded = modality.kind(decode=False)
    if isinstance(inputs.features[column], modality.kind):
        inputs = inputs.cast_column(column, undecoded)
        paths = (file["path"] for file in _values(inputs, column))
        places = [f"{reader.place(i)}, {path}" if path else reader.place(i) for i, path in enumerate(paths)]
    else:
        places = [reader.absolute_path(path) for path in inputs[column]]
        files = [{"bytes": None, "path": path} for path in places]
        features = Features({column: {"bytes": Value("binary"), "path": Value("string")}})  # Audio needs torchcodec.
        inputs = Dataset.from_dict({column: files}, features).cast_column(column, undecoded)
    advice = "Repair them" if modality.kind is Image else "Repair them, or convert them to WAV, FLAC, Ogg or MP3"
    found = check_media(_values(inputs, column), places, reader.noun, reader.source, skip=skip, advice=advice)
    keep = np.array([isinstance(digest, bytes) for digest in found])
    reader.select(keep)
    inputs = inputs.select(np.flatnonzero(keep))
    if modality.kind is Image:
        inputs = inputs.cast_column(column, Image())
    contents, places = (np.array(values, dtype=object)[keep].tolist() for values in (found, places))
    return reader.finish(inputs, contents, places, with_validation=modality.kind is Audio, **options)


def _table_inputs(reader: RowReader, wanted: Sequence[str] | None) -> Dataset:
    """The inputs of a table: those that the user named, else all columns of numbers or text that name no rows."""
    source = reader.source
    free = {name: kind for name, kind in reader.features.items() if name not in reader.used}
    usable = [name for name, kind in free.items() if is_number(kind) or is_text(kind)]
    if wanted is None:
        ids = id_columns(reader.dataset.select_columns(usable))
        wanted = [name for name in usable if name not in ids]
        others = [name for name in free if name not in usable]
        if ids:
            logger.warning(
                "%s: columns that number or name the rows are left out: %s. To learn from them, name all inputs with "
                "--feature_columns.",
                source,
                ", ".join(ids),
            )
        if others:
            logger.warning("%s: columns of neither numbers nor text are left out: %s.", source, ", ".join(others))
    columns = list(dict.fromkeys(wanted))
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
    return reader.dataset.select_columns(columns)


def _values(dataset: Dataset, column: str) -> Iterator[Any]:
    """The values of a column, of which few are in memory at once."""
    for batch in dataset.iter(BATCH):
        yield from batch[column]
