"""D in the experiment tracker. The trackers' callbacks are transformers' own; what they write to takes the calls that
the documentation of TensorBoard's SummaryWriter, of trackio and of wandb gives, and no other."""

import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tests.training.tiny import Network, arguments, samples
from transformers import TrainerControl, TrainerState
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from squared_emd import EMDTrainer
from squared_emd.training.callbacks import GroundDistanceFigures


class SummaryWriter:
    """What torch.utils.tensorboard.SummaryWriter takes of the calls that are made here."""

    def __init__(self, log_dir=None):
        self.images, self.scalars = [], {}

    def add_image(self, tag, img_tensor, global_step=None, walltime=None, dataformats="CHW"):
        assert dataformats == "HWC" and img_tensor.dtype == np.uint8 and img_tensor.shape[2] == 3
        self.images.append((tag, global_step, img_tensor))

    def add_scalar(self, tag, scalar_value, global_step=None, walltime=None, new_style=False):
        self.scalars[tag] = scalar_value

    def add_text(self, tag, text_string, global_step=None, walltime=None):
        pass

    def flush(self):
        pass

    def close(self):
        pass


class TensorBoard(TensorBoardCallback):
    def __init__(self):  # the original asks for the package
        self._SummaryWriter, self.tb_writer, self.logging_dir = SummaryWriter, None, "runs"

    def _init_summary_writer(self, args):
        super()._init_summary_writer(args)
        self.writer = self.tb_writer  # the original forgets it when training ends


class Tracker:
    """What trackio and wandb take of the calls that are made here: `log` and `Image`."""

    def __init__(self):
        self.logged = []
        self.run = SimpleNamespace(summary={})  # of wandb

    def log(self, metrics, step=None):
        self.logged.append(metrics)

    class Image:
        def __init__(self, value, caption=None):
            assert isinstance(value, Image.Image) and value.mode == "RGB"
            self.value = value

    @property
    def images(self):
        entries = [entry for entry in self.logged if "ground_distance" in entry]
        return [(entry["ground_distance"].value, entry["train/global_step"]) for entry in entries]


@pytest.fixture(autouse=True)
def no_modules_of_trackers(monkeypatch):
    for name in ("trackio", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)


def running(base, tracker):
    """transformers' callback, as it is after its `setup`, which would start a service; and the tracker's module."""
    sys.modules["wandb" if base is WandbCallback else "trackio"] = tracker

    class Running(base):
        def __init__(self):
            self._trackio = self._wandb = tracker
            self._initialized, self._space_id = True, None

        def on_train_end(self, *args, **kwargs):
            pass

    return Running()


def trained(tmp_path, *callbacks, **fields):
    torch.manual_seed(0)
    fields = {"num_train_epochs": 3, "jump_start_epochs": 2} | fields
    trainer = EMDTrainer(Network(), arguments(tmp_path, **fields), train_dataset=samples())
    for callback in callbacks:
        trainer.add_callback(callback)
    trainer.train()
    return trainer


def test_a_picture_an_epoch_in_every_tracker(tmp_path):
    board, trackio, wandb = TensorBoard(), Tracker(), Tracker()
    trained(tmp_path, board, running(TrackioCallback, trackio), running(WandbCallback, wandb))
    assert [(tag, step) for tag, step, _ in board.writer.images] == [("ground_distance", step) for step in (3, 6, 9)]
    pixels = [pixels for *_, pixels in board.writer.images]
    assert all(300 <= side <= 1000 for side in pixels[0].shape[:2])
    assert not np.array_equal(pixels[0], pixels[2])  # each of its own epoch
    for tracker in (trackio, wandb):
        assert [step for _, step in tracker.images] == [3, 6, 9]
        for drawn, sent in zip(pixels, tracker.images, strict=True):
            np.testing.assert_array_equal(drawn, sent[0])
    assert "train/sdd_relative" in board.writer.scalars  # the tracker gets the rest as before


@pytest.mark.parametrize("fields", [{"loss": "xe"}, {"geometry": "line"}])
def test_nothing_is_drawn_where_no_d_is_learned(tmp_path, fields):
    trained(tmp_path, board := TensorBoard(), **fields)
    assert board.writer.images == []


def test_once_a_refresh_on_the_main_process():
    """By itself, with a criterion that has what it looks at."""
    tracker = Tracker()
    criterion = SimpleNamespace(
        epoch=1, learns_ground_distance=True, distance=SimpleNamespace(sdd_relative=0.25),
        class_names=["a", "b"] * 1500, ground_distance=torch.ones(3000, 3000).fill_diagonal_(0),
    )  # fmt: skip
    figures = GroundDistanceFigures(criterion, SimpleNamespace(callbacks=[running(WandbCallback, tracker)]))
    matrix = criterion.ground_distance
    for epoch, is_main_process, run, distance, drawn in (
        (1, False, "a run", matrix, 0),
        (1, True, "a run", matrix, 1),
        (1, True, "a run", matrix, 1),  # as where a stream had nothing left
        (2, True, None, matrix, 1),  # of the tracker, which is not active
        (3, True, "a run", None, 1),
    ):
        criterion.epoch, criterion.ground_distance, tracker.run = epoch, distance, run
        state = TrainerState(global_step=7, is_world_process_zero=is_main_process)
        figures.on_epoch_end(None, state, TrainerControl())
        assert len(tracker.images) == drawn
    assert max(tracker.images[0][0].size) < 1300  # of thousands of classes


def test_the_stand_in_takes_what_the_real_writer_takes():
    """Read from torch's source, as it is imported only where tensorboard is installed."""
    source = (Path(torch.__file__).parent / "utils" / "tensorboard" / "writer.py").read_text()
    (signature,) = re.findall(r"def add_image\(\s*(.*?),?\s*\)", source, re.S)
    assert str(inspect.signature(SummaryWriter.add_image)).replace("'", '"') == f"({signature})"
