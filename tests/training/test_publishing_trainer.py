"""The card that a Trainer writes; pushes over HTTP are in tests/hub."""

import json
from pathlib import Path

import pytest
import torch
from tests.training.tiny import Network, arguments, images, samples, tiny_bert, tiny_vit, train
from transformers import AutoModelForImageClassification, PretrainedConfig, PreTrainedModel

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.hub import card
from squared_emd.hub.results import weights_version
from squared_emd.hub.training_push import facts_of_training
from squared_emd.vision import average_flips

WORDS = [{"input_ids": [k % 4, 1, 2], "labels": k % 4} for k in range(12)]


def evaluated(folder, **others):
    """A Trainer of images that has been evaluated, and its data."""
    data = images()
    trainer = EMDTrainer(tiny_vit(), arguments(folder, loss="emd"), train_dataset=data, eval_dataset=data, **others)
    trainer.evaluate()
    return trainer, data


def card_of(trainer):
    trainer.create_model_card(language="en")
    folder = Path(trainer.args.output_dir)
    return (folder / "README.md").read_text(), json.loads((folder / "card_results.json").read_text())["results"]


class OwnConfig(PretrainedConfig):
    model_type = "unknown_to_transformers"


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.classifier = torch.nn.Linear(4, config.num_labels)
        self.post_init()

    def forward(self, features, labels=None):
        return {"logits": self.classifier(features)}


FEATURES = [{"features": torch.full((4,), float(k)), "labels": k % 3} for k in range(6)]


@pytest.mark.parametrize(
    ("make", "data", "shown"),
    [
        (tiny_vit, images(), "pipeline_tag: image-classification"),
        (tiny_bert, WORDS, "pipeline_tag: text-classification"),
        (lambda: OwnModel(OwnConfig(num_labels=3)), FEATURES, "OwnModel"),  # which transformers does not know
    ],
)
def test_the_card_of_a_model(tmp_path, make, data, shown):
    args, metrics = arguments(tmp_path, loss="emd"), ordinal_metrics()
    trainer = EMDTrainer(make(), args, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
    trainer.train()
    aem = trainer.evaluate()["eval_aem"]
    trainer.predict(data[:5], metric_key_prefix="eval")  # A prediction is no evaluation.
    trainer.save_model()
    card, noted = card_of(trainer)
    assert f"| AEM | {100 * aem:.1f}% |" in card and shown in card
    assert (noted["num_test"], noted["num_train"]) == (len(data), len(data))


def test_the_best_weights_have_the_evaluation_of_their_step(tmp_path):
    data = images()
    fields = {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"}
    fields |= {"metric_for_best_model": "mae", "greater_is_better": True}  # the worst epoch, so not the last
    args = arguments(tmp_path, loss="emd", learning_rate=0.1, **fields)
    metrics = ordinal_metrics()
    trainer = EMDTrainer(tiny_vit(), args, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
    trainer.train()
    log = trainer.state.log_history
    by_step = {entry["step"]: entry["eval_squared_emd"] for entry in log if "eval_loss" in entry}
    best, last = trainer.state.best_global_step, trainer.state.global_step
    assert best != last and by_step[best] != by_step[last]
    assert facts_of_training(trainer)["eval_squared_emd"] == by_step[best]
    trainer.evaluate(data[:7])  # of the same weights, and later
    assert facts_of_training(trainer)["num_test"] == 7
    with torch.no_grad():
        trainer.model.classifier.weight.zero_()
    assert "eval_squared_emd" not in facts_of_training(trainer)


def test_files_of_weights_are_read_only_where_a_card_is_written(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(card, "digests_of_weights", lambda folder: read.append(folder) or {})
    fields = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    args = arguments(tmp_path, loss="emd", **fields)
    trainer = EMDTrainer(tiny_vit(), args, train_dataset=images(), eval_dataset=images())
    trainer.train()
    trainer.evaluate()
    trainer.save_model()
    assert not read
    monkeypatch.undo()
    assert card_of(trainer)[1]["num_test"] == len(images())


def test_a_training_that_leaves_no_trace_in_the_weights_is_noticed(tmp_path):
    trainer, data = evaluated(tmp_path)
    trainer.optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)  # as one with kernels of its own
    for _ in range(2):
        assert facts_of_training(trainer)["num_test"] == len(data)
        trainer.train()
        assert facts_of_training(trainer)["num_test"] is None
        trainer.evaluate()


@pytest.mark.parametrize(
    "write",
    [
        lambda model: [weight.data.mul_(-3) for weight in model.parameters()],
        lambda model: model.classifier.bias.data.add_(1),
        lambda model: model.bfloat16(),
        lambda model: setattr(model.classifier.weight, "data", model.classifier.weight.data.flip(0)),
    ],
    ids=["all", "one", "dtype", "other tensor"],
)
def test_writes_that_pytorch_does_not_count_are_noticed(tmp_path, write):
    trainer, data = evaluated(tmp_path)
    assert facts_of_training(trainer)["num_test"] == len(data)
    write(trainer.model)
    assert facts_of_training(trainer)["num_test"] is None


def test_weights_of_any_layout_have_a_version():
    weights = [torch.zeros(3, 0), torch.zeros(()), torch.zeros(9, 2).to_sparse(), torch.zeros(2, 3, 4, 5).mT]
    weights += [torch.zeros(3, device="meta"), torch.zeros(3, dtype=torch.float64)]
    model = torch.nn.ParameterList(weights)
    before = weights_version(model)
    assert weights_version(model) == before
    model[3].data[1, 2, 4, 3] = 1
    assert weights_version(model) != before


def test_other_weights_in_the_folder_than_were_evaluated(tmp_path):
    trainer, _ = evaluated(tmp_path, compute_metrics=ordinal_metrics())
    trainer.save_model()
    trainer.train()
    trainer.evaluate()
    assert "| AEM | not run |" in card_of(trainer)[0]
    trainer.save_model()
    assert "| AEM | not run |" not in card_of(trainer)[0]


def test_metrics_that_make_no_sense_stay_off_the_card(tmp_path, caplog):
    percent = {"aem": 61.7, "aeo": 91.7, "mae": 0.5, "squared_emd": 0.4}
    trainer, _ = evaluated(tmp_path, compute_metrics=lambda _: percent)
    trainer.save_model()
    assert "| AEM | not run |" in card_of(trainer)[0]
    assert (
        "The metrics do not go on the card: results: 'eval_aem' must be a number, 0 to 1, or null; got 61.7"
        in caplog.text
    )


def test_a_test_with_mirror_images_is_told_by_the_model(tmp_path):
    model = tiny_vit()
    handle = average_flips(model)
    train(tmp_path, model, images(), loss="emd").save_model()
    assert json.loads((tmp_path / "config.json").read_text())["emd"]["mirrored"] is True
    handle.remove()
    train(tmp_path, model, images(), loss="emd").save_model()
    assert "mirrored" not in json.loads((tmp_path / "config.json").read_text())["emd"]


def test_a_checkpoint_that_is_only_evaluated_stays_as_it_was(tmp_path):
    train(tmp_path / "first", tiny_vit(), images(), loss="xemd1").save_model()
    before = json.loads((tmp_path / "first" / "config.json").read_text())
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "first")
    EMDTrainer(model, arguments(tmp_path, jump_start_epochs=2)).save_model()  # with the loss xemd2
    after = json.loads((tmp_path / "config.json").read_text())
    assert after["ground_distance"] == before["ground_distance"]
    assert after["emd"] == before["emd"] | {"mirrored": False}


def test_a_checkpoint_that_cannot_be_pushed_does_not_end_training(tmp_path, caplog):
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, loss="emd"), train_dataset=images())
    trainer.push_in_progress = None
    empty = tmp_path / "checkpoint-1"
    empty.mkdir()
    trainer._push_from_checkpoint(str(empty))
    assert caplog.messages == [
        f"{empty} is not pushed: {empty} must hold a saved model, with its weights as model.safetensors; there are "
        "none. Name the folder of a run that is done, or save the model there."
    ]


def test_a_plain_module_gets_none(tmp_path):
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="emd"), train_dataset=samples())
    trainer.save_model()
    trainer.create_model_card()
    assert not (tmp_path / "README.md").exists()
