"""Times a whole training step with each loss against one of the plain `transformers.Trainer` with cross-entropy.

    python benchmarks/training_step.py                                # about 8 minutes on two cores
    python benchmarks/training_step.py --model test_resnet --size 64 --batch 8 --turns 3      # seconds, to try it
    python benchmarks/training_step.py --classes 1000
    python benchmarks/training_step.py --alone                        # only what is ours: no step of the whole network

A step is what `Trainer` does between two batches: it counts the samples, moves them, runs the network forward, computes
the loss, runs backward, clips the gradient, steps the optimizer and calls the callbacks. The batch is there already.
The self-guided losses are past their jump start, with a D; their features are caught and added to the centroids.

A step of a large network takes so long that what a loss costs hides in its noise, so there are two figures. Whole steps
take turns. And the same step is taken with the network cut down to its last layer, fed with features: what it takes
longer than the plain Trainer's is the loss, the catching of the features, the look for NaN, the centroids and the log.
It is shown in milliseconds, and as a share of the plain Trainer's whole step. The last column counts the operations
that such a step asks of PyTorch beyond the plain Trainer's, without views: on a GPU each is a kernel or more, but for
the checks of values that are made on the CPU alone.

On a GPU the default is ResNet-50 and ViT-B with batches of 256 in bf16; on the CPU ResNet-50, 32, float32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from side_by_side import hardware, shown, take_turns
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForImageClassification, TimmWrapperConfig, Trainer, TrainingArguments
from transformers.utils import logging

from squared_emd import EMDTrainer, EMDTrainingArguments

STOCK = "plain Trainer, cross-entropy"
JUMP_START = "xemd2 in its jump start"
LOSSES = ("xe", "reg", "emd", "xemd", "xemd1", "xemd2", JUMP_START, "a-emd")


def network(model: str, classes: int) -> nn.Module:
    """A network of timm with random weights, as Hugging Face wraps it; it computes cross-entropy itself where asked."""
    torch.manual_seed(0)
    names = {k: str(k) for k in range(classes)}
    config = TimmWrapperConfig(architecture=model, id2label=names, label2id={name: k for k, name in names.items()})
    return AutoModelForImageClassification.from_config(config)


def cut_down(model: nn.Module) -> int:
    """Leave nothing of the network but its last layer, and say how many features that takes."""
    head = model.timm_model.get_classifier()
    model.timm_model = nn.Linear(head.in_features, head.out_features)
    return head.in_features


def make_trainer(way: str, model: nn.Module, args: argparse.Namespace, folder: Path) -> Trainer:
    """A Trainer as `train` would have set it up, in the middle of a run."""
    fields: dict[str, Any] = {
        "per_device_train_batch_size": args.batch,
        "optim": "sgd",
        "optim_args": "momentum=0.9",
        "learning_rate": 1e-4,
        "bf16": args.dtype == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    if way == STOCK:
        trainer = Trainer(model, TrainingArguments(str(folder), **fields))
    else:
        line = torch.arange(args.classes, dtype=torch.float64) / max(args.classes - 1, 1)
        distance = (line[:, None] - line).abs()  # (K, K)
        loss = "xemd2" if way == JUMP_START else way
        if loss == "a-emd":
            fields["ground_distance"] = str(folder / "line.npy")
            np.save(fields["ground_distance"], distance.numpy())
        trainer = EMDTrainer(model, EMDTrainingArguments(str(folder), loss=loss, **fields))
        trainer.add_callback(trainer.finite)  # train() would
        if loss == way:
            trainer.criterion.adopt(distance, {"loss": loss, "regularizer_weight": 1.0})
    trainer.create_optimizer_and_scheduler(num_training_steps=10**6)
    trainer.model_wrapped, trainer.optimizer = trainer.accelerator.prepare(trainer.model, trainer.optimizer)
    trainer.model_wrapped.train()
    trainer.current_gradient_accumulation_steps = 1
    return trainer


def step_of(trainer: Trainer, batch: dict[str, Tensor]) -> Callable[[], None]:
    """What `Trainer` does between two batches, as a function."""
    model, calls, args, state = trainer.model_wrapped, trainer.callback_handler, trainer.args, trainer.state

    def step() -> None:
        batches, samples = trainer.get_batch_samples(iter([dict(batch)]), 1, args.device)
        calls.on_step_begin(args, state, trainer.control)
        trainer.training_step(model, batches[0], samples)
        trainer.accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        calls.on_pre_optimizer_step(args, state, trainer.control)
        trainer.optimizer.step()
        calls.on_optimizer_step(args, state, trainer.control)
        trainer.lr_scheduler.step()
        model.zero_grad()
        state.global_step += 1
        calls.on_step_end(args, state, trainer.control)

    return step


class Operations(TorchDispatchMode):
    """Counts what is asked of PyTorch, but for views and memory."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.count += not (func.is_view or "empty" in func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def steps_with(model: str, args: argparse.Namespace, folder: Path, *, alone: bool) -> dict[str, Callable[[], None]]:
    """By name, a step of each way, each with a network of its own; `alone`: with nothing but its last layer."""
    steps = {}
    for way in (STOCK, *args.losses):
        net = network(model, 1 if way == "reg" else args.classes)
        shape = (cut_down(net),) if alone else (3, args.size, args.size)
        torch.manual_seed(1)
        inputs, labels = torch.rand(args.batch, *shape), torch.randint(args.classes, (args.batch,))
        own = folder / f"{way} {alone}"
        own.mkdir()
        trainer = make_trainer(way, net, args, own)
        batch = {"pixel_values": inputs.to(trainer.args.device), "labels": labels.to(trainer.args.device)}
        steps[way] = step_of(trainer, batch)
        steps[way]()  # the head is found
    return steps


def operations_of(step: Callable[[], None]) -> int:
    """How many operations a step asks of PyTorch."""
    step()
    with Operations() as operations:
        step()
    return operations.count


def table(model: str, args: argparse.Namespace, folder: Path) -> None:
    """Measure one network and print its table."""
    ours = steps_with(model, args, folder, alone=True)
    operations = {way: operations_of(step) for way, step in ours.items()}
    clock = time.process_time if args.threads == 1 and not torch.cuda.is_available() else time.perf_counter
    short = take_turns(ours, 5 * args.turns, calls=args.calls, warm_ups=3, clock=clock)
    whole, base, took = None, None, "not measured"
    if not args.alone:
        del ours
        whole = take_turns(steps_with(model, args, folder, alone=False), args.turns, warm_ups=0, clock=clock)
        base = statistics.median(whole[STOCK])
        took = f"{base:.4g} s"
    print(f"\n{model}, {args.classes} classes; a step of the plain Trainer: {took}.\n")
    print("| loss | whole step / plain Trainer's | / our xe | ours alone, ms | share of a whole step | operations |")
    print("|---|---:|---:|---:|---:|---:|")
    for way in args.losses:
        more = [1e3 * (own - plain) for own, plain in zip(short[way], short[STOCK], strict=True)]
        lower, middle, upper = statistics.quantiles(more, n=4, method="inclusive")
        cells = [f"{middle:.3g} ({lower:.3g} .. {upper:.3g})", "not run", f"{operations[way] - operations[STOCK]}"]
        ratios = ["not run", "not run"]
        if whole is not None:
            cells[1] = f"{middle / 10 / base:.2g} %"
            ratios = [shown(whole[way], whole[STOCK]), shown(whole[way], whole["xe"])]
        print(f"| {' | '.join([way, *ratios, *cells])} |", flush=True)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    gpu = torch.cuda.is_available()
    models = ["resnet50", "vit_base_patch16_224"] if gpu else ["resnet50"]
    parser.add_argument("--model", nargs="+", default=models, help="networks of timm with a linear head")
    parser.add_argument("--batch", type=int, default=256 if gpu else 32)
    parser.add_argument("--size", type=int, default=224, help="side of a picture")
    parser.add_argument("--classes", type=int, default=8, help="K")
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES), help="xe among them")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="bf16" if gpu else "fp32", help="bf16: autocast")
    parser.add_argument(
        "--turns", type=int, default=30 if gpu else 6, help="of a whole step; what is ours gets 5 times"
    )
    parser.add_argument("--calls", type=int, default=20, help="steps in a turn where only what is ours is timed")
    parser.add_argument("--threads", type=int, default=None, help="of PyTorch on the CPU; 1: CPU time is taken")
    parser.add_argument("--alone", action="store_true", help="time only what is ours")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    logging.set_verbosity_error()

    print(hardware("transformers", "timm"))
    print(
        f"Batches of {args.batch} at {args.size} pixels, {args.dtype}, {torch.get_num_threads()} threads. Medians "
        f"(quartiles) of {args.turns} turns, of what is ours alone {5 * args.turns} turns of {args.calls} steps."
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate(args.model):
            own = Path(folder, str(number))
            own.mkdir()
            table(model, args, own)


if __name__ == "__main__":
    main()
