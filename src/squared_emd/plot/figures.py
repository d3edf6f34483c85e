"""What all figures share: colors, saving, rendering in memory, names cut to fit."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..ground_distance.files import write_aside

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["BLUE", "count_classes", "line_styles", "place_epochs", "render", "save_figure", "short_names", "shorten"]

BLUE = "#0072B2"
_DPI = 150
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


def line_styles(losses: Collection[str]) -> list[tuple[str, Any, str]]:
    """Color, dash and marker of each loss; those of the names that are none go round.

    >>> line_styles(["xe"])
    [('#000000', '--', 'o')]
    """
    others = itertools.cycle(_OTHER_STYLES)
    return [_STYLES.get(loss) or next(others) for loss in losses]


def place_epochs(axes: Axes) -> None:
    """Labels the x axis with whole epochs and removes the frame that a line chart does not need."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes.grid(color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def shorten(name: str, limit: int) -> str:
    """A name cut to at most `limit` characters."""
    return name if len(name) <= limit else name[: limit - 3] + "..."


def short_names(
    names: Sequence[str], limit: int, *, numbered: bool = False, numbers: Sequence[int] | None = None
) -> list[str]:
    """Names cut to `limit` characters, with class numbers where `numbered` or where two names would read the same.

    >>> short_names(["a long name", "a long neck"], 9)
    ['0 a long...', '1 a long...']
    """
    short = [shorten(name, limit) for name in names]
    if not numbered and len(set(short)) == len(set(names)):
        return short
    numbers = range(len(names)) if numbers is None else numbers
    return [name if name == str(number) else f"{number} {name}" for number, name in zip(numbers, short, strict=True)]


def count_classes(count: int) -> str:
    """A number of classes in words: "1 class", "2 classes"."""
    return f"{count} {'class' if count == 1 else 'classes'}"
