"""Reports of runs, from what they left on disk: tables beside the paper's, comparisons, and figures."""

from .write import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
