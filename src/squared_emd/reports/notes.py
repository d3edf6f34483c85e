"""What a reader must know of the results that are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..metrics.logs import points
from ..metrics.names import METRICS, network_name
from .summary import Cell, Section

__all__ = ["about_section", "footnotes", "not_run", "section_title"]


def section_title(section: Section) -> str:
    """As "Table 1: Adience (Adience files, test fold)", or of drawn data what they are arranged like."""
    layout = section.layout
    if section.stand_in and layout.number:
        data = section.data[:1].upper() + section.data[1:]
        return f"{data}, {section.tested_on}, arranged as Table {layout.number} ({layout.data_set})"
    return f"{layout.title} ({section.data}, {section.tested_on})"


def about_section(section: Section) -> str:
    """How many runs, of what, tested on what."""
    count = len(section.runs)
    text = f"{count} {'run' if count == 1 else 'runs'}, tested on: {section.tested_on}."
    if section.stand_in and section.data.lower().startswith(("drawn", "generated")):
        kind = section.data.split()[0].upper()
        text += f" The data are {kind} ({section.data}), made by this program"
        text += f": they say nothing about {section.layout.data_set}." if section.layout.number else "."
    elif section.stand_in:
        text += f" The data ({section.data}) are not those of the paper's {section.layout.data_set}."
    if section.shows_paper:
        text += ' Columns headed "paper": the figures of Hou et al. 2016.'
    elif section.layout.number:
        text += " The paper's figures are not comparable and not shown."
    return text


def not_run(section: Section) -> list[str]:
    """A line that names the paper's networks that nobody ran, where there are any."""
    missing = [network_name(network) for network in section.networks() if not section.cells_of(network)]
    return [f"Not run: {', '.join(missing)}. The paper's figures for them are in report.md."] if missing else []


def footnotes(section: Section) -> list[str]:
    """What the tables need said below them."""
    cells = [cell for network in section.networks() for cell in section.cells_of(network)]
    notes = []
    if not all(cell.is_complete for cell in cells):
        notes.append(f"*: mean over fewer than the {cells[0].num_folds} folds of the data set.")
    for cell in cells:
        if cell.left_out:
            left = ", ".join(f"seed {run.seed} fold {run.fold}" for run in cell.left_out)
            notes.append(f"{cell.name}: left out of the mean, as not all seeds have the same folds: {left}.")
    notes += [*_comparability(section, cells), *_about_paper(section)]
    return notes


def _comparability(section: Section, cells: Sequence[Cell]) -> list[str]:
    notes = []
    epochs = sorted({run.epochs for run in section.runs if run.epochs is not None})
    if len(epochs) > 1:
        notes.append(f"Not all runs were trained equally long: {epochs[0]:g} to {epochs[-1]:g} epochs.")
    for field, what in (("learning_rate", "learning rates"), ("entropic_strength", "entropic strengths")):
        for cell in cells:
            values = sorted({getattr(run, field) for run in cell.runs if getattr(run, field) is not None})
            if len(values) > 1:
                notes.append(f"{cell.name}: its runs have different {what}: {', '.join(f'{v:.3g}' for v in values)}.")
    for cell in cells:
        lacking = [METRICS[metric].heading for metric in section.layout.metrics if metric not in cell.averages]
        if lacking:
            notes.append(f"{cell.name}: no mean of {', '.join(lacking)}, which not all of its runs have.")
    notes += _listed(cells, lambda cell: _other_folds(section, cell), "not held against XE's curves, of other folds")
    notes += _listed(
        cells,
        lambda cell: _ends_elsewhere(section, cell),
        "the curves do not end at the results of the table; they are of another epoch or of other data, as with early "
        "stopping",
    )
    notes += _listed(
        cells, _is_untimed, "no step time beside XE's, as none of these runs is of one command with an XE run"
    )
    return notes


def _listed(cells: Sequence[Cell], concerns: Callable[[Cell], bool], what: str) -> list[str]:
    names = [cell.name for cell in cells if concerns(cell)]
    return [f"{'; '.join(names)}: {what}."] if names else []


def _other_folds(section: Section, cell: Cell) -> bool:
    baseline = section.cells.get((cell.network, cell.variant, "xe"))
    return baseline is not None and cell.folds != baseline.folds


def _ends_elsewhere(section: Section, cell: Cell) -> bool:
    for run in cell.runs:
        for metric in section.layout.curves:
            last = list(points(run.log, metric).values())[-1:]
            if last and metric in run.metrics and abs(last[0] - run.metrics[metric]) > 1e-6:
                return True
    return False


def _is_untimed(cell: Cell) -> bool:
    return cell.relative_time is None and any(run.seconds_per_step is not None for run in cell.runs)


def _about_paper(section: Section) -> list[str]:
    if not section.shows_paper:
        return []
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
