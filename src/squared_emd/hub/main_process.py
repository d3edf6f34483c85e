"""What the main process does for all ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

__all__ = ["on_main_process"]

Result = TypeVar("Result")


def on_main_process(act: Callable[[], Result], failure: type[Exception]) -> Result:
    """Let the main process act, and give all ranks its result or its error.

    Args:
        act: what the main process does; the others wait for it.
        failure: made of the message of an OSError or ValueError of `act`, and raised on all ranks.

    Returns:
        What `act` returned, on all ranks.

    Raises:
        RuntimeError: on the other ranks, with the message of any other error, which the main process raises itself.

    Examples:
        >>> on_main_process(lambda: "me/age", RuntimeError)
        'me/age'
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
