"""The order of classes and the class of each row, from labels as they stand in a column."""

import numpy as np
import pandas as pd
import pytest
from tests.errors import message_of

from squared_emd.data.labels import check_class_names, hard_labels, soft_labels_from_votes

LIST_THEM = "list the classes in their order with --classes (classes=...)"


def classes_of(texts, classes=None, **options):
    codes, names = hard_labels(pd.Series(texts), classes, "row {}".format, "t.csv", **{"ordered": True} | options)
    return codes.tolist(), names


@pytest.mark.parametrize(
    ("texts", "classes", "codes", "names"),
    [
        (["10", "-1", "2.5", "9", "010", "2.50"], None, [3, 0, 1, 2, 3, 1], ("-1", "2.5", "9", "10")),
        (["10", "-1", "2.5", "9", "010"], ["9", "10.0", "-1", "2.5"], [1, 2, 3, 0, 1], ("9", "10.0", "-1", "2.5")),
        (["1.0", "2.0", "1e1"], None, [0, 1, 2], ("1", "2", "1e1")),
        (["10-19", "3-9", "0-2"], None, [2, 1, 0], ("0-2", "3-9", "10-19")),
        (["low", "high", "10"], None, [2, 1, 0], ("10", "high", "low")),
        (["x", "10", "9"], None, [2, 1, 0], ("9", "10", "x")),
        (["a10 b", "b", "a9 c"], None, [1, 2, 0], ("a9 c", "a10 b", "b")),
        (["0.5 l", "-1 l", "0.25 l", "0,75 l"], None, [2, 0, 1, 3], ("-1 l", "0.25 l", "0.5 l", "0,75 l")),
        (["a", "A"], ["A", "a"], [1, 0], ("A", "a")),
        (["BAD", "ok"], ["ok", "bad"], [1, 0], ("ok", "bad")),
        (["Gro\u0308ße", "klein"], ["klein", "Größe"], [1, 0], ("klein", "Größe")),  # one is decomposed, as by macOS
    ],
)
def test_classes(texts, classes, codes, names):
    assert classes_of(texts, classes) == (codes, names)


@pytest.mark.parametrize("classes", [["a"], ["a", "a"], ["a", " "], ["1", "1.0"], ["é", "e\u0301"], "abc"])
def test_class_names(classes):
    given = [classes] if isinstance(classes, str) else [name.strip() for name in classes]
    message = f"classes must be at least two different names, got {given}."
    assert message_of(ValueError, check_class_names, classes) == message


ALIKE = (
    "t.csv: the labels {} differ by case, spaces or Unicode form only. Write them alike, or " + LIST_THEM + ", each in "
    "one spelling."
)
VOTES = (
    "t.csv: labels such as {} are votes stored as text. Store one column of numbers for each class and name these "
    "columns with --classes (classes=...), or lists of numbers in a .json file."
)
NO_CLASSES = (
    "t.csv has {}: these are scores or ids, not classes. Name another --label_column, store scores as the classes they "
    "fall into, or " + LIST_THEM + "."
)
NO_ORDER = (
    "t.csv does not define an order of its classes, which a loss of this run needs. List them from the lowest to the "
    "highest with --classes (classes=...). In the order of the alphabet, to be put right: --classes {}"
)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (["bad", "worst"], {"classes": ["bad", "ok"]}, "row 1: the label must be one of bad, ok; got 'worst'."),
        (["bad", "Bad"], {"classes": ["bad", "BAD"]}, "row 1: the label must be one of bad, BAD; got 'Bad'."),
        (["bad", "Bad"], {}, ALIKE.format("'Bad', 'bad'")),
        (["bad ", "bad", "good"], {}, ALIKE.format("'bad', 'bad '")),
        (["é", "e\u0301"], {}, ALIKE.format("'e\u0301', 'é'")),
        (["[1, 0, 3]", "[0, 2, 2]"], {}, VOTES.format("'[1, 0, 3]'")),
        (["0.2 .3 0.5", "1 0 0"], {}, VOTES.format("'0.2 .3 0.5'")),
        (
            [str(k / 8) for k in range(21)] * 3,
            {},
            NO_CLASSES.format("21 different labels in 63 rows, such as '0.0', '0.125', '0.25', '0.375', '0.5'"),
        ),
        (
            [f"p{k}" for k in range(11)] + ["p0"] * 9,
            {},
            NO_CLASSES.format("11 different labels in 20 rows, such as 'p0', 'p1', 'p2', 'p3', 'p4'"),
        ),
        (
            ["very bad", "excellent", "fair", "fair"],
            {"needs_order": True},
            NO_ORDER.format("excellent fair 'very bad'"),
        ),
        (["a10", "a9", "b9"], {"needs_order": True}, NO_ORDER.format("a9 a10 b9")),
        (["q1r1", "q1r2", "q2r1"], {"needs_order": True}, NO_ORDER.format("q1r1 q1r2 q2r1")),
        (["a", "a1", "a2"], {"needs_order": True}, NO_ORDER.format("a a1 a2")),
    ],
)
def test_labels_that_are_refused(texts, options, message):
    assert message_of(ValueError, classes_of, texts, **options) == message


GUESSED = (
    "t.csv does not define an order of its classes; they are ordered by {}: {}. If this is wrong, list the classes in "
    "their order with --classes (classes=...)."
)
SINGLE = "t.csv: only one row has the label {}. If this is a mistake, correct it, or " + LIST_THEM + "."
NEAR = "t.csv: 1 labels differ from a class by case, spaces or Unicode form only, and are taken for it: 'BAD' for bad."


@pytest.mark.parametrize(
    ("texts", "options", "warnings"),
    [
        (["b", "c", "a"], {}, [GUESSED.format("the alphabet", "a, b, c")]),
        (["1 b", "10 c", "2 a"], {"needs_order": True}, [GUESSED.format("their numbers", "1 b, 2 a, 10 c")]),
        (
            ["grade_1", "grade_10", "grade_2"],
            {"needs_order": True},
            [GUESSED.format("their numbers", "grade_1, grade_2, grade_10")],
        ),
        (
            ["v2 -1 of 3", "v2 0 of 3", "v2 -2 of 3"],
            {"needs_order": True},
            [GUESSED.format("their numbers", "v2 -2 of 3, v2 -1 of 3, v2 0 of 3")],
        ),
        (["b", "c", "b"], {"needs_order": True}, [GUESSED.format("the alphabet", "b, c")]),
        (["b", "c", "a"], {"ordered": False}, []),
        (["b", "c", "a"], {"classes": ["c", "b", "a"], "needs_order": True}, []),
        (["1", "2"] * 10 + ["22"], {}, [SINGLE.format("'22'")]),
        (["0.5", "1.0", "1.5"] * 20, {"needs_order": True}, []),  # half stars
        ([str(age) for age in range(90)] * 3, {"needs_order": True}, []),
        (["BAD ", "good", " bad"], {"classes": ["bad", "good"]}, [NEAR]),
    ],
)
def test_warnings(texts, options, warnings, caplog):
    classes_of(texts, **options)
    assert caplog.messages == warnings


def test_votes():
    """Numbers stored as text are numbers, and large ones do not overflow."""
    votes = [["1", "3"], ("0", " 4"), [2.5, 2.5], [1, "1e3"], [1e308, 1e308]]
    labels, names = soft_labels_from_votes(votes, ["bad", "good"], "row {}".format)
    np.testing.assert_allclose(labels, [[0.25, 0.75], [0, 1], [0.5, 0.5], [1 / 1001, 1000 / 1001], [0.5, 0.5]])
    assert names == ("bad", "good")


@pytest.mark.parametrize("row", [[0, 0, 0], [1, -1, 3], [1, None, 3], [1, float("inf"), 3], [1, 2], ["1", "2", "many"]])
def test_votes_that_are_none(row):
    votes = [[1.0, 2.0, 3.0], row]
    assert message_of(ValueError, soft_labels_from_votes, votes, ["a", "b", "c"], "row {}".format) == (
        "row 1: a soft label must be 3 numbers, one for each of a, b, c, none negative and not all 0; got "
        f"{', '.join(map(str, row))}."
    )
