"""The jump start: how long it is, what ends it, and what is measured in it, whatever the loss."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from tests.training.tiny import (
    K,
    Network,
    Stream,
    arguments,
    features_and_logits,
    ground_distance_slowly,
    logged,
    samples,
    train,
)

from squared_emd import EMDTrainer, EMDTrainingArguments
from squared_emd.training.arguments import LOSSES

OF_STREAM = {"data": Stream(), "max_steps": 9}
LINE = np.abs(np.subtract.outer(np.arange(K), np.arange(K))) / (K - 1)


@pytest.mark.parametrize(
    ("loss", "fields", "num_steps", "epoch_steps", "expected"),
    [
        ("xemd", {}, 30, 10, 3),  # a tenth, not rounded up to 4
        ("xemd", {}, 31, None, 4),
        ("xemd", {"jump_start_epochs": 2}, 30, 10, 20),
        ("xemd2", {}, 41, 10, 40),  # the paper's four epochs
        ("xemd2", {}, 40, 10, 14),  # of a run that would be over then, a third
        ("xemd1", {}, 30, 10, 10),
        ("xemd1", {}, 30, None, 10),  # a stream has no epochs
        ("xemd2", {"jump_start_epochs": 0.25}, 30, 10, 3),
        ("xemd2", {"jump_start_epochs": 2}, 30, None, None),  # passes, which are counted
        ("xemd2", {"jump_start_ratio": 0.5}, 99, 10, 50),
    ],
)
def test_how_long_it_is(tmp_path, loss, fields, num_steps, epoch_steps, expected):
    args = EMDTrainingArguments(str(tmp_path), loss=loss, **fields)
    assert args.steps_of_jump_start(num_steps, epoch_steps) == expected


@pytest.mark.parametrize(
    ("fields", "num_plain"),  # of 12 steps, three an epoch
    [
        ({"loss": "xemd"}, 2),  # a tenth, rounded up
        ({"loss": "xemd", "num_train_epochs": 10}, 3),
        ({"loss": "xemd", "jump_start_ratio": 0.5}, 6),
        ({"loss": "xemd", "jump_start_ratio": 0.0}, 1),  # there is no D before
        ({"loss": "xemd", "jump_start_ratio": 0.0, "geometry": "line"}, 0),
        ({"loss": "xemd", "jump_start_epochs": 1.5}, 5),
        ({"loss": "xemd", "max_steps": 2}, 1),
        ({"loss": "xemd", "num_train_epochs": 3, "gradient_accumulation_steps": 3}, 1),
        ({"loss": "xemd2", "jump_start_epochs": 0.5}, 2),
        ({"loss": "xemd2", "jump_start_epochs": 0.1}, 2),  # one step for D, and one in which lambda is measured
        ({"loss": "xemd2", "jump_start_epochs": 0.1, "geometry": "line"}, 1),
        ({"loss": "xemd2", "jump_start_epochs": 1, "geometry": "line"}, 3),
        ({"loss": "xemd1", "jump_start_ratio": 0.75}, 9),
        ({"loss": "xemd2", "jump_start_ratio": 0.1, "regularizer_weight": 1.0}, 2),
        ({"loss": "xemd2", "jump_start_epochs": 0, "regularizer_weight": 1.0}, 1),
        ({"loss": "xemd", "jump_start_epochs": 0, "num_train_epochs": 1}, 1),
        (OF_STREAM | {"jump_start_epochs": None}, 3),
        (OF_STREAM | {"loss": "xemd"}, 1),
        (OF_STREAM | {"jump_start_ratio": 0.5}, 5),
        (OF_STREAM | {"jump_start_epochs": 1.5}, 6),  # A pass has three steps, and only whole ones are known.
        (OF_STREAM | {"loss": "xemd", "jump_start_epochs": 0}, 1),
    ],
)
def test_the_first_steps_are_plain(tmp_path, fields, num_plain):
    trainer = train(tmp_path, logging_strategy="steps", logging_steps=1, **fields)
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert ["loss_emd" in entry for entry in logs] == [step >= num_plain for step in range(trainer.state.max_steps)]


@pytest.mark.parametrize(
    ("fields", "steps", "run_steps"),
    [
        ({"jump_start_epochs": 0.5, "num_train_epochs": 0.6}, 2, 2),  # 1.5 steps are two
        ({"jump_start_ratio": 0.9, "num_train_epochs": 1}, 3, 3),
        ({"loss": "xemd", "jump_start_epochs": 0, "max_steps": 1}, 1, 1),
        ({"loss": "xemd", "max_steps": 1}, 1, 1),  # A smoke test may be as short as that.
    ],
)
def test_a_run_goes_on_after_it(tmp_path, fields, steps, run_steps, caplog):
    message = (
        f"the loss {fields.get('loss', 'xemd2')} needs more optimizer steps than its jump start of {steps}, or the run "
        f"would be plain cross-entropy; this run has {run_steps}. Raise num_train_epochs (or max_steps)"
    )
    trainer = EMDTrainer(Network(), arguments(tmp_path, **fields), train_dataset=samples())
    if fields.keys() & {"jump_start_epochs", "jump_start_ratio"}:
        with pytest.raises(ValueError) as error:
            trainer.train()
        assert str(error.value) == f"{message}, or lower jump_start_epochs (or jump_start_ratio)."
    else:
        trainer.train()
        assert f"{message}." in caplog.messages


@pytest.mark.parametrize("loss", LOSSES)
def test_three_epochs_of_any_loss(tmp_path, loss):
    """Hugging Face's default."""
    np.save(tmp_path / "line.npy", LINE)
    fields = {"ground_distance": str(tmp_path / "line.npy")} if loss == "a-emd" else {}
    args = EMDTrainingArguments(str(tmp_path), loss=loss, logging_steps=1, use_cpu=True, disable_tqdm=True, **fields)
    trainer = EMDTrainer(Network(1 if loss == "reg" else K), args, train_dataset=samples())
    trainer.train()
    losses = logged(trainer, "loss")
    assert len(losses) == 9 and all(math.isfinite(loss) for loss in losses)
    plain = {"xemd": 1, "xemd1": 3, "xemd2": 3, "emd": 0, "a-emd": 0}.get(loss, 9)
    assert len(logged(trainer, "loss_emd")) == 9 - plain


def test_lambda_is_measured_over_its_end(tmp_path):
    """Of four steps the first two bring D, and lambda is measured in the two others, which end in another epoch."""
    fields = {"train_sampling_strategy": "sequential", "learning_rate": 0.0, "num_train_epochs": 3}
    trainer = train(tmp_path, jump_start_epochs=4 / 3, **fields)
    features, logits = features_and_logits(trainer.model, samples())
    labels = np.arange(len(logits)) % K
    matrix, _ = ground_distance_slowly(features[:16], labels[:16])
    whole, _ = ground_distance_slowly(features, labels)
    p, entropies, regularizers = softmax(logits, axis=1), [], []
    for rows, distances in ((range(16, 24), matrix), (range(8), whole)):
        entropies += [-np.log(p[n, labels[n]]) for n in rows]
        regularizers += [(p[n] ** 2 * (distances[:, labels[n]] ** 2 - 0.25)).sum() for n in rows]
    expected = np.mean(entropies) / (3.5 * np.abs(regularizers).mean())
    assert trainer.criterion.regularizer_weight == pytest.approx(expected, rel=1e-5)
