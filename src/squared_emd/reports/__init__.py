"""Reports of runs, from what they left on disk: tables beside the paper's, and figures."""

from .write import write_report

__all__ = ["write_report"]
