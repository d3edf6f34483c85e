"""What an evaluation gives beside its metrics, whatever its prefix: parts of the loss, and figures for the card."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from tests.training.tiny import Network, arguments, features_and_logits, images, logged, samples, tiny_vit

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.hub import facts_of_training


def test_components_of_every_set_add_up_to_its_loss(tmp_path):
    sets = {"near": samples(count=21), "far": samples(count=5)}
    fields = {"jump_start_epochs": 2, "num_train_epochs": 3, "eval_strategy": "epoch"}
    trainer = EMDTrainer(Network(), arguments(tmp_path, **fields), train_dataset=samples(), eval_dataset=sets)
    trainer.train()
    for name, data in sets.items():
        losses, entropies, regularizers = (
            logged(trainer, f"eval_{name}_{loss}") for loss in ("loss", "loss_ce", "loss_emd")
        )
        assert losses[0] == pytest.approx(entropies[0])  # in the jump start
        assert (len(losses), len(entropies), len(regularizers)) == (3, 3, 2)
        np.testing.assert_allclose(losses[1:], np.add(entropies[1:], regularizers), rtol=1e-6)
        _, logits = features_and_logits(trainer.model, data)
        labels = [sample["labels"] for sample in data]
        by_hand = -log_softmax(logits, axis=1)[np.arange(len(data)), labels].mean()
        assert entropies[-1] == pytest.approx(by_hand, rel=1e-3)  # but for the 1e-6 that is added to p
    found = trainer.predict(sets["far"], metric_key_prefix="test").metrics
    assert found["test_loss"] == pytest.approx(found["test_loss_ce"] + found["test_loss_emd"])
    assert found["test_loss"] == pytest.approx(logged(trainer, "eval_far_loss")[-1])


@pytest.mark.parametrize(("loss", "component"), [("xe", "ce"), ("emd", "emd"), ("reg", "mse")])
def test_one_component_is_the_loss(tmp_path, loss, component):
    trainer = EMDTrainer(Network(1 if loss == "reg" else 4), arguments(tmp_path, loss=loss))
    metrics = trainer.evaluate(samples(count=21), metric_key_prefix="own")
    assert {name for name in metrics if "loss" in name} == {"own_loss", f"own_loss_{component}"}
    assert metrics["own_loss"] == pytest.approx(metrics[f"own_loss_{component}"])


def test_the_card_counts_every_evaluation_set_of_the_last_evaluation(tmp_path):
    def metrics():
        facts = facts_of_training(trainer)
        return facts["num_test"], {name for name in facts if name.startswith("eval_") and name.endswith("mae")}

    data = images()
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, loss="emd"), compute_metrics=ordinal_metrics())
    trainer.evaluate(data, metric_key_prefix="validation")
    assert metrics() == (24, {"eval_mae"})
    assert not [name for name in facts_of_training(trainer) if "loss_" in name or "preparation" in name]
    trainer.evaluate({"old": data[:7], "new": data[:5]})
    assert metrics() == (12, {"eval_old_mae", "eval_new_mae"})
    trainer.evaluate(data[:6])
    assert metrics() == (6, {"eval_mae"})
    trainer.evaluate({"old": data[:7]})
    trainer.save_model()
    trainer.create_model_card()
    assert "| old\\_mae |" in (tmp_path / "README.md").read_text()
    with torch.no_grad():
        trainer.model.classifier.weight.zero_()
    assert metrics() == (None, set())
