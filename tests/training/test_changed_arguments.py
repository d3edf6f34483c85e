"""Fields that change after construction, as in `hyperparameter_search`: taken up as at construction, or refused."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.training.tiny import K, Network, arguments, features_and_logits, ground_distance_slowly, logged, samples
from torch.utils.data import DataLoader
from transformers.trainer_utils import HPSearchBackend

from squared_emd import EMDTrainer, ordinal_metrics

DATA = samples(labels=[0, 1, 2, 3, 0, 0, 0, 1, 2, 2, 1, 0] * 2)


def make_network(trial=None):
    torch.manual_seed(0)
    return Network()


def make(folder, model_init=None, **fields):
    fields = {"jump_start_epochs": 2, "num_train_epochs": 3} | fields
    options = {"train_dataset": DATA, "eval_dataset": DATA, "compute_metrics": ordinal_metrics()}
    model = make_network() if model_init is None else None
    return EMDTrainer(model, arguments(folder, **fields), model_init=model_init, **options)


def results(trainer):
    names = ("loss", "loss_ce", "loss_emd", "regularizer_weight", "sdd", "grad_norm")
    evaluated = {
        name: value for name, value in trainer.evaluate().items() if "_per_" not in name and "time" not in name
    }
    return {name: logged(trainer, name) for name in names}, evaluated


@pytest.fixture
def line(tmp_path):
    np.save(tmp_path / "line.npy", np.abs(np.subtract.outer(np.arange(K), np.arange(K))) / (K - 1))
    return str(tmp_path / "line.npy")


SEARCH = [
    {"loss": "xe"},
    {"loss": "xemd2", "regularizer_weight": "auto", "regularizer_ratio": 2.0},
    {"loss": "emd", "class_weights": "balanced"},
    {"loss": "xemd1", "regularizer_weight": 0.5, "class_weights": "effective:0.9"},
    {"loss": "xemd"},
    {"loss": "xemd2", "regularizer_weight": "auto", "class_weights": "balanced"},
]


def test_a_search_over_losses_trains_as_a_trainer_of_each(tmp_path, monkeypatch):
    """The objective of `hyperparameter_search`, with trials as a search library, which is not installed, draws them."""
    monkeypatch.setattr("transformers.integrations.hp_params", lambda trial: trial.params)
    trainer = make(tmp_path, make_network, loss="xe")
    trainer.hp_search_backend, trainer.hp_space = HPSearchBackend.OPTUNA, lambda trial: trial.params
    fields = {}
    for trial in SEARCH:
        fields |= trial  # a field that a trial leaves out stays
        trainer.train(trial=SimpleNamespace(params=trial, number=0))
        expected = make(tmp_path, make_network, **fields)
        expected.train()
        assert results(trainer) == results(expected), trial


def test_a_new_model_with_a_loader_of_ones_own(tmp_path):
    class OwnLoader(EMDTrainer):
        def get_train_dataloader(self):
            return DataLoader(DATA, batch_size=8)

    trainer = OwnLoader(
        args=arguments(tmp_path, loss="xemd2", jump_start_epochs=1, learning_rate=0.0),
        model_init=make_network,
        train_dataset=DATA,
    )
    trainer.train()
    features, _ = features_and_logits(trainer.model, DATA)
    expected, _ = ground_distance_slowly(features, np.array([sample["labels"] for sample in DATA]))
    np.testing.assert_allclose(trainer.criterion.ground_distance, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"loss": "emd"}, {"spacing": [1.0, 2.0, 5.0]}),
        ({"loss": "emd", "spacing": (1.0, 1.0, 1.0)}, {"spacing": np.array([1.0, 2.0, 5.0])}),
        ({"loss": "xe", "class_weights": torch.ones(K)}, {"class_weights": torch.tensor([4.0, 3.0, 2.0, 1.0])}),
        ({"loss": "emd", "spacing": [1.0, 2.0, 5.0]}, {"geometry": "circle", "spacing": None}),
        ({"loss": "xemd2"}, {"geometry": "line"}),
        ({"loss": "xemd2", "geometry": "line"}, {"geometry": None}),
        ({"loss": "xemd2", "regularizer_weight": 1.0}, {"regularizer_weight": 3.0}),
        ({"loss": "xemd2"}, {"regularizer_ratio": 7.0}),
        ({"loss": "xe"}, {"class_weights": [4, 3, 2, 1]}),
        ({"loss": "xe"}, {"label_smoothing_factor": 0.2}),
        ({"loss": "emd"}, {"label_smoothing_factor": 0.2, "label_smoothing_temperature": 0.5}),
        ({"loss": "xe"}, {"loss": "a-emd", "ground_distance": "line.npy"}),
        ({"loss": "xe"}, {"balanced_sampling": True}),
    ],
)
def test_what_has_changed_is_taken_up(tmp_path, line, before, after):
    if "ground_distance" in after:
        after = after | {"ground_distance": line}
    expected = make(tmp_path, **(before | after))
    expected.train()
    trainer = make(tmp_path, **before)
    vars(trainer.args).update(after)
    with pytest.raises(ValueError) as error:
        trainer.evaluate()
    names = trainer.args.changed_fields(trainer.criterion.args)
    assert set(names) == set(after)
    was, now = ({name: getattr(args, name) for name in names} for args in (trainer.criterion.args, trainer.args))
    assert str(error.value) == (
        "an evaluation needs the arguments of the last training, or before any those that the trainer was made with, "
        f"{was}; they were changed to {now}. Set them back, or call train(), which takes them up."
    )
    trainer.train()
    assert results(trainer) == results(expected)
    trainer.train()  # goes on from the trained weights, with the same fields


def test_a_list_that_is_changed_in_place(tmp_path):
    trainer = make(tmp_path, loss="emd", spacing=[1.0, 2.0, 5.0])
    trainer.args.spacing[2] = 9.0
    assert trainer.args.changed_fields(trainer.criterion.args) == ["spacing"]


@pytest.mark.parametrize(
    ("fields", "changes", "message"),
    [
        ({}, {"loss": "focal"}, "loss must be one of xe, reg, emd, xemd1, xemd2, a-emd, xemd, got 'focal'."),
        ({}, {"regularizer_ratio": -1.0}, "regularizer_ratio must be greater than 0 and finite, got -1.0."),
        (
            {"loss": "emd"},
            {"spacing": [1.0]},
            "spacing must hold the K-1 = 3 gaps between the 4 classes, got 1: [1.0].",
        ),
        ({"loss": "emd"}, {"class_weights": [1, 2]}, "class_weights must hold 4 numbers, one a class, got 2."),
        (
            {"loss": "xe"},
            {"geometry": "line"},
            "geometry is for the losses emd, xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; xe has "
            "none. Leave it out.",
        ),
        (
            {"loss": "xe"},
            {"loss": "a-emd"},
            "the loss a-emd needs a ground distance: give ground_distance, a file with a (K, K) matrix or the folder "
            "of an xemd2 run, or a model that was saved with one.",
        ),
    ],
)
def test_what_is_refused_at_construction_is_refused_later(tmp_path, fields, changes, message):
    with pytest.raises(ValueError) as error:
        make(tmp_path, **(fields | changes))
    assert str(error.value) == message
    trainer = make(tmp_path, **fields)
    vars(trainer.args).update(changes)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == message
    assert trainer.state.global_step == 0


def test_a_field_that_the_loss_does_not_use_is_told_of_once(tmp_path, caplog):
    trainer = make(tmp_path, loss="emd", jump_start_epochs=2, rank="inclusive")
    trainer.args.spacing = [1.0, 2.0, 5.0]
    trainer.train()
    said = "The loss emd does not use jump_start_epochs, rank: to change that has no effect."
    assert caplog.messages.count(said) == 1
    trainer.args.loss = "xemd2"
    assert trainer.args.unused_fields == []
