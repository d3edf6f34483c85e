"""What all figures share: saving, rendering in memory, names cut to fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ground_distance.files import write_aside

if TYPE_CHECKING:
    from PIL.Image import Image

BLUE = "#0072B2"
_DPI = 150


def save_figure(figure: Figure, path: str | os.PathLike[str] | None) -> Figure:
    """The figure, which is also written to `path`, as PNG where it names no format, unless that is None."""
    if path is not None:
        with write_aside(path if Path(path).suffix else f"{path}.png") as unfinished:
            figure.savefig(unfinished, dpi=_DPI)
    return figure


def render(figure: Figure, dpi: float) -> Image:
    """A figure as an RGB image in memory.

    >>> render(Figure(figsize=(3, 2)), 50).size
    (150, 100)
    """
    from PIL.Image import fromarray

    figure.dpi = dpi
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def place_epochs(axes: Axes) -> None:
    """Labels the x axis with whole epochs, the y axis without an offset, and removes a frame that is not needed."""
    axes.ticklabel_format(useOffset=False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def short_names(
    names: Sequence[str], limit: int, *, numbered: bool = False, numbers: Sequence[int] | None = None
) -> list[str]:
    """Names cut to `limit` characters, with class numbers where `numbered` or where two names would read the same.

    >>> short_names(["a long name", "a long neck"], 9)
    ['0 a long...', '1 a long...']
    """
    short = [name if len(name) <= limit else name[: limit - 3] + "..." for name in names]
    if not numbered and len(set(short)) == len(set(names)):
        return short
    numbers = range(len(names)) if numbers is None else numbers
    return [name if name == str(number) else f"{number} {name}" for number, name in zip(numbers, short, strict=True)]


def count_classes(count: int) -> str:
    """A number of classes in words: "1 class", "2 classes"."""
    return f"{count} {'class' if count == 1 else 'classes'}"
