"""Means over folds and seeds, worked by hand."""

import re
from dataclasses import replace

import pytest
from tests.reports.run_folders import REAL, log_of, sections_of


def only_cell(tmp_path, *runs):
    (section,) = sections_of(tmp_path, *runs)
    (cell,) = section.cells.values()
    return cell


class TestMeans:
    @pytest.mark.parametrize(
        ("values", "average", "folds", "seeds", "left_out"),
        [
            # The means of the seeds are 0.5 and 0.75: two deviations of 0.125, over 1.
            ({(1, 0): 0.25, (1, 1): 0.75, (2, 0): 0.5, (2, 1): 1.0}, (0.625, 0.03125**0.5), (0, 1), (1, 2), []),
            # One seed has no spread.
            ({(1, fold): 0.125 * fold for fold in range(5)}, (0.25, None), (0, 1, 2, 3, 4), (1,), []),
            # A seed that lacks a fold is left out; where none has all, the most seeds with the most folds count.
            ({(1, 0): 0.5, (1, 1): 0.5, (2, 0): 0.5, (2, 1): 0.5, (3, 0): 1.0}, (0.5, 0), (0, 1), (1, 2), [(3, 0)]),
            (
                {(1, 0): 1, (1, 1): 1, (2, 1): 0.5, (2, 2): 0.5, (3, 1): 0.5, (3, 2): 0.5, (4, 0): 1},
                (0.5, 0), (1, 2), (2, 3), [(1, 0), (1, 1), (4, 0)],
            ),
        ],
    )  # fmt: skip
    def test_over_folds_then_over_seeds(self, tmp_path, values, average, folds, seeds, left_out):
        cell = only_cell(tmp_path, *({"seed": s, "fold": f, "eval_aem": v} for (s, f), v in values.items()))
        assert cell.averages["eval_aem"] == pytest.approx(average)
        assert (cell.folds, cell.seeds, cell.is_complete) == (folds, seeds, len(folds) == 5)
        assert cell.coverage == f"folds {len(folds)} of 5, seeds {len(seeds)}"
        assert [(run.seed, run.fold) for run in cell.left_out] == left_out

    def test_a_metric_that_a_run_lacks_has_no_mean(self, tmp_path):
        cell = only_cell(tmp_path, {"fold": 0, "eval_mae": 0.5}, {"fold": 1, "eval_mae": None})
        assert set(cell.averages) == {"eval_aem", "eval_aeo"}

    def test_sdd(self, tmp_path):
        runs = [{"fold": 0, "sdd": 0.25, "sdd_relative": 0.5}, {"fold": 1, "sdd": 0.5}]
        cell = only_cell(tmp_path, *({"loss": "xemd2"} | run for run in runs))
        assert (cell.mean("sdd"), cell.mean("sdd_relative")) == (0.375, None)


class TestCurves:
    def test_the_mean_of_the_runs_that_are_averaged(self, tmp_path):
        cell = only_cell(
            tmp_path,
            {"fold": 0, "log": log_of(aem=[0.25, 0.5], aeo=[0.5, 1.0])},
            {"fold": 1, "log": log_of(aem=[0.75, 1.0], aeo=[0.5, 0.0])},
            {"fold": 0, "seed": 7, "log": log_of(aem=[1.0, 1.0], aeo=[1.0, 1.0])},
        )
        assert cell.history == [
            {"epoch": 1.0, "eval_aem": 0.5, "eval_aeo": 0.5},
            {"epoch": 2.0, "eval_aem": 0.75, "eval_aeo": 0.5},
        ]

    def test_none_where_a_run_has_no_log(self, tmp_path):
        assert only_cell(tmp_path, {"fold": 0, "log": log_of(aem=[0.5])}, {"fold": 1}).history == []


class TestTime:
    def test_the_median_of_the_ratios_within_a_command(self, tmp_path):
        runs = [
            {"loss": "xe", "job": "a", "fold": 0, "cpu_seconds_per_step": 1.0},
            {"loss": "xe", "job": "a", "fold": 1, "cpu_seconds_per_step": 3.0},
            {"loss": "emd", "job": "a", "fold": 0, "cpu_seconds_per_step": 3.0},  # 3 / 2
            {"loss": "xe", "job": "b", "fold": 2, "cpu_seconds_per_step": 4.0},
            {"loss": "emd", "job": "b", "fold": 2, "cpu_seconds_per_step": 5.0},  # 5 / 4
            {"loss": "emd", "job": "c", "fold": 3, "cpu_seconds_per_step": 100.0},  # no XE
        ]
        (section,) = sections_of(tmp_path, *runs)
        assert section.cells["small", "", "emd"].relative_time == 1.375
        assert section.cells["small", "", "xe"].relative_time == 1.0

    @pytest.mark.parametrize(
        "other", [{"job": ""}, {"cpu_seconds_per_step": None}, {"model": "res"}, {"variant": "8 bins"}]
    )
    def test_none_without_an_xe_run_beside_it(self, tmp_path, other):
        (section,) = sections_of(tmp_path, {"loss": "xe"} | other, {"loss": "emd", "job": other.get("job", "a job")})
        assert section.cells["small", "", "emd"].relative_time is None


class TestSections:
    def test_data_and_what_was_tested_on_are_kept_apart_in_the_order_of_the_paper(self, tmp_path):
        sections = sections_of(
            tmp_path,
            {"table": "own_data", "data": "cats"},
            {"table": "aadb"},
            {"tested_on": "validation data"},
            {"tested_on": "test fold"},
            REAL,
            REAL | {"tested_on": "validation data"},
        )
        assert [(section.table, section.data, section.tested_on) for section in sections] == [
            ("adience", "Adience files", "test fold"),
            ("adience", "Adience files", "validation data"),
            ("adience", "drawn faces", "test fold"),
            ("adience", "drawn faces", "validation data"),
            ("aadb", "drawn faces", "test fold"),
            ("own_data", "cats", "test fold"),
        ]
        assert [section.shows_paper for section in sections] == [True, *5 * [False]]

    def test_a_published_model_is_the_papers_network(self, tmp_path):
        (section,) = sections_of(tmp_path, {"model": "res_f"}, {"model": "timm/resnetv2_50.a1h_in1k", "seed": 1})
        assert section.cells["res_f", "", "xe"].seeds == (1, 42)

    def test_networks_and_rows(self, tmp_path):
        aadb = {"table": "aadb", "data": "AADB files", "stand_in": False, "folds": 1}
        own = {"model": "own", "loss": "mine"}
        (section,) = sections_of(tmp_path, aadb | own, aadb | {"model": "vgg_f", "loss": "emd", "variant": "3 bins"})
        assert (section.networks(), section.rows("vgg_f")) == (["vgg_f", "own"], [("emd", "3 bins")])
        section = replace(section, all_rows=True)
        assert section.networks() == ["res", "res_f", "vgg_f", "own"]
        five = [(loss, "") for loss in ("xe", "reg", "emd", "xemd1", "xemd2")]
        assert section.rows("res") == five
        assert section.rows("vgg_f") == [*five, ("emd", "ensemble of 8"), ("emd", "3 bins")]
        assert section.rows("own") == [*five, ("mine", "")]
        assert section.metrics() == ["eval_spearman", "eval_aem", "eval_aeo"]

    @pytest.mark.parametrize(("field", "value"), [("folds", 3), ("class_names", ["a", "b", "c"])])
    def test_runs_that_belong_together_must_agree(self, tmp_path, field, value):
        message = (
            f"runs that are averaged must have the same {field}; {tmp_path / '000'} and {tmp_path / '001'} differ; "
            "report them apart, or correct their 'data'"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            sections_of(tmp_path, {}, {"seed": 1, field: value})
