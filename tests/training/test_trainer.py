"""The Trainer: scaling, the stock Trainer as reference, D, the automatic weight, what is saved and restored."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from tests.training.tiny import (
    K,
    N,
    Network,
    Stream,
    arguments,
    features_and_logits,
    ground_distance_slowly,
    images,
    logged,
    samples,
    tiny_vit,
    train,
)
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    EarlyStoppingCallback,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTForImageClassification,
)

from squared_emd import EMDTrainer, entropic_wasserstein_loss
from squared_emd.training.automatic_lambda import AutomaticLambda
from squared_emd.training.checkpoints import validate_checkpoint
from squared_emd.training.criterion import EMDCriterion

MAE = {"metric_for_best_model": "mae", "greater_is_better": False}
HAND_CHECKED = 1e-6  # float32 sums of a few dozen terms of order 1


def test_components_add_up_to_the_loss(tmp_path):
    trainer = train(tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=4)
    after = [entry for entry in trainer.state.log_history if "loss_emd" in entry]
    assert len(after) == 2
    for entry in after:
        assert entry["loss_ce"] + entry["loss_emd"] == pytest.approx(entry["loss"], rel=1e-5)
    assert {"regularizer_weight", "sdd", "sdd_relative"} <= after[-1].keys()


class TestAgainstTheStockTrainer:
    @pytest.mark.parametrize("fields", [{"loss": "xe"}, {"loss": "xemd2", "regularizer_weight": 0.0}])
    def test_cross_entropy_to_the_bit(self, tmp_path, fields):
        stock = Trainer(tiny_vit(), arguments(tmp_path, TrainingArguments), train_dataset=images())
        stock.train()
        ours = train(tmp_path, tiny_vit(), images(), jump_start_epochs=2, **fields)
        for (name, expected), got in zip(stock.model.named_parameters(), ours.model.parameters(), strict=True):
            assert torch.equal(got, expected), name
        np.testing.assert_allclose(logged(ours, "loss"), logged(stock, "loss"), rtol=1e-6)

    def test_label_smoothing(self, tmp_path):
        stock = Trainer(
            tiny_vit(), arguments(tmp_path, TrainingArguments, label_smoothing_factor=0.2), train_dataset=images()
        )
        stock.train()
        ours = train(tmp_path, tiny_vit(), images(), loss="xe", label_smoothing_factor=0.2)
        np.testing.assert_allclose(logged(ours, "loss"), logged(stock, "loss"), rtol=1e-5)

    def test_bfloat16_autocast(self, tmp_path):
        # the features are rounded to 8 bits, and centroids average that out; ranks may swap where distances are near
        exact, rounded = (train(tmp_path, learning_rate=0.0, bf16=bf16) for bf16 in (False, True))
        assert rounded.criterion.distance.centroids.centroids.dtype == torch.float64
        torch.testing.assert_close(
            rounded.criterion.distance.centroids.centroids,
            exact.criterion.distance.centroids.centroids,
            rtol=0,
            atol=4e-3,
        )
        np.testing.assert_allclose(logged(rounded, "loss_ce"), logged(exact, "loss_ce"), rtol=1e-2)


class TestGroundDistance:
    def test_of_frozen_weights_by_hand(self, tmp_path):
        data = samples()
        trainer = train(tmp_path, data=data, learning_rate=0.0)
        features, _ = features_and_logits(trainer.model, data)
        expected, distances = ground_distance_slowly(features, np.arange(N) % K)
        np.testing.assert_allclose(trainer.criterion.ground_distance, expected, atol=1e-12)
        assert trainer.criterion.distance.sdd == pytest.approx(distances.std(), rel=1e-5)
        assert logged(trainer, "sdd") == pytest.approx([distances.std()] * 4, rel=1e-5)

    @pytest.mark.parametrize(("loss", "omega", "mu"), [("xemd1", 1, -0.5), ("xemd2", 2, -0.25)])
    def test_automatic_weight_hits_its_ratio(self, tmp_path, loss, omega, mu):
        data = samples()
        trainer = train(tmp_path, data=data, learning_rate=0.0, loss=loss)
        features, logits = features_and_logits(trainer.model, data)
        labels = np.arange(N) % K
        matrix, _ = ground_distance_slowly(features, labels)
        p = softmax(logits, axis=1)
        regularizer = [sum(p[n, i] ** 2 * (matrix[i, labels[n]] ** omega + mu) for i in range(K)) for n in range(N)]
        entropy = -np.log(p[np.arange(N), labels]).mean()
        weight = entropy / (3.5 * np.abs(regularizer).mean())
        assert trainer.criterion.regularizer_weight == pytest.approx(weight, rel=1e-5)
        # and the logged components after the jump start are those of Eq. 16
        assert logged(trainer, "loss_emd") == pytest.approx([weight * np.mean(regularizer)] * 2, rel=1e-4)

    @pytest.mark.parametrize(("entropy", "is_told"), [(math.log(K), True), (0.89 * math.log(K), False)])
    def test_a_network_that_has_learned_nothing_is_told_of(self, caplog, entropy, is_told):
        measurement = AutomaticLambda(ratio=3.5)
        measurement.update(torch.full((8,), entropy), torch.full((8,), -0.5))
        weight = measurement.fix(num_classes=K)
        assert weight == pytest.approx(entropy / (3.5 * 0.5))
        message = (
            "At the end of the jump start the cross-entropy is 1.39, hardly below the 1.39 of guessing: the network "
            f"has learned next to nothing, and the automatic regularizer_weight of {weight:.3g} may outweigh the "
            "cross-entropy. Raise jump_start_epochs or learning_rate."
        )
        assert caplog.messages == [message] * is_told

    @pytest.mark.parametrize(
        ("fields", "is_told"), [({}, True), ({"true_class_cost": 1.0}, False), ({"mu": 0.0}, False)]
    )
    def test_a_strong_reward_is_told_of_once(self, tmp_path, caplog, fields, is_told):
        weight = train(tmp_path, regularizer_ratio=0.01, **fields).criterion.regularizer_weight
        assert weight * 0.25 > 0.5
        message = (
            f"The automatic regularizer_weight of {weight:.3g} rewards p_k^2 of the true class with {weight / 4:.2g} "
            "(lambda * abs(mu)): this makes a network over-confident. On photographs of faces the calibration error "
            "rose from 0.02 to 0.17. Ways out: loss='xemd', true_class_cost=1 (or mu=0), or a regularizer_weight of 1."
        )
        found = [record.getMessage() for record in caplog.records if "over-confident" in record.getMessage()]
        assert found == [message] * is_told

    def test_refresh_every_few_steps(self, tmp_path, monkeypatch):
        seen, refresh = [], EMDCriterion.refresh

        def spy(criterion, **kwargs):
            seen.append((trainer.state.global_step, float(criterion.distance.centroids.class_counts.sum())))
            refresh(criterion, **kwargs)

        monkeypatch.setattr(EMDCriterion, "refresh", spy)
        args = arguments(tmp_path, jump_start_epochs=2, ground_distance_update_steps=2, num_train_epochs=3)
        trainer = EMDTrainer(Network(), args, train_dataset=samples())
        trainer.train()
        # three steps of 8 an epoch: after steps 2, 4, 6, 8 with what the epoch brought, and with all of it at its end
        assert seen == [(2, 16), (3, 24), (4, 8), (6, 24), (6, 24), (8, 16), (9, 24)]

    def test_a_given_matrix_stays(self, tmp_path):
        line = np.abs(np.subtract.outer(np.arange(K), np.arange(K))) / (K - 1)
        np.save(tmp_path / "d.npy", line)
        (tmp_path / "d.json").write_text(json.dumps({"ground_distance": line.tolist()}))
        for name in ("d.npy", "d.json"):
            trainer = train(tmp_path, ground_distance=str(tmp_path / name), jump_start_epochs=1)
            assert trainer.criterion.ground_distance.tolist() == line.tolist()
            assert trainer.criterion.distance.sdd is None

    def test_class_without_a_sample(self, tmp_path, caplog):
        model = Network(K + 1)
        trainer = train(tmp_path, model, num_train_epochs=5)
        matrix = trainer.criterion.ground_distance
        assert (matrix[K] == 0).all()
        assert (matrix[:, K] == 0).all()
        assert not matrix.isnan().any()
        assert [record.getMessage() for record in caplog.records if "no sample" in record.getMessage()] == [
            "Class '4' has had no sample yet: its ground distances are unknown, so the regularizer neither pushes nor "
            "rewards it until one comes."
        ]
        assert all(math.isfinite(loss) for loss in logged(trainer, "loss"))

    def test_label_smoothing_leaves_it_alone(self, tmp_path):
        sharp, smooth = (
            train(tmp_path, tiny_vit(K + 1), images(), learning_rate=0.0, label_smoothing_factor=share)
            for share in (0.0, 0.2)
        )
        assert torch.equal(smooth.criterion.ground_distance, sharp.criterion.ground_distance)
        assert smooth.criterion.distance.known.tolist() == [True] * K + [False]

    def test_a_given_matrix_with_an_unseen_class(self, tmp_path):
        matrix = np.abs(np.subtract.outer(np.arange(K + 1), np.arange(K + 1))) / K
        matrix[K] = matrix[:, K] = 0
        np.save(tmp_path / "d.npy", matrix)
        trainer = train(
            tmp_path, Network(K + 1), ground_distance=str(tmp_path / "d.npy"), jump_start_epochs=1, num_train_epochs=2
        )
        cost = trainer.criterion.distance.cost
        assert not cost[K].any()
        assert not cost[:, K].any()
        assert cost[0, 0] == -0.25

    def test_a_second_run_begins_anew(self, tmp_path):
        trainer = train(tmp_path, learning_rate=0.0, logging_strategy="steps", logging_steps=5)  # of 12 steps
        first, history = trainer.criterion.state(), trainer.state.log_history[:-1]
        trainer.train()
        assert trainer.state.log_history[:-1] == history
        assert {name: tensor.tolist() for name, tensor in trainer.criterion.state().items()} == {
            name: tensor.tolist() for name, tensor in first.items()
        }


class TestSaving:
    def test_config_carries_d(self, tmp_path):
        trainer = train(tmp_path, tiny_vit(), images())
        trainer.save_model()
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
        expected = trainer.criterion.ground_distance
        torch.testing.assert_close(torch.tensor(loaded.config.ground_distance).double(), expected, rtol=0, atol=1e-6)
        emd = loaded.config.emd
        assert (emd["loss"], emd["omega"], emd["mu"], emd["rank"], emd["epoch"]) == ("xemd2", 2, -0.25, "strict", 4)
        assert emd["regularizer_weight"] == trainer.criterion.regularizer_weight
        assert emd["sdd"] == trainer.criterion.distance.sdd
        assert loaded.config.problem_type == "single_label_classification"

    def test_a_matrix_of_no_use_is_taken_out(self, tmp_path, caplog):
        model = tiny_vit()
        model.config.ground_distance = [[0.0] * 5] * 5
        train(tmp_path, model, images(), loss="emd").save_model()
        assert not hasattr(AutoModelForImageClassification.from_pretrained(tmp_path).config, "ground_distance")
        assert len(caplog.messages) == 1 and "is taken out: it is of 5 classes, the model has 4." in caplog.text

    @pytest.mark.parametrize(
        ("fields", "step", "epoch"),
        [
            ({"save_strategy": "epoch"}, 12, 4),
            ({"save_steps": 3}, 12, 4),
            ({"max_steps": 11}, 11, 4),
            ({"save_strategy": "best", "eval_strategy": "steps", "eval_steps": 1, **MAE}, 12, 4),
            ({"eval_strategy": "steps", "eval_steps": 1, "stops": 1, **MAE}, 8, 3),  # one after the jump start's last
            ({"data": Stream(images()), "max_steps": 12}, 12, 4),
            ({"data": Stream(images()), "max_steps": 11}, 11, 4),
        ],
        ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
    )
    def test_the_last_checkpoint_has_the_last_matrix(self, tmp_path, fields, step, epoch):
        fields = {"save_strategy": "steps", "save_steps": 1, "jump_start_epochs": 2} | fields
        data, stops = fields.pop("data", images()), fields.pop("stops", None)
        options = {
            "train_dataset": data,
            "eval_dataset": images(),
            "callbacks": stops and [EarlyStoppingCallback(stops)],
        }
        # Lower each time, or higher, so that the first one after the jump start is the best.
        options["compute_metrics"] = lambda _: {"mae": trainer.state.global_step * (1 if stops else -1)}
        trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, **fields), **options)
        trainer.train()
        config = AutoModelForImageClassification.from_pretrained(tmp_path / f"checkpoint-{step}").config
        expected = trainer.criterion.ground_distance
        torch.testing.assert_close(torch.tensor(config.ground_distance).double(), expected, rtol=0, atol=1e-6)
        assert (trainer.state.global_step, config.emd["epoch"]) == (step, epoch)
        assert validate_checkpoint(tmp_path / f"checkpoint-{step}") is None

    def test_a_second_training_writes_its_own_checkpoints(self, tmp_path):
        trainer = train(tmp_path / "first", tiny_vit(), images(), save_strategy="steps", save_steps=6)
        trainer.train()  # in the same folder
        for step in (6, 12):
            assert validate_checkpoint(tmp_path / "first" / f"checkpoint-{step}") is None
        config = tmp_path / "first" / "checkpoint-12" / "config.json"
        before = config.read_bytes()
        trainer.args.output_dir, trainer.args.save_strategy = str(tmp_path / "second"), "no"
        trainer.train()
        assert trainer.state.global_step == 12
        assert config.read_bytes() == before

    def test_the_best_model_is_evaluated_as_when_it_was_the_best(self, tmp_path):
        fields = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
        fields |= {"num_train_epochs": 3, "learning_rate": 0.01, "load_best_model_at_end": True}
        args = arguments(tmp_path, jump_start_epochs=2, **fields)
        trainer = EMDTrainer(tiny_vit(), args, train_dataset=images(), eval_dataset=images())
        trainer.train()
        assert trainer.state.best_global_step == 9  # whose D was refreshed after it
        assert trainer.evaluate()["eval_loss"] == trainer.state.best_metric


class DeepSpeedTrainer(EMDTrainer):  # DeepSpeed itself is not among the packages of the tests
    def create_accelerator_and_postprocess(self):
        super().create_accelerator_and_postprocess()
        self.is_deepspeed_enabled = True


def for_two_gpus(args):
    args._n_gpu = 2
    return args


SHORT = (
    "the loss xemd2 needs more epochs than its jump start of 4, or the run would be plain cross-entropy; this run has "
    "{}. Raise num_train_epochs (or max_steps), or lower jump_start_epochs."
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: train(folder, jump_start_epochs=4, num_train_epochs=2), SHORT.format(2)),
        (  # 3 steps an epoch
            lambda folder: train(folder, jump_start_epochs=4, max_steps=12, num_train_epochs=99),
            SHORT.format(4),
        ),
        (
            lambda folder: EMDTrainer(Network(), arguments(folder, TrainingArguments)),
            "EMDTrainer needs EMDTrainingArguments, got TrainingArguments. They take every field of TrainingArguments, "
            "and `loss`.",
        ),
        (
            lambda folder: EMDTrainer(Network(), arguments(folder), compute_loss_func=lambda *_, **__: 0),
            "EMDTrainer computes the loss 'xemd2' itself and takes no compute_loss_func. Use transformers.Trainer for "
            "a loss of your own.",
        ),
        (
            lambda folder: EMDTrainer(nn.Linear(2, 2), arguments(folder)),
            "the number of classes of Linear must be known: give the model an attribute num_classes (a Hugging Face "
            "model has config.num_labels).",
        ),
        (
            lambda folder: EMDTrainer(Network(), for_two_gpus(arguments(folder))),
            "the loss 'xemd2' cannot learn its ground distance under torch.nn.DataParallel, which this run would use "
            "for its 2 GPUs. Start it with `accelerate launch`, one process a GPU.",
        ),
        (
            lambda folder: DeepSpeedTrainer(Network(), arguments(folder, nan_policy="skip")),
            "nan_policy='skip' looks at the gradient before each step, which DeepSpeed keeps to itself. Use "
            "nan_policy='raise' with DeepSpeed.",
        ),
        (
            lambda folder: EMDTrainer(Network(), arguments(folder, enable_jit_checkpoint=True)),
            "enable_jit_checkpoint saves in the middle of a step, where the running sums hold part of it. Use "
            "save_strategy='steps': a run that is killed resumes from its last checkpoint, to the bit.",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make(tmp_path)
    assert str(error.value) == message


def test_a_stream_that_can_be_read_once_ends_without_an_error(tmp_path, caplog):
    once = iter(samples())

    class Once(torch.utils.data.IterableDataset):
        def __iter__(self):
            return once

    everywhere = {"dispatch_batches": False}  # else Accelerate itself refuses an empty pass
    args = arguments(tmp_path, jump_start_epochs=2, max_steps=9, accelerator_config=everywhere)
    trainer = EMDTrainer(Network(), args, train_dataset=Once())
    trainer.train()
    assert trainer.state.global_step == 3
    assert "The run ended within its jump start: " in caplog.text


def test_what_a_stream_has_left_makes_no_step_and_leaves_no_gradient(tmp_path):
    fields = {"loss": "xe", "learning_rate": 0.0, "gradient_accumulation_steps": 2, "logging_strategy": "steps"}
    args = arguments(tmp_path, max_steps=4, logging_steps=1, **fields)
    torch.manual_seed(0)
    trainer = EMDTrainer(Network(), args, train_dataset=Stream())  # of three batches, two make the step of a pass
    trainer.train()
    logits = features_and_logits(trainer.model, samples()[:16])[1]
    labels = [sample["labels"] for sample in samples()[:16]]
    expected = -np.log(softmax(logits, axis=1)[np.arange(16), labels]).mean()
    assert logged(trainer, "loss") == pytest.approx([expected] * 4, abs=HAND_CHECKED)
    assert len(set(logged(trainer, "grad_norm"))) == 1


@pytest.mark.parametrize(("max_steps", "times"), [(2, 1), (6, 1), (7, 0)])  # passes of three steps
def test_a_stream_that_ends_within_the_jump_start_says_so(tmp_path, caplog, max_steps, times):
    args = arguments(tmp_path, jump_start_epochs=2, max_steps=max_steps)
    EMDTrainer(Network(), args, train_dataset=Stream()).train()
    said = (
        "The run ended within its jump start: all of it was plain cross-entropy. Raise max_steps, or lower "
        "jump_start_epochs or jump_start_ratio."
    )
    assert caplog.messages.count(said) == times


def test_batch_without_labels(tmp_path):
    data = [{"inputs": sample["inputs"], "age": sample["labels"]} for sample in samples()]
    with pytest.raises(ValueError) as error:
        train(tmp_path, data=data, remove_unused_columns=False, loss="emd")
    assert str(error.value) == (
        "EMDTrainer needs `labels` in every batch, got ['age', 'inputs']. Name the dataset's label column `label` or "
        "`labels`, without None in it, and keep it with remove_unused_columns=False where a transform makes the inputs."
    )


class TestEntropicWasserstein:
    """The loss a-emd: a D that is given, or comes with the model."""

    @pytest.fixture
    def earlier(self, tmp_path):
        """The folder of an xemd2 run."""
        trainer = train(tmp_path / "xemd2", tiny_vit(), images())
        trainer.save_model()
        return tmp_path / "xemd2"

    @pytest.mark.parametrize("soft", [False, True])
    def test_takes_the_ground_distance_of_an_earlier_run(self, earlier, tmp_path, soft):
        args = arguments(
            tmp_path / "a-emd", loss="a-emd", ground_distance=str(earlier), entropic_strength=3.0, sinkhorn_iterations=9
        )
        data = images(soft)
        trainer = EMDTrainer(tiny_vit(), args, train_dataset=data, eval_dataset=data)
        trainer.train()
        given = torch.tensor(json.loads((earlier / "config.json").read_text())["ground_distance"])
        labels = torch.stack([torch.as_tensor(sample["labels"]) for sample in data])
        with torch.no_grad():
            logits = trainer.model(torch.stack([sample["pixel_values"] for sample in data])).logits
        expected = entropic_wasserstein_loss(logits, labels, given, strength=3, iterations=9)
        assert trainer.evaluate()["eval_loss"] == pytest.approx(expected.item(), rel=1e-5)
        assert logged(trainer, "loss_emd")[-1] < logged(trainer, "loss_emd")[0]
        trainer.save_model()
        config = ViTConfig.from_pretrained(tmp_path / "a-emd")
        assert config.ground_distance == json.loads((earlier / "config.json").read_text())["ground_distance"]
        assert {name: config.emd[name] for name in ("loss", "entropic_strength", "sinkhorn_iterations")} == {
            "loss": "a-emd",
            "entropic_strength": 3.0,
            "sinkhorn_iterations": 9,
        }

    def test_takes_the_ground_distance_of_the_model(self, earlier, tmp_path):
        model = ViTForImageClassification.from_pretrained(earlier)
        args = arguments(tmp_path / "a-emd", loss="a-emd", save_strategy="epoch")
        trainer = EMDTrainer(model, args, train_dataset=images())
        given = trainer.criterion.ground_distance.clone()
        trainer.train()
        assert torch.equal(trainer.criterion.ground_distance, given)
        args = arguments(tmp_path / "a-emd", loss="a-emd", num_train_epochs=5)
        again = EMDTrainer(ViTForImageClassification.from_pretrained(earlier), args, train_dataset=images())
        again.train(resume_from_checkpoint=True)
        assert torch.equal(again.criterion.ground_distance, given)

    def test_a_class_without_distances(self, tmp_path):
        matrix = np.ones((K, K)) - np.eye(K)
        matrix[2], matrix[:, 2] = 0, 0
        np.save(tmp_path / "d.npy", matrix)
        with pytest.raises(ValueError) as error:
            EMDTrainer(Network(), arguments(tmp_path, loss="a-emd", ground_distance=str(tmp_path / "d.npy")))
        assert str(error.value) == (
            f"{tmp_path / 'd.npy'} has no distances for the classes ['2'], which nothing was seen of where it was "
            "learned; to the loss a-emd they would be free. Give a ground distance of all classes."
        )
