"""The inputs and labels of any classifier: of images, texts, sounds and tables, by the processor that it came with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, NamedTuple

import datasets
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    default_data_collator,
)

from ..ground_distance.model_config import abbreviate, class_names_differ
from ..hub.card_content import task_of
from ..hub.pipeline_inputs import open_sound, truncation_of
from .config_entries import config_of
from .labels import check_label_column, check_one_split, num_classes_of


class _Task(NamedTuple):
    """The classes of model and processor, and of the inputs the column, the type in a dataset and the noun."""

    model: type
    processor: type
    column: str
    feature: type | None
    noun: str


_TASKS = {
    "image-classification": _Task(
        AutoModelForImageClassification, AutoImageProcessor, "image", datasets.Image, "images"
    ),
    "text-classification": _Task(AutoModelForSequenceClassification, AutoTokenizer, "text", None, "texts"),
    "audio-classification": _Task(
        AutoModelForAudioClassification, AutoFeatureExtractor, "audio", datasets.Audio, "sounds"
    ),
}


def load_classifier(name: str | os.PathLike[str], processor: Any = None) -> tuple[PreTrainedModel, Any]:
    """A classifier of images, texts or sounds from the Hub or a folder, on the CPU, and what makes its inputs."""
    if os.path.isdir(name) and not os.path.isfile(os.path.join(name, "config.json")):
        raise FileNotFoundError(
            f"{name} must hold a classifier of images, texts or sounds that transformers can load; it has no "
            "config.json. Of another module, such as one of a table, learn_ground_distance and EMDTrainer.calibrate "
            "take the module."
        )
    try:
        config = AutoConfig.from_pretrained(name)
        task = task_of(config)
        if task is None:
            raise ValueError(
                f"{name} must be a classifier of images, texts or sounds, which transformers can load; it is a "
                f"{', '.join(config.architectures or [config.model_type])}. Load it yourself, and give the module."
            )
        if task == "image-classification":
            from .. import vision  # noqa: F401  # Here, because timm is optional: it registers the paper's networks.
        model = _TASKS[task].model.from_pretrained(name)
        return model, _TASKS[task].processor.from_pretrained(name) if processor is None else processor
    except OSError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise FileNotFoundError(
            f"the model {os.fspath(name)!r} cannot be loaded: {reason}. Give a repository of the Hub or a folder with "
            "a saved classifier and its image processor, tokenizer or feature extractor."
        ) from error


def labeled_inputs(
    source: Any,
    model: nn.Module,
    processor: Any,
    class_names: Sequence[str] | None,
    *,
    split: str | None = None,
    input_column: str | None = None,
    label_column: str | None = None,
) -> tuple[Any, Callable[[list], Mapping[str, Any]]]:
    """Samples that the model takes, with `label` or `labels`, and what makes batches of them.

    The source is such samples, which are not changed; a `datasets.Dataset` of images, texts or sounds, of which the
    processor makes them; or the place of one, as `squared_emd.data.labeled_data` reads it.
    """
    config = config_of(model)
    task = None if config is None or processor is None else task_of(config)
    if isinstance(source, (str, os.PathLike)):
        source = _read(source, task, class_names, split, input_column, label_column)
        input_column, label_column = _TASKS[task].column, "label"
    elif split is not None:
        raise ValueError("split is of a dataset that is given by its place. Give the rows of the split themselves.")
    check_one_split(source, source="the dataset")
    if not isinstance(source, datasets.Dataset):
        return source, _collate
    columns = source.column_names
    label = label_column or ("labels" if "labels" in columns else "label")
    arguments = list(signature(model.forward).parameters)
    takes_columns = not {*arguments}.isdisjoint({*columns} - {"label", "labels"})
    makes_inputs = source.format["type"] == "custom"
    if takes_columns or makes_inputs:
        if label in columns:
            names = getattr(source.features[label], "names", None)
            if names and class_names and class_names_differ(names, class_names):
                raise _other_classes(names, class_names)
            source = source if label in ("label", "labels") else source.rename_column(label, "labels")
        if not makes_inputs:
            kept = [name for name in source.column_names if name in (*arguments, "label", "labels")]
            source = source.select_columns(kept)
        is_tokenizer = isinstance(processor, PreTrainedTokenizerBase)
        return source, DataCollatorWithPadding(processor) if is_tokenizer else _collate
    if task is None:
        raise ValueError(
            f"the dataset must have columns that {type(model).__name__} takes, of {', '.join(arguments)}; it has "
            f"{', '.join(columns)}. Make its inputs, or give the processor that does."
        )
    column, feature = _TASKS[task].column, _TASKS[task].feature
    media = [name for name, kind in source.features.items() if feature and isinstance(kind, feature)]
    wanted = input_column or (media[0] if len(media) == 1 else column)
    if not {wanted, label} <= {*columns}:
        raise ValueError(
            f"the dataset must have a column of {column} inputs, {wanted!r}, and one of labels, {label!r}; "
            f"it has {', '.join(columns)}. Name them with input_column and label_column."
        )
    if wanted in media:
        source = source.cast_column(wanted, feature(decode=False))
    make, collate = _maker(task, processor, config)
    return _Inputs(source, wanted, _labels_of_model(source, label, model, class_names), make), collate


def _read(
    source: str | os.PathLike[str],
    task: str | None,
    class_names: Sequence[str] | None,
    split: str | None,
    input_column: str | None,
    label_column: str | None,
) -> datasets.Dataset:
    """The rows that lie at a place, with class indices in `label`."""
    from ..data.labeled_data import load_labeled_data  # Here, because what reads files is optional.

    if task is None:
        raise ValueError(
            f"{source} is read for models of images, texts or sounds that come with a processor. Give processor, or a "
            "dataset with the inputs of the model."
        )
    noun, options = _TASKS[task].noun, {"columns": input_column, "label_column": label_column}
    indices = [str(k) for k in range(len(class_names))] if class_names else None
    is_unnamed = class_names is None or list(class_names) == [f"LABEL_{k}" for k in indices]
    try:
        rows, names = load_labeled_data(source, noun, classes=None if is_unnamed else class_names, **options)
    except ValueError as error:
        if indices is None:
            raise
        try:
            # Labels may be class indices, as Trainer takes them.
            rows, names = load_labeled_data(source, noun, classes=indices, **options)
            rows = rows.cast_column("label", datasets.Value("int64"))
        except ValueError:
            raise error from None
    if class_names and len(names) != len(class_names):
        raise ValueError(
            f"{source} must have the {len(class_names)} classes of the model; it has {len(names)}: {abbreviate(names)}."
        )
    if split is not None:
        numbers = [i for i, of_row in enumerate(rows["split"]) if of_row == split]
        if not numbers:
            present = ", ".join(sorted(set(rows["split"])))
            raise ValueError(f"{source} must have rows of the split {split!r}; it has {present}. Name one of these.")
        rows = rows.select(numbers)
    return rows


class _Inputs(Dataset):
    """What a processor makes of the rows of a dataset, whose inputs are not decoded yet, with their labels."""

    def __init__(
        self,
        rows: datasets.Dataset,
        column: str,
        labels: Sequence[Any],
        make: Callable[[list], Mapping[str, Sequence[Any]]],
    ) -> None:
        self.rows, self.column, self.labels, self.make = rows, column, labels, make

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        inputs = self.rows[indices][self.column]
        for row, given in zip(indices, inputs, strict=True):
            if given is None:
                raise ValueError(
                    f"the column {self.column!r} must have an input for each sample, row {row} has none. Leave out "
                    "such rows."
                )
        made = dict(self.make(inputs)) | {"label": [self.labels[row] for row in indices]}
        return [dict(zip(made, values, strict=True)) for values in zip(*made.values(), strict=True)]


def _maker(task: str, processor: Any, config: PretrainedConfig) -> tuple[Callable, Callable]:
    """What makes inputs of a list of images, texts or sounds, and what makes batches of them."""
    if task == "image-classification":
        from ..vision.images import decode_image  # Here, because timm is optional.

        def of_images(images: list) -> dict[str, Any]:
            upright = [decode_image(image, None).image for image in images]
            return {"pixel_values": processor(images=upright, return_tensors="pt")["pixel_values"]}  # (B, 3, H, W)

        return of_images, default_data_collator
    if task == "text-classification":
        options = truncation_of(processor, config)
        return lambda texts: processor(texts, **options), DataCollatorWithPadding(processor)
    from ..data.sounds import AudioCollator  # Here, because SciPy is optional.

    # Waves are at the rate of the processor.
    return lambda sounds: {"audio": [open_sound(each, processor, None) for each in sounds]}, AudioCollator(processor)


def _labels_of_model(
    rows: datasets.Dataset, label: str, model: nn.Module, class_names: Sequence[str] | None
) -> Sequence[Any]:
    """The labels of all rows; those that name classes, as the numbers of these in the model."""
    labels, kind = rows[label][:], rows.features[label]
    numbers = {name: k for k, name in enumerate(class_names or ())}
    if getattr(kind, "dtype", None) in ("string", "large_string"):
        for row, name in enumerate(labels):
            if name not in numbers:
                raise ValueError(
                    f"the labels must be classes of the model, {abbreviate(class_names or ['which has no names'])}; of "
                    f"the column {label!r} row {row} has {name!r:.80}. Rename it, or leave out such rows."
                )
    else:
        source, column = "the dataset", rows.select_columns(label)
        if label not in ("label", "labels"):
            source, column = f"the dataset, its {label!r},", column.rename_column(label, "label")
        check_label_column(column, num_classes_of(model), default_data_collator, source=source)
        names = getattr(kind, "names", None)
        if not names or not class_names or not class_names_differ(names, class_names):
            return labels
        if set(names) != numbers.keys():
            raise _other_classes(names, class_names)
        labels = [names[k] for k in labels]
    return [numbers[name] for name in labels]


def _other_classes(names: Sequence[str], class_names: Sequence[str]) -> ValueError:
    return ValueError(
        f"the classes of the dataset must be those of the model, in their order: {abbreviate(class_names)}; it has "
        f"{abbreviate(names)}. Give it the labels of the model."
    )


def _collate(samples: list) -> dict[str, Any]:
    """As `Trainer`."""
    if not isinstance(samples[0], Mapping):
        raise ValueError(
            f"every sample must be a mapping with the inputs of the model and `label`; got a "
            f"{type(samples[0]).__name__}. Give such samples, or a data_collator that makes them of yours."
        )
    return default_data_collator(samples)
