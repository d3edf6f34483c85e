"""Results as CSV files: one row a cell of the tables, and one row a run."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..metrics.names import METRICS, network_name
from .records import Run
from .summary import Cell, Section
from .tables import NOT_RUN, paper_text

__all__ = ["write_runs", "write_table"]

_RUN_COLUMNS = (
    "table", "data", "stand_in", "tested_on", "model", "loss", "variant", "fold", "folds", "seed", "learning_rate",
    "entropic_strength", "num_train", "num_test", "epochs", "sdd", "sdd_relative", "seconds_per_step", "job",
)  # fmt: skip


def write_table(sections: Sequence[Section], path: str | os.PathLike[str]) -> None:
    """Writes the tables in the paper's arrangement, one row a cell: of each metric mean, spread and the paper's figure.

    Units are those of the tables (AEM and AEO in percent), with two digits more. What nobody ran reads "not run"; a
    figure that does not exist is empty.

    Args:
        sections: the results.
        path: the file to write.
    """
    metrics = [metric for metric in METRICS if any(metric in section.metrics() for section in sections)]
    rows = [row for section in sections for row in _cell_rows(section, metrics)]
    _write(path, rows)


def write_runs(runs: Sequence[Run], path: str | os.PathLike[str]) -> None:
    """Writes one row a run, its metrics as they lie in the results.

    Args:
        runs: the runs.
        path: the file to write.
    """
    metrics = [metric for metric in METRICS if any(metric in run.metrics for run in runs)]
    _write(
        path,
        [
            {
                "folder": str(run.folder),
                **{column: getattr(run, column) for column in _RUN_COLUMNS},
                **{metric: run.metrics.get(metric) for metric in metrics},
            }
            for run in runs
        ],
    )


def _cell_rows(section: Section, metrics: Sequence[str]) -> Iterator[dict[str, object]]:
    for network in section.networks():
        for loss, variant in section.rows(network):
            cell = section.cells.get((network, variant, loss))
            row: dict[str, object] = {
                "table": section.table,
                "data": section.data,
                "stand_in": section.stand_in,
                "tested_on": section.tested_on,
                "network": network_name(network),
                "loss": loss,
                "variant": variant,
                "folds": len(cell.folds) if cell else 0,
                "of_folds": section.runs[0].folds,
                "seeds": len(cell.seeds) if cell else 0,
            }
            for metric in metrics:
                row |= _metric_columns(section, cell, metric)
                if section.shows_paper and metric in section.layout.metrics:
                    row[f"{METRICS[metric].heading} paper"] = paper_text(section, network, variant, loss, metric)
            for metric in section.layout.curves:
                row[f"reaches XE's {METRICS[metric].heading} at epoch"] = cell.reached.get(metric) if cell else None
            for name in ("relative_time", "sdd", "sdd_relative"):
                row[name] = getattr(cell, name) if cell else None
            yield row


def _metric_columns(section: Section, cell: Cell | None, metric: str) -> dict[str, object]:
    heading, digits, shown = METRICS[metric].heading, METRICS[metric].digits + 2, METRICS[metric].shown
    average = cell.averages.get(metric) if cell else None
    mean: object = NOT_RUN if cell is None and metric in section.metrics() else None
    spread = None
    if average:
        mean = round(shown(average.mean), digits)
        spread = None if average.spread is None else round(shown(average.spread), digits)
    return {f"{heading} mean": mean, f"{heading} spread": spread}


def _write(path: str | os.PathLike[str], rows: Sequence[dict[str, object]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
