"""What the main process does for all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

Result = TypeVar("Result")


def on_main_process(act: Callable[[], Result], failure: type[Exception]) -> Result:
    """Let the main process act, and give all ranks its result or its error; the others wait.

    An OSError or ValueError becomes a `failure` on all ranks. Any other error the main process raises itself, and the
    others raise a RuntimeError with its message.
    """
    state, result, error, message, is_expected = PartialState(), None, None, None, True
    if state.is_main_process:
        try:
            result = act()
        except BaseException as raised:  # whatever it is, the others are waiting
            error, is_expected = raised, isinstance(raised, (OSError, ValueError, failure))
            message = str(error) if is_expected else f"the main process failed, {type(error).__name__}: {error}"
    if state.num_processes > 1:
        result, message, is_expected = broadcast_object_list([result, message, is_expected])
    if message is None:
        return result
    if error is not None and (isinstance(error, failure) or not is_expected):
        raise error
    raise (failure if is_expected else RuntimeError)(message) from error
