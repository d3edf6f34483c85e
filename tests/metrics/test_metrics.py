"""The functions against the table of cases, against the losses, and by hand."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from tests.errors import message_of
from tests.metrics.cases import CASES, GUESSES, LABELS, LINE, LOGITS, LOPSIDED, SOFT, P

from squared_emd import exact_emd_loss, ordinal_metrics, squared_emd_loss
from squared_emd.metrics import (
    accuracy_per_class,
    confusion_matrix,
    correlation,
    exact_emd,
    expected_calibration_error,
    expected_score,
    macro_mean_absolute_error,
    mean_absolute_error,
    ranks_of_truth,
    squared_emd,
    top_k_error,
    top_k_metrics,
    weighted_kappa,
    within,
)


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.function], ids=lambda case: case.module)
def test_functions_give_the_expected_values(case):
    assert case.function() == pytest.approx(next(iter(case.expected.values())), rel=1e-9)


def test_other_functions_of_decisions():
    expected = CASES["accuracy"].expected
    assert within(GUESSES, LABELS, tolerance=2) == pytest.approx(expected["within_2"])
    assert mean_absolute_error(GUESSES, LABELS) == pytest.approx(expected["mae"])
    assert macro_mean_absolute_error(GUESSES, LABELS) == pytest.approx(expected["macro_mae"])
    assert list(accuracy_per_class(GUESSES, LABELS).values()) == pytest.approx(expected["accuracy_per_class"])
    matrix = confusion_matrix(GUESSES, LABELS, 6)  # one class occurs nowhere
    np.testing.assert_array_equal(matrix, sklearn_metrics.confusion_matrix(LABELS, GUESSES, labels=range(6)))


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("spacing", [None, [1, 0.5, 0, 3]])
@pytest.mark.parametrize("references", [LABELS, SOFT], ids=["hard", "soft"])
def test_squared_emd_is_the_loss(p, spacing, references):
    gaps = None if spacing is None else torch.tensor(spacing, dtype=torch.float64)
    loss = squared_emd_loss(torch.tensor(LOGITS), torch.tensor(references), p=p, spacing=gaps, reduction="none")
    assert squared_emd(P, references, p=p, spacing=spacing, reduction="none") == pytest.approx(loss.numpy(), abs=1e-12)


def test_exact_emd_is_the_loss_of_labels_and_below_that_of_distributions():
    ground_distance = np.abs(LINE[:, None] - LINE) ** 0.5
    logits, matrix = torch.tensor(LOGITS), torch.tensor(ground_distance)
    loss = exact_emd_loss(logits, torch.tensor(LABELS), matrix, reduction="none")
    assert exact_emd(P, LABELS, ground_distance, reduction="none") == pytest.approx(loss.numpy())
    bound = exact_emd_loss(logits[:9], torch.tensor(SOFT[:9]), matrix, reduction="none").numpy()
    assert (exact_emd(P[:9], SOFT[:9], ground_distance, reduction="none") <= bound).all()


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    assert exact_emd(P, LABELS, LOPSIDED) > 0  # labels need no POT
    with pytest.raises(ImportError) as error:
        exact_emd(P, SOFT, LOPSIDED)
    assert str(error.value) == (
        "the EMD between two full distributions under a ground distance needs POT, which is not installed: "
        'pip install "squared-emd[metrics]". '
        "Class indices as references, or p=1 with spacing for classes on a line, do without."
    )
    assert correlation(P[:, 0], LABELS) == correlation(P[:, 0], LABELS, "spearman")
    with pytest.raises(ImportError, match=r'^Kendall\'s tau needs SciPy, .* pip install "squared-emd\[metrics\]"\.'):
        correlation(P[:, 0], LABELS, "kendall")


@pytest.mark.parametrize(
    "metric", [within, mean_absolute_error, macro_mean_absolute_error, accuracy_per_class, weighted_kappa]
)
def test_a_weight_is_a_number_of_times(metric):
    times = np.random.default_rng(1).integers(0, 4, len(LABELS))
    repeated = metric(np.repeat(GUESSES, times), np.repeat(LABELS, times))
    assert metric(GUESSES, LABELS, sample_weight=times) == pytest.approx(repeated)


def test_kappa_where_classes_are_not_used():
    guesses, labels = np.where(GUESSES == 2, 4, GUESSES), np.where(LABELS == 2, 4, LABELS)
    expected = sklearn_metrics.cohen_kappa_score(labels, guesses, labels=LINE, weights="quadratic")
    assert weighted_kappa(guesses, labels) == pytest.approx(expected)
    assert weighted_kappa([3, 3, 3], [1, 3, 2]) == pytest.approx(0)


@pytest.mark.parametrize("kind", ["spearman", "pearson", "kendall"])
def test_what_is_constant_has_correlation_zero(kind):
    same = np.tile(P[:1], (40, 1))  # equal rows tie to the bit
    assert correlation(expected_score(same, [0.1, 0.2, 0.4, 0.7, 0.9]), LABELS[:40], kind) == 0
    assert correlation(LABELS, np.zeros(len(LABELS)), kind) == 0


def test_pearson_has_no_scale():
    predicted, true = np.array([1.7, 1.7, 1]), np.array([1, 2, 4])
    expected = correlation(predicted, true, "pearson")
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


def test_half_precision_is_taken_as_it_is():
    half = torch.tensor(P, dtype=torch.bfloat16)
    assert squared_emd(half, LABELS) == pytest.approx(squared_emd(half.double().numpy(), LABELS))


def test_equal_scores_rank_as_argmax_has_them():
    assert ranks_of_truth(np.zeros((3, 3)), [0, 1, 2]).tolist() == [0, 1, 2]


def evaluated(compute_metrics, predictions, labels):
    return compute_metrics(SimpleNamespace(predictions=predictions, label_ids=labels))


NAN = np.where(np.arange(5) == 3, np.nan, P[:2])
LENGTHS = "predictions and references must be equally many, at least one; got {}."
NOT_WHOLE = (
    "must be class indices, whole numbers; entry {}. Round the output of a regression to the nearest class first."
)
OUT_OF_RANGE = "{}. Number the classes from 0, and leave out samples without a label."
ROWS = "each row of {} must be a distribution: no negative entry, sum 1; row {}."
LOGITS_HINT = " Are these logits? Then say from_logits=True, or take their softmax."
INFINITE = "predictions must not hold NaN or infinity; row {}."
NUMBERS = "predictions must be numbers, in rows of equal length; got {}."
NO_ORDER = "p must be a number, at least 1 and finite, got {!r}. Use p=2 for the squared EMD or p=1 for the EMD."
GAPS = "spacing must hold the K-1 = 4 gaps between neighboring classes, none negative and not all 0; got {}."
WEIGHTS = "sample_weight must be 2 numbers, one a sample, none negative and not all 0; got 2 with the sum 0."
CLASS_WEIGHTS = (
    "class_weights must be one number for each of the 2 classes, none negative, and not 0 for all that occur; got {}."
)
ERRORS = [
    (lambda: within([1], [1, 2]), LENGTHS.format("1 and 2")),
    (lambda: squared_emd(np.zeros((0, 3)), []), LENGTHS.format("0 and 0")),
    (lambda: within([0.5, 1], [0, 1]), "predictions " + NOT_WHOLE.format("0 is 0.5")),
    (lambda: within([0, 1], [0, np.nan]), "references " + NOT_WHOLE.format("1 is nan")),
    (
        lambda: weighted_kappa([0, 1], [0, -100]),
        OUT_OF_RANGE.format("references must be class indices in 0 .. 1048575; entry 1 is -100"),
    ),
    (
        lambda: squared_emd(P[:2], [0, 5]),
        OUT_OF_RANGE.format("references must be class indices in 0 .. 4; entry 1 is 5"),
    ),
    (lambda: within([[0, 1]], [0]), "predictions must be (N,) class indices, got shape (1, 2)."),
    (lambda: within(["adult"], ["child"]), NUMBERS.format("text")),
    (lambda: squared_emd([[0.5, 0.5], [1]], [0, 1]), NUMBERS.format("rows of different lengths, or other objects")),
    (lambda: squared_emd([0.5], [0]), "predictions must be (N, K), one number for each class, got shape (1,)."),
    (lambda: squared_emd(NAN, [0, 1]), INFINITE.format("0 has nan for class 3")),
    (lambda: ranks_of_truth([[0, np.inf]], [0]), INFINITE.format("0 has inf for class 1")),
    (lambda: ranks_of_truth([[0, 1], [-np.inf] * 2], [0, 1]), INFINITE.format("1 has -inf for every class")),
    (
        lambda: squared_emd([[0.5, 0.5], [0.7, 0.5]], [0, 1]),
        ROWS.format("predictions", "1 has entries from 0.5 and the sum 1.2") + LOGITS_HINT,
    ),
    (
        lambda: expected_score([[1.5, -0.5]]),
        ROWS.format("predictions", "0 has entries from -0.5 and the sum 1") + LOGITS_HINT,
    ),
    (
        lambda: squared_emd([[0.5, 0.5]], [[0.2, 0.2]]),
        ROWS.format("references", "0 has entries from 0.2 and the sum 0.4"),
    ),
    (
        lambda: squared_emd([[0.5, 0.5]], [[0.2, 0.2, 0.6]]),
        "references must be (N,) class indices, or (N, 2) distributions like the predictions; got shape (1, 3).",
    ),
    *((lambda p=p: squared_emd(P, LABELS, p=p), NO_ORDER.format(p)) for p in (0.5, "2")),
    *(
        (lambda gaps=gaps: squared_emd(P, LABELS, spacing=gaps), GAPS.format(gaps))
        for gaps in ([1.0, 1.0, 1.0], [1.0, 1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 0.0])
    ),
    (
        lambda: squared_emd(P, LABELS, spacing=[1e308] * 4),
        "spacing is too large for float64: the EMD overflows; got [1e+308, 1e+308, 1e+308, 1e+308].",
    ),
    (lambda: squared_emd(P, LABELS, reduction="sum"), 'reduction must be "mean" or "none", got \'sum\'.'),
    (
        lambda: exact_emd(P, LABELS, np.ones((4, 4))),
        "ground_distance must be (K, K) = (5, 5) like the classes, got shape (4, 4).",
    ),
    (
        lambda: exact_emd(P, LABELS, np.ones((5, 5))),
        "ground_distance must be 0 on the diagonal, got [1.0, 1.0, 1.0, 1.0, 1.0].",
    ),
    (
        lambda: exact_emd(P, LABELS, -np.ones((5, 5))),
        "ground_distance must be finite and not negative, got -1.0 .. -1.0.",
    ),
    (lambda: weighted_kappa([0], [1], ground_distance=3), "ground_distance must be (K, K), got shape ()."),
    (
        lambda: weighted_kappa([0, 4], [1, 1], ground_distance=1 - np.eye(3)),
        "ground_distance must cover every class: it is for 0 .. 2, got class 4.",
    ),
    (lambda: weighted_kappa([0], [1], weights="cubic"), 'weights must be "quadratic" or "linear", got \'cubic\'.'),
    (
        lambda: weighted_kappa([0], [1], weights="linear", ground_distance=np.ones((2, 2))),
        "give weights or ground_distance, not both: each says how far two classes are apart.",
    ),
    (lambda: within([0, 1], [0, 1], tolerance=np.nan), "tolerance must be whole numbers, at least 0; got [nan]."),
    (lambda: within([0, 1], [0, 1], sample_weight=[1, -1]), WEIGHTS),
    (lambda: macro_mean_absolute_error([0, 1], [0, 1], sample_weight=[0, 0]), WEIGHTS),
    (lambda: expected_score(P, [1, 2]), "scores must hold one number for each of the 5 classes, got [1.0, 2.0]."),
    (lambda: correlation([1, np.inf], [1, 2]), "predictions must be finite; entry 1 is inf."),
    (lambda: correlation([[1], [2]], [1, 2]), "predictions must be one row of numbers, got shape (2, 1)."),
    (
        lambda: correlation([1, 2], [1, 2], "peirce"),
        "kind must be one of ['spearman', 'pearson', 'kendall'], got 'peirce'.",
    ),
    (lambda: top_k_error([0, 1], 0), "k must be whole numbers, at least 1; got [0]."),
    (lambda: expected_calibration_error(P, LABELS, bins=0), "bins must be whole numbers, at least 1; got [0]."),
    (lambda: top_k_metrics([]), "ks must be whole numbers, at least 1; got []."),
    (
        lambda: evaluated(top_k_metrics([5, 7]), np.eye(5), range(5)),
        "ks needs a number below that of the classes, 5; got [5, 7].",
    ),
    *(
        (lambda weights=weights: evaluated(ordinal_metrics(class_weights=weights), np.zeros((2, 2)), [1, 1]), message)
        for weights, message in (
            ([1.0], CLASS_WEIGHTS.format([1.0])),
            ([1.0, 0.0], CLASS_WEIGHTS.format([1.0, 0.0])),
            ("often", "class_weights must be \"balanced\" or one number for each class, got 'often'."),
        )
    ),
    (
        lambda: evaluated(ordinal_metrics(class_names="abc"), LOGITS, LABELS),
        "class_names must name the 5 outputs of the network, got 3.",
    ),
    (
        lambda: evaluated(ordinal_metrics(), np.zeros((2, 1)), np.zeros(2)),
        "a network with one output needs ordinal_metrics(class_names=...) to know its classes.",
    ),
    (
        lambda: evaluated(ordinal_metrics(), NAN, [0, 1]),
        "logits must not hold NaN or infinity; row 0 has nan for class 3.",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, message):
    assert message_of(ValueError, call) == message
