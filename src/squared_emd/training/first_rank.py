"""What one rank does for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

__all__ = ["on_first_rank"]

Result = TypeVar("Result")


def on_first_rank(act: Callable[[], Result], failure: type[Exception]) -> Result:
    """Let the first rank act, and tell all ranks what came of it.

    Args:
        act: what the first rank does; the others wait for it.
        failure: made of the message of an OSError, RuntimeError or ValueError of the first rank, and raised on all.

    Returns:
        What `act` returned, on all ranks.

    >>> on_first_rank(lambda: "me/age", RuntimeError)
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
