"""Splits by fold, by person, as published and by row."""

import pytest
from datasets import Dataset
from tests.errors import message_of

from squared_emd.data.splits import class_table, fold_split, published_split, validation_split


def rows_of(**columns):
    return Dataset.from_dict(columns | {"row": list(range(len(next(iter(columns.values())))))})


def people(users, folds=None):
    return rows_of(user_id=users, fold=folds or [0] * len(users))


def test_fold_split_refuses_a_user_on_both_sides():
    dataset = people(["a", "b", "b", "c", "c"], [0, 1, 3, 3, 4])
    for fold in (1, 3):
        assert message_of(ValueError, fold_split, dataset, fold) == (
            f"A user must stand on one side of the split: user b is in folds [1, 3] and {fold} is the test fold. "
            "Give all rows of this user the same fold."
        )
    train, test = fold_split(dataset, 0)
    assert (train["row"][:], test["row"][:]) == ([1, 2, 3, 4], [0])


@pytest.mark.parametrize(("folds", "fold"), [([0, 1], 5), ([0, 0], 0)])
def test_fold_split_without_that_fold(folds, fold):
    assert message_of(ValueError, fold_split, people(["a", "b"], folds), fold) == (
        f"fold must be one of at least two folds of the dataset, got {fold}; it has {sorted(set(folds))}."
    )


@pytest.mark.parametrize(
    ("by", "share", "size"), [("user_id", 0.1, 40), ("picture", 0.2, 80), (None, 0.1, 40)]
)  # of 40 users with 10 rows each, 80 pictures with 5
def test_validation_split_is_by_a_column_or_by_row_and_repeats(by, share, size):
    dataset = rows_of(user_id=[f"user {i % 40}" for i in range(400)], picture=[f"picture {i // 5}" for i in range(400)])
    train, validation = validation_split(dataset, share=share, seed=3, by=by)
    assert by is None or not set(train[by]) & set(validation[by])
    assert sorted([*train["row"], *validation["row"]]) == list(range(400))
    assert len(validation) == size
    assert validation["row"][:] == sorted(validation["row"])
    assert validation_split(dataset, share=share, seed=3, by=by)[1]["row"][:] == validation["row"][:]
    assert validation_split(dataset, share=share, seed=4, by=by)[1]["row"][:] != validation["row"][:]


def test_validation_split_with_few_large_users():
    train, validation = validation_split(people(["a"] * 5 + ["b"] * 2 + ["c"] * 3), share=0.1, seed=0)
    assert (set(train["user_id"]), set(validation["user_id"])) == ({"a", "c"}, {"b"})


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_validation_split_share_out_of_range(share):
    assert message_of(ValueError, validation_split, people(["a", "b"]), share=share, seed=0) == (
        f"share must lie between 0 and 1, got {share}."
    )


def test_published_split():
    rows = rows_of(split=["test", "train", "validation", "train"])
    train, test = published_split(rows)
    assert (train["row"][:], test["row"][:]) == ([1, 3], [0])
    assert published_split(rows, test="validation")[1]["row"][:] == [2]
    assert message_of(ValueError, published_split, rows.select([1, 2])) == (
        "The dataset needs rows of the split 'test', it has ['train', 'validation']."
    )


@pytest.mark.parametrize(("options", "unit"), [({}, "user"), ({"by": "picture"}, "picture"), ({"by": None}, "row")])
def test_too_few(options, unit):
    assert message_of(ValueError, validation_split, rows_of(picture=["a"], user_id=["b"]), seed=0, **options) == (
        f"A split by {unit} needs at least two {unit}s, got 1."
    )


def test_the_table_of_classes_counts_the_likeliest_of_soft_labels():
    rows = rows_of(
        label=[[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1]], split=["test", "validation", "validation"]
    )
    lines = ["class  validation  test  all", "    a           1     0    1", "    b           1     1    2"]
    lines += ["    c           0     0    0", "  all           2     1    3"]
    assert class_table(rows, ["a", "b", "c"]).splitlines() == lines
