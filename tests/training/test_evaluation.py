"""Evaluation: logits wherever a model returns them, parts of the loss, figures for the card, and bounded memory."""

import gc
import json
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest
import timm
import torch
import torchvision
from scipy.special import log_softmax
from tests.ranks import on_ranks
from tests.training.tiny import K, N, Network, Stream, arguments, features_and_logits, images, logged, samples, tiny_vit
from torch.utils.data import Dataset
from transformers import EvalPrediction, TrainerCallback, ViTForImageClassification

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.hub.training_push import facts_of_training
from squared_emd.metrics import ScoreMetrics, top_k_metrics

TIMES = ("runtime", "per_second", "preparation_time", "epoch")
Outputs = namedtuple("Outputs", ["features", "logits"])  # as those of Inception
Unnamed = namedtuple("Unnamed", ["scores", "features"])  # a tuple that begins with the logits


def without_times(metrics):
    return {name: value for name, value in metrics.items() if not name.endswith(TIMES)}


def mean_cross_entropy(logits, data):
    labels = [sample["labels"] for sample in data]
    return -log_softmax(logits, axis=1)[np.arange(len(data)), labels].mean()


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


class TestOutputsOfAModel:
    """Loss, metrics and predictions are of the same logits, whatever stands beside them."""

    @pytest.mark.parametrize("loss", ["xe", "xemd2"])
    @pytest.mark.parametrize("make", MAKE)
    def test_all_are_of_the_logits(self, tmp_path, make, loss):
        torch.manual_seed(0)
        data, metrics = samples(), ordinal_metrics()
        args = arguments(tmp_path, loss=loss, jump_start_epochs=2, num_train_epochs=3, per_device_eval_batch_size=23)
        trainer = EMDTrainer(Returns(MAKE[make]), args, None, data, data, compute_metrics=metrics)
        trainer.train()
        features, logits = features_and_logits(trainer.model, data)
        labels = np.array([sample["labels"] for sample in data])
        right = (logits.argmax(1) == labels).mean()
        evaluated = trainer.evaluate()
        assert evaluated["eval_aem"] == pytest.approx(right)
        if loss == "xe":
            assert evaluated["eval_loss"] == pytest.approx(mean_cross_entropy(logits, data), rel=1e-5)
        predicted = trainer.predict(data)
        unlabeled = trainer.predict([{"inputs": sample["inputs"]} for sample in data])  # its last batch has one sample
        for predictions in (predicted.predictions, unlabeled.predictions):
            first, *others = predictions if isinstance(predictions, tuple) else (predictions,)
            np.testing.assert_allclose(first, logits, atol=1e-5)
            assert len(others) == (make not in ("tensor", "tuple"))
            for other in others:
                np.testing.assert_allclose(other, features, atol=1e-5)
        assert ordinal_metrics()(predicted)["aem"] == pytest.approx(right)
        assert top_k_metrics((1,))(predicted)["top_1_error"] == pytest.approx(1 - right)
        assert ScoreMetrics(labels, range(K))(predicted)["aem"] == pytest.approx(right)

    def test_batches_that_are_not_put_together(self, tmp_path):
        args = arguments(tmp_path, loss="xe", eval_do_concat_batches=False, per_device_eval_batch_size=9)
        model, data = Returns(MAKE["features first"]), samples()
        trainer = EMDTrainer(model, args, eval_dataset=data, compute_metrics=ordinal_metrics())
        assert trainer.predict(data).metrics["test_aem"] == trainer.evaluate()["eval_aem"]

    def test_networks_of_timm_and_torchvision(self, tmp_path):
        data = [{"x": sample["pixel_values"], "labels": sample["labels"]} for sample in images()]
        plain = torchvision.models.mobilenet_v3_small(num_classes=K)
        plain.num_classes = K
        for model in (timm.create_model("test_resnet", num_classes=K), plain):
            args = arguments(tmp_path, jump_start_epochs=1, regularizer_weight=1, num_train_epochs=2)
            trainer = EMDTrainer(model, args, train_dataset=data)
            trainer.train()
            assert trainer.criterion.ground_distance.any()
            assert trainer.predict(data).predictions.shape == (N, K)

    def test_a_model_of_transformers_without_return_dict(self, tmp_path):
        class Tuples(ViTForImageClassification):
            def forward(self, pixel_values):
                return super().forward(pixel_values, return_dict=False)

        found, data = [], images()
        for cls in (ViTForImageClassification, Tuples):
            model = tiny_vit()
            model.__class__ = cls
            args = arguments(tmp_path, loss="emd", num_train_epochs=1)
            trainer = EMDTrainer(model, args, None, data, data, compute_metrics=ordinal_metrics())
            trainer.train()
            found.append((without_times(trainer.evaluate()), trainer.predict(data).predictions.tolist()))
        assert found[0] == found[1]

    @pytest.mark.parametrize(
        ("make", "got"),
        [
            (lambda features, logits: {"scores": logits}, "the entries ['scores']"),
            (lambda features, logits: (logits[:, :2], logits), "a tuple, and for logits the shape (8, 2)"),
            (lambda features, logits: (), "a tuple"),
            (lambda features, logits: None, "a NoneType"),
        ],
    )
    def test_a_model_that_returns_no_logits(self, tmp_path, make, got):
        trainer = EMDTrainer(Returns(make), arguments(tmp_path, loss="xe"), train_dataset=samples())
        for run in (trainer.train, lambda: trainer.evaluate(samples()), lambda: trainer.predict([samples()[0]] * 8)):
            with pytest.raises(ValueError) as error:
                run()
            assert str(error.value) == (
                "the model must return its logits, (B, 4): as a tensor, first in a tuple, or as `logits` of a mapping; "
                f'got {got}. Return {{"logits": logits}}.'
            )


class TestComponents:
    def test_of_every_set_add_up_to_its_loss(self, tmp_path):
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
            # but for the 1e-6 that is added to p
            assert entropies[-1] == pytest.approx(mean_cross_entropy(logits, data), rel=1e-3)
        found = trainer.predict(sets["far"], metric_key_prefix="test").metrics
        assert found["test_loss"] == pytest.approx(found["test_loss_ce"] + found["test_loss_emd"])
        assert found["test_loss"] == pytest.approx(logged(trainer, "eval_far_loss")[-1])

    @pytest.mark.parametrize(("loss", "component"), [("xe", "ce"), ("emd", "emd"), ("reg", "mse")])
    def test_a_single_one_is_the_loss(self, tmp_path, loss, component):
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


MANY, BATCH = 1000, 16  # classes, samples
OURS = {"ordinal": lambda: ordinal_metrics(scores=range(MANY)), "top_k": top_k_metrics}


class Rows(Dataset):
    """Made when they are asked for, so that they take no memory."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        inputs = torch.randn(3, generator=torch.Generator().manual_seed(index))
        return {"inputs": inputs, "labels": index % MANY}


def trainer_of(folder, rows, compute_metrics, num_classes=MANY, **fields):
    args = arguments(folder, **{"loss": "emd", "per_device_eval_batch_size": BATCH} | fields)
    torch.manual_seed(0)
    return EMDTrainer(Network(num_classes), args, eval_dataset=rows, compute_metrics=compute_metrics)


class Watch(TrainerCallback):
    """The most bytes of outputs (rows of as many numbers as classes) that were alive as tensors after a step."""

    def __init__(self):
        self.most = 0

    def on_prediction_step(self, *args, **kwargs):
        alive = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor and thing.shape[1:] == (MANY,)]
        self.most = max(self.most, sum({tensor.data_ptr(): tensor.nbytes for tensor in alive}.values()))


def memory_of(folder, num_batches, make_metrics):
    """Most bytes of outputs as tensors; most bytes of Python and NumPy, beyond those before."""
    trainer = trainer_of(folder, Rows(num_batches * BATCH), make_metrics())
    trainer.evaluate()  # what is made once
    tracemalloc.start()
    trainer.evaluate()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    trainer.add_callback(watch := Watch())
    trainer.evaluate()
    return watch.most, peak


@pytest.mark.parametrize("name", OURS)
def test_memory_does_not_grow_with_the_data(tmp_path, name):
    few, many = (memory_of(tmp_path, num_batches, OURS[name]) for num_batches in (3, 12))
    assert 0 < many[0] == few[0] <= 3 * BATCH * MANY * 4  # the batch, gathered and not
    assert many[1] - few[1] < 9 * BATCH * 400  # a row of outputs has 4,000 bytes


@pytest.mark.parametrize("name", OURS)
def test_numbers_are_those_of_the_whole(tmp_path, name):
    count = 5 * BATCH + 3
    trainer = trainer_of(tmp_path, Rows(count), OURS[name]())
    evaluated = without_times(trainer.evaluate())
    predicted = trainer.predict(Rows(count), metric_key_prefix="eval")
    whole = EvalPrediction(predictions=predicted.predictions, label_ids=predicted.label_ids)
    expected = {f"eval_{key}": value for key, value in OURS[name]()(whole).items()}
    assert predicted.predictions.shape == (count, MANY)
    assert {key: evaluated[key] for key in expected} == pytest.approx(expected, rel=1e-12)
    assert without_times(predicted.metrics) == pytest.approx(evaluated, rel=1e-12)
    assert trainer.args.batch_eval_metrics is False


def test_an_interrupted_evaluation_leaves_nothing(tmp_path):
    class Stop(TrainerCallback):
        def on_prediction_step(self, *args, **kwargs):
            trainer.remove_callback(Stop)
            raise KeyboardInterrupt

    trainer = trainer_of(tmp_path, Rows(40), ordinal_metrics())
    expected = without_times(trainer.evaluate())
    trainer.compute_metrics(EvalPrediction(np.zeros((5, MANY)), np.zeros(5, int)), compute_result=False)
    trainer.add_callback(Stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.evaluate()
    assert trainer.args.batch_eval_metrics is False
    assert without_times(trainer.evaluate()) == expected


CASES = {
    "map": {},
    "stream_everywhere": {"around": Stream, "accelerator_config": {"dispatch_batches": False}},
    "dispatch": {"accelerator_config": {"dispatch_batches": True}},
    "split": {"accelerator_config": {"split_batches": True}},
}


def evaluate_on_rank(rank, world_size, folder):
    ours, found = ordinal_metrics(scores=range(5)), {}
    for name, case in CASES.items():
        fields = {key: value for key, value in case.items() if key != "around"}
        rows = case.get("around", list)([Rows(MANY)[n] | {"labels": n % 5} for n in range(21)])
        batch = 8 if "split" in name else 8 // world_size
        for way, metrics in {"batches": ours, "whole": lambda evaluation: ours(evaluation)}.items():
            trainer = trainer_of(folder, rows, metrics, 5, per_device_eval_batch_size=batch, **fields)
            found[f"{name}_{way}"] = without_times(trainer.evaluate())
    (folder / f"{world_size}_{rank}.json").write_text(json.dumps(found))


def test_ranks_find_the_same(tmp_path):
    evaluate_on_rank(0, 1, tmp_path)
    on_ranks(2, evaluate_on_rank, 2, tmp_path)
    one, *two = (json.loads((tmp_path / f"{run}.json").read_text()) for run in ("1_0", "2_0", "2_1"))
    for name in CASES:  # 21 rows are no multiple of 2 x 4: the last batch has repeats
        for found in (one, *two):
            batches, whole = found[f"{name}_batches"], found[f"{name}_whole"]
            assert {"eval_aem", "eval_spearman", "eval_loss"} <= batches.keys()
            assert batches == pytest.approx(whole, rel=1e-12), name
            if name != "stream_everywhere":  # whose repeats accelerate cannot know, so that metrics count them
                assert batches == pytest.approx(one[f"{name}_batches"], rel=1e-6), name
