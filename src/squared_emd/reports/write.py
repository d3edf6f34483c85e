"""The report of a folder of runs: tables, figures and what they are of."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

from ..metrics.names import network_name
from .csv_files import write_runs, write_table
from .illustrate import Illustration, illustrate
from .matrix_table import matrix_table
from .notes import about_section, footnotes, not_run, section_title
from .records import read_runs
from .summary import Section, summarize
from .tables import markdown_table, markdown_text, more_rows, result_rows, text_table

__all__ = ["write_report"]

REPORT_FILE, TABLE_FILE, RUNS_FILE = "report.md", "table.csv", "runs.csv"
_WIDTH = 120
_MOST_METRICS = 4  # in the terminal
_MOST_CLASSES = 20  # of a matrix that is printed
_THE_PAPER = 'Hou, Yu & Samaras, "Squared Earth Mover\'s Distance-based Loss for Training Deep Neural Networks" (2016)'


def write_report(folders: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str] | None = None) -> str:
    """Writes what came out of runs, from what they left on disk: nothing is trained.

    `report.md` with tables in the paper's arrangement and figures, `table.csv` with the same tables, `runs.csv` with
    one row a run, and the figures as PNG (after Hou et al. 2016, Tables 1 to 5 and Figure 2).

    Args:
        folders: the runs lie in or below them, see `read_runs`.
        output: where to write; the first of `folders` by default.

    Returns:
        The tables as text for the terminal, and where the files are.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: there is no run, a file is not as it should be, or two folders hold the same run.
    """
    if isinstance(folders, (str, os.PathLike)):
        folders = [folders]
    runs = read_runs(folders)
    sections = summarize(runs)
    target = Path(folders[0] if output is None else output)
    target.mkdir(parents=True, exist_ok=True)
    illustrations = [
        illustrate(section, target, prefix=prefix)
        for section, prefix in zip(sections, _prefixes(sections), strict=True)
    ]
    write_table(sections, target / TABLE_FILE)
    write_runs(runs, target / RUNS_FILE)
    (target / REPORT_FILE).write_text(_markdown(sections, illustrations, folders), encoding="utf-8")
    figures = sum(len(pictures) for illustration in illustrations for pictures in illustration.pictures.values())
    where = f"Written to {target}: {REPORT_FILE}, {TABLE_FILE}, {RUNS_FILE}, figures: {figures}."
    return "\n\n".join([*map(_text, sections, illustrations), where])


def _prefixes(sections: Sequence[Section]) -> list[str]:
    """Of the file names of figures, so that those of several sections differ."""
    tables = [section.table for section in sections]
    if len(tables) == 1:
        return [""]
    numbers = [tables[:position].count(table) + 1 for position, table in enumerate(tables)]
    return [f"{t}_" if tables.count(t) == 1 else f"{t}_{n}_" for t, n in zip(tables, numbers, strict=True)]


def _text(section: Section, illustration: Illustration) -> str:
    parts = [section_title(section) + "\n" + _wrapped(about_section(section))]
    for network in section.networks():
        if section.cells_of(network):
            parts.append(text_table(result_rows(section, network, most_metrics=_MOST_METRICS)))
            parts += [text_table(rows) for rows in _worth_showing(more_rows(section, network))]
    parts += [
        f"{learned.title}:\n{matrix_table(learned.matrix, learned.class_names)}"
        for learned in illustration.learned
        if len(learned.matrix) <= _MOST_CLASSES
    ]
    notes = [*not_run(section), *footnotes(section), *illustration.missing]
    return "\n\n".join([*parts, *(["\n".join(map(_wrapped, notes))] if notes else [])])


def _markdown(
    sections: Sequence[Section], illustrations: Sequence[Illustration], folders: Sequence[str | os.PathLike[str]]
) -> str:
    count = sum(len(section.runs) for section in sections)
    where = ", ".join(markdown_text(str(folder)) for folder in folders)
    blocks = [f"# Results\n\n{count} {'run' if count == 1 else 'runs'}, read from {where}."]
    blocks += [f"- {markdown_text(f'{section_title(section)}: {about_section(section)}')}" for section in sections]
    if any(section.shows_paper for section in sections):
        blocks.append(f'Columns headed "paper" are the figures of {_THE_PAPER}: they are the paper\'s, not ours.')
    blocks.append(
        'A mean is over folds first and over seeds then; "±" is the sample standard deviation over seeds. "\\*" marks '
        'a mean over fewer folds than the data set has. "not run": nobody ran it. "-": there is no such figure. Step '
        "times are relative to those of XE in the same command, the median over commands."
    )
    for section, illustration in zip(sections, illustrations, strict=True):
        blocks.append(f"## {markdown_text(section_title(section))}")
        for network in section.networks():
            blocks += [f"### {markdown_text(network_name(network))}", markdown_table(result_rows(section, network))]
            blocks += [markdown_table(rows) for rows in _worth_showing(more_rows(section, network))]
            pictures = illustration.pictures.get(network, ())
            blocks += [f"![{markdown_text(picture.title)}]({picture.file})" for picture in pictures]
        notes = [*footnotes(section), *illustration.missing]
        blocks += ["\n".join(f"- {markdown_text(note)}" for note in notes)] if notes else []
    return "\n\n".join(blocks) + "\n"


def _worth_showing(rows: list[list[str]]) -> list[list[list[str]]]:
    """The table, unless it has no row, or names only."""
    return [rows] if len(rows) > 1 and len(rows[0]) > 1 else []


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ")
