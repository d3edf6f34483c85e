"""Runs a recipe in one process and shows where its time goes; `recipe.py --profile` calls it.

    python benchmarks/where_time_goes.py recipes/adience.py --num_train_epochs 2 ...

Every second counts once, for the innermost of the functions below that is running. With `--dataloader_num_workers 0`,
the default here, pictures are decoded and augmented in the same process, so that their time shows too; with workers it
is hidden behind the network's, and what training waits for them is a row of its own. Prints a Markdown table.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib
import io
import runpy
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()  # nothing but the standard library has been imported yet

REST = "everything else"
IMPORTS = "imports"
TESTS = "evaluation and test, views included"
CHECKS = "reading the table and checking every picture once"
ROWS = {  # what is shown -> the functions it is the time of, as module:function or module:class.function
    CHECKS: ("squared_emd.data.adience:load_adience", "squared_emd.experiments.runner:digest_of_rows"),
    "storing small pictures": ("squared_emd.data.image_cache:small_images",),
    "building the network": (
        "squared_emd.experiments.runner:_Table.check",
        "squared_emd.experiments.images:load_image_classifier",
    ),
    TESTS: ("transformers:Trainer.evaluate", "transformers:Trainer.predict"),
    "waiting for workers": ("torch.utils.data.dataloader:_MultiProcessingDataLoaderIter.__next__",),
    "reading and decoding pictures": ("squared_emd.vision.transforms:decode_image", "datasets:Image.decode_example"),
    "random views": ("squared_emd.vision.transforms:TrainTransform.__call__",),
    "collating, seeds, bookkeeping of batches": ("squared_emd.training.seeded_data:SeededBatches.__getitems__",),
    "forward": (),  # of the network's class, once it is known
    "loss, features, centroids, look for NaN": ("squared_emd:EMDTrainer.compute_loss",),
    "backward": ("accelerate:Accelerator.backward",),
    "clipping, optimizer, zeroing": (
        "accelerate:Accelerator.clip_grad_norm_",
        "accelerate.optimizer:AcceleratedOptimizer.step",
        "torch.nn:Module.zero_grad",
    ),
    "refresh of D": ("squared_emd.training.ground_distance_callback:GroundDistanceCallback.on_epoch_end",),
    "the rest of training": ("transformers:Trainer.train",),
    "saving the model": ("transformers:Trainer.save_model", "transformers:Trainer.save_state"),
    "figures and report": (
        "squared_emd.experiments.runner:_write_results",
        "squared_emd.experiments.runner:write_report",
    ),
}  # fmt: skip
WHOLE = (CHECKS, TESTS)  # whose parts are not told apart


class Clock:
    """Charges each second to one row.

    Attributes:
        seconds: by row.
        calls: by row.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._rows = [IMPORTS]
        self._since = BEGAN

    def enter(self, row: str) -> None:
        """From now on time is that of `row`, and then again of what it was before.

        Args:
            row: what begins.
        """
        self._charge()
        whole = next((name for name in self._rows if name in WHOLE), None)
        self._rows.append(whole or row)
        self.calls[row] += whole in (None, row)

    def leave(self) -> None:
        """What began last is over."""
        self._charge()
        self._rows.pop()

    def timed(self, function: Callable, row: str) -> Callable:
        """The function, timed.

        Args:
            function: any.
            row: where its time counts.
        """

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            self.enter(row)
            try:
                return function(*args, **kwargs)
            finally:
                self.leave()

        return run

    def _charge(self) -> None:
        now = time.perf_counter()
        self.seconds[self._rows[-1]] += now - self._since
        self._since = now


def time_rows(clock: Clock) -> None:
    """Put the clock around every function of `ROWS`, and around what is imported from now on."""
    for row, places in ROWS.items():
        for place in places:
            module, _, path = place.partition(":")
            *owners, name = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, clock.timed(getattr(owner, name), row))
    training = importlib.import_module("squared_emd.experiments.training")
    make_trainer = training.EMDTrainer

    def make_and_time(model: Any, *args: Any, **kwargs: Any) -> Any:
        kind = type(model)
        if not hasattr(kind.forward, "__wrapped_by_clock__"):
            kind.forward = clock.timed(kind.forward, "forward")
            kind.forward.__wrapped_by_clock__ = True
        return make_trainer(model, *args, **kwargs)

    training.EMDTrainer = make_and_time
    builtins.__import__ = _time_first_imports(clock, builtins.__import__)


def _time_first_imports(clock: Clock, load: Callable) -> Callable:
    def run(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in sys.modules:  # what it has of names may be loaded late, which counts where it is asked for
            return load(name, *args, **kwargs)
        return clock.timed(load, IMPORTS)(name, *args, **kwargs)

    return run


def main() -> None:
    """Run the recipe and print the table."""
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        sys.exit(f"{Path(__file__).name} needs a recipe and its options, as in: {__doc__.splitlines()[2].strip()}")
    recipe, *options = sys.argv[1:]
    if "--dataloader_num_workers" not in options:
        options += ["--dataloader_num_workers", "0"]
    clock = Clock()
    time_rows(clock)
    clock.enter(REST)
    sys.argv = [recipe, *options]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            runpy.run_path(recipe, run_name="__main__")
        except SystemExit as end:
            if end.code:
                sys.exit(f"{said.getvalue()}\n{recipe} ended with: {end.code}")
    clock.leave()
    total = sum(clock.seconds.values())
    print("| what | seconds | share | calls |\n|---|---:|---:|---:|")
    for row in (IMPORTS, *ROWS, REST):
        if clock.seconds[row]:
            share = 100 * clock.seconds[row] / total
            print(f"| {row} | {clock.seconds[row]:.2f} | {share:.1f} % | {clock.calls[row] or ''} |")
    print(f"| all | {total:.2f} | 100 % | |")


if __name__ == "__main__":
    main()
