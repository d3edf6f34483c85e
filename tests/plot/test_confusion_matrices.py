"""The confusion matrix as a figure."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from tests.reports.pictures import assert_good_png

from squared_emd.plot.confusion_matrices import confusion_matrix_figure, plot_confusion_matrix

NAMES = ["young", "grown", "old"]
COUNTS = [[2, 1, 0], [0, 1, 0], [1, 0, 1]]


class TestConfusionMatrix:
    def test_rows_are_true_and_columns_predicted(self):
        axes, color_bar = confusion_matrix_figure(COUNTS, NAMES, "title").axes
        assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "title")
        assert color_bar.get_ylabel() == "share of the true class"
        shown = {(row, column): text.get_text() for text in axes.texts for column, row in [text.get_position()]}
        assert {place: int(text) for place, text in shown.items()} == dict(np.ndenumerate(np.array(COUNTS)))

    def test_colour_is_the_share_of_the_row(self):
        image = confusion_matrix_figure(COUNTS, NAMES).axes[0].images[0]
        np.testing.assert_allclose(image.get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [1 / 2, 0, 1 / 2]])
        assert image.get_clim() == (0, 1)

    def test_a_class_without_rows_is_light(self):
        image = confusion_matrix_figure([[0, 0], [1, 3]], ["a", "b"]).axes[0].images[0]
        np.testing.assert_allclose(image.get_array(), [[0, 0], [0.25, 0.75]])

    def test_large_counts_fit_their_cells(self):
        small, large = (confusion_matrix_figure([[n, 0], [0, n]], ["a", "b"]).axes[0].texts for n in (10, 12_345_678))
        assert large[0].get_text() == "12345678"
        assert large[0].get_fontsize() == pytest.approx(small[0].get_fontsize() / 2)
        assert to_rgb(large[0].get_color()) == (1, 1, 1)  # on the darkest colour

    @pytest.mark.parametrize("num_classes", [2, 20, 21, 256])
    def test_picture(self, tmp_path, num_classes):
        names = [f"a class called {index}" for index in range(num_classes)]
        path = tmp_path / "counts.png"
        plot_confusion_matrix(np.eye(num_classes, dtype=int) * 3 + 1, names, path)
        assert_good_png(path)
        texts = confusion_matrix_figure(np.eye(num_classes), names).axes[0].texts
        assert len(texts) == (num_classes**2 if num_classes <= 20 else 0)

    def test_what_cannot_be_drawn(self):
        with pytest.raises(
            ValueError, match=r"^counts must be 0 or more; got -1; pass how often each pair of classes came$"
        ):
            confusion_matrix_figure([[1, -1], [0, 1]], ["a", "b"])
        with pytest.raises(ValueError, match="class_names must hold one name per row of matrix, 2; got 1"):
            confusion_matrix_figure([[1, 0], [0, 1]], ["a"])
