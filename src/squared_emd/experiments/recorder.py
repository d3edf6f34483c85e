"""What a run leaves behind besides its metrics: a line an epoch, the cost of a step, and D after each epoch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerState

from ..ground_distance.files import write_aside
from ..ground_distance.saved import HISTORY_FILE, MAX_CLASSES_IN_CONFIG, read_epoch_distances
from ..metrics.names import METRICS
from ..training.criterion import EMDCriterion

logger = logging.getLogger(__name__)

_PRINTED = ("eval_mae", "eval_aem", "eval_squared_emd", "eval_spearman", "eval_top_1_error")


class RunRecorder(TrainerCallback):
    """Times the epochs, prints a line for each, and writes D down at the end of each where it is learned.

    To be added after the Trainer is made, so that it comes after the callback that refreshes D. Above 256 classes only
    the log tells how D went: its matrices would take gigabytes. `seconds` (wall clock) and `cpu_seconds` (this process,
    all threads) are those of the epochs, with the refresh of D and without evaluation; `steps` those of the optimizer.
    """

    def __init__(self, criterion: EMDCriterion, folder: str | Path, *, prints: bool = False) -> None:
        self.criterion, self.prints = criterion, prints
        self.path = Path(folder) / HISTORY_FILE
        self.seconds, self.cpu_seconds, self.steps = 0.0, 0.0, 0
        self.logs: dict[str, float] = {}  # of the epoch that has not been printed
        self.epochs: list[float] = []
        self.matrices: list[np.ndarray] = []

    def per_step(self, seconds: float) -> float | None:
        """The share of a step in a time; None before the first epoch has ended."""
        return seconds / self.steps if self.steps else None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Take up what a resumed run had written."""
        if state.global_step and self._writes(state) and self.path.is_file():
            try:
                epochs, matrices = read_epoch_distances(self.path, self.criterion.num_classes)
            except ValueError as error:  # it is only drawn, and training goes on without it
                logger.warning("D of the earlier epochs is not kept: %s.", error)
                return
            kept = epochs <= state.epoch
            self.epochs, self.matrices = epochs[kept].tolist(), list(matrices[kept].astype(np.float32))

    def on_epoch_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Print the last epoch, whose evaluation is over, and start the clocks."""
        self._print_epoch(args, state)
        self._began, self._began_at = (time.perf_counter(), time.process_time()), state.global_step

    def on_epoch_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Stop the clocks and note D."""
        self.seconds += time.perf_counter() - self._began[0]
        self.cpu_seconds += time.process_time() - self._began[1]
        self.steps += state.global_step - self._began_at
        matrix = self.criterion.ground_distance
        if self._writes(state) and matrix is not None:
            if state.epoch in self.epochs[-1:]:  # The run was resumed from a checkpoint of the epoch's last step.
                del self.epochs[-1], self.matrices[-1]
            self.epochs.append(state.epoch)
            self.matrices.append(matrix.cpu().numpy().astype(np.float32))
            with write_aside(self.path) as path:
                np.savez_compressed(path, epochs=self.epochs, ground_distance=np.stack(self.matrices))  # (E, K, K)

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Keep it for the line of the epoch."""
        self.logs |= logs

    def on_train_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Print the last epoch."""
        self._print_epoch(args, state)

    def _print_epoch(self, args: Any, state: TrainerState) -> None:
        logs, self.logs = self.logs, {}
        found = [f"loss {logs['loss']:.3f}"] if "loss" in logs else []
        for name in _PRINTED:
            if name in logs:
                metric, unit = METRICS[name], " %" if METRICS[name].in_percent else ""
                found.append(f"{metric.heading.removesuffix(' %')} {metric.shown(logs[name]):.{metric.digits}f}{unit}")
        if found and self.prints and state.is_world_process_zero:
            seconds = time.perf_counter() - self._began[0]
            tqdm.write(f"  epoch {state.epoch:g} of {args.num_train_epochs:g}: {', '.join(found)}, {seconds:.1f} s")

    def _writes(self, state: TrainerState) -> bool:
        learns = self.criterion.learns_ground_distance and self.criterion.num_classes <= MAX_CLASSES_IN_CONFIG
        return learns and state.is_world_process_zero
