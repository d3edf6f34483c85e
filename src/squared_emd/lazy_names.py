"""Names that a package gives without importing where they come from, until they are used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    namespace: dict[str, Any], homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package, some of whose names are slow to import.

    Args:
        namespace: ``globals()`` of the package.
        homes: name -> the module of the package that has it. It is no module's own name: once that module were
            imported, the package would give the module.

    Returns:
        The two functions. `__getattr__` imports a name when it is first used, and raises an AttributeError, as Python
        words it, for a name that the package does not have.

    >>> package = {"__name__": "squared_emd"}
    >>> getattr_of_package, dir_of_package = lazy_names(package, {"saved_name": "paper_networks"})
    >>> dir_of_package()
    ['__name__', 'saved_name']
    >>> getattr_of_package("saved_name")("alx"), sorted(package)
    ('alx_needs_import_squared_emd', ['__name__', 'saved_name'])
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        value = getattr(import_module(f".{homes[name]}", namespace["__name__"]), name)
        namespace[name] = value  # the next use does not come here
        return value

    return get, lambda: sorted({*namespace, *homes})
