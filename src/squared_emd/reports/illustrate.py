"""The figures of a report, and what is missing for them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from .. import plot
from ..ground_distance.history import HISTORY_FILE
from ..metrics.logs import STATE_FILE, points
from ..metrics.names import loss_name, network_name
from .distances import CONFIG_FILE, mean_ground_distance, read_history
from .paper import PAPER_GROUND_DISTANCE
from .records import Run
from .summary import Cell, Section

__all__ = ["Illustration", "Learned", "Picture", "illustrate"]


@dataclass(frozen=True)
class Picture:
    """A figure that was written.

    Args:
        file: its name in the folder of the report.
        title: what it shows.
    """

    file: str
    title: str


@dataclass(frozen=True)
class Learned:
    """A ground distance that was learned.

    Args:
        title: by what.
        matrix: (K, K), the mean of the runs.
        class_names: (K,).
    """

    title: str
    matrix: np.ndarray
    class_names: Sequence[str]


@dataclass
class Illustration:
    """The figures of a section.

    Args:
        pictures: network -> its figures.
        learned: the ground distances that were learned.
        missing: what could not be drawn, and why.
    """

    pictures: dict[str, list[Picture]] = field(default_factory=dict)
    learned: list[Learned] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def illustrate(section: Section, folder: Path, *, prefix: str = "") -> Illustration:
    """Draws the curves of each network, and for each loss that learns D its heat map, map of the classes and history.

    Args:
        section: the results.
        folder: where the figures are written.
        prefix: of the file names.

    Returns:
        What was drawn.

    Raises:
        ValueError: a file of a run is not as it should be.
    """
    drawing = _Drawing(section, folder, prefix)
    for network in section.networks():
        cells = section.cells_of(network)
        for variant in sorted({cell.variant for cell in cells}):
            drawing.curves([cell for cell in cells if cell.variant == variant])
        for cell in cells:
            if cell.runs[0].is_self_guided:
                drawing.ground_distance(cell)
                drawing.history(cell)
    return drawing.result


class _Drawing:
    def __init__(self, section: Section, folder: Path, prefix: str) -> None:
        self.section, self.folder, self.prefix = section, folder, prefix
        self.files: set[str] = set()
        self.result = Illustration()

    def curves(self, cells: Sequence[Cell]) -> None:
        """Figure 2 of one network."""
        metrics = self.section.layout.curves
        for cell in cells:
            without = sum(not any(points(run.log, metric) for metric in metrics) for run in cell.runs)
            if without:
                which = f"{without} of {len(cell.runs)} runs without the metrics by epoch in {STATE_FILE}"
                self._miss(cell, f"no curves: {which}")
        drawn = {cell.loss: cell for cell in cells if cell.history}
        if not drawn:
            return
        what = "Results by epoch"
        notes = {loss: f"{len(c.folds)} of {c.num_folds} folds" for loss, c in drawn.items() if not c.is_complete}
        if len(notes) == len(drawn) and len(set(notes.values())) == 1:
            what, notes = f"{what}, {next(iter(notes.values()))}", {}
        starts = {start for cell in drawn.values() if (start := _jump_start(cell.runs[0])) is not None}
        save = partial(
            plot.learning_curves,
            {loss: cell.history for loss, cell in drawn.items()},
            metrics=metrics,
            notes=notes,
            not_compared=[loss for loss, cell in drawn.items() if not cell.reached],
            jump_start_epochs=starts.pop() if len(starts) == 1 else None,
        )
        self._draw(save, ("curves", cells[0].network, cells[0].variant), self._title(what, cells[0]))

    def ground_distance(self, cell: Cell) -> None:
        """Table 2, the paper's where it is of the same network and loss, and the map of the classes."""
        matrix, count = mean_ground_distance(cell.runs)
        if count < len(cell.runs):
            self._miss(cell, f"{len(cell.runs) - count} of {len(cell.runs)} runs without a D in {CONFIG_FILE}")
        if matrix is None:
            return
        of = (cell.network, cell.variant, cell.loss)
        names = cell.runs[0].class_names
        mean = f", mean of {count} runs" if count > 1 else ""
        title = self._title(f"D learned by {loss_name(cell.loss)}", cell) + mean
        self.result.learned.append(Learned(title, matrix, names))
        beside_paper = (
            self.section.shows_paper
            and self.section.table == "adience"
            and of == ("res_f", "", "xemd2")
            and len(names) == len(PAPER_GROUND_DISTANCE)
        )
        save = partial(plot.heat_map, matrix, class_names=names, scale_end=1.0 if beside_paper else None)
        self._draw(save, ("ground_distance", *of), title)
        if beside_paper:
            save = partial(plot.heat_map, PAPER_GROUND_DISTANCE, class_names=names, scale_end=1.0)
            self._draw(
                save, ("ground_distance_of_the_paper", *of), "The paper's D: its Table 2, RES_F-XEMD2 on Adience"
            )
        save = partial(plot.class_map, matrix, class_names=names, ordered=self.section.layout.is_ordered)
        self._draw(
            save, ("class_map", *of), self._title(f"Map of the classes by {loss_name(cell.loss)}'s D", cell) + mean
        )

    def history(self, cell: Cell) -> None:
        """D by epoch, of the first run that has it, or SDD alone."""
        histories = ((run, history) for run in cell.runs if (history := read_history(run)) is not None)
        run, (epochs, matrices) = next(histories, (None, ((), ())))
        if run is None:
            self._miss(cell, f"no history of D: no run with a {HISTORY_FILE}")
            run = next((run for run in cell.runs if points(run.log, "sdd")), None)
        if run is not None:
            what = f"{'D' if len(epochs) else 'SDD'} of {loss_name(cell.loss)} by epoch"
            fold = f", fold {run.fold}" if run.folds > 1 else ""
            save = partial(plot.history, matrices, epochs=epochs, class_names=run.class_names, log=run.log)
            title = f"{self._title(what, cell)}{fold}, seed {run.seed}"
            self._draw(save, ("history", cell.network, cell.variant, cell.loss), title)

    def _draw(self, save: Callable[..., None], name: Sequence[str], title: str) -> None:
        stem = self.prefix + re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(filter(None, name)))
        file, count = f"{stem}.png", 1
        while file in self.files:  # names that differ in other characters only
            count += 1
            file = f"{stem}_{count}.png"
        self.files.add(file)
        save(path=self.folder / file, title=title)
        self.result.pictures.setdefault(name[1], []).append(Picture(file, title))

    def _title(self, what: str, cell: Cell) -> str:
        return ", ".join(filter(None, (what, network_name(cell.network), cell.variant, self.section.data)))

    def _miss(self, cell: Cell, what: str) -> None:
        self.result.missing.append(f"{cell.name}: {what}.")


def _jump_start(run: Run) -> int | None:
    """Epochs of plain cross-entropy, as the log shows them: lambda is logged as soon as it is in force."""
    trained = [entry for entry in run.log if "loss" in entry and entry.get("epoch") is not None]
    in_force = [position for position, entry in enumerate(trained) if entry.get("regularizer_weight") is not None]
    return math.floor(trained[in_force[0]]["epoch"]) if run.is_self_guided and in_force and in_force[0] > 0 else None
