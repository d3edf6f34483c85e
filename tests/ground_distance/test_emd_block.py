"""The `emd` block of a config that someone has edited."""

import json

import pytest
from tests.data.files import message_of
from transformers import PretrainedConfig

from squared_emd import load_ground_distance
from squared_emd.ground_distance.emd_block import emd_block_of

WRITTEN = {"loss": "xemd2", "omega": 2.0, "sdd": None, "epoch": 3, "class_names": ["a", "b"], "scores": [1, 2.5]}


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
def test_anything_else_is_refused(tmp_path, emd, name, required, got):
    def message(source):
        return (
            f"{name!r} in the config.json of {source} must be {required}, or null; got {got}. Save the model again, or "
            "take the entry out."
        )

    assert message_of(ValueError, emd_block_of, PretrainedConfig(emd=emd)) == message("the model")
    (tmp_path / "config.json").write_text(json.dumps({"ground_distance": [[0, 1], [1, 0]], "emd": emd}))
    assert message_of(ValueError, load_ground_distance, tmp_path) == message(tmp_path)
