"""The best epoch, and the end of a run that no longer improves: errors fall, and the jump start does not count."""

import pytest
from tests.training.tiny import Network, arguments, samples
from transformers import EarlyStoppingCallback

from squared_emd import EMDEarlyStopping, EMDTrainer

# After each epoch of three steps. The jump start lasts two epochs, and its first is the best of all.
ERRORS = {3: 1.0, 6: 2.0, 9: 5.0, 12: 4.0, 15: 6.0, 18: 7.0, 21: 0.0}
JUMP_STARTS = {
    "xemd2": {"jump_start_epochs": 2, "regularizer_weight": 1.0},
    "xemd": {"jump_start_ratio": 0.25},  # of 24 steps
}


def make(folder, callback, loss="xemd2", **fields):
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
def test_the_best_epoch_is_none_of_the_jump_start(tmp_path, loss, callback):
    def check(trainer):
        assert trainer.state.global_step == 18  # two evaluations after that of step 12, the best one
        assert (trainer.state.best_metric, trainer.state.best_global_step) == (4.0, 12)
        assert trainer.criterion.epoch == 4  # of the best model

    whole = make(tmp_path, callback(2), loss)
    whole.train()
    check(whole)
    for step in (3, 6, 9):
        resumed = make(tmp_path, callback(2), loss)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        check(resumed)


@pytest.mark.parametrize(
    ("fields", "got"),
    [
        ({"metric_for_best_model": None, "load_best_model_at_end": False}, "None and 'epoch'"),
        ({"eval_strategy": "no", "load_best_model_at_end": False}, "'mae' and 'no'"),
    ],
)
@pytest.mark.parametrize("is_set_later", [False, True])
def test_a_run_that_cannot_be_compared_is_refused(tmp_path, fields, got, is_set_later):
    trainer = make(tmp_path, EMDEarlyStopping(), **fields)
    if is_set_later:
        trainer.args.eval_strategy = str(trainer.args.eval_strategy.value)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == (
        "early stopping compares evaluations by a metric: it needs metric_for_best_model, as in 'mae', and an "
        f"eval_strategy of 'epoch' or 'steps'; got {got}."
    )


def test_patience_is_at_least_one():
    with pytest.raises(ValueError) as error:
        EMDEarlyStopping(0)
    assert str(error.value) == "early_stopping_patience must be at least 1 evaluation, got 0."
