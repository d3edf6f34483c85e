"""One runner for tables of runs: networks x losses x folds x seeds, each trained once and never twice.

`ExperimentArguments` is the command line, an `Experiment` says what is special to a recipe, and `run_table` trains what
is not done yet and reports all of it, for images, texts, sounds and tables alike.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .arguments import ColumnArguments, DatasetArguments, ExperimentArguments, ImageArguments

if TYPE_CHECKING:
    from .ensemble import write_ensembles
    from .experiment import Experiment, Network, Samples, load_rows, ordered_samples
    from .networks import image_network
    from .runner import report_table, run_table
_LAZY = {
    "Experiment": "experiment",
    "Network": "experiment",
    "Samples": "experiment",
    "image_network": "networks",
    "load_rows": "experiment",
    "ordered_samples": "experiment",
    "report_table": "runner",
    "run_table": "runner",
    "write_ensembles": "ensemble",
}  # the same on first use: a recipe reads its command line first


def __getattr__(name: str) -> Any:
    """Imports what is slow to import on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "ColumnArguments",
    "DatasetArguments",
    "Experiment",
    "ExperimentArguments",
    "ImageArguments",
    "Network",
    "Samples",
    "image_network",
    "load_rows",
    "ordered_samples",
    "report_table",
    "run_table",
    "write_ensembles",
]
