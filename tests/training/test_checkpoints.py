"""Which checkpoint is whole, which is the last, and whose weights it holds."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.tiny import tiny_vit
from torch import nn
from transformers import ViTForImageClassification

from squared_emd.training.checkpoints import last_complete_checkpoint, load_weights, mark_complete, validate_checkpoint


def test_validate_checkpoint(tmp_path):
    assert validate_checkpoint(tmp_path / "none") == "there is no such folder"
    (tmp_path / "a").write_text("12")
    mark_complete(tmp_path)
    assert validate_checkpoint(tmp_path) is None
    (tmp_path / "files.json").write_text('{"a": ')
    assert validate_checkpoint(tmp_path) == "files.json is incomplete"


def test_the_last_is_the_highest_number(tmp_path):
    assert last_complete_checkpoint(tmp_path / "none") is None
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-1000").write_text("no folder")
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")


class NeedsMore(ViTForImageClassification):
    def __init__(self, config, more):
        super().__init__(config)


def other_head():
    model = tiny_vit()
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(8, 4))
    return model


class TestLoadWeights:
    @pytest.mark.parametrize("build", [tiny_vit, other_head, lambda: NeedsMore(tiny_vit().config, 1)])
    def test_whatever_was_done_to_the_model(self, tmp_path, build):
        torch.manual_seed(1)
        saved, model = build(), build()
        for weight in saved.parameters():
            nn.init.normal_(weight)
        saved.save_pretrained(tmp_path, max_shard_size="1KB")  # several files and an index
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
        assert load_file(next(tmp_path.glob("*.safetensors"))).keys() - model.state_dict().keys()  # other names
        load_weights(model, tmp_path)
        for name, weight in saved.state_dict().items():
            assert torch.equal(model.state_dict()[name], weight), name

    def test_weights_of_another_model(self, tmp_path):
        other_head().save_pretrained(tmp_path)
        model = tiny_vit()
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        with pytest.raises(ValueError) as error:
            load_weights(model, tmp_path)
        assert str(error.value) == (
            f"the weights in {tmp_path} must be those of this ViTForImageClassification; missing are "
            "['classifier.bias', 'classifier.weight'], unknown ['classifier.1.bias', 'classifier.1.weight']. Build the "
            "model as in the run that wrote them."
        )
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, before[name])

    def test_a_file_that_lacks_one(self, tmp_path):
        tiny_vit().save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["classifier.bias"]
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"missing are \['classifier.bias'\], unknown none"):
            load_weights(tiny_vit(), tmp_path)
