"""Metrics by epoch as a picture (as Hou et al. 2016, Figure 2)."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..metrics.logs import epoch_to_reach, points
from ..metrics.names import METRICS, loss_name

__all__ = ["plot_curves"]

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


_RING = {
    "marker": "o",
    "linestyle": "none",
    "markersize": 12,
    "markerfacecolor": "none",
    "markeredgewidth": 2.2,
    "zorder": 4,
}
BASELINE = "xe"


def plot_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    path: str | os.PathLike[str],
    *,
    metrics: Sequence[str] = ("eval_aem", "eval_aeo"),
    title: str | None = None,
    jump_start_epochs: int | None = None,
    notes: Mapping[str, str] | None = None,
    not_compared: Collection[str] = (),
) -> None:
    """Saves metrics by epoch, a panel a metric and a line a loss (as Hou et al. 2016, Figure 2).

    Where there is XE, a thin line goes through its final value, and a ring on each other line marks the first epoch at
    which it is as good; the legend says which.

    Args:
        histories: loss -> entries with "epoch" and metrics, such as a trainer's `state.log_history`. Entries that lack
            a metric are passed over; of several at one epoch the first counts (a closing `trainer.evaluate()` logs the
            last epoch once more).
        path: the file to write: PNG, or what its suffix says.
        metrics: keys of the entries, one a panel; one that no loss has gets no panel.
        title: a line above the picture.
        jump_start_epochs: if given, a dotted line marks the end of this many epochs.
        notes: loss -> what the legend says of it besides its name.
        not_compared: losses that cannot be held against XE.

    Raises:
        ValueError: there is no loss, a loss has no usable entry, or a fraction is none.
    """
    curves_figure(histories, metrics, title, jump_start_epochs, notes or {}, not_compared).savefig(path, dpi=_DPI)


def curves_figure(
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    metrics: Sequence[str] = ("eval_aem", "eval_aeo"),
    title: str | None = None,
    jump_start: int | None = None,
    notes: Mapping[str, str] | None = None,
    not_compared: Collection[str] = (),
) -> Figure:
    """The figure that :func:`plot_curves` saves."""
    curves = _checked_curves(histories, metrics)
    panels = [metric for metric in metrics if any(curves[loss].get(metric) for loss in curves)]
    rows = math.ceil((len(curves) + 2) / (1 if notes else 2))  # of the legend, at most
    figure = Figure(figsize=(5 * len(panels) if len(panels) > 1 else 6.4, 4.2 + 0.2 * rows), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        drawn = {loss: curves[loss][metric] for loss in curves if curves[loss].get(metric)}
        handles = _draw(axes, metric, drawn, list(curves), notes or {}, not_compared)
        if jump_start is not None:
            line = axes.axvline(jump_start, color="0.35", linestyle=":", linewidth=1.5, label="end of the jump start")
            handles.append(line)
        _furnish(axes, metric)
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.13),
            ncols=1 if notes else 2,
            frameon=False,
            handlelength=3.6,
            fontsize=9,
            columnspacing=1.2,
        )
    figure.suptitle(title or "")
    return figure


def _checked_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], metrics: Sequence[str]
) -> dict[str, dict[str, dict[float, float]]]:
    """Loss -> metric -> epoch -> value in the unit that is shown."""
    if not histories:
        raise ValueError("histories must hold at least one loss; got none; pass {loss: trainer.state.log_history}")
    curves: dict[str, dict[str, dict[float, float]]] = {}
    for loss, history in histories.items():
        curves[loss] = {}
        for metric in metrics:
            values = points(history, metric)
            for value in values.values():
                if METRICS[metric].is_fraction and not 0 <= value <= 1:
                    raise ValueError(f"{metric} must be a fraction between 0 and 1; got {value}; divide percent by 100")
            curves[loss][metric] = {epoch: METRICS[metric].shown(value) for epoch, value in values.items()}
        if not any(curves[loss].values()):
            raise ValueError(
                f"histories[{loss!r}] must hold entries with 'epoch' and {' or '.join(map(repr, metrics))}; got none "
                f"among {len(history)}; pass the log_history of a run with eval_strategy='epoch'"
            )
    return curves


def _draw(
    axes: Axes,
    metric: str,
    curves: Mapping[str, Mapping[float, float]],
    losses: Sequence[str],
    notes: Mapping[str, str],
    not_compared: Collection[str],
) -> list[Line2D]:
    """The lines of a panel; gives the handles of its legend."""
    final = list(curves[BASELINE].values())[-1] if BASELINE in curves else None
    others = iter(_OTHER_STYLES * len(losses))
    styles = {loss: _STYLES.get(loss) or next(others) for loss in losses}
    handles, rings = [], []
    for loss, curve in curves.items():
        color, dash, marker = styles[loss]
        epochs, values = list(curve), list(curve.values())
        step = math.ceil(len(epochs) / 10)  # about ten markers a line, those of different losses at different epochs
        every = (losses.index(loss) % step, step)
        style = {"color": color, "linestyle": dash, "marker": marker, "linewidth": 1.6, "markersize": 6}
        (line,) = axes.plot(epochs, values, markevery=every, **style)
        label = loss_name(loss) + (f" ({notes[loss]})" if loss in notes else "")
        if loss == BASELINE and len(curves) > 1:
            label += f", ends at {final:.{METRICS[metric].digits}f} (thin line)"
        elif final is not None and loss != BASELINE and loss not in not_compared:
            epoch = epoch_to_reach([{"epoch": e, metric: v} for e, v in curve.items()], metric, final)
            label += ", never reaches XE's" if epoch is None else f", reaches XE's at {epoch:g}"
            if epoch is not None:
                rings += axes.plot([epoch], [curve[epoch]], color=color, **_RING)
        line.set_label(label)
        handles.append(line)
    if final is not None and len(curves) > 1:
        axes.axhline(final, color="black", linewidth=0.8, zorder=1.5)
    if rings:
        handles.append(Line2D([], [], color="0.35", label="first as good as XE at its end", **_RING))
    return handles


def _furnish(axes: Axes, metric: str) -> None:
    left, right = axes.dataLim.intervalx
    margin = max(0.5, 0.03 * (right - left))
    unit = "percent of images" if METRICS[metric].in_percent else METRICS[metric].heading
    axes.set(title=METRICS[metric].title, xlabel="epoch", ylabel=unit, xlim=(left - margin, right + margin))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
