"""How long starting up takes: what `import squared_emd` adds, and the command lines until they say something.

Every figure is of fresh processes that take turns, with the files warm: seconds, the median and the middle half.

    python benchmarks/start_up.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from side_by_side import hardware, take_turns

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
LIBRARIES = "import torch, transformers"
OURS = (
    "from time import perf_counter\n"
    f"{LIBRARIES}\n"
    "start = perf_counter()\n"
    "import squared_emd\n"
    "print(perf_counter() - start)"
)
HELP = (
    *(f"recipes/{path.name} --help" for path in sorted((ROOT / "recipes").glob("*.py"))),
    *(f"-m squared_emd {words}" for words in ("--help", "push --help", "report --help")),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=13, help="turns of the imports")
    parser.add_argument("--command_repeats", type=int, default=3, help="turns of the command lines")
    given = parser.parse_args()

    # 1. The imports. From turn to turn a process varies by more than what we add, so that is timed within it, too.
    within: list[float] = []
    ways: dict[str, Callable[[], object]] = {
        LIBRARIES: partial(run, "-c", LIBRARIES),
        "and squared_emd": lambda: within.append(float(run("-c", OURS))),
    }
    imports = take_turns(ways, given.repeats)
    plain, with_ours = imports.values()
    added = [one - other for one, other in zip(with_ours, plain, strict=True)]
    rows = [
        (f"`{LIBRARIES}`", shown(plain, "s")),
        (f"`{LIBRARIES}, squared_emd`", shown(with_ours, "s")),
        ("their difference, turn by turn", shown(added, "ms")),
        ("`import squared_emd`, timed within the second", shown(within[1:], "ms")),  # the first was to warm the files
    ]

    # 2. The command lines.
    commands: dict[str, Callable[[], object]] = {f"`python {words}`": partial(run, *words.split()) for words in HELP}
    commands["`python recipes/adience.py`, until its first line"] = first_line
    first_line()  # draws the faces, if nobody has, and warms the files
    times = take_turns(commands, given.command_repeats, warm_ups=0)
    rows += [(name, shown(seconds, "s")) for name, seconds in times.items()]

    print("| in a fresh process | median (middle half) |\n|---|---|")
    print("\n".join(f"| {name} | {figure} |" for name, figure in rows))
    print(f"\n{given.repeats} turns of the imports, {given.command_repeats} of the commands, one thread. ", end="")
    print(hardware("transformers"))


def run(*words: str) -> str:
    """What a Python process prints that ends well."""
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=ONE_THREAD, cwd=ROOT).stdout


def first_line() -> None:
    """A recipe on drawn faces, stopped as soon as it says how many there are."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "recipes/adience.py", "--use_cpu", "True", "--output_dir", folder]
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": ONE_THREAD, "cwd": ROOT, "text": True}
        with subprocess.Popen(command, **piped) as recipe:
            line = recipe.stdout.readline()
            recipe.kill()
    if "faces of" not in line:
        raise RuntimeError(f"the first line of recipes/adience.py must say how many faces there are, got {line!r}.")


def shown(seconds: Sequence[float], unit: str) -> str:
    """The median and the quartiles, in s or ms."""
    figures = sorted(seconds) if len(seconds) < 2 else statistics.quantiles(seconds, n=4, method="inclusive")
    factor, digits = (1000, 0) if unit == "ms" else (1, 2)
    lower, middle, upper = (f"{factor * figures[i]:.{digits}f}" for i in (0, len(figures) // 2, -1))
    return f"{middle} {unit} ({lower} .. {upper})"


if __name__ == "__main__":
    main()
