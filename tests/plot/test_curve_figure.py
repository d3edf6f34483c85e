"""Curves, inspected as figures and as pixels."""

import re
from typing import ClassVar

import pytest
from tests.reports.pictures import assert_good_png

from squared_emd.metrics.names import LOSSES
from squared_emd.plot.curve_figure import curves_figure, plot_curves


def history(num_epochs, aem=0.5, aeo=0.75):
    """What a trainer logs: a training entry and an evaluation entry in each epoch, a summary at the end."""
    entries = []
    for epoch in range(1, num_epochs + 1):
        entries.append({"epoch": epoch - 0.5, "loss": 1.0})
        entries.append({"epoch": float(epoch), "eval_aem": aem * epoch / num_epochs, "eval_aeo": aeo, "eval_loss": 1.0})
    return [*entries, {"epoch": float(num_epochs), "train_runtime": 2.0}]


def entries(metric, *values):
    return [{"epoch": float(epoch), metric: value} for epoch, value in enumerate(values, 1)]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


class TestLines:
    def test_are_percent_by_epoch(self):
        figure = curves_figure({"reg": history(4), "my own": history(2, 0.25, 0.5)}, title="Adience")
        aem, aeo = figure.axes
        assert figure.get_suptitle() == "Adience"
        assert [axes.get_title() for axes in (aem, aeo)] == ["Exact match (AEM)", "Within one class (AEO)"]
        assert {axes.get_xlabel() for axes in (aem, aeo)} == {"epoch"}
        assert {axes.get_ylabel() for axes in (aem, aeo)} == {"percent of images"}
        assert [line.get_xdata().tolist() for line in aem.lines] == [[1, 2, 3, 4], [1, 2]]
        assert [line.get_ydata().tolist() for line in aem.lines] == [[12.5, 25, 37.5, 50], [12.5, 25]]
        assert [line.get_ydata().tolist() for line in aeo.lines] == [[75] * 4, [50] * 2]
        assert legend(aem) == legend(aeo) == ["REG", "my own"]

    def test_other_metrics_are_in_their_own_unit_and_one_that_is_missing_has_no_panel(self):
        curves = {"xe": entries("eval_spearman", -0.25, 0.5)}
        (axes,) = curves_figure(curves, ["eval_spearman", "eval_mae"]).axes
        assert (axes.get_title(), axes.get_ylabel()) == ("Spearman's rho", "rho")
        assert axes.lines[0].get_ydata().tolist() == [-0.25, 0.5]

    def test_a_loss_without_the_metric_of_a_panel_is_not_in_it(self):
        curves = {"reg": entries("eval_aem", 0.5), "emd": entries("eval_aeo", 0.5)}
        assert [legend(axes) for axes in curves_figure(curves).axes] == [["REG"], ["EMD"]]

    def test_a_closing_evaluation_does_not_move_the_last_point(self):
        closing = {"epoch": 4.0, "eval_aem": 1.0, "eval_aeo": 1.0}
        figure = curves_figure({"xe": [*history(4), closing]})
        assert figure.axes[0].lines[0].get_ydata().tolist() == [12.5, 25, 37.5, 50]

    def test_losses_differ_without_their_colors(self):
        names = [*LOSSES[1:], "own 1", "own 2", "own 3", "own 4"]  # without XE there are no rings
        lines = curves_figure({name: history(3) for name in names}).axes[0].lines
        assert len({line.get_marker() for line in lines}) == len(names)
        assert len({line.get_color() for line in lines[:5]}) == 5

    def test_a_loss_looks_the_same_in_every_picture(self):
        alone = curves_figure({"xemd2": history(3)}).axes[0].lines[0]
        beside = curves_figure({"own": history(3), "xemd2": history(3)}).axes[1].lines[1]
        assert (alone.get_color(), alone.get_marker()) == (beside.get_color(), beside.get_marker())

    def test_jump_start_is_marked_and_in_the_legend(self):
        for axes in curves_figure({"xe": history(2)}, jump_start=4).axes:
            assert legend(axes) == ["XE", "end of the jump start"]
            assert axes.lines[-1].get_xdata() == [4, 4]
            assert axes.lines[-1].get_linestyle() == ":"
            assert axes.get_xlim()[0] < 1
            assert axes.get_xlim()[1] > 4

    @pytest.mark.parametrize("num_epochs", [1, 2, 5, 30, 300])
    def test_epoch_ticks_are_integers(self, num_epochs):
        for axes in curves_figure({"xe": history(num_epochs)}).axes:
            left, right = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
            assert ticks
            assert all(tick == round(tick) for tick in ticks)


class TestHeldAgainstXE:
    CURVES: ClassVar = {
        "xe": entries("eval_aem", 0.25, 0.75, 0.5),
        "reg": entries("eval_aem", 0.125, 0.25, 0.375),
        "emd": entries("eval_aem", 0.25, 0.625, 0.5),
    }

    def test_the_first_epoch_that_is_as_good_is_ringed_and_in_the_legend(self):
        (axes,) = curves_figure(self.CURVES).axes
        assert legend(axes) == [
            "XE, ends at 50.0 (thin line)", "REG, never reaches XE's", "EMD, reaches XE's at 2",
            "first as good as XE at its end",
        ]  # fmt: skip
        xe, _, emd, ring, level = axes.lines
        assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([2], [62.5])
        assert ring.get_color() == emd.get_color() != xe.get_color()
        assert ring.get_markersize() > 1.5 * emd.get_markersize()
        assert set(level.get_ydata()) == {50}
        assert level.get_linewidth() < xe.get_linewidth()

    def test_less_is_better_for_errors(self):
        curves = {"xe": entries("eval_top_1_error", 0.75, 0.5), "xemd1": entries("eval_top_1_error", 0.625, 0.375)}
        (axes,) = curves_figure(curves, ["eval_top_1_error"]).axes
        assert legend(axes)[:2] == ["XE, ends at 0.500 (thin line)", "XEMD1, reaches XE's at 2"]

    def test_what_cannot_be_compared_is_not_and_notes_stand_in_the_legend(self):
        figure = curves_figure(self.CURVES, notes={"emd": "2 of 5 folds"}, not_compared=["emd"])
        assert legend(figure.axes[0])[1:] == ["REG, never reaches XE's", "EMD (2 of 5 folds)"]

    def test_without_xe_there_is_no_line_to_reach(self):
        (axes,) = curves_figure({"reg": self.CURVES["reg"], "emd": self.CURVES["emd"]}).axes
        assert len(axes.lines) == 2


class TestPicture:
    @pytest.mark.parametrize("notes", [{}, {"reg": "2 of 5 folds"}])
    def test_legends_lie_below_the_panels_side_by_side(self, notes):
        figure = curves_figure({loss: history(30) for loss in LOSSES}, title="Adience", jump_start=4, notes=notes)
        figure.draw_without_rendering()
        left, right = (axes.get_legend().get_window_extent() for axes in figure.axes)
        for axes, box in zip(figure.axes, (left, right), strict=True):
            assert box.y1 <= axes.xaxis.label.get_window_extent().y0
            assert box.y0 >= 0
        assert 0 <= left.x0 < left.x1 <= right.x0 < right.x1 <= figure.bbox.x1

    @pytest.mark.parametrize("num_epochs", [1, 30])
    @pytest.mark.parametrize("losses", [["xe"], ["xe", "xemd2"], LOSSES])
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
                "histories['xe'] must hold entries with 'epoch' and 'eval_aem' or 'eval_aeo'; got none among 1; pass "
                "the log_history of a run with eval_strategy='epoch'",
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
