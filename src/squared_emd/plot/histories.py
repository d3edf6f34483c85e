"""The ground distance epoch by epoch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike
from PIL.Image import Dither
from torch import Tensor

from ..ground_distance.files import read_object, write_aside
from ..ground_distance.saved import HISTORY_FILE, read_epoch_distances, read_ground_distance
from ..metrics.logs import STATE_FILE, points
from .figures import BLUE, place_epochs, render, save_figure, short_names
from .heat_maps import SERIATED, color_limits, heat_map_figure, replace_heat_map, show_matrix
from .matrices import check_matrix, check_order, known_classes, seriation
from .sources import as_array, checkpoints_of, names_in_folder, names_or_numbers

__all__ = ["HistorySource", "history"]

HistorySource: TypeAlias = ArrayLike | Tensor | str | os.PathLike[str]
"""(E, K, K) matrices, the folder of a run, or its file with the matrices."""

_MAX_MAPS = 6
_MAX_FRAMES = 60
_FRAME_DPI = 80  # a GIF compresses badly
_LINES = {"sdd": "SDD", "sdd_relative": "SDD / mean distance"}


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
    """D epoch by epoch: up to six heat maps with SDD below, or an animation where `path` ends in .gif.

    All heat maps share one color scale. An animation has a heat map for each epoch, 60 at most, evenly spaced.

    Args:
        source: (E, K, K) numbers; the folder of a run, with `ground_distance_history.npz`, as the recipes write it, or
            with checkpoints that have a D each; or such an .npz file. Without matrices SDD alone is drawn.
        path: the file to write: PNG, GIF or what its suffix says; None: no file.
        order: of the rows and columns: "classes", or "seriation", that of the last D.
        epochs: (E,) of the matrices, in order; default: those saved, else 1, 2 ...
        log: a trainer's `log_history`, whose "sdd" and "sdd_relative" are drawn; default: the run's.
        class_names: (K,) names; default: those saved, else the numbers of the classes.
        title: a line above the figure.
        seconds: how long the animation shows an epoch; the last one is shown three times as long.

    Returns:
        The figure, which is not registered with pyplot: the strip, or the last frame of the animation.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such file or folder.
        ValueError: there is no history, an animation is asked for where D was not kept, the matrices are not (K, K)
            and finite, `epochs` or `class_names` do not fit them, or there is no such order.

    Examples:
        >>> figure = history([[[0, 1], [1, 0]], [[0, 2], [2, 0]]], epochs=[1, 5])
        >>> [axes.get_title() for axes in figure.axes if axes.images]
        ['epoch 1', 'epoch 5']
    """
    check_order(order)
    if isinstance(source, (str, os.PathLike)):
        at, matrices, saved_log, names = _read_run(Path(source))
    else:
        matrices, saved_log, names = as_array(source), (), None
        at = np.arange(1.0, len(np.atleast_1d(matrices)) + 1)
    log = saved_log if log is None else log
    if not matrices.size and any(points(log, key) for key in _LINES):
        matrices, order = np.empty((0, 0, 0)), "classes"
    elif matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2] or not matrices.size:
        raise ValueError(
            "source must hold (E, K, K) numbers, one matrix an epoch; got shape "
            f"{matrices.shape}. Use heat_map for one matrix."
        )
    at = at if epochs is None else np.asarray(epochs, dtype=np.float64)
    if at.shape != (len(matrices),) or (np.diff(at) <= 0).any():
        raise ValueError(
            f"epochs must hold one number for each of the {len(matrices)} matrices, in order; got {at.tolist()}."
        )
    names = names_or_numbers(class_names, names, matrices.shape[-1] or len(class_names or names or ""))
    for matrix in matrices:
        check_matrix(matrix, names)
    numbers = np.arange(len(names))
    if order == "seriation":
        numbers = seriation(matrices[-1])
        matrices, names = matrices[:, numbers][:, :, numbers], [names[number] for number in numbers]
    if path is None or Path(path).suffix.lower() != ".gif":
        return save_figure(_draw_strip(at, matrices, names, log, title), path)
    if not len(matrices):
        raise ValueError(f"an animation needs D by epoch, and {source} has only SDD. Give a path that ends in .png.")
    if seconds < 0.02:
        raise ValueError(f"seconds must be at least 0.02, which is as fast as players of GIF go, got {seconds}.")
    note = SERIATED if order == "seriation" else ""
    figure = heat_map_figure(
        matrices[-1], names, title=" ", scale_end=matrices.max() or None, numbers=numbers.tolist(), note=note or " "
    )
    _save_animation(figure, at, matrices, path, seconds, title=title, note=note)
    return figure


def _draw_strip(
    epochs: np.ndarray,
    matrices: np.ndarray,
    class_names: Sequence[str],
    log: Sequence[Mapping[str, Any]],
    title: str | None,
) -> Figure:
    """Heat maps of up to six epochs, from the first to the last, and lines of SDD below."""
    lines = {name: line for name in _LINES if (line := points(log, name))}
    shown = np.unique(np.linspace(0, max(len(epochs) - 1, 0), _MAX_MAPS).round().astype(int))[: len(epochs)]
    rows = (len(epochs) > 0) + (len(lines) > 0)
    figure = Figure(figsize=(max(6.4, 1 + 1.5 * len(shown)), 2.5 * rows), layout="constrained")
    parts = iter(figure.subfigures(rows, 1, squeeze=False)[:, 0])
    if len(epochs):
        _draw_maps(next(parts), epochs[shown], matrices[shown], color_limits(matrices), class_names)
    if lines:
        panels = next(parts).subplots(1, len(lines), squeeze=False)[0]
        for axes, (name, line) in zip(panels, lines.items(), strict=True):
            _draw_line(axes, line, epochs[shown], _LINES[name])
    figure.suptitle(title or "")
    return figure


def _draw_maps(
    part: SubFigure, epochs: np.ndarray, matrices: np.ndarray, limits: tuple[float, float], class_names: Sequence[str]
) -> None:
    panels = part.subplots(1, len(epochs), squeeze=False)[0]
    for axes, epoch, matrix in zip(panels, epochs, matrices, strict=True):
        image = show_matrix(axes, matrix, limits, known_classes(matrix))
        axes.set(title=f"epoch {epoch:g}", xticks=[], yticks=[])
        axes.title.set_fontsize(10)
    if len(class_names) <= 12:
        names = short_names(class_names, 14)
        panels[0].set_yticks(range(len(names)), names, fontsize=7, parse_math=False)
        panels[0].tick_params(length=0)
    else:
        panels[0].set_ylabel("classes in order")
    part.colorbar(image, ax=panels, label="ground distance", shrink=0.8, pad=0.01).outline.set_visible(False)


def _draw_line(axes: Axes, line: Mapping[float, float], shown: np.ndarray, title: str) -> None:
    """A line by epoch, with dots at the epochs that have a heat map above."""
    dots = [epoch for epoch in line if epoch in shown]
    axes.plot(list(line), list(line.values()), color=BLUE, linewidth=1.6)
    axes.plot(dots, [line[epoch] for epoch in dots], color=BLUE, linestyle="none", marker="o", markersize=6)
    label = "epoch (dots: the epochs above)" if dots else "epoch"
    axes.set(title=title, xlabel=label, ylim=(0, 1.08 * max(*line.values(), 1e-9)))
    place_epochs(axes)


def _save_animation(
    figure: Figure,
    epochs: np.ndarray,
    matrices: np.ndarray,
    path: str | os.PathLike[str],
    seconds: float,
    *,
    title: str | None,
    note: str,
) -> None:
    """Writes a GIF of one heat map after the other in the same figure."""
    render(figure, _FRAME_DPI)
    figure.set_layout_engine("none")  # all frames keep the layout of the first
    frames = []
    for index in np.unique(np.linspace(0, len(epochs) - 1, _MAX_FRAMES).round().astype(int)):
        heading = ", ".join(filter(None, (title, f"epoch {epochs[index]:g}")))
        replace_heat_map(figure, matrices[index], title=heading, note=note)
        frames.append(render(figure, _FRAME_DPI).quantize(128, dither=Dither.NONE))
    durations = [round(1000 * seconds)] * (len(frames) - 1) + [round(3000 * seconds)]
    with write_aside(path) as unfinished:
        frames[0].save(unfinished, save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _read_run(path: Path) -> tuple[np.ndarray, np.ndarray, Sequence[Mapping[str, Any]], Sequence[str] | None]:
    """Epochs, matrices, log and names of the classes, as a run left them."""
    file = path if path.is_file() else path / HISTORY_FILE
    if file.is_file():
        return *read_epoch_distances(file), _read_log(file.parent), names_in_folder(file.parent)
    if not path.is_dir():
        raise FileNotFoundError(
            f"source must name the folder of a run or its {HISTORY_FILE}; there is neither at {path}."
        )
    checkpoints = checkpoints_of(path)
    if checkpoints:
        at = np.array([read_object(folder / STATE_FILE)["epoch"] for folder in checkpoints], dtype=np.float64)
        matrices = np.stack([read_ground_distance(folder).numpy() for folder in checkpoints])
        return at, matrices, _read_log(checkpoints[-1]), names_in_folder(checkpoints[-1])
    log = _read_log(path)
    if not points(log, "sdd"):
        raise ValueError(
            f"{path} must be the folder of a run that learned D, with its {HISTORY_FILE}, with checkpoints or with SDD "
            f"in its {STATE_FILE}; there is none of them. Name the folder of one run."
        )
    return np.empty(0), np.empty((0, 0, 0)), log, names_in_folder(path)


def _read_log(folder: Path) -> Sequence[Mapping[str, Any]]:
    state = read_object(folder / STATE_FILE) if (folder / STATE_FILE).is_file() else {}
    return state.get("log_history") or ()
