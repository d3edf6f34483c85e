"""Errors counted by hand, by scikit-learn, and through a Trainer."""

from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
import transformers as tf
from sklearn.metrics import top_k_accuracy_score
from torch import nn

from squared_emd.metrics.class_metrics import top_k_metrics


def given(logits, labels):
    return SimpleNamespace(predictions=np.array(logits), label_ids=np.array(labels))


def message_of(call, *args, **options):
    with pytest.raises(ValueError) as caught:
        call(*args, **options)
    assert caught.type is ValueError
    return str(caught.value)


FALLING = [[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]


def test_by_hand():
    # The classes fall in their order, so that a label is its own rank: 0, 3, 4, 5.
    assert top_k_metrics()(given(FALLING * 4, [0, 3, 4, 5])) == {"top_1_error": 0.75, "top_5_error": 0.25}
    assert top_k_metrics([4])(given(FALLING * 4, [0, 3, 4, 5])) == {"top_4_error": 0.5}


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 12)), rng.integers(0, 12, 200)
    errors = top_k_metrics((1, 3, 5))(given(logits, labels))
    assert errors.keys() == {"top_1_error", "top_3_error", "top_5_error"}
    for k in (1, 3, 5):
        accuracy = top_k_accuracy_score(labels, logits, k=k, labels=np.arange(12))
        assert errors[f"top_{k}_error"] == pytest.approx(1 - accuracy, abs=1e-12)


@pytest.mark.parametrize(("num_classes", "names"), [(6, ["top_1_error", "top_5_error"]), (5, ["top_1_error"])])
def test_a_k_that_names_all_classes_is_left_out(num_classes, names):
    assert list(top_k_metrics()(given(np.eye(num_classes), range(num_classes)))) == names


def test_soft_labels_count_as_their_likeliest_class():
    soft = [[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]]  # classes 2 and 0, the first of two equal ones
    assert top_k_metrics((1, 2))(given([[3.0, 2.0, 1.0]] * 2, soft)) == {"top_1_error": 0.5, "top_2_error": 0.5}


def test_logits_beside_other_outputs():
    several = SimpleNamespace(predictions=(np.eye(3), np.zeros((3, 7))), label_ids=np.array([0, 1, 1]))
    assert top_k_metrics([1])(several) == {"top_1_error": 1 / 3}


def test_batch_by_batch_and_again():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(25, 8)), rng.integers(0, 8, 25)
    whole = top_k_metrics()(given(logits, labels))
    metrics = top_k_metrics()
    for _ in range(2):  # the second evaluation starts afresh
        for start in (0, 10):
            batch = given(logits[start : start + 10], labels[start : start + 10])
            assert metrics(batch, compute_result=False) == {}
        assert metrics(given(logits[20:], labels[20:]), compute_result=True) == whole


def test_a_refused_batch_ends_the_evaluation():
    metrics = top_k_metrics([1])
    metrics(given(np.eye(3), [1, 2, 0]), compute_result=False)
    message_of(metrics, given([[np.nan, 0, 0]], [0]), compute_result=False)
    assert metrics(given(np.eye(3), [0, 1, 2]), compute_result=True) == {"top_1_error": 0.0}


def test_what_is_refused():
    assert message_of(top_k_metrics, [0, 1]) == "ks must be whole numbers, at least 1; got [0, 1]."
    assert message_of(top_k_metrics, []) == "ks must be whole numbers, at least 1; got []."
    assert message_of(top_k_metrics([5, 7]), given(np.eye(5), range(5))) == (
        "ks needs a number below that of the classes, 5; got [5, 7]."
    )
    assert message_of(top_k_metrics(), given([[0.0], [1.0]], [0, 0])) == (
        "ks needs a number below that of the classes, 1; got [1, 5]."
    )
    assert message_of(top_k_metrics(), given([0.0, 1.0], [0, 0])) == (
        "logits must be (N, K), one number for each class, got shape (2,)."
    )
    assert message_of(top_k_metrics(), given([[np.nan, 1.0, 2.0]], [0])) == (
        "logits must not hold NaN or infinity; row 0 has nan for class 0."
    )
    assert message_of(top_k_metrics(), given(np.eye(3), [0, 1, 3])) == (
        "references must be class indices in 0 .. 2; entry 2 is 3. Leave out samples without a label."
    )
    assert message_of(top_k_metrics(), given(np.eye(3), [0, 1])) == (
        "predictions and references must be equally many, at least one; got 3 and 2."
    )


class Scale(nn.Module):
    """Logits are the inputs times one weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, labels=None):
        logits = self.weight * x
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.parametrize("batchwise", [False, True])
def test_through_a_trainer(tmp_path, batchwise):
    rows = [{"x": FALLING[0], "labels": label} for label in (0, 0, 1, 4, 5, 5, 5)]
    arguments = tf.TrainingArguments(
        output_dir=tmp_path,
        per_device_eval_batch_size=3,
        batch_eval_metrics=batchwise,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = tf.Trainer(
        Scale(), arguments, eval_dataset=datasets.Dataset.from_list(rows), compute_metrics=top_k_metrics()
    )
    for _ in range(2):
        results = trainer.evaluate()
        assert results["eval_top_1_error"] == pytest.approx(5 / 7, abs=1e-12)
        assert results["eval_top_5_error"] == pytest.approx(3 / 7, abs=1e-12)
