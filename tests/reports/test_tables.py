"""Tables of results: exact texts worked by hand."""

from tests.reports.run_folders import REAL, log_of, write_run

from squared_emd.reports.records import read_runs
from squared_emd.reports.summary import summarize
from squared_emd.reports.tables import markdown_table, more_rows, result_rows, text_table


def section_of(tmp_path, *runs):
    for index, run in enumerate(runs):
        write_run(tmp_path / f"{index:03}", **run)
    (section,) = summarize(read_runs([tmp_path]))
    return section


def adience(loss, seed=1, folds=range(5), **results):
    return [{"loss": loss, "seed": seed, "fold": fold} | results for fold in folds]


class TestResultRows:
    def test_table_1_on_drawn_faces(self, tmp_path):
        section = section_of(
            tmp_path,
            *adience("xe", 1, eval_aem=0.5, eval_aeo=0.875, eval_mae=0.5, eval_squared_emd=0.25),
            *adience("xe", 2, eval_aem=0.75, eval_aeo=0.875, eval_mae=0.5, eval_squared_emd=0.5),
            *adience("reg", 1, folds=(0, 1), eval_aem=0.4, eval_aeo=0.95, eval_mae=0.625),
            *adience("own", 1, eval_aem=1.0, eval_aeo=1.0, eval_mae=0.0, eval_squared_emd=0.0),
        )
        # the seeds of XE: AEM 50 and 75, 12.5 from their mean, so that the spread is 12.5 times the root of 2
        assert text_table(result_rows(section, "small")) == "\n".join(
            [
                "small         AEM %        AEO %             MAE            EMD2          averaged over",
                "---------------------------------------------------------------------------------------",
                "XE     62.5 +- 17.7  87.5 +- 0.0  0.500 +- 0.000  0.375 +- 0.177  folds 5 of 5, seeds 2",
                "REG           40.0*        95.0*          0.625*               -  folds 2 of 5, seeds 1",
                "EMD         not run      not run         not run         not run                      -",
                "XEMD1       not run      not run         not run         not run                      -",
                "XEMD2       not run      not run         not run         not run                      -",
                "A-EMD       not run      not run         not run         not run                      -",
                "own           100.0        100.0           0.000           0.000  folds 5 of 5, seeds 1",
            ]
        )

    def test_table_1_beside_the_papers_figures(self, tmp_path):
        section = section_of(tmp_path, *(REAL | run for run in adience("emd", eval_aem=0.625, eval_aeo=0.9375)))
        assert text_table(result_rows(section, "res_f")) == "\n".join(
            [
                "RES_F    AEM %  paper    AEO %  paper          averaged over",
                "------------------------------------------------------------",
                "XE     not run   60.1  not run   92.1                      -",
                "REG    not run   60.8  not run   94.3                      -",
                "EMD       62.5   62.2     93.8   94.3  folds 5 of 5, seeds 1",
                "XEMD1  not run   61.9  not run   93.8                      -",
                "XEMD2  not run   61.5  not run   94.2                      -",
                "A-EMD  not run   59.6  not run   92.5                      -",
            ]
        )
        assert result_rows(section, "alxs")[1] == ["XE", "not run", "53.0", "not run", "85.7", "-"]

    def test_table_4_with_the_ensemble(self, tmp_path):
        common = {"table": "aadb", "data": "AADB", "stand_in": False, "folds": 1, "model": "vgg_f"}
        common |= {"eval_aem": None, "eval_aeo": None, "loss": "emd", "tested_on": "test data"}
        section = section_of(
            tmp_path,
            common | {"eval_spearman": 0.65432, "eval_score_mae": 0.125},
            common | {"eval_spearman": 0.7, "variant": "ensemble of 8", "class_names": []},
        )
        assert text_table(result_rows(section, "vgg_f")) == "\n".join(
            [
                "VGG_F                   rho   paper  Score MAE          averaged over",
                "---------------------------------------------------------------------",
                "XE                  not run  0.6283    not run                      -",
                "REG                 not run  0.6096    not run                      -",
                "EMD                  0.6543  0.6682      0.125  folds 1 of 1, seeds 1",
                "XEMD1               not run  0.6371    not run                      -",
                "XEMD2               not run  0.6297    not run                      -",
                "EMD, ensemble of 8   0.7000  0.6889          -  folds 1 of 1, seeds 1",
            ]
        )

    def test_table_5(self, tmp_path):
        results = {"table": "imagenet", "data": "ImageNet", "stand_in": False, "folds": 1, "model": "res"}
        results |= {"eval_aem": None, "eval_aeo": None, "eval_top_1_error": 0.25, "eval_top_5_error": 0.0625}
        section = section_of(tmp_path, results | {"tested_on": "published validation data", "loss": "xemd1"})
        assert text_table(result_rows(section, "res")) == "\n".join(
            [
                "RES    Top-1 error  paper  Top-5 error   paper          averaged over",
                "---------------------------------------------------------------------",
                "XE         not run  0.232      not run  0.0657                      -",
                "XEMD1        0.250  0.233        0.062  0.0652  folds 1 of 1, seeds 1",
            ]
        )

    def test_own_data_has_what_was_measured(self, tmp_path):
        section = section_of(tmp_path, {"table": "own_data", "folds": 1, "eval_aeo": None})
        assert result_rows(section, "small") == [
            ["small", "AEM %", "averaged over"],
            ["XE", "50.0", "folds 1 of 1, seeds 1"],
        ]

    def test_the_widest_table_fits_the_terminal(self, tmp_path):
        metrics = {"eval_aem": 1.0, "eval_aeo": 1.0, "eval_mae": 10.0, "eval_squared_emd": 10.0, "eval_score_mae": 1.0}
        runs = [
            {"variant": "a variant with a long name", **metrics, "fold": fold, "seed": s}
            for fold in (0, 1)
            for s in (1, 2)
        ]
        section = section_of(tmp_path, *(REAL | run for run in runs))
        table = text_table(result_rows(section, "res_f", most_metrics=4))
        assert table.isascii()
        assert {len(line) for line in table.splitlines()} == {max(map(len, table.splitlines()))}
        assert len(table.splitlines()[0]) <= 120


class TestMoreRows:
    def test_epochs_time_and_sdd(self, tmp_path):
        section = section_of(
            tmp_path,
            {"loss": "xe", "log": log_of(aem=[0.25, 0.5], aeo=[0.75, 0.75])},
            {"loss": "emd", "log": log_of(aem=[0.5, 0.25], aeo=[0.5, 0.5]), "seconds_per_step": 0.625},
            {"loss": "xemd2", "fold": 1, "sdd": 0.03125, "sdd_relative": 0.5, "job": "another"},
        )
        assert text_table(more_rows(section, "small")) == "\n".join(
            [
                "small  XE's AEM at epoch  XE's AEO at epoch  step time / XE's     SDD  SDD / mean distance",
                "------------------------------------------------------------------------------------------",
                "XE            its end: 2         its end: 2              1.00       -                    -",
                "EMD                    1              never              1.25       -                    -",
                "XEMD2                  -                  -                 -  0.0312                0.500",
            ]
        )

    def test_columns_of_which_nothing_is_known_are_left_out(self, tmp_path):
        section = section_of(tmp_path, {"loss": "emd"}, {"loss": "reg"})
        assert more_rows(section, "small") == [["small"], ["REG"], ["EMD"]]


class TestMarkdown:
    def test_signs_that_markdown_would_take(self):
        table = markdown_table([["a|b", "x\ny"], ["<b>", "*"], ["[c]`", "\\"]])
        assert table.splitlines() == [r"| a\|b | x y |", "|:--|--:|", r"| \<b> | \* |", r"| \[c\]\` | \\ |"]
