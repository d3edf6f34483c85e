"""People's own texts with ratings: a file, a folder or a data set of the Hub."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from datasets import Dataset, Features

from squared_emd.data.own_inputs import load_own_inputs, with_labels
from squared_emd.data.own_rows import find_column

__all__ = ["OwnTexts", "load_own_texts"]

SOURCES = (
    "Own texts are a .csv, .tsv, .json, .jsonl or .parquet file with a column of texts and one of labels, a folder "
    "that load_dataset or load_from_disk reads, or a data set of the Hub"
)


class OwnTexts(NamedTuple):
    """Texts with their classes.

    `dataset` has `text`, `label` (`ClassLabel`; soft: K float32 that sum to 1) and `split` (`train`, `validation` or
    `test`); `class_names` are in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


def load_own_texts(
    source: str | os.PathLike,
    *,
    text_column: str | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> OwnTexts:
    """Gives texts of one's own with the order of their classes, a test split and a validation split.

    Source: ours; nothing of it is in Hou et al. 2016.

    Args:
        source: See `load_own_inputs`.
        text_column: Default: `text`, or the only column of text that says neither label, group nor split.
        classes: See `load_own_inputs`, as the others.
        label_column: Of the ratings.
        group_column: As of reviewers.

    Returns:
        The texts and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or data set.
        ValueError: The source is not as above, or a row has no text, label, split or group; it is named.
    """

    def pick(features: Features, others: Sequence[str]) -> list[str]:
        texts = [n for n, kind in features.items() if getattr(kind, "dtype", None) in ("string", "large_string")]
        if text_column in features and text_column not in texts:
            raise ValueError(f"{source}: {text_column} must be a column of text, got {features[text_column]}.")
        if not texts:
            raise ValueError(f"{source} must have a column of text, its columns are {', '.join(features)}.")
        alone = [name for name in texts if name not in others]
        defaults = alone if len(alone) == 1 else ["text"]
        return [find_column(texts, text_column, defaults, "text_column", source)]

    own = load_own_inputs(
        source, pick, sources=SOURCES, classes=classes, label_column=label_column, group_column=group_column
    )
    (column,) = own.inputs.column_names
    inputs = own.inputs.rename_columns({column: "text"})
    for i, text in enumerate(inputs[:]["text"]):
        if text is None or not text.strip():
            raise ValueError(f"{own.place(i)}: there is no text. Leave such rows out.")
    return OwnTexts(with_labels(inputs, own), own.class_names)
