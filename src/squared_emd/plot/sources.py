"""The ground distance that is drawn: where it comes from, what its classes are called, and how they are ordered."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from huggingface_hub import try_to_load_from_cache
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from torch import Tensor
from transformers import PretrainedConfig

from ..ground_distance.files import read_object
from ..ground_distance.model_config import class_names_of, emd_block_of
from ..ground_distance.saved import load_ground_distance, read_ground_distance
from ..metrics.logs import RESULTS_FILE

Source: TypeAlias = ArrayLike | Tensor | PretrainedConfig | str | os.PathLike[str]
"""A (K, K) matrix, a model's config, the folder of a saved model, a file, or a model on the Hub."""

_CONFIG_FILE = "config.json"
_FILE_SUFFIXES = (".json", ".npy", ".safetensors")
_MAX_OPTIMAL = 2000  # classes; the time of the optimal order grows with the third power


def read_source(source: Source, class_names: Sequence[str] | None = None) -> tuple[np.ndarray | Tensor, list[str]]:
    """A ground distance and the names of its classes; the errors are those of :func:`squared_emd.plot.heat_map`."""
    saved: Sequence[str] | None = None
    if isinstance(source, PretrainedConfig):
        matrix, saved = _read_config(source), _names_in_config(source.to_dict())
    elif not isinstance(source, (str, os.PathLike)):
        matrix = source if isinstance(source, Tensor) else as_array(source)
    elif Path(source).exists() or Path(source).suffix in _FILE_SUFFIXES:
        path = Path(source)
        matrix = read_ground_distance(path)
        saved = names_in_folder(path.parent if path.name == _CONFIG_FILE else path)
    else:
        matrix = load_ground_distance(source)
        config = try_to_load_from_cache(str(source), _CONFIG_FILE)  # adapters have none
        saved = names_in_folder(Path(config).parent) if isinstance(config, str) else None
    if len(matrix.shape) != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"source must hold a (K, K) matrix, one row a class; got shape {tuple(matrix.shape)}.")
    check_finite(matrix)
    return matrix, names_or_numbers(class_names, saved, len(matrix))


def read_known_part(
    source: Source, class_names: Sequence[str] | None, figure: str
) -> tuple[np.ndarray, list[str], np.ndarray, int]:
    """(k, k) distances between the classes that D knows, their names, their numbers, and how many others there are."""
    matrix, names = read_source(source, class_names)
    values = as_array(matrix)
    known = np.flatnonzero(known_classes(values))
    if len(known) < 2:
        raise ValueError(f"a {figure} needs a distance between two classes or more; source has {len(values)}.")
    return values[np.ix_(known, known)], [names[k] for k in known], known, len(values) - len(known)


def as_array(numbers: Any) -> np.ndarray:
    """Numbers as float64; a TypeError says what else may be drawn."""
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


def check_finite(matrix: np.ndarray | Tensor) -> None:
    """Raise where one or more matrices are not finite."""
    finite = matrix.isfinite().cpu().numpy() if isinstance(matrix, Tensor) else np.isfinite(matrix)
    if not finite.all():
        place = tuple(np.argwhere(~finite)[0].tolist())
        got = f"{float(matrix[place])} in row {place[-2]}, column {place[-1]}"
        raise ValueError(f"matrix must be finite; got {got}; set unknown distances to 0")


def names_or_numbers(given: Sequence[str] | None, saved: Sequence[str] | None, num_classes: int) -> list[str]:
    """The names of the classes: those given, else those saved, else their numbers; "LABEL_0" and so on are no names."""
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
    """The names of the classes in the config of a saved model, else in the results of its run; None without both."""
    config, results = folder / _CONFIG_FILE, folder / RESULTS_FILE
    if config.is_file():
        return _names_in_config(read_object(config))
    return read_object(results).get("class_names") if results.is_file() else None


def _names_in_config(config: Mapping[str, Any]) -> Sequence[str] | None:
    return emd_block_of(config).get("class_names") or class_names_of(config)


def _read_config(config: PretrainedConfig) -> np.ndarray | Tensor:
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
    return load_ground_distance(config.name_or_path)


def known_classes(matrix: np.ndarray) -> np.ndarray:
    """Which classes have a distance to another one, (K,) bool; all of them where all distances are 0."""
    nonzero = matrix != 0
    known = nonzero.any(axis=0) | nonzero.any(axis=1)
    return known if known.any() else ~known


def cluster_tree(matrix: np.ndarray, method: str) -> np.ndarray:
    """SciPy's linkage of two or more classes, (K - 1, 4), with similar leaves side by side.

    The leaves are in SciPy's optimal order (Bar-Joseph et al. 2001; above 2,000 classes as they come), in the direction
    that agrees better with the order of the classes. Of a matrix and its transpose the mean counts.
    """
    distances = squareform((matrix + matrix.T) / 2, checks=False)  # (K * (K - 1) / 2,)
    merges = linkage(distances, method)
    if len(matrix) <= _MAX_OPTIMAL:
        merges = optimal_leaf_ordering(merges, distances)
    order = leaves_list(merges)
    if order @ np.arange(len(order)) < order[::-1] @ np.arange(len(order)):
        merges[:, :2] = merges[:, [1, 0]]
    return merges


def seriation(matrix: np.ndarray, order: str) -> np.ndarray:
    """(K,) the classes as they are ("classes"), or similar ones side by side ("seriation"), then unknown ones."""
    if order not in ("classes", "seriation"):
        raise ValueError(f'order must be "classes" or "seriation", got {order!r}.')
    if order == "classes":
        return np.arange(len(matrix))
    known = known_classes(matrix)
    places = np.flatnonzero(known)
    leaves = leaves_list(cluster_tree(matrix[np.ix_(places, places)], "average")) if len(places) > 1 else [0]
    return np.concatenate([places[leaves], np.flatnonzero(~known)])
