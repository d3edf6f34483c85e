"""People's own sounds with grades: a folder of folders, a file of paths or a data set of the Hub."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Audio, Dataset, Features, Value

from squared_emd.data.imagenet import files_in
from squared_emd.data.own_inputs import load_own_inputs, with_labels
from squared_emd.data.own_rows import find_column
from squared_emd.data.sound_files import read_sound

__all__ = ["OwnSounds", "load_own_sounds", "reader_of_sounds"]

SOURCES = (
    "Own sounds are a folder of <class>/<sound> or train|validation|test/<class>/<sound>, a .csv, .tsv, .json, .jsonl "
    "or .parquet file with a column of paths and one of labels, a folder that load_from_disk reads, or a data set of "
    "the Hub"
)
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma")
AUDIO_COLUMNS = ("audio", "path", "file", "file_name")


class OwnSounds(NamedTuple):
    """Sounds with their classes.

    `dataset` has `audio` (a path, or an `Audio` that is not decoded), `label` (`ClassLabel`; soft: K float32 that sum
    to 1) and `split` (`train`, `validation` or `test`); `class_names` are in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


def load_own_sounds(
    source: str | os.PathLike,
    *,
    audio_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> OwnSounds:
    """Gives sounds of one's own with the order of their classes, a test split and a validation split.

    Nothing is decoded: see `reader_of_sounds`. That files are there is looked at.

    Source: ours; nothing of it is in Hou et al. 2016.

    Args:
        source: A folder `<class>/<sound>` or `train|validation|val|test/<class>/<sound>`, or see `load_own_inputs`.
        audio_column: Default: the only column of the type Audio; else `audio`, `path`, `file` or `file_name`, with
            paths relative to the file.
        classes: See `load_own_inputs`, as the others.
        label_column: Of the grades.
        group_column: As of speakers.

    Returns:
        The sounds and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder, data set or sound.
        ValueError: The source is not as above, or a row has no sound, label, split or group; it is named.
    """

    def pick(features: Features, others: Sequence[str]) -> list[str]:
        sounds = [name for name, kind in features.items() if isinstance(kind, Audio)]
        paths = [name for name, kind in features.items() if getattr(kind, "dtype", None) in ("string", "large_string")]
        if not sounds and not paths:
            raise ValueError(f"{source} must have a column of sounds or paths, its columns are {', '.join(features)}.")
        defaults = sounds if len(sounds) == 1 else AUDIO_COLUMNS
        return [find_column(sounds or paths, audio_column, defaults, "audio_column", source)]

    own = load_own_inputs(
        source,
        pick,
        sources=SOURCES,
        classes=classes,
        label_column=label_column,
        group_column=group_column,
        files=(lambda folder: files_in(folder, SOUND_SUFFIXES), "sounds"),
    )
    (column,) = own.inputs.column_names
    inputs = own.inputs.rename_columns({column: "audio"})
    if isinstance(inputs.features["audio"], Audio):
        inputs = inputs.cast_column("audio", Audio(decode=False))
        for i, sound in enumerate(inputs[:]["audio"]):
            if sound is None:
                raise ValueError(f"{own.place(i)}: there is no sound. Leave such rows out.")
    else:
        inputs = _with_whole_paths(inputs, Path(os.path.abspath(source)), own.place)
    return OwnSounds(with_labels(inputs, own), own.class_names)


def reader_of_sounds(sampling_rate: int, max_seconds: float) -> Callable[[dict[str, list]], dict[str, list]]:
    """A transform for `Dataset.with_transform` that reads the sounds of a batch.

    Args:
        sampling_rate: Samples a second that the network takes.
        max_seconds: What comes after is cut off.

    Returns:
        A function of a batch with `audio` (paths, or `Audio` that is not decoded) that gives it with `audio` as (T,)
        float32 arrays.
    """

    def read(batch: dict[str, list]) -> dict[str, list]:
        return batch | {
            "audio": [_read(sound, sampling_rate)[: int(max_seconds * sampling_rate)] for sound in batch["audio"]]
        }

    return read


def _read(sound: Any, sampling_rate: int) -> np.ndarray:
    path, content = (sound["path"], sound["bytes"]) if isinstance(sound, dict) else (sound, None)
    return read_sound(path, content, sampling_rate)


def _with_whole_paths(inputs: Dataset, source: Path, place: Callable[[int], str]) -> Dataset:
    folder = source.parent if source.is_file() else source
    paths = []
    for i, path in enumerate(inputs[:]["audio"]):
        if not path:
            raise ValueError(f"{place(i)}: there is no sound. Leave such rows out.")
        paths.append(os.path.normpath(folder / path))
    absent = [path for path in paths if not os.path.isfile(path)]
    if absent:
        raise FileNotFoundError(
            f"{len(absent)} of {len(paths)} sounds of {source} are absent, the first: {absent[0]}. Paths are relative "
            f"to {folder}."
        )
    return Dataset.from_dict({"audio": paths}, features=Features({"audio": Value("string")}))
