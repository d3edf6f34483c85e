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
        failure: made of the message of an OSError, RuntimeError or ValueError of `act`, and raised on all ranks.

    Returns:
        What `act` returned, on all ranks.

    Examples:
        >>> on_main_process(lambda: "me/age", RuntimeError)
        'me/age'
    """
    state = PartialState()
    result = message = None
    if state.is_main_process:
        try:
            result = act()
        except (OSError, RuntimeError, ValueError) as error:
            message = str(error)
    if state.num_processes > 1:
        result, message = broadcast_object_list([result, message])
    if message is not None:
        raise failure(message)
    return result
