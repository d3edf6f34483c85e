"""The formulas against scikit-learn, SciPy and POT, against the losses, and by hand."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import ot
import pytest
import torch
from scipy.stats import energy_distance, kendalltau, pearsonr, rankdata, spearmanr, wasserstein_distance
from sklearn import metrics as sklearn_metrics

from squared_emd import exact_emd_loss, ordinal_metrics, squared_emd_loss
from squared_emd.metrics import (
    accuracy_per_class,
    confusion_matrix,
    correlation,
    exact_emd,
    expected_score,
    macro_mean_absolute_error,
    mean_absolute_error,
    ranked_probability_score,
    ranks_of_truth,
    squared_emd,
    top_k_error,
    weighted_kappa,
    within,
)

GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(40, 5))
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
LABELS = GENERATOR.integers(0, 5, 40)
SOFT = GENERATOR.dirichlet(np.ones(5), 40)
GUESSES = GENERATOR.integers(0, 5, 40)
POINTS = GENERATOR.normal(size=(5, 2))
DISTANCES = np.linalg.norm(POINTS[:, None] - POINTS, axis=-1)
LOPSIDED = GENERATOR.uniform(size=(5, 5)) * (1 - np.eye(5))  # D[i, k] is not D[k, i]
WEIGHT = GENERATOR.integers(0, 4, 40)  # 0 to 3 times


def test_squared_emd_is_half_of_scipys_squared_energy_distance():
    line, truth = np.arange(5), np.eye(5)[LABELS]
    expected = np.mean([energy_distance(line, line, p, t) ** 2 / 2 for p, t in zip(P, truth, strict=True)])
    assert squared_emd(P, LABELS) == pytest.approx(expected)
    assert squared_emd(P, truth) == pytest.approx(expected)
    expected = [energy_distance(line, line, p, t) ** 2 / 2 for p, t in zip(P, SOFT, strict=True)]
    assert squared_emd(P, SOFT, reduction="none") == pytest.approx(expected)


def test_confusion_matrix_is_scikit_learns():
    expected = sklearn_metrics.confusion_matrix(LABELS, GUESSES, labels=range(6))  # one class occurs nowhere
    np.testing.assert_array_equal(confusion_matrix(GUESSES, LABELS, 6), expected)


def test_the_plain_emd_is_scipys_wasserstein_distance():
    spacing = np.array([1.0, 0.5, 0, 3])
    places = np.array([0, 1, 1.5, 1.5, 4.5])
    expected = [wasserstein_distance(places, places, p, t) for p, t in zip(P, SOFT, strict=True)]
    assert squared_emd(P, SOFT, p=1, spacing=spacing, reduction="none") == pytest.approx(expected)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("spacing", [None, [1, 0.5, 0, 3]])
@pytest.mark.parametrize("references", [LABELS, SOFT], ids=["hard", "soft"])
def test_squared_emd_is_the_loss(p, spacing, references):
    gaps = None if spacing is None else torch.tensor(spacing, dtype=torch.float64)
    loss = squared_emd_loss(torch.tensor(LOGITS), torch.tensor(references), p=p, spacing=gaps, reduction="none")
    assert squared_emd(P, references, p=p, spacing=spacing, reduction="none") == pytest.approx(loss.numpy(), abs=1e-12)


@pytest.mark.parametrize("ground_distance", [DISTANCES, LOPSIDED], ids=["metric", "lopsided"])
def test_exact_emd_is_pots_and_for_labels_the_loss(ground_distance):
    truth = np.eye(5)[LABELS]
    expected = [ot.emd2(p, t, ground_distance) for p, t in zip(P, truth, strict=True)]
    assert exact_emd(P, LABELS, ground_distance, reduction="none") == pytest.approx(expected)
    assert exact_emd(P, truth, ground_distance, reduction="none") == pytest.approx(expected)
    loss = exact_emd_loss(torch.tensor(LOGITS), torch.tensor(LABELS), torch.tensor(ground_distance))
    assert exact_emd(P, LABELS, ground_distance) == pytest.approx(loss.item())


def test_exact_emd_of_distributions_is_the_transport_problem():
    # on a line it has SciPy's closed form
    places = np.array([0, 1, 1.5, 1.5, 4.5])
    ground_distance = np.abs(places[:, None] - places)
    expected = [wasserstein_distance(places, places, p, t) for p, t in zip(P, SOFT, strict=True)]
    assert exact_emd(P, SOFT, ground_distance, reduction="none") == pytest.approx(expected)
    # the loss takes an upper bound
    bound = exact_emd_loss(
        torch.tensor(LOGITS), torch.tensor(SOFT), torch.tensor(ground_distance), reduction="none"
    ).numpy()
    assert (np.array(expected) <= bound).all()


def test_exact_emd_without_pot(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    assert exact_emd(P, LABELS, DISTANCES) > 0  # labels need none
    with pytest.raises(ImportError) as error:
        exact_emd(P, SOFT, DISTANCES)
    assert str(error.value) == (
        "the EMD between two full distributions under a ground distance needs POT, which is not installed: "
        'pip install "squared-emd[metrics]". '
        "Class indices as references, or p=1 with spacing for classes on a line, do without."
    )


def test_ranked_probability_score_lies_between_0_and_1():
    worst = squared_emd(np.array([[1.0, 0, 0, 0]]), [3])
    assert ranked_probability_score(worst, 4) == 1
    assert ranked_probability_score(squared_emd(np.ones((3, 1)), [0, 0, 0]), 1) == 0


def test_accuracies_are_scikit_learns():
    assert within(GUESSES, LABELS) == pytest.approx(sklearn_metrics.accuracy_score(LABELS, GUESSES))
    assert mean_absolute_error(GUESSES, LABELS) == pytest.approx(sklearn_metrics.mean_absolute_error(LABELS, GUESSES))
    recall = sklearn_metrics.recall_score(LABELS, GUESSES, average=None, labels=range(5))
    assert accuracy_per_class(GUESSES, LABELS) == pytest.approx(dict(enumerate(recall)))
    each = [sklearn_metrics.mean_absolute_error(LABELS[k == LABELS], GUESSES[k == LABELS]) for k in range(5)]
    assert macro_mean_absolute_error(GUESSES, LABELS) == pytest.approx(np.mean(each))


@pytest.mark.parametrize(
    "metric", [within, mean_absolute_error, macro_mean_absolute_error, accuracy_per_class, weighted_kappa]
)
def test_a_weight_is_a_number_of_times(metric):
    repeated = metric(np.repeat(GUESSES, WEIGHT), np.repeat(LABELS, WEIGHT))
    assert metric(GUESSES, LABELS, sample_weight=WEIGHT) == pytest.approx(repeated)


@pytest.mark.parametrize("weights", ["quadratic", "linear"])
def test_kappa_is_scikit_learns(weights):
    for few in (GUESSES, np.where(GUESSES == 2, 4, GUESSES)):  # all classes used; one that nobody used
        truth = np.where(LABELS == 2, 4, LABELS) if few is not GUESSES else LABELS
        expected = sklearn_metrics.cohen_kappa_score(truth, few, labels=range(5), weights=weights)
        assert weighted_kappa(few, truth, weights=weights) == pytest.approx(expected)


def test_kappa_under_a_ground_distance_is_the_equation():
    observed = np.mean([LOPSIDED[i, k] for i, k in zip(GUESSES, LABELS, strict=True)])
    expected = np.mean([LOPSIDED[i, k] for i in GUESSES for k in LABELS])
    assert weighted_kappa(GUESSES, LABELS, ground_distance=LOPSIDED) == pytest.approx(1 - observed / expected)
    line = np.abs(np.arange(5)[:, None] - np.arange(5))
    assert weighted_kappa(GUESSES, LABELS, ground_distance=line) == pytest.approx(
        weighted_kappa(GUESSES, LABELS, weights="linear")
    )


def test_kappa_of_constants():
    assert weighted_kappa([3, 3], [3, 3]) == 0  # 0/0
    assert weighted_kappa([3, 3, 3], [1, 3, 2]) == pytest.approx(0)
    assert weighted_kappa([1], [4]) == 0


def test_correlations_are_scipys_with_ties():
    predicted, true = np.round(expected_score(P), 1), LABELS / 4
    assert len(np.unique(predicted)) < len(predicted)
    ranks = [rankdata(predicted), rankdata(true)]  # ties share their mean rank
    assert correlation(predicted, true) == pytest.approx(np.corrcoef(ranks)[0, 1])
    assert correlation(predicted, true) == pytest.approx(spearmanr(predicted, true).statistic)
    assert correlation(predicted, true, "pearson") == pytest.approx(pearsonr(predicted, true).statistic)
    assert correlation(predicted, true, "kendall") == pytest.approx(kendalltau(predicted, true).statistic)


@pytest.mark.parametrize("kind", ["spearman", "pearson", "kendall"])
def test_what_is_constant_has_correlation_zero(kind):
    same = np.tile(P[:1], (40, 1))  # equal rows tie to the bit
    assert correlation(expected_score(same, [0.1, 0.2, 0.4, 0.7, 0.9]), LABELS, kind) == 0
    assert correlation(LABELS, np.zeros(40), kind) == 0
    assert correlation([1.5], [2], kind) == 0


def test_pearson_has_no_scale():
    predicted, true = np.array([1.7, 1.7, 1]), np.array([1, 2, 4])
    expected = pearsonr(predicted, true).statistic
    assert correlation(1e308 * predicted, true, "pearson") == pytest.approx(expected)
    assert correlation(predicted, -2.5e307 * true, "pearson") == pytest.approx(-expected)


def test_rows_are_divided_by_their_sum():
    rounded, labels = [[1.009, 0, 0], [0, 0.4975, 0.4975]], [2, 1]
    rows = [[1, 0, 0], [0, 0.5, 0.5]]
    assert squared_emd(rounded, labels) == pytest.approx(squared_emd(rows, labels))
    assert squared_emd(rows, rounded) == pytest.approx(0)
    line = np.abs(np.arange(3)[:, None] - np.arange(3))
    assert exact_emd(rounded, labels, line) == pytest.approx(exact_emd(rounded, np.eye(3)[labels], line))
    assert expected_score(rounded) == pytest.approx(expected_score(rows))


def test_top_k_error_is_scikit_learns():
    ranks = ranks_of_truth(P, LABELS)
    for k in range(1, 5):
        expected = 1 - sklearn_metrics.top_k_accuracy_score(LABELS, P, k=k)
        assert top_k_error(ranks, k) == pytest.approx(expected)
    assert top_k_error(ranks, 5) == top_k_error(ranks, 9) == 0
    assert top_k_error(ranks, 1) == pytest.approx(np.mean(P.argmax(1) != LABELS))
    assert ranks_of_truth(np.zeros((3, 3)), [0, 1, 2]).tolist() == [0, 1, 2]  # ties: as argmax


def test_all_by_hand():
    # p = (.5 .25 .25), (.1 .1 .8), (0 1 0); decisions 0, 2, 1
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1e-300, 1, 1e-300]])
    got = ordinal_metrics(scores=[1, 5, 10])(SimpleNamespace(predictions=(logits, None), label_ids=np.array([0, 0, 1])))
    # CDF gaps: (.5 .25), (.9 .8), (0 0); expected scores 4.25, 8.6, 5 against 1, 1, 5
    expected = {"aem": 2 / 3, "aeo": 2 / 3, "mae": 2 / 3, "squared_emd": (0.3125 + 1.45) / 3}
    expected["spearman"] = spearmanr([4.25, 8.6, 5], [1, 1, 5]).statistic
    assert got == pytest.approx(expected)


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


def test_balanced_classes_weigh_the_same():
    """Against scikit-learn, whose balanced accuracy is the mean of the recalls."""
    evaluation = SimpleNamespace(predictions=np.log(P), label_ids=LABELS)
    found = ordinal_metrics(class_weights="balanced")(evaluation)
    guesses = P.argmax(1)
    assert found["aem"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(LABELS, guesses))
    assert found["mae"] == pytest.approx(macro_mean_absolute_error(guesses, LABELS))
    weights = np.arange(1.0, P.shape[1] + 1)
    found = ordinal_metrics(class_weights=weights)(evaluation)
    assert found["aem"] == pytest.approx(sklearn_metrics.accuracy_score(LABELS, guesses, sample_weight=weights[LABELS]))
    emds = squared_emd(P, LABELS, reduction="none")
    assert found["squared_emd"] == pytest.approx(np.average(emds, weights=weights[LABELS]))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("often", "class_weights must be \"balanced\" or one number for each class, got 'often'."),
        (
            [1.0],
            "class_weights must be one number for each of the 2 classes, none negative, and not 0 for all that occur; "
            "got [1.0].",
        ),
        (
            [1.0, 0.0],
            "class_weights must be one number for each of the 2 classes, none negative, and not 0 for all that occur; "
            "got [1.0, 0.0].",
        ),
    ],
)
def test_class_weights_that_do_not_fit(weights, message):
    evaluation = SimpleNamespace(predictions=np.zeros((2, 2)), label_ids=np.array([1, 1]))
    with pytest.raises(ValueError) as error:
        ordinal_metrics(class_weights=weights)(evaluation)
    assert str(error.value) == message


def test_batch_by_batch_is_all_at_once():
    compute = ordinal_metrics(scores=[1, 2, 4, 8, 16])
    whole = compute(SimpleNamespace(predictions=LOGITS, label_ids=LABELS))
    for _ in range(2):  # nothing is left over for the next evaluation
        for start in range(0, 40, 15):
            rows = slice(start, start + 15)
            batch = SimpleNamespace(predictions=torch.tensor(LOGITS[rows]), label_ids=torch.tensor(LABELS[rows]))
            got = compute(batch, compute_result=start == 30)
            assert got == ({} if start < 30 else pytest.approx(whole))
    compute(SimpleNamespace(predictions=LOGITS[:9], label_ids=LABELS[:9]), compute_result=False)
    with pytest.raises(ValueError):  # it ends the evaluation
        compute(SimpleNamespace(predictions=LOGITS[:9], label_ids=LABELS[:8]), compute_result=False)
    assert compute(SimpleNamespace(predictions=LOGITS, label_ids=LABELS), compute_result=True) == pytest.approx(whole)


NAN = np.where(np.arange(5) == 3, np.nan, P[:2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: within([1], [1, 2]),
            "predictions and references must be equally many, at least one; got 1 and 2.",
        ),
        (
            lambda: squared_emd(np.zeros((0, 3)), []),
            "predictions and references must be equally many, at least one; got 0 and 0.",
        ),
        (
            lambda: within([0.5, 1], [0, 1]),
            "predictions must be class indices, whole numbers; entry 0 is 0.5. "
            "Round the output of a regression to the nearest class first.",
        ),
        (
            lambda: within([0, 1], [0, np.nan]),
            "references must be class indices, whole numbers; entry 1 is nan. "
            "Round the output of a regression to the nearest class first.",
        ),
        (
            lambda: weighted_kappa([0, 1], [0, -100]),
            "references must be class indices in 0 .. 1048575; entry 1 is -100. Leave out samples without a label.",
        ),
        (
            lambda: squared_emd(P[:2], [0, 5]),
            "references must be class indices in 0 .. 4; entry 1 is 5. Leave out samples without a label.",
        ),
        (
            lambda: within([[0, 1]], [0]),
            "predictions must be (N,) class indices, got shape (1, 2).",
        ),
        (
            lambda: within(["adult"], ["child"]),
            "predictions must be numbers, in rows of equal length; got text.",
        ),
        (
            lambda: squared_emd([[0.5, 0.5], [1]], [0, 1]),
            "predictions must be numbers, in rows of equal length; got rows of different lengths, or other objects.",
        ),
        (
            lambda: squared_emd([0.5, 0.5], [0, 1]),
            "predictions must be (N, K), one number for each class, got shape (2,).",
        ),
        (
            lambda: squared_emd(NAN, [0, 1]),
            "predictions must not hold NaN or infinity; row 0 has nan for class 3.",
        ),
        (
            lambda: ranks_of_truth([[0, np.inf]], [0]),
            "predictions must not hold NaN or infinity; row 0 has inf for class 1.",
        ),
        (
            lambda: squared_emd([[0.5, 0.5], [0.7, 0.5]], [0, 1]),
            "each row of predictions must be a distribution: no negative entry, sum 1; row 1 has entries from 0.5 and "
            "the sum 1.2. Are these logits? Then say from_logits=True, or take their softmax.",
        ),
        (
            lambda: expected_score([[1.5, -0.5]]),
            "each row of predictions must be a distribution: no negative entry, sum 1; row 0 has entries from -0.5 and "
            "the sum 1. Are these logits? Then say from_logits=True, or take their softmax.",
        ),
        (
            lambda: squared_emd([[0.5, 0.5]], [[0.2, 0.2]]),
            "each row of references must be a distribution: no negative entry, sum 1; row 0 has entries from 0.2 and "
            "the sum 0.4.",
        ),
        (
            lambda: squared_emd([[0.5, 0.5]], [[0.2, 0.2, 0.6]]),
            "references must be (N,) class indices, or (N, 2) distributions like the predictions; got shape (1, 3).",
        ),
        (
            lambda: squared_emd(P, LABELS, p=0.5),
            "p must be a number, at least 1 and finite, got 0.5. Use p=2 for the squared EMD or p=1 for the EMD.",
        ),
        (
            lambda: squared_emd(P, LABELS, spacing=[1, 1, 1]),
            "spacing must hold the K-1 = 4 gaps between neighbouring classes, none negative; got [1.0, 1.0, 1.0].",
        ),
        (
            lambda: squared_emd(P, LABELS, spacing=[1, 1, -1, 1]),
            "spacing must hold the K-1 = 4 gaps between neighbouring classes, none negative; "
            "got [1.0, 1.0, -1.0, 1.0].",
        ),
        (lambda: squared_emd(P, LABELS, reduction="sum"), 'reduction must be "mean" or "none", got \'sum\'.'),
        (
            lambda: exact_emd(P, LABELS, np.ones((4, 4))),
            "ground_distance must be (K, K) = (5, 5) like the classes, got shape (4, 4).",
        ),
        (
            lambda: squared_emd(P, LABELS, spacing=[1e308, 1e308, 1e308, 1e308]),
            "spacing is too large for float64: the EMD overflows; got [1e+308, 1e+308, 1e+308, 1e+308].",
        ),
        (
            lambda: squared_emd(P, LABELS, p="2"),
            "p must be a number, at least 1 and finite, got '2'. Use p=2 for the squared EMD or p=1 for the EMD.",
        ),
        (
            lambda: weighted_kappa([0], [1], ground_distance=3),
            "ground_distance must be (K, K), got shape ().",
        ),
        (
            lambda: exact_emd(P, LABELS, np.ones((5, 5))),
            "ground_distance must be 0 on the diagonal, got [1.0, 1.0, 1.0, 1.0, 1.0].",
        ),
        (
            lambda: ranks_of_truth([[0, 1], [-np.inf, -np.inf]], [0, 1]),
            "predictions must not hold NaN or infinity; row 1 has -inf for every class.",
        ),
        (
            lambda: within([0, 1], [0, 1], tolerance=np.nan),
            "tolerance must be whole numbers, at least 0; got [nan].",
        ),
        (
            lambda: within([0, 1], [0, 1], sample_weight=[1, -1]),
            "sample_weight must be 2 numbers, one a sample, none negative and not all 0; got 2 with the sum 0.",
        ),
        (
            lambda: macro_mean_absolute_error([0, 1], [0, 1], sample_weight=[0, 0]),
            "sample_weight must be 2 numbers, one a sample, none negative and not all 0; got 2 with the sum 0.",
        ),
        (
            lambda: ordinal_metrics(class_names="abc")(SimpleNamespace(predictions=LOGITS, label_ids=LABELS)),
            "class_names must name the 5 outputs of the network, got 3.",
        ),
        (
            lambda: exact_emd(P, LABELS, -np.ones((5, 5))),
            "ground_distance must be finite and not negative, got -1.0 .. -1.0.",
        ),
        (
            lambda: weighted_kappa([0, 4], [1, 1], ground_distance=1 - np.eye(3)),
            "ground_distance must cover every class: it is for 0 .. 2, got class 4.",
        ),
        (
            lambda: weighted_kappa([0], [1], weights="cubic"),
            'weights must be "quadratic" or "linear", got \'cubic\'.',
        ),
        (
            lambda: weighted_kappa([0], [1], weights="linear", ground_distance=np.ones((2, 2))),
            "give weights or ground_distance, not both: each says how far two classes are apart.",
        ),
        (
            lambda: expected_score(P, [1, 2]),
            "scores must hold one number for each of the 5 classes, got [1.0, 2.0].",
        ),
        (lambda: correlation([1, np.inf], [1, 2]), "predictions must be finite; entry 1 is inf."),
        (lambda: correlation([[1], [2]], [1, 2]), "predictions must be one row of numbers, got shape (2, 1)."),
        (
            lambda: correlation([1, 2], [1, 2], "peirce"),
            "kind must be one of ['spearman', 'pearson', 'kendall'], got 'peirce'.",
        ),
        (lambda: top_k_error([0, 1], 0), "k must be whole numbers, at least 1; got [0]."),
        (
            lambda: ordinal_metrics()(SimpleNamespace(predictions=np.zeros((2, 1)), label_ids=np.zeros(2))),
            "a network with one output needs ordinal_metrics(class_names=...) to know its classes.",
        ),
        (
            lambda: ordinal_metrics()(SimpleNamespace(predictions=NAN, label_ids=[0, 1])),
            "logits must not hold NaN or infinity; row 0 has nan for class 3.",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()
