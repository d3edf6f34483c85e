"""What a run leaves behind besides its metrics: how long a step took, and D at the end of each epoch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..ground_distance.history import HISTORY_FILE
from ..ground_distance.saved import MAX_CLASSES_IN_CONFIG
from ..training.criterion import EMDCriterion

__all__ = ["RunRecorder"]


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
            with np.load(self.path) as earlier:
                kept = earlier["epochs"] <= state.epoch
                self.epochs = earlier["epochs"][kept].tolist()
                self.matrices = list(earlier["ground_distance"][kept])

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
            self.epochs.append(state.epoch)
            self.matrices.append(matrix.cpu().numpy().astype(np.float32))
            self.path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(self.path, epochs=self.epochs, ground_distance=np.stack(self.matrices))  # (E, K, K)

    def _writes(self, state: TrainerState) -> bool:
        learns = self.criterion.learns_ground_distance and self.criterion.num_classes <= MAX_CLASSES_IN_CONFIG
        return learns and state.is_world_process_zero
