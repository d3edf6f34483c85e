"""The pages of README.md and docs/: their blocks of code, their headings and their links."""

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
READ_IN_SITE = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", *READ_IN_SITE]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
_MARKDOWN = MarkdownIt("commonmark").enable("table")


class Fence(NamedTuple):
    """A block of code."""

    language: str
    text: str


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def tokens(page):
    return _MARKDOWN.parse(page.read_text(encoding="utf-8"))


def fences(page):
    found = (token for token in tokens(page) if token.type == "fence")
    return [Fence(token.info.split(" ")[0], token.content) for token in found]


def inline(page):
    """What stands in the text of a page: links, code, pictures."""
    return [child for token in tokens(page) if token.type == "inline" for child in token.children]


def anchors(page):
    """The anchors of a page's headings, as code hosts make them."""
    parsed = tokens(page)
    titles = [parsed[k + 1] for k, token in enumerate(parsed) if token.type == "heading_open"]
    texts = ["".join(child.content for child in title.children) for title in titles]
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in texts}
