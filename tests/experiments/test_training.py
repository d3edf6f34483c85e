"""What a run predicts, and the history of D that it keeps, however often it is killed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import TrainerState
from transformers.trainer_utils import PredictionOutput

from squared_emd.experiments.training import RunRecorder, _decisions_and_predictions
from squared_emd.ground_distance.saved import read_epoch_distances
from squared_emd.metrics.calibration import negative_log_likelihood

D = torch.tensor([[0.0, 0.5], [0.5, 0.0]], dtype=torch.float64)


def train_epochs(recorder, first, last):
    """Epochs of three steps, after each of which D is the epoch's number times `D`."""
    recorder.on_train_begin(None, state_after(first - 1), None)
    for epoch in range(first, last + 1):
        recorder.on_epoch_begin(None, state_after(epoch - 1), None)
        recorder.criterion.ground_distance = epoch * D
        recorder.on_epoch_end(None, state_after(epoch), None)


def state_after(epoch):
    return TrainerState(epoch=float(epoch), global_step=3 * epoch, is_world_process_zero=True)


@pytest.fixture
def criterion():
    return SimpleNamespace(learns_ground_distance=True, num_classes=2, ground_distance=None)


def test_a_kill_while_it_is_written(tmp_path, criterion, monkeypatch):
    train_epochs(RunRecorder(criterion, tmp_path), 1, 2)

    def half(path, **arrays):
        path.write_bytes(b"PK half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(np, "savez_compressed", half)
        train_epochs(RunRecorder(criterion, tmp_path), 3, 3)
    recorder = RunRecorder(criterion, tmp_path)
    train_epochs(recorder, 2, 4)  # from the checkpoint of the first epoch
    epochs, matrices = read_epoch_distances(recorder.path, 2)
    assert epochs.tolist() == [1, 2, 3, 4]
    assert (matrices[:, 0, 1] == 0.5 * epochs).all()
    assert recorder.steps == 9


def test_one_that_a_power_loss_left_broken(tmp_path, criterion, caplog):
    recorder = RunRecorder(criterion, tmp_path)
    train_epochs(recorder, 1, 2)
    recorder.path.write_bytes(bytes(100))
    recorder = RunRecorder(criterion, tmp_path)
    train_epochs(recorder, 3, 4)
    assert read_epoch_distances(recorder.path)[0].tolist() == [3, 4]
    (message,) = caplog.messages
    assert message.startswith(
        f"D of the earlier epochs is not kept: {recorder.path} must hold the arrays 'epochs' and 'ground_distance'; "
        "reading it gave: "
    )


@pytest.mark.parametrize(
    ("logs", "shown"),
    [
        ({"loss": 1.9, "loss_ce": 1.9}, "loss 1.900"),  # in the jump start, and of xe
        ({"loss": 3.049, "loss_ce": 1.9, "loss_emd": 1.149}, "loss 3.049 (1.900 cross-entropy + 1.149 EMD)"),
        ({"loss": 1.5, "loss_ce": 1.75, "loss_emd": -0.25}, "loss 1.500 (1.750 cross-entropy - 0.250 EMD)"),
        ({"loss": 0.5, "loss_emd": 0.5}, "loss 0.500"),
    ],
)
def test_the_line_of_an_epoch_has_the_parts_of_the_loss(tmp_path, criterion, capsys, logs, shown):
    recorder, args = RunRecorder(criterion, tmp_path, prints=True), SimpleNamespace(num_train_epochs=4)
    recorder.on_epoch_begin(args, state_after(0), None)
    recorder.on_log(args, state_after(1), None, logs)
    recorder.on_log(args, state_after(1), None, {"eval_mae": 0.5, "eval_loss_emd": 7.0})
    recorder.on_epoch_begin(args, state_after(1), None)
    assert capsys.readouterr().out.startswith(f"  epoch 1 of 4: {shown}, MAE 0.500, ")


def test_predictions_hold_what_float32_cannot():
    samples = SimpleNamespace(class_names="abc", compute_metrics=None, test=Dataset.from_dict({"label": [1]}))
    tested = PredictionOutput(np.array([[0, -200, 0]], dtype=np.float32), np.array([1]), {})
    _, predictions = _decisions_and_predictions(tested, samples)
    nll = negative_log_likelihood(predictions.probabilities, predictions.labels)
    assert nll == pytest.approx(200 + np.log(2))  # -log softmax, but for e^-200
