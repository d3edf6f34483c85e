"""D as a figure in the experiment tracker, epoch by epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback
from transformers.trainer_callback import CallbackHandler

from .criterion import EMDCriterion

__all__ = ["TAG", "GroundDistanceFigures"]

logger = logging.getLogger(__name__)

TAG = "ground_distance"
_DPI = 100


class GroundDistanceFigures(TrainerCallback):
    """Logs D to TensorBoard, Trackio or Weights & Biases at the end of each epoch in which it was refreshed.

    `EMDTrainer` has it by itself while it trains, after the callback that refreshes D. Only the main process draws,
    and only if such a tracker is active. Without the extra `plot` it warns once.

    Args:
        criterion: the criterion of the run.
        handler: of the Trainer; its trackers are looked up at the end of each epoch.
    """

    def __init__(self, criterion: EMDCriterion, handler: CallbackHandler) -> None:
        self.criterion = criterion
        self.handler = handler
        self._last_epoch = 0  # of the criterion, that was drawn
        self._can_draw = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw D if it is new and a tracker takes it."""
        criterion = self.criterion
        is_refreshed = criterion.learns_ground_distance and criterion.epoch != self._last_epoch
        if not state.is_world_process_zero or not is_refreshed or criterion.ground_distance is None:
            return
        self._last_epoch = criterion.epoch
        senders = [send for callback in self.handler.callbacks if (send := _sender(callback)) is not None]
        if senders and self._can_draw:
            try:
                image = self._draw()
            except ImportError as error:
                logger.warning("The ground distance is not drawn in the experiment tracker: %s", error)
                self._can_draw = False
                return
            for send in senders:
                send(image, state.global_step)

    def _draw(self) -> Any:
        from ..plot import heat_map, render

        criterion = self.criterion
        title = f"D after epoch {criterion.epoch}"
        if criterion.distance.sdd_relative is not None:
            title += f", SDD / mean distance {criterion.distance.sdd_relative:.3f}"
        figure = heat_map(criterion.ground_distance, class_names=criterion.class_names, title=title)
        return render(figure, _DPI)


def _sender(callback: TrainerCallback) -> Callable[[Any, int], None] | None:
    """What sends an image of Pillow to the tracker of a callback; None if it has none, or none that is active."""
    if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
        return lambda image, step: callback.tb_writer.add_image(TAG, np.asarray(image), step, dataformats="HWC")
    if isinstance(callback, WandbCallback):
        import wandb

        return _log_to(wandb) if wandb.run is not None else None
    if isinstance(callback, TrackioCallback):
        import trackio

        return _log_to(trackio)
    return None


def _log_to(tracker: Any) -> Callable[[Any, int], None]:
    return lambda image, step: tracker.log({TAG: tracker.Image(image), "train/global_step": step})
