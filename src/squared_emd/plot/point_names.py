"""Names beside points, where they cover nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

__all__ = ["place_names"]

_SOME = 20  # names where there are too many
_GAPS = np.arange(7.0, 260.0, 4.0)  # points between a point and its name, the near ones first
_LEADER = 12.0  # from this gap on a thin line leads to the name
_LINE = {"arrowstyle": "-", "color": "0.5", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3}


def place_names(
    figure: Figure, axes: Axes, points: np.ndarray, names: Sequence[str], *, most: int, joined: bool = False
) -> None:
    """Writes names beside points: as near as it goes without covering a name, a point or the line that joins them.

    Args:
        figure: whose layout is final but for the names.
        axes: of the points, limits set.
        points: (N, 2) in the axes' coordinates.
        names: (N,).
        most: with more points only the 20 outermost are named, and may cover others.
        joined: whether a line joins the points in their order.
    """
    figure.draw_without_rendering()  # fixes the layout, so that places hold
    unit = 72 / figure.dpi
    places = axes.transData.transform(points) * unit  # (N, 2) in points from the figure's corner
    room = np.array(axes.get_window_extent().extents) * unit
    outward = places - places.mean(axis=0)
    chosen = np.arange(len(points))
    if len(points) > most:
        chosen = np.argsort(-np.linalg.norm(outward, axis=1), kind="stable")[:_SOME]
    taken = _boxes(places[chosen], 5.0)  # (n, 4): left, bottom, right, top
    line = _boxes(_along(places), 1.5) if joined and len(points) <= most else np.empty((0, 4))
    for index in chosen:
        text = axes.annotate(
            names[index], points[index], xytext=(0, 0), textcoords="offset points", ha="center", va="center",
            fontsize=9, parse_math=False, zorder=3, path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
        extent = text.get_window_extent()
        half = np.array([extent.width, extent.height]) * unit / 2 + (2, 1)
        offset, gap = _free_offset(places[index], half, outward[index], room, taken, line)
        text.xyann = tuple(offset)
        taken = np.vstack([taken, _boxes(places[index] + offset, half)])
        if gap > _LEADER:
            axes.annotate(
                "", points[index], xytext=tuple(np.clip(0, offset - half, offset + half)), textcoords="offset points",
                zorder=1.5, arrowprops=_LINE,
            )  # fmt: skip


def _free_offset(
    place: np.ndarray, half: np.ndarray, outward: np.ndarray, room: np.ndarray, taken: np.ndarray, line: np.ndarray
) -> tuple[np.ndarray, float]:
    """From a point to the middle of the nearest free rectangle, and the gap between them."""
    offsets, gaps = _offsets(half, outward)
    boxes = _boxes(place + offsets, half)  # (n, 4)
    inside = (boxes[:, :2] >= room[:2]).all(axis=1) & (boxes[:, 2:] <= room[2:]).all(axis=1)
    for obstacles in (np.vstack([taken, line]), taken):
        free = np.flatnonzero(inside & ~_meet(boxes, obstacles))
        if len(free):
            return offsets[free[0]], gaps[free[0]]
    return offsets[0], gaps[0]  # no room is left


def _offsets(half: np.ndarray, outward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places around a point: the near ones first, of those the ones straight beside, above and below, then outward."""
    angles = np.arange(0, 360, 15)
    ways = np.stack([np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))], axis=1)  # (24, 2)
    ways = ways[np.lexsort((-(ways @ outward).round(6), angles % 90 != 0))]
    touching = np.clip(1.5 * ways, -1, 1) * half  # the side or corner that is nearest to the point
    offsets = ways * _GAPS[:, None, None] + touching  # (gaps, 24, 2)
    return offsets.reshape(-1, 2), np.repeat(_GAPS, len(ways))


def _meet(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the boxes overlaps one of the others, (n,)."""
    apart = (boxes[:, None, :2] >= others[:, 2:]) | (others[:, :2] >= boxes[:, None, 2:])  # (n, N, 2)
    return ~apart.any(axis=2).all(axis=1)


def _boxes(middles: np.ndarray, half: float | np.ndarray) -> np.ndarray:
    return np.hstack([middles - half, middles + half])  # (N, 4)


def _along(places: np.ndarray) -> np.ndarray:
    """Spots on the line through some places, 3 points apart at most."""
    pieces = [places[:1]]
    for start, end in pairwise(places):
        count = max(1, int(np.ceil(np.linalg.norm(end - start) / 3)))
        pieces.append(start + (end - start) * np.arange(1, count + 1)[:, None] / count)
    return np.vstack(pieces)
