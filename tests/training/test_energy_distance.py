"""The loss xemd in training: cross-entropy, then the energy distance under a D of mean 1 beside it."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from tests.training.tiny import (
    D,
    K,
    Network,
    arguments,
    features_and_logits,
    ground_distance_slowly,
    images,
    logged,
    samples,
    tiny_vit,
    train,
)
from transformers import ViTForImageClassification

from squared_emd import EMDTrainer

LABELS = np.array([sample["labels"] for sample in samples()])
LINE = abs(np.subtract.outer(np.arange(K), np.arange(K)))
FIXED = {"learning_rate": 0.0, "per_device_train_batch_size": len(LABELS)}  # one step an epoch, the weights stay


def mean_one(distances):
    return distances / distances[~np.eye(len(distances), dtype=bool)].mean()


def energy_distances(logits, labels, distances):
    """Székely & Rizzo 2013 in float64: (B,)."""
    p, t = softmax(logits, axis=1), np.eye(K)[labels]
    return [a @ distances @ b - a @ distances @ a / 2 - b @ distances @ b / 2 for a, b in zip(p, t, strict=True)]


def of_network(model):
    """Learned distances and logits of all samples, by hand from the weights."""
    features, logits = features_and_logits(model, samples())
    return mean_one(ground_distance_slowly(features, LABELS)[1]), logits


@pytest.mark.parametrize(
    ("fields", "weight"), [({}, 6), ({"geometry": "line"}, 6), ({"regularizer_weight": 2, "max_steps": 3}, 2)]
)
def test_d_and_the_components_are_those_of_the_equation(tmp_path, fields, weight):
    trainer = train(tmp_path, loss="xemd", **FIXED, **fields)
    distances, logits = of_network(trainer.model)
    if fields.get("geometry"):
        distances = (distances + mean_one(LINE)) / 2
    np.testing.assert_allclose(trainer.criterion.ground_distance, distances, atol=1e-6)
    entropy = -log_softmax(logits, axis=1)[np.arange(len(LABELS)), LABELS].mean()
    assert logged(trainer, "loss_ce") == pytest.approx([entropy] * trainer.state.global_step, rel=1e-5)
    # A tenth of four steps is begun in the first one, at whose end D is learned.
    expected = weight * np.mean(energy_distances(logits, LABELS, distances))
    assert logged(trainer, "loss_emd") == pytest.approx([expected] * (trainer.state.global_step - 1), rel=1e-5)


def test_ranks_and_a_given_d_alone_have_mean_one_too(tmp_path):
    trainer = train(tmp_path, loss="xemd", rank="strict", **FIXED)
    ranks = ground_distance_slowly(features_and_logits(trainer.model, samples())[0], LABELS)[0]
    np.testing.assert_allclose(trainer.criterion.ground_distance, mean_one(ranks), atol=1e-6)
    given = train(tmp_path, loss="xemd", geometry="line", spacing=[1, 2, 3], prior_weight=1, num_train_epochs=1)
    assert given.head_input is None  # nothing is learned
    expected = mean_one(abs(np.subtract.outer([0, 1, 3, 6], [0, 1, 3, 6])))
    np.testing.assert_allclose(given.criterion.ground_distance, expected)


def test_a_class_without_samples_is_at_the_mean_distance(tmp_path, caplog):
    labels = [0, 1, 3] * 8
    trainer = train(tmp_path, loss="xemd", data=samples(labels=labels), **FIXED)
    cost, known = trainer.criterion.distance.cost.numpy(), [0, 1, 3]
    assert cost[2].tolist() == cost[:, 2].tolist() == [1, 1, 0, 1]
    assert mean_one(cost[np.ix_(known, known)]) == pytest.approx(cost[np.ix_(known, known)], abs=1e-6)
    assert not trainer.criterion.ground_distance[2].any()
    (message,) = [record.getMessage() for record in caplog.records if "has had no sample" in record.getMessage()]
    assert message == (
        "Class '2' has had no sample yet: its ground distances are unknown, so the regularizer takes the mean distance "
        "for them until one comes."
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"loss": "xemd", "geometry": "line", "num_train_epochs": 2},
        {"loss": "xemd2", "jump_start_epochs": 2, "num_train_epochs": 3},
        {"loss": "xemd2", "geometry": "line", "jump_start_epochs": 1, "num_train_epochs": 2},
    ],
)
def test_a_loaded_model_is_evaluated_as_it_was_trained(tmp_path, fields):
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, **fields), train_dataset=images(), eval_dataset=images())
    trainer.train()
    trainer.save_model()
    model = ViTForImageClassification.from_pretrained(tmp_path)
    if fields["loss"] == "xemd":
        names = ("loss", "rank", "regularizer_weight", "prior_weight", "mu")
        block = {name: model.config.emd.get(name) for name in names}
        assert block == {"loss": "xemd", "rank": None, "regularizer_weight": 6, "prior_weight": 0.5, "mu": None}
    loaded = EMDTrainer(model, arguments(tmp_path, **fields), eval_dataset=images())
    assert loaded.evaluate()["eval_loss"] == pytest.approx(trainer.evaluate()["eval_loss"], rel=1e-4)


def test_d_of_a_network_whose_features_are_all_alike_is_used(tmp_path):
    """All distances between centroids are then 0, and so is the regularizer."""
    model = Network()
    torch.nn.init.zeros_(model.body.weight)
    torch.nn.init.ones_(model.body.bias)
    trainer = train(tmp_path, model=model, loss="xemd", **FIXED)
    assert trainer.criterion.ground_distance.shape == (K, K)
    assert model.head.in_features == D
    assert logged(trainer, "loss_emd") == [0, 0, 0]
