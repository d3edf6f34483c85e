"""The ground distance as figures, inspected as figures and as pixels."""

import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from tests.reports.pictures import assert_good_png
from tests.reports.run_folders import line_distances

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.plot.ground_distance_figures import (
    ground_distance_figure,
    history_figure,
    plot_ground_distance,
    plot_history,
    show_another,
)
from squared_emd.reports.paper import PAPER_GROUND_DISTANCE


class TestPlotGroundDistance:
    def test_reads_like_table_2(self):
        figure = ground_distance_figure(PAPER_GROUND_DISTANCE, AGE_GROUPS, "Adience")
        axes, color_bar = figure.axes
        assert [label.get_text() for label in axes.get_xticklabels()] == list(AGE_GROUPS)
        assert [label.get_text() for label in axes.get_yticklabels()] == list(AGE_GROUPS)
        assert axes.get_title() == "Adience"
        assert axes.get_aspect() == 1  # square cells
        assert color_bar.get_ylabel() == "ground distance"
        cells = {text.get_position(): text.get_text() for text in axes.texts}
        assert cells[7, 0] == "1.00"  # x is the column
        assert cells[4, 3] == "0.24"
        assert cells[5, 5] == "0"
        assert {(column, row): float(text) for (column, row), text in cells.items()} == {
            (column, row): PAPER_GROUND_DISTANCE[row][column] for row in range(8) for column in range(8)
        }

    def test_numbers_contrast_with_their_cells(self):
        """Contrast ratio by WCAG 2.1 (relative luminance); 4.5 is its bound for plain text."""

        def luminance(color):
            channels = np.array(color)
            linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
            return linear @ (0.2126, 0.7152, 0.0722)

        matrix = np.linspace(0, 1, 400).reshape(20, 20)
        axes = ground_distance_figure(matrix, ["x"] * 20, None).axes[0]
        assert len(axes.texts) == 400
        for text in axes.texts:
            column, row = text.get_position()
            cell = axes.images[0].to_rgba(matrix[row, column])[:3]
            dark, light = sorted([luminance(cell), luminance(to_rgb(text.get_color()))])
            assert (light + 0.05) / (dark + 0.05) >= 4.5

    def test_colors_darken_with_the_distance_also_in_grey(self):
        image = ground_distance_figure([[0, 1], [1, 0]], ["a", "b"], None).axes[0].images[0]
        grey = image.to_rgba(np.linspace(0, 1, 50))[:, :3] @ (0.299, 0.587, 0.114)
        assert (np.diff(grey) < 0).all()

    def test_unknown_classes_are_grey_where_they_are_to_be_marked(self):
        matrix = [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]
        axes = ground_distance_figure(matrix, ["a", "b", "c"], marks_unknown=True, note="A note.").axes[0]
        assert np.ma.getmaskarray(axes.images[0].get_array()).tolist() == [[False, False, True]] * 2 + [[True] * 3]
        assert to_rgb(axes.get_facecolor()) == (0.8, 0.8, 0.8)
        assert len(axes.texts) == 4
        assert axes.get_xlabel() == "A note.\nGrey: 1 class that D does not know."
        assert len(ground_distance_figure(matrix, ["a", "b", "c"]).axes[0].texts) == 9

    def test_rows_in_another_order_keep_their_numbers(self):
        axes = ground_distance_figure(line_distances(50), ["x"] * 50, numbers=range(49, -1, -1)).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["49 x", "44 x"]

    def test_another_matrix_in_the_same_figure(self):
        figure = ground_distance_figure([[0, 1], [1, 0]], ["a", "b"], marks_unknown=True)
        show_another(figure, np.array([[0, 0.5], [0.25, 0]]), "another", "A note.")
        axes = figure.axes[0]
        assert {text.get_position(): text.get_text() for text in axes.texts} == {
            (0, 0): "0", (1, 0): "0.50", (0, 1): "0.25", (1, 1): "0",
        }  # fmt: skip
        assert (axes.get_title(), axes.get_xlabel()) == ("another", "A note.")
        assert axes.images[0].get_clim() == (0, 1)
        np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 0.5], [0.25, 0]])

    def test_two_pictures_may_share_a_scale(self):
        image = ground_distance_figure([[0, 0.5], [0.5, 0]], ["a", "b"], scale_end=1.0).axes[0].images[0]
        assert image.get_clim() == (0, 1)
        assert ground_distance_figure([[0, 0.5], [0.5, 0]], ["a", "b"]).axes[0].images[0].get_clim() == (0, 0.5)

    def test_names_that_would_read_the_same_are_numbered(self):
        names = [f"a class with a name that is long {index}" for index in range(2)]
        axes = ground_distance_figure([[0, 1], [1, 0]], names).axes[0]
        shown = [label.get_text() for label in axes.get_yticklabels()]
        assert shown == ["0 a class with a name t...", "1 a class with a name t..."]

    def test_dollar_signs_are_no_formula(self):
        figure = ground_distance_figure([[0, 1], [1, 0]], ["$0-$5", "$5_-$9"], None)
        figure.draw_without_rendering()
        assert [label.get_parse_math() for label in figure.axes[0].get_xticklabels()] == [False, False]

    def test_many_classes_have_no_numbers_and_few_names(self):
        axes = ground_distance_figure(line_distances(30), [f"class {i}" for i in range(30)], None).axes[0]
        assert not axes.texts
        assert len(axes.get_xticklabels()) == 30

        axes = ground_distance_figure(line_distances(1000), [f"class {i}" for i in range(1000)], None).axes[0]
        assert not axes.texts
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names[:2] == ["0 class 0", "50 class 50"]
        assert len(names) == 20

    def test_a_bad_matrix_leaves_no_file(self, tmp_path):
        message = "matrix must be finite; got nan in row 0, column 1; set unknown distances to 0"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            plot_ground_distance([[0, np.nan], [1, 0]], ["a", "b"], tmp_path / "d.png")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("num_classes", [1, 2, 8, 20, 200, 1000])
    def test_png(self, num_classes, tmp_path):
        path = tmp_path / "d.png"
        plot_ground_distance(line_distances(num_classes), ["a class"] * num_classes, path, title="Distances")
        assert_good_png(path)

    def test_a_matrix_of_zeros(self, tmp_path):
        plot_ground_distance(np.zeros((3, 3)), ["a", "b", "c"], str(tmp_path / "d.png"))
        assert_good_png(tmp_path / "d.png")


class TestPlotHistory:
    @staticmethod
    def history(num_epochs, num_classes=3):
        shares = np.linspace(0.5, 1, num_epochs)[:, None, None]
        log = [{"epoch": float(epoch + 1), "sdd": 0.25, "sdd_relative": 0.5 + epoch} for epoch in range(num_epochs)]
        names = [f"class {index}" for index in range(num_classes)]
        return np.arange(1.0, num_epochs + 1), shares * line_distances(num_classes), names, log

    def test_six_epochs_from_the_first_to_the_last_on_one_scale(self):
        epochs, matrices, names, log = self.history(30)
        figure = history_figure(epochs, matrices, names, log, "D by epoch")
        assert figure.get_suptitle() == "D by epoch"
        maps = [axes for axes in figure.axes if axes.images]
        # 0, 5.8, 11.6, 17.4, 23.2 and 29, rounded, are counted from 1
        assert [axes.get_title() for axes in maps] == [f"epoch {epoch}" for epoch in (1, 7, 13, 18, 24, 30)]
        assert {axes.images[0].get_clim() for axes in maps} == {(0, matrices.max())}
        np.testing.assert_array_equal(maps[1].images[0].get_array(), matrices[6])
        assert [label.get_text() for label in maps[0].get_yticklabels()] == names

    def test_sdd_below_with_dots_at_the_epochs_that_are_shown(self):
        epochs, matrices, names, log = self.history(30)
        sdd, relative = [axes for axes in history_figure(epochs, matrices, names, log).axes if axes.lines]
        assert (sdd.get_title(), relative.get_title()) == ("SDD", "SDD / mean distance")
        line, dots = relative.lines
        assert list(line.get_xdata()) == epochs.tolist()
        assert list(line.get_ydata()) == [0.5 + epoch for epoch in range(30)]
        assert list(dots.get_xdata()) == [1, 7, 13, 18, 24, 30]

    def test_without_sdd_there_are_only_the_maps(self):
        figure = history_figure(*self.history(3)[:3])
        assert not [axes for axes in figure.axes if axes.lines]
        assert len([axes for axes in figure.axes if axes.images]) == 3

    def test_sdd_alone_where_d_was_not_kept(self, tmp_path):
        *_, names, log = self.history(4)
        sdd, relative = history_figure([], [], names, log).axes
        assert list(sdd.lines[0].get_ydata()) == [0.25] * 4
        assert (sdd.get_xlabel(), relative.get_title()) == ("epoch", "SDD / mean distance")
        plot_history([], [], names, tmp_path / "history.png", log=log, title="SDD by epoch")
        assert_good_png(tmp_path / "history.png", least_height=300)

    @pytest.mark.parametrize(("num_epochs", "num_classes"), [(1, 1), (2, 8), (30, 8), (7, 20), (6, 200)])
    def test_png(self, num_epochs, num_classes, tmp_path):
        *history, log = self.history(num_epochs, num_classes)
        plot_history(*history, tmp_path / "history.png", log=log, title="D of XEMD2 by epoch")
        assert_good_png(tmp_path / "history.png")

    @pytest.mark.parametrize(
        ("epochs", "matrices", "message"),
        [
            (
                [], [],
                "epochs and matrices must hold one epoch for each matrix, at least one where log has no 'sdd'; got "
                "shapes (0,) and (0,); pass the arrays of ground_distance_history.npz",
            ),
            ([1.0], [[[0, 1]]], "matrix must be square, one row per class; got shape (1, 2); pass a (K, K) matrix"),
        ],
    )  # fmt: skip
    def test_errors(self, epochs, matrices, message, tmp_path):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            plot_history(epochs, matrices, ["a", "b"], tmp_path / "history.png")
        assert not list(tmp_path.iterdir())


def test_needs_no_display():
    """pyplot would choose a display."""
    code = "import sys, squared_emd.reports; print({'matplotlib.figure', 'matplotlib.pyplot'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "{'matplotlib.figure'}\n"
