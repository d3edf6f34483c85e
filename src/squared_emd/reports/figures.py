"""The figures of a report, and what is missing for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import plot
from ..metrics import reliability
from ..metrics.logs import STATE_FILE, points
from ..metrics.names import loss_name, network_name
from .paper import PAPER_GROUND_DISTANCE
from .predictions import read_predictions
from .summary import Cell, Section

__all__ = ["Figures", "draw_figures"]


@dataclass
class Figures:
    """The figures of a section.

    Args:
        files: network -> (file, title) of its figures.
        learned: (title, D (K, K), names of the classes) of the losses that learned D, the mean of the runs.
        missing: what could not be drawn, and why.
    """

    files: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    learned: list[tuple[str, np.ndarray, Sequence[str]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def draw_figures(section: Section, folder: Path, *, prefix: str = "") -> Figures:
    """Draws the curves and the reliability of each network; of each loss that learns D the heat map, map and history.

    Args:
        section: the results.
        folder: where the figures are written.
        prefix: of the file names.

    Raises:
        ValueError: a file of a run is not as it should be.
    """
    drawing = _Drawing(section, folder, prefix)
    for network in section.networks():
        cells = section.cells_of(network)
        for variant in sorted({cell.variant for cell in cells}):
            of_variant = [cell for cell in cells if cell.variant == variant]
            drawing.draw_curves(of_variant)
            drawing.draw_reliability(of_variant)
        for cell in cells:
            if any(run.learned_ground_distance for run in cell.runs):
                drawing.draw_ground_distance(cell)
                drawing.draw_history(cell)
    return drawing.figures


class _Drawing:
    def __init__(self, section: Section, folder: Path, prefix: str) -> None:
        self.section, self.folder, self.prefix = section, folder, prefix
        self.names: set[str] = set()
        self.figures = Figures()

    def draw_curves(self, cells: Sequence[Cell]) -> None:
        """Figure 2 of one network."""
        metrics = self.section.layout.curves
        for cell in cells:
            without = sum(not any(points(run.log, metric) for metric in metrics) for run in cell.runs)
            if without:
                what = f"{without} of {len(cell.runs)} runs without the metrics by epoch in {STATE_FILE}"
                self.figures.missing.append(f"{cell.name}: no curves: {what}.")
        drawn = {cell.loss: cell for cell in cells if cell.history}
        if not drawn:
            return
        save = partial(
            plot.learning_curves,
            {loss: cell.history for loss, cell in drawn.items()},
            metrics=metrics,
            not_compared=[loss for loss, cell in drawn.items() if not cell.reached],
        )
        title = self._title("Results by epoch", cells[0])
        self._save(save, ("curves", cells[0].network, cells[0].variant), title)

    def draw_reliability(self, cells: Sequence[Cell]) -> None:
        """How far the probabilities can be trusted, of the losses whose runs left predictions, all runs together."""
        bins = {}
        for cell in cells:
            found = [p for run in cell.runs if (p := read_predictions(run.folder)) and not p.is_of_regression]
            if found:
                confidences = np.concatenate([p.probabilities.max(1) for p in found])
                hits = np.concatenate([p.probabilities.argmax(1) == p.true_classes for p in found])
                bins[cell.loss] = reliability(confidences, hits)
        if bins:
            of = (cells[0].network, cells[0].variant)
            title = self._title("Reliability of the probabilities", cells[0])
            self._save(partial(plot.reliability_diagram, bins), ("reliability", *of), title)

    def draw_ground_distance(self, cell: Cell) -> None:
        """Table 2, the paper's where it is of the same network and loss, and the map of the classes."""
        matrices = [matrix for run in cell.runs if (matrix := run.ground_distance()) is not None]
        if len(matrices) < len(cell.runs):
            missing = len(cell.runs) - len(matrices)
            self.figures.missing.append(f"{cell.name}: {missing} of {len(cell.runs)} runs without a D in config.json.")
        if not matrices:
            return
        matrix, names = np.mean(matrices, axis=0), cell.runs[0].class_names
        of, loss = (cell.network, cell.variant, cell.loss), loss_name(cell.loss)
        mean = f", mean of {len(matrices)} runs" if len(matrices) > 1 else ""
        title = self._title(f"D learned by {loss}", cell) + mean
        self.figures.learned.append((title, matrix, names))
        is_table_2 = self.section.shows_paper and (self.section.table, *of) == ("adience", "res_f", "", "xemd2")
        beside_paper = is_table_2 and len(names) == len(PAPER_GROUND_DISTANCE)
        save = partial(plot.heat_map, class_names=names, scale_end=1.0 if beside_paper else None)
        self._save(partial(save, matrix), ("ground_distance", *of), title)
        if beside_paper:
            paper = "The paper's D: its Table 2, RES_F-XEMD2 on Adience"
            self._save(partial(save, PAPER_GROUND_DISTANCE), ("ground_distance_of_the_paper", *of), paper)
        save = partial(plot.class_map, matrix, class_names=names, ordered=self.section.layout.is_ordered)
        self._save(save, ("class_map", *of), self._title(f"Map of the classes by {loss}'s D", cell) + mean)

    def draw_history(self, cell: Cell) -> None:
        """D by epoch, of the first run that has it, or SDD alone."""
        found = ((run, history) for run in cell.runs if (history := run.ground_distance_history()) is not None)
        run, (epochs, matrices) = next(found, (None, ((), ())))
        if run is None:
            self.figures.missing.append(f"{cell.name}: no history of D.")
            run = next((run for run in cell.runs if points(run.log, "sdd")), None)
        if run is not None:
            what = f"{'D' if len(epochs) else 'SDD'} of {loss_name(cell.loss)} by epoch"
            fold = f", fold {run.fold}" if run.folds > 1 else ""
            save = partial(plot.history, matrices, epochs=epochs, class_names=run.class_names, log=run.log)
            title = f"{self._title(what, cell)}{fold}, seed {run.seed}"
            self._save(save, ("history", cell.network, cell.variant, cell.loss), title)

    def _save(self, save: Callable[..., Any], name: Sequence[str], title: str) -> None:
        stem = self.prefix + re.sub(r"[^A-Za-z0-9.-]+", "_", "_".join(filter(None, name)))
        file, count = f"{stem}.png", 1
        while file in self.names:  # names that differ in other characters only
            count += 1
            file = f"{stem}_{count}.png"
        self.names.add(file)
        save(path=self.folder / file, title=title)
        self.figures.files.setdefault(name[1], []).append((file, title))

    def _title(self, what: str, cell: Cell) -> str:
        return ", ".join(filter(None, (what, network_name(cell.network), cell.variant, self.section.data)))
