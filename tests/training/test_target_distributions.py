"""What the Trainer makes of class weights, smoothed and mixed labels, and how it draws samples of rare classes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset
from tests.training.tiny import K, Network, Stream, arguments, logged, samples, tiny_vit, train
from timm.data import Mixup
from torch.utils.data import Subset
from transformers import TrainerCallback

from squared_emd import (
    EMDTrainer,
    ground_distance_from_positions,
    squared_emd_loss,
)
from squared_emd.training.labels import class_shares
from squared_emd.vision.mixup import BatchMixup

COUNTS = [12, 6, 4, 2]


class _Counts(TrainerCallback):
    """Notes the running class counts after each step."""

    def __init__(self, criterion, seen):
        self.criterion, self.seen = criterion, seen

    def on_step_end(self, *args, **kwargs):
        self.seen.append(self.criterion.distance.centroids.class_counts.clone())


def rare(soft=False):
    """24 samples, 12, 6, 4 and 2 of the classes."""
    generator = torch.Generator().manual_seed(5)
    data = []
    for k, count in enumerate(COUNTS):
        for _ in range(count):
            label = (torch.eye(K)[k] * 0.8 + 0.05).tolist() if soft else k
            data.append({"inputs": torch.randn(3, generator=generator) + k, "labels": label})
    return data


def first_loss(folder, data, num_outputs=K, **fields):
    """The training loss of one step over all the data, before anything is learned."""
    torch.manual_seed(0)
    model = Network(num_outputs)
    fields = {"num_train_epochs": 1, "per_device_train_batch_size": 24} | fields
    trainer = EMDTrainer(model, arguments(folder, **fields), train_dataset=data)
    with torch.no_grad():
        logits = model(torch.stack([torch.as_tensor(sample["inputs"]) for sample in data]))["logits"]
    trainer.train()
    return logged(trainer, "loss")[0], logits


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("soft", [False, True])
def test_the_trainers_loss_is_weighted_however_the_step_is_cut(tmp_path, soft, accumulate):
    data = rare(soft)
    weights = [0.5, 1.0, 2.0, 3.0]
    loss, logits = first_loss(
        tmp_path,
        data,
        loss="emd",
        class_weights=weights,
        per_device_train_batch_size=24 // accumulate,
        gradient_accumulation_steps=accumulate,
    )
    labels = torch.tensor([sample["labels"] for sample in data])
    of_samples = (labels @ torch.tensor(weights)) if soft else torch.tensor(weights)[labels]
    expected = (of_samples * squared_emd_loss(logits, labels, reduction="none")).mean()
    assert loss == pytest.approx(float(expected), rel=1e-4)


def test_both_terms_of_the_self_guided_loss_are_weighted(tmp_path):
    """Weights of 2 double both terms and leave lambda, their ratio, alone."""
    runs = [
        train(tmp_path / str(weight), data=rare(), class_weights=[weight] * K, learning_rate=0.0)
        for weight in (1.0, 2.0)
    ]
    assert runs[0].criterion.regularizer_weight == pytest.approx(runs[1].criterion.regularizer_weight, rel=1e-6)
    for name in ("loss_ce", "loss_emd"):
        once, twice = (logged(run, name)[-1] for run in runs)
        assert twice == pytest.approx(2 * once, rel=1e-4)
        assert once != 0
    torch.testing.assert_close(runs[0].criterion.ground_distance, runs[1].criterion.ground_distance)


@pytest.mark.parametrize(("loss", "outputs"), [("xe", K), ("reg", 1)])
def test_balanced_weights_are_one_over_the_counts(tmp_path, loss, outputs):
    """Also of a regression, by the class of the label."""
    data = rare()
    found, logits = first_loss(tmp_path, data, outputs, loss=loss, class_weights="balanced")
    labels, weight = torch.tensor([sample["labels"] for sample in data]), torch.tensor([24 / (4 * n) for n in COUNTS])
    expected = F.cross_entropy(logits, labels, weight=weight) if loss == "xe" else None
    if loss == "reg":
        expected = (weight[labels] * (logits.squeeze(1) - labels).square()).mean()
    assert found == pytest.approx(float(expected), rel=1e-4)  # the weights of all samples sum to their number


@pytest.mark.parametrize("soft", [False, True])
def test_balanced_sampling_brings_each_class_equally_often(tmp_path, soft):
    data = Dataset.from_list([{"inputs": s["inputs"].tolist(), "labels": s["labels"]} for s in rare(soft)] * 40)
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="emd", balanced_sampling=True), train_dataset=data)
    loader = trainer.get_train_dataloader()
    seen = torch.cat([batch["labels"] for batch in loader])
    assert len(seen) == len(data)
    counts = seen.sum(0) if soft else torch.bincount(seen, minlength=K)
    shares = [1 / K] * K
    if soft:  # what is expected: each sample in proportion to the mean of 1 / n_k over its label
        labels = np.array(data["labels"])
        draws = labels @ (1 / labels.sum(0))
        shares = (draws / draws.sum()) @ labels
    spread = math.sqrt(0.25 * 0.75 / len(data))
    np.testing.assert_allclose(counts / len(data), shares, atol=4 * spread)
    again = torch.cat([batch["labels"] for batch in trainer.get_train_dataloader()])
    assert again.equal(seen)  # the seed and the epoch say what is drawn


def test_labels_are_counted_where_they_can_be_read():
    hard, soft = rare(), rare(soft=True)
    table = Dataset.from_list([{"label": sample["labels"]} for sample in hard])
    for data in (hard, table, table.with_transform(lambda batch: batch)):
        assert class_shares(data, K, needed_by="it")[0].tolist() == COUNTS
    shares, _ = class_shares(soft, K, needed_by="it")
    np.testing.assert_allclose(shares, np.array(COUNTS) * 0.8 + 24 * 0.05)

    folder = torch.utils.data.TensorDataset()
    folder.targets = [0, 1, 1]  # as those of torchvision have
    assert class_shares(folder, K, needed_by="it")[0].tolist() == [1, 2, 0, 0]


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (
            Stream(),
            {"class_weights": "effective:0.9", "max_steps": 2},
            "class_weights effective:0.9 needs to count the samples of each class: give the training data as a "
            "datasets.Dataset or a list, with one column `label` or `labels`, of class indices or of a share for each "
            "class; got Stream. class_weights can be given as numbers.",
        ),
        (
            [{"inputs": torch.zeros(3), "labels": 7}],
            {"class_weights": "balanced", "balanced_sampling": True},
            "labels must be class indices in 0 .. 3, or 4 shares of sum 1 each; of the column 'labels' of the training "
            "data 1 are not, the first in row 0: 7. Give the model num_labels=8, or leave out what is no class.",
        ),
        (rare(), {"class_weights": [1, 2]}, "class_weights must hold 4 numbers, one a class, got 2."),
    ],
)
def test_what_cannot_be_weighed_is_said_before_training(tmp_path, data, fields, message):
    with pytest.raises(ValueError) as error:
        EMDTrainer(Network(), arguments(tmp_path, loss="xe", **fields), train_dataset=data)
    assert str(error.value) == message


def test_scores_have_no_class(tmp_path):
    data = [{"inputs": torch.zeros(3), "labels": 0.5}] * 8
    trainer = EMDTrainer(Network(1), arguments(tmp_path, loss="reg", class_weights=[1, 2]), train_dataset=data)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == (
        "class_weights need class indices as labels, got real-valued scores. Leave class_weights out."
    )


def test_smoothing_follows_a_given_d(tmp_path):
    data = rare()
    distance = ground_distance_from_positions([1, 5, 10, 17])
    np.save(tmp_path / "d.npy", distance)
    fields = {"loss": "xe", "label_smoothing_factor": 0.3, "label_smoothing_temperature": 0.5}
    loss, logits = first_loss(tmp_path / "run", data, ground_distance=str(tmp_path / "d.npy"), **fields)
    mean = distance.sum() / 12
    kernel = (-distance / (0.5 * mean)).softmax(1)
    labels = torch.tensor([sample["labels"] for sample in data])
    targets = (0.7 * torch.eye(K)[labels] + 0.3 * kernel[labels]).float()
    assert loss == pytest.approx(float(F.cross_entropy(logits, targets)), rel=1e-4)
    # the line is a D, too
    loss, _ = first_loss(tmp_path / "line", data, geometry="line", spacing=[4, 5, 7], **fields)
    assert loss == pytest.approx(float(F.cross_entropy(logits, targets)), rel=1e-4)


def test_smoothing_follows_d_once_it_is_learned(tmp_path):
    fields = {"label_smoothing_factor": 0.2, "label_smoothing_temperature": 0.3}
    trainer = train(tmp_path, data=samples(), **fields)
    labels = torch.arange(K)
    targets = trainer.criterion.distance.smoothed(labels)
    distance = trainer.criterion.ground_distance
    kernel = (-distance / (0.3 * distance.sum() / (K * (K - 1)))).softmax(1).float()
    torch.testing.assert_close(targets, 0.8 * torch.eye(K) + 0.2 * kernel)
    trainer.criterion.restart()  # D is unknown again
    torch.testing.assert_close(trainer.criterion.distance.smoothed(labels), 0.8 * torch.eye(K) + 0.2 / K)


def test_mixed_batches_train_and_their_shares_reach_the_centroids(tmp_path):
    data = [{"pixel_values": torch.randn(3, 8, 8), "labels": k % K} for k in range(21)]
    taken, seen = [], []
    mixup = BatchMixup(Mixup(mixup_alpha=1.0, cutmix_alpha=1.0, label_smoothing=0, num_classes=K))

    def mix(batch):
        batch = mixup(batch)
        taken.append(batch["labels"])
        return batch

    np.random.seed(0)
    args = arguments(tmp_path, num_train_epochs=3, jump_start_epochs=2)
    trainer = EMDTrainer(tiny_vit(), args, train_dataset=data, eval_dataset=data, train_batch_transform=mix)
    trainer.add_callback(_Counts(trainer.criterion, seen))
    trainer.train()
    assert sum(map(len, taken)) == 3 * 21
    assert math.isfinite(logged(trainer, "loss")[-1])
    torch.testing.assert_close(seen[-1].float(), torch.cat(taken[-3:]).sum(0))
    before = len(taken)
    trainer.evaluate()
    assert len(taken) == before  # what is tested stays as it is


def test_a_transform_keeps_the_samples_of_a_batch(tmp_path):
    def halve(batch):
        return {name: values[: len(values) // 2] for name, values in batch.items()}

    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="emd"), train_dataset=rare(), train_batch_transform=halve)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == (
        "train_batch_transform must keep the 8 samples of a batch, which the loss of the step is divided by; it gave 4."
    )


@pytest.mark.parametrize("fields", [{"class_weights": [1, 1, 1, 1]}, {"label_smoothing_factor": 0.1}])
def test_a_label_of_no_class_is_named_in_evaluation(tmp_path, fields):
    data = Subset([{"inputs": torch.zeros(3), "labels": 7}], [0])  # of which no column can be read before
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="xe", **fields), eval_dataset=data)
    with pytest.raises(ValueError) as error:
        trainer.evaluate()
    assert str(error.value) == (
        "labels must lie in 0 .. 3, the model's 4 classes; got 7 .. 7. Give the model num_labels=8, or leave out what "
        "is no class."
    )
