"""How the benchmarks here time: ways of doing the same take turns, and what is reported is their ratio."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch


def take_turns(
    ways: dict[str, Callable[[], object]],
    repeats: int,
    *,
    calls: int = 1,
    warm_ups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """The seconds of each way, turn by turn, so that whatever else slows the machine slows all of them.

    Args:
        ways: what is timed, by name.
        repeats: turns of each.
        calls: in a turn, where one call is too short to be timed.
        warm_ups: turns before those that count.
        clock: `time.process_time` counts CPU time, which other programs on the machine change less, of all threads.

    Returns:
        By name, the seconds of one call in each turn.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(-warm_ups, repeats):
        for name in names:
            run = ways[name]
            _wait()
            start = clock()
            for _ in range(calls):
                run()
            _wait()
            if turn >= 0:
                seconds[name].append((clock() - start) / calls)
        names.reverse()  # so that none always comes after the same other one
    return seconds


def ratio(seconds: list[float], base: list[float]) -> tuple[float, float, float]:
    """The ratios of two ways turn by turn: their median, and the middle half of them.

    Args:
        seconds: of a way, by turn.
        base: of the way that counts as 1, by turn.

    Returns:
        The median, the lower and the upper quartile.

    >>> ratio([2.0, 3.0, 8.0, 5.0, 6.0], [1.0, 1.0, 2.0, 1.0, 1.0])
    (4.0, 3.0, 5.0)
    """
    ratios = [one / other for one, other in zip(seconds, base, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, lower, upper


def shown(seconds: list[float], base: list[float]) -> str:
    """A cell of a table: the median ratio, and its quartiles."""
    middle, lower, upper = ratio(seconds, base)
    return f"{middle:.3g} ({lower:.3g} .. {upper:.3g})"


def hardware(*packages: str) -> str:
    """A line that says on what was measured.

    Args:
        packages: whose versions matter beside torch's.
    """
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    cores = f"{os.cpu_count()} cores of {_processor()}"
    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{time.strftime('%Y-%m-%d')}; {cores}; {', '.join(cards) or 'no GPU'}; {versions}."


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
