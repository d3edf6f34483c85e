"""The report of a folder of runs: tables, figures and what they are of."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..ground_distance.files import write_aside
from ..metrics.names import METRICS, network_name
from .figures import Figures
from .predictions import measure_run
from .records import read_runs
from .summary import Section, summarize
from .tables import cells_frame, decisions_frame, escape_markdown, legend, markdown_table, results_frame, runs_frame
from .verdict import Comparison, compare_folders, compare_losses

REPORT_FILE, TABLE_FILE, RUNS_FILE, VERDICT_FILE = "report.md", "table.csv", "runs.csv", "verdict.json"
_WIDTH = 120
_MOST_METRICS = 4  # in the terminal
_MOST_CLASSES = 20  # of a matrix that is printed
_Part = tuple[Section, Figures, list[Comparison]]
_PAPER = 'Hou, Yu & Samaras, "Squared Earth Mover\'s Distance-based Loss for Training Deep Neural Networks" (2016)'


def write_report(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    metric: str = "eval_mae",
    all_rows: bool = False,
) -> str:
    """Writes what came out of runs, from what they left on disk: nothing is trained.

    `report.md` with tables in the paper's arrangement and figures, `table.csv` with the same tables, `runs.csv` with
    one row a run, the figures as PNG (after Hou et al. 2016, Tables 1 to 5 and Figure 2), and `verdict.json`: each loss
    against cross-entropy, paired over the samples that both were tested on and over seeds.

    Args:
        folders: the runs lie in or below them, see `read_runs`.
        output: where to write; the first of `folders` by default.
        metric: key in `METRICS` by which the decision rule is chosen, where there are validation data.
        all_rows: the tables have the paper's rows that were not run, too.

    Returns:
        The tables as text for the terminal, and where the files are.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: there is no run, a file is not as it should be, or two folders hold the same run.
    """
    if isinstance(folders, (str, os.PathLike)):
        folders = [folders]
    runs = read_runs(folders)
    sections = summarize(runs, all_rows=all_rows)
    # Own data may have an order or none: runs on classes in an order are measured within one class.
    measured = {run.folder: measure_run(run.folder, run.seed, run.fold, "eval_aeo" in run.metrics) for run in runs}
    measured = {folder: run for folder, run in measured.items() if run is not None}
    target = Path(folders[0] if output is None else output)
    target.mkdir(parents=True, exist_ok=True)
    parts: list[_Part] = []
    for number, section in enumerate(sections, start=1):
        prefix = f"{section.table}_{number}_" if len(sections) > 1 else ""
        drawn, compared = Figures(section, measured, target, prefix).draw(), []
        try:
            compared = compare_losses(section, measured, metric=metric)
        except ValueError as error:  # The rest of the report says all the same what the runs gave.
            drawn.missing.append(f"No loss is compared with XE: {error}")
        parts.append((section, drawn, compared))
    verdict = [{"results": _title(section), **found.as_dict()} for section, _, compared in parts for found in compared]
    texts = {
        REPORT_FILE: _markdown(parts, folders),
        TABLE_FILE: cells_frame(sections).to_csv(index=False),
        RUNS_FILE: runs_frame(runs).to_csv(index=False),
    }
    if verdict:
        texts[VERDICT_FILE] = json.dumps(verdict, indent=2) + "\n"
    for name, text in texts.items():
        with write_aside(target / name) as path:
            path.write_text(text, encoding="utf-8")
    count = sum(len(files) for _, drawn, _ in parts for files in drawn.files.values())
    where = f"Written to {target}: {', '.join(texts)}, figures: {count}."
    sentences = [_wrap(found["sentence"]) for found in verdict]
    return "\n\n".join([*(_text(*part) for part in parts), where, *sentences])


def write_comparison(
    folders: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str] | None = None, *, metric: str = "eval_mae"
) -> str:
    """Compares runs of one's own, see `compare_folders`: the first folder is the baseline of the others.

    Args:
        folders: with runs in or below them.
        output: the JSON file to write, as `verdict.json` of a report.
        metric: key in `METRICS` by which the decision rule is chosen, where there are validation data.

    Returns:
        What each rule gives and what came out, as text for the terminal.
    """
    comparisons = compare_folders(folders, metric=metric)
    if output is not None:
        with write_aside(output) as path:
            path.write_text(json.dumps([c.as_dict() for c in comparisons], indent=2) + "\n", encoding="utf-8")
    measured = {metric for comparison in comparisons for of in comparison.differences.values() for metric in of}
    names = legend(metric for metric in METRICS if metric in measured)
    sentences = [comparison.sentence() for comparison in comparisons]
    return "\n\n".join([_table(decisions_frame(comparisons)), *map(_wrap, filter(None, [names, *sentences]))])


def _text(section: Section, figures: Figures, comparisons: Sequence[Comparison]) -> str:
    parts = [f"{_title(section)}\n{_wrap(_about(section))}"]
    for network in section.networks():
        if section.cells_of(network):
            parts.append(_table(results_frame(section, network, most_metrics=_MOST_METRICS)))
    decisions = decisions_frame(comparisons)
    parts += [] if decisions.empty else [_table(decisions)]
    for title, matrix, names in figures.learned:
        if len(names) <= _MOST_CLASSES:
            short = [textwrap.shorten(name, 20, placeholder="...") for name in names]
            parts.append(f"{title}:\n{pd.DataFrame(matrix, short, short).map('{:.2f}'.format).to_string()}")
    missing = [network_name(network) for network in section.networks() if not section.cells_of(network)]
    notes = [f"Not run: {', '.join(missing)}. The paper's figures for them are in {REPORT_FILE}."] if missing else []
    notes += [*_footnotes(section), *figures.missing]
    return "\n\n".join([*parts, *(["\n".join(map(_wrap, notes))] if notes else [])])


def _markdown(parts: Sequence[_Part], folders: Sequence[str | os.PathLike[str]]) -> str:
    sections = [section for section, _, _ in parts]
    count = sum(len(section.runs) for section in sections)
    where = ", ".join(escape_markdown(str(folder)) for folder in folders)
    blocks = [f"# Results\n\n{count} {'run' if count == 1 else 'runs'}, read from {where}."]
    blocks += [f"- {escape_markdown(f'{_title(section)}: {_about(section)}')}" for section in sections]
    if any(section.shows_paper for section in sections):
        blocks.append(f'Columns that end in "paper" are the figures of {_PAPER}: they are the paper\'s, not ours.')
    blocks.append(
        'A mean is over folds first and over seeds then; "±" is the sample standard deviation over seeds. "\\*" marks '
        'a mean over fewer folds than the dataset has. "not run": nobody ran it. "-": there is no such figure. The CPU '
        "time of a step is that of a process with all its threads, relative to XE's in the same command, the median "
        "over commands. Curves may end elsewhere than the tables, as with early stopping."
    )
    for section, drawn, compared in parts:
        blocks.append(f"## {escape_markdown(_title(section))}")
        for network in section.networks():
            blocks += [f"### {escape_markdown(network_name(network))}", markdown_table(results_frame(section, network))]
            blocks += [f"![{escape_markdown(title)}]({file})" for file, title in drawn.files.get(network, ())]
        if compared:
            blocks += ["### Does it help?", markdown_table(decisions_frame(compared))]
            blocks += [escape_markdown(comparison.sentence()) for comparison in compared]
        notes = [*_footnotes(section), *drawn.missing]
        blocks += ["\n".join(f"- {escape_markdown(note)}" for note in notes)] if notes else []
    return "\n\n".join(blocks) + "\n"


def _title(section: Section) -> str:
    """As "Table 1: Adience (Adience files, test fold)", or of drawn data what they are arranged like."""
    layout = section.layout
    if section.stand_in and layout.number:
        data = section.data[:1].upper() + section.data[1:]
        return f"{data}, {section.tested_on}, arranged as Table {layout.number} ({layout.data_set})"
    return f"{layout.title} ({section.data}, {section.tested_on})"


def _about(section: Section) -> str:
    """How many runs, of what, tested on what."""
    count, kind = len(section.runs), section.data.split()[0].upper()
    text = f"{count} {'run' if count == 1 else 'runs'}, tested on: {section.tested_on}."
    if section.stand_in and kind in ("DRAWN", "GENERATED"):
        text += f" The data are {kind} ({section.data}), made by this program"
        text += f": they say nothing about {section.layout.data_set}." if section.layout.number else "."
    elif section.stand_in:
        text += f" The data ({section.data}) are not those of the paper's {section.layout.data_set}."
    if section.shows_paper:
        text += ' Columns that end in "paper": the figures of Hou et al. 2016.'
    elif section.layout.number:
        text += " The paper's figures are not comparable and not shown."
    return text


def _footnotes(section: Section) -> list[str]:
    """What a reader must know of the tables."""
    cells = [cell for network in section.networks() for cell in section.cells_of(network)]
    notes = [*filter(None, [legend(section.metrics())])]
    if not all(cell.is_complete for cell in cells):
        notes.append(f"*: mean over fewer than the {section.runs[0].folds} folds of the dataset.")
    for cell in cells:
        if cell.left_out:
            runs = ", ".join(f"seed {run.seed} fold {run.fold}" for run in cell.left_out)
            notes.append(f"{cell.name}: left out of the mean, as not all seeds have the same folds: {runs}.")
        lacking = [METRICS[metric].heading for metric in section.layout.metrics if metric not in cell.averages]
        if lacking:
            notes.append(f"{cell.name}: no mean of {', '.join(lacking)}, which not all of its runs have.")
        baseline = section.cells.get((*cell.key[:2], "xe"))
        if baseline is not None and cell.folds != baseline.folds:
            notes.append(f"{cell.name}: not compared with XE's curves, which are of other folds.")
    return [*notes, *(_notes_on_paper(section) if section.shows_paper else ())]


def _notes_on_paper(section: Section) -> list[str]:
    notes = []
    if section.cells_of("res_f"):
        notes.append("RES_F: a published pre-activation ResNet stands in for the paper's.")
    if section.table == "images_of_groups":
        notes.append("RES: the paper prints this block of Table 3 as a second RES_F.")
    if section.layout.paper_sdd is not None:
        notes.append(
            f"SDD in the paper: {section.layout.paper_sdd:g} on {section.layout.data_set} (section 4.7). It has the "
            "unit of the features and can only be compared within one network; SDD / mean distance has no unit."
        )
    if section.table == "adience" and ("res_f", "", "xemd2") in section.cells:
        notes.append("The paper's D counts ranks inclusively (rank='inclusive'), see docs/method.md.")
    return notes


def _table(frame: pd.DataFrame) -> str:
    names = [textwrap.shorten(name, 60, placeholder="...") for name in frame.index]
    return frame.set_axis(names).to_string()


def _wrap(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
