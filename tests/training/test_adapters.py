"""Adapters of PEFT: D lies beside them, the merged model has it in its config, and runs resume to the bit."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tests.training.tiny import K, arguments, images, tiny_vit
from torch import nn
from transformers import AutoModelForImageClassification

from squared_emd import EMDTrainer, load_ground_distance
from squared_emd.hub.upload import files_to_upload
from squared_emd.training.head_features import HeadInput

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by PEFT
ON_THE_HEAD = {"target_modules": ["fc1", "fc2", "classifier"]}
BESIDE_THE_HEAD = {"target_modules": ["q_proj"], "modules_to_save": ["classifier"]}


def wrapped(base, fields):
    return get_peft_model(base, LoraConfig(r=2, **fields))


def added(base, fields):
    base.add_adapter(LoraConfig(r=2, **fields))
    return base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    tiny_vit().save_pretrained(folder := tmp_path_factory.mktemp("base"))
    return folder


@pytest.mark.parametrize("fields", [{"r": 2}, {"r": K}, {"r": 2, "use_dora": True}])
def test_the_head_is_the_layer_with_its_adapter(fields):
    inputs = torch.randn(3, 3, 8, 8)
    for adds in (False, True):
        model = get_peft_model(tiny_vit(), LoraConfig(target_modules=["classifier"], **fields)).eval()
        if adds:
            nn.init.ones_(model.base_model.model.classifier.lora_B["default"].weight)
        with (head_input := HeadInput(model, K)).armed():
            logits = model(pixel_values=inputs).logits
        features = head_input.take(logits)
        assert head_input.head == "base_model.model.classifier"
        torch.testing.assert_close(model.base_model.model.classifier(features), logits)


def trained(base, folder, adapt, fields, resume=None, **others):
    torch.manual_seed(0 if resume is None else 1)
    model = adapt(AutoModelForImageClassification.from_pretrained(base), fields)
    others = {"jump_start_epochs": 2, "num_train_epochs": 3, "save_strategy": "epoch"} | others
    scores = iter([0.1, 0.2, 0.9, 0.3])
    trainer = EMDTrainer(
        model,
        arguments(folder, **others),
        train_dataset=images()[:8],
        eval_dataset=images()[:8],
        compute_metrics=lambda _: {"aem": next(scores)},
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def check_equal(model, expected):
    expected = expected.state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize(
    ("adapt", "fields", "head"),
    [
        (wrapped, ON_THE_HEAD, "base_model.model.classifier"),
        (wrapped, BESIDE_THE_HEAD, "base_model.model.classifier.modules_to_save.default"),
        (added, ON_THE_HEAD, "classifier"),
    ],
)
def test_adapters(base, tmp_path, adapt, fields, head):
    trainer = trained(base, tmp_path, adapt, fields)
    assert trainer.head_input.head == head
    trainer.save_model()
    for folder in (tmp_path, tmp_path / "checkpoint-2", tmp_path / "checkpoint-3"):
        assert {"adapter_model.safetensors", "ground_distance.safetensors"} < set(files_to_upload(folder))
        assert not (folder / "config.json").exists()  # it would be taken for a whole model
    expected = trainer.criterion.ground_distance
    torch.testing.assert_close(load_ground_distance(tmp_path), expected, atol=1e-6, rtol=0)

    # The search for the head of a resumed run begins with an adapter that adds something.
    resumed = trained(base, tmp_path / "resumed", adapt, fields, resume=str(tmp_path / "checkpoint-2"))
    check_equal(resumed.model, trainer.model)
    assert torch.equal(resumed.criterion.ground_distance, expected)

    inputs = torch.stack([sample["pixel_values"] for sample in images()[:2]])
    logits = trainer.model.eval()(pixel_values=inputs).logits
    torch.testing.assert_close(AutoModelForImageClassification.from_pretrained(tmp_path)(inputs).logits, logits)
    if isinstance(trainer.model, PeftModel):
        merged = trainer.model.merge_and_unload()
        merged.save_pretrained(tmp_path / "merged")
        torch.testing.assert_close(load_ground_distance(tmp_path / "merged"), expected, atol=1e-6, rtol=0)
        again = AutoModelForImageClassification.from_pretrained(tmp_path / "merged").eval()
        torch.testing.assert_close(again(inputs).logits, logits)


@pytest.mark.parametrize("adapt", [wrapped, added])
def test_the_best_adapter_comes_back_with_its_d(base, tmp_path, adapt):
    fields = {"eval_strategy": "epoch", "load_best_model_at_end": True, "metric_for_best_model": "aem"}
    trainer = trained(base, tmp_path, adapt, ON_THE_HEAD, num_train_epochs=4, learning_rate=30.0, **fields)
    trainer.save_model()
    assert torch.equal(load_ground_distance(tmp_path), load_ground_distance(tmp_path / "checkpoint-3"))
    assert not torch.equal(load_ground_distance(tmp_path), load_ground_distance(tmp_path / "checkpoint-4"))
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "checkpoint-3").state_dict()
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, loaded[name.removeprefix("base_model.model.")]), name


def test_no_distance_of_an_earlier_adapter_is_left(base, tmp_path):
    (tmp_path / "ground_distance.safetensors").touch()
    model = wrapped(AutoModelForImageClassification.from_pretrained(base), ON_THE_HEAD)
    EMDTrainer(model, arguments(tmp_path, loss="xe")).save_model()
    assert (tmp_path / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "ground_distance.safetensors").exists()
