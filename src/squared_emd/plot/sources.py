"""Where a ground distance comes from, and what its classes are called."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from huggingface_hub import hf_hub_download
from numpy.typing import ArrayLike
from torch import Tensor
from transformers import PretrainedConfig

from ..ground_distance.class_names import class_names_of
from ..ground_distance.emd_block import emd_block_of
from ..ground_distance.files import read_json
from ..ground_distance.saved import GROUND_DISTANCE_FILE, load_ground_distance, read_ground_distance
from ..metrics.logs import RESULTS_FILE

__all__ = ["Source", "as_array", "checkpoints_of", "names_in_folder", "names_or_numbers", "read_source"]

Source: TypeAlias = ArrayLike | Tensor | PretrainedConfig | str | os.PathLike[str]
"""A (K, K) matrix, a model's config, a folder with a saved model or a run, a file, or a model on the Hub."""

_CONFIG_FILE = "config.json"
_FILE_SUFFIXES = (".json", ".npy", ".safetensors")


def read_source(
    source: Source,
    *,
    class_names: Sequence[str] | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
) -> tuple[np.ndarray | Tensor, list[str]]:
    """A ground distance and the names of its classes.

    The arguments and errors are those of :func:`squared_emd.plot.heat_map`.
    """
    saved: Sequence[str] | None = None
    if isinstance(source, PretrainedConfig):
        matrix = _read_config(source, revision, token)
        saved = _names_in_config(source.to_dict())
    elif isinstance(source, (str, os.PathLike)):
        matrix, saved = _read_path(source, revision, token)
    else:
        matrix = source if isinstance(source, Tensor) else as_array(source)
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"source must hold a (K, K) matrix, one row a class; got shape {tuple(matrix.shape)}.")
    return matrix, names_or_numbers(class_names, saved, len(matrix))


def as_array(numbers: Any) -> np.ndarray:
    """Numbers as an array; a TypeError says what else may be drawn."""
    try:
        if isinstance(numbers, (Mapping, set)) or numbers is None:
            raise TypeError
        return np.asarray(numbers.detach().cpu() if isinstance(numbers, Tensor) else numbers, dtype=np.float64)
    except (TypeError, ValueError) as error:
        why = f" ({error})" if str(error) else ""
        raise TypeError(
            "source must be a matrix of numbers, a model's config, or a str or Path that names a folder, a file or a "
            f"model on the Hub; got {type(numbers).__name__}{why}."
        ) from error


def names_or_numbers(given: Sequence[str] | None, saved: Sequence[str] | None, num_classes: int) -> list[str]:
    """The names of the classes: those given, else those saved, else their numbers ("LABEL_0" and so on are no names).

    >>> names_or_numbers(None, ["LABEL_0", "LABEL_1"], 2)
    ['0', '1']
    """
    if given is not None:
        if len(given) != num_classes:
            raise ValueError(
                f"class_names must hold one name for each of the {num_classes} classes, got {len(given)}. Name them "
                "all, in the order of the rows."
            )
        return [str(name) for name in given]
    if not saved or len(saved) != num_classes or list(saved) == [f"LABEL_{k}" for k in range(num_classes)]:
        return [str(k) for k in range(num_classes)]
    return [str(name) for name in saved]


def names_in_folder(folder: Path) -> Sequence[str] | None:
    """The names of the classes, as the config of a saved model or the results of a run have them."""
    for name, find in ((_CONFIG_FILE, _names_in_config), (RESULTS_FILE, lambda content: content.get("class_names"))):
        content = _read_object(folder / name)
        if names := find(content):
            return names
    return None


def checkpoints_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder that have a D, the earliest first."""
    found = ((re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in folder.iterdir() if path.is_dir())
    in_order = sorted((int(match[1]), path) for match, path in found if match)
    return [path for _, path in in_order if _has_distance(path)]


def _has_distance(folder: Path) -> bool:
    has_file = (folder / GROUND_DISTANCE_FILE).is_file()
    return has_file or bool(_read_object(folder / _CONFIG_FILE).get("ground_distance"))


def _read_object(path: Path) -> Mapping[str, Any]:
    """The content of a JSON file; empty where there is none or it holds something else."""
    content = read_json(path) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def _names_in_config(config: Mapping[str, Any]) -> Sequence[str] | None:
    return [str(name) for name in emd_block_of(config).get("class_names") or ()] or class_names_of(config)


def _read_config(config: PretrainedConfig, revision: str | None, token: str | bool | None) -> np.ndarray | Tensor:
    entry = getattr(config, "ground_distance", None)
    if entry is None:
        raise ValueError(
            "source is a config without a ground_distance. Models trained with the losses xemd, xemd1, xemd2 and a-emd "
            "have one."
        )
    if not isinstance(entry, str):
        return as_array(entry)
    if not config.name_or_path:
        raise ValueError(
            f"source is a config that names the file {entry} and does not say where it lies. Give the folder or the "
            "repository of the model."
        )
    return load_ground_distance(config.name_or_path, revision=revision, token=token)


def _read_path(
    source: str | os.PathLike[str], revision: str | None, token: str | bool | None
) -> tuple[Tensor, Sequence[str] | None]:
    path = Path(source)
    if path.is_dir():
        if not (path / _CONFIG_FILE).is_file() and not (path / GROUND_DISTANCE_FILE).is_file():
            checkpoints = checkpoints_of(path)
            if not checkpoints:
                raise FileNotFoundError(
                    f"{path} must hold a model that was saved with a ground distance, or checkpoints of one; there is "
                    f"neither a {_CONFIG_FILE} nor a checkpoint with one in it. Name the folder of one run."
                )
            path = checkpoints[-1]
        return read_ground_distance(path), names_in_folder(path)
    if path.suffix in _FILE_SUFFIXES or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(source)):
        matrix = read_ground_distance(path)
        return matrix, _names_in_config(_read_object(path)) if path.suffix == ".json" else None
    matrix = load_ground_distance(source, revision=revision, token=token)
    config = hf_hub_download(str(source), _CONFIG_FILE, revision=revision, token=token)  # it is here already
    return matrix, _names_in_config(_read_object(Path(config)))
