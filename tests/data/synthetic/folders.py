"""What the tests of synthetic data share: the files of a folder, and the message of an error."""

import pytest

ADVICE = "Give another folder, or move that one away."


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def message_of(error, call, *args, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert caught.type is error
    return str(caught.value)
