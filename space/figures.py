"""What the page shows of one answer, as HTML and SVG: they follow the width of the screen and its light or dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib import colormaps
from PIL import Image

from squared_emd.plot.text import short_names, shortened

MOST_BARS, TOP_BARS = 20, 10  # up to MOST_BARS classes each has its bar; of more, the likeliest TOP_BARS
MOST_NAMED, MOST_VALUES = 20, 10  # of a heat map: classes with their names, and with the value in each cell
_MOST_CELLS = 256  # of a side of the heat map's picture; more classes than that are averaged
_NAME_LENGTH = 14  # of a class beside the heat map, in characters
_SIDE, _FONT, _LETTER = 360, 13, 7.8  # of the heat map, its text and one letter of it, in units of the SVG
_COLORS = colormaps["YlGnBu"]

CSS = """
.emd { --mark: #b34700; --bar: #8aa9bf; --chosen: #0067a3; --faint: #52525b; line-height: 1.45; }
.dark .emd { --mark: #ff9d4d; --bar: #5f7d92; --chosen: #5ab4ec; --faint: #b4b4bd; }
.emd section { margin-bottom: 1.6rem; }
.emd h2 { font-size: 1.1rem; font-weight: 600; margin: 0 0 .5rem; }
.emd p { margin: .4rem 0; }
.emd .note { color: var(--faint); font-size: .875rem; }
.emd .name { display: inline-block; max-width: 100%; overflow-wrap: anywhere; }
.emd .message { border-left: 4px solid var(--mark); padding: .5rem .75rem; overflow-wrap: anywhere; }
.emd .bars { display: grid; grid-template-columns: fit-content(40%) 1fr 4rem; gap: .3rem .6rem; align-items: center; }
.emd .bars > * { min-width: 0; }
.emd .bars .bar { height: 1.1rem; min-width: 2px; border-radius: 0 3px 3px 0; background: var(--bar); }
.emd .bars .chosen { font-weight: 700; }
.emd .bars .bar.chosen { background: var(--chosen); }
.emd .bars .share { text-align: right; font-variant-numeric: tabular-nums; }
.emd .big { font-size: 1.5rem; font-weight: 600; }
.emd .scale { position: relative; height: 1.5rem; margin: .3rem .6rem 0; }
.emd .scale i { position: absolute; top: 50%; transform: translate(-50%, -50%); }
.emd .scale .line { left: 50%; width: 100%; height: 2px; background: var(--bar); }
.emd .scale .band { height: .75rem; border-radius: 6px; background: var(--bar); transform: translateY(-50%); }
.emd .scale .tick { width: 2px; height: .9rem; background: var(--faint); }
.emd .scale .dot { width: 1.05rem; height: 1.05rem; border-radius: 50%; background: var(--chosen); }
.emd .scale .dot { border: 2px solid var(--body-background-fill); }
.emd .ends { display: flex; justify-content: space-between; gap: 1rem; }
.emd .rule { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; padding: .4rem 0; }
.emd .rule { border-top: 1px solid var(--border-color-primary); }
.emd .rule dt { flex: 0 0 8rem; font-family: var(--font-mono); font-size: .9rem; }
.emd .rule .decision { flex: 1 1 8rem; margin: 0; font-weight: 600; }
.emd .rule .name { display: inline; }
.emd .rule .note { flex: 3 1 18rem; margin: 0; }
.emd svg { display: block; width: 100%; max-width: 480px; height: auto; color: var(--body-text-color); }
.emd svg text { fill: currentColor; font-family: inherit; }
.emd svg .chosen { fill: var(--mark); font-weight: 700; }
.emd svg .row { fill: none; stroke: var(--mark); }
.emd .key { max-width: 480px; margin: .4rem 0; }
.emd .ramp { flex: 1; height: .75rem; border-radius: 3px; align-self: center; }
.prose code { white-space: normal; overflow-wrap: anywhere; }
#answer .html-container { padding: 0; }
#picture .image-frame img { width: 100%; height: 100%; object-fit: contain; }
"""


def bars(shares: Sequence[float], class_names: Sequence[str]) -> str:
    """A bar for each class in class order; of more than 20 classes the 10 likeliest, and the rest as one.

    Args:
        shares: (K,) probabilities.
        class_names: (K,) names.
    """
    chosen, shown, heading = int(np.argmax(shares)), list(range(len(shares))), "How likely each class is"
    if len(shares) > MOST_BARS:
        shown = np.argsort(-np.asarray(shares), kind="stable")[:TOP_BARS].tolist()
        heading = f"The {TOP_BARS} likeliest of {len(shares):,} classes"
    rows = "".join(
        _bar(_name(class_names[k]), shares[k], shares[chosen], "chosen" if k == chosen else "") for k in shown
    )
    if len(shown) < len(shares):
        rows += _bar(f"all {len(shares) - len(shown):,} others", 1 - sum(shares[k] for k in shown), None, "")
    return f'<section><h2>{heading}</h2><div class="bars">{rows}</div></section>'


def _bar(name: str, share: float, longest: float | None, mark: str) -> str:
    """A row: a name, a bar that is full at the longest (no bar where that is None), and the share."""
    bar = "" if longest is None else f'<div class="bar {mark}" style="width: {100 * share / longest:.2f}%"></div>'
    return f'<div class="{mark}">{name}</div><div>{bar}</div><div class="share {mark}">{_percent(share)}</div>'


def expected_score(mean: float, spread: float, scores: Sequence[float], class_names: Sequence[str]) -> str:
    """The expected score and its spread, as numbers and on the scale of the scores.

    Args:
        mean: of the score.
        spread: its standard deviation.
        scores: (K,) of the classes.
        class_names: (K,) names.
    """
    low, high = int(np.argmin(scores)), int(np.argmax(scores))
    span = (scores[high] - scores[low]) or 1.0

    def place(score: float) -> float:
        return min(max(100 * (score - scores[low]) / span, 0.0), 100.0)

    start, end = place(mean - spread), place(mean + spread)
    ticks = scores if len(scores) <= MOST_BARS else (scores[low], scores[high])
    return (
        "<section><h2>Expected score</h2>"
        f'<p><span class="big">{mean:.2f}</span> ± {spread:.2f} (standard deviation)</p>'
        f'<div class="scale" aria-hidden="true"><i class="line"></i>'
        f'<i class="band" style="left: {start:.2f}%; width: {end - start:.2f}%"></i>'
        + "".join(f'<i class="tick" style="left: {place(score):.2f}%"></i>' for score in ticks)
        + f'<i class="dot" style="left: {place(mean):.2f}%"></i></div>'
        f'<div class="ends note"><span>{_name(class_names[low])} = {scores[low]:g}</span>'
        f"<span>{_name(class_names[high])} = {scores[high]:g}</span></div></section>"
    )


def decisions(chosen: Mapping[str, tuple[str, str]]) -> str:
    """What each rule decides.

    Args:
        chosen: name of a rule -> the class it decides on, and what the rule does.
    """
    rules = "".join(
        f'<div class="rule" data-rule="{rule}"><dt>{rule}</dt><dd class="decision">{_name(decision)}</dd>'
        f'<dd class="note">{what}</dd></div>'
        for rule, (decision, what) in chosen.items()
    )
    return f"<section><h2>The decision under each rule</h2><dl>{rules}</dl></section>"


def heat_map(matrix: np.ndarray, class_names: Sequence[str], row: int | None = None) -> str:
    """The ground distance as a heat map; near is light. Up to 20 classes are named, up to 10 have a value in each cell.

    Args:
        matrix: (K, K) D.
        class_names: (K,) names.
        row: the class whose row is marked, or None.
    """
    num_classes = len(matrix)
    cell, largest = _SIDE / num_classes, float(matrix.max()) or 1.0
    shown = [*range(num_classes)] if num_classes <= MOST_NAMED else sorted({0, num_classes - 1} | {row} - {None})
    if num_classes > MOST_NAMED and row is not None:  # the marked name in place of one that would lie on it
        shown = [k for k in shown if k == row or abs(k - row) * cell > 1.3 * _FONT]
    names = dict(zip(shown, short_names([class_names[k] for k in shown], _NAME_LENGTH), strict=True))
    left = 26 + _LETTER * max(map(len, names.values()))
    upright = num_classes <= MOST_NAMED and _LETTER * max(map(len, names.values())) > cell - 4
    top = (left - 26 if upright else _FONT) + 12 if num_classes <= MOST_NAMED else 6
    font = min(_FONT, 0.85 * cell) if num_classes <= MOST_NAMED else _FONT

    parts = [
        f'<image href="{_pixels(matrix / largest)}" x="{left}" y="{top}" width="{_SIDE}" height="{_SIDE}" '
        'preserveAspectRatio="none" style="image-rendering: pixelated"/>'
    ]
    for k, name in names.items():
        mark, middle, text = (' class="chosen"' if k == row else ""), (k + 0.5) * cell, escape(name)
        arrow = "▸ " if k == row else ""
        parts.append(_text(left - 8, top + middle, arrow + text, font, "end", mark))
        if num_classes <= MOST_NAMED and upright:
            turned = f" transform='rotate(-90 {left + middle:.1f} {top - 8})'"
            parts.append(_text(left + middle, top - 8, text, font, "start", turned))
        elif num_classes <= MOST_NAMED:
            parts.append(_text(left + middle, top - 6 - font / 2, text, font, "middle", ""))
    if num_classes <= MOST_VALUES:
        for (i, j), value in np.ndenumerate(matrix):
            color = _text_color(value / largest)
            shown_value = "0" if value == 0 else f"{value:.2f}"
            style = f' style="fill: {color}"'
            parts.append(_text(left + (j + 0.5) * cell, top + (i + 0.5) * cell, shown_value, font, "middle", style))
    if row is not None:
        height, stroke = max(cell, 10), 4 if num_classes <= MOST_NAMED else 2  # a thin row stays seen
        y = top + (row + 0.5) * cell - height / 2
        parts.append(
            f'<rect class="row" x="{left}" y="{y:.2f}" width="{_SIDE}" height="{height:.2f}" '
            f'stroke-width="{stroke}" rx="2"/>'
        )
    marked = "" if row is None else f"; the row of the predicted class, {class_names[row]}, is marked"
    label = escape(f"Ground distance between {num_classes:,} classes as a heat map{marked}")
    ramp = ", ".join(_hex(at) for at in np.linspace(0, 1, 9))
    return (
        f'<svg viewBox="0 0 {left + _SIDE + 4:.0f} {top + _SIDE + 4:.0f}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
        f'<div class="ends note key"><span>near: 0</span><span class="ramp" style="background: linear-gradient('
        f'to right, {ramp})"></span><span>far: {largest:.2f}</span></div>'
    )


def row_in_words(matrix: np.ndarray, class_names: Sequence[str], row: int) -> str:
    """Which classes lie nearest to a class, and which farthest.

    Args:
        matrix: (K, K) D.
        class_names: (K,) names.
        row: the class.
    """
    name, known = _name(class_names[row]), (matrix != 0).any(0)
    others = [j for j in np.argsort(matrix[row], kind="stable").tolist() if j != row and known[j]]
    if not known[row] or not others:
        return f'<p class="note">D says nothing of {name}: all its distances are 0, as training never saw it.</p>'
    near, farther, far = (_at(matrix, class_names, row, others[k]) for k in (0, min(1, len(others) - 1), -1))
    near = near if len(others) < 3 else f"{near} and {farther}"
    return f"<p>From the predicted class, <b>{name}</b>: nearest {near}; farthest {far}.</p>"


def _at(matrix: np.ndarray, class_names: Sequence[str], row: int, column: int) -> str:
    return f"{_name(class_names[column])} ({matrix[row, column]:.2f})"


def _name(name: str) -> str:
    """A class, that breaks at no hyphen."""
    return f'<span class="name">{escape(shortened(name, 60))}</span>'


def _text(x: float, y: float, text: str, size: float, anchor: str, more: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" dy=".35em" font-size="{size:.1f}" text-anchor="{anchor}"{more}>{text}</text>'


def _pixels(shares: np.ndarray) -> str:
    """Shares of the largest distance as a PNG of one pixel a cell, in a data address."""
    image = Image.fromarray(np.uint8(255 * _COLORS(shares)[..., :3] + 0.5))
    if len(shares) > _MOST_CELLS:
        image = image.resize((_MOST_CELLS, _MOST_CELLS), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _text_color(share: float) -> str:
    luminance = np.asarray(_COLORS(share)[:3]) ** 2.2 @ (0.2126, 0.7152, 0.0722)
    return "black" if luminance > 0.18 else "white"  # contrast 4.5 : 1 or better on any colour


def _hex(share: float) -> str:
    return "#" + "".join(f"{round(255 * value):02x}" for value in _COLORS(share)[:3])


def _percent(share: float) -> str:
    return "&lt; 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
