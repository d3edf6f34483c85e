"""Metrics against SciPy and by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import energy_distance, spearmanr

from squared_emd import ordinal_metrics, squared_emd_loss
from squared_emd.metrics import correlation, expected_score, squared_emd, within

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(40, 5))
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
LABELS = GENERATOR.integers(0, 5, 40)


def test_all_by_hand():
    # p = (.5 .25 .25), (.1 .1 .8), (0 1 0); decisions 0, 2, 1
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1e-300, 1, 1e-300]])
    got = ordinal_metrics(scores=[1, 5, 10])(SimpleNamespace(predictions=(logits, None), label_ids=np.array([0, 0, 1])))
    # CDF gaps: (.5 .25), (.9 .8), (0 0); expected scores 4.25, 8.6, 5 against 1, 1, 5
    expected = {"aem": 2 / 3, "aeo": 2 / 3, "mae": 2 / 3, "squared_emd": (0.3125 + 1.45) / 3}
    expected["spearman"] = spearmanr([4.25, 8.6, 5], [1, 1, 5]).statistic
    assert got == pytest.approx(expected)


def test_squared_emd_is_half_of_scipys_squared_energy_distance_and_the_loss():
    line, truth = np.arange(5), np.eye(5)[LABELS]
    expected = np.mean([energy_distance(line, line, p, t) ** 2 / 2 for p, t in zip(P, truth, strict=True)])
    assert squared_emd(P, LABELS) == pytest.approx(expected)
    assert squared_emd(P, truth) == pytest.approx(expected)
    assert squared_emd_loss(torch.tensor(LOGITS), torch.tensor(LABELS)).item() == pytest.approx(expected)


def test_regression_takes_the_nearest_class_and_clamps():
    outputs = np.array([[-3.0], [1.4], [1.6], [9.0]])
    metrics = ordinal_metrics(class_names="abcd")(
        SimpleNamespace(predictions=outputs, label_ids=np.array([0, 1, 1, 1]))
    )
    assert metrics == {"aem": 0.5, "aeo": 0.75, "mae": 0.75, "squared_emd": 0.75}  # 0, 1, 2, 3: off by 0, 0, 1, 2


def test_soft_references_count_by_their_likeliest_class():
    soft = np.full((40, 5), 0.05) + 0.75 * np.eye(5)[LABELS]
    hard = ordinal_metrics()(SimpleNamespace(predictions=LOGITS, label_ids=LABELS))
    got = ordinal_metrics()(SimpleNamespace(predictions=LOGITS, label_ids=soft))
    assert {key: got[key] for key in ("aem", "aeo", "mae")} == {key: hard[key] for key in ("aem", "aeo", "mae")}
    assert got["squared_emd"] == pytest.approx(squared_emd_loss(torch.tensor(LOGITS), torch.tensor(soft)).item())


def test_constant_predictions_have_correlation_zero():
    assert correlation(expected_score(np.full((4, 2), 0.5), [1, 2]), np.arange(4)) == 0


def test_errors():
    with pytest.raises(ValueError) as error:
        within(np.array([1]), np.array([1, 2]))
    assert str(error.value) == "predictions and references must be equally many, at least one; got 1 and 2."
    with pytest.raises(ValueError) as error:
        ordinal_metrics()(SimpleNamespace(predictions=np.zeros((2, 1)), label_ids=np.zeros(2)))
    assert str(error.value) == "a network with one output needs ordinal_metrics(class_names=...) to know its classes."
