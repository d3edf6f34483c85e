"""People's own tables with grades: a file, a folder or a data set of the Hub."""

import logging
import os
from collections.abc import Sequence
from typing import NamedTuple

from datasets import Dataset, Features

from squared_emd.data.column_encoder import is_number_or_text
from squared_emd.data.own_inputs import load_own_inputs, with_labels

__all__ = ["OwnColumns", "load_own_columns"]

logger = logging.getLogger(__name__)

SOURCES = (
    "Own tables are a .csv, .tsv, .json, .jsonl or .parquet file with a column of labels, a folder that load_dataset "
    "or load_from_disk reads, or a data set of the Hub"
)


class OwnColumns(NamedTuple):
    """Rows with their classes.

    `dataset` has the columns to learn from, `label` (`ClassLabel`; soft: K float32 that sum to 1) and `split` (`train`,
    `validation` or `test`); `class_names` are in order.
    """

    dataset: Dataset
    class_names: tuple[str, ...]


def load_own_columns(
    source: str | os.PathLike,
    *,
    feature_columns: Sequence[str] | None = None,
    classes: Sequence[str | int] | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
) -> OwnColumns:
    """Gives a table of one's own with the order of its classes, a test split and a validation split.

    Source: ours; nothing of it is in Hou et al. 2016.

    Args:
        source: See `load_own_inputs`.
        feature_columns: To learn from. Default: all columns of numbers or text but label, group and split; others are
            left out with a warning.
        classes: See `load_own_inputs`, as the others.
        label_column: Of the grades.
        group_column: As of patients.

    Returns:
        The rows and the names of the classes.

    Raises:
        FileNotFoundError: There is no such file, folder or data set.
        ValueError: The source is not as above, or a row has no label, split or group; it is named.
    """

    def pick(features: Features, others: Sequence[str]) -> list[str]:
        usable = [name for name, kind in features.items() if name not in others and is_number_or_text(kind)]
        left_out = [name for name in features if name not in usable and name not in others]
        if feature_columns is not None:
            wrong = [name for name in feature_columns if name not in usable]
            if wrong:
                raise ValueError(
                    f"{source}: feature_columns must be columns of numbers or text, but not of labels, groups or "
                    f"splits; {', '.join(wrong)} are none. These are: {', '.join(usable) or 'none'}."
                )
            return list(dict.fromkeys(feature_columns))
        if left_out:
            logger.warning("%s: columns of neither numbers nor text are left out: %s.", source, ", ".join(left_out))
        if not usable:
            raise ValueError(f"{source} must have a column of numbers or text, its columns are {', '.join(features)}.")
        return usable

    own = load_own_inputs(
        source, pick, sources=SOURCES, classes=classes, label_column=label_column, group_column=group_column
    )
    taken = {name: f"{name} (input)" for name in own.inputs.column_names if name in ("label", "split")}
    return OwnColumns(with_labels(own.inputs.rename_columns(taken), own), own.class_names)
