"""The names of the classes and the `emd` block, from whatever stands in a config."""

import itertools
import json

import numpy as np
import pytest
import torch
from tests.errors import message_of
from tests.hub.test_pipelines import make, pictures
from tests.training.tiny import arguments, tiny_vit
from transformers import PretrainedConfig, ViTForImageClassification

from squared_emd import EMDTrainer, LabelTree, load_ground_distance
from squared_emd.ground_distance.model_config import (
    check_class_order,
    class_names_differ,
    class_names_of,
    emd_block_of,
)
from squared_emd.plot.sources import read_source

AGES = [f"age{k}" for k in range(12)]
WRITTEN = {"loss": "xemd2", "omega": 2.0, "sdd": None, "epoch": 3, "class_names": ["a", "b"], "scores": [1, 2.5]}
AS_TEXT = {str(k): name for k, name in enumerate(AGES)}  # sorted as text, class 10 comes before class 2


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"id2label": AS_TEXT}, AGES),
        ({"label_names": AGES}, AGES),  # a timm model's
        (PretrainedConfig(id2label=AS_TEXT), AGES),
        ({"id2label": {"1": 10, 0: 9}}, ["9", "10"]),
        ({}, None),
        (None, None),
    ],
)
def test_names_stand_in_the_order_of_their_indices(config, names):
    assert class_names_of(config) == names


@pytest.mark.parametrize("field", ["id2label", "label_names"])
@pytest.mark.parametrize("names", [{1: "a", 2: "b"}, {"0": "a", 0: "b"}, {"a": 0, "b": 1}, 5, "01"])
def test_names_without_a_number(field, names):
    assert message_of(ValueError, class_names_of, {field: names}) == (
        f"id2label must name each class by its number, got {names!r}. Number the classes from 0, as the outputs of the "
        "model are."
    )


def test_names_that_are_numbers():
    learned = [3, 5, 10]  # as they stand in the config of a model whose classes were given as numbers
    check_class_order(learned, ["3", "5", "10"], source="m")
    assert not class_names_differ(learned, ["3", "5", "10"])
    assert class_names_differ(learned, ["3", "5", "11"])
    assert message_of(ValueError, check_class_order, learned, ["10", "5", "3"], source="m") == (
        "the classes of m must stand in the order in which its ground distance and its classifier head were learned, "
        "3, 5, 10; id2label has 10, 5, 3. Load it without id2label, and give your data the labels in that order."
    )


def test_a_model_whose_indices_are_text(tmp_path):
    """As the guides of transformers give them to `from_pretrained`: 12 classes on a path, in steps of one."""
    tiny_vit(12).save_pretrained(tmp_path / "base")
    labels = {"id2label": AS_TEXT, "label2id": {name: k for k, name in AS_TEXT.items()}}
    model = ViTForImageClassification.from_pretrained(tmp_path / "base", **labels)
    assert list(model.config.id2label) == list(AS_TEXT)  # still text
    parents = {f"at {name}": f"at {parent}" for parent, name in itertools.pairwise(AGES)}
    parents |= {name: f"at {name}" for name in AGES}
    tree = LabelTree.from_parents(parents)
    trainer = EMDTrainer(model, arguments(tmp_path, loss="a-emd"), ground_distance=tree)
    steps = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    expected = np.where(steps > 0, steps + 2, 0) / 13
    assert torch.allclose(trainer.criterion.ground_distance, torch.from_numpy(expected))
    trainer.save_model()
    again = ViTForImageClassification.from_pretrained(tmp_path)
    assert EMDTrainer(again, arguments(tmp_path, loss="a-emd")).criterion.class_names == AGES
    with torch.no_grad():
        model.classifier.bias[3] = 99
    answer = make(model)(pictures(1)[0])
    assert answer["label"] == "age3"
    assert [share["label"] for share in answer["distribution"]] == AGES
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["emd"]["class_names"] == AGES
    del content["emd"]["class_names"]
    (tmp_path / "config.json").write_text(json.dumps(content, sort_keys=True))  # "10" before "2"
    assert list(read_source(tmp_path)[1]) == AGES


@pytest.mark.parametrize(("emd", "expected"), [(None, {}), ({}, {}), (WRITTEN, WRITTEN)])
def test_what_is_written_is_read(emd, expected):
    assert emd_block_of({"emd": emd}) == emd_block_of(PretrainedConfig(emd=emd)) == expected
    assert emd_block_of({}) == emd_block_of(PretrainedConfig()) == emd_block_of(None) == {}


@pytest.mark.parametrize(
    ("emd", "name", "required", "got"),
    [
        ("xemd2", "emd", "an object", "'xemd2'"),
        ([1], "emd", "an object", "[1]"),
        (0, "emd", "an object", "0"),
        ({"loss": ["emd"]}, "emd.loss", "text", "['emd']"),
        ({"regularizer_weight": "auto"}, "emd.regularizer_weight", "a finite number", "'auto'"),
        ({"omega": True}, "emd.omega", "a finite number", "True"),
        ({"mu": float("nan")}, "emd.mu", "a finite number", "nan"),
        ({"class_names": "ab"}, "emd.class_names", "a list of names", "'ab'"),
        ({"class_names": [1, None]}, "emd.class_names", "a list of names", "[1, None]"),
        ({"scores": {"a": 1}}, "emd.scores", "a list of finite numbers", "{'a': 1}"),
        ({"scores": [1, None]}, "emd.scores", "a list of finite numbers", "[1, None]"),
    ],
)
def test_any_other_block_is_refused(tmp_path, emd, name, required, got):
    wrong = f"must be {required}, or null; got {got}. Save the model again, or take the entry out."
    expected = f"{name!r} in the config.json of the model {wrong}"
    assert message_of(ValueError, emd_block_of, PretrainedConfig(emd=emd)) == expected
    (tmp_path / "config.json").write_text(json.dumps({"ground_distance": [[0, 1], [1, 0]], "emd": emd}))
    assert message_of(ValueError, load_ground_distance, tmp_path) == expected.replace("the model", str(tmp_path), 1)
