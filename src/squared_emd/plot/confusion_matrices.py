"""The confusion matrix as a figure, beside that of the ground distance."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .ground_distance_figures import ground_distance_figure

__all__ = ["confusion_matrix_figure", "plot_confusion_matrix"]

_DPI = 150


def plot_confusion_matrix(
    counts: ArrayLike, class_names: Sequence[str], path: str | os.PathLike[str], title: str | None = None
) -> None:
    """Saves a confusion matrix as a heat map that looks like that of a ground distance.

    The color is the share of its row, the true class. Up to 20 classes each cell shows its count; above 40 some
    classes are named, by number and name.

    Args:
        counts: (K, K) counts; row: the true class, column: the predicted one. A row may be all 0.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the figure.

    Raises:
        ValueError: `counts` is not square or has a negative entry, or the names do not match it.
    """
    confusion_matrix_figure(counts, class_names, title).savefig(path, dpi=_DPI)


def confusion_matrix_figure(counts: ArrayLike, class_names: Sequence[str], title: str | None = None) -> Figure:
    """The figure that :func:`plot_confusion_matrix` saves."""
    values = np.asarray(counts, dtype=np.float64)
    if (values < 0).any():
        raise ValueError(f"counts must be 0 or more; got {values.min():g}; pass how often each pair of classes came")
    shares = values / np.maximum(values.sum(axis=-1, keepdims=True), 1)  # (K, K)
    figure = ground_distance_figure(shares, class_names, title, scale_end=1.0)
    axes, color_bar = figure.axes
    color_bar.set_ylabel("share of the true class")
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="predicted class", ylabel="true class")
    longest = max(len(f"{value:.0f}") for value in values.flat)
    for text in axes.texts:
        column, row = text.get_position()
        text.set_text(f"{values[row, column]:.0f}")
        text.set_fontsize(text.get_fontsize() * min(1.0, 4 / longest))  # its size was chosen for a text like 0.25
    return figure
