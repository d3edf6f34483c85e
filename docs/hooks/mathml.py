"""Equations as MathML, made when the pages are built: a reader's browser shows them without a script or a font."""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert

__all__ = ["on_page_content"]

_EQUATION = re.compile(
    r'<span class="arithmatex">\\\((?P<inline>.*?)\\\)</span>|<div class="arithmatex">\\\[(?P<block>.*?)\\\]</div>',
    re.DOTALL,
)


def on_page_content(content: str, **_: object) -> str:
    """The page with each equation that pymdownx.arithmatex found as MathML.

    Args:
        html: the HTML of a page's text.

    Returns:
        The same, with `<math>` in place of LaTeX.

    >>> on_page_content('<span class="arithmatex">\\\\(p_i\\\\)</span>').count("<msub>")
    1
    """
    return _EQUATION.sub(_as_mathml, content)


def _as_mathml(found: re.Match[str]) -> str:
    block = found["block"]
    latex = html.unescape(found["inline"] if block is None else block).strip()
    if block is None:
        return convert(latex)
    return f'<div class="equation">{convert(latex, display="block")}</div>'
