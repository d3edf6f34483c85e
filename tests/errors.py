"""The whole message of an error, which tests compare."""

import pytest


def message_of(error, call, *args, **options):
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert caught.type is error
    return str(caught.value)
