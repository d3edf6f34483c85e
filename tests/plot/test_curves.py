"""Learning curves and the reliability diagram, as figures and as pixels."""

import numpy as np
import pytest
from tests.plot.matrices import refused
from tests.reports.images import assert_good_png

from squared_emd.metrics import reliability
from squared_emd.metrics.names import LOSSES
from squared_emd.plot import learning_curves, reliability_diagram


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


CURVES = {
    "xe": entries("eval_aem", 0.25, 0.75, 0.5),
    "reg": entries("eval_aem", 0.125, 0.25, 0.375),
    "emd": entries("eval_aem", 0.25, 0.625, 0.5),
}


def test_percent_by_epoch():
    figure = learning_curves({"reg": history(4), "my own": history(2, 0.25, 0.5)}, title="Adience")
    aem, aeo = figure.axes
    assert figure.get_suptitle() == "Adience"
    assert [axes.get_title() for axes in (aem, aeo)] == ["Exact match (AEM)", "Within one class (AEO)"]
    assert {(axes.get_xlabel(), axes.get_ylabel()) for axes in (aem, aeo)} == {("epoch", "percent")}
    assert [line.get_xdata().tolist() for line in aem.lines] == [[1, 2, 3, 4], [1, 2]]
    assert [line.get_ydata().tolist() for line in aem.lines] == [[12.5, 25, 37.5, 50], [12.5, 25]]
    assert [line.get_ydata().tolist() for line in aeo.lines] == [[75] * 4, [50] * 2]
    assert legend(aem) == legend(aeo) == ["REG", "my own"]


def test_units_and_missing_metrics():
    (axes,) = learning_curves({"xe": entries("eval_spearman", -0.25, 0.5)}, metrics=["eval_spearman", "eval_mae"]).axes
    assert (axes.get_title(), axes.get_ylabel()) == ("Spearman's rho", "rho")
    assert axes.lines[0].get_ydata().tolist() == [-0.25, 0.5]
    curves = {"reg": entries("eval_aem", 0.5), "emd": entries("eval_aeo", 0.5)}
    assert [legend(axes) for axes in learning_curves(curves).axes] == [["REG"], ["EMD"]]


def test_losses_look_different_and_each_the_same_everywhere():
    names = [*LOSSES[1:], "own 1", "own 2", "own 3", "own 4"]  # without XE there are no rings
    left, right = (axes.lines for axes in learning_curves({name: history(3) for name in names}).axes)
    assert len({line.get_marker() for line in left}) == len(names)
    assert [line.get_marker() for line in left] == [line.get_marker() for line in right]
    alone = learning_curves({"xemd2": history(3)}).axes[0].lines[0]
    assert (alone.get_color(), alone.get_marker()) == (left[3].get_color(), left[3].get_marker())


@pytest.mark.parametrize("num_epochs", [1, 30])
def test_ticks_are_whole_epochs(num_epochs):
    axes = learning_curves({"xe": history(num_epochs)}).axes[0]
    left, right = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_values_that_hardly_differ_are_written_in_full():
    (axes,) = learning_curves({"xe": entries("eval_mae", 1.50301, 1.50304)}, metrics=["eval_mae"]).axes
    axes.figure.draw_without_rendering()
    assert axes.yaxis.get_offset_text().get_text() == ""
    assert axes.yaxis.get_ticklabels()[0].get_text().startswith("1.5030")


def test_the_first_epoch_that_is_as_good_as_cross_entropy():
    (axes,) = learning_curves(CURVES).axes
    assert legend(axes) == [
        "XE, ends at 50.0 (thin line)", "REG, never reaches XE's", "EMD, reaches XE's at 2",
        "first as good as XE at its end",
    ]  # fmt: skip
    xe, _, emd, ring, level = axes.lines
    assert (list(ring.get_xdata()), list(ring.get_ydata())) == ([2], [62.5])
    assert ring.get_color() == emd.get_color() != xe.get_color()
    assert set(level.get_ydata()) == {50}
    errors = {"xe": entries("eval_top_1_error", 0.75, 0.5), "xemd1": entries("eval_top_1_error", 0.625, 0.375)}
    (axes,) = learning_curves(errors, metrics=["eval_top_1_error"]).axes
    assert legend(axes)[:2] == ["XE, ends at 0.500 (thin line)", "XEMD1, reaches XE's at 2"]


def test_what_cannot_be_compared_is_not():
    assert legend(learning_curves(CURVES, not_compared=["emd"]).axes[0])[1:] == ["REG, never reaches XE's", "EMD"]
    without = {loss: CURVES[loss] for loss in ("reg", "emd")}
    assert len(learning_curves(without).axes[0].lines) == 2


def test_png_of_four_panels(tmp_path):
    metrics = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
    log = [{"epoch": float(epoch), **dict.fromkeys(metrics, epoch / 30)} for epoch in range(31)]
    figure = learning_curves(dict.fromkeys(LOSSES, log), path=tmp_path / "a.png", title="Adience", metrics=metrics)
    assert [axes.get_ylabel() for axes in figure.axes] == ["percent"] * 2 + ["MAE", "EMD2"]
    assert_good_png(tmp_path / "a.png")


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
def test_errors(histories, message):
    refused(learning_curves, message, histories)


class TestReliability:
    # Of five bins one holds 0.5 and 0.6, another 0.9.
    BINS = reliability(np.array([0.5, 0.6, 0.9, 0.9]), np.array([True, False, True, True]), bins=5)

    def test_accuracy_by_confidence_and_the_error(self, tmp_path):
        bins = {"xe": self.BINS, "xemd": self.BINS}
        path = tmp_path / "reliability.png"
        figure = reliability_diagram(bins, title="Faces", path=path, mean_errors={"xemd": 0.125})
        upper, lower = figure.axes
        diagonal, xe, _ = upper.lines
        assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
        np.testing.assert_allclose(xe.get_xdata(), [0.55, 0.9])
        np.testing.assert_allclose(xe.get_ydata(), [0.5, 1.0])
        np.testing.assert_allclose(lower.lines[0].get_ydata(), [50, 50])  # percent
        # 0.05 in one half and 0.1 in the other
        (below,) = figure.legends
        assert [text.get_text() for text in below.get_texts()] == ["XE, ECE 0.075", "XEMD, mean ECE 0.125"]
        assert below.get_window_extent().y1 < lower.get_window_extent().y0  # on neither of the lines
        assert_good_png(path)

    def test_no_loss(self):
        message = "bins must hold at least one loss; got none; pass {loss: reliability(confidences, hits)}"
        refused(reliability_diagram, message, {})
