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

from ..metrics.inputs import as_probabilities

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
    """A metric that keeps what it needs of each batch as arrays.

    What ``compute`` takes beside the inputs may be given when the metric is loaded, too. Several processes meet in the
    lock files of ``evaluate``; process 0 must have computed before the others add to the next round.

    Raises:
        TypeError: a setting that the metric does not have.
    """

    inputs: Sequence[tuple[Any, Any]]  # the pairs of feature types of predictions and references that are accepted

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        stock = inspect.signature(evaluate.Metric.__init__).parameters
        self.settings = {name: kwargs.pop(name) for name in list(kwargs) if name not in stock}
        super().__init__(*args, **kwargs)
        self._check_settings(self.settings)
        self._round = 0
        self._clear()

    @abc.abstractmethod
    def _arrays(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns:
        """What is kept of a batch, given the settings known by then; raises ``ValueError`` where it does not fit."""

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

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one sample.

        Args:
            prediction: the prediction.
            reference: the reference.
        """
        self._check_names(prediction, reference, kwargs)
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add a batch of samples; it is checked now, and none of it is added if any of it is wrong.

        Args:
            predictions: list, array or tensor of N predictions.
            references: list, array or tensor of N references.
        """
        self._check_names(predictions, references, kwargs)
        batch = self._batch(predictions, references, self.settings)
        if batch is None:
            return  # the last, empty batch of a loop
        if self.num_process > 1:
            self._open()
        self._batches.append({name: np.array(array) for name, array in batch.items()})  # the caller may reuse its own

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """The results over all samples added since the last call, and those given here.

        If it raises, what was added before is still there, and what was given here is not: call it again.

        Args:
            predictions: list, array or tensor of N predictions. Optional.
            references: list, array or tensor of N references. Optional.
            **kwargs: the metric's settings.

        Returns:
            The results; None in processes other than process 0.
        """
        settings = {**self.settings, **kwargs}
        self._check_settings(settings)
        if settings.get("from_logits") and self._are_logits is False:
            raise ValueError(
                "the predictions added before are distributions; from_logits=True would take their softmax again. "
                "Leave it out."
            )
        given = None
        if predictions is not None or references is not None:
            self._check_names(predictions, references, {})
            given = self._batch(predictions, references, self._defaults() | settings)
        if self.num_process > 1:
            self._open()
        if self.process_id > 0:
            self._hand_over(given)
            return None
        if self.num_process > 1 and self.file_paths is None:
            self._collect()
        batches = [*self._batches, *([] if given is None else [given]), *self._others]
        if not batches:
            raise ValueError(f"{self.name} got no samples: add a batch first, or give predictions and references.")
        for batch in batches:
            _check_same_shapes(batches[0], batch)
        results = self._compute(**_joined(batches), **settings)
        for lock in reversed(self.filelocks or []):  # that of process 0 last
            lock.release()
        self._clear()
        return results

    def _check_names(self, predictions: Any, references: Any, others: dict[str, Any]) -> None:
        if others or predictions is None or references is None:
            inputs = {"predictions": predictions, "references": references}
            got = [*(name for name, value in inputs.items() if value is not None), *others]
            raise ValueError(f"{self.name} needs predictions and references, and nothing else; got {got}.")

    def _batch(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns | None:
        """What is kept of these samples, in arrays that may be the caller's; None if there are none."""
        for name, value in (("predictions", predictions), ("references", references)):
            if not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
                raise ValueError(f"{name} must be a list, array or tensor with one entry a sample, got {value!r}.")
        if len(predictions) == len(references) == 0:
            return None
        batch = self._arrays(predictions, references, settings)
        _check_same_shapes(self._batches[0] if self._batches else batch, batch)
        return batch

    def _rows(self, predictions: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        """(N, K) predictions, found to be distributions unless they are logits.

        Where ``from_logits`` is not known yet, the first batch says which they are, and the others must be the same.
        """
        if settings.get("from_logits"):
            return predictions
        if "from_logits" in settings:
            as_probabilities(predictions)
            return predictions
        try:
            as_probabilities(predictions)
        except ValueError as error:
            if self._are_logits is False:
                raise ValueError(f"{error} (All rows added before were distributions.)") from None
            self._are_logits = True
        else:
            if self._are_logits:
                raise ValueError(
                    "the predictions added before are logits, or some of their rows are no distributions; "
                    "these are distributions. Add one kind only; from_logits says which."
                )
            self._are_logits = False
        return predictions

    def _defaults(self) -> dict[str, Any]:
        """The settings of ``_compute``."""
        parameters = inspect.signature(self._compute).parameters.values()
        return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}

    def _check_settings(self, settings: dict[str, Any]) -> None:
        known = self._defaults()
        unknown = [name for name in settings if name not in known]
        if unknown:
            raise TypeError(f"{self.name} has no setting {', '.join(unknown)}; it has {', '.join(known)}.")
        for name, default in known.items():
            if isinstance(default, bool) and not isinstance(settings.get(name, default), (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {settings[name]!r}.")

    def _open(self) -> None:
        """Takes the lock of this process's file and waits for those of the others, as ``evaluate`` does it."""
        if self.filelock is None:
            self.selected_feature_format = datasets.Features({"unused": datasets.Value("bool")})
            self._init_writer()
            self.writer.stream.close()  # the arrays are written in one go, see _hand_over
            self.writer = None

    def _hand_over(self, given: Columns | None) -> None:
        """Writes all batches of this process into its file, for process 0 to read."""
        batches = [*self._batches, *([] if given is None else [given])]
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
        self._are_logits: bool | None = None  # see _rows
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
