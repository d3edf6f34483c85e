"""Splits that are not by fold; those by fold and by person are tested with Adience."""

import re

import pytest
from datasets import Dataset

from squared_emd.data.splits import class_table, published_split, validation_split


def rows_of(**columns):
    return Dataset.from_dict(columns | {"row": list(range(len(next(iter(columns.values())))))})


def test_published_split_leaves_out_others():
    rows = rows_of(split=["test", "train", "validation", "train"])
    train, test = published_split(rows)
    assert (train["row"][:], test["row"][:]) == ([1, 3], [0])
    assert published_split(rows, test="validation")[1]["row"][:] == [2]


def test_published_split_without_a_side():
    message = "The dataset needs rows of the split 'test', it has ['train', 'validation']."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        published_split(rows_of(split=["validation", "train"]))


def test_validation_by_another_column():
    rows = rows_of(picture=[f"picture {i // 5}" for i in range(100)])
    train, validation = validation_split(rows, share=0.2, seed=1, by="picture")
    assert len(validation) == 20
    assert not set(train["picture"]) & set(validation["picture"])


def test_validation_by_row():
    rows = rows_of(x=[0] * 40)
    train, validation = validation_split(rows, share=0.1, seed=1, by=None)
    assert len(validation) == 4
    assert sorted([*train["row"], *validation["row"]]) == list(range(40))
    assert validation_split(rows, share=0.1, seed=2, by=None)[1]["row"][:] != validation["row"][:]


@pytest.mark.parametrize(("by", "unit"), [("picture", "picture"), (None, "row")])
def test_too_few(by, unit):
    message = f"A split by {unit} needs at least two {unit}s, got 1."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        validation_split(rows_of(picture=["a"]), seed=0, by=by)


def test_the_table_of_classes_counts_the_likeliest_of_soft_labels():
    rows = rows_of(
        label=[[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1]], split=["test", "validation", "validation"]
    )
    lines = ["class  validation  test  all", "    a           1     0    1", "    b           1     1    2"]
    lines += ["    c           0     0    0", "  all           2     1    3"]
    assert class_table(rows, ["a", "b", "c"]).splitlines() == lines
