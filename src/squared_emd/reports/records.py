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

__all__ = ["Run", "read_runs"]

_SKIPPED = ("select", "checkpoint-")  # trials on validation data; what a run needs to go on


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: the keys of its `all_results.json`, and its log.

    Args:
        folder: where it lies.
        table: key of `paper.LAYOUTS`.
        stand_in: whether its data stand in for the dataset, so that the paper's figures say nothing about them.
        variant: what sets it apart from other runs of the table, mostly "".
        class_names: (K,) in order; none of an ensemble.
        job: the same for runs trained by one command.
        metrics: keys of `METRICS`; one without a value is left out.
        log: entries of the trainer's `log_history`; none where there is no `trainer_state.json`.
    """

    folder: Path
    table: str
    data: str
    stand_in: bool
    model: str
    loss: str
    variant: str = ""
    fold: int
    folds: int
    seed: int
    tested_on: str
    class_names: tuple[str, ...] = ()
    job: str = ""
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
    metrics: Mapping[str, float]
    log: Sequence[Mapping[str, Any]] = ()

    @property
    def network(self) -> str:
        """The model under the paper's name where it has one."""
        return network_of(self.model)

    @property
    def learned_ground_distance(self) -> bool:
        """Whether it learned D: a D that was given and kept as it was has no SDD."""
        return self.loss in ("xemd", "xemd1", "xemd2") and self.sdd is not None


def read_runs(folders: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """All runs in and below some folders; what lies in `select` or `checkpoint-...` is left out.

    A run folder is one with an `all_results.json` that has a key "table".

    Args:
        folders: may lie within one another: a run counts once.

    Returns:
        The runs, in the order of the folders and below them of the paths.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: there is no run, a file is not as it should be, or two folders hold the same run.
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
