"""How long the runs of a table may take, from a few steps measured on this machine."""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .arguments import ExperimentArguments
from .experiment import Experiment
from .training import arguments_of, build_trainer

__all__ = ["Pace", "measure_pace", "spoken"]

_WARM_UP, _STEPS, _EVAL_BATCHES = 3, 6, 4


class Pace(NamedTuple):
    """Seconds of an optimizer step, and of testing one row."""

    step: float
    row: float

    def of_run(self, args: ExperimentArguments, num_train: int, num_test: int) -> float:
        """Seconds of a whole run.

        Args:
            args: of the run.
            num_train: rows to train on.
            num_test: rows to test on, after every epoch and once more at the end.
        """
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        steps_an_epoch = -(-num_train // batch)
        steps = args.max_steps if args.max_steps > 0 else args.num_train_epochs * steps_an_epoch
        return steps * self.step + (steps / steps_an_epoch + 1) * num_test * self.row


def measure_pace(args: ExperimentArguments, experiment: Experiment, model: str, rows: tuple[Dataset, Dataset]) -> Pace:
    """Train a network for a few steps of cross-entropy, and test it on a few batches.

    Args:
        args: of the table.
        experiment: what is trained on.
        model: the network.
        rows: to train on, and to test on.

    Returns:
        The pace. The losses differ little (section 4.2), and the first steps are left out.
    """
    loss = "xe" if "xe" in experiment.rates else args.losses[0]
    with tempfile.TemporaryDirectory() as folder:
        run = arguments_of(
            args, experiment, loss=loss, output_dir=folder, max_steps=_WARM_UP + _STEPS, early_stopping_patience=None
        )
        run.eval_strategy = run.save_strategy = "no"
        run.load_best_model_at_end, run.disable_tqdm = False, True
        run.ground_distance = None
        few = min(len(rows[1]), _EVAL_BATCHES * run.eval_batch_size * run.world_size)
        samples = experiment.samples(rows[0], rows[1].select(range(few)), loss)
        trainer, _ = build_trainer(run, experiment, model, samples)
        clock = _Clock()
        trainer.add_callback(clock)
        trainer.train()
        began = time.perf_counter()
        trainer.evaluate()
        return Pace(clock.seconds / _STEPS, (time.perf_counter() - began) / few)


def spoken(seconds: float) -> str:
    """A length of time in two units, for people.

    Args:
        seconds: at least 0.

    >>> spoken(7), spoken(3700), spoken(200_000)
    ('7 s', '1 h 2 min', '2 d 8 h')
    """
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    for (unit, size), (finer, part) in pairwise(units):
        if seconds >= size:
            whole = int(seconds // size)
            rest = int(seconds % size // part)
            return f"{whole} {unit} {rest} {finer}" if rest else f"{whole} {unit}"
    return f"{seconds:.0f} s"


class _Clock(TrainerCallback):
    """Times the steps after the first few."""

    seconds = 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == _WARM_UP:
            self._began = time.perf_counter()
        elif state.global_step == _WARM_UP + _STEPS:
            self.seconds = time.perf_counter() - self._began
