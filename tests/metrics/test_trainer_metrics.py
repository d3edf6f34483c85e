"""What a Trainer's `compute_metrics` takes: by hand, batch by batch, in parts, and with class weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics
from tests.errors import message_of
from tests.metrics.cases import CASES, GUESSES, LABELS, LOGITS, SCORES, SOFT, VOTES, N, P
from tests.ranks import on_ranks
from torch import nn
from transformers import EvalPrediction, Trainer, TrainingArguments

from squared_emd import ordinal_metrics
from squared_emd.data.bins import ScoreBins, balanced_bins
from squared_emd.metrics import (
    ScoreMetrics,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    squared_emd,
    top_k_metrics,
)

MAKE = {"ordinal": lambda: ordinal_metrics(scores=SCORES), "top_k": lambda: top_k_metrics((1, 3))}


def calibration_error(probabilities, labels, weights, bins=15):
    """Guo et al. 2017, Eq. 3, a bin at a time."""
    total = 0
    for m in range(1, bins + 1):
        confidences = probabilities.max(1)
        inside = ((m - 1) / bins < confidences) & (confidences <= m / bins)
        hits = probabilities.argmax(1) == labels
        total += abs(sum(weights[inside] * hits[inside]) - sum(weights[inside] * confidences[inside]))
    return total / sum(weights)


def given(predictions, labels):
    return SimpleNamespace(predictions=predictions, label_ids=np.asarray(labels))


def test_ordinal_metrics_by_hand():
    # p = (.5 .25 .25), (.1 .1 .8), (0 1 0); decisions 0, 2, 1
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1e-300, 1, 1e-300]])
    found = ordinal_metrics(scores=[1, 5, 10])(given((logits, None), [0, 0, 1]))
    # CDF gaps: (.5 .25), (.9 .8), (0 0); expected scores 4.25, 8.6, 5 against 1, 1, 5
    expected = {"aem": 2 / 3, "aeo": 2 / 3, "mae": 2 / 3, "squared_emd": (0.3125 + 1.45) / 3}
    expected["spearman"] = spearmanr([4.25, 8.6, 5], [1, 1, 5]).statistic
    expected["nll"] = -np.log([0.5, 0.1, 1]).mean()
    expected["ece"] = (0.5 + 0.8 + 0) / 3  # each in a bin of its own: |1 - 0.5|, |0 - 0.8|, |1 - 1|
    assert found == pytest.approx(expected)


def test_top_k_metrics_by_hand():
    falling = np.array([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]] * 4)  # a label is its own rank: 0, 3, 4, 5
    assert top_k_metrics()(given(falling, [0, 3, 4, 5])) == {"top_1_error": 0.75, "top_5_error": 0.25}
    assert top_k_metrics()(given(falling[:, :5], [0, 3, 4, 0])) == {"top_1_error": 0.5}  # 5 names all classes
    assert top_k_metrics([1])(given((falling, None), [0, 1, 1, 1])) == {"top_1_error": 0.75}


def test_regression_takes_the_nearest_class_and_clamps():
    outputs = np.array([[-3.0], [1.4], [1.6], [9.0]])  # classes 0, 1, 2, 3: off by 0, 0, 1, 2
    found = ordinal_metrics(class_names="abcd")(given(outputs, [0, 1, 1, 1]))
    assert found == {"aem": 0.5, "aeo": 0.75, "mae": 0.75, "squared_emd": 0.75}


def test_soft_labels():
    found = ordinal_metrics(scores=SCORES)(given(LOGITS, SOFT))
    expected = CASES["accuracy_of_votes"].expected | CASES["squared_emd_soft"].expected
    assert {name: found[name] for name in ("aem", "aeo", "mae", "squared_emd")} == pytest.approx(
        {name: expected[name] for name in ("aem", "aeo", "mae", "squared_emd")}
    )
    assert found["spearman"] == pytest.approx(spearmanr(P @ SCORES, SOFT @ SCORES).statistic)
    top = top_k_metrics([2])(given(LOGITS, SOFT))["top_2_error"]
    assert top == pytest.approx(1 - sklearn_metrics.top_k_accuracy_score(VOTES, P, k=2))


def test_class_weights():
    found = ordinal_metrics(class_weights="balanced")(given(LOGITS, LABELS))
    assert found["aem"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(LABELS, GUESSES))
    assert found["mae"] == pytest.approx(CASES["accuracy"].expected["macro_mae"])
    assert found["squared_emd"] == pytest.approx(CASES["squared_emd_balanced"].expected["squared_emd"])
    weights = np.arange(1.0, 6)
    found = ordinal_metrics(class_weights=weights)(given(LOGITS, LABELS))
    assert found["aem"] == pytest.approx(sklearn_metrics.accuracy_score(LABELS, GUESSES, sample_weight=weights[LABELS]))
    losses = sklearn_metrics.log_loss(LABELS, P, sample_weight=weights[LABELS])
    assert found["nll"] == pytest.approx(losses)
    assert found["ece"] == pytest.approx(calibration_error(P, LABELS, weights[LABELS]))
    values = squared_emd(P, LABELS, reduction="none")
    assert found["squared_emd"] == pytest.approx(np.average(values, weights=weights[LABELS]))


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_batches_and_parts_give_the_numbers_of_the_whole(make, monkeypatch):
    compute = make()
    whole = compute(given(LOGITS, LABELS))

    def batch(rows, **options):
        return compute(given(torch.tensor(LOGITS[rows]), torch.tensor(LABELS[rows])), **options)

    for _ in range(2):  # nothing is left over for the next evaluation
        for start in range(0, N, 110):
            found = batch(slice(start, start + 110), compute_result=start == 220)
            assert found == ({} if start < 220 else pytest.approx(whole, rel=1e-12))
    batch(slice(0, 9), compute_result=False)
    with pytest.raises(ValueError):  # which ends the evaluation
        compute(given(LOGITS[:9], LABELS[:8]), compute_result=False)
    assert batch(slice(None), compute_result=True) == whole
    batch(slice(0, 9), compute_result=False)
    compute.restart()  # after an evaluation that was interrupted
    assert batch(slice(None), compute_result=True) == whole
    monkeypatch.setattr("squared_emd.metrics.trainer_metrics._ENTRIES", 7 * 5)
    assert compute(given(LOGITS, LABELS)) == pytest.approx(whole, rel=1e-12)


def test_calibration_of_hard_and_soft_labels():
    assert expected_calibration_error(P, LABELS, bins=7) == pytest.approx(
        calibration_error(P, LABELS, np.ones(N), bins=7)
    )
    assert expected_calibration_error(P, SOFT) == pytest.approx(calibration_error(P, VOTES, np.ones(N)))
    assert negative_log_likelihood(P, LABELS) == pytest.approx(sklearn_metrics.log_loss(LABELS, P))
    assert negative_log_likelihood(P, SOFT) == pytest.approx(-(SOFT * np.log(P)).sum(1).mean())
    assert negative_log_likelihood(np.eye(2), [1, 1]) == pytest.approx(-np.log(np.finfo(float).tiny) / 2)
    shown = reliability(P.max(1), P.argmax(1) == LABELS)
    assert shown.share.sum() == pytest.approx(1)
    assert (np.diff(shown.confidence) > 0).all()


RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 21, 40) / 20  # with ties, as raters make them
BINS = balanced_bins(RNG.integers(0, 21, 200) / 20, 5)
TARGETS = BINS.labels(TRUE)
OUTPUTS = RNG.normal(size=(40, 5)) + 2 * np.eye(5)[TARGETS]
Q = np.exp(OUTPUTS) / np.exp(OUTPUTS).sum(1, keepdims=True)
NAMES = {"spearman", "score_mae", "aem", "aeo", "mae", "squared_emd", "nll", "ece"}
ADVICE = "Evaluate the very data that true_scores are of."


def evaluation(predictions=OUTPUTS, label_ids=TARGETS):
    return EvalPrediction(predictions=predictions, label_ids=label_ids)


def test_classifier_against_scipy_and_the_equation():
    metrics = ScoreMetrics(TRUE, BINS)
    assert metrics.expected_scores is None
    result = metrics(evaluation())
    expected = np.array([sum(p * s for p, s in zip(row, BINS.means, strict=True)) for row in Q])
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
    soft = Q[::-1]
    for labels in (TARGETS, np.zeros(40, dtype=int), soft):  # whatever they are, the true scores are given apart
        metrics = ScoreMetrics(TRUE, [1, 2, 3, 4, 5])
        result = metrics(evaluation(label_ids=labels))
        np.testing.assert_allclose(metrics.expected_scores, Q @ [1, 2, 3, 4, 5], rtol=1e-12)
        assert result["spearman"] == pytest.approx(spearmanr(Q @ np.arange(5), TRUE).statistic, abs=1e-12)
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


SOFTENED = np.eye(5)[TARGETS] * 0.9 + 0.02


@pytest.mark.parametrize(("predictions", "labels"), [(OUTPUTS, TARGETS), (OUTPUTS, SOFTENED), (Q @ BINS.means, TRUE)])
def test_batch_by_batch(predictions, labels):
    whole, batches = ScoreMetrics(TRUE, BINS), ScoreMetrics(TRUE, BINS)
    expected = whole(evaluation((predictions, np.zeros((40, 7))), labels))  # more than logits
    for _ in range(2):
        assert in_batches(batches, predictions, labels) == pytest.approx(expected, abs=1e-12)
        np.testing.assert_array_equal(batches.expected_scores, whole.expected_scores)


def test_another_number_of_predictions():
    metrics = ScoreMetrics(TRUE, BINS)
    for count in (39, 0, 41):
        logits, labels = np.resize(OUTPUTS, (count, 5)), np.resize(TARGETS, count)
        assert message_of(ValueError, metrics, evaluation(logits, labels)) == (
            f"one prediction for each of the 40 true_scores is required, got {count}. {ADVICE}"
        )
    assert message_of(ValueError, in_batches, metrics, OUTPUTS[:20], TARGETS[:20]) == (
        f"one prediction for each of the 40 true_scores is required, got 20. {ADVICE}"
    )
    assert metrics.expected_scores is None
    assert in_batches(metrics, OUTPUTS, TARGETS) == pytest.approx(ScoreMetrics(TRUE, BINS)(evaluation()))  # afresh


def changed(values, place, value):
    values = values.copy()
    values[place] = value
    return values


RULE = (
    "the labels of an evaluation must be those of true_scores, in their order: the bin of each for a classifier, "
    "the score itself for a network with one output;"
)
WRONG = (TARGETS[3] + 1) % 5


@pytest.mark.parametrize(
    ("predictions", "labels", "message"),
    [
        (OUTPUTS, changed(TARGETS, 3, WRONG), f"{RULE} label 3 is {WRONG}, required is {TARGETS[3]}. {ADVICE}"),
        (TRUE, changed(TRUE, 2, 2), f"{RULE} label 2 is 2, required is {TRUE[2]:.6g}. {ADVICE}"),
        (OUTPUTS, TARGETS[:30], f"{RULE} got shape (30,). {ADVICE}"),
        (OUTPUTS[:, :4], TARGETS, "a network needs one output, or one for each of the 5 bins; got 4. "
         "Give ScoreMetrics the bins that the network was trained on."),
        (changed(OUTPUTS, (1, 2), np.nan), TARGETS, "logits must not hold NaN or infinity; row 1 has nan for class 2."),
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
    cases = [(OUTPUTS, TARGETS), ((Q @ BINS.means)[:, None], TRUE)]  # 40 samples on two ranks: four of 48 are repeats
    on_ranks(2, evaluate_on_a_rank, tmp_path, cases)
