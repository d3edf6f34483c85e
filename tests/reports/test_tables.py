"""Tables of results as text, Markdown and CSV, worked by hand."""

import csv

import pandas as pd
import pytest
from tests.reports.run_folders import REAL, sections_of, write_run

from squared_emd.reports.records import read_runs
from squared_emd.reports.summary import summarize
from squared_emd.reports.tables import cells_frame, markdown_table, results_frame, runs_frame

PUBLISHED = {"stand_in": False, "folds": 1, "eval_aem": None, "eval_aeo": None}
AADB = PUBLISHED | {"table": "aadb", "data": "AADB", "model": "vgg_f", "loss": "emd", "tested_on": "test data"}
IMAGENET = PUBLISHED | {"table": "imagenet", "data": "ImageNet", "model": "res", "loss": "xemd1"}


def section_of(tmp_path, *runs):
    (section,) = sections_of(tmp_path, *runs, all_rows=True)
    return section


def adience(loss, seed=1, folds=range(5), **results):
    return [{"loss": loss, "seed": seed, "fold": fold} | results for fold in folds]


def rows_of(frame, path):
    """As another program reads them."""
    frame.to_csv(path, index=False)
    return list(csv.DictReader(path.read_text().splitlines()))


class TestResults:
    @pytest.mark.parametrize(
        ("runs", "text"),
        [
            (
                # The seeds of XE: AEM 50 and 75, 12.5 from their mean, so that the spread is 12.5 times the root of 2.
                [
                    *adience("xe", 1, eval_aem=0.5, eval_aeo=0.875, eval_mae=0.5, eval_squared_emd=0.25),
                    *adience("xe", 2, eval_aem=0.75, eval_aeo=0.875, eval_mae=0.5, eval_squared_emd=0.5),
                    *adience("reg", 1, folds=(0, 1), eval_aem=0.4, eval_aeo=0.95, eval_mae=0.625),
                    *adience("own", 1, eval_aem=1.0, eval_aeo=1.0, eval_mae=0.0, eval_squared_emd=0.0),
                ],
                """
                small     AEM %       AEO %        MAE        EMD2       averaged over  CPU time of a step / XE's
                XE     62.5 ± 17.7  87.5 ± 0.0  0.500 ± 0.000  0.375 ± 0.177  folds 5 of 5, seeds 2  1.00
                REG          40.0*       95.0*         0.625*              -  folds 2 of 5, seeds 1  1.00
                EMD        not run     not run        not run        not run                      -  -
                XEMD1      not run     not run        not run        not run                      -  -
                XEMD2      not run     not run        not run        not run                      -  -
                A-EMD      not run     not run        not run        not run                      -  -
                own          100.0       100.0          0.000          0.000  folds 5 of 5, seeds 1  1.00
                """,
            ),
            (
                [REAL | run for run in adience("emd", eval_aem=0.625, eval_aeo=0.9375)],
                """
                RES_F    AEM %  AEM % paper    AEO %  AEO % paper          averaged over
                XE     not run   60.1  not run   92.1                      -
                REG    not run   60.8  not run   94.3                      -
                EMD       62.5   62.2     93.8   94.3  folds 5 of 5, seeds 1
                XEMD1  not run   61.9  not run   93.8                      -
                XEMD2  not run   61.5  not run   94.2                      -
                A-EMD  not run   59.6  not run   92.5                      -
                """,
            ),
            (
                [
                    AADB | {"eval_spearman": 0.65432, "eval_score_mae": 0.125},
                    AADB | {"eval_spearman": 0.7, "variant": "ensemble of 8", "class_names": []},
                ],
                """
                VGG_F                   rho   rho paper  Score MAE          averaged over
                XE                  not run  0.6283    not run                      -
                REG                 not run  0.6096    not run                      -
                EMD                  0.6543  0.6682      0.125  folds 1 of 1, seeds 1
                XEMD1               not run  0.6371    not run                      -
                XEMD2               not run  0.6297    not run                      -
                EMD, ensemble of 8   0.7000  0.6889          -  folds 1 of 1, seeds 1
                """,
            ),
            (
                [IMAGENET | {"eval_top_1_error": 0.25, "eval_top_5_error": 0.0625}],
                """
                RES    Top-1 error  Top-1 error paper  Top-5 error   Top-5 error paper          averaged over
                XE         not run  0.232      not run  0.0657                      -
                XEMD1        0.250  0.233        0.062  0.0652  folds 1 of 1, seeds 1
                """,
            ),
        ],
        ids=["drawn faces", "table 1", "table 4", "table 5"],
    )
    def test_beside_the_papers_figures(self, tmp_path, runs, text):
        """Line by line, whatever the width of the columns."""
        section = section_of(tmp_path, *runs)
        frame = results_frame(section, section.runs[0].network)
        lines = [line.split() for line in text.strip().splitlines()]
        assert [line.split() for line in frame.to_string().splitlines()] == lines

    def test_networks_that_were_not_run_and_fewer_metrics(self, tmp_path):
        section = section_of(tmp_path, REAL)
        assert results_frame(section, "alxs").loc["XE"].tolist() == ["not run", "53.0", "not run", "85.7"]
        columns = results_frame(section, "res_f", most_metrics=1).columns.tolist()
        assert columns == ["AEM %", "AEM % paper", "averaged over", "CPU time of a step / XE's"]

    def test_step_time_and_sdd(self, tmp_path):
        section = section_of(
            tmp_path,
            {"loss": "xe"},
            {"loss": "emd", "cpu_seconds_per_step": 0.625},
            {"loss": "xemd2", "fold": 1, "sdd": 0.03125, "sdd_relative": 0.5, "job": "another"},
        )
        frame = results_frame(section, "small").iloc[:, 3:]
        assert frame.columns.tolist() == ["CPU time of a step / XE's", "SDD", "SDD / mean distance"]
        assert frame.loc[["XE", "EMD", "XEMD2"]].values.tolist() == [
            ["1.00", "-", "-"], ["1.25", "-", "-"], ["-", "0.0312", "0.500"],
        ]  # fmt: skip

    def test_own_data_has_what_was_measured(self, tmp_path):
        section = section_of(tmp_path, {"table": "own_data", "folds": 1, "eval_aeo": None, "job": ""})
        frame = results_frame(section, "small")
        assert (frame.columns.tolist(), frame.loc["XE"].tolist()) == (
            ["AEM %", "averaged over"],
            ["50.0", "folds 1 of 1, seeds 1"],
        )


def test_signs_that_markdown_would_take():
    frame = pd.DataFrame([["*"], ["\\"]], ["<b>", "[c]`"], ["x\ny"]).rename_axis(columns="a|b")
    assert markdown_table(frame).splitlines() == [
        r"| a\|b | x y |", "|:--|--:|", r"| \<b> | \* |", r"| \[c\]\` | \\ |",
    ]  # fmt: skip


class TestCSV:
    def test_cells(self, tmp_path):
        for seed, aem in ((1, 0.5), (2, 0.75)):
            write_run(tmp_path / f"xe_{seed}", seed=seed, eval_aem=aem, **REAL)
        write_run(tmp_path / "aadb", table="aadb", folds=1, eval_aem=None, eval_aeo=None, eval_spearman=0.123456789)
        rows = rows_of(cells_frame(summarize(read_runs([tmp_path]), all_rows=True)), tmp_path / "table.csv")
        rows = {(row["table"], row["network"], row["loss"]): row for row in rows}
        assert len(rows) == 4 * 6 + 5  # all of Table 1, and the one network of the drawn AADB
        expected = {
            ("adience", "res_f", "XE"): {
                "data": "Adience files", "tested_on": "test fold", "AEM %": "62.5 ± 17.7*", "AEM % paper": "60.1",
                "averaged over": "folds 1 of 5, seeds 2", "rho": "",
            },
            ("adience", "alxs", "EMD"): {"AEM %": "not run", "AEM % paper": "57.0"},
            ("aadb", "small", "XE"): {"rho": "0.1235", "AEM %": "", "AEM % paper": ""},
        }  # fmt: skip
        for key, values in expected.items():
            assert {name: rows[key][name] for name in values} == values

    def test_runs(self, tmp_path):
        write_run(tmp_path / "a", data='mine, or "yours"', eval_mae=0.5)
        write_run(tmp_path / "b", loss="a-emd", entropic_strength=10.0, eval_aem=1 / 3)
        first, second = rows_of(runs_frame(read_runs([tmp_path])), tmp_path / "runs.csv")
        assert (first["folder"], first["data"], first["loss"]) == (str(tmp_path / "a"), 'mine, or "yours"', "xe")
        assert (first["eval_mae"], first["cpu_seconds_per_step"], first["entropic_strength"]) == ("0.5", "0.5", "")
        assert (second["entropic_strength"], second["eval_mae"], float(second["eval_aem"])) == ("10.0", "", 1 / 3)
        assert (first["num_train"], first["fold"]) == ("8", "0")
