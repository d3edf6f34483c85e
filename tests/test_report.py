"""Tables of results: exact texts worked by hand."""

import re
import subprocess
import sys

import numpy as np
import pytest

from squared_emd import report
from squared_emd.report import PAPER_ADIENCE, matrix_table, mean_over_folds, results_table

# Hou et al. 2016, Table 2
AGE_GROUPS = ["0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-"]
TABLE_2 = [
    [0, 0.31, 0.67, 0.83, 0.79, 0.88, 0.93, 1.00],
    [0.31, 0, 0.31, 0.63, 0.69, 0.81, 0.87, 0.93],
    [0.67, 0.31, 0, 0.31, 0.50, 0.69, 0.74, 0.88],
    [0.83, 0.63, 0.31, 0, 0.24, 0.50, 0.62, 0.76],
    [0.79, 0.69, 0.50, 0.24, 0, 0.31, 0.56, 0.71],
    [0.88, 0.81, 0.69, 0.50, 0.31, 0, 0.37, 0.51],
    [0.93, 0.87, 0.74, 0.62, 0.56, 0.37, 0, 0.24],
    [1.00, 0.93, 0.88, 0.76, 0.71, 0.51, 0.24, 0],
]


def line_distances(num_classes):
    positions = np.arange(num_classes)
    return np.abs(positions[:, None] - positions) / num_classes


class TestPaperAdience:
    def test_figures_of_table_1(self):
        assert list(PAPER_ADIENCE) == ["alxs", "vgg_f", "res", "res_f"]
        assert all(list(f) == ["xe", "reg", "emd", "xemd1", "xemd2", "a-emd"] for f in PAPER_ADIENCE.values())
        # the figures printed bold in Table 1, and each network's plain cross-entropy
        assert PAPER_ADIENCE["alxs"]["emd"] == (57.0, 90.4)
        assert PAPER_ADIENCE["vgg_f"]["xemd2"] == (61.1, 94.0)
        assert PAPER_ADIENCE["res"]["emd"] == (61.9, 93.1)
        assert PAPER_ADIENCE["res_f"]["emd"] == (62.2, 94.3)
        assert [figures["xe"] for figures in PAPER_ADIENCE.values()] == [
            (53.0, 85.7),
            (60.9, 92.8),
            (58.1, 90.3),
            (60.1, 92.1),
        ]


class TestResultsTable:
    def test_folds_means_and_the_papers_figures(self):
        rows = [
            {"loss": "emd", "fold": 0, "eval_aem": 0.5, "eval_aeo": 0.9, "eval_mae": 0.5, "eval_squared_emd": 0.25},
            {"loss": "xe", "fold": 0, "eval_aem": 0.5, "eval_aeo": 0.875, "eval_mae": 0.5, "eval_squared_emd": 0.5},
            {"loss": "xe", "fold": 1, "eval_aem": 0.6, "eval_aeo": 0.925, "eval_mae": 0.25, "eval_squared_emd": 0.25},
            {"loss": "own", "fold": 0, "eval_aem": 1.0, "eval_aeo": 1.0, "eval_mae": 0.0, "eval_squared_emd": 0.0},
        ]
        paper = {"xe": (60.1, 92.1), "a-emd": (59.6, 92.5), "emd": (62.2, 94.3)}
        assert results_table(rows, paper=paper) == "\n".join(
            [
                "Loss   Fold         AEM %    AEO %      MAE     EMD2  paper AEM %  paper AEO %",
                "------------------------------------------------------------------------------",
                "XE     0             50.0     87.5    0.500    0.500            -            -",
                "XE     1             60.0     92.5    0.250    0.250            -            -",
                "XE     mean of 2     55.0     90.0    0.375    0.375         60.1         92.1",
                "------------------------------------------------------------------------------",
                "A-EMD  -          not run  not run  not run  not run         59.6         92.5",
                "------------------------------------------------------------------------------",
                "EMD    0             50.0     90.0    0.500    0.250         62.2         94.3",
                "------------------------------------------------------------------------------",
                "own    0            100.0    100.0    0.000    0.000            -            -",
            ]
        )

    def test_one_fold_each_has_no_mean_and_no_rules_between(self):
        rows = [
            {"loss": "reg", "fold": 2, "eval_aem": 0.25, "eval_aeo": 0.5, "eval_mae": 1.0, "eval_squared_emd": None},
            {"loss": "xemd1", "fold": 2, "eval_aem": 0.375, "eval_aeo": 0.5, "eval_mae": 1.5},
        ]
        assert results_table(rows) == "\n".join(
            [
                "Loss   Fold  AEM %  AEO %    MAE  EMD2",
                "--------------------------------------",
                "REG    2      25.0   50.0  1.000     -",
                "XEMD1  2      37.5   50.0  1.500     -",
            ]
        )

    def test_a_mean_that_lacks_a_fold_is_not_given(self):
        rows = [{"loss": "xe", "fold": 0, "eval_aem": 0.5, "eval_mae": 1}, {"loss": "xe", "fold": 1, "eval_aem": 0.25}]
        assert results_table(rows).splitlines()[-1].split() == ["XE", "mean", "of", "2", "37.5", "-", "-", "-"]

    def test_the_whole_of_table_1_fits_100_columns_of_ascii(self):
        measured = {"eval_aem": 1.0, "eval_aeo": 1.0, "eval_mae": 0.5, "eval_squared_emd": 0.5}
        paper = PAPER_ADIENCE["vgg_f"]
        table = results_table([{"loss": loss, "fold": f, **measured} for loss in paper for f in range(5)], paper=paper)
        assert table.isascii()
        assert len({len(line) for line in table.splitlines()}) == 1
        assert len(table.splitlines()[0]) <= 100
        assert len(table.splitlines()) == 1 + 6 * (1 + 5 + 1)
        names = [line.split()[0] for line in table.splitlines()[1:] if not line.startswith("-")]
        assert list(dict.fromkeys(names)) == ["XE", "REG", "EMD", "XEMD1", "XEMD2", "A-EMD"]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([], "rows must hold at least one row where no paper is given; got none; pass the results"),
            (
                [{"loss": "xe", "fold": 1}, {"loss": "xe", "fold": 1}],
                "rows must have a fold once per loss; got 'xe', fold 1 twice; average the two",
            ),
            (
                [{"loss": "xe", "fold": 1, "eval_aeo": 92.5}],
                "eval_aeo must be a fraction between 0 and 1; got 92.5; divide percent by 100",
            ),
        ],
    )
    def test_errors(self, rows, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            results_table(rows)


class TestMatrixTable:
    def test_table_2(self):
        assert matrix_table(TABLE_2, AGE_GROUPS) == "\n".join(
            [
                "        0-2   4-6  8-13  15-20  25-32  38-43  48-53   60-",
                "---------------------------------------------------------",
                "0-2       0  0.31  0.67   0.83   0.79   0.88   0.93  1.00",
                "4-6    0.31     0  0.31   0.63   0.69   0.81   0.87  0.93",
                "8-13   0.67  0.31     0   0.31   0.50   0.69   0.74  0.88",
                "15-20  0.83  0.63  0.31      0   0.24   0.50   0.62  0.76",
                "25-32  0.79  0.69  0.50   0.24      0   0.31   0.56  0.71",
                "38-43  0.88  0.81  0.69   0.50   0.31      0   0.37  0.51",
                "48-53  0.93  0.87  0.74   0.62   0.56   0.37      0  0.24",
                "60-    1.00  0.93  0.88   0.76   0.71   0.51   0.24     0",
            ]
        )

    def test_long_names_give_numbered_columns(self):
        names = ["a rather long class name", "another long name"]
        assert matrix_table([[0, 0.125], [10.5, 0]], names, digits=3, width=50) == "\n".join(
            [
                "                             0      1",
                "-------------------------------------",
                "0 a rather long cla...       0  0.125",
                "1 another long name     10.500      0",
            ]
        )

    def test_many_classes_are_cut_and_counted(self):
        names = [f"class {index}" for index in range(12)]
        assert matrix_table(line_distances(12), names, digits=1, width=25) == "\n".join(
            [
                "             0    1    2",
                "------------------------",
                "0 class 0    0  0.1  0.2",
                "1 class 1  0.1    0  0.1",
                "2 class 2  0.2  0.1    0",
                "First 3 of 12 classes; 9 left out.",
            ]
        )

    @pytest.mark.parametrize("num_classes", [1, 12, 13, 33, 34, 35, 1000])
    @pytest.mark.parametrize("length", [1, 8, 60])
    def test_never_wider_than_the_terminal(self, num_classes, length):
        names = [f"{index}".rjust(length, "x") for index in range(num_classes)]
        lines = matrix_table(line_distances(num_classes), names).splitlines()
        assert max(map(len, lines)) <= 100
        shown = len(lines) - 2
        if num_classes <= 12:
            assert shown == num_classes
        elif shown < num_classes:
            shown -= 1
            assert shown >= 12
            assert lines[-1] == f"First {shown} of {num_classes} classes; {num_classes - shown} left out."


BAD_MATRICES = [
    ([[0, 1, 2], [1, 0, 2]], "ab", "matrix must be square, one row per class; got shape (2, 3); pass a (K, K) matrix"),
    ([], "", "matrix must be square, one row per class; got shape (0,); pass a (K, K) matrix"),
    ([[0, 1], [1, 0]], "abc", "class_names must hold one name per row of matrix, 2; got 3; name each class"),
    (
        [[0, np.nan], [1, 0]],
        "ab",
        "matrix must be finite; got nan in row 0, column 1; set unknown distances to 0",
    ),
]


@pytest.mark.parametrize(("matrix", "class_names", "message"), BAD_MATRICES)
def test_bad_matrices_are_refused(matrix, class_names, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        matrix_table(matrix, class_names)


def entry(epoch, aem, aeo):
    return {"epoch": epoch, "eval_aem": aem, "eval_aeo": aeo}


class TestMeanOverFolds:
    def test_epochs_that_every_run_has(self):
        runs = [
            [{"epoch": 1.0, "loss": 2.0}, entry(2.0, 0.5, 1.0), entry(1.0, 0.25, 0.5), entry(3.0, 1.0, 1.0)],
            [entry(1.0, 0.75, 0.75), entry(2.0, 0.0, 0.5), {"epoch": 3.0, "eval_aem": 1.0}, entry(4.0, 1.0, 1.0)],
        ]
        assert mean_over_folds(runs) == [entry(1.0, 0.5, 0.625), entry(2.0, 0.25, 0.75)]

    def test_a_closing_evaluation_does_not_count(self):
        assert mean_over_folds([[entry(1.0, 0.25, 0.5), entry(1.0, 1.0, 1.0)]]) == [entry(1.0, 0.25, 0.5)]

    @pytest.mark.parametrize(
        ("histories", "message"),
        [
            ([], "histories must hold at least one run; got none; pass [trainer.state.log_history]"),
            (
                [[entry(1.0, 0.5, 0.5), entry(2.5, 0.5, 0.5)], [entry(2.25, 0.5, 0.5)], [{"epoch": 1.0, "loss": 1.0}]],
                "histories must have 'eval_aem' and 'eval_aeo' at one epoch at least that is in every run; got epochs "
                "1, 2.5; 2.25; none; pass the log_history of runs with eval_strategy='epoch'",
            ),
        ],
    )
    def test_errors(self, histories, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            mean_over_folds(histories)


def test_needs_no_matplotlib_and_no_torch():
    """Run as a file in a process of its own, where nothing else has been imported."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print({'matplotlib', 'torch'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code, report.__file__], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
