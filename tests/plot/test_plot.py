"""The pictures, inspected as figures and as pixels."""

import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from tests.plot.distances import AGES, of_line, without
from tests.reports.pictures import assert_good_png

from squared_emd import plot
from squared_emd.plot.block_means import block_means
from squared_emd.plot.class_map_figure import classical_mds


def shown_names(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def refused(draw, message, *args, **kwargs):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        draw(*args, **kwargs)


def groups(num_groups, size, seed=0):
    """Distances of classes in groups, shuffled; and the group of each."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(num_groups), size))
    points = 3 * rng.normal(size=(num_groups, 8))[group] + 0.3 * rng.normal(size=(len(group), 8))
    return np.linalg.norm(points[:, None] - points, axis=-1), group


class TestHeatMap:
    def test_order_of_the_classes(self):
        axes = plot.heat_map(torch.tensor(of_line(4)), class_names=AGES, title="D").axes[0]
        assert shown_names(axes) == AGES
        np.testing.assert_allclose(axes.images[0].get_array(), of_line(4))
        assert (axes.get_title(), axes.get_xlabel()) == ("D", "")

    def test_seriation(self):
        places = [2, 0, 3, 1]
        figure = plot.heat_map(
            of_line(4)[np.ix_(places, places)], order="seriation", class_names=[AGES[k] for k in places]
        )
        axes = figure.axes[0]
        assert shown_names(axes) in (AGES, AGES[::-1])
        np.testing.assert_allclose(axes.images[0].get_array(), of_line(4))
        assert axes.get_xlabel() == "Near classes side by side (seriation)."

    def test_many_classes_in_seriation_keep_their_numbers(self):
        matrix, group = groups(6, 10)
        axes = plot.heat_map(matrix, order="seriation", class_names=[f"of {k}" for k in group]).axes[0]
        for name in shown_names(axes):
            number, kind = re.fullmatch(r"(\d+) of (\d)", name).groups()
            assert group[int(number)] == int(kind)
        names = shown_names(plot.heat_map(matrix, order="seriation").axes[0])
        assert all(re.fullmatch(r"\d+", name) for name in names)  # a number is not written twice

    def test_unknown_classes_are_grey_and_counted(self, tmp_path):
        figure = plot.heat_map(without(of_line(4), 1), class_names=AGES, path=tmp_path / "d.png")
        axes = figure.axes[0]
        mask = np.ma.getmaskarray(axes.images[0].get_array())
        assert mask[1].all() and mask[:, 1].all() and mask.sum() == 7
        assert {text.get_position() for text in axes.texts} == {(x, y) for x in (0, 2, 3) for y in (0, 2, 3)}
        assert axes.get_xlabel() == "Grey: 1 class that D does not know."
        assert_good_png(tmp_path / "d.png")

    def test_a_matrix_of_zeros_has_no_unknown_class(self):
        axes = plot.heat_map(np.zeros((3, 3))).axes[0]
        assert axes.get_xlabel() == ""
        assert len(axes.texts) == 9

    @pytest.mark.parametrize("order", ["classes", "seriation"])
    def test_thousands_of_classes_are_drawn_as_blocks(self, order):
        matrix = torch.tensor(of_line(2100), dtype=torch.float32)
        axes = plot.heat_map(matrix, order=order).axes[0]
        assert axes.get_xlabel().endswith("A cell is the mean of 3 x 3 classes.")
        assert shown_names(axes)[:2] == ["0", "150"]
        assert axes.images[0].get_array().shape == (700, 700)
        if order == "classes":  # the 1st to the 3rd against the 2098th to the 2100th
            assert axes.images[0].get_array()[0, 699] == pytest.approx(2097 / 2100)

    @pytest.mark.parametrize("order", ["classes", "seriation"])
    def test_png_of_1000_classes(self, order, tmp_path):
        plot.heat_map(groups(20, 50)[0], order=order, path=tmp_path / "d.png")
        assert all(1000 <= side <= 2000 for side in Image.open(tmp_path / "d.png").size)

    def test_no_such_order(self):
        refused(plot.heat_map, 'order must be "classes" or "seriation", got \'age\'.', of_line(3), order="age")

    def test_nan_leaves_no_file(self, tmp_path):
        message = "matrix must be finite; got nan in row 0, column 1; set unknown distances to 0"
        refused(plot.heat_map, message, [[0, np.nan], [1, 0]], path=tmp_path / "d.png")
        assert not list(tmp_path.iterdir())


class TestBlockMeans:
    @pytest.mark.parametrize("size", [1, 3, 4, 7, 30])
    def test_against_one_block_at_a_time(self, size):
        rng = np.random.default_rng(0)
        matrix = without(rng.uniform(0.1, 1, size=(17, 17)), 2, 9, 10, 11)
        known = matrix.any(axis=1)
        means = block_means(torch.tensor(matrix), size)
        starts = range(0, 17, size)
        assert means.shape == (len(starts), len(starts))
        for i, start in enumerate(starts):
            for j, other in enumerate(starts):
                block = matrix[start : start + size, other : other + size]
                block = block[known[start : start + size]][:, known[other : other + size]]
                assert means[i, j] == pytest.approx(block.mean() if block.size else 0)


class TestClassMap:
    def test_places_and_path(self):
        figure = plot.class_map(of_line(4), class_names=AGES, title="Ages")
        (axes,) = figure.axes
        np.testing.assert_allclose(axes.lines[0].get_xydata(), classical_mds(of_line(4))[0])
        assert {text.get_text() for text in axes.texts} >= set(AGES)
        assert not plot.class_map(of_line(4), ordered=False).axes[0].lines

    def test_many_classes_are_named_along_the_order(self):
        axes, bar = plot.class_map(of_line(96)).axes
        assert bar.get_ylabel() == "class, in order"
        names = [text.get_text() for text in axes.texts if text.get_text()]
        assert [int(name) for name in names] == list(range(0, 96, 5))
        assert axes.collections[0].get_array().tolist() == list(range(96))

    def test_png(self, tmp_path):
        plot.class_map(groups(20, 50)[0], path=tmp_path / "map.png")
        assert_good_png(tmp_path / "map.png")


class TestDendrogram:
    def test_joins_where_scipy_joins(self):
        matrix, _ = groups(3, 4)
        for method in ("average", "single", "complete"):
            (axes,) = plot.dendrogram(matrix, method=method).axes
            drawn = [segment[:, 0].max() for segment in axes.collections[0].get_segments()]
            expected = linkage(squareform(matrix, checks=False), method)[:, 2]
            np.testing.assert_allclose(sorted(drawn), sorted(expected))

    def test_leaves_of_a_group_stand_together(self):
        matrix, group = groups(4, 5)
        names = shown_names(plot.dendrogram(matrix, class_names=group).axes[0])
        assert sum(a != b for a, b in pairwise(names)) == 3

    def test_classes_in_order_from_top_to_bottom(self):
        (axes,) = plot.dendrogram(of_line(4) ** 1.1, class_names=AGES).axes
        places = axes.transData.transform(np.column_stack([np.zeros(4), axes.get_yticks()]))[:, 1]
        assert (np.diff(places) < 0).all()
        assert shown_names(axes) == AGES

    def test_unknown_classes_are_left_out_and_counted(self):
        (axes,) = plot.dendrogram(without(of_line(5), 1, 2)).axes
        assert shown_names(axes) == ["0", "3", "4"]
        assert axes.get_xlabel().splitlines()[1] == "2 classes that D does not know left out."

    def test_many_classes_end_in_clusters(self):
        matrix, group = groups(40, 25)
        (axes,) = plot.dendrogram(matrix, class_names=[f"g{k}" for k in group]).axes
        assert sorted(shown_names(axes)) == sorted(f"g{k} and 24 more" for k in range(40))
        assert axes.get_xlabel().splitlines()[1] == "The 40 uppermost clusters of 1000 classes."

    def test_a_chain_of_1000_classes(self):
        """Which is a tree 1,000 levels deep."""
        plot.dendrogram(np.abs(np.subtract.outer(*2 * [1.01 ** np.arange(1000)])), method="single")

    def test_png(self, tmp_path):
        plot.dendrogram(of_line(8), path=tmp_path / "tree.png", title="Classes")
        assert_good_png(tmp_path / "tree.png", least_height=300)

    @pytest.mark.parametrize("source", [[[0]], np.zeros((1, 1))])
    def test_too_few_classes(self, source):
        message = "a dendrogram needs a distance between two classes or more; source has 1."
        refused(plot.dendrogram, message, source)


class TestImport:
    def test_nothing_heavy_before_it_is_used_and_never_pyplot(self):
        """The callback that draws in trackers imports none of them, and nothing that draws."""
        code = (
            "import sys, squared_emd.plot as plot\n"
            "heavy = {'matplotlib', 'matplotlib.pyplot', 'scipy', 'transformers', 'tensorboard', 'trackio', 'wandb'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
            "import squared_emd.training.tracker_figures\n"
            "print('matplotlib' in sys.modules, heavy & {'tensorboard', 'trackio', 'wandb'} & set(sys.modules))\n"
            "plot.heat_map([[0, 1], [1, 0]])\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["[]", "False set()", "['matplotlib', 'scipy', 'transformers']"]
