"""What a Trainer's `compute_metrics` takes: by hand, batch by batch, in parts, and with class weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn import metrics as sklearn_metrics
from tests.metrics.cases import CASES, GUESSES, LABELS, LOGITS, SCORES, SOFT, VOTES, N, P

from squared_emd import ordinal_metrics
from squared_emd.metrics import (
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
