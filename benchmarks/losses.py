"""Times the losses, forward and backward, against PyTorch's cross-entropy: `python benchmarks/losses.py`.

All take turns on the same logits, and the table gives the median of the ratios of each turn and their middle half: on
the CPU with one thread, in CPU time, and with all; with `--device cuda` in float32 and bfloat16, eager and by
`torch.compile`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from side_by_side import hardware, shown, take_turns

from squared_emd import (
    energy_distance_loss,
    entropic_wasserstein_loss,
    exact_emd_loss,
    self_guided_loss,
    squared_emd_loss,
)

SHAPES = ((64, 8), (256, 100), (256, 1000), (1024, 1000), (64, 21841))
TURN = 2**19  # logits that pass in a turn, so that a short loss is called often enough to be timed

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def losses(matrix: torch.Tensor) -> dict[str, Loss]:
    """All that is compared, by name; cross-entropy first. D lies by columns, as the Trainer has it."""
    columns = matrix.T
    return {
        "cross-entropy": F.cross_entropy,
        "squared EMD": squared_emd_loss,
        "xemd": lambda x, y: F.cross_entropy(x, y) + 6 * energy_distance_loss(x, y, matrix),
        "self-guided": lambda x, y: self_guided_loss(x, y, columns, weight=3.0, omega=2, mu=-0.25),
        "exact EMD": lambda x, y: exact_emd_loss(x, y, columns),
        "A-EMD": lambda x, y: entropic_wasserstein_loss(x, y, columns, strength=10.0),
    }


def step(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward and backward."""
    logits.grad = None
    loss(logits, labels).backward()


def row(size: int, num_classes: int, repeats: int, device: str, dtype: torch.dtype, compiled: bool) -> list[str]:
    """One row of the table: the microseconds of cross-entropy, and the ratios."""
    torch.manual_seed(0)
    logits = torch.randn(size, num_classes, device=device, dtype=dtype, requires_grad=True)
    labels = torch.randint(num_classes, (size,), device=device)
    matrix = torch.rand(num_classes, num_classes, device=device)
    matrix = matrix.add_(matrix.T.clone()).fill_diagonal_(0)
    ways = losses(matrix)
    if compiled:
        ways = {name: torch.compile(loss) for name, loss in ways.items()}
    steps = {name: partial(step, loss, logits, labels) for name, loss in ways.items()}
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    seconds = take_turns(steps, repeats, calls=max(1, TURN // (size * num_classes)), warm_ups=3, clock=clock)
    base = seconds["cross-entropy"]
    return [
        f"{size} x {num_classes:,}",
        f"{1e6 * sorted(base)[len(base) // 2]:,.0f}",
        *(shown(seconds[name], base) for name in steps if name != "cross-entropy"),
    ]


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--classes", type=int, nargs="+", default=[shape[1] for shape in SHAPES], help="K, of the rows")
    args = parser.parse_args()
    print(hardware())
    if args.device == "cpu":
        settings = [(torch.float32, False, threads) for threads in dict.fromkeys((1, torch.get_num_threads()))]
    else:
        settings = [(dtype, compiled, 0) for dtype in (torch.float32, torch.bfloat16) for compiled in (False, True)]
    for dtype, compiled, threads in settings:
        title = f"{str(dtype).removeprefix('torch.')}, {'torch.compile' if compiled else 'eager'}"
        if threads:
            torch.set_num_threads(threads)
            title += f", {threads} thread{'s' if threads > 1 else ''}"
        print(f"\n{title}: cross-entropy in µs, the others as ratios to it\n")
        print("| B x K | cross-entropy | " + " | ".join(list(losses(torch.eye(1)))[1:]) + " |")
        print("|---" + "|--:" * len(losses(torch.eye(1))) + "|")
        for size, num_classes in SHAPES:
            if num_classes not in args.classes:
                continue
            cells = row(size, num_classes, args.repeats, args.device, dtype, compiled)
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
