"""JSON that is not as it should be, and files that are written aside."""

import numpy as np
import pytest
from tests.errors import message_of

from squared_emd.ground_distance.files import read_json, write_aside


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[1, 2", "Expecting ',' delimiter: line 1 column 6 (char 5)"),
        (b'"\xff"', "'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"),
        (b"[" * 100_000, "maximum recursion depth exceeded"),
    ],
)
def test_an_error_names_the_file(tmp_path, content, why):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    message = message_of(ValueError, read_json, path)
    assert message.startswith(f"{path} must be JSON in UTF-8; reading it gave: {why}")
    assert message.endswith("; write it again")


def test_a_file_is_replaced_once_it_is_written(tmp_path):
    path = tmp_path / "new" / "numbers.npz"
    with write_aside(path) as unfinished:
        np.savez(unfinished, a=1)
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), write_aside(path) as unfinished:
        unfinished.write_bytes(b"half a")
        raise KeyboardInterrupt
    with np.load(path) as arrays:
        assert arrays["a"] == 1
    assert [each.name for each in path.parent.iterdir()] == ["numbers.npz"]
