"""The results of runs, as they lie on disk."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..ground_distance.files import read_json, read_object
from ..ground_distance.saved import HISTORY_FILE, read_epoch_distances, read_ground_distance
from ..metrics.logs import RESULTS_FILE, STATE_FILE
from ..metrics.names import METRICS, network_of
from .paper import LAYOUTS

__all__ = ["Run", "read_runs"]

_SKIPPED = ("select", "checkpoint-")  # trials on validation data; what a run needs to go on


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: the keys of its `all_results.json`, and its log.

    Args:
        folder: where it lies.
        table: key of `LAYOUTS`.
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
    metrics: Mapping[str, float] = field(default_factory=dict)
    log: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @property
    def network(self) -> str:
        """The model under the paper's name where it has one."""
        return network_of(self.model)

    @property
    def is_self_guided(self) -> bool:
        """Whether its loss has a D that may be learned."""
        return self.loss in ("xemd", "xemd1", "xemd2")

    @property
    def learned_ground_distance(self) -> bool:
        """Whether it learned D: a D that was given and kept as it was has no SDD."""
        return self.is_self_guided and self.sdd is not None

    def ground_distance(self) -> np.ndarray | None:
        """The D saved with its model, (K, K) float64; None where it has none."""
        config = read_object(self.folder / "config.json") if (self.folder / "config.json").is_file() else {}
        if config.get("ground_distance") is None:
            return None
        matrix = read_ground_distance(self.folder).numpy()
        if len(matrix) != len(self.class_names):
            raise ValueError(
                f"{self.folder}: 'ground_distance' must be {len(self.class_names)} by {len(self.class_names)}, as the "
                f"run has {len(self.class_names)} classes; got shape {matrix.shape}; train the run again"
            )
        return matrix

    def ground_distance_history(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Epochs (E,) and D after each (E, K, K); None where the run kept none."""
        path = self.folder / HISTORY_FILE
        return read_epoch_distances(path, len(self.class_names)) if path.is_file() else None


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
    values: dict[str, Any] = {}
    for column in fields(Run):
        if column.type in _KINDS:  # else it does not come from the file
            default = None if column.default is MISSING else column.default
            value = checked(path, column.name, results.get(column.name, default), column.type)
            if value == "" and column.default is MISSING:
                raise ValueError(f'{path}: {column.name!r} must be text; got ""; mend it or train the run again')
            values[column.name] = value
    if values["table"] not in LAYOUTS:
        raise ValueError(f"{path}: 'table' must be one of {', '.join(LAYOUTS)}; got {values['table']!r}; mend it")
    if not 0 <= values["fold"] < values["folds"]:
        raise ValueError(
            f"{path}: 'fold' must be between 0 and 'folds' - 1; got {values['fold']} of {values['folds']}; mend it"
        )
    metrics = {name: checked(path, name, results.get(name), "float | None") for name in METRICS}
    metrics = {name: value for name, value in metrics.items() if value is not None}
    for name, value in metrics.items():
        if METRICS[name].is_fraction and not 0 <= value <= 1:
            raise ValueError(f"{path}: {name!r} must be a fraction between 0 and 1; got {value}; divide percent by 100")
    values["class_names"] = tuple(values["class_names"])
    return Run(folder=path.parent, metrics=metrics, log=_read_log(path.parent / STATE_FILE), **values)


def _read_log(path: Path) -> Sequence[Mapping[str, Any]]:
    if not path.is_file():
        return ()
    state = read_json(path)
    log = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(log, list) or not all(isinstance(entry, dict) for entry in log):
        raise ValueError(f"{path} must hold a list of objects under 'log_history'; got something else; write it again")
    return log


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value)


# Type of a field of `Run` -> whether a value is of it, and what it is called in messages.
_KINDS = {
    "str": (lambda value: isinstance(value, str), "text"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "int": (_is_count, "a whole number, 0 or more"),
    "int | None": (lambda value: value is None or _is_count(value), "a whole number, 0 or more, or null"),
    "float | None": (lambda value: value is None or _is_number(value), "a finite number or null"),
    "tuple[str, ...]": (_are_names, "a list of names"),
}


def checked(path: Path, name: str, value: Any, kind: str) -> Any:
    """A value of a file of results, if it is of a kind in `_KINDS`; else raises a ValueError."""
    fits, what = _KINDS[kind]
    if not fits(value):
        raise ValueError(f"{path}: {name!r} must be {what}; got {json.dumps(value)}; mend it or train the run again")
    return value
