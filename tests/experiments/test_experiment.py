"""What follows from the rows of an experiment, and where they are counted."""

from functools import partial
from types import SimpleNamespace

import pytest
from datasets import Dataset
from tests.experiments.tiny import NAMES, point_arguments, points

from squared_emd.data.splits import published_split
from squared_emd.data.table_encoder import TableEncoder
from squared_emd.experiments import experiment, launch
from squared_emd.experiments.experiment import Experiment, load_rows


@pytest.mark.parametrize(("column", "is_kept"), [("content", True), ("content", False), ("group", True), ("x", False)])
def test_rows_to_choose_by_are_cut_by_what_is_left_of_the_columns(column, is_kept):
    """An encoded table keeps no input; pairs of rows have one value."""
    rows = Dataset.from_dict({column: [f"{k // 2}" for k in range(24)], "number": [*range(11, -1, -1)] * 2})
    rows = rows.add_column("label", [0, 1] * 12).add_column("split", ["train"] * 20 + ["test"] * 4)
    encode = {} if is_kept else {"encode": TableEncoder(published_split(rows)[0]).encode}
    fields = {"table": "tabular", "data": "rows", "stand_in": True, "build": None, "model": "line", "rates": {}}
    made = Experiment.of_splits(rows, NAMES[:2], **encode, **fields)
    assert made.validation_by == (column if is_kept else None)
    train, validation = made.with_validation(made.split(0)[0], 0)
    assert (len(train), len(validation)) == (16, 4)
    if is_kept:
        assert not set(train[column]) & set(validation[column])


def test_classes_are_counted_where_their_table_is_printed(monkeypatch, tmp_path, capsys):
    counted = []
    monkeypatch.setattr(experiment, "class_table", lambda *rows: counted.append(rows) or "a table")
    load = partial(load_rows, point_arguments(tmp_path), "tables", None, lambda: points(6, 0), NAMES[:3])
    load()
    assert "\na table\n" in capsys.readouterr().out
    monkeypatch.setattr(launch, "PartialState", lambda: SimpleNamespace(is_main_process=False))
    load()
    assert len(counted) == 1 and not capsys.readouterr().out
