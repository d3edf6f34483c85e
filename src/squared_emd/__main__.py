"""`python -m squared_emd report DIR...`: tables and figures of runs, from what they left on disk."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .reports import write_report


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes a report and prints its tables.

    Args:
        arguments: of the command line; those of this process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m squared_emd", description="Squared EMD losses.")
    commands = parser.add_subparsers(dest="command", required=True)
    report = commands.add_parser(
        "report", help="tables and figures of runs", description="Tables and figures of runs; nothing is trained."
    )
    report.add_argument("folders", nargs="+", metavar="DIR", help="a folder with runs in or below it")
    report.add_argument("--output", metavar="DIR", help="where the report is written; the first DIR by default")
    given = parser.parse_args(arguments)
    try:
        text = write_report(given.folders, given.output)
    except (OSError, ValueError) as error:  # what the user can mend
        sys.exit(f"python -m squared_emd report: {error}")
    print(text)


if __name__ == "__main__":
    main()
