"""The base of the metric modules: batches are checked when they are added and kept as NumPy arrays."""

from __future__ import annotations

import abc
import inspect
import os
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

CITATION = """\
@article{hou2016squared,
  title={Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks},
  author={Hou, Le and Yu, Chen-Ping and Samaras, Dimitris},
  journal={arXiv preprint arXiv:1611.05916},
  year={2016}
}
"""
LABELS = datasets.Value("int64")
NUMBERS = datasets.Value("float64")
ROWS = datasets.List(datasets.Value("float64"))

Columns = dict[str, np.ndarray]  # equally long


class ArrayMetric(evaluate.Metric, abc.ABC):
    """A metric that keeps what it needs of each batch as arrays; settings may be given when it is loaded, too.

    Several processes meet in the lock files of ``evaluate``; process 0 must have computed before the others add to the
    next round.
    """

    inputs: Sequence[tuple[Any, Any]]  # the pairs of feature types of predictions and references that are accepted

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        stock = inspect.signature(evaluate.Metric.__init__).parameters
        self.settings = {name: kwargs.pop(name) for name in list(kwargs) if name not in stock}
        super().__init__(*args, **kwargs)
        self._settings({})
        self._round = 0
        self._clear()

    @abc.abstractmethod
    def _arrays(self, predictions: Any, references: Any) -> Columns:
        """What is kept of a batch, in arrays that may be the caller's; raises ``ValueError`` where it does not fit."""

    @abc.abstractmethod
    def _compute(self, *columns: np.ndarray, **settings: Any) -> dict[str, Any]:
        """The results of the kept arrays, at least one sample; settings are the keyword-only arguments."""

    def _info(self) -> evaluate.MetricInfo:
        description, _, inputs = inspect.getdoc(type(self)).partition("\n\nInputs:\n")
        return evaluate.MetricInfo(
            description=description,
            citation=CITATION,
            inputs_description=f"\n\nInputs:\n{inputs}",
            features=[datasets.Features({"predictions": p, "references": r}) for p, r in self.inputs],
            reference_urls=["https://arxiv.org/abs/1611.05916"],
        )

    def __len__(self) -> int:
        """How many samples have been added."""
        return sum(len(next(iter(batch.values()))) for batch in self._batches)

    def add(self, *, prediction: Any, reference: Any) -> None:
        """Add one sample."""
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Any, references: Any) -> None:
        """Add a list, array or tensor of N predictions and references, unless any of it is wrong: then none of it."""
        batches = self._batches_with(predictions, references)
        if len(batches) > len(self._batches):  # else it is the last, empty batch of a loop
            if self.num_process > 1:
                self._open()
            copies = {name: np.array(array) for name, array in batches[-1].items()}  # the caller may reuse its own
            self._batches.append(copies)

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """The results over all samples added since the last call, and those given here; None but in process 0.

        If it raises, what was added before is still there, and what was given here is not: call it again.
        """
        settings = self._settings(kwargs)
        is_given = predictions is not None or references is not None
        batches = self._batches_with(predictions, references) if is_given else self._batches
        if self.num_process > 1:
            self._open()
        if self.process_id > 0:
            self._hand_over(batches)
            return None
        if self.num_process > 1 and self.file_paths is None:
            self._collect()
        batches = [*batches, *self._others]
        if not batches:
            raise ValueError(f"{self.name} got no samples: add a batch first, or give predictions and references.")
        for batch in batches:
            _check_same_shapes(batches[0], batch)
        results = self._compute(**_joined(batches), **settings)
        for lock in reversed(self.filelocks or []):  # that of process 0 last
            lock.release()
        self._clear()
        return results

    def _batches_with(self, predictions: Any, references: Any) -> list[Columns]:
        """The batches that have been added, and these samples, unless there are none."""
        for name, value in (("predictions", predictions), ("references", references)):
            if not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
                raise ValueError(f"{name} must be a list, array or tensor with one entry a sample, got {value!r}.")
        if len(predictions) == len(references) == 0:
            return self._batches
        batches = [*self._batches, self._arrays(predictions, references)]
        _check_same_shapes(batches[0], batches[-1])
        return batches

    def _settings(self, given: dict[str, Any]) -> dict[str, Any]:
        """What is given, else what was given when the metric was loaded, else the defaults of ``_compute``."""
        parameters = inspect.signature(self._compute).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
        settings = defaults | self.settings | given
        unknown = [name for name in settings if name not in defaults]
        if unknown:
            raise TypeError(f"{self.name} has no setting {', '.join(unknown)}; it has {', '.join(defaults)}.")
        for name, default in defaults.items():
            if isinstance(default, bool) and not isinstance(settings[name], (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {settings[name]!r}.")
        return settings

    def _open(self) -> None:
        """Takes the lock of this process's file and waits for those of the others, as ``evaluate`` does it."""
        if self.filelock is None:
            self.selected_feature_format = datasets.Features({"unused": datasets.Value("bool")})
            self._init_writer()
            self.writer.stream.close()  # the arrays are written in one go, see _hand_over
            self.writer = None

    def _hand_over(self, batches: list[Columns]) -> None:
        """Writes the batches of this process into its file, for process 0 to read."""
        with open(self.cache_file_name, "wb") as file:
            np.savez(file, np.array(self._round), **(_joined(batches) if batches else {}))
        self.filelock.release()
        self._clear()

    def _collect(self) -> None:
        """Reads what the other processes have written and removes their files; their locks are kept."""
        self.file_paths, self.filelocks = self._get_all_cache_files()
        for path in self.file_paths[1:]:
            try:
                with np.load(path) as arrays:
                    columns = dict(arrays)
            except (OSError, EOFError):
                columns = {}
            if columns.pop("arr_0", None) != self._round:
                raise ValueError(
                    f"the samples of another process are no longer in {path}: it went on to the next round before this "
                    "one was computed. Let all processes wait for the first after compute, or give each round its own "
                    "experiment_id."
                )
            if columns:
                self._others.append(columns)
        for path in self.file_paths:
            os.remove(path)

    def _clear(self) -> None:
        """Makes ready for the next round."""
        self.writer = self.cache_file_name = self.filelock = self.file_paths = self.filelocks = None
        self._batches: list[Columns] = []
        self._others: list[Columns] = []  # of the other processes
        self._round += 1


def _joined(batches: list[Columns]) -> Columns:
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _check_same_shapes(first: Columns, this: Columns) -> None:
    before, now = (
        ", ".join(f"{name} (N, {array.shape[1]})" if array.ndim == 2 else f"{name} (N,)" for name, array in b.items())
        for b in (first, this)
    )
    if before != now:
        raise ValueError(f"every batch must have the shapes of the first: that had {before}; this one has {now}.")
