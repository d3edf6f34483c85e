"""Tables of arrays, as they lie in the cache files of ``evaluate``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

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
