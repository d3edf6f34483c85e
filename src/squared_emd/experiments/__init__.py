"""The paper's experiments as tables of runs: networks x losses x folds x seeds, each trained once and never twice.

`ExperimentArguments` is the command line of every recipe on pictures, an `Experiment` says what is special to one of
them, and `run_table` trains what is not there yet and reports what is. `ComparisonArguments`, `Comparison` and
`run_comparison` are a smaller thing of the same kind, losses x seeds on data of any kind.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .arguments import ExperimentArguments
from .comparison_arguments import ComparisonArguments

if TYPE_CHECKING:
    from .comparison import Comparison
    from .comparison_runs import run_comparison
    from .ensemble import write_ensembles
    from .experiment import Experiment, Samples
    from .table import report_table, run_table
_LAZY = {
    "Comparison": "comparison",
    "run_comparison": "comparison_runs",
    "write_ensembles": "ensemble",
    "Experiment": "experiment",
    "Samples": "experiment",
    "report_table": "table",
    "run_table": "table",
}  # the same on first use: a recipe reads its command line first


def __getattr__(name: str) -> Any:
    """Imports what is slow to import on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "Comparison",
    "ComparisonArguments",
    "Experiment",
    "ExperimentArguments",
    "Samples",
    "report_table",
    "run_comparison",
    "run_table",
    "write_ensembles",
]
