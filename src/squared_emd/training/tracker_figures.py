"""D as a picture in the experiment tracker, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback
from transformers.trainer_callback import CallbackHandler

from .criterion import EMDCriterion

if TYPE_CHECKING:  # what draws is imported with the first picture
    from PIL.Image import Image

__all__ = ["TAG", "GroundDistanceFigures"]

TAG = "ground_distance"
_DPI = 100


class GroundDistanceFigures(TrainerCallback):
    """Shows D in TensorBoard, Trackio or Weights & Biases at the end of each epoch in which it was refreshed.

    `EMDTrainer` adds it by itself, after the callback that refreshes D. Without such a tracker it does nothing. Only
    the first rank draws. Classes are in their order; above 1,000 a cell of the picture is the mean of a block of
    neighbouring classes, so that no picture has more than 1,000 by 1,000 cells.

    Args:
        criterion: the criterion of the run.
        handler: of the Trainer; its trackers are looked up at the end of each epoch.
    """

    def __init__(self, criterion: EMDCriterion, handler: CallbackHandler) -> None:
        self.criterion = criterion
        self.handler = handler
        self._drawn = 0  # the criterion's epochs at the last picture

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin where the run begins."""
        self._drawn = self.criterion.epoch

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw D where it is new and somebody shows it."""
        criterion = self.criterion
        refreshed = criterion.learns_ground_distance and criterion.epoch != self._drawn
        if not state.is_world_process_zero or not refreshed or criterion.ground_distance is None:
            return
        self._drawn = criterion.epoch
        senders = [send for callback in self.handler.callbacks if (send := _sender(callback)) is not None]
        if not senders:
            return
        picture = self._draw()
        for send in senders:
            send(picture, state.global_step)

    def _draw(self) -> Image:
        from ..plot import heat_map, render

        criterion = self.criterion
        title = f"D after epoch {criterion.epoch}"
        if criterion.sdd_relative is not None:
            title += f", SDD / mean distance {criterion.sdd_relative:.3f}"
        figure = heat_map(criterion.ground_distance, class_names=criterion.class_names, title=title)
        return render(figure, _DPI)


def _sender(callback: TrainerCallback) -> Callable[[Image, int], None] | None:
    """What sends a picture to the tracker of a callback; None where it has none, or none that is running."""
    if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
        writer = callback.tb_writer
        return lambda picture, step: writer.add_image(TAG, np.asarray(picture), step, dataformats="HWC")
    if isinstance(callback, (TrackioCallback, WandbCallback)) and callback._initialized:
        tracker = callback._trackio if isinstance(callback, TrackioCallback) else callback._wandb
        return lambda picture, step: tracker.log({TAG: tracker.Image(picture), "train/global_step": step})
    return None
