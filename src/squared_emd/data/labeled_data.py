"""The user's own images, texts, sounds and tables: rows with ordered classes and a training and a test split."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from datasets import Audio, Dataset, Features, Image, Value
from datasets.packaged_modules.audiofolder.audiofolder import AudioFolder
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

from squared_emd.data.images import check_images, report_bad_images
from squared_emd.data.row_reader import TEXTS, LabeledData, RowReader, is_number, is_text
from squared_emd.data.table_encoder import id_columns

__all__ = ["LabeledData", "load_labeled_images", "load_labeled_sounds", "load_labeled_table", "load_labeled_texts"]

logger = logging.getLogger(__name__)

BATCH = 256
PATH_COLUMNS = ("image", "audio", "path", "file", "file_name")


def load_labeled_images(
    source: str | os.PathLike,
    *,
    ordered: bool = True,
    classes: Sequence[str | int] | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    needs_order: bool = False,
    skip_incomplete: bool = False,
    skip_bad_images: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> LabeledData:
    """Loads the user's own images, with ordered classes and a test split.

    The classes are in the order of `classes`; else of a `ClassLabel`, unless it is sorted as text; else of their
    numbers, if all labels are numbers, begin with one or differ in one only; else of the alphabet. 1, 01 and 1.0 are
    one number, hence one class. If there is no test split, a fifth of each class of the training rows becomes one, by
    whole groups if there are groups; a single split counts as no split. Every image is decoded once, so that a damaged
    one is found here. Images with the same content stay together, and are counted in a warning.

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
        needs_order: Refuses the order of the alphabet, as for a loss that uses the order.
        skip_incomplete: Leaves out, with a warning, rows without an input, a label or a group.
        skip_bad_images: Leaves out, with a warning, images that are missing or cannot be decoded.
        progress: Called as `progress(done, total)` after each image that was checked.

    Returns:
        The images and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no usable image, label, split or group; it is named.
    """
    reader = RowReader(source, "images", classes, label_column, group_column, skip_incomplete, ImageFolder)
    column = reader.find_input(Image, TEXTS, image_column, PATH_COLUMNS, "image_column")
    inputs = reader.inputs(column, "image")
    if isinstance(inputs.features["image"], Image):
        names = _names(reader, inputs, "image")
        checked = check_images(names, _values(inputs.cast_column("image", Image(decode=False)), "image"), progress)
    else:
        names = reader.absolute_paths(inputs["image"])
        checked = check_images(list(dict.fromkeys(names)), progress=progress)
        inputs = Dataset.from_dict({"image": names}, features=Features({"image": Image()}))
    report_bad_images(checked.bad, len(set(names)), source, skip=skip_bad_images, advice="Repair them")
    keep = np.array([name not in checked.bad for name in names])
    reader.select(keep)
    return reader.finish(
        inputs.select(np.flatnonzero(keep)),
        ordered=ordered,
        needs_order=needs_order,
        with_validation=False,
        contents=[checked.digests[name] for name in names if name not in checked.bad],
        places=[name for name in names if name not in checked.bad],
    )


def load_labeled_texts(
    source: str | os.PathLike,
    *,
    text_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    needs_order: bool = False,
    skip_incomplete: bool = False,
) -> LabeledData:
    """Loads the user's own texts, with ordered classes, a test split and a validation split.

    Both splits are made as the test split of `load_labeled_images`, if the source has none. Texts
    that are in more than one split are counted.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        text_column: Default: the only column of text besides label, group and split; else `text`.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups.
        needs_order: Refuses the order of the alphabet.
        skip_incomplete: Leaves out rows without a text.

    Returns:
        Rows with `text`, and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no text, label, split or group; it is named.
    """
    reader = RowReader(source, "texts", classes, label_column, group_column, skip_incomplete)
    inputs = reader.inputs(reader.find_input(None, TEXTS, text_column, ("text",), "text_column"), "text")
    contents = [text.strip() for text in _values(inputs, "text")]
    # Short texts are often equal by chance; to join their groups could make all of them one.
    return reader.finish(inputs, needs_order=needs_order, contents=contents, joins_copies=False)


def load_labeled_sounds(
    source: str | os.PathLike,
    *,
    audio_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    needs_order: bool = False,
    skip_incomplete: bool = False,
) -> LabeledData:
    """Loads the user's own sounds, with ordered classes, a test split and a validation split.

    Every sound is decoded once, so that a damaged one is found here; `squared_emd.data.sounds.audio_decoder` decodes
    them for training. Sounds with the same content stay together when a split is made.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        audio_column: Default: the only column of the type `Audio`; else `audio`, `path`, `file` or `file_name`. Paths
            are relative to the file that has them.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups, as of speakers.
        needs_order: Refuses the order of the alphabet.
        skip_incomplete: Leaves out rows without a sound.

    Returns:
        Rows with `audio` (a path, or an `Audio` that is not decoded), and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder, dataset or sound.
        ValueError: The source is none of the above, or a row has no sound, label, split or group; it is named.
    """
    from squared_emd.data.sounds import check_sounds  # Here, because it imports transformers.

    reader = RowReader(source, "sounds", classes, label_column, group_column, skip_incomplete, AudioFolder)
    inputs = reader.inputs(reader.find_input(Audio, TEXTS, audio_column, PATH_COLUMNS, "audio_column"), "audio")
    if isinstance(inputs.features["audio"], Audio):
        inputs = inputs.cast_column("audio", Audio(decode=False))
        names = _names(reader, inputs, "audio")
        named = zip(names, _values(inputs, "audio"), strict=True)
        sounds = (sound | {"path": sound["path"] or name} for name, sound in named)
    else:
        sounds = names = reader.absolute_paths(inputs["audio"])
        inputs = Dataset.from_dict({"audio": names}, features=Features({"audio": Value("string")}))
    digests = check_sounds(sounds, source)
    return reader.finish(inputs, needs_order=needs_order, contents=digests, places=names)


def load_labeled_table(
    source: str | os.PathLike,
    *,
    feature_columns: Sequence[str] | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    needs_order: bool = False,
    skip_incomplete: bool = False,
) -> LabeledData:
    """Loads the user's own table, with ordered classes, a test split and a validation split.

    Rows with equal features in more than one split are counted.

    Args:
        source: See `squared_emd.data.sources.read_rows`.
        feature_columns: The inputs. Default: all columns of numbers or text except label, group and split, but
            those that number or name the rows; what is left out is a warning.
        classes: See `load_labeled_images`, also for the other arguments.
        label_column: Column of the labels.
        group_column: Column of the groups, as of patients.
        needs_order: Refuses the order of the alphabet.
        skip_incomplete: Leaves out rows without a label or a group; missing features stay.

    Returns:
        Rows with the feature columns, and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or dataset.
        ValueError: The source is none of the above, or a row has no label, split or group; it is named.
    """
    reader = RowReader(source, "tables", classes, label_column, group_column, skip_incomplete)
    free = {name: kind for name, kind in reader.features.items() if name not in reader.used}
    usable = [name for name, kind in free.items() if is_number(kind) or is_text(kind)]
    ids = id_columns(reader.dataset.select_columns(usable)) if feature_columns is None else []
    inputs = [name for name in usable if name not in ids] if feature_columns is None else feature_columns
    columns = list(dict.fromkeys(inputs))
    unusable = [name for name in columns if name not in usable]
    if unusable:
        raise ValueError(
            f"{source}: feature_columns must be columns of numbers or text other than label, group and split; got "
            f"{', '.join(unusable)}. Choose from: {', '.join(usable) or 'none'}."
        )
    if ids:
        logger.warning(
            "%s: columns that number or name the rows are left out: %s. To learn from them, name all inputs with "
            "--feature_columns.",
            source,
            ", ".join(ids),
        )
    if not columns:
        raise ValueError(
            f"{source} must have a column of numbers or text, its columns are {', '.join(reader.features)}."
        )
    left_out = [name for name in free if name not in usable]
    if feature_columns is None and left_out:
        logger.warning("%s: columns of neither numbers nor text are left out: %s.", source, ", ".join(left_out))
    inputs = reader.dataset.select_columns(columns)
    contents = pd.util.hash_pandas_object(inputs.with_format(None).to_pandas(), index=False).tolist()
    clashes = {name: f"{name} (input)" for name in columns if name in ("label", "split", "group")}
    inputs = inputs.rename_columns(clashes)
    # Rows of few different values are often equal by chance, and no copies.
    return reader.finish(inputs, needs_order=needs_order, contents=contents, joins_copies=False)


def _values(dataset: Dataset, column: str) -> Iterator[Any]:
    """The values of a column, of which few are in memory at once."""
    for batch in dataset.iter(BATCH):
        yield from batch[column]


def _names(reader: RowReader, inputs: Dataset, column: str) -> list[str]:
    """The place of each row, and the path of its image or sound if there is one."""
    paths = pc.struct_field(inputs.with_format("arrow")[:][column], "path").to_pylist()
    return [f"{reader.place(i)}, {path}" if path else reader.place(i) for i, path in enumerate(paths)]
