"""Agreement beyond chance between ordered classes."""

# Built from squared-emd by `python -m squared_emd.evaluation.spaces`: change the package and build again.

from __future__ import annotations

import abc
import inspect
import os
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar

import datasets
import evaluate
import numpy as np
import pyarrow as pa

# inputs: What a metric is given, as arrays that fit, or an error that says what does not.


MAX_CLASSES = 2**20  # a larger label is taken for an error: an identifier, a price


def as_array(values: Any, name: str) -> np.ndarray:
    """Lists, NumPy, pandas and ``datasets`` columns, torch tensors on any device, as a NumPy array of numbers."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.double() if values.is_floating_point() else values  # NumPy has no bfloat16
    elif isinstance(values, (list, tuple)) and len(values) > 0 and hasattr(values[0], "detach"):
        values = [as_array(value, name) for value in values]
    if values is None:
        raise ValueError(f"{name} is missing: give as many predictions as references.")
    try:
        array = np.asarray(values)
    except ValueError:  # NumPy's word for a ragged list
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        kinds = {"O": "rows of different lengths, or other objects", "U": "text"}
        kind = kinds.get(array.dtype.kind, f"type {array.dtype}")
        raise ValueError(f"{name} must be numbers, in rows of equal length; got {kind}.")
    return array


def as_labels(values: Any, name: str, num_classes: int | None = None) -> np.ndarray:
    """(N,) int64 class indices in 0 .. K-1; floats only where they are whole."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be (N,) class indices, got shape {array.shape}.")
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        entry = int(np.flatnonzero(array != np.rint(array))[0])
        raise ValueError(
            f"{name} must be class indices, whole numbers; entry {entry} is {array[entry]}. "
            "Round the output of a regression to the nearest class first."
        )
    last = (MAX_CLASSES if num_classes is None else num_classes) - 1
    if array.size and not 0 <= array.min() <= array.max() <= last:
        entry = int(np.flatnonzero(~((array >= 0) & (array <= last)))[0])
        raise ValueError(
            f"{name} must be class indices in 0 .. {last}; entry {entry} is {array[entry]:.20g}. "
            "Leave out samples without a label."
        )
    return array.astype(np.int64)


def as_scores(values: Any, name: str) -> np.ndarray:
    """(N, K) float64 scores of the classes, contiguous, without NaN or +inf; some in a row may be -inf."""
    array = as_array(values, name)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must be (N, K), one number for each class, got shape {array.shape}.")
    array = np.ascontiguousarray(array, dtype=np.float64)
    if array.size and not (array.max() < np.inf and array.min() > -np.inf):
        wrong = ~(array < np.inf).all(1) | (array == -np.inf).all(1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            k = int(np.flatnonzero(~np.isfinite(array[row]))[-1])
            what = "for every class" if (array[row] == -np.inf).all() else f"for class {k}"
            raise ValueError(f"{name} must not hold NaN or infinity; row {row} has {array[row, k]} {what}.")
    return array


def as_reals(values: Any, name: str) -> np.ndarray:
    """(N,) float64 without NaN or infinity."""
    array = as_array(values, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one row of numbers, got shape {array.shape}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite; entry {row} is {array[row]}.")
    return array


def as_labels_or_distributions(values: Any, num_classes: int) -> np.ndarray:
    """References: (N,) class indices, or (N, K) distributions."""
    array = as_array(values, "references")
    if array.ndim != 2:
        return as_labels(array, "references", num_classes)
    if array.shape[1] != num_classes:
        raise ValueError(
            f"references must be (N,) class indices, or (N, {num_classes}) distributions like the predictions; "
            f"got shape {array.shape}."
        )
    return as_distributions(array, "references")


def as_likeliest_labels(values: Any, num_classes: int | None = None) -> np.ndarray:
    """References: (N,) class indices, or of (N, K) distributions the class with the largest share."""
    array = as_array(values, "references")
    if array.ndim != 2 or array.shape[1] == 1:  # one column is no distribution
        return as_labels(array, "references", num_classes)
    return as_labels_or_distributions(array, array.shape[1] if num_classes is None else num_classes).argmax(1)


def as_class_weights(values: Any, counts: np.ndarray) -> np.ndarray:
    """(K,) weights of the classes, from numbers, ``"balanced"`` (each class that occurs weighs the same) or None.

    ``counts``: (K,) samples of each class, or sums of their shares.
    """
    if values is None:
        return np.ones(len(counts))
    if isinstance(values, str):
        if values != "balanced":
            raise ValueError(f'class_weights must be "balanced" or one number for each class, got {values!r}.')
        return np.divide(1, counts, out=np.zeros(len(counts)), where=counts > 0)
    array = as_reals(values, "class_weights")
    if len(array) < len(counts) or (array < 0).any() or not (array[: len(counts)] * counts).any():
        raise ValueError(
            f"class_weights must be one number for each of the {len(counts)} classes, none negative, and not 0 for all "
            f"that occur; got {array.tolist()}."
        )
    return array[: len(counts)]


def as_ground_distance(values: Any, num_classes: int | None = None) -> np.ndarray:
    """(K, K) float64 distances, finite, not negative, 0 on the diagonal."""
    array = as_array(values, "ground_distance").astype(np.float64)
    size = num_classes or (array.shape[0] if array.ndim else 0)
    if array.shape != (size, size):
        expected = "" if num_classes is None else f" = ({size}, {size}) like the classes"
        raise ValueError(f"ground_distance must be (K, K){expected}, got shape {array.shape}.")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"ground_distance must be finite and not negative, got {array.min()} .. {array.max()}.")
    if array.diagonal().any():
        raise ValueError(f"ground_distance must be 0 on the diagonal, got {array.diagonal().tolist()}.")
    return array


def as_distributions(values: Any, name: str, hint: str = "") -> np.ndarray:
    """(N, K) float64 rows without a negative entry, of sum 1 within 0.01 (half precision), divided by their sum."""
    array = as_scores(values, name)
    sums = array.sum(1, keepdims=True)
    if array.size and (array.min() < 0 or np.abs(sums - 1).max() > 1e-2):
        row = int(np.flatnonzero((np.abs(sums[:, 0] - 1) > 1e-2) | (array.min(1) < 0))[0])
        raise ValueError(
            f"each row of {name} must be a distribution: no negative entry, sum 1; "
            f"row {row} has entries from {array[row].min():.4g} and the sum {sums[row, 0]:.4g}.{hint}"
        )
    return array / sums


def as_probabilities(values: Any) -> np.ndarray:
    """Predictions as :func:`as_distributions` has them."""
    return as_distributions(
        values, "predictions", " Are these logits? Then say from_logits=True, or take their softmax."
    )


def as_whole_numbers(values: Any, name: str, least: int) -> list[int]:
    """One whole number or several, none below ``least``."""
    several = list(values) if hasattr(values, "__iter__") and not isinstance(values, str) else [values]
    fits = [isinstance(v, (int, float, np.integer, np.floating)) and v >= least and v % 1 == 0 for v in several]
    if not several or not all(fits):
        raise ValueError(f"{name} must be whole numbers, at least {least}; got {several}.")
    return [int(value) for value in several]


def as_weights(values: Any, num_samples: int) -> np.ndarray | None:
    """(N,) float64 weights of the samples, none negative and not all 0; None stays None."""
    if values is None:
        return None
    array = as_reals(values, "sample_weight")
    if len(array) != num_samples or (array < 0).any() or not array.any():
        raise ValueError(
            f"sample_weight must be {num_samples} numbers, one a sample, none negative and not all 0; got {len(array)} "
            f"with the sum {array.sum():.4g}."
        )
    return array


def check_lengths(predictions: np.ndarray, references: np.ndarray) -> None:
    """Raises where there are not as many of one as of the other, or none."""
    if len(predictions) != len(references) or len(predictions) == 0:
        raise ValueError(
            f"predictions and references must be equally many, at least one; "
            f"got {len(predictions)} and {len(references)}."
        )


# kappa: Agreement beyond chance on ordered classes.


def weighted_kappa(
    predictions: np.ndarray,
    references: np.ndarray,
    *,
    weights: str | None = None,
    ground_distance: np.ndarray | None = None,
    sample_weight: np.ndarray | None = None,
) -> float:
    """Cohen's weighted kappa: 1 - observed disagreement / disagreement expected by chance (Cohen 1968).

    A pair of classes (i, k) disagrees by ``(i - k)^2`` (quadratic), ``abs(i - k)`` (linear) or ``D[i, k]``. Class
    indices are positions: a class that nobody used still keeps its two neighbours apart.

    Args:
        predictions: (N,) class indices.
        references: (N,) class indices.
        weights: ``"quadratic"`` (default) or ``"linear"``.
        ground_distance: (K, K) D, 0 on its diagonal, in place of ``weights``; ``D[i, k]`` for prediction i and
            reference k.
        sample_weight: (N,) weight of each sample, or how often it occurred. Default: all 1.

    Returns:
        A number up to 1; 0 is chance. 0, too, where chance leaves nothing to disagree on, as when both sides are
        constant and equal: there kappa is 0/0.

    Raises:
        ValueError: the lengths differ or are 0; an entry is no class index; ``weights``, ``ground_distance`` or
            ``sample_weight`` is not as above, or the first two are both given.

    >>> weighted_kappa(np.array([0, 1, 2, 1]), np.array([0, 1, 2, 2]))  # observed 1/4, expected 20/16
    0.8
    """
    predictions, references = as_labels(predictions, "predictions"), as_labels(references, "references")
    check_lengths(predictions, references)
    if weights is not None and ground_distance is not None:
        raise ValueError("give weights or ground_distance, not both: each says how far two classes are apart.")
    weights = "quadratic" if weights is None else weights
    if weights not in ("linear", "quadratic"):
        raise ValueError(f'weights must be "quadratic" or "linear", got {weights!r}.')
    sample_weight = as_weights(sample_weight, len(references))
    rows, predictions = np.unique(predictions, return_inverse=True)  # the classes that occur
    columns, references = np.unique(references, return_inverse=True)
    if ground_distance is None:
        disagreement = np.abs(rows[:, None] - columns[None, :]).astype(np.float64)
        disagreement = disagreement**2 if weights == "quadratic" else disagreement
    else:
        ground_distance = as_ground_distance(ground_distance)
        if max(rows[-1], columns[-1]) >= len(ground_distance):
            raise ValueError(
                f"ground_distance must cover every class: it is for 0 .. {len(ground_distance) - 1}, "
                f"got class {max(rows[-1], columns[-1])}."
            )
        disagreement = ground_distance[np.ix_(rows, columns)]
    observed = np.average(disagreement[predictions, references], weights=sample_weight)
    expected = _shares(predictions, sample_weight) @ disagreement @ _shares(references, sample_weight)
    return float(1 - observed / expected) if expected > 0 else 0.0


def _shares(positions: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    counts = np.bincount(positions, sample_weight)
    return counts / counts.sum()


# tables: Tables of arrays, as they lie in the cache files of ``evaluate``.


CHUNK_ROWS = 2**16

Columns = dict[str, np.ndarray]  # equally long


def as_table(columns: Columns) -> pa.Table:
    """(N,) arrays as they are, (N, K) as lists of fixed size; no copy."""
    return pa.table(
        {
            name: pa.array(column)
            if column.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(column.reshape(-1)), column.shape[1])
            for name, column in columns.items()
        }
    )


def copied(table: pa.Table) -> pa.Table:
    """The same table in memory of its own: the caller may use its arrays again."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def read_batches(paths: list[str]) -> Iterator[pa.RecordBatch]:
    """The record batches of files, one at a time."""
    for path in paths:
        try:
            source = pa.OSFile(path)
        except FileNotFoundError:
            raise ValueError(
                f"the samples of another process are no longer in {path}: it went on to the next round before this one "
                "was computed. Let all processes wait for the first after compute, or give each round its own "
                "experiment_id."
            ) from None
        with source, pa.ipc.open_stream(source) as stream:
            yield from stream


def as_columns(batch: pa.RecordBatch) -> Columns:
    """Undoes :func:`as_table`."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_fixed_size_list(column.type):
            columns[name] = column.flatten().to_numpy().reshape(-1, column.type.list_size)
        else:
            columns[name] = column.to_numpy()
    return columns


def check_same(first: pa.Schema, this: pa.Schema) -> None:
    """Raises a ``ValueError`` unless both have the same columns of the same shapes."""
    if first != this:
        before, now = (", ".join(f"{field.name} {_shape(field.type)}" for field in s) for s in (first, this))
        raise ValueError(f"every batch must have the shapes of the first: that had {before}; this one has {now}.")


def _shape(type: pa.DataType) -> str:
    return f"(N, {type.list_size})" if pa.types.is_fixed_size_list(type) else "(N,)"


# batch_metric: What the modules share: each batch is reduced to a small table, and the tables are folded at the end.


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


# pair_counts: How often each pair of predicted and true class occurs: all that a metric of decisions needs to know.


LABELS = datasets.Value("int64")
ROWS = datasets.List(datasets.Value("float64"))
LABELS_OR_SCORES = tuple(
    datasets.Features({"predictions": predictions, "references": references})
    for references in (LABELS, ROWS)
    for predictions in (LABELS, ROWS)
)


def count_pairs(predictions: Any, references: Any) -> Columns:
    """The pairs of a batch; predictions (N,) labels, or (N, K) probabilities or logits, of which the largest decides.

    References (N,) labels, or (N, K) distributions, of which the largest share decides.

    Returns:
        ``predictions``, ``references``, ``counts``: each pair that occurs, once, and how often.
    """
    predictions = as_array(predictions, "predictions")
    if predictions.ndim == 2:
        scores = as_scores(predictions, "predictions")
        predictions, num_classes = scores.argmax(1), scores.shape[1]
    else:
        predictions, num_classes = as_labels(predictions, "predictions"), None
    references = as_likeliest_labels(references, num_classes)
    check_lengths(predictions, references)
    return _merge(predictions, references)


def add_up(tables: Iterator[Columns]) -> Columns:
    """The pairs of all tables."""
    parts, rows = [], 0
    for table in tables:
        parts.append(table)
        rows += len(table["counts"])
        if rows > CHUNK_ROWS:
            parts = [_joined(parts)]
            rows = 0
    return _joined(parts)


def _joined(parts: list[Columns]) -> Columns:
    return _merge(*(np.concatenate([part[name] for part in parts]) for name in parts[0]))


def _merge(predictions: np.ndarray, references: np.ndarray, counts: np.ndarray | None = None) -> Columns:
    pairs, positions = np.unique(predictions * MAX_CLASSES + references, return_inverse=True)
    return {
        "predictions": pairs // MAX_CLASSES,
        "references": pairs % MAX_CLASSES,
        "counts": np.bincount(positions, counts).astype(np.int64),
    }


class QuadraticWeightedKappa(BatchMetric):
    """Cohen's weighted kappa of predicted and true classes: 1 is full agreement, 0 what chance would give.

    A pair of classes (i, k) disagrees by ``(i - k)^2``, on request by ``abs(i - k)`` or by ``D[i, k]`` (Cohen 1968).
    Class indices are positions: a class that nobody used still keeps its two neighbours apart.

    Inputs:
        predictions: N class indices; or N rows of K probabilities or logits, of which the largest decides (the first,
            among equals).
        references: N class indices; or N rows of K shares (votes, soft labels), of which the largest decides.

    Settings:
        weights (str): "quadratic" (default) or "linear".
        ground_distance (K x K numbers): D, in place of ``weights``; ``D[i][k]`` for prediction i and reference k.

    Returns:
        ``quadratic_weighted_kappa``, ``linear_weighted_kappa``, or with a ground distance ``weighted_kappa``: up to 1.
        It is 0 where chance leaves nothing to disagree on (both sides constant and equal, where kappa is 0/0).

    Raises:
        ValueError: no samples; an entry that is no class index, NaN; a setting does not fit.

    >>> metric = QuadraticWeightedKappa()
    >>> metric.compute(predictions=[0, 1, 2, 1], references=[0, 1, 2, 2])
    {'quadratic_weighted_kappa': 0.8}
    >>> metric.compute(predictions=[0, 1, 2, 1], references=[0, 1, 2, 2], weights="linear")
    {'linear_weighted_kappa': 0.7142857142857143}
    """

    example: ClassVar = {"predictions": [0, 1, 2, 1], "references": [0, 1, 2, 2]}

    def _info(self) -> evaluate.MetricInfo:
        return metric_info(self, *LABELS_OR_SCORES)

    def _reduce(self, predictions: Any, references: Any, settings: dict[str, Any]) -> Columns:
        return count_pairs(predictions, references)

    def _compute(
        self, tables: Iterator[Columns], *, weights: str | None = None, ground_distance: Any = None
    ) -> dict[str, Any]:
        pairs = add_up(tables)
        kappa = weighted_kappa(
            pairs["predictions"],
            pairs["references"],
            weights=weights,
            ground_distance=ground_distance,
            sample_weight=pairs["counts"],
        )
        if ground_distance is not None:
            return {"weighted_kappa": kappa}
        return {f"{weights or 'quadratic'}_weighted_kappa": kappa}
