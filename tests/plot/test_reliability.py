"""The reliability diagram, as a figure and as pixels."""

import numpy as np
from tests.plot.matrices import refused
from tests.reports.images import assert_good_png

from squared_emd.metrics import reliability
from squared_emd.plot import reliability_diagram

# Of five bins one holds 0.5 and 0.6, another 0.9.
BINS = reliability(np.array([0.5, 0.6, 0.9, 0.9]), np.array([True, False, True, True]), bins=5)


def test_accuracy_by_confidence_and_the_error():
    figure = reliability_diagram({"xe": BINS, "xemd": BINS}, title="Faces")
    upper, lower = figure.axes
    assert figure.get_suptitle() == "Faces"
    diagonal, xe, _ = upper.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    np.testing.assert_allclose(xe.get_xdata(), [0.55, 0.9])
    np.testing.assert_allclose(xe.get_ydata(), [0.5, 1.0])
    np.testing.assert_allclose(lower.lines[0].get_ydata(), [50, 50])  # percent
    # 0.05 in one half and 0.1 in the other
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["XE, ECE 0.075", "XEMD, ECE 0.075"]


def test_it_is_written(tmp_path):
    reliability_diagram({"xe": BINS}, path=tmp_path / "reliability.png")
    assert_good_png(tmp_path / "reliability.png")


def test_no_loss():
    refused(
        reliability_diagram,
        "bins must hold at least one loss; got none; pass {loss: reliability(confidences, hits)}",
        {},
    )
