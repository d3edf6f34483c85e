"""Heat maps of the ground distance and confusion matrices, as figures and as pixels."""

import re

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from tests.plot.matrices import AGES, NAN, of_groups, of_line, refused, shown_names, without
from tests.reports.images import assert_good_png

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.plot import confusion_matrix, heat_map
from squared_emd.reports.paper import PAPER_GROUND_DISTANCE


def cells_of(axes):
    """(row, column) -> text."""
    return {text.get_position()[::-1]: text.get_text() for text in axes.texts}


class TestHeatMap:
    def test_reads_like_table_2(self):
        axes, color_bar = heat_map(PAPER_GROUND_DISTANCE, class_names=AGE_GROUPS, title="Adience").axes
        assert [label.get_text() for label in axes.get_xticklabels()] == shown_names(axes) == list(AGE_GROUPS)
        assert (axes.get_title(), axes.get_aspect(), color_bar.get_ylabel()) == ("Adience", 1, "ground distance")
        cells = cells_of(axes)
        assert (cells[0, 7], cells[5, 5]) == ("1.00", "0")
        assert {place: float(text) for place, text in cells.items()} == {
            (row, column): PAPER_GROUND_DISTANCE[row][column] for row in range(8) for column in range(8)
        }

    def test_rows_are_not_columns(self):
        assert cells_of(heat_map([[0, 0.25], [0.5, 0]]).axes[0]) == {
            (0, 0): "0", (0, 1): "0.25", (1, 0): "0.50", (1, 1): "0",
        }  # fmt: skip

    def test_numbers_contrast_with_their_cells(self):
        """Contrast ratio by WCAG 2.1 (relative luminance); 4.5 is its bound for plain text."""

        def luminance(color):
            channels = np.array(color)
            linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
            return linear @ (0.2126, 0.7152, 0.0722)

        matrix = np.linspace(0, 1, 100).reshape(10, 10)
        axes = heat_map(matrix).axes[0]
        for text in axes.texts:
            column, row = text.get_position()
            cell = axes.images[0].to_rgba(matrix[row, column])[:3]
            dark, light = sorted([luminance(cell), luminance(to_rgb(text.get_color()))])
            assert (light + 0.05) / (dark + 0.05) >= 4.5
        gray = axes.images[0].to_rgba(np.linspace(0, 1, 50))[:, :3] @ (0.299, 0.587, 0.114)
        assert (np.diff(gray) < 0).all()  # darker with the distance, also in gray

    def test_seriation(self):
        places = [2, 0, 3, 1]
        shuffled = torch.tensor(of_line(4)[np.ix_(places, places)])
        axes = heat_map(shuffled, order="seriation", class_names=[AGES[k] for k in places]).axes[0]
        assert shown_names(axes) in (AGES, AGES[::-1])
        np.testing.assert_allclose(axes.images[0].get_array(), of_line(4))
        assert axes.get_xlabel() == "Similar classes side by side (seriation)."

    def test_many_classes_in_seriation_keep_their_numbers(self):
        matrix, group = of_groups(6, 10)
        axes = heat_map(matrix, order="seriation", class_names=[f"of {k}" for k in group]).axes[0]
        for name in shown_names(axes):
            number, kind = re.fullmatch(r"(\d+) of (\d)", name).groups()
            assert group[int(number)] == int(kind)

    def test_unknown_classes_are_gray_and_counted(self):
        axes = heat_map(without(of_line(4), 1), class_names=AGES).axes[0]
        mask = np.ma.getmaskarray(axes.images[0].get_array())
        assert mask[1].all() and mask[:, 1].all() and mask.sum() == 7
        assert to_rgb(axes.get_facecolor()) == (0.8, 0.8, 0.8)
        assert cells_of(axes).keys() == {(row, column) for row in (0, 2, 3) for column in (0, 2, 3)}
        assert axes.get_xlabel() == "Gray: 1 class that D does not know."
        zeros = heat_map(np.zeros((3, 3))).axes[0]  # no class is unknown where all are
        assert (zeros.get_xlabel(), len(zeros.texts)) == ("", 9)

    def test_two_figures_may_share_a_scale(self):
        assert heat_map([[0, 0.5], [0.5, 0]], scale_end=1.0).axes[0].images[0].get_clim() == (0, 1)
        assert heat_map([[0, 0.5], [0.5, 0]]).axes[0].images[0].get_clim() == (0, 0.5)

    def test_names(self):
        names = [f"a class with a name that is long {index}" for index in range(2)]
        axes = heat_map([[0, 1], [1, 0]], class_names=names).axes[0]
        assert shown_names(axes) == ["0 a class with a name t...", "1 a class with a name t..."]
        assert not axes.get_xticklabels()[0].get_parse_math()  # a dollar sign begins no formula
        assert len(shown_names(heat_map(of_line(30)).axes[0])) == 30
        axes = heat_map(of_line(1000), class_names=[f"class {k}" for k in range(1000)]).axes[0]
        assert shown_names(axes)[:2] == ["0 class 0", "50 class 50"]
        assert (len(shown_names(axes)), len(axes.texts)) == (20, 0)

    def test_thousands_of_classes_are_drawn_as_blocks(self):
        axes = heat_map(torch.tensor(of_line(2100), dtype=torch.float32)).axes[0]
        assert axes.get_xlabel() == "A cell is the mean of 3 x 3 classes."
        assert shown_names(axes)[:2] == ["0", "150"]
        assert axes.images[0].get_array().shape == (700, 700)
        assert axes.images[0].get_array()[0, 699] == pytest.approx(2097 / 2100)
        assert np.ma.getmaskarray(heat_map(without(of_line(1002), *range(4))).axes[0].images[0].get_array())[:2].all()

    @pytest.mark.parametrize("num_classes", [1, 8, 200])
    def test_png(self, num_classes, tmp_path):
        heat_map(of_line(num_classes), class_names=["a class"] * num_classes, path=tmp_path / "d.png", title="D")
        assert_good_png(tmp_path / "d.png")

    def test_errors_leave_no_file(self, tmp_path):
        refused(heat_map, 'order must be "classes" or "seriation", got \'age\'.', of_line(3), order="age")
        refused(heat_map, NAN, [[0, np.nan], [1, 0]], path=tmp_path / "d.png")
        assert not list(tmp_path.iterdir())


class TestConfusionMatrix:
    COUNTS = np.array([[2, 1, 0], [0, 0, 0], [1, 0, 1]])

    def test_counts_and_shares_of_the_true_class(self):
        axes, color_bar = confusion_matrix(self.COUNTS, AGES[:3], title="title").axes
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "title")
        assert color_bar.get_ylabel() == "share of the true class"
        assert {place: int(text) for place, text in cells_of(axes).items()} == dict(np.ndenumerate(self.COUNTS))
        np.testing.assert_allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 0, 0], [1 / 2, 0, 1 / 2]])
        assert axes.images[0].get_clim() == (0, 1)

    def test_large_counts_fit_their_cells(self, tmp_path):
        small, large = (confusion_matrix([[n, 0], [0, n]], ["a", "b"]).axes[0].texts[0] for n in (10, 10**29))
        assert large.get_fontsize() < small.get_fontsize()
        assert to_rgb(large.get_color()) == (1, 1, 1)  # on the darkest color
        confusion_matrix(np.eye(21), ["a class"] * 21, path=tmp_path / "counts.png")
        assert_good_png(tmp_path / "counts.png")

    def test_errors(self):
        message = "counts must be 0 or more; got -1; pass how often each pair of classes came"
        refused(confusion_matrix, message, [[1, -1], [0, 1]], ["a", "b"])
        message = (
            "class_names must hold one name for each of the 2 classes, got 1. Name them all, in the order of the rows."
        )
        refused(confusion_matrix, message, [[1, 0], [0, 1]], ["a"])
        message = "counts must be square, a row for each class; got shape (1, 2); pass (K, K) counts"
        refused(confusion_matrix, message, [[1, 0]], ["a"])
        refused(confusion_matrix, NAN, [[1, np.nan], [0, 1]], ["a", "b"])


def test_a_file_without_an_ending_is_png(tmp_path):
    heat_map(of_line(3), path=tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["d.png"]
