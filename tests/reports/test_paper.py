"""The paper's figures, read off again column by column, and held against what its text says."""

import numpy as np
import pytest

from squared_emd.data.adience import AGE_GROUPS
from squared_emd.metrics.names import TABLES
from squared_emd.reports.paper import LAYOUTS, PAPER_GROUND_DISTANCE

# Table, network, metric -> the paper's figures in the order of its losses.
COLUMNS = {
    ("adience", "alxs", "eval_aem"): (53.0, 49.8, 57.0, 54.2, 54.8, 53.9),
    ("adience", "alxs", "eval_aeo"): (85.7, 85.1, 90.4, 88.0, 87.5, 88.7),
    ("adience", "vgg_f", "eval_aem"): (60.9, 56.5, 59.2, 60.7, 61.1, 60.1),
    ("adience", "vgg_f", "eval_aeo"): (92.8, 94.0, 92.6, 93.7, 94.0, 93.4),
    ("adience", "res", "eval_aem"): (58.1, 57.3, 61.9, 60.2, 60.2, 58.7),
    ("adience", "res", "eval_aeo"): (90.3, 91.8, 93.1, 92.4, 92.7, 91.7),
    ("adience", "res_f", "eval_aem"): (60.1, 60.8, 62.2, 61.9, 61.5, 59.6),
    ("adience", "res_f", "eval_aeo"): (92.1, 94.3, 94.3, 93.8, 94.2, 92.5),
    ("images_of_groups", "res", "eval_aem"): (60.0, 52.8, 59.3, 58.2, 60.1),
    ("images_of_groups", "res", "eval_aeo"): (91.5, 92.2, 92.5, 91.7, 93.1),
    ("images_of_groups", "res_f", "eval_aem"): (61.8, 61.4, 63.1, 64.2, 64.5),
    ("images_of_groups", "res_f", "eval_aeo"): (94.2, 95.7, 95.3, 96.1, 95.8),
    ("images_of_groups", "vgg_f", "eval_aem"): (64.3, 60.2, 65.0, 63.8, 64.6),
    ("images_of_groups", "vgg_f", "eval_aeo"): (95.6, 96.6, 96.1, 95.4, 96.1),
    ("aadb", "res", "eval_spearman"): (0.5003, 0.5235, 0.5448, 0.5370, 0.5147),
    ("aadb", "res_f", "eval_spearman"): (0.6693, 0.6609, 0.6768, 0.6751, 0.6756),
    ("aadb", "vgg_f", "eval_spearman"): (0.6283, 0.6096, 0.6682, 0.6371, 0.6297, 0.6889),
    ("imagenet", "alx", "eval_top_1_error"): (0.435, 0.422),
    ("imagenet", "alx", "eval_top_5_error"): (0.207, 0.202),
    ("imagenet", "res", "eval_top_1_error"): (0.232, 0.233),
    ("imagenet", "res", "eval_top_5_error"): (0.0657, 0.0652),
}
LOSSES = ["xe", "reg", "emd", "xemd1", "xemd2", "a-emd"]


def test_tables_1_3_4_and_5():
    rows = dict.fromkeys(LAYOUTS, LOSSES[:5]) | {"adience": LOSSES, "imagenet": ["xe", "xemd1"]}
    for (table, network, metric), column in COLUMNS.items():
        layout = LAYOUTS[table]
        ensemble = [("emd", "ensemble of 8")] if (table, network) == ("aadb", "vgg_f") else []
        assert layout.rows_of(network) == [*((loss, "") for loss in rows[table]), *ensemble]
        found = [layout.paper_figure(network, variant, loss, metric) for loss, variant in layout.rows_of(network)]
        assert tuple(found) == column
    shown = {(t, n, m) for t, layout in LAYOUTS.items() for n in layout.networks for m in layout.metrics}
    assert shown == COLUMNS.keys()
    for place in (
        ("res_f", "", "emd", "eval_mae"),
        ("small", "", "emd", "eval_aeo"),
        ("res_f", "8", "emd", "eval_aeo"),
    ):
        assert LAYOUTS["adience"].paper_figure(*place) is None


def test_table_2():
    matrix = np.array(PAPER_GROUND_DISTANCE)
    assert matrix.shape == (len(AGE_GROUPS),) * 2
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 0).all()
    assert matrix.sum() == pytest.approx(35.18)  # as docs/method.md counts it
    assert matrix[3, 4] < matrix[3, 2]  # section 4.4: 15-20 is more similar to 25-32 than to 8-13


def test_titles_and_sdd_of_section_4_7():
    assert tuple(LAYOUTS) == TABLES
    assert [(layout.title, layout.paper_sdd) for layout in LAYOUTS.values()] == [
        ("Table 1: Adience", 0.0335), ("Table 3: Images of Groups", 0.0164), ("Table 4: AADB", 0.0184),
        ("Table 5: ImageNet ILSVRC 2012", 0.00614), ("Own data", None), ("Texts", None), ("Sounds", None),
        ("Table", None),
    ]  # fmt: skip
