"""The results of runs, as they lie on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ..ground_distance.files import read_json, read_object
from ..metrics.logs import RESULTS_FILE, STATE_FILE, check_results, refuse_result
from ..metrics.names import METRICS, network_of

_SKIPPED = ("select", "checkpoint-")  # trials on validation data; what a run needs to go on


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: the keys of its `all_results.json`, and its log."""

    folder: Path
    table: str  # key of `paper.LAYOUTS`
    data: str
    stand_in: bool  # whether the data stand in for the dataset, so that the paper's figures say nothing about them
    tested_on: str
    model: str
    loss: str
    variant: str = ""  # what sets it apart from other runs of the table
    fold: int
    folds: int
    seed: int
    learning_rate: float | None = None
    learning_rate_selected: bool = False
    regularizer_weight: float | None = None
    entropic_strength: float | None = None
    num_train: int | None = None
    num_test: int | None = None
    epochs: float | None = None
    sdd: float | None = None
    sdd_relative: float | None = None
    seconds_per_step: float | None = None
    cpu_seconds_per_step: float | None = None
    job: str = ""  # the same for runs trained by one command
    class_names: tuple[str, ...] = ()  # none of an ensemble
    metrics: Mapping[str, float]  # keys of `METRICS`; one without a value is left out
    log: Sequence[Mapping[str, Any]] = ()  # entries of the trainer's `log_history`

    @property
    def network(self) -> str:
        """The model under the paper's name where it has one."""
        return network_of(self.model)

    @property
    def learned_ground_distance(self) -> bool:
        """Whether it learned D: a D that was given and kept as it was has no SDD."""
        return self.loss in ("xemd", "xemd1", "xemd2") and self.sdd is not None


def read_runs(folders: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """All runs in and below some folders, each once, in the order of the folders and of the paths below them.

    A run folder has an `all_results.json` with a key "table"; what lies in `select` or `checkpoint-...` is left out.
    """
    runs: dict[tuple, Run] = {}
    seen: set[Path] = set()
    for path in (path for folder in folders for path in _result_files(folder)):
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        run = _read_run(path)
        if run is None:
            continue
        key = (run.table, run.data, run.tested_on, run.network, run.variant, run.loss, run.fold, run.seed)
        if key in runs:
            what = f"{run.table}, {run.data}, {run.model}, {', '.join(filter(None, (run.loss, run.variant)))}"
            raise ValueError(
                f"a run must lie in one folder; got {runs[key].folder} and {run.folder}, both {what}, fold {run.fold}, "
                f"seed {run.seed}, tested on {run.tested_on}; leave one of them out"
            )
        runs[key] = run
    if not runs:
        raise ValueError(
            f"there must be a finished run, a folder with an {RESULTS_FILE} that has a key 'table', in or below "
            f"{', '.join(map(str, folders)) or 'the folders'}; got none; name the output folder of a recipe"
        )
    return list(runs.values())


def _result_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"a folder with runs must exist; there is no folder {folder}; check its name")
    for root, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if name != _SKIPPED[0] and not name.startswith(_SKIPPED[1]))
        if RESULTS_FILE in files:
            yield Path(root, RESULTS_FILE)


def _read_run(path: Path) -> Run | None:
    results = read_json(path)
    if not isinstance(results, dict) or "table" not in results:
        return None  # of another program, or of a whole table
    known = check_results(results, path)
    values = {}
    for column in fields(Run):
        if column.name in known and (known[column.name] != "" or column.default == ""):
            values[column.name] = known[column.name]
        elif column.default is MISSING and column.name not in ("folder", "metrics"):
            refuse_result(path, column.name, "there", results.get(column.name))
    values["class_names"] = tuple(known.get("class_names", ()))
    state = path.parent / STATE_FILE
    log = read_object(state).get("log_history", ()) if state.is_file() else ()
    metrics = {name: known[name] for name in METRICS if name in known}
    return Run(folder=path.parent, metrics=metrics, log=log, **values)
