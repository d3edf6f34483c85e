"""What a run leaves behind besides its metrics: how long a step took, and D at the end of each epoch."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..ground_distance.files import write_aside
from ..ground_distance.saved import HISTORY_FILE, MAX_CLASSES_IN_CONFIG, read_epoch_distances
from ..training.criterion import EMDCriterion

__all__ = ["RunRecorder"]

logger = logging.getLogger(__name__)


class RunRecorder(TrainerCallback):
    """Times the epochs, and writes D down at the end of each where it is learned.

    To be added after the Trainer is made, so that it comes after the callback that refreshes D. Above 256 classes only
    the log tells how D went: its matrices would take gigabytes.

    Args:
        criterion: of the Trainer.
        folder: of the run.

    Attributes:
        seconds_per_step: mean time of an optimizer step with its share of the D refresh, without evaluation; None
            before the first epoch has ended.
    """

    def __init__(self, criterion: EMDCriterion, folder: str | Path) -> None:
        self.criterion = criterion
        self.path = Path(folder) / HISTORY_FILE
        self.seconds, self.steps = 0.0, 0
        self.epochs: list[float] = []
        self.matrices: list[np.ndarray] = []

    @property
    def seconds_per_step(self) -> float | None:
        return self.seconds / self.steps if self.steps else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up what a resumed run had written."""
        if state.global_step and self._writes(state) and self.path.is_file():
            try:
                epochs, matrices = read_epoch_distances(self.path, self.criterion.num_classes)
            except ValueError as error:  # it is only drawn, and training goes on without it
                logger.warning("D of the earlier epochs is not kept: %s.", error)
                return
            kept = epochs <= state.epoch
            self.epochs, self.matrices = epochs[kept].tolist(), list(matrices[kept].astype(np.float32))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._began, self._began_at = time.perf_counter(), state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop the clock and note D."""
        self.seconds += time.perf_counter() - self._began
        self.steps += state.global_step - self._began_at
        matrix = self.criterion.ground_distance
        if self._writes(state) and matrix is not None:
            if state.epoch in self.epochs[-1:]:  # The run was resumed from a checkpoint of the epoch's last step.
                del self.epochs[-1], self.matrices[-1]
            self.epochs.append(state.epoch)
            self.matrices.append(matrix.cpu().numpy().astype(np.float32))
            with write_aside(self.path) as path:
                np.savez_compressed(path, epochs=self.epochs, ground_distance=np.stack(self.matrices))  # (E, K, K)

    def _writes(self, state: TrainerState) -> bool:
        learns = self.criterion.learns_ground_distance and self.criterion.num_classes <= MAX_CLASSES_IN_CONFIG
        return learns and state.is_world_process_zero
