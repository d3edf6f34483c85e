"""Metrics of a real-valued score against SciPy, by hand, and in a Trainer."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.stats import spearmanr
from tests.data.files import message_of
from tests.ranks import on_ranks
from torch import nn
from transformers import EvalPrediction, Trainer, TrainingArguments

from squared_emd.data.bins import ScoreBins, balanced_bins
from squared_emd.metrics import ScoreMetrics, ordinal_metrics

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 21, 40) / 20  # with ties, as raters make them
BINS = balanced_bins(RNG.integers(0, 21, 200) / 20, 5)
LABELS = BINS.labels(TRUE)
LOGITS = RNG.normal(size=(40, 5)) + 2 * np.eye(5)[LABELS]
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
NAMES = {"spearman", "score_mae", "aem", "aeo", "mae", "squared_emd", "nll", "ece"}
ADVICE = "Evaluate the very data that true_scores are of."


def evaluation(predictions=LOGITS, label_ids=LABELS):
    return EvalPrediction(predictions=predictions, label_ids=label_ids)


def test_classifier_against_scipy_and_the_equation():
    metrics = ScoreMetrics(TRUE, BINS)
    assert metrics.expected_scores is None
    result = metrics(evaluation())
    expected = np.array([sum(p * s for p, s in zip(row, BINS.means, strict=True)) for row in P])
    np.testing.assert_allclose(metrics.expected_scores, expected, rtol=1e-12)
    assert set(result) == NAMES
    assert all(type(value) is float for value in result.values())
    assert result["spearman"] == pytest.approx(spearmanr(expected, TRUE).statistic, abs=1e-12)
    assert 0.1 < result["spearman"] < 0.99  # so that the comparison says something
    assert result["score_mae"] == pytest.approx(np.mean([abs(e - t) for e, t in zip(expected, TRUE, strict=True)]))
    assert {name: result[name] for name in ("aem", "aeo", "mae", "squared_emd", "nll", "ece")} == ordinal_metrics()(
        evaluation()
    )


@pytest.mark.parametrize("shape", [(3, 1), (3,)])
def test_one_output_by_hand(shape):
    bins = ScoreBins(edges=[0.3, 0.6], means=[0.1, 0.5, 0.7], names=["low", "middle", "high"])
    true = np.array([0.2, 0.9, 0.35])
    metrics = ScoreMetrics(true, bins)
    outputs = np.array([-0.5, 0.4, 0.65], dtype=np.float32).reshape(shape)  # bins 0, 1, 2; of the true ones 0, 2, 1
    result = metrics(evaluation(outputs, true.astype(np.float32)))
    np.testing.assert_allclose(metrics.expected_scores, [-0.5, 0.4, 0.65], rtol=1e-7)
    assert set(result) == NAMES - {"nll", "ece"}
    assert result["spearman"] == pytest.approx(0.5)
    assert result["score_mae"] == pytest.approx((0.7 + 0.5 + 0.3) / 3, rel=1e-7)
    assert (result["aem"], result["aeo"]) == (pytest.approx(1 / 3), 1)
    assert result["mae"] == result["squared_emd"] == pytest.approx(2 / 3)  # one class off: 1 in either


def test_a_true_score_upon_an_edge_is_not_moved_by_float32():
    edge = 0.35  # float32 has 0.34999999
    bins = ScoreBins(edges=[edge], means=[0.1, 0.5], names=["low", "high"])
    result = ScoreMetrics([edge, 0.1], bins)(evaluation(np.array([0.4, 0.2]), np.array([edge, 0.1], dtype=np.float32)))
    assert result["aem"] == 1


def test_class_scores_instead_of_bins():
    soft = P[::-1]
    for labels in (LABELS, np.zeros(40, dtype=int), soft):  # whatever they are, the true scores are given apart
        metrics = ScoreMetrics(TRUE, [1, 2, 3, 4, 5])
        result = metrics(evaluation(label_ids=labels))
        np.testing.assert_allclose(metrics.expected_scores, P @ [1, 2, 3, 4, 5], rtol=1e-12)
        assert result["spearman"] == pytest.approx(spearmanr(P @ np.arange(5), TRUE).statistic, abs=1e-12)
        assert result["aem"] == ordinal_metrics()(evaluation(label_ids=labels))["aem"]
    one = ScoreMetrics([1, 2, 5], [1, 2, 5])(evaluation(np.array([1.4, 1.6, 3.4]), np.array([1, 2, 5])))
    assert one["aem"] == pytest.approx(2 / 3)  # 3.4 is nearer to 2 than to 5


def in_batches(metrics, predictions, labels, size=16):
    for start in range(0, len(predictions), size):
        last = start + size >= len(predictions)
        batch = evaluation(predictions[start : start + size], labels[start : start + size])
        result = metrics(batch, compute_result=last)
        assert last or result == {}
    return result


SOFT = np.eye(5)[LABELS] * 0.9 + 0.02


@pytest.mark.parametrize(("predictions", "labels"), [(LOGITS, LABELS), (LOGITS, SOFT), (P @ BINS.means, TRUE)])
def test_batch_by_batch(predictions, labels):
    whole, batches = ScoreMetrics(TRUE, BINS), ScoreMetrics(TRUE, BINS)
    expected = whole(evaluation((predictions, np.zeros((40, 7))), labels))  # more than logits
    for _ in range(2):
        assert in_batches(batches, predictions, labels) == pytest.approx(expected, abs=1e-12)
        np.testing.assert_array_equal(batches.expected_scores, whole.expected_scores)


def test_another_number_of_predictions():
    metrics = ScoreMetrics(TRUE, BINS)
    for count in (39, 0, 41):
        logits, labels = np.resize(LOGITS, (count, 5)), np.resize(LABELS, count)
        assert message_of(ValueError, metrics, evaluation(logits, labels)) == (
            f"one prediction for each of the 40 true_scores is required, got {count}. {ADVICE}"
        )
    assert message_of(ValueError, in_batches, metrics, LOGITS[:20], LABELS[:20]) == (
        f"one prediction for each of the 40 true_scores is required, got 20. {ADVICE}"
    )
    assert metrics.expected_scores is None
    assert in_batches(metrics, LOGITS, LABELS) == pytest.approx(ScoreMetrics(TRUE, BINS)(evaluation()))  # afresh


def changed(values, place, value):
    values = values.copy()
    values[place] = value
    return values


RULE = (
    "the labels of an evaluation must be those of true_scores, in their order: the bin of each for a classifier, "
    "the score itself for a network with one output;"
)
WRONG = (LABELS[3] + 1) % 5


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (LOGITS, changed(LABELS, 3, WRONG), f"{RULE} label 3 is {WRONG}, required is {LABELS[3]}. {ADVICE}"),
        (TRUE, changed(TRUE, 2, 2), f"{RULE} label 2 is 2, required is {TRUE[2]:.6g}. {ADVICE}"),
        (LOGITS, LABELS[:30], f"{RULE} got shape (30,). {ADVICE}"),
        (LOGITS[:, :4], LABELS, "a network needs one output, or one for each of the 5 bins; got 4. "
         "Give ScoreMetrics the bins that the network was trained on."),
        (changed(LOGITS, (1, 2), np.nan), LABELS, "logits must not hold NaN or infinity; row 1 has nan for class 2."),
        (changed(TRUE, 1, np.inf), TRUE, "outputs must be finite; entry 1 is inf."),
    ],
)  # fmt: skip
def test_evaluations_that_do_not_fit(predictions, labels, message):
    assert message_of(ValueError, ScoreMetrics(TRUE, BINS), evaluation(predictions, labels)) == message


@pytest.mark.parametrize(
    ("scores", "bins", "message"),
    [
        ([0.1, np.nan], BINS, "true_scores must be finite; entry 1 is nan."),
        (TRUE, [0.1, 0.3, 0.2], "class_scores must be at least two increasing scores, got [0.1, 0.3, 0.2]."),
        (TRUE, [0.1], "class_scores must be at least two increasing scores, got [0.1]."),
    ],
)
def test_what_it_is_made_from(scores, bins, message):
    assert message_of(ValueError, ScoreMetrics, scores, bins) == message


class Tiny(nn.Module):
    """Its features are its logits."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, features, labels=None):
        return {"loss": self.scale * 0, "logits": self.scale * features}


def evaluate_on_a_rank(rank, folder, cases):
    for batchwise in (False, True):
        for features, labels in cases:
            args = TrainingArguments(
                str(folder), per_device_eval_batch_size=6, batch_eval_metrics=batchwise, report_to=[], use_cpu=True,
                disable_tqdm=True,
            )  # fmt: skip
            data = Dataset.from_dict({"features": features.tolist(), "labels": labels.tolist()})
            trainer = Trainer(Tiny(), args, eval_dataset=data, compute_metrics=ScoreMetrics(TRUE, BINS))
            found = {name.removeprefix("eval_"): value for name, value in trainer.evaluate().items()}
            expected = ScoreMetrics(TRUE, BINS)(evaluation(features, labels))
            assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_in_a_trainer_on_every_rank(tmp_path):
    cases = [(LOGITS, LABELS), ((P @ BINS.means)[:, None], TRUE)]  # 40 samples on two ranks: four of 48 are repeats
    on_ranks(2, evaluate_on_a_rank, tmp_path, cases)
