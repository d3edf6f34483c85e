"""Pictures of results, inspected as figures and as pixels."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from squared_emd import figures
from squared_emd.figures import _curves_figure, _ground_distance_figure, plot_curves, plot_ground_distance
from squared_emd.report import PAPER_ADIENCE

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


def history(num_epochs, aem=0.5, aeo=0.75):
    """What a trainer logs: a training entry and an evaluation entry in each epoch, a summary at the end."""
    entries = []
    for epoch in range(1, num_epochs + 1):
        entries.append({"epoch": epoch - 0.5, "loss": 1.0})
        entries.append({"epoch": float(epoch), "eval_aem": aem * epoch / num_epochs, "eval_aeo": aeo, "eval_loss": 1.0})
    return [*entries, {"epoch": float(num_epochs), "train_runtime": 2.0}]


class TestPlotGroundDistance:
    def test_reads_like_table_2(self):
        figure = _ground_distance_figure(TABLE_2, AGE_GROUPS, "Adience")
        axes, color_bar = figure.axes
        assert [label.get_text() for label in axes.get_xticklabels()] == AGE_GROUPS
        assert [label.get_text() for label in axes.get_yticklabels()] == AGE_GROUPS
        assert axes.get_title() == "Adience"
        assert axes.get_aspect() == 1  # square cells
        assert color_bar.get_ylabel() == "ground distance"
        cells = {text.get_position(): text.get_text() for text in axes.texts}
        assert cells[7, 0] == "1.00"  # x is the column
        assert cells[4, 3] == "0.24"
        assert cells[5, 5] == "0"
        assert {(column, row): float(text) for (column, row), text in cells.items()} == {
            (column, row): TABLE_2[row][column] for row in range(8) for column in range(8)
        }

    def test_numbers_contrast_with_their_cells(self):
        """Contrast ratio by WCAG 2.1 (relative luminance); 4.5 is its bound for plain text."""

        def luminance(color):
            channels = np.array(color)
            linear = np.where(channels <= 0.03928, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
            return linear @ (0.2126, 0.7152, 0.0722)

        matrix = np.linspace(0, 1, 400).reshape(20, 20)
        axes = _ground_distance_figure(matrix, ["x"] * 20, None).axes[0]
        assert len(axes.texts) == 400
        for text in axes.texts:
            column, row = text.get_position()
            cell = axes.images[0].to_rgba(matrix[row, column])[:3]
            dark, light = sorted([luminance(cell), luminance(to_rgb(text.get_color()))])
            assert (light + 0.05) / (dark + 0.05) >= 4.5

    def test_colors_darken_with_the_distance_also_in_grey(self):
        image = _ground_distance_figure([[0, 1], [1, 0]], ["a", "b"], None).axes[0].images[0]
        grey = image.to_rgba(np.linspace(0, 1, 50))[:, :3] @ (0.299, 0.587, 0.114)
        assert (np.diff(grey) < 0).all()

    def test_dollar_signs_are_no_formula(self):
        figure = _ground_distance_figure([[0, 1], [1, 0]], ["$0-$5", "$5_-$9"], None)
        figure.draw_without_rendering()
        assert [label.get_parse_math() for label in figure.axes[0].get_xticklabels()] == [False, False]

    def test_many_classes_have_no_numbers_and_few_names(self):
        axes = _ground_distance_figure(line_distances(30), [f"class {i}" for i in range(30)], None).axes[0]
        assert not axes.texts
        assert len(axes.get_xticklabels()) == 30

        axes = _ground_distance_figure(line_distances(1000), [f"class {i}" for i in range(1000)], None).axes[0]
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


class TestPlotCurves:
    def test_lines_are_percent_by_epoch(self):
        figure = _curves_figure({"xe": history(4), "my own": history(2, 0.25, 0.5)}, "Adience", None)
        aem, aeo = figure.axes
        assert figure.get_suptitle() == "Adience"
        assert [axes.get_title() for axes in (aem, aeo)] == ["Exact match (AEM)", "Within one class (AEO)"]
        assert {axes.get_xlabel() for axes in (aem, aeo)} == {"epoch"}
        assert {axes.get_ylabel() for axes in (aem, aeo)} == {"percent of images"}
        assert [line.get_xdata().tolist() for line in aem.lines] == [[1, 2, 3, 4], [1, 2]]
        assert [line.get_ydata().tolist() for line in aem.lines] == [[12.5, 25, 37.5, 50], [12.5, 25]]
        assert [line.get_ydata().tolist() for line in aeo.lines] == [[75] * 4, [50] * 2]
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["XE", "my own"]

    def test_a_closing_evaluation_does_not_move_the_last_point(self):
        closing = {"epoch": 4.0, "eval_aem": 1.0, "eval_aeo": 1.0}
        figure = _curves_figure({"xe": [*history(4), closing]}, None, None)
        assert figure.axes[0].lines[0].get_ydata().tolist() == [12.5, 25, 37.5, 50]

    def test_losses_differ_without_their_colors(self):
        names = [*PAPER_ADIENCE["res"], "own 1", "own 2", "own 3", "own 4"]
        lines = _curves_figure({name: history(3) for name in names}, None, None).axes[0].lines
        assert len({line.get_marker() for line in lines}) == len(names)
        assert len({line.get_color() for line in lines[:6]}) == 6

    def test_a_loss_looks_the_same_in_every_picture(self):
        alone = _curves_figure({"xemd2": history(3)}, None, None).axes[0].lines[0]
        beside = _curves_figure({"own": history(3), "xemd2": history(3)}, None, None).axes[1].lines[1]
        assert (alone.get_color(), alone.get_marker()) == (beside.get_color(), beside.get_marker())

    def test_jump_start_is_marked_once_in_the_legend(self):
        figure = _curves_figure({"xe": history(2)}, None, 4)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["XE", "end of the jump start"]
        for axes in figure.axes:
            assert axes.lines[-1].get_xdata() == [4, 4]
            assert axes.lines[-1].get_linestyle() == ":"
            assert axes.get_xlim()[0] < 1
            assert axes.get_xlim()[1] > 4

    @pytest.mark.parametrize("num_epochs", [1, 2, 5, 30, 300])
    def test_epoch_ticks_are_integers(self, num_epochs):
        for axes in _curves_figure({"xe": history(num_epochs)}, None, None).axes:
            left, right = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
            assert ticks
            assert all(tick == round(tick) for tick in ticks)

    def test_legend_lies_below_the_panels(self):
        figure = _curves_figure({loss: history(30) for loss in PAPER_ADIENCE["res"]}, "Adience", 4)
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
        assert all(legend.y1 <= axes.get_tightbbox().y0 for axes in figure.axes)
        assert legend.x0 >= 0
        assert legend.x1 <= figure.bbox.x1

    @pytest.mark.parametrize("num_epochs", [1, 30])
    @pytest.mark.parametrize("losses", [["xe"], ["xe", "xemd2"], list(PAPER_ADIENCE["res"])])
    def test_png(self, losses, num_epochs, tmp_path):
        path = tmp_path / "curves.png"
        plot_curves({loss: history(num_epochs) for loss in losses}, path, title="Adience", jump_start_epochs=4)
        assert_good_png(path)

    @pytest.mark.parametrize(
        ("histories", "message"),
        [
            ({}, "histories must hold at least one loss; got none; pass {loss: trainer.state.log_history}"),
            (
                {"xe": [{"epoch": 1.0, "loss": 2.0}]},
                "histories['xe'] must hold entries with 'epoch', 'eval_aem' and 'eval_aeo'; got none among 1; "
                "pass the log_history of a run with eval_strategy='epoch'",
            ),
            (
                {"xe": [{"epoch": 1.0, "eval_aem": 61.1, "eval_aeo": 94.0}]},
                "eval_aem must be a fraction between 0 and 1; got 61.1; divide percent by 100",
            ),
        ],
    )
    def test_errors(self, histories, message, tmp_path):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            plot_curves(histories, tmp_path / "curves.png")
        assert not list(tmp_path.iterdir())


def test_needs_no_display_and_no_torch():
    """pyplot would choose a display. In a process of its own, with a bare package, as the real one imports torch."""
    code = (
        "import sys, types; sys.modules['squared_emd'] = package = types.ModuleType('squared_emd'); "
        "package.__path__ = [sys.argv[1]]; import squared_emd.figures; "
        "print({'matplotlib.figure', 'matplotlib.pyplot', 'torch'} & set(sys.modules))"
    )
    folder = str(Path(figures.__file__).parent)
    ran = subprocess.run([sys.executable, "-c", code, folder], check=True, capture_output=True, text=True)
    assert ran.stdout == "{'matplotlib.figure'}\n"


def assert_good_png(path):
    pixels = imread(path)[..., :3]
    height, width, _ = pixels.shape
    assert 400 <= height <= 2000
    assert 600 <= width <= 2000
    assert 5_000 <= path.stat().st_size <= 2_000_000
    white = (pixels > 0.99).all(axis=-1)
    assert 0.01 < 1 - white.mean() < 0.95  # neither blank nor filled
    assert white[:3].mean() > 0.9  # nothing is cut off at the edges
    assert white[-3:].mean() > 0.9
    assert white[:, :3].mean() > 0.9
    assert white[:, -3:].mean() > 0.9
