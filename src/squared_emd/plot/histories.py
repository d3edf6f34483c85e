"""How the ground distance came about."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor

from ..ground_distance.history import HISTORY_FILE, read_epoch_distances
from ..ground_distance.saved import read_ground_distance
from ..metrics.logs import STATE_FILE, points, read_json
from .ground_distance_figures import ground_distance_figure, history_figure, show_another
from .heat_maps import SERIATED, check_order, save
from .matrix import checked_matrix
from .pixels import pixels_of
from .seriation import seriation
from .sources import as_array, checkpoints_of, names_in_folder, names_or_numbers

__all__ = ["HistorySource", "history"]

HistorySource: TypeAlias = ArrayLike | Tensor | str | os.PathLike[str]
"""(E, K, K) matrices, the folder of a run, or its file with the matrices."""

_MOST_FRAMES = 60
_FRAME_DPI = 80  # a GIF compresses badly


def history(
    source: HistorySource,
    *,
    path: str | os.PathLike[str] | None = None,
    order: str = "classes",
    epochs: ArrayLike | None = None,
    log: Sequence[Mapping[str, Any]] | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
    seconds: float = 0.5,
) -> Figure:
    """D epoch by epoch: a strip of up to six heat maps with SDD below, or an animation where `path` ends in .gif.

    All heat maps share one scale of colours. An animation has a heat map for each epoch, 60 at most, evenly spaced.

    Args:
        source: (E, K, K) numbers; the folder of a run, with `ground_distance_history.npz`, as the recipes write it, or
            with checkpoints that have a D each; or such an .npz file.
        path: the file to write: PNG, GIF or what its suffix says; None: no file.
        order: of the rows and columns: "classes", or "seriation", the one of the last D.
        epochs: (E,) of the matrices, in order; default: those that were saved, else 1, 2 ...
        log: a trainer's `log_history`, whose "sdd" and "sdd_relative" are drawn; default: the run's.
        class_names: (K,) names; default: those that were saved, else the numbers of the classes.
        title: a line above the picture.
        seconds: that the animation shows an epoch; the last one three times as long.

    Returns:
        The figure, not one of pyplot's: the strip, or the last picture of the animation.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file or folder.
        ValueError: there is no history, an animation is asked for where D was not kept, the matrices are not (K, K)
            and finite, `epochs` or `class_names` do not fit them, or there is no such order.

    >>> figure = history([[[0, 1], [1, 0]], [[0, 2], [2, 0]]], epochs=[1, 5])
    >>> [axes.get_title() for axes in figure.axes if axes.images]
    ['epoch 1', 'epoch 5']
    """
    check_order(order)
    if isinstance(source, (str, os.PathLike)):
        at, matrices, saved_log, names = _of_path(Path(source))
    else:
        matrices, saved_log, names = as_array(source), (), None
        at = np.arange(1.0, len(np.atleast_1d(matrices)) + 1)
        if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not matrices.size:
            raise ValueError(
                "source must hold (E, K, K) numbers, one matrix an epoch; got shape "
                f"{matrices.shape}. Use heat_map for one matrix."
            )
    at = at if epochs is None else np.asarray(epochs, dtype=np.float64)
    if at.shape != (len(matrices),) or (np.diff(at) <= 0).any():
        raise ValueError(
            f"epochs must hold one number for each of the {len(matrices)} matrices, in order; got {at.tolist()}."
        )
    log = saved_log if log is None else log
    num_classes = matrices.shape[-1] if len(matrices) else len(class_names or names or "")
    names = names_or_numbers(class_names, names, num_classes)
    numbers, note = list(range(num_classes)), ""
    if order == "seriation" and len(matrices):
        numbers, note = seriation(matrices[-1]).tolist(), SERIATED
        matrices, names = matrices[:, numbers][:, :, numbers], [names[k] for k in numbers]
    if path is None or Path(path).suffix.lower() != ".gif":
        return save(history_figure(at, matrices, names, log, title), path)
    if not len(matrices):
        raise ValueError(f"an animation needs D by epoch, and {source} has only SDD. Give a path that ends in .png.")
    return _animate(at, matrices, names, numbers, note, title, path, seconds)


def _animate(
    epochs: np.ndarray,
    matrices: np.ndarray,
    names: Sequence[str],
    numbers: Sequence[int],
    note: str,
    title: str | None,
    path: str | os.PathLike[str],
    seconds: float,
) -> Figure:
    if seconds < 0.02:
        raise ValueError(f"seconds must be at least 0.02, which is as fast as players of GIF go, got {seconds}.")
    for matrix in matrices:
        checked_matrix(matrix, names)
    shown = np.unique(np.linspace(0, len(epochs) - 1, _MOST_FRAMES).round().astype(int))
    figure = ground_distance_figure(
        matrices[-1], names, " ", matrices.max() or None, marks_unknown=True, numbers=numbers, note=note or " "
    )
    pixels_of(figure, _FRAME_DPI)
    figure.set_layout_engine("none")  # it stays as it was laid out
    frames: list[Image.Image] = []
    for index in shown:
        above = ", ".join(filter(None, (title, f"epoch {epochs[index]:g}")))
        show_another(figure, matrices[index], above, note)
        frames.append(pixels_of(figure, _FRAME_DPI))
    # One palette for all, so that what stays the same takes no room in the file: the colours of the map and some greys,
    # few enough that Pillow, which looks colours up in steps of 8, keeps white white.
    palette = Image.new("P", (1, 1))
    colors = figure.axes[0].images[0].cmap(np.linspace(0, 1, 108), bytes=True)[:, :3]
    greys = np.linspace(0, 255, 20).round().astype(np.uint8)[:, None].repeat(3, axis=1)
    palette.putpalette(np.concatenate([colors, greys]).tobytes())
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(3000 * seconds)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
    return figure


def _of_path(
    path: Path,
) -> tuple[np.ndarray, np.ndarray, Sequence[Mapping[str, Any]], Sequence[str] | None]:
    """Epochs, matrices, log and names of the classes, as a run left them."""
    if path.is_file():
        return *read_epoch_distances(path), _log_in(path.parent), names_in_folder(path.parent)
    if not path.is_dir():
        raise FileNotFoundError(
            f"source must name the folder of a run or its {HISTORY_FILE}; there is neither at {path}."
        )
    if (path / HISTORY_FILE).is_file():
        return *read_epoch_distances(path / HISTORY_FILE), _log_in(path), names_in_folder(path)
    checkpoints = checkpoints_of(path)
    if checkpoints:
        at = np.array([read_json(folder / STATE_FILE)["epoch"] for folder in checkpoints], dtype=np.float64)
        matrices = np.stack([read_ground_distance(folder).numpy() for folder in checkpoints])
        return at, matrices, _log_in(checkpoints[-1]), names_in_folder(checkpoints[-1])
    log = _log_in(path)
    if not points(log, "sdd"):
        raise ValueError(
            f"{path} must be the folder of a run that learned D, with its {HISTORY_FILE}, with checkpoints or with SDD "
            f"in its {STATE_FILE}; there is none of them. Name the folder of one run."
        )
    return np.empty(0), np.empty((0, 0, 0)), log, names_in_folder(path)


def _log_in(folder: Path) -> Sequence[Mapping[str, Any]]:
    state = read_json(folder / STATE_FILE) if (folder / STATE_FILE).is_file() else {}
    return state.get("log_history") or ()
