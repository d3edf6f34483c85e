"""The confusion matrix, as a heat map that looks like that of the ground distance."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from .figures import save_figure
from .heat_maps import heat_map_figure

__all__ = ["confusion_matrix"]


def confusion_matrix(
    counts: ArrayLike,
    class_names: Sequence[str],
    *,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """A confusion matrix as a heat map: the color is the share of the true class.

    Up to 20 classes each cell shows its count; above 40 some classes are named, by number and name.

    Args:
        counts: (K, K) counts; row: the true class, column: the predicted one. A row may be all 0.
        class_names: (K,) names, in the order of the rows.
        path: the file to write: PNG, or what its suffix says.
        title: a line above the figure.

    Returns:
        The figure, which is not registered with pyplot.

    Raises:
        ValueError: `counts` is not square or has a negative entry, or the names do not match it.

    Examples:
        >>> figure = confusion_matrix([[3, 1], [0, 2]], ["a", "b"])
        >>> figure.axes[0].images[0].get_array().tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    values = np.asarray(counts, dtype=np.float64)
    if (values < 0).any():
        raise ValueError(f"counts must be 0 or more; got {values.min():g}; pass how often each pair of classes came")
    shares = values / np.maximum(values.sum(axis=-1, keepdims=True), 1)  # (K, K)
    cells = [[f"{value:.0f}" for value in row] for row in np.atleast_2d(values)]
    label = "share of the true class"
    figure = heat_map_figure(
        shares, class_names, title=title, scale_end=1.0, label=label, cells=cells, marks_unknown=False
    )
    axes = figure.axes[0]
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="predicted class", ylabel="true class")
    return save_figure(figure, path)
