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
from torch import Tensor

from ..ground_distance.files import read_object
from ..ground_distance.saved import HISTORY_FILE, read_epoch_distances, read_ground_distance
from ..metrics.logs import STATE_FILE, points
from .figures import BLUE, place_epochs, save_figure, short_names
from .heat_maps import color_limits, show_matrix
from .sources import as_array, check_finite, known_classes, names_in_folder, names_or_numbers, seriation

_Source: TypeAlias = ArrayLike | Tensor | str | os.PathLike[str]
_MAX_MAPS = 6
_LINES = {"sdd": "SDD", "sdd_relative": "SDD / mean distance"}


def history(
    source: _Source,
    *,
    path: str | os.PathLike[str] | None = None,
    order: str = "classes",
    epochs: ArrayLike | None = None,
    log: Sequence[Mapping[str, Any]] | None = None,
    class_names: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """D epoch by epoch: up to six heat maps on one color scale, with SDD below.

    Args:
        source: (E, K, K) numbers; or the folder of a run, with `ground_distance_history.npz`, as the recipes write it,
            or with checkpoints that have a D each. Without matrices SDD alone is drawn.
        path: the file to write: PNG or what its suffix says, but no GIF; None: no file.
        order: of the rows and columns: "classes", or "seriation", that of the last D.
        epochs: (E,) of the matrices, in order; default: those saved, else 1, 2 ...
        log: a trainer's `log_history`, whose "sdd" and "sdd_relative" are drawn; default: the run's.
        class_names: (K,) names; default: those saved, else the numbers of the classes.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        TypeError: `source` is none of these.
        FileNotFoundError: there is no such folder.
        ValueError: there is no history, the matrices are not (K, K) and finite, `epochs` or `class_names` do not fit
            them, there is no such order, or `path` ends in .gif.

    Examples:
        >>> figure = history([[[0, 1], [1, 0]], [[0, 2], [2, 0]]], epochs=[1, 5])
        >>> [axes.get_title() for axes in figure.axes if axes.images]
        ['epoch 1', 'epoch 5']
    """
    if path is not None and Path(path).suffix.lower() == ".gif":
        raise ValueError(
            f"path must name a still image, got {path}. Give one that ends in .png; for an animation draw heat_map for "
            "each epoch."
        )
    if isinstance(source, (str, os.PathLike)):
        at, matrices, saved_log, names = _read_run(Path(source))
    else:
        matrices, saved_log, names = as_array(source), (), None
        at = np.arange(1.0, len(np.atleast_1d(matrices)) + 1)
    log = saved_log if log is None else log
    if not matrices.size and any(points(log, key) for key in _LINES):
        matrices, order, class_names, names = np.empty((0, 0, 0)), "classes", None, None
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
    names = names_or_numbers(class_names, names, matrices.shape[-1])
    check_finite(matrices)
    numbers = seriation(matrices[-1] if len(matrices) else (), order)
    matrices, names = matrices[:, numbers][:, :, numbers], [names[number] for number in numbers]
    return save_figure(_draw_strip(at, matrices, names, log, title), path)


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
    figure.suptitle(title or "", wrap=True)
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


def _read_run(folder: Path) -> tuple[np.ndarray, np.ndarray, Sequence[Mapping[str, Any]], Sequence[str] | None]:
    """Epochs, matrices, log and names of the classes, as a run left them."""
    if not folder.is_dir():
        raise FileNotFoundError(f"source must name the folder of a run; there is no folder {folder}.")
    if (folder / HISTORY_FILE).is_file():
        return *read_epoch_distances(folder / HISTORY_FILE), _read_log(folder), names_in_folder(folder)
    with_distance = (
        path.parent for path in folder.glob("checkpoint-*/config.json") if read_object(path).get("ground_distance")
    )
    checkpoints = dict(sorted((read_object(place / STATE_FILE)["epoch"], place) for place in with_distance))
    if checkpoints:
        matrices = [read_ground_distance(place).numpy() for place in checkpoints.values()]
        if len({len(matrix) for matrix in matrices}) > 1:
            raise ValueError(
                f"the checkpoints in {folder} must be of one run; got ground distances of "
                f"{', '.join(str(len(matrix)) for matrix in matrices)} classes. Take those of other runs away."
            )
        last = list(checkpoints.values())[-1]
        return np.array(list(checkpoints), dtype=np.float64), np.stack(matrices), _read_log(last), names_in_folder(last)
    log = _read_log(folder)
    if not points(log, "sdd"):
        raise ValueError(
            f"{folder} must be the folder of a run that learned D, with its {HISTORY_FILE}, with checkpoints or with "
            f"SDD in its {STATE_FILE}; there is none of them. Name the folder of one run."
        )
    return np.empty(0), np.empty((0, 0, 0)), log, names_in_folder(folder)


def _read_log(folder: Path) -> Sequence[Mapping[str, Any]]:
    state = read_object(folder / STATE_FILE) if (folder / STATE_FILE).is_file() else {}
    return state.get("log_history") or ()
