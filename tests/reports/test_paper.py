"""The paper's figures, held against those it prints bold and against what its text says."""

import numpy as np
import pytest

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.metrics.names import TABLES, loss_name, network_name, network_of
from squared_emd.reports.paper import (
    LAYOUTS,
    PAPER_AADB,
    PAPER_ADIENCE,
    PAPER_GROUND_DISTANCE,
    PAPER_IMAGENET,
    PAPER_IMAGES_OF_GROUPS,
)
from squared_emd.vision.paper_networks import PRETRAINED

FIVE = ["xe", "reg", "emd", "xemd1", "xemd2"]


def columns(figures, network, losses):
    return list(zip(*(figures[network][loss] for loss in losses), strict=True))


class TestFigures:
    """Each network's column as the paper prints it, read off again by network where the source has rows by loss."""

    def test_table_1(self):
        assert list(PAPER_ADIENCE) == ["alxs", "vgg_f", "res", "res_f"]
        assert all(list(figures) == [*FIVE, "a-emd"] for figures in PAPER_ADIENCE.values())
        losses = [*FIVE, "a-emd"]
        assert columns(PAPER_ADIENCE, "alxs", losses) == [
            (53.0, 49.8, 57.0, 54.2, 54.8, 53.9), (85.7, 85.1, 90.4, 88.0, 87.5, 88.7),
        ]  # fmt: skip
        assert columns(PAPER_ADIENCE, "vgg_f", losses) == [
            (60.9, 56.5, 59.2, 60.7, 61.1, 60.1), (92.8, 94.0, 92.6, 93.7, 94.0, 93.4),
        ]  # fmt: skip
        assert columns(PAPER_ADIENCE, "res", losses) == [
            (58.1, 57.3, 61.9, 60.2, 60.2, 58.7), (90.3, 91.8, 93.1, 92.4, 92.7, 91.7),
        ]  # fmt: skip
        assert columns(PAPER_ADIENCE, "res_f", losses) == [
            (60.1, 60.8, 62.2, 61.9, 61.5, 59.6), (92.1, 94.3, 94.3, 93.8, 94.2, 92.5),
        ]  # fmt: skip

    def test_table_2(self):
        matrix = np.array(PAPER_GROUND_DISTANCE)
        assert matrix.shape == (len(AGE_GROUPS),) * 2
        assert (matrix == matrix.T).all()
        assert (np.diag(matrix) == 0).all()
        assert matrix.sum() == pytest.approx(35.18)  # as docs/method.md counts it
        assert matrix[3, 4] < matrix[3, 2]  # section 4.4: 15-20 is more similar to 25-32 than to 8-13

    def test_table_3(self):
        assert list(PAPER_IMAGES_OF_GROUPS) == ["res", "res_f", "vgg_f"]
        assert columns(PAPER_IMAGES_OF_GROUPS, "res", FIVE) == [
            (60.0, 52.8, 59.3, 58.2, 60.1), (91.5, 92.2, 92.5, 91.7, 93.1),
        ]  # fmt: skip
        assert columns(PAPER_IMAGES_OF_GROUPS, "res_f", FIVE) == [
            (61.8, 61.4, 63.1, 64.2, 64.5), (94.2, 95.7, 95.3, 96.1, 95.8),
        ]  # fmt: skip
        assert columns(PAPER_IMAGES_OF_GROUPS, "vgg_f", FIVE) == [
            (64.3, 60.2, 65.0, 63.8, 64.6), (95.6, 96.6, 96.1, 95.4, 96.1),
        ]  # fmt: skip

    def test_table_4(self):
        assert list(PAPER_AADB) == ["res", "res_f", "vgg_f"]
        assert columns(PAPER_AADB, "res", FIVE) == [(0.5003, 0.5235, 0.5448, 0.5370, 0.5147)]
        assert columns(PAPER_AADB, "res_f", FIVE) == [(0.6693, 0.6609, 0.6768, 0.6751, 0.6756)]
        assert columns(PAPER_AADB, "vgg_f", FIVE) == [(0.6283, 0.6096, 0.6682, 0.6371, 0.6297)]
        assert LAYOUTS["aadb"].paper_figure("vgg_f", "ensemble of 8", "emd", "eval_spearman") == 0.6889
        assert LAYOUTS["aadb"].paper_figure("res_f", "ensemble of 8", "emd", "eval_spearman") is None

    def test_table_5(self):
        assert PAPER_IMAGENET == {
            "alx": {"xe": (0.435, 0.207), "xemd1": (0.422, 0.202)},
            "res": {"xe": (0.232, 0.0657), "xemd1": (0.233, 0.0652)},
        }

    def test_sdd_of_section_4_7(self):
        assert {name: layout.paper_sdd for name, layout in LAYOUTS.items() if layout.number} == {
            "adience": 0.0335, "images_of_groups": 0.0164, "aadb": 0.0184, "imagenet": 0.00614,
        }  # fmt: skip


class TestLayouts:
    def test_titles(self):
        assert [layout.title for layout in LAYOUTS.values()] == [
            "Table 1: Adience",
            "Table 3: Images of Groups",
            "Table 4: AADB",
            "Table 5: ImageNet ILSVRC 2012",
            "Own data",
            "Texts",
            "Sounds",
            "Table",
        ]

    def test_each_row_has_a_figure_for_each_metric(self):
        for layout in LAYOUTS.values():
            for rows in (layout.figures or {}).values():
                assert all(len(row) == len(layout.metrics) for row in rows.values())

    def test_figures_by_metric(self):
        layout = LAYOUTS["adience"]
        assert layout.paper_figure("res_f", "", "emd", "eval_aeo") == 94.3
        assert layout.paper_figure("res_f", "", "emd", "eval_mae") is None
        assert layout.paper_figure("small", "", "emd", "eval_aeo") is None
        assert LAYOUTS["own_data"].paper_figure("res_f", "", "emd", "eval_aeo") is None


class TestNames:
    def test_pretrained_models_are_the_networks_that_the_package_takes_for_them(self):
        assert {name: network_of(model) for name, model in PRETRAINED.items()} == {name: name for name in PRETRAINED}
        assert network_of("timm/resnet18.a1_in1k") == "timm/resnet18.a1_in1k"

    def test_shown(self):
        shown = [network_name(name) for name in ("alxs", "alx", "vgg_f", "res", "res_f", "small")]
        assert shown == ["ALXs", "ALX", "VGG_F", "RES", "RES_F", "small"]
        assert [loss_name("a-emd"), loss_name("mine"), loss_name("xe", "3 bins")] == ["A-EMD", "mine", "XE, 3 bins"]

    def test_tables(self):
        assert tuple(LAYOUTS) == TABLES
