"""The reliability diagram: how often predictions come true, by their confidence (Guo et al. 2017, Figure 1)."""

from __future__ import annotations

import os
from collections.abc import Mapping

from matplotlib.figure import Figure

from ..metrics import ReliabilityBins
from ..metrics.names import loss_name
from .figures import line_styles, save_figure

__all__ = ["reliability_diagram"]


def reliability_diagram(
    bins: Mapping[str, ReliabilityBins],
    *,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Accuracy by confidence, a line for each loss, and below it where the predictions lie.

    On the diagonal confidence is accuracy; below it a network is over-confident. The legend has the expected
    calibration error.

    Args:
        bins: loss -> what `metrics.reliability` gave.
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
    figure = Figure(figsize=(5.2, 6.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for (loss, of_loss), (color, dash, marker) in zip(bins.items(), line_styles(bins), strict=True):
        style = {"color": color, "linestyle": dash, "marker": marker, "linewidth": 1.6, "markersize": 6}
        label = f"{loss_name(loss)}, ECE {of_loss.error:.3f}"
        upper.plot(of_loss.confidence, of_loss.accuracy, label=label, **style)
        lower.plot(of_loss.confidence, 100 * of_loss.share, **style)
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="percent of\npredictions", ylim=(0, None))
    upper.legend(loc="upper left", frameon=False, fontsize=9, handlelength=3.6)
    for axes in (upper, lower):
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title or "")
    return save_figure(figure, path)
