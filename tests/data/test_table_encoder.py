import joblib
import numpy as np
import pytest
from datasets import Dataset, Features, Value
from tests.errors import message_of

from squared_emd.data.table_encoder import TableEncoder, id_columns

TRAIN = Dataset.from_dict({"x": [1.0, None, 3.0], "same": [5, 5, 5], "kind": ["b", "a", None], "label": [0, 1, 0]})
ADVICE = "Name the columns to learn from with --feature_columns"
OUTSIDE = f"whose standard deviation is outside the range of float64. Scale them. {ADVICE}."


def test_by_hand(tmp_path):
    """x has the mean 2 and the deviation 1; `same` has the deviation 0."""
    encoder = TableEncoder(TRAIN)
    rows = {"x": [1.0, None, 4.0], "same": [5, 6, None], "kind": ["a", "c", None]}
    encoded = encoder.encode(Dataset.from_dict(rows | {"label": [1, 0, 1], "group": list("ppq")}))
    # x, x is missing, same, kind is a, kind is b
    assert encoded["features"][:] == [[-1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [2, 0, 0, 0, 0]]
    assert (encoded["label"][:], encoded["group"][:]) == ([1, 0, 1], ["p", "p", "q"])
    unlabeled = encoder.encode(Dataset.from_dict(rows))
    assert (unlabeled.column_names, unlabeled["features"][:]) == (["features"], encoded["features"][:])
    assert encoder.num_features == 5
    assert str(encoder) == (
        "2 standardized columns of numbers; missing values are the mean and marked in x; one column per value for "
        "kind (2)."
    )
    encoder.save(tmp_path / "new" / "columns.joblib")
    again = joblib.load(tmp_path / "new" / "columns.joblib")
    expected = np.array(encoder.encode(TRAIN)["features"])
    np.testing.assert_array_equal(again.transform(TRAIN.to_pandas()).astype(np.float32), expected)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [None, None]}, f"the column x has no value in the training rows. {ADVICE}."),
        ({"x": [1.0, np.inf]}, f"the column x has infinite values. {ADVICE}."),
        ({"x": [1.0, 1e308]}, f"the column x has values from 1.0 to 1e+308, {OUTSIDE}"),
        ({"x": [-1.7e308, 1.7e308]}, f"the column x has values from -1.7e+308 to 1.7e+308, {OUTSIDE}"),
        ({"x": [1e-200, 2e-200]}, f"the column x has values from 1e-200 to 2e-200, {OUTSIDE}"),
        (
            {"name": [f"{k}" for k in range(60)]},
            f"the column name has 60 different texts in 60 training rows, at most 50 can be encoded. {ADVICE}, without "
            "it.",
        ),
    ],
)
def test_columns_that_cannot_be_encoded(columns, message):
    (name,) = columns
    count = len(columns[name])
    features = Features({name: Value("string" if count > 2 else "float64"), "label": Value("int64")})
    rows = Dataset.from_dict(columns | {"label": [0] * count}, features=features)
    assert message_of(ValueError, TableEncoder, rows) == message


def test_values_within_the_limits():
    """Mean 2e150 and deviation 1e150; a constant, however large, has the deviation 0."""
    rows = Dataset.from_dict({"x": [1e150, 3e150], "same": [1e300, 1e300], "label": [0, 1]})
    assert TableEncoder(rows).encode(rows)["features"][:] == [[-1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (1e300, "the value 1e+300 (row 1 of 2), too far from those of the training rows"),
        (-1e16, "the value -1e+16 (row 1 of 2), too far from those of the training rows"),
        (-np.inf, "infinite values"),
    ],
)
def test_values_far_from_those_of_training(value, what):
    encoder = TableEncoder(Dataset.from_dict({"other": [1, 2], "x": [-1.0, 1.0], "label": [0, 1]}))
    rows = Dataset.from_dict({"other": [1, 2], "x": [0.0, value], "label": [0, 1]})
    end = "." if np.isinf(value) else ", or correct it."
    assert message_of(ValueError, encoder.encode, rows) == f"the column x has {what}. {ADVICE}{end}"


def test_what_training_has_not_seen(caplog):
    encoder = TableEncoder(Dataset.from_dict({"x": [1.0, 3.0], "kind": ["a", "b"], "label": [0, 1]}))
    rows = {"x": [3.0, None, 1.0, None], "kind": ["c", None, "d", "c"], "label": [0, 1, 0, 1]}
    encoded = encoder.encode(Dataset.from_dict(rows))
    assert encoded["features"][:] == [[1, 0, 0], [0, 0, 0], [-1, 0, 0], [0, 0, 0]]
    assert caplog.messages == [
        "3 of 4 rows have a kind that no training row has, and are encoded as if they had none: 'c', 'd'.",
        "2 of 4 rows have no x, which every training row has; the mean takes its place.",
    ]


@pytest.mark.parametrize(
    ("values", "end"),
    [
        (["1", "2", "x"], ", without 'x'."),
        (["1", "2"], "."),
        (["1,234.5", "7%", "1e3"], ", without '1,234.5', '7%'."),
    ],
)
def test_numbers_stored_as_text(values, end, caplog):
    TableEncoder(Dataset.from_dict({"x": values, "label": [0] * len(values)}))
    assert caplog.messages == [
        f"the column x is taken for text, though most of its values are numbers. Store it as numbers{end}"
    ]


@pytest.mark.parametrize(
    ("name", "values", "is_id"),
    [
        ("nr", range(5, 25), True),
        ("nr", range(25, 5, -1), True),
        ("patient_id", [k * k for k in range(20)], True),
        ("CustomerId", [k * k for k in range(20)], True),
        ("customerID", [k * k for k in range(20)], True),
        ("paid", [k * k for k in range(20)], False),
        ("body_mass_index", [k + 0.5 for k in range(20)], False),
        ("ID", [f"p{k}" for k in range(20)], True),
        ("name", [f"p{k}" for k in range(20)], True),
        ("Unnamed: 0", [7, 8] * 10, True),
        ("__index_level_0__", [0.5] * 20, True),
        ("income", [k * k for k in range(20)], False),
        ("patient_id", [k // 2 for k in range(20)], False),
        ("name", [f"p{k // 2}" for k in range(20)], False),
        ("share", [k / 20 for k in range(20)], False),
        ("age", [*range(19), 3], False),
        ("age", [*range(19), None], False),
        ("nr", range(9), False),  # few rows
        ("day", [f"2020-01-{k}" for k in range(10, 30)], True),
        ("price", [f"{k},234.5 €" for k in range(20)], False),
        ("size", [*(f"{k / 8}" for k in range(19)), "?"], False),  # of these the encoder asks for numbers
    ],
)
def test_id_columns(name, values, is_id):
    rows = Dataset.from_dict({"x": [0.5] * len(values), name: list(values), "label": [1] * len(values)})
    assert id_columns(rows) == [name] * is_id
