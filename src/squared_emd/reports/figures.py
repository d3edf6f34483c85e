"""The figures of a report, and what is missing for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import plot
from ..ground_distance.files import read_object
from ..ground_distance.saved import HISTORY_FILE
from ..metrics import reliability
from ..metrics.logs import RESULTS_FILE, STATE_FILE, check_confusion_matrix, points
from ..metrics.names import loss_name, network_name
from .paper import PAPER_GROUND_DISTANCE
from .predictions import MeasuredRun, ground_distance_of_run
from .records import Run
from .summary import Cell, Section


@dataclass
class Figures:
    """The figures of a section: curves and reliability of each network, the confusion matrix and D of each loss."""

    section: Section
    measured: Mapping[Path, MeasuredRun]  # by folder, of the runs that left predictions
    folder: Path  # where they are written
    prefix: str = ""  # of the file names
    files: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # network -> (file, title)
    # (Title, D (K, K), names of the classes) of the losses that learned D, the mean of the runs.
    learned: list[tuple[str, np.ndarray, Sequence[str]]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # what could not be drawn, or compared, and why

    def draw(self) -> Figures:
        """Writes the files; a ValueError says which file of a run is not as it should be."""
        for network in self.section.networks():
            cells = self.section.cells_of(network)
            for variant in sorted({cell.key[1] for cell in cells}):
                of_variant = [cell for cell in cells if cell.key[1] == variant]
                self._draw_curves(of_variant)
                self._draw_reliability(of_variant)
            for cell in cells:
                self._draw_confusion(cell)
                if any(run.learned_ground_distance for run in cell.runs):
                    self._draw_ground_distance(cell)
                    self._draw_history(cell)
        return self

    def _draw_curves(self, cells: Sequence[Cell]) -> None:
        """Figure 2 of one network."""
        metrics = self.section.layout.curves
        for cell in cells:
            without = sum(not any(points(run.log, metric) for metric in metrics) for run in cell.runs)
            self._note_missing(cell, without, f"the metrics by epoch in {STATE_FILE}, so no curves")
        drawn = {cell.loss: cell for cell in cells if cell.history}
        if not drawn:
            return
        network, variant, _ = cells[0].key
        baseline = self.section.cells.get((network, variant, "xe"))
        save = partial(
            plot.learning_curves,
            {loss: cell.history for loss, cell in drawn.items()},
            metrics=metrics,
            not_compared=[loss for loss, cell in drawn.items() if baseline and cell.folds != baseline.folds],
        )
        validates = [self._validates(run) for cell in drawn.values() for run in cell.runs]
        part = f", {'' if all(validates) else 'in part '}on validation data" if any(validates) else ""
        self._save(save, ("curves", network, variant), self._title("Results by epoch", cells[0]) + part)

    def _draw_reliability(self, cells: Sequence[Cell]) -> None:
        """How far the probabilities can be trusted, of the losses whose runs left predictions, all runs together."""
        bins, counts, means = {}, [], {}
        for cell in cells:
            found = [self.measured[run.folder] for run in cell.runs if run.folder in self.measured]
            found = [run for run in found if run.confidences is not None]
            if found:
                confidences = np.concatenate([run.confidences for run in found])
                bins[cell.loss] = reliability(confidences, np.concatenate([run.hits for run in found]))
                counts.append(len(found))
                if len(cell.runs) > 1 and "eval_ece" in cell.averages:
                    means[cell.loss] = cell.averages["eval_ece"].mean  # as the table has it
        if bins:
            save = partial(plot.reliability_diagram, bins, mean_errors=means)
            count = counts[0] if len(set(counts)) == 1 else "all"
            total = f", {count} runs together" if max(counts) > 1 else ""
            title = self._title("Reliability of the probabilities", cells[0]) + total
            self._save(save, ("reliability", *cells[0].key[:2]), title)

    def _draw_confusion(self, cell: Cell) -> None:
        """The counts of all runs together; runs on many classes, and ensembles, have none."""
        counts = []
        for run in cell.runs:
            where = run.folder / RESULTS_FILE
            found = read_object(where).get("confusion_matrix")
            if found is not None:
                measured = {**run.metrics, "num_test": run.num_test}
                counts.append(check_confusion_matrix(found, len(run.class_names), measured, where))
        if not counts:
            return
        self._note_missing(cell, len(cell.runs) - len(counts), "a confusion matrix")
        total = f", {len(counts)} runs together" if len(counts) > 1 else ""
        title = self._title(f"Confusion matrix of {loss_name(cell.loss)}", cell) + total
        save = partial(plot.confusion_matrix, np.sum(counts, axis=0), cell.runs[0].class_names)
        self._save(save, ("confusion_matrix", *cell.key), title)

    def _draw_ground_distance(self, cell: Cell) -> None:
        """Table 2, the paper's where it is of the same network and loss, and the map of the classes."""
        matrices = [matrix for run in cell.runs if (matrix := ground_distance_of_run(run.folder)) is not None]
        self._note_missing(cell, len(cell.runs) - len(matrices), "a saved D")
        if not matrices:
            return
        matrix, names = np.mean(matrices, axis=0), cell.runs[0].class_names
        of, loss = cell.key, loss_name(cell.loss)
        mean = f", mean of {len(matrices)} runs" if len(matrices) > 1 else ""
        title = self._title(f"D learned by {loss}", cell) + mean
        self.learned.append((title, matrix, names))
        is_table_2 = self.section.shows_paper and (self.section.table, *of) == ("adience", "res_f", "", "xemd2")
        beside_paper = is_table_2 and len(names) == len(PAPER_GROUND_DISTANCE)
        save = partial(plot.heat_map, class_names=names, scale_end=1.0 if beside_paper else None)
        self._save(partial(save, matrix), ("ground_distance", *of), title)
        if beside_paper:
            paper = "The paper's D: its Table 2, RES_F-XEMD2 on Adience"
            self._save(partial(save, PAPER_GROUND_DISTANCE), ("ground_distance_of_the_paper", *of), paper)
        ordered = all("eval_aeo" in run.metrics for run in cell.runs)  # as in write_report
        save = partial(plot.class_map, matrix, class_names=names, ordered=ordered)
        self._save(save, ("class_map", *of), self._title(f"Map of the classes by {loss}'s D", cell) + mean)

    def _draw_history(self, cell: Cell) -> None:
        """D by epoch, of the first run that has it, or SDD alone."""
        run = next((run for run in cell.runs if (run.folder / HISTORY_FILE).is_file()), None)
        if run is None:
            self.missing.append(f"{cell.name}: no history of D.")
            run = next((run for run in cell.runs if points(run.log, "sdd")), None)
        if run is not None:
            what = f"{'D' if (run.folder / HISTORY_FILE).is_file() else 'SDD'} of {loss_name(cell.loss)} by epoch"
            fold = f", fold {run.fold}" if run.folds > 1 else ""
            title = f"{self._title(what, cell)}{fold}, seed {run.seed}"
            self._save(partial(plot.history, run.folder), ("history", *cell.key), title)

    def _validates(self, run: Run) -> bool:
        """Whether validation data were evaluated after each epoch, in place of those that it was tested on."""
        measured = self.measured.get(run.folder)
        return "validation_mae" in run.metrics or (measured is not None and measured.validation is not None)

    def _note_missing(self, cell: Cell, count: int, what: str) -> None:
        if count:
            self.missing.append(f"{cell.name}: {count} of {len(cell.runs)} runs without {what}.")

    def _save(self, save: Callable[..., Any], name: Sequence[str], title: str) -> None:
        stem = "_".join(filter(None, name)).replace("/", "--")  # as the folders of runs
        stem = self.prefix + re.sub(r"[^A-Za-z0-9._-]", "_", stem)  # "#", "?" and "%" would break the link to it.
        file, count = f"{stem}.png", 1
        while file in {drawn for files in self.files.values() for drawn, _ in files}:
            count += 1
            file = f"{stem}_{count}.png"
        save(path=self.folder / file, title=title)
        self.files.setdefault(name[1], []).append((file, title))

    def _title(self, what: str, cell: Cell) -> str:
        network, variant, _ = cell.key
        return ", ".join(filter(None, (what, network_name(network), variant, self.section.data)))
