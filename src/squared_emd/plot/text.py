"""Names and columns of text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "short_names", "shortened"]


def shortened(name: str, limit: int) -> str:
    """A name cut to at most `limit` characters."""
    return name if len(name) <= limit else name[: limit - 3] + "..."


def short_names(
    names: Sequence[str], limit: int, *, numbered: bool = False, numbers: Sequence[int] | None = None
) -> list[str]:
    """Names cut to at most `limit` characters, with their numbers where asked for or where two would read the same.

    A name that is its own number is not given it twice.

    Args:
        names: to be cut.
        limit: characters.
        numbered: whether all get their numbers.
        numbers: one a name; default: 0, 1 ...

    >>> short_names(["a long name", "a long neck"], 9)
    ['0 a long...', '1 a long...']
    """
    short = [shortened(name, limit) for name in names]
    if numbered or len(set(short)) < len(set(names)):
        numbers = range(len(names)) if numbers is None else numbers
        return [
            name if name == str(number) else f"{number} {name}" for number, name in zip(numbers, short, strict=True)
        ]
    return short


def aligned(blocks: Sequence[Sequence[Sequence[str]]], left: int) -> str:
    """Blocks of lines with a rule between them; the first `left` columns are flush left, the others flush right."""
    columns = zip(*(line for block in blocks for line in block), strict=True)
    layout = "  ".join(
        f"{{:{'<' if index < left else '>'}{max(map(len, column))}}}" for index, column in enumerate(columns)
    )
    texts = [[layout.format(*line) for line in block] for block in blocks]
    rule = "\n" + "-" * len(texts[0][0]) + "\n"
    return rule.join("\n".join(block) for block in texts)
