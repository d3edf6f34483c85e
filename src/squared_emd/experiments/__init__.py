"""The paper's experiments as tables of runs: networks x losses x folds x seeds, each trained once and never twice.

`ExperimentArguments` is the command line of every recipe, an `Experiment` says what is special to one of them, and
`run_table` trains what is not there yet and reports what is.
"""

from .arguments import ExperimentArguments
from .ensemble import write_ensembles
from .experiment import Experiment, Samples
from .table import report_table, run_table

__all__ = ["Experiment", "ExperimentArguments", "Samples", "report_table", "run_table", "write_ensembles"]
