"""Lines of losses: metrics by epoch (as Hou et al. 2016, Figure 2), and accuracy by confidence (Guo et al. 2017)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..metrics import ReliabilityBins
from ..metrics.logs import epoch_to_reach, points
from ..metrics.names import METRICS, loss_name
from .figures import place_epochs, save_figure

# Okabe-Ito colors (their yellow is too pale for a line), each with its own dash and marker, to be told apart in gray.
_STYLES = {
    "xe": ("#000000", "--", "o"),
    "reg": ("#CC79A7", ":", "s"),
    "emd": ("#0072B2", (0, (8, 1.5)), "^"),
    "xemd1": ("#E69F00", "-.", "D"),
    "xemd2": ("#D55E00", "-", "v"),
    "a-emd": ("#56B4E9", (0, (5, 1, 1, 1, 1, 1)), "P"),
    "xemd": ("#009E73", "-", "X"),
}
_OTHER_STYLES = (("#CC79A7", "-", "p"), ("#009E73", "--", "<"), ("#0072B2", ":", ">"), ("#D55E00", ":", "*"))
_RING = {
    "marker": "o", "linestyle": "none", "markersize": 12, "markerfacecolor": "none", "markeredgewidth": 2.2,
    "zorder": 4,
}  # fmt: skip
_BASELINE = "xe"


def learning_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    metrics: Sequence[str] = ("eval_aem", "eval_aeo"),
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    not_compared: Collection[str] = (),
) -> Figure:
    """Metrics by epoch, a panel for each metric and a line for each loss (as Hou et al. 2016, Figure 2).

    Where there is cross-entropy, a thin line marks its final value, and a ring on each other line the first epoch at
    which it is as good; the legend says which.

    Args:
        histories: loss -> entries with "epoch" and metrics, such as a trainer's `state.log_history`. Entries that lack
            a metric are skipped; of several at one epoch the first counts (a closing `trainer.evaluate()` logs the last
            epoch once more).
        metrics: keys of the entries, one a panel; one that no loss has gets no panel.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the figure.
        not_compared: losses that cannot be compared with cross-entropy.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        ValueError: there is no loss, a loss has no usable entry, or a fraction is not between 0 and 1.

    Examples:
        >>> log = [{"epoch": 1.0, "eval_aem": 0.25}, {"epoch": 2.0, "eval_aem": 0.5}]
        >>> learning_curves({"emd": log}).axes[0].lines[0].get_ydata().tolist()  # percent
        [25.0, 50.0]
    """
    curves = _check_curves(histories, metrics)
    panels = [metric for metric in metrics if any(curves[loss][metric] for loss in curves)]
    columns, rows = min(len(panels), 2), math.ceil(len(panels) / 2)
    height = rows * (4.2 + 0.2 * math.ceil((len(curves) + 1) / 2))  # with the legend
    figure = Figure(figsize=(5 * columns if columns > 1 else 6.4, height), layout="constrained")
    for position, metric in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, position)
        handles = _draw_panel(axes, metric, {loss: curves[loss][metric] for loss in curves}, not_compared)
        left, right = axes.dataLim.intervalx
        margin = max(0.5, 0.03 * (right - left))
        unit = "percent" if METRICS[metric].in_percent else METRICS[metric].heading
        axes.set(title=METRICS[metric].title, xlabel="epoch", ylabel=unit, xlim=(left - margin, right + margin))
        place_epochs(axes)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "frameon": False}
        axes.legend(handles=handles, ncols=2, handlelength=3.6, fontsize=9, columnspacing=1.2, **below)
    figure.suptitle(title or "", wrap=True)
    return save_figure(figure, path)


def reliability_diagram(
    bins: Mapping[str, ReliabilityBins],
    *,
    mean_errors: Mapping[str, float] | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Accuracy by confidence, a line for each loss, and below it where the predictions lie (Guo et al. 2017, Figure 1).

    On the diagonal confidence is accuracy; below it a network is over-confident. The legend has the expected
    calibration error.

    Args:
        bins: loss -> what `metrics.reliability` gave.
        mean_errors: loss -> the mean over runs of the error, where bins are of several runs together, whose own error
            is another one: the legend has this mean instead.
        path: the file to write, PNG or what its suffix says; None: no file.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        ValueError: there is no loss.

    Examples:
        >>> import numpy as np
        >>> from squared_emd.metrics import reliability
        >>> bins = reliability(np.array([0.75, 0.75]), np.array([True, False]))
        >>> reliability_diagram({"xe": bins}).axes[0].lines[1].get_ydata().tolist()
        [0.5]
    """
    if not bins:
        raise ValueError("bins must hold at least one loss; got none; pass {loss: reliability(confidences, hits)}")
    figure = Figure(figsize=(5.2, 6.2 + 0.2 * math.ceil(len(bins) / 2)), layout="constrained")  # with the legend
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for loss, style in _line_styles(bins).items():
        mean = (mean_errors or {}).get(loss)
        error = f"ECE {bins[loss].error:.3f}" if mean is None else f"mean ECE {mean:.3f}"
        label = f"{loss_name(loss)}, {error}"
        upper.plot(bins[loss].confidence, bins[loss].accuracy, label=label, **style)
        lower.plot(bins[loss].confidence, 100 * bins[loss].share, **style)
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="percent of\npredictions", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9, handlelength=3.6)
    for axes in (upper, lower):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title or "", wrap=True)
    return save_figure(figure, path)


def _line_styles(losses: Collection[str]) -> dict[str, dict[str, Any]]:
    """How each loss is drawn; the styles of names that are none of the package's go round."""
    others = itertools.cycle(_OTHER_STYLES)
    styles = {loss: _STYLES.get(loss) or next(others) for loss in losses}
    return {
        loss: {"color": color, "linestyle": dash, "marker": marker, "linewidth": 1.6, "markersize": 6}
        for loss, (color, dash, marker) in styles.items()
    }


def _check_curves(
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


def _draw_panel(
    axes: Axes,
    metric: str,
    curves: Mapping[str, Mapping[float, float]],
    not_compared: Collection[str],
) -> list[Line2D]:
    """Draws the lines of a panel and returns the handles of its legend."""
    shown = [loss for loss, curve in curves.items() if curve]
    final = list(curves[_BASELINE].values())[-1] if _BASELINE in shown and len(shown) > 1 else None
    styles = _line_styles(curves)  # the same in all panels
    handles, rings = [], []
    for index, (loss, curve) in enumerate(curves.items()):
        if not curve:
            continue
        style = styles[loss]
        step = math.ceil(len(curve) / 10)  # about ten markers a line, those of different losses at different epochs
        (line,) = axes.plot(list(curve), list(curve.values()), markevery=(index % step, step), **style)
        label = loss_name(loss)
        if final is not None and loss == _BASELINE:
            label += f", ends at {final:.{METRICS[metric].digits}f} (thin line)"
        elif final is not None and loss not in not_compared:
            epoch = epoch_to_reach([{"epoch": at, metric: value} for at, value in curve.items()], metric, final)
            label += ", never reaches XE's" if epoch is None else f", reaches XE's at {epoch:g}"
            if epoch is not None:
                rings += axes.plot([epoch], [curve[epoch]], color=style["color"], **_RING)
        line.set_label(label)
        handles.append(line)
    if final is not None:
        axes.axhline(final, color="black", linewidth=0.8, zorder=1.5)
    if rings:
        handles.append(Line2D([], [], color="0.35", label="first as good as XE at its end", **_RING))
    return handles
