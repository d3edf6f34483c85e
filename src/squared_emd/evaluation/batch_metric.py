"""What the modules share: each batch is reduced to a small table, and the tables are folded at the end."""

from __future__ import annotations

import abc
import inspect
import os
from collections.abc import Iterator
from itertools import chain
from typing import Any

import datasets
import evaluate
import numpy as np
import pyarrow as pa

from ..metrics.inputs import as_probabilities
from .tables import CHUNK_ROWS, Columns, as_columns, as_table, check_same, copied, read_batches

CITATION = """\
@article{hou2016squared,
  title={Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks},
  author={Hou, Le and Yu, Chen-Ping and Samaras, Dimitris},
  journal={arXiv preprint arXiv:1611.05916},
  year={2016}
}
"""


class BatchMetric(evaluate.Metric, abc.ABC):
    """A metric whose every batch is reduced to a table of arrays at once.

    The tables lie where ``evaluate`` keeps its examples: in its cache file of each process, or in memory with
    ``keep_in_memory``. They are written and read as arrays, a chunk at a time, never as Python objects. What
    ``compute`` takes beside the inputs may be given when the metric is loaded, too. With several processes the first
    must have computed before the others add to the next round.

    Raises:
        TypeError: a setting that the metric does not have.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        stock = inspect.signature(evaluate.Metric.__init__).parameters
        self.settings = {name: kwargs.pop(name) for name in list(kwargs) if name not in stock}
        super().__init__(*args, **kwargs)
        self._check_settings(self.settings)
        self._tables: list[
            pa.Table
        ] = []  # with keep_in_memory, and what comes after the files of all processes were gathered
        self._schema: pa.Schema | None = None
        self._are_logits: bool | None = None  # what the first batch was, see _rows
        self._count = 0

    @abc.abstractmethod
    def _reduce(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns:
        """The table of a batch, given the settings known by then; raises ``ValueError`` where it does not fit."""

    @abc.abstractmethod
    def _compute(self, tables: Iterator[Columns]) -> dict[str, Any]:
        """The results; settings are keyword-only arguments after ``tables``, which holds at least one sample."""

    def __len__(self) -> int:
        """How many samples have been added."""
        return self._count

    def add(self, *, prediction: Any = None, reference: Any = None, **kwargs: Any) -> None:
        """Add one sample.

        Args:
            prediction: the prediction.
            reference: the reference.
        """
        self._check_inputs(prediction, reference, kwargs)
        self.add_batch(predictions=[prediction], references=[reference])

    def add_batch(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> None:
        """Add a batch of samples; it is checked and reduced now, and none of it is added if any of it is wrong.

        Args:
            predictions: list, array or tensor of N predictions.
            references: list, array or tensor of N references.
        """
        self._check_batch(predictions, references, kwargs)
        if len(predictions) == len(references) == 0:
            return  # the last, empty batch of a loop
        table = self._reduced(predictions, references, self.settings)
        if self.keep_in_memory or self.file_paths is not None:  # or other processes' parts have been gathered already
            self._tables.append(copied(table))
        else:
            if self.writer is None:
                self._open(datasets.Features.from_arrow_schema(table.schema))
            self.writer.write_table(table, CHUNK_ROWS)
        self._schema = table.schema
        self._count += len(references)

    def compute(self, *, predictions: Any = None, references: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """The results over all samples added since the last call, and those given here.

        If it raises, what was added before is still there, and what was given here is not: call it again.

        Args:
            predictions: list, array or tensor of N predictions. Optional.
            references: list, array or tensor of N references. Optional.
            **kwargs: the metric's settings.

        Returns:
            The results; None in processes other than the first.
        """
        settings = {**self.settings, **kwargs}
        self._check_settings(settings)
        if settings.get("from_logits") and self._are_logits is False:
            raise ValueError(
                "the predictions added before are distributions; from_logits=True would take their softmax again. "
                "Leave it out."
            )
        given = []
        if predictions is not None or references is not None:
            self._check_batch(predictions, references, {})
            if self.process_id > 0:
                self.add_batch(predictions=predictions, references=references)
            elif len(predictions) or len(references):
                given = [self._reduced(predictions, references, self._defaults() | settings)]
        if self.num_process > 1 and self.file_paths is None:
            self._hand_over()
        if self.process_id > 0:
            self._forget()
            return None
        tables = _peek(self._read(given))
        if tables is None:
            raise ValueError(f"{self.name} got no samples: add a batch first, or give predictions and references.")
        results = self._compute(tables, **settings)
        self._clear()
        return results

    def _check_inputs(self, predictions: Any, references: Any, others: dict[str, Any]) -> None:
        if others or predictions is None or references is None:
            got = [
                name for name, value in (("predictions", predictions), ("references", references)) if value is not None
            ]
            raise ValueError(f"{self.name} needs predictions and references, and nothing else; got {[*got, *others]}.")

    def _check_batch(self, predictions: Any, references: Any, others: dict[str, Any]) -> None:
        self._check_inputs(predictions, references, others)
        for name, value in (("predictions", predictions), ("references", references)):
            if not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
                raise ValueError(f"{name} must be a list, array or tensor with one entry a sample, got {value!r}.")

    def _defaults(self) -> dict[str, Any]:
        """The settings of ``_compute``."""
        parameters = inspect.signature(self._compute).parameters.values()
        return {
            parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
        }

    def _check_settings(self, settings: dict[str, Any]) -> None:
        known = self._defaults()
        unknown = [name for name in settings if name not in known]
        if unknown:
            raise TypeError(f"{self.name} has no setting {', '.join(unknown)}; it has {', '.join(known)}.")
        for name, default in known.items():
            if isinstance(default, bool) and not isinstance(settings.get(name, default), (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {settings[name]!r}.")

    def _reduced(self, predictions: Any, references: Any, settings: dict[str, Any]) -> pa.Table:
        table = as_table(self._reduce(predictions, references, settings))
        check_same(self._schema or table.schema, table.schema)
        return table

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

    def _open(self, features: datasets.Features) -> None:
        self.selected_feature_format = features
        self._init_writer()

    def _hand_over(self) -> None:
        """Closes this process' file for the first process to read; without samples it is one that holds no table."""
        if self.writer is None:
            self._open(datasets.Features({"nothing": datasets.Value("bool")}))
        self.writer.finalize()
        self.writer = None
        if self.process_id > 0:
            self.filelock.release()
        else:
            self.file_paths, self.filelocks = self._get_all_cache_files()

    def _read(self, given: list[pa.Table]) -> Iterator[Columns]:
        """The tables of this process, then those of the others, in chunks."""
        own, *others = self.file_paths or [None]
        if self.writer is not None:  # a single process' file, still open: the stream ends where nothing follows
            self.writer.stream.flush()
            own = self.cache_file_name
        in_memory = (t.to_batches(max_chunksize=CHUNK_ROWS) for t in [*self._tables, *given])
        batches = chain(read_batches([own] if own else []), chain.from_iterable(in_memory), read_batches(others))
        schema = None
        for batch in batches:
            schema = schema or batch.schema
            check_same(schema, batch.schema)
            yield as_columns(batch)

    def _clear(self) -> None:
        if self.writer is not None:
            self.writer.finalize()
        paths = self.file_paths or ([self.cache_file_name] if self.cache_file_name else [])
        locks = self.filelocks or ([self.filelock] if self.filelock else [])
        for path, lock in reversed(list(zip(paths, locks, strict=True))):  # this process' own last
            os.remove(path)
            lock.release()
        self._forget()

    def _forget(self) -> None:
        self.writer = self.cache_file_name = self.filelock = self.file_paths = self.filelocks = None
        self.selected_feature_format = self._schema = self._are_logits = None
        self._tables, self._count = [], 0


def metric_info(metric: BatchMetric, *features: datasets.Features) -> evaluate.MetricInfo:
    """What ``evaluate`` shows of a metric, from the docstring of its class.

    Args:
        metric: the metric.
        *features: the kinds of inputs it takes.
    """
    description, _, inputs = inspect.getdoc(type(metric)).partition("\n\nInputs:\n")
    return evaluate.MetricInfo(
        description=description,
        citation=CITATION,
        inputs_description=f"\n\nInputs:\n{inputs}",
        features=list(features),
        reference_urls=["https://arxiv.org/abs/1611.05916"],
    )


def _peek(tables: Iterator[Columns]) -> Iterator[Columns] | None:
    """The same tables, or None if there is none."""
    first = next(tables, None)
    return None if first is None else chain([first], tables)
