"""What a model returns: loss, metrics and predictions are of the same logits, whatever stands beside them."""

from collections import namedtuple

import numpy as np
import pytest
import timm
import torch
import torchvision
from scipy.special import softmax
from tests.training.tiny import K, N, Network, arguments, features_and_logits, images, samples, tiny_vit
from transformers import ViTForImageClassification

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.metrics import ScoreMetrics, top_k_metrics

Outputs = namedtuple("Outputs", ["features", "logits"])  # as those of Inception


Unnamed = namedtuple("Unnamed", ["scores", "features"])  # a tuple that begins with the logits


class Returns(Network):
    """A network with as many features as classes, so that one may be taken for the other."""

    def __init__(self, make):
        super().__init__()
        self.body = torch.nn.Linear(3, K)
        self.head = torch.nn.Linear(K, K)
        self.make = make

    def forward(self, inputs):
        features = self.body(inputs).relu()
        return self.make(features, self.head(features))


MAKE = {
    "tensor": lambda features, logits: logits,
    "tuple": lambda features, logits: (logits,),
    "more": lambda features, logits: (logits, features, None),
    "features first": lambda features, logits: {"features": features, "logits": logits, "attentions": None},
    "named": Outputs,
    "named otherwise": lambda features, logits: Unnamed(logits, features),
}


@pytest.mark.parametrize("loss", ["xe", "xemd2"])
@pytest.mark.parametrize("make", MAKE)
def test_loss_metrics_and_predictions_are_of_the_logits(tmp_path, make, loss):
    torch.manual_seed(0)
    data = samples()
    metrics = ordinal_metrics()
    args = arguments(tmp_path, loss=loss, jump_start_epochs=2, num_train_epochs=3, per_device_eval_batch_size=23)
    trainer = EMDTrainer(Returns(MAKE[make]), args, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
    trainer.train()
    features, logits = features_and_logits(trainer.model, data)
    labels = np.array([sample["labels"] for sample in data])
    evaluated = trainer.evaluate()
    assert evaluated["eval_aem"] == pytest.approx((logits.argmax(1) == labels).mean())
    if loss == "xe":
        expected = -np.log(softmax(logits, axis=1)[np.arange(N), labels]).mean()
        assert evaluated["eval_loss"] == pytest.approx(expected, rel=1e-5)
    predicted = trainer.predict(data)
    unlabeled = trainer.predict([{"inputs": sample["inputs"]} for sample in data])  # its last batch is of one sample
    for predictions in (predicted.predictions, unlabeled.predictions):
        first, *others = predictions if isinstance(predictions, tuple) else (predictions,)
        np.testing.assert_allclose(first, logits, atol=1e-5)
        assert len(others) == (make in ("more", "features first", "named", "named otherwise"))
        for other in others:
            np.testing.assert_allclose(other, features, atol=1e-5)
    compute = [ordinal_metrics(), top_k_metrics((1,)), ScoreMetrics(labels, range(K))]
    right = float((logits.argmax(1) == labels).mean())
    found = [function(predicted) for function in compute]
    assert [found[0]["aem"], 1 - found[1]["top_1_error"], found[2]["aem"]] == pytest.approx([right] * 3)


def test_batches_that_are_not_put_together(tmp_path):
    data = samples()
    args = arguments(tmp_path, loss="xe", eval_do_concat_batches=False, per_device_eval_batch_size=9)
    metrics = ordinal_metrics()
    trainer = EMDTrainer(Returns(MAKE["features first"]), args, eval_dataset=data, compute_metrics=metrics)
    assert trainer.predict(data).metrics["test_aem"] == trainer.evaluate()["eval_aem"]


def test_networks_of_timm_and_torchvision(tmp_path):
    data = [{"x": sample["pixel_values"], "labels": sample["labels"]} for sample in images()]
    plain = torchvision.models.mobilenet_v3_small(num_classes=K)
    with pytest.raises(ValueError, match="give the model an attribute num_classes"):
        EMDTrainer(plain, arguments(tmp_path, loss="emd"))
    plain.num_classes = K
    for model in (timm.create_model("test_resnet", num_classes=K), plain):
        args = arguments(tmp_path, jump_start_epochs=1, regularizer_weight=1, num_train_epochs=2)
        trainer = EMDTrainer(model, args, train_dataset=data)
        trainer.train()
        assert trainer.criterion.ground_distance.any()
        assert trainer.predict(data).predictions.shape == (N, K)


class Tuples(ViTForImageClassification):
    def forward(self, pixel_values):
        return super().forward(pixel_values, return_dict=False)


def test_a_model_of_transformers_without_return_dict(tmp_path):
    data = images()
    for cls in (ViTForImageClassification, Tuples):
        model = tiny_vit()
        model.__class__ = cls
        args = arguments(tmp_path, loss="emd", num_train_epochs=1)
        trainer = EMDTrainer(model, args, train_dataset=data, eval_dataset=data, compute_metrics=ordinal_metrics())
        trainer.train()
        found = trainer.evaluate(), trainer.predict(data).predictions
        if cls is not Tuples:
            expected = found
    for name in ("eval_loss", "eval_aem", "eval_squared_emd"):
        assert found[0][name] == expected[0][name]
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda features, logits: {"scores": logits}, "the entries ['scores']"),
        (lambda features, logits: (logits[:, :2], logits), "a tuple, and for logits the shape (8, 2)"),
        (lambda features, logits: (), "a tuple"),
        (lambda features, logits: None, "a NoneType"),
    ],
)
def test_a_model_that_returns_no_logits(tmp_path, make, got):
    trainer = EMDTrainer(Returns(make), arguments(tmp_path, loss="xe"), train_dataset=samples())
    for run in (trainer.train, lambda: trainer.evaluate(samples()), lambda: trainer.predict([samples()[0]] * 8)):
        with pytest.raises(ValueError) as error:
            run()
        assert str(error.value) == (
            "the model must return its logits, (B, 4): as a tensor, first in a tuple, or as `logits` of a mapping; got "
            f'{got}. Return {{"logits": logits}}.'
        )
