"""The card that a Trainer writes; pushes over HTTP are in tests/hub."""

import json

from tests.test_trainer import Network, arguments, pictures, samples, tiny_vit
from transformers import BertConfig, BertForSequenceClassification

from squared_emd import EMDTrainer, ordinal_metrics

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
