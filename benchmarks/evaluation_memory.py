"""What an evaluation keeps in memory: `python benchmarks/evaluation_memory.py`.

Evaluates 20,000 rows of 1,000 logits by a linear network, each time in a process of its own: a stock `Trainer` and
`EMDTrainer` with the same `compute_metrics`. Prints the peak memory beyond that after a first evaluation of one batch,
as a ratio to the stock Trainer's, and the time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import torch
from side_by_side import hardware
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from squared_emd import EMDTrainer, EMDTrainingArguments, ordinal_metrics

WAYS = {
    "Trainer": "stock",
    "Trainer, `batch_eval_metrics=True`": "stock-batches",
    "EMDTrainer": "ours",
    "EMDTrainer, a `compute_metrics` without `restart()`": "ours-whole",
    "Trainer, `predict()`": "stock-predict",
    "EMDTrainer, `predict()`": "ours-predict",
}


class Network(nn.Module):
    """One linear layer."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.head = nn.Linear(16, num_classes)

    def forward(self, inputs: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Logits, and the loss that a stock Trainer wants."""
        logits = self.head(inputs)
        return {"logits": logits} if labels is None else {"loss": logits.new_zeros(()), "logits": logits}


class Rows(Dataset):
    """Random rows, made when they are asked for."""

    def __init__(self, count: int, num_classes: int) -> None:
        self.count, self.num_classes = count, num_classes

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": torch.full((16,), index / self.count), "labels": index % self.num_classes}


def peak() -> float:
    """MB that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure(way: str, num_rows: int, num_classes: int) -> dict[str, Any]:
    """One way, in this process.

    Args:
        way: a value of `WAYS`.
        num_rows: N.
        num_classes: K.

    Returns:
        `memory` in MB, `seconds`, and the `metrics`.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    trainer_name, _, how = way.partition("-")
    metrics: Any = ordinal_metrics()
    if how == "whole":
        ours = metrics
        metrics = lambda evaluation: ours(evaluation)  # noqa: E731
    with tempfile.TemporaryDirectory() as folder:
        fields = {"per_device_eval_batch_size": 256, "use_cpu": True, "report_to": [], "disable_tqdm": True}
        if trainer_name == "stock":
            fields |= {"label_names": ["labels"], "batch_eval_metrics": how == "batches"}
            args, kind = TrainingArguments(folder, **fields), Trainer
        else:
            args, kind = EMDTrainingArguments(folder, loss="xe", **fields), EMDTrainer
        trainer = kind(Network(num_classes), args, compute_metrics=metrics)
        run = trainer.predict if how == "predict" else trainer.evaluate
        run(Rows(256, num_classes))  # what is made once
        before, start = peak(), time.perf_counter()
        found = run(Rows(num_rows, num_classes))
        seconds = time.perf_counter() - start
    found, name = (found.metrics, "test") if how == "predict" else (found, "eval")
    return {"memory": peak() - before, "seconds": seconds, "metrics": {"mae": found[f"{name}_mae"]}}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print("\n" + json.dumps(measure(args.way, args.rows, args.classes)))
        return
    print(f"{hardware('transformers')} 1 thread.\n")
    print(f"{args.rows} rows of {args.classes} logits: {4e-6 * args.rows * args.classes:.0f} MB in float32.\n")
    print("| | MB beyond | of Trainer's | s |")
    print("| --- | --- | --- | --- |")
    first: dict[str, dict[str, Any]] = {}
    for name, way in WAYS.items():
        command = [sys.executable, __file__, "--way", way, "--rows", str(args.rows), "--classes", str(args.classes)]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        result = json.loads(done.stdout.splitlines()[-1])
        base = first.setdefault("predict" if way.endswith("predict") else "evaluate", result)
        if result["metrics"] != base["metrics"]:
            raise AssertionError(f"{name} found {result['metrics']}, not {base['metrics']}.")
        ratio = result["memory"] / base["memory"]
        print(f"| {name} | {result['memory']:.0f} | {ratio:.2f} | {result['seconds']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
