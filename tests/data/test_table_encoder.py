import joblib
import numpy as np
import pytest
from datasets import Dataset, Features, Value

from squared_emd.data.table_encoder import TableEncoder

TRAIN = Dataset.from_dict({"x": [1.0, None, 3.0], "same": [5, 5, 5], "kind": ["b", "a", None], "label": [0, 1, 0]})
ADVICE = "Name the columns to learn from with --feature_columns"


def test_by_hand(tmp_path):
    """x has the mean 2 and the deviation 1; `same` has the deviation 0."""
    encoder = TableEncoder(TRAIN)
    rows = {"x": [1.0, None, 4.0], "same": [5, 6, None], "kind": ["a", "c", None], "label": [1, 0, 1]}
    encoded = encoder.encode(Dataset.from_dict(rows))
    # x, x is missing, same, kind is a, kind is b
    assert encoded["features"][:] == [[-1, 0, 0, 1, 0], [0, 1, 1, 0, 0], [2, 0, 0, 0, 0]]
    assert encoded["label"][:] == [1, 0, 1]
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
    with pytest.raises(ValueError) as caught:
        TableEncoder(Dataset.from_dict(columns | {"label": [0] * count}, features=features))
    assert str(caught.value) == message


def test_infinite_values_after_training():
    encoder = TableEncoder(Dataset.from_dict({"x": [1.0, 2.0], "label": [0, 1]}))
    with pytest.raises(ValueError, match="the column x has infinite values"):
        encoder.encode(Dataset.from_dict({"x": [-np.inf], "label": [0]}))
