"""The card that a Trainer writes; pushes over HTTP are in tests/hub."""

import json

from tests.test_trainer import Network, arguments, pictures, samples, tiny_vit
from transformers import BertConfig, BertForSequenceClassification

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.run_facts import facts_of_training

WORDS = [{"input_ids": [k % 4, 1, 2], "labels": k % 4} for k in range(12)]


def tiny_bert():
    config = BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=4
    )
    return BertForSequenceClassification(config)


def card_of(folder, model, data, **others):
    trainer = EMDTrainer(model, arguments(folder, loss="emd"), train_dataset=data, eval_dataset=data, **others)
    trainer.train()
    metrics = trainer.evaluate()
    trainer.save_model()
    trainer.create_model_card(language="en")
    return (folder / "README.md").read_text(), metrics


def test_images(tmp_path):
    card, metrics = card_of(tmp_path, tiny_vit(), pictures(), compute_metrics=ordinal_metrics())
    assert f"| AEM | {100 * metrics['eval_aem']:.1f}% |" in card
    noted = json.loads((tmp_path / "card_results.json").read_text())
    assert (noted["num_test"], noted["num_train"]) == (len(pictures()), len(pictures()))


def test_a_prediction_is_no_evaluation(tmp_path):
    data = pictures()
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, loss="emd"), train_dataset=data, eval_dataset=data)
    trainer.evaluate()
    trainer.predict(data[:5], metric_key_prefix="eval")
    trainer.save_model()
    trainer.create_model_card()
    assert json.loads((tmp_path / "card_results.json").read_text())["num_test"] == len(data)


def test_the_best_weights_have_the_evaluation_of_their_step(tmp_path):
    data = pictures()
    fields = {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"}
    fields |= {"metric_for_best_model": "mae", "greater_is_better": True}  # the worst epoch, so not the last
    args = arguments(tmp_path, loss="emd", learning_rate=0.1, **fields)
    metrics = ordinal_metrics()
    trainer = EMDTrainer(tiny_vit(), args, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
    trainer.train()
    by_step = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    best, last = trainer.state.best_global_step, trainer.state.global_step
    assert best != last and by_step[best] != by_step[last]
    assert facts_of_training(trainer)["eval_loss"] == by_step[best]
    trainer.is_in_train = True  # as when a checkpoint is pushed: its weights are those of now
    assert facts_of_training(trainer)["eval_loss"] == by_step[last]


def test_a_checkpoint_that_cannot_be_pushed_does_not_end_training(tmp_path, caplog):
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, loss="emd"), train_dataset=pictures())
    trainer.push_in_progress = None
    empty = tmp_path / "checkpoint-1"
    empty.mkdir()
    trainer._push_from_checkpoint(str(empty))
    assert caplog.messages == [
        f"{empty} is not pushed: {empty} must hold a saved model, with its weights as model.safetensors; there are none. "
        "Name the folder of a run that is done, or save the model there."
    ]


def test_text_gets_the_card_of_transformers(tmp_path):
    card, _ = card_of(tmp_path, tiny_bert(), WORDS)
    assert "This model card has been generated automatically" in card
    assert "picture" not in card
    assert "image-classification" not in card


def test_a_plain_module_gets_none(tmp_path):
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="emd"), train_dataset=samples())
    trainer.save_model()
    trainer.create_model_card()
    assert not (tmp_path / "README.md").exists()
