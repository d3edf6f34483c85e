"""Figures: D as heat map, class map, dendrogram and history; learning curves; reliability; confusion matrices."""

try:
    import matplotlib  # noqa: F401
    import scipy  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "squared_emd.plot draws with Matplotlib, SciPy and scikit-learn, which are not all installed "
        f'({error.name} is missing): pip install "squared-emd[plot]"'
    ) from error

from .class_maps import class_map, dendrogram
from .curves import learning_curves, reliability_diagram
from .figures import render
from .heat_maps import confusion_matrix, heat_map
from .histories import history

__all__ = [
    "class_map",
    "confusion_matrix",
    "dendrogram",
    "heat_map",
    "history",
    "learning_curves",
    "reliability_diagram",
    "render",
]
