"""Maps of the classes: distances against those of known points, names against one another."""

import re

import numpy as np
import pytest
from tests.reports.pictures import assert_good_png
from tests.reports.run_folders import line_distances

from squared_emd.plot.class_map_figure import class_map_figure, classical_mds, plot_class_map
from squared_emd.reports.paper import PAPER_GROUND_DISTANCE


def distances(points):
    return np.linalg.norm(points[:, None] - points, axis=-1)


class TestClassicalMDS:
    def test_points_in_the_plane_are_found_again(self):
        points = np.random.default_rng(0).normal(size=(9, 2))
        found, share = classical_mds(distances(points))
        np.testing.assert_allclose(distances(found), distances(points), atol=1e-12)
        assert share == pytest.approx(1)

    def test_share_of_a_box(self):
        # corners of a box with sides 2, 4 and 6 about 0: their scatter along the axes is 8 * 1, 8 * 4 and 8 * 9
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-3, 3)], dtype=float)
        found, share = classical_mds(distances(corners))
        assert share == pytest.approx(13 / 14)
        assert sorted((found**2).sum(axis=0)) == pytest.approx([32, 72])

    def test_distances_that_no_points_have(self):
        # 0 and 1 are far apart and both near to 2: -J D^2 J / 2 has the eigenvalues 2 and -1/2
        found, share = classical_mds([[0, 2, 0.5], [2, 0, 0.5], [0.5, 0.5, 0]])
        np.testing.assert_allclose(found, [[-1, 0], [1, 0], [0, 0]], atol=1e-12)
        assert share == pytest.approx(2 / 2.5)

    def test_the_first_class_lies_to_the_left_and_above(self):
        for turn in range(4):
            points = np.array([[2.0, 1.0], [-1.0, 3.0], [-4.0, -2.0]]) @ np.linalg.matrix_power([[0, 1], [-1, 0]], turn)
            found, _ = classical_mds(distances(points))
            assert found[0, 0] < 0 < found[0, 1]

    def test_an_order_is_a_line_from_left_to_right(self):
        found, share = classical_mds(line_distances(5))
        np.testing.assert_allclose(found[:, 0], np.arange(-2, 3) / 5, atol=1e-12)
        np.testing.assert_allclose(found[:, 1], 0, atol=1e-6)
        assert share == pytest.approx(1)

    @pytest.mark.parametrize("num_classes", [1, 3])
    def test_no_distance_at_all(self, num_classes):
        found, share = classical_mds(np.zeros((num_classes, num_classes)))
        assert found.tolist() == [[0, 0]] * num_classes
        assert share == 1


class TestClassMap:
    def test_points_names_order_and_share(self):
        names = [f"class {index}" for index in range(8)]
        figure = class_map_figure(PAPER_GROUND_DISTANCE, names, "Adience", ordered=True)
        (axes,) = figure.axes
        points, share = classical_mds(PAPER_GROUND_DISTANCE)
        np.testing.assert_allclose(axes.lines[0].get_xydata(), points)
        np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
        assert axes.get_title() == "Adience"
        assert axes.get_aspect() == 1
        assert axes.get_xlabel() == (
            f"Two dimensions explain {100 * share:.0f} % of the squared distances. "
            "The line follows the order of the classes."
        )
        assert [text.get_text() for text in axes.texts] == names
        assert [text.xy for text in axes.texts] == [tuple(point) for point in points]

    def test_classes_without_an_order_are_not_joined(self):
        assert not class_map_figure(line_distances(3), list("abc")).axes[0].lines

    def test_an_unknown_class_is_left_out(self):
        matrix = line_distances(4)
        matrix[2] = matrix[:, 2] = 0
        (axes,) = class_map_figure(matrix, list("abcd")).axes
        assert [text.get_text() for text in axes.texts] == ["a", "b", "d"]
        assert axes.get_xlabel().splitlines()[1] == "1 class without a known distance left out."

    def test_many_classes_have_some_names_with_numbers(self):
        points = np.random.default_rng(0).normal(size=(60, 2))
        (axes,) = class_map_figure(distances(points), [f"name {index}" for index in range(60)]).axes
        names = [text.get_text() for text in axes.texts if text.get_text()]
        assert len(names) == 20
        outermost = np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()
        assert names[0] == f"{outermost} name {outermost}"

    @pytest.mark.parametrize("case", ["line", "scattered", "clustered", "ordered"])
    def test_names_cover_neither_names_nor_points_nor_the_edge(self, case):
        rng = np.random.default_rng(1)
        points = rng.normal(size=(20, 4))
        points[:12] *= 0.3 if case == "clustered" else 1
        matrix = line_distances(12) if case == "line" else distances(points)
        names = [f"a rather long name {index}" for index in range(len(matrix))]
        figure = class_map_figure(matrix, names, ordered=case in ("line", "ordered"))
        figure.draw_without_rendering()
        (axes,) = figure.axes
        room = axes.get_window_extent()
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(boxes) == len(matrix)
        for index, box in enumerate(boxes):
            assert room.x0 <= box.x0 < box.x1 <= room.x1
            assert room.y0 <= box.y0 < box.y1 <= room.y1
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])
            for x, y in axes.transData.transform(axes.collections[0].get_offsets()):
                assert not box.contains(x, y)

    @pytest.mark.parametrize("num_classes", [1, 2, 8, 20, 200])
    def test_png(self, num_classes, tmp_path):
        points = np.random.default_rng(0).normal(size=(num_classes, 3))
        plot_class_map(
            distances(points), ["a $class"] * num_classes, tmp_path / "map.png", title="Classes", ordered=True
        )
        assert_good_png(tmp_path / "map.png")

    def test_a_bad_matrix_leaves_no_file(self, tmp_path):
        message = "matrix must be finite; got nan in row 0, column 1; set unknown distances to 0"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            plot_class_map([[0, np.nan], [1, 0]], ["a", "b"], tmp_path / "map.png")
        assert not list(tmp_path.iterdir())
