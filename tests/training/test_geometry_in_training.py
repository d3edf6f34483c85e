"""Where the classes lie, as a run's arguments say it: the loss, D, and a D that is blended with the learned one."""

import gc
import json
import weakref

import numpy as np
import pytest
import torch
from tests.training.tiny import (
    K,
    Network,
    arguments,
    features_and_logits,
    ground_distance_slowly,
    samples,
    tiny_vit,
    train,
)

from squared_emd import (
    EMDTrainer,
    LabelTree,
    circular_emd_loss,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_tree,
    tree_emd_loss,
)
from squared_emd.training.config_entries import emd_block

NESTED = {"near": ["LABEL_0", "LABEL_1"], "far": {"LABEL_2": 2, "LABEL_3": 0.5}}
LABELS = torch.tensor([sample["labels"] for sample in samples()])


def evaluated(folder, tree=None, **fields):
    """The loss of an untrained network, and its logits."""
    torch.manual_seed(0)
    model = Network()
    args = arguments(folder, loss="emd", **fields)
    trainer = EMDTrainer(model, args, eval_dataset=samples(), ground_distance=tree)
    if tree is not None:
        assert emd_block(model, trainer.criterion, has_distance=False)["geometry"] == "tree"
    with torch.no_grad():
        logits = model(torch.stack([sample["inputs"] for sample in samples()]))["logits"]
    return trainer.evaluate()["eval_loss"], logits


def tree_file(folder, nested=NESTED):
    folder.mkdir(exist_ok=True)
    path = folder / "tree.json"
    path.write_text(json.dumps(nested))
    return str(path)


def test_the_loss_emd_on_a_circle_and_in_a_tree(tmp_path):
    spacing = [1.0, 2.0, 0.5, 3.0]
    loss, logits = evaluated(tmp_path, geometry="circle", spacing=spacing)
    assert loss == pytest.approx(float(circular_emd_loss(logits, LABELS, spacing=torch.tensor(spacing))), rel=1e-5)
    tree = LabelTree.from_nested(NESTED)
    for fields in ({"geometry": tree_file(tmp_path)}, {"tree": tree}):
        loss, logits = evaluated(tmp_path, **fields)
        assert loss == pytest.approx(float(tree_emd_loss(logits, LABELS, tree)), rel=1e-5)


@pytest.mark.parametrize("loss", ["xemd2", "a-emd"])
def test_d_comes_from_the_geometry_and_is_saved(tmp_path, loss):
    cases = {
        "line": (["line", [4, 5, 7]], ground_distance_from_positions([1, 5, 10, 17]) / 16),
        "circle": (["circle", None], ground_distance_from_circle(4) / 2),
        "tree": ([tree_file(tmp_path), None], ground_distance_from_tree(LabelTree.from_nested(NESTED)) / 5),
    }
    fields = {"jump_start_epochs": 1, "num_train_epochs": 2} if loss == "xemd2" else {"num_train_epochs": 1}
    for name, ((geometry, spacing), expected) in cases.items():
        trainer = train(tmp_path / name, loss=loss, geometry=geometry, spacing=spacing, **fields)
        torch.testing.assert_close(trainer.criterion.ground_distance, expected)
        assert emd_block(trainer.model, trainer.criterion, has_distance=True)["geometry"] == name


@pytest.mark.parametrize("given", ["array", "tree"])
def test_the_trainer_takes_d_itself(tmp_path, given):
    tree = LabelTree.from_nested(NESTED)
    matrix = ground_distance_from_tree(tree, normalize=True)
    given = tree if given == "tree" else matrix.numpy()
    args = arguments(tmp_path, jump_start_epochs=2, num_train_epochs=3)
    trainer = EMDTrainer(Network(), args, train_dataset=samples(), ground_distance=given)
    trainer.train()
    assert trainer.criterion.ground_distance.equal(matrix)
    assert trainer.head_input is None  # nothing is learned, nothing is caught
    block = emd_block(trainer.model, trainer.criterion, has_distance=True)
    assert block.get("geometry") == ("tree" if given is tree else None)


def test_a_tree_follows_the_names_of_the_model(tmp_path):
    model = tiny_vit()
    model.config.id2label = {0: "saw", 1: "cat", 2: "drill", 3: "dog"}
    nested = {"pets": ["cat", "dog"], "tools": ["drill", "saw"]}
    trainer = EMDTrainer(model, arguments(tmp_path, loss="a-emd", geometry=tree_file(tmp_path, nested)))
    near, far = 0.5, 1.0
    expected = [[0, far, near, far], [far, 0, far, near], [near, far, 0, far], [far, near, far, 0]]
    assert trainer.criterion.ground_distance.tolist() == expected
    given = EMDTrainer(model, arguments(tmp_path, loss="a-emd"), ground_distance=LabelTree.from_nested(nested))
    assert given.criterion.ground_distance.tolist() == expected


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_a_prior_is_blended_with_what_is_learned(tmp_path, decay):
    prior = ground_distance_from_positions([1, 5, 10, 17])
    np.save(tmp_path / "d.npy", prior)  # in years: it is scaled
    trainer = train(
        tmp_path / "run",
        ground_distance=str(tmp_path / "d.npy"),
        prior_weight=0.6,
        prior_decay=decay,
        learning_rate=0.0,
        jump_start_epochs=1,
        num_train_epochs=3,
    )
    features, _ = features_and_logits(trainer.model, samples())
    learned, _ = ground_distance_slowly(features, LABELS.numpy())
    weight = 0.6 * decay**2  # of the third epoch
    expected = weight * prior.numpy() / 16 + (1 - weight) * learned
    np.testing.assert_allclose(trainer.criterion.ground_distance, expected, atol=1e-6)
    block = emd_block(trainer.model, trainer.criterion, has_distance=True)
    assert (block["prior_weight"], block["prior_decay"]) == (0.6, decay)


def test_a_class_without_samples_keeps_its_prior_distances(tmp_path, caplog):
    args = arguments(tmp_path, jump_start_epochs=1, num_train_epochs=2, prior_weight=0.25, learning_rate=0.0)
    prior = ground_distance_from_positions([0, 1, 2, 3, 5], normalize=True)
    trainer = EMDTrainer(Network(K + 1), args, train_dataset=samples(), ground_distance=prior)
    trainer.train()
    torch.testing.assert_close(trainer.criterion.ground_distance[K], prior[K])
    assert trainer.criterion.distance.known.all()
    assert "has had no sample" not in caplog.text


def test_distances_that_are_no_shares_are_noticed(tmp_path, caplog):
    EMDTrainer(Network(), arguments(tmp_path), ground_distance=ground_distance_from_positions([1, 5, 10, 17]))
    assert caplog.messages == [
        "The largest distance of ground_distance is 16; omega and mu of Eq. 16 are meant for a D in 0 .. 1. Divide it "
        "by its largest entry, or choose omega and mu for it."
    ]


@pytest.mark.parametrize(
    ("fields", "given", "message"),
    [
        ({"prior_weight": 0.5}, None,
         "prior_weight blends a given D with the learned one: give ground_distance or geometry too, or leave it out."),
        ({"loss": "xe", "label_smoothing_factor": 0.1, "label_smoothing_temperature": 1.0}, None,
         "label_smoothing_temperature needs a D, and the loss xe has none: give ground_distance or geometry."),
        ({"loss": "emd"}, np.eye(K), "ground_distance must be 0 on the diagonal, got D[0, 0] = 1 and D[0, 0] = 1."),
        ({"loss": "emd"}, 1 - np.eye(K), "ground_distance is for the losses xemd, xemd1, xemd2 and a-emd, and for "
         "label_smoothing_temperature; emd has none. Leave it out."),
        ({"geometry": "circle"}, 1 - np.eye(K), "EMDTrainer was given a ground_distance, and its arguments have "
         "ground_distance or geometry: give one."),
        ({}, np.ones(3), "ground_distance must be (4, 4), one row a class of the model, got shape (3,)."),
        ({"loss": "emd", "geometry": "circle", "spacing": [1.0, 1.0, 1.0]}, None,
         "spacing must hold the K = 4 gaps between the 4 classes on the circle, got 3: [1.0, 1.0, 1.0]."),
    ],
)  # fmt: skip
def test_what_the_trainer_refuses(tmp_path, fields, given, message):
    with pytest.raises(ValueError) as error:
        EMDTrainer(Network(), arguments(tmp_path, **fields), ground_distance=given)
    assert str(error.value) == message


def test_a_tree_of_other_classes(tmp_path):
    path = tree_file(tmp_path, {"a": ["x", "y"]})
    with pytest.raises(ValueError) as error:
        EMDTrainer(Network(), arguments(tmp_path, loss="emd", geometry=path))
    assert str(error.value) == f"{path} must have the 4 classes of the model, it has 2."


def test_a_finished_trainer_goes_without_the_garbage_collector(tmp_path):
    trainer = train(tmp_path, jump_start_epochs=2)
    handler = weakref.ref(trainer.callback_handler)
    gc.disable()
    try:
        del trainer
        assert handler() is None
    finally:
        gc.enable()
