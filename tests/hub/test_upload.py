"""Which files of a saved model go to the Hub, and what is said of a folder that cannot be pushed."""

import importlib
import json
import sys

import pytest
from tests.errors import message_of

from squared_emd.hub import push_model, write_card
from squared_emd.hub.upload import _warn_about_missing_code, files_to_upload

CONFIG = """
from transformers import PretrainedConfig

class NearConfig(PretrainedConfig):
    model_type = "near"
"""
MODEL = """
import torch
from transformers import PreTrainedModel
from .near_config import NearConfig
from .near_layers import head

class NearModel(PreTrainedModel):
    config_class = NearConfig

    def __init__(self, config):
        super().__init__(config)
        self.classifier = head(config.num_labels)
        self.post_init()

    def forward(self, features, labels=None):
        return {"logits": self.classifier(features)}
"""
LAYERS = """
from .near_sizes import SIZE
import torch

def head(num_labels):
    return torch.nn.Linear(SIZE, num_labels)
"""
SOURCES = {"near_config": CONFIG, "near_model": MODEL, "near_layers": LAYERS, "near_sizes": "SIZE = 4\n"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A model with code of its own, in a package."""
    root = tmp_path_factory.mktemp("code")
    (root / "near_package").mkdir()
    for name, source in SOURCES.items():
        (root / "near_package" / f"{name}.py").write_text(source)
    sys.path.insert(0, str(root))
    try:
        config, model = (importlib.import_module(f"near_package.{name}") for name in ("near_config", "near_model"))
        yield model.NearModel(config.NearConfig(num_labels=3))
    finally:
        sys.path.remove(str(root))


@pytest.fixture
def folder(tmp_path):
    """As far as an upload looks at it."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


class TestCode:
    def test_goes_up_with_what_it_imports(self, own, tmp_path, caplog, monkeypatch):
        own.save_pretrained(tmp_path)
        assert files_to_upload(tmp_path) == ["config.json", "model.safetensors"]
        _warn_about_missing_code(tmp_path)
        assert caplog.messages == [
            f"{tmp_path} has no code of the class NearModel, which transformers does not know: only who has it can "
            "load the model. To push it too, put it into a module of its own, call "
            "NearModel.register_for_auto_class(...) and save the model again."
        ]
        caplog.clear()
        monkeypatch.setattr(type(own.config), "_auto_class", "AutoConfig")
        monkeypatch.setattr(type(own), "_auto_class", "AutoModelForImageClassification")
        own.save_pretrained(tmp_path)
        (tmp_path / "notes.py").write_text("nobody asked for it")
        code = [f"{name}.py" for name in SOURCES]
        assert files_to_upload(tmp_path) == sorted(["config.json", "model.safetensors", *code])
        _warn_about_missing_code(tmp_path)
        assert not caplog.messages
        (tmp_path / "near_sizes.py").unlink()
        assert message_of(FileNotFoundError, files_to_upload, tmp_path) == (
            f"{tmp_path} must hold near_sizes.py, the code of the model's own classes; it is not there. Save the model "
            "again, with these classes in a module that lies in one folder with what it imports from '.'."
        )

    def test_of_a_tokenizer_and_of_another_repository(self, folder):
        (folder / "config.json").write_text('{"auto_map": {"AutoConfig": "me/near--near_config.NearConfig"}}')
        (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["words.Words", null]}}')
        (folder / "words.py").write_text("")
        names = ["config.json", "model.safetensors", "tokenizer_config.json", "words.py"]
        assert files_to_upload(folder) == names

    @pytest.mark.parametrize("reference", ["../secret.Secret", "secret", 3])
    def test_no_other_file(self, folder, reference):
        path = folder / "config.json"
        path.write_text(json.dumps({"auto_map": {"AutoModel": reference}}))
        assert message_of(ValueError, files_to_upload, folder) == (
            f"{path} must name code as module.Class under 'auto_map'; got {reference!r}; save the model again"
        )


class TestBrokenFiles:
    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"{", "must be JSON in UTF-8; reading it gave: Expecting property name"),
            (b"[" * 10_000, "must be JSON in UTF-8; reading it gave: maximum recursion depth exceeded"),
            (b"\xff", "must be JSON in UTF-8; reading it gave: 'utf-8' codec can't decode byte 0xff"),
            (b"[1]", "must hold a JSON object; got [1]; write it again"),
            (b'{"auto_map": "a.B"}', "must have an object under 'auto_map'; got 'a.B'; save the model again"),
        ],
    )
    def test_a_config(self, folder, name, content, message):
        (folder / name).write_bytes(content)
        for act in (files_to_upload, lambda folder: push_model(folder, "me/age")):
            assert message_of(ValueError, act, folder).startswith(f"{folder / name} {message}")

    @pytest.mark.parametrize("fields", [{"model_type": ["vit"]}, {"model_type": "vit", "id2label": "ab"}])
    def test_a_config_of_no_model(self, folder, fields):
        path = folder / "config.json"
        path.write_text(json.dumps(fields))
        start = f"{path} must be the config of a model; reading it gave "
        assert message_of(ValueError, write_card, folder).startswith(start)

    def test_a_card(self, folder):
        path = folder / "README.md"
        path.write_bytes(b"caf\xe9")
        for act in (files_to_upload, write_card):
            assert message_of(ValueError, act, folder) == (
                f"{path} must be text in UTF-8; reading it gave: 'utf-8' codec can't decode byte 0xe9 in position 3: "
                "unexpected end of data; write it again"
            )
