"""D as text: exact texts worked by hand."""

import re

import numpy as np
import pytest
from tests.reports.run_folders import line_distances

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.reports.matrix_table import matrix_table
from squared_emd.reports.paper import PAPER_GROUND_DISTANCE


class TestMatrixTable:
    def test_table_2(self):
        assert matrix_table(PAPER_GROUND_DISTANCE, AGE_GROUPS) == "\n".join(
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
