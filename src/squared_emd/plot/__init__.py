"""The ground distance as pictures: of a matrix, a config, a saved model, a run or a model on the Hub."""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names

if TYPE_CHECKING:
    from .class_maps import class_map
    from .dendrograms import dendrogram
    from .heat_maps import heat_map
    from .histories import history
else:  # the same on first use: Matplotlib, SciPy and transformers take seconds to import
    __getattr__, __dir__ = lazy_names(
        globals(),
        {"class_map": "class_maps", "dendrogram": "dendrograms", "heat_map": "heat_maps", "history": "histories"},
    )

__all__ = ["class_map", "dendrogram", "heat_map", "history"]
