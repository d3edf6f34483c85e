"""How long the runs of a table may take, from a few steps measured on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .arguments import ExperimentArguments
from .plan import Run
from .selection import trial_folders, trial_result
from .training import arguments_of, build_trainer

__all__ = ["Pace", "measure_pace", "spoken", "tell_cost"]

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


def tell_cost(
    args: ExperimentArguments,
    runs: Sequence[Run],
    rows_of: Mapping[Run, tuple[Dataset, Dataset]],
    settings_now: Callable[[Run], dict[str, Any]],
    say: Callable[..., None],
) -> None:
    """Print the runs of a table, what is done, and how long the rest may take.

    Args:
        args: of the table.
        runs: of the table.
        rows_of: run -> rows to train on and to test on.
        settings_now: run -> its settings, by which its trials are known.
        say: prints on the first rank.
    """
    say(f"\nRuns in {args.output_dir}:")
    seconds, trials, trials_left, paces, counted = 0.0, 0, 0, {}, set()
    left = [run for run in runs if args.redo or not run.is_done]
    for run in runs:
        folders = [folder for group in trial_folders(args, run).values() for folder in group]
        folders = [] if run.trials in counted else folders  # which runs that differ by the seed share
        counted.add(run.trials)
        settings = settings_now(run) if folders else {}
        to_do = [folder for folder in folders if args.redo or trial_result(folder, settings) is None]
        note = f", {len(folders)} trials, {len(to_do)} of them to do" if folders else ""
        say(f"  {run}: {'to do' if args.redo else run.state}{note}")
        trials, trials_left = trials + len(folders), trials_left + len(to_do)
        if run in left or to_do:
            if run.network not in paces:
                paces[run.network] = measure_pace(args, run, rows_of[run])
            num_train, num_test = map(len, rows_of[run])
            seconds += (len(to_do) + (run in left)) * paces[run.network].of_run(args, num_train, num_test)
    for network, pace in paces.items():
        say(f"Measured with {network}: {pace.step:.3g} s a step, {pace.row:.3g} s a row of the test.")
    count = f"{len(left)} of {len(runs)} runs are to do"
    count += f" and {trials_left} of {trials} trials" if trials else ""
    bound = "at most about" if args.early_stopping_patience else "about"
    say(f"{count}: {bound} {spoken(seconds)} on this machine.")


def measure_pace(args: ExperimentArguments, run: Run, rows: tuple[Dataset, Dataset]) -> Pace:
    """Train the network of a run for a few steps of cross-entropy, and test it on a few batches.

    Args:
        args: of the table.
        run: one of its runs.
        rows: to train on, and to test on.

    Returns:
        The pace. The losses differ little (section 4.2), and the first steps are left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = arguments_of(
            args, run.experiment, loss="xe", output_dir=folder, max_steps=_WARM_UP + _STEPS, ground_distance=None
        )
        trial.eval_strategy = trial.save_strategy = "no"
        trial.load_best_model_at_end, trial.early_stopping_patience, trial.disable_tqdm = False, None, True
        few = min(len(rows[1]), _EVAL_BATCHES * trial.eval_batch_size * trial.world_size)
        samples = run.experiment.samples(rows[0], rows[1].select(range(few)), "xe")
        trainer, _ = build_trainer(trial, run.experiment, run.model, samples)
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
    ('7 s', '1 h 1 min', '2 d 7 h')
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
