"""Docstrings as the API pages need them: doctests as a section of examples, names as code."""

from __future__ import annotations

import re
import textwrap

from griffe import Extension, Object

__all__ = ["Docstrings", "with_examples"]


_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):`~?(?P<name>[^`]+)`")


class Docstrings(Extension):
    """Gives every docstring the heading that Google's style asks for above doctests, and takes Sphinx's roles out."""

    def on_object(self, *, obj: Object, **_: object) -> None:
        """Change the docstring of a module, class or function."""
        if obj.docstring is not None:
            obj.docstring.value = with_examples(_ROLE.sub(r"`\g<name>`", obj.docstring.value))


def with_examples(docstring: str) -> str:
    """The docstring, what comes from its first doctest on under the heading ``Examples:``.

    >>> with_examples("Gives one.\\n\\n>>> one()\\n1")
    'Gives one.\\n\\nExamples:\\n    >>> one()\\n    1'
    """
    said, doctest, rest = f"\n{docstring}".partition("\n>>> ")
    if not doctest:
        return docstring
    return said.removeprefix("\n") + "\nExamples:\n" + textwrap.indent(doctest.removeprefix("\n") + rest, "    ")
