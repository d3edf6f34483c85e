"""Pictures of results, to be read beside the paper's (Hou et al. 2016, Table 2 and Figure 2)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from .report import cell_text, checked_matrix, entries_by_epoch, percent_of, shortened, shown_name

__all__ = ["plot_curves", "plot_ground_distance"]

_DPI = 150
# Okabe-Ito colours (their yellow is too pale for a line), each with its own dash and marker: a print in grey works too.
_STYLES = {
    "xe": ("#000000", "--", "o"),
    "reg": ("#CC79A7", ":", "s"),
    "emd": ("#0072B2", (0, (8, 1.5)), "^"),
    "xemd1": ("#E69F00", "-.", "D"),
    "xemd2": ("#D55E00", "-", "v"),
    "a-emd": ("#56B4E9", (0, (5, 1, 1, 1, 1, 1)), "P"),
}
_OTHER_STYLES = (("#009E73", "-", "X"), ("#009E73", "--", "<"), ("#0072B2", ":", ">"), ("#D55E00", ":", "*"))


def plot_ground_distance(
    matrix: ArrayLike, class_names: Sequence[str], path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Saves a ground distance matrix as a heat map that reads like Hou et al. 2016, Table 2.

    Up to 20 classes each cell shows its value; above 40 some classes are named, by number and name. Near is light.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the picture.

    Raises:
        ValueError: `matrix` is not square or not finite, or the names do not match it.
    """
    _ground_distance_figure(matrix, class_names, title).savefig(path, dpi=_DPI)


def plot_curves(
    histories: Mapping[str, Sequence[Mapping]],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    jump_start_epochs: int | None = None,
) -> None:
    """Saves AEM and AEO by epoch, one line per loss, in two panels (as Hou et al. 2016, Figure 2).

    Args:
        histories: loss -> entries with "epoch", "eval_aem" and "eval_aeo" (fractions), such as a trainer's
            `state.log_history`. Entries that lack one of them are ignored; of several at one epoch the first counts (a
            closing `trainer.evaluate()` logs the last epoch once more).
        path: the file to write: PNG, or what its suffix says.
        title: a line above the picture.
        jump_start_epochs: if given, a dotted line marks the end of this many epochs.

    Raises:
        ValueError: there is no loss, a loss has no usable entry, or AEM or AEO is not a fraction.
    """
    _curves_figure(histories, title, jump_start_epochs).savefig(path, dpi=_DPI)


def _ground_distance_figure(matrix: ArrayLike, class_names: Sequence[str], title: str | None) -> Figure:
    values = checked_matrix(matrix, class_names)
    num_classes = len(values)
    side = min(max(0.6 * num_classes, 3.6), 8.0)  # inches, of the cells alone
    cell = 72 * side / num_classes  # points
    figure = Figure(figsize=(side + 1.8, side + 1.0), layout="constrained")
    axes = figure.add_subplot()
    low, high = min(0.0, values.min()), max(0.0, values.max())
    image = axes.imshow(values, cmap="YlGnBu", vmin=low, vmax=high if high > low else 1.0, interpolation="nearest")

    ticks, names = list(range(num_classes)), list(class_names)
    if num_classes > 40:
        ticks = [int(tick) for tick in MaxNLocator(20, steps=[1, 2, 5, 10]).tick_values(0, num_classes - 1)]
        ticks = [tick for tick in ticks if tick < num_classes]
        names = [f"{tick} {class_names[tick]}" for tick in ticks]
    names = [shortened(name, 24) for name in names]
    room = cell * num_classes / len(ticks)  # points, of one name
    font_size = min(10.0, max(7.0, 0.45 * room))
    rotation = 90 if max(map(len, names)) * 0.65 * font_size > room else 0
    axes.xaxis.tick_top()
    axes.set_xticks(ticks, names, rotation=rotation, fontsize=font_size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=font_size, parse_math=False)
    axes.tick_params(length=3 if num_classes > 40 else 0)
    axes.spines[:].set_visible(False)
    axes.set_title(title or "", pad=10)
    figure.colorbar(image, ax=axes, label="ground distance", shrink=0.8, pad=0.02).outline.set_visible(False)

    if num_classes <= 20:
        texts = [[cell_text(value, 2) for value in row] for row in values]
        font_size = min(10.0, 1.3 * cell / max(len(text) for row in texts for text in row))
        luminance = image.to_rgba(values)[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)
        for row, column in np.ndindex(values.shape):
            color = "black" if luminance[row, column] > 0.18 else "white"  # contrast 4.5 : 1 or better on any colour
            axes.text(column, row, texts[row][column], ha="center", va="center", color=color, fontsize=font_size)
    return figure


def _curves_figure(histories: Mapping[str, Sequence[Mapping]], title: str | None, jump_start: int | None) -> Figure:
    if not histories:
        raise ValueError("histories must hold at least one loss; got none; pass {loss: trainer.state.log_history}")
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, 2)
    others = iter(_OTHER_STYLES * len(histories))
    for position, (loss, history) in enumerate(histories.items()):
        epochs, *percents = _curve_points(loss, history)
        color, dash, marker = _STYLES.get(loss) or next(others)
        step = math.ceil(len(epochs) / 10)  # about ten markers a line, those of different losses at different epochs
        style = {"color": color, "linestyle": dash, "marker": marker, "markevery": (position % step, step)}
        for axes, percent in zip(panels, percents, strict=True):
            axes.plot(epochs, percent, label=shown_name(loss), linewidth=1.6, markersize=6.5, **style)
    for axes, name in zip(panels, ("Exact match (AEM)", "Within one class (AEO)"), strict=True):
        if jump_start is not None:
            axes.axvline(jump_start, color="0.35", linestyle=":", linewidth=1.5, label="end of the jump start")
        left, right = axes.dataLim.intervalx
        margin = max(0.5, 0.03 * (right - left))
        axes.set(title=name, xlabel="epoch", ylabel="percent of images", xlim=(left - margin, right + margin))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    per_row = math.ceil(len(labels) / math.ceil(len(labels) / 5))
    figure.legend(handles, labels, loc="outside lower center", ncols=per_row, frameon=False, handlelength=4)
    figure.suptitle(title or "")
    return figure


def _curve_points(loss: str, history: Sequence[Mapping]) -> tuple[list[float], list[float], list[float]]:
    """Epochs, AEM and AEO in percent, in the order of the epochs."""
    entries = entries_by_epoch(history)
    if not entries:
        raise ValueError(
            f"histories[{loss!r}] must hold entries with 'epoch', 'eval_aem' and 'eval_aeo'; got none among "
            f"{len(history)}; pass the log_history of a run with eval_strategy='epoch'"
        )
    aem, aeo = ([percent_of(key, entry[key]) for entry in entries.values()] for key in ("eval_aem", "eval_aeo"))
    return list(entries), aem, aeo
