"""The callbacks of a run: D compared over ranks and drawn in trackers, notes on the classes, and early stopping.

The trackers' callbacks are transformers' own; what they write to is a stand-in.
"""

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from tests.training.tiny import Network, arguments, samples, train
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from squared_emd import EMDEarlyStopping, EMDTrainer, EMDTrainingArguments, GroundDistanceCallback
from squared_emd.training.callbacks import GroundDistanceFigures, check_ranks_agree
from squared_emd.training.criterion import EMDCriterion

EQUIDISTANT, IN_A_LINE = torch.eye(8), torch.stack([torch.arange(8.0), 8 - torch.arange(8.0)], dim=1)


@pytest.mark.parametrize(("features", "notes"), [(EQUIDISTANT, 1), (IN_A_LINE, 0)])
def test_hardly_related_classes_are_noted_once_after_the_jump_start(tmp_path, caplog, features, notes):
    args = EMDTrainingArguments(str(tmp_path), loss="xemd2", jump_start_epochs=1, regularizer_weight=2.0, use_cpu=True)
    criterion = EMDCriterion(args, 8)
    callback = GroundDistanceCallback(criterion)
    state = TrainerState(max_steps=4, num_train_epochs=4)
    callback.on_train_begin(args, state, TrainerControl())
    for _ in range(4):
        criterion.observe(features, torch.arange(8))
        callback.on_epoch_end(args, state, TrainerControl())
        assert sum("hardly related" in message for message in caplog.messages) == notes


def test_ranks_out_of_step_are_noticed(tmp_path, monkeypatch):
    # The collective is played by hand: rank 1 reports another digest.
    trainer = train(tmp_path)

    def gather(digests, own):
        digests[0].copy_(own)
        digests[1].copy_(own + 1)

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather", gather)
    with pytest.raises(RuntimeError) as error:
        check_ranks_agree(trainer.criterion)
    assert str(error.value) == (
        "after epoch 4 the ground distance or lambda of rank 0 is not that of ranks [1]; all must be the same to the "
        "bit. Give all ranks the same library versions and kind of device, and leave trainer.criterion alone while "
        "training."
    )


class TensorBoard(TensorBoardCallback):
    def __init__(self):  # the original asks for the package
        self._SummaryWriter, self.tb_writer, self.logging_dir = Mock(), None, "runs"
        self.writer = self._SummaryWriter.return_value

    @property
    def images(self):
        """Of each call of `SummaryWriter.add_image`, the tag, the pixels and the step."""
        assert all(call.kwargs == {"dataformats": "HWC"} for call in self.writer.add_image.call_args_list)
        return [call.args for call in self.writer.add_image.call_args_list]


class Tracker:
    """What trackio and wandb take of the calls that are made here: `log` and `Image`."""

    Image = staticmethod(lambda value: value)

    def __init__(self):
        self.logged = []
        self.run = SimpleNamespace(summary={})  # of wandb

    def log(self, metrics, step=None):
        self.logged.append(metrics)

    @property
    def images(self):
        entries = [entry for entry in self.logged if "ground_distance" in entry]
        return [(entry["ground_distance"], entry["train/global_step"]) for entry in entries]


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
    fields = {"num_train_epochs": 3, "jump_start_epochs": 2} | fields
    EMDTrainer(Network(), arguments(tmp_path, **fields), train_dataset=samples(), callbacks=[*callbacks]).train()


def test_a_figure_an_epoch_in_every_tracker(tmp_path):
    board, trackio, wandb = TensorBoard(), Tracker(), Tracker()
    trained(tmp_path, board, running(TrackioCallback, trackio), running(WandbCallback, wandb))
    assert [(tag, step) for tag, _, step in board.images] == [("ground_distance", step) for step in (3, 6, 9)]
    pixels = [pixels for _, pixels, _ in board.images]
    assert pixels[0].dtype == np.uint8 and pixels[0].shape[2] == 3
    assert all(300 <= side <= 1000 for side in pixels[0].shape[:2])
    assert not np.array_equal(pixels[0], pixels[2])  # each of its own epoch
    for tracker in (trackio, wandb):
        assert [step for _, step in tracker.images] == [3, 6, 9]
        for drawn, sent in zip(pixels, tracker.images, strict=True):
            np.testing.assert_array_equal(drawn, sent[0])
    assert "train/sdd_relative" in {call.args[0] for call in board.writer.add_scalar.call_args_list}


@pytest.mark.parametrize("fields", [{"loss": "xe"}, {"geometry": "line"}])
def test_nothing_is_drawn_where_no_d_is_learned(tmp_path, fields):
    trained(tmp_path, board := TensorBoard(), **fields)
    assert board.images == []


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


# After each epoch of three steps. The jump start lasts two epochs, and its first is the best of all.
ERRORS = {3: 1.0, 6: 2.0, 9: 5.0, 12: 4.0, 15: 6.0, 18: 7.0, 21: 0.0}
JUMP_STARTS = {
    "xemd2": {"jump_start_epochs": 2, "regularizer_weight": 1.0},
    "xemd": {"jump_start_ratio": 0.25},  # of 24 steps
}


class TestEarlyStopping:
    """Errors fall, and the jump start does not count."""

    def make(self, folder, callback, loss="xemd2", **fields):
        fields = {
            "num_train_epochs": 8,
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "metric_for_best_model": "mae",
            "load_best_model_at_end": True,
        } | fields
        args = arguments(folder, loss=loss, **JUMP_STARTS[loss], **fields)
        data = samples()
        trainer = EMDTrainer(Network(), args, train_dataset=data, eval_dataset=data, callbacks=[callback])
        trainer.compute_metrics = lambda _: {"mae": ERRORS[trainer.state.global_step]}
        return trainer

    @pytest.mark.parametrize("callback", [EMDEarlyStopping, EarlyStoppingCallback])
    @pytest.mark.parametrize("loss", JUMP_STARTS)
    def test_the_best_epoch_is_none_of_the_jump_start(self, tmp_path, loss, callback):
        for resume in (None, 3, 6, 9):
            trainer = self.make(tmp_path, callback(2), loss)
            trainer.train(resume_from_checkpoint=resume and str(tmp_path / f"checkpoint-{resume}"))
            assert trainer.state.global_step == 18  # two evaluations after that of step 12, the best one
            assert (trainer.state.best_metric, trainer.state.best_global_step) == (4.0, 12)
            assert trainer.criterion.epoch == 4  # of the best model

    @pytest.mark.parametrize(
        ("fields", "got"),
        [
            ({"metric_for_best_model": None, "load_best_model_at_end": False}, "None and 'epoch'"),
            ({"eval_strategy": "no", "load_best_model_at_end": False}, "'mae' and 'no'"),
        ],
    )
    @pytest.mark.parametrize("is_set_later", [False, True])
    def test_a_run_that_cannot_be_compared_is_refused(self, tmp_path, fields, got, is_set_later):
        trainer = self.make(tmp_path, EMDEarlyStopping(), **fields)
        if is_set_later:
            trainer.args.eval_strategy = str(trainer.args.eval_strategy.value)
        with pytest.raises(ValueError) as error:
            trainer.train()
        assert str(error.value) == (
            "early stopping compares evaluations by a metric: it needs metric_for_best_model, as in 'mae', and an "
            f"eval_strategy of 'epoch' or 'steps'; got {got}."
        )

    def test_patience_is_at_least_one(self):
        with pytest.raises(ValueError) as error:
            EMDEarlyStopping(0)
        assert str(error.value) == "early_stopping_patience must be at least 1 evaluation, got 0."
