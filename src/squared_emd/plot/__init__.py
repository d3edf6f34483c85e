"""The ground distance as pictures: of a matrix, a config, a saved model, a run or a model on the Hub."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .class_maps import class_map
    from .dendrograms import dendrogram
    from .heat_maps import heat_map
    from .histories import history
_LAZY = {
    "class_map": "class_maps",
    "dendrogram": "dendrograms",
    "heat_map": "heat_maps",
    "history": "histories",
}  # the same on first use: Matplotlib, SciPy and transformers take seconds to import


def __getattr__(name: str) -> Any:
    """Imports what is slow to import on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = ["class_map", "dendrogram", "heat_map", "history"]
