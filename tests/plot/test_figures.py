"""What all figures share: a long title is broken into lines."""

import numpy as np
import pytest
from tests.plot.matrices import of_line

from squared_emd import plot
from squared_emd.metrics import reliability

LOG = [{"epoch": 1.0, "eval_aem": 0.5}]
TITLE = ", ".join(["A title of a network and of a file of one's own"] * 3)


@pytest.mark.parametrize(
    "draw",
    [
        lambda title: plot.heat_map(of_line(3), title=title),
        lambda title: plot.confusion_matrix(np.eye(3), ["a", "b", "c"], title=title),
        lambda title: plot.class_map(of_line(3), title=title),
        lambda title: plot.dendrogram(of_line(3), title=title),
        lambda title: plot.history([of_line(3)] * 2, title=title),
        lambda title: plot.learning_curves({"xe": LOG}, metrics=["eval_aem"], title=title),
        lambda title: plot.reliability_diagram(
            {"xe": reliability(np.array([0.5, 0.75]), np.array([True, False]))}, title=title
        ),
    ],
)
def test_a_long_title_is_not_cut_off(draw):
    figure = draw(TITLE)
    figure.draw_without_rendering()
    (title,) = figure.findobj(lambda artist: getattr(artist, "get_text", str)() == TITLE)
    box = title.get_window_extent()
    assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
