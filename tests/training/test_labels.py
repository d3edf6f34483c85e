"""Labels of every kind and dtype: taken as they are meant, or refused before training, with what to do."""

from decimal import Decimal

import datasets
import numpy as np
import pytest
import torch
from tests.training.tiny import K, Network, arguments, logged, samples, train
from transformers import default_data_collator

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.training.labels import check_label_column, class_shares

N = 8
REQUIRED = "labels must be class indices in 0 .. 3, or 4 shares of sum 1 each; of the column 'label' of"
MISSING = "Leave out samples without a label."
VOTES = "squared_emd.soft_labels makes such shares of votes."
CAST = (
    'Cast class indices to integers: dataset.cast_column("label", Value("int64")); real-valued scores are for the loss '
    "reg."
)
ENCODE = (
    'Number the classes in all splits at once: dataset.class_encode_column("label") in alphabetical order, or '
    'dataset.cast_column("label", ClassLabel(names=[...])) in another one.'
)


def table(labels, **features):
    data = datasets.Dataset.from_dict({"inputs": [[float(n), 0.0, 1.0] for n in range(len(labels))], "label": labels})
    return data.cast_column("label", datasets.Value(features["dtype"])) if features else data


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.bool])
def test_every_integer_is_a_class_index(tmp_path, dtype):
    num_classes = 2 if dtype == torch.bool else K

    def run(cast):
        def collate(rows):
            labels = torch.tensor([row["labels"] for row in rows])
            return {"inputs": torch.stack([row["inputs"] for row in rows]), "labels": labels.to(cast)}

        torch.manual_seed(0)
        args = arguments(tmp_path, jump_start_epochs=2, num_train_epochs=3, class_weights=[1, 2, 3, 4][:num_classes])
        data = samples(num_classes=num_classes)
        trainer = EMDTrainer(Network(num_classes), args, train_dataset=data, data_collator=collate)
        trainer.train()
        return logged(trainer, "loss"), trainer.criterion.ground_distance.tolist()

    assert run(dtype) == run(torch.int64)


@pytest.mark.parametrize(
    ("labels", "count", "row", "value", "remedy"),
    [
        ([0, 1, None, 3, None], 2, 2, "nan", MISSING),
        ([0, -100, 2, 3], 1, 1, "-100", MISSING),
        ([1, 4, 3, 2], 1, 1, "4", "If the labels count from 1, subtract 1; otherwise give the model num_labels=5."),
        ([0, 4, 3, 9], 2, 1, "4", "Give the model num_labels=10, or leave out what is no class."),
        ([0.0, 1.0, 2.0], 3, 0, "0.0", CAST),
        ([Decimal(0), Decimal(1)], 2, 0, "Decimal('0')", CAST),
        (["good", "bad", "fair"], 3, 0, "'good'", ENCODE),
        ([[0.5, 0.5, 0.0, 0.0], [3.0, 1.0, 0.0, 0.0]], 1, 1, "[3.0, 1.0, 0.0, 0.0]", VOTES),
        ([[0.5, 0.5], [0.5, 0.5]], 2, 0, "[0.5, 0.5]", VOTES),
        ([[0.5, 0.5], [1.0]], 2, 0, "[0.5, 0.5]", VOTES),
        # One label of another type is the one that is named.
        ([0, 1, 2, 1.5], 1, 3, "1.5", CAST),
        ([0, 1, "b", 3], 1, 2, "'b'", ENCODE),
        ([0, 1, float("nan"), 3], 1, 2, "nan", MISSING),
        ([0, np.int8(3), np.int64(7)], 1, 2, "7", "Give the model num_labels=8, or leave out what is no class."),
        ([torch.tensor(0), torch.tensor(2.0), 3], 1, 1, "2.0", CAST),
        ([[0.25] * 4, [0.0, 0.0, 1.0]], 1, 1, "[0.0, 0.0, 1.0]", VOTES),
    ],
)
def test_labels_that_do_not_fit_the_classes(labels, count, row, value, remedy):
    forms = [[{"label": label} for label in labels]]
    if len({type(label) for label in labels} - {type(None)}) == 1:
        forms.append(table(labels))
    for data in forms:
        shown = "None" if labels[row] is None and data is forms[0] else value
        end = f"{count} are not, the first in row {row}: {shown}. {remedy}"
        with pytest.raises(ValueError) as error:
            check_label_column(data, K, default_data_collator, source="train_dataset")
        assert str(error.value) == f"{REQUIRED} train_dataset {end}"
        if remedy != CAST or value == "1.5":  # Numbers that are whole can be counted.
            with pytest.raises(ValueError) as error:
                class_shares(data, K, needed_by="balanced_sampling")
            assert str(error.value) == f"{REQUIRED} the training data {end}"


def test_labels_of_which_one_alone_would_fit():
    def keeps_integers(rows):
        return {"labels": torch.tensor([row["label"] for row in rows])}

    one_hot = [{"label": [0, 1, 0, 0]}, {"label": [1, 0, 0, 0]}]
    with pytest.raises(ValueError) as error:
        check_label_column(one_hot, K, keeps_integers, source="train_dataset")
    end = "2 are not, the first in row 0: [0, 1, 0, 0]. Give shares as floating point: labels.float()."
    assert str(error.value) == f"{REQUIRED} train_dataset {end}"
    with pytest.raises(ValueError) as error:
        class_shares([{"label": 0}, {"label": [0.25] * 4}], K, needed_by="balanced_sampling")
    end = "1 are not, the first in row 1: [0.25, 0.25, 0.25, 0.25]. squared_emd.soft_labels makes such shares of votes."
    assert str(error.value) == f"{REQUIRED} the training data {end}"


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ([True, False, False], [2, 1, 0, 0]),
        ([0, True, np.uint8(3), torch.tensor(2), np.bool_(False)], [2, 1, 1, 1]),
        ([[0.5, 0.5, 0, 0], np.array([0.0, 0, 0, 1]), torch.full((4,), 0.25).bfloat16()], [0.75, 0.75, 0.25, 1.25]),
    ],
)
def test_labels_of_other_and_mixed_types_that_fit(labels, counts):
    data = [{"label": label} for label in labels]
    check_label_column(data, K, default_data_collator, source="train_dataset")
    assert class_shares(data, K, needed_by="balanced_sampling")[0].tolist() == counts


def test_whole_numbers_are_counted():
    whole = [0.0, 1.0, 1.0], [Decimal(0), Decimal(1), Decimal(1)], [0, Decimal(1), 1.0]
    for data in (*([{"label": label} for label in labels] for labels in whole), *map(table, whole[:2])):
        assert class_shares(data, K, needed_by="balanced_sampling")[0].tolist() == [1, 2, 0, 0]


def test_scores_of_mixed_types_that_fit():
    scores = [{"label": score} for score in (-100, -3.5, 7, True, Decimal("0.5"))]
    check_label_column(scores, None, None, source="train_dataset")
    with pytest.raises(ValueError, match=f"1 are not, the first in row 5: Decimal\\('NaN'\\). {MISSING}"):
        check_label_column([*scores, {"label": Decimal("nan")}], None, default_data_collator, source="train_dataset")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_shares_of_every_precision_are_read(dtype):
    data = [{"labels": torch.tensor([0.25, 0.75, 0, 0], dtype=dtype, requires_grad=True)}] * 2
    check_label_column(data, K, default_data_collator, source="train_dataset")
    assert class_shares(data, K, needed_by="balanced_sampling")[0].tolist() == [0.5, 1.5, 0, 0]


def test_labels_are_checked_before_training_and_evaluation(tmp_path):
    good, wrong = table([0, 1, 2, 3]), table([0, 1, 2, 4])
    end = "1 are not, the first in row 3: 4. Give the model num_labels=5, or leave out what is no class."
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="xe"), train_dataset=wrong, eval_dataset=good)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == f"{REQUIRED} train_dataset {end}"
    evaluated = {"eval_dataset": {"first": good, "second": wrong}}
    trainer = EMDTrainer(Network(), arguments(tmp_path, loss="xe"), train_dataset=good, **evaluated)
    for run, source in (
        (trainer.train, "eval_dataset['second']"),
        (trainer.evaluate, "eval_dataset['second']"),
        (lambda: trainer.evaluate(wrong), "eval_dataset"),
        (lambda: trainer.predict(wrong), "test_dataset"),
    ):
        with pytest.raises(ValueError) as error:
            run()
        assert str(error.value) == f"{REQUIRED} {source} {end}"
    assert trainer.state.global_step == 0
    assert trainer.predict(table([None, None])).predictions.shape == (2, K)


@pytest.mark.parametrize(
    ("labels", "row", "value"),
    [
        ([0.5, float("nan"), 2.5], 1, "nan"),
        ([0.5, 1.5, float("inf")], 2, "inf"),
        ([0, -100, 3], 1, "-100"),
        ([0.5, -100.0, 3.0], 1, "-100.0"),
        ([0.5, None], 1, "nan"),
    ],
)
def test_scores_that_are_none(tmp_path, labels, row, value):
    end = f"1 are not, the first in row {row}: {value}. {MISSING}"
    args = arguments(tmp_path, loss="reg")
    for data, source in ((table(labels), "train_dataset"), (table([0.5, 1.5]), "eval_dataset")):
        trainer = EMDTrainer(Network(1), args, train_dataset=data, eval_dataset=table(labels))
        with pytest.raises(ValueError) as error:
            trainer.train()
        assert str(error.value) == f"labels must be finite numbers; of the column 'label' of {source} {end}"

    class Loads(torch.utils.data.Dataset):  # of which nothing can be read before training
        def __len__(self):
            return len(labels)

        def __getitem__(self, index):
            return {"inputs": torch.zeros(3), "labels": float("nan") if labels[index] is None else labels[index]}

    with pytest.raises(ValueError) as error:
        train(tmp_path, Network(1), Loads(), loss="reg", train_sampling_strategy="sequential")
    assert str(error.value) == f"labels must be finite numbers; sample {row} of a batch has {value}. {MISSING}"


def test_scores_below_0_are_scores(tmp_path):
    args = arguments(tmp_path, loss="reg", learning_rate=1e-5, num_train_epochs=1)
    trainer = EMDTrainer(Network(1), args, train_dataset=table([-100.0, -3.5, 7.0]))
    trainer.train()
    assert logged(trainer, "loss")[0] > 1000


def test_labels_that_a_transform_or_a_collator_makes(tmp_path):
    names = ["baby", "child", "adult", "senior"]
    data = table([names[n % K] for n in range(N)])
    numbers = {"labels": [n % K for n in range(N)]}

    def numbered(rows):
        return {"inputs": torch.tensor(rows["inputs"]), "labels": [names.index(name) for name in rows["label"]]}

    def collate(rows):
        return {name: torch.as_tensor(values) for name, values in numbered(stacked(rows)).items()}

    def stacked(rows):
        return {name: [row[name] for row in rows] for name in rows[0]}

    fields = {"loss": "xe", "remove_unused_columns": False, "num_train_epochs": 1}
    expected = train(tmp_path, data=table(numbers["labels"]), **fields)
    for options in (
        {"train_dataset": data.with_transform(numbered)},
        {"train_dataset": data, "data_collator": collate},
    ):
        torch.manual_seed(0)
        trainer = EMDTrainer(Network(), arguments(tmp_path, **fields), **options)
        trainer.train()
        assert logged(trainer, "loss") == logged(expected, "loss")
    wrong = data.with_transform(lambda rows: {**numbered(rows), "labels": [9] * len(rows["label"])})
    with pytest.raises(ValueError) as error:
        train(tmp_path, data=wrong, **fields)
    assert str(error.value).startswith(f"{REQUIRED} train_dataset 8 are not, the first in row 0: 'baby'. Number the")


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (ordinal_metrics(class_names="abc"), "class_names must name the 4 outputs of the network, got 3."),
        (ordinal_metrics(scores=[1, 2]), "scores must hold one number for each of the 4 classes, got [1.0, 2.0]."),
    ],
)
def test_metrics_that_do_not_fit_the_model(tmp_path, metrics, message):
    data = table([0, 1, 0, 1])
    args = arguments(tmp_path, loss="xe")
    trainer = EMDTrainer(Network(), args, train_dataset=data, eval_dataset=data, compute_metrics=metrics)
    with pytest.raises(ValueError) as error:
        trainer.train()
    assert str(error.value) == message
    assert trainer.state.global_step == 0
