"""Class maps and dendrograms: places against those of known points and of SciPy."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from tests.plot.matrices import AGES, NAN, of_groups, of_line, of_points, refused, shown_names, without
from tests.reports.images import assert_good_png

from squared_emd.plot import class_map, dendrogram
from squared_emd.plot.class_maps import embed_classes


class TestEmbedding:
    def test_a_cube_shows_two_of_its_three_dimensions(self):
        # Classical scaling projects a box on its two longest sides, 4 and 6; it loses the side of 2.
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-3, 3)], dtype=float)
        found, stress = embed_classes(of_points(corners))
        assert sorted((found**2).sum(axis=0)) == pytest.approx([32, 72])
        lost = squareform(of_points(corners)) - squareform(of_points(corners[:, 1:]))
        assert stress == pytest.approx(np.sqrt((lost**2).sum() / (squareform(of_points(corners)) ** 2).sum()))
        for first in range(8):  # whichever is the first class, it is on the left above
            x, y = embed_classes(of_points(np.roll(corners, first, axis=0)))[0][0]
            assert (x, y) == pytest.approx((-3, 2))

    def test_distances_that_no_points_have(self):
        # 0 and 1 are far apart and both near to 2: -J D^2 J / 2 has the eigenvalues 2, 0 and -1/2.
        found, stress = embed_classes(np.array([[0, 2, 0.5], [2, 0, 0.5], [0.5, 0.5, 0]]))
        np.testing.assert_allclose(found, [[-1, 0], [1, 0], [0, 0]], atol=1e-7)
        assert stress == pytest.approx(np.sqrt((0.5**2 + 0.5**2) / (4 + 0.25 + 0.25)))

    def test_no_distance_at_all(self):
        found, stress = embed_classes(np.zeros((3, 3)))
        assert (found.tolist(), stress) == ([[0, 0]] * 3, 0)


class TestClassMap:
    def test_points_names_order_and_stress(self):
        (axes,) = class_map(of_line(4) ** 0.5, class_names=AGES, title="Ages").axes
        points, stress = embed_classes(of_line(4) ** 0.5)
        np.testing.assert_allclose(axes.lines[0].get_xydata(), points)
        np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
        assert (axes.get_title(), axes.get_aspect()) == ("Ages", 1)
        assert axes.get_xlabel() == (
            f"Stress {stress:.2f}: the part of the distances that the plane does not show.\n"
            "The line follows the order of the classes."
        )
        assert {text.get_text(): text.xy for text in axes.texts} == dict(zip(AGES, map(tuple, points), strict=True))
        assert not class_map(of_line(4), ordered=False).axes[0].lines

    def test_an_unknown_class_is_left_out(self):
        (axes,) = class_map(without(of_line(4), 2), class_names=AGES).axes
        assert [text.get_text() for text in axes.texts] == ["baby", "child", "old"]
        assert axes.get_xlabel().splitlines()[2] == "1 class that D does not know left out."

    def test_many_classes_are_named_along_the_order(self):
        (axes,) = class_map(of_line(96)).axes
        assert [int(text.get_text()) for text in axes.texts] == list(range(0, 96, 5))

    @pytest.mark.parametrize("case", ["line", "scattered", "clustered"])
    def test_names_cover_neither_names_nor_points(self, case):
        points = np.random.default_rng(1).normal(size=(20, 4))
        points[:12] *= 0.3 if case == "clustered" else 1
        matrix = of_line(12) if case == "line" else of_points(points)
        names = [f"a long name {index}" for index in range(len(matrix))]
        (axes,) = class_map(matrix, class_names=names, ordered=case == "line").axes
        axes.figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        assert len(boxes) == len(matrix)
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])
            for x, y in axes.transData.transform(axes.collections[0].get_offsets()):
                assert not box.contains(x, y)

    def test_png_and_errors(self, tmp_path):
        refused(class_map, NAN, [[0, np.nan], [1, 0]], path=tmp_path / "map.png")
        refused(class_map, "a class map needs a distance between two classes or more; source has 1.", [[0]])
        assert not list(tmp_path.iterdir())
        class_map(of_groups(20, 10)[0], path=tmp_path / "map.png", title="a $class")
        assert_good_png(tmp_path / "map.png")


class TestDendrogram:
    @pytest.mark.parametrize("method", ["average", "single", "complete"])
    def test_joins_where_scipy_joins(self, method):
        matrix, _ = of_groups(3, 4)
        (axes,) = dendrogram(matrix, method=method).axes
        drawn = [path.vertices[:, 0].max() for lines in axes.collections for path in lines.get_paths()]
        np.testing.assert_allclose(sorted(drawn), sorted(linkage(squareform(matrix, checks=False), method)[:, 2]))

    def test_leaves_of_a_group_stand_together(self):
        matrix, group = of_groups(4, 5)
        names = shown_names(dendrogram(matrix, class_names=group).axes[0])
        assert sum(a != b for a, b in pairwise(names)) == 3

    def test_classes_in_order_from_top_to_bottom(self):
        (axes,) = dendrogram(of_line(4) ** 1.1, class_names=AGES).axes
        places = axes.transData.transform(np.column_stack([np.zeros(4), axes.get_yticks()]))[:, 1]
        assert (np.diff(places) < 0).all()
        assert shown_names(axes) == AGES

    def test_unknown_classes_are_left_out_and_counted(self):
        (axes,) = dendrogram(without(of_line(5), 1, 2), class_names=["a", "b", "c", "c" * 40, "c" * 41]).axes
        assert shown_names(axes) == ["0 a", f"3 {'c' * 29}...", f"4 {'c' * 29}..."]
        assert axes.get_xlabel().splitlines()[1] == "2 classes that D does not know left out."

    def test_many_classes_end_in_clusters(self):
        (axes,) = dendrogram(of_groups(40, 5)[0]).axes
        assert shown_names(axes) == ["(5)"] * 40
        assert axes.get_xlabel().splitlines()[1] == "The 40 uppermost clusters of 200 classes."

    def test_png_and_errors(self, tmp_path):
        refused(dendrogram, "a dendrogram needs a distance between two classes or more; source has 1.", [[0]])
        dendrogram(of_line(8), path=tmp_path / "tree.png", title="Classes")
        assert_good_png(tmp_path / "tree.png", least_height=300)
