"""D on disk and on the Hub: in a model's config, in a file of its own if there are many classes, by epoch of a run."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RemoteEntryNotFoundError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PretrainedConfig

from .files import read_json, read_object, write_aside
from .learned import blocks_of_rows, check_ground_distance, matrix_dtype
from .model_config import abbreviate, check_class_order, class_names_differ, class_names_of, emd_block_of

logger = logging.getLogger(__name__)

MAX_CLASSES_IN_CONFIG = 256  # above, D lies in a file of its own: as JSON it would take tens of megabytes
GROUND_DISTANCE_FILE = "ground_distance.safetensors"
HISTORY_FILE = "ground_distance_history.npz"  # epochs (E,), ground_distance (E, K, K) float32
HUB_ERRORS = (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError)  # what huggingface_hub raises
_CONFIG_FILE = "config.json"
_DIGEST = "ground_distance_sha256"  # in the `emd` block, of the tensor in the file
_HALF_A_STEP = 2**-12  # half a step of half precision between 1/2 and 1; the ranks of 1,000 classes are 1/1000 apart


def write_ground_distance(
    matrix: Tensor | None, folder: str | os.PathLike[str] | None, config: PretrainedConfig | None, emd: dict[str, Any]
) -> None:
    """Put D and the `emd` block into a model's config; above 256 classes put D into a file beside it.

    None for the matrix removes an earlier one; without a folder only the config, which is not written, and the block
    change. The file has half precision if that moves no entry by more than 2^-12, else float32.
    """
    emd.pop(_DIGEST, None)
    in_config = config is not None and matrix is not None and len(matrix) <= MAX_CLASSES_IN_CONFIG
    if matrix is not None and not in_config:
        stored = _as_stored(matrix)
        emd[_DIGEST] = _digest(stored)
        if folder is not None:
            with write_aside(Path(folder, GROUND_DISTANCE_FILE)) as path:
                save_file({"ground_distance": stored}, path, metadata={"format": "pt"})
    elif matrix is None and config is None and folder is not None:
        Path(folder, GROUND_DISTANCE_FILE).unlink(missing_ok=True)
    if config is None:
        return
    config.emd = emd
    if in_config:
        config.ground_distance = [[round(entry, 6) for entry in row] for row in matrix.tolist()]
    elif matrix is not None:
        config.ground_distance = GROUND_DISTANCE_FILE
    elif hasattr(config, "ground_distance"):
        del config.ground_distance


def _as_stored(matrix: Tensor) -> Tensor:
    if len(matrix) > MAX_CLASSES_IN_CONFIG:
        half = matrix.half()
        if all((half[i : i + len(rows)] - rows).abs().max() <= _HALF_A_STEP for i, rows in blocks_of_rows(matrix)):
            return half.cpu().contiguous()
    return matrix.float().cpu().contiguous()


def _digest(stored: Tensor) -> str:
    return hashlib.sha256(stored.numpy()).hexdigest()


def read_ground_distance(path: str | Path, class_names: Sequence[str] | None = None) -> Tensor:
    """The (K, K) D in a .npy, .safetensors or .json file, or of a saved model by its folder or config.json.

    float64; float32 above 4,096 classes. One of a model with other classes than `class_names` is refused.
    """
    path = Path(path)
    folder = path.parent if path.name == _CONFIG_FILE else path
    if (folder / _CONFIG_FILE).is_file():
        config = read_object(folder / _CONFIG_FILE)
        if class_names is not None:
            _check_classes(config, class_names, str(folder))
        return _of_config(config, str(folder), folder.joinpath)
    if path.is_dir():
        path = path / GROUND_DISTANCE_FILE  # of a module without a config
    if not path.is_file():
        raise FileNotFoundError(
            "ground_distance must name a .json, .npy or .safetensors file, or the folder of a model that was saved "
            f"with a ground distance; there is no {path}."
        )
    if path.suffix == ".json":
        rows = read_json(path)
        return _as_matrix(rows.get("ground_distance") if isinstance(rows, dict) else rows, path)
    return _as_matrix(_load_array(path), path)


def load_ground_distance(
    repo_or_dir: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None
) -> Tensor:
    """The ground distance D that was saved with a model, from the Hub or from a folder (Hou et al. 2016, Eq. 13).

    It is in the model's config, or, above 256 classes and of adapters, in a file beside the weights. Nothing else is
    downloaded.

    Args:
        repo_or_dir: a repository of the Hub, as "me/age", or a folder with a saved model.
        revision: a branch, tag or commit of the repository; default: main.
        token: for a private repository; default: the one that is stored, or HF_TOKEN.

    Returns:
        (K, K) float64, float32 above 4,096 classes, in the order of the model's classes.

    Raises:
        FileNotFoundError: there is no such folder, repository, revision or file, or it cannot be reached.
        ValueError: the model was saved without a D, or D does not fit its classes.
    """
    folder = Path(repo_or_dir)
    if folder.is_dir():
        return read_ground_distance(folder)
    find = _on_hub(str(repo_or_dir), revision, token)
    try:
        config = find(_CONFIG_FILE)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, RemoteEntryNotFoundError):  # as where adapters are saved
            with suppress(FileNotFoundError):
                return read_ground_distance(find(GROUND_DISTANCE_FILE))
        raise
    return _of_config(read_object(config), str(repo_or_dir), find)


def read_epoch_distances(path: Path, num_classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (E,) and D (E, K, K) float64, from the `ground_distance_history.npz` of a run."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            epochs = np.asarray(arrays["epochs"], dtype=np.float64)  # (E,)
            matrices = np.asarray(arrays["ground_distance"], dtype=np.float64)  # (E, K, K)
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        what = "arrays 'epochs' and 'ground_distance'"
        raise ValueError(f"{path} must hold the {what}; reading it gave: {error!r}; train the run again") from error
    k = num_classes or max(matrices.shape[-1:], default=0)
    in_order = epochs.ndim == 1 and len(epochs) > 0 and (np.diff(epochs) > 0).all()
    num_wrong = int((~np.isfinite(matrices)).sum())
    if not in_order or matrices.shape != (len(epochs), k, k) or num_wrong:
        raise ValueError(
            f"{path} must hold epochs (E,) in order and ground_distance (E, {k}, {k}), finite; got the epochs "
            f"{epochs.tolist()} and the shape {matrices.shape} with {num_wrong} entries that are not finite; train the "
            "run again"
        )
    return epochs, matrices


def _on_hub(repo: str, revision: str | None = None, token: str | bool | None = None) -> Callable[[str], Path]:
    def find(name: str) -> Path:
        try:
            return Path(hf_hub_download(repo, name, revision=revision, token=token))
        except HUB_ERRORS as error:
            raise FileNotFoundError(
                f"the ground distance of {repo!r} could not be loaded: it must be a folder with a saved model, or a "
                f"repository of the Hub that you may read, with {name} at the revision {revision or 'main'!r}; got "
                f"{type(error).__name__}. Check the names; if the repository is private or gated, log in with `hf auth "
                "login` or give token; if the Hub cannot be reached, try again later."
            ) from error

    return find


def _of_config(config: dict[str, Any], source: str, find: Callable[[str], Path]) -> Tensor:
    """The D in a config.json, or in the file that it names, checked against the classes in it."""
    entry, emd = config.get("ground_distance"), emd_block_of(config, source)
    if entry is None:
        raise ValueError(
            f"{source} was saved without a ground distance: its {_CONFIG_FILE} has none. Models trained with the "
            "losses xemd, xemd1, xemd2 and a-emd have one."
        )
    matrix = _read_entry(entry, emd.get(_DIGEST), source, find)
    names = class_names_of(config) or []
    num_classes = len(names) or config.get("num_labels") or len(matrix)
    if num_classes != len(matrix):
        raise ValueError(
            f"the ground distance of {source} must be ({num_classes}, {num_classes}), one row for each of the model's "
            f"classes, got shape {tuple(matrix.shape)}: num_labels was changed after it was learned. Train again."
        )
    check_class_order(emd.get("class_names"), names, source=source)
    return matrix


def _read_entry(entry: Any, digest: str | None, source: str, find: Callable[[str], Path]) -> Tensor:
    """The D that an entry of a config is, or that lies in the file which it names."""
    if not isinstance(entry, str):
        return _as_matrix(entry, f"{_CONFIG_FILE} of {source}")
    if entry != GROUND_DISTANCE_FILE:  # which might lie anywhere on the disk
        raise ValueError(
            f"'ground_distance' in the {_CONFIG_FILE} of {source} must be K rows of K numbers, or "
            f"{GROUND_DISTANCE_FILE!r}, the file beside it; got {entry!r:.80}, which is not read. Save the model "
            "again, or take the entry out."
        )
    path = find(entry)
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} must hold the file {entry} that its config names; there is none. Copy the whole folder; "
            "`EMDTrainer.save_model` writes that file, a model's own `save_pretrained` does not."
        )
    stored = _load_array(path)
    if digest not in (None, _digest(stored)):
        raise ValueError(
            f"{GROUND_DISTANCE_FILE} of {source} must be the one that was saved with its config; it is of another "
            "model or revision. Save or download the whole model again."
        )
    return _as_matrix(stored, path)


def _check_classes(config: dict[str, Any], class_names: Sequence[str], source: str) -> None:
    """Raise if the D of a config.json is of other classes than these, or of the same ones in another order."""
    saved = emd_block_of(config, source).get("class_names")
    check_class_order(saved, class_names, source=source)
    if class_names_differ(saved, class_names):
        raise ValueError(
            f"the ground distance of {source} is of the classes {abbreviate(saved)}, this model has "
            f"{abbreviate(class_names)}. Give one of its own classes, as a file with the matrix alone."
        )


def ground_distance_of_model(config: PretrainedConfig | None, class_names: Sequence[str] | None) -> Tensor | None:
    """The D that a loaded model came with; of other classes than the model's, it is taken out of the config.

    The same classes in another order are refused: the classifier head has the old one, too.
    """
    entry, emd = getattr(config, "ground_distance", None), emd_block_of(config)
    if entry is None:
        return None
    place, names = getattr(config, "_name_or_path", ""), list(class_names or [])
    source = place or "the model"
    check_class_order(emd.get("class_names"), names, source=source)
    find = (lambda name: Path(place, name)) if Path(place).is_dir() else _on_hub(place)
    try:
        if entry == GROUND_DISTANCE_FILE and not place:
            raise FileNotFoundError(f"its config names the file {entry}, and nothing says where that lies")
        matrix = _read_entry(entry, emd.get(_DIGEST), source, find)
    except OSError as error:
        problem = str(error).rstrip(".")
    else:
        problem = f"it is of {len(matrix)} classes, the model has {config.num_labels}"
        if len(matrix) == config.num_labels:
            if not class_names_differ(emd.get("class_names"), names):
                return matrix
            problem = f"it is of the classes {abbreviate(emd['class_names'])}, the model has {abbreviate(names)}"
    logger.warning("The ground distance in the model's config is taken out: %s.", problem)
    del config.ground_distance
    return None


def _load_array(path: Path) -> Tensor | np.ndarray:
    try:
        return np.load(path, allow_pickle=False) if path.suffix == ".npy" else load_file(path)["ground_distance"]
    except Exception as error:
        raise _no_matrix(path, error) from error


def _as_matrix(rows: Any, source: Any) -> Tensor:
    try:
        if not isinstance(rows, Tensor):
            rows = np.asarray(rows)
            rows = torch.as_tensor(rows.astype(np.float64) if rows.dtype.kind in "iuf" else rows)
    except Exception as error:
        raise _no_matrix(source, error) from error
    if rows.dim() != 2 or len(rows) != rows.shape[1]:
        raise ValueError(f"{source} must hold a (K, K) matrix, got shape {tuple(rows.shape)}.")
    check_ground_distance(rows, len(rows), source=str(source))
    return rows.to(matrix_dtype(len(rows)))


def _no_matrix(source: Any, error: Exception) -> ValueError:
    return ValueError(
        f"{source} must hold a (K, K) matrix of numbers: .npy, .safetensors or .json (a list of rows, or an object "
        f"with such a list under 'ground_distance'); reading it gave {type(error).__name__}: {error}"
    )
