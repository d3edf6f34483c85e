"""A figure as a picture in memory."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["pixels_of"]


def pixels_of(figure: Figure, dpi: float) -> Image.Image:
    """A figure, drawn.

    Args:
        figure: what to draw.
        dpi: pixels an inch; the figure keeps it.

    Returns:
        An RGB picture.

    >>> pixels_of(Figure(figsize=(3, 2)), 50).size
    (150, 100)
    """
    figure.dpi = dpi
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
