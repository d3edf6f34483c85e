"""The paper's experiments as tables of runs: networks x losses x folds x seeds, each trained once and never twice.

`ExperimentArguments` is the command line of every recipe on pictures, an `Experiment` says what is special to one of
them, and `run_table` trains what is not there yet and reports what is. `ComparisonArguments`, `Comparison` and
`run_comparison` are a smaller thing of the same kind, losses x seeds on data of any kind.
"""

from typing import TYPE_CHECKING

from ..lazy_names import lazy_names
from .arguments import ExperimentArguments
from .comparison_arguments import ComparisonArguments

if TYPE_CHECKING:
    from .comparison import Comparison
    from .comparison_runs import run_comparison
    from .ensemble import write_ensembles
    from .experiment import Experiment, Samples
    from .table import report_table, run_table
else:  # the same on first use: a recipe reads its command line first
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "Comparison": "comparison",
            "run_comparison": "comparison_runs",
            "write_ensembles": "ensemble",
            "Experiment": "experiment",
            "Samples": "experiment",
            "report_table": "table",
            "run_table": "table",
        },
    )

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
