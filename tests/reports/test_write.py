"""The whole report of made-up runs, and of what is missing for it."""

import re

import numpy as np
import pytest
from tests.reports.images import assert_good_png
from tests.reports.run_folders import NAMES, REAL, line_distances, log_of, write_run

from squared_emd import plot
from squared_emd.__main__ import main
from squared_emd.data.adience import AGE_GROUPS
from squared_emd.reports import write_report
from squared_emd.reports.predictions import Predictions, write_predictions

OF_XEMD2 = ["ground_distance_{}_xemd2.png", "class_map_{}_xemd2.png", "history_{}_xemd2.png"]


def images_of(folder):
    """Files that report.md shows, in its order."""
    return re.findall(r"!\[.*\]\((.*)\)", (folder / "report.md").read_text(encoding="utf-8"))


def write_self_guided(folder, num_classes=3, **results):
    matrices = np.linspace(0.5, 1, 6)[:, None, None] * line_distances(num_classes)
    write_run(
        folder,
        loss="xemd2",
        log=[
            *log_of(aem=[0.25, 0.5], aeo=[0.875, 0.75]),
            {"epoch": 1.0, "sdd": 0.25, "sdd_relative": 0.5},
            {"epoch": 2.0, "sdd": 0.125, "sdd_relative": 0.25},
        ],
        ground_distance=matrices[-1],
        history=(np.arange(1.0, 7), matrices),
        **{"sdd": 0.125, "sdd_relative": 0.25} | results,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a report of two runs on drawn faces, and the text for the terminal."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "xe", log=log_of(aem=[0.25, 0.5], aeo=[0.5, 0.75]))
    write_self_guided(folder / "xemd2")
    return folder, write_report([folder])


class TestDrawnData:
    def test_text_for_the_terminal(self, written):
        folder, text = written
        assert [line.split() for line in text.splitlines()] == [
            line.split()
            for line in [
                "Drawn faces, test fold, arranged as Table 1 (Adience)",
                "2 runs, tested on: test fold. The data are DRAWN (drawn faces), made by this program: they say "
                "nothing about Adience.",
                "  The paper's figures are not comparable and not shown.",
                "",
                "small  AEM %  AEO %          averaged over  CPU time of a step / XE's     SDD  SDD / mean distance",
                "XE       50.0*    75.0*  folds 1 of 5, seeds 1              1.00       -                    -",
                "XEMD2    50.0*    75.0*  folds 1 of 5, seeds 1              1.00  0.1250                0.250",
                "",
                "D learned by XEMD2, small, drawn faces:",
                "       young  grown   old",
                "young   0.00   0.33  0.67",
                "grown   0.33   0.00  0.33",
                "old     0.67   0.33  0.00",
                "",
                "AEM: Exact match; AEO: Within one class.",
                "*: mean over fewer than the 5 folds of the dataset.",
                "",
                f"Written to {folder}: report.md, table.csv, runs.csv, figures: 4.",
            ]
        ]

    def test_report_shows_every_figure_and_none_of_the_papers(self, written):
        folder, _ = written
        report = (folder / "report.md").read_text(encoding="utf-8")
        assert report.startswith(f"# Results\n\n2 runs, read from {folder}.\n")
        assert "DRAWN" in report.split("##")[0]
        assert "paper |" not in report
        assert "60.1" not in report  # XE of RES_F in Table 1
        assert "| XEMD2 | 50.0\\* | 75.0\\* | folds 1 of 5, seeds 1 | 1.00 |" in report
        assert images_of(folder) == ["curves_small.png", *(name.format("small") for name in OF_XEMD2)]
        for name in images_of(folder):
            assert_good_png(folder / name)
        assert sorted(path.name for path in folder.glob("*.png")) == sorted(images_of(folder))
        assert {"report.md", "table.csv", "runs.csv"} <= {path.name for path in folder.iterdir()}

    def test_the_command_leaves_the_runs_alone(self, tmp_path, capsys):
        write_run(tmp_path / "a" / "run", log=log_of(aem=[0.5]))
        write_run(tmp_path / "b" / "run", loss="emd")
        before = sorted(tmp_path.rglob("*"))
        output = tmp_path / "new" / "report"
        main(["report", str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(output)])
        printed = capsys.readouterr().out
        assert printed.splitlines()[0] == "Drawn faces, test fold, arranged as Table 1 (Adience)"
        assert printed.endswith(f"Written to {output}: report.md, table.csv, runs.csv, figures: 1.\n")
        assert sorted(path for path in tmp_path.rglob("*") if "new" not in path.parts) == before
        assert sorted(path.name for path in output.iterdir()) == [
            "curves_small.png", "report.md", "runs.csv", "table.csv",
        ]  # fmt: skip

    def test_runs_that_cannot_be_compared_are_reported(self, tmp_path):
        for loss, labels in (("xe", [0, 1]), ("emd", [1, 0])):
            write_run(tmp_path / loss, loss=loss)
            write_predictions(tmp_path / loss, {"test": Predictions(np.full((2, 3), 1 / 3), np.array(labels))})
        text = " ".join(write_report([tmp_path]).split())
        note = (
            "No loss is compared with XE: runs that are compared must be tested on the same samples, in the same order"
        )
        assert note in text and "EMD 50.0* 75.0*" in text
        assert "No loss is compared with XE: " in (tmp_path / "report.md").read_text()


class TestRealData:
    def test_the_papers_figures_and_its_d(self, tmp_path):
        write_self_guided(tmp_path / "xemd2", 8, class_names=AGE_GROUPS, **REAL)
        text = write_report([tmp_path])
        assert "not run" not in text + (tmp_path / "report.md").read_text(encoding="utf-8").split("##", 1)[1]
        text = write_report([tmp_path], all_rows=True)
        assert 'Columns that end in "paper": the figures of Hou et al. 2016.' in text
        assert "XEMD2 50.0* 61.5 75.0* 94.2 folds 1 of 5, seeds 1" in " ".join(text.split())
        assert "Not run: ALXs, VGG_F, RES. The paper's figures for them are in report.md." in text
        assert "SDD in the paper: 0.0335 on Adience (section 4.7)." in text
        report = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert "they are the paper's, not ours" in report.split("##")[0]
        assert "| XE | not run | 53.0 | not run | 85.7 |" in report
        assert images_of(tmp_path)[1:3] == [
            "ground_distance_res_f_xemd2.png",
            "ground_distance_of_the_paper_res_f_xemd2.png",
        ]
        assert "![The paper's D: its Table 2, RES_F-XEMD2 on Adience]" in report

    def test_a_part_of_the_data_is_not_held_against_the_paper_and_not_called_drawn(self, tmp_path):
        write_run(tmp_path / "run", **REAL | {"stand_in": True})
        text = write_report([tmp_path])
        assert "The data (Adience files) are not those of the paper's Adience." in text
        assert "DRAWN" not in text
        assert "paper " not in text.split("RES_F")[1]


class TestSeveral:
    def test_sections_have_figures_of_their_own(self, tmp_path):
        write_run(tmp_path / "a", log=log_of(aem=[0.5]))
        write_run(tmp_path / "b", log=log_of(aem=[0.5]), tested_on="validation data")
        write_run(tmp_path / "c", log=log_of(aem=[0.5]), table="own_data", folds=1, data="cats", stand_in=False)
        text = write_report([tmp_path])
        assert images_of(tmp_path) == [
            "adience_1_curves_small.png", "adience_2_curves_small.png", "own_data_3_curves_small.png",
        ]  # fmt: skip
        titles = ["Drawn faces, test fold, arranged as Table 1 (Adience)"]
        titles += ["Drawn faces, validation data, arranged as Table 1 (Adience)", "Own data (cats, test fold)"]
        assert [line for line in text.splitlines() if line in titles] == titles

    def test_names_of_models_become_names_of_files(self, tmp_path):
        """None has a sign that would break its link, and no two are the same."""
        for number, name in enumerate(["me/net", "me/net#1", "me/net?1", "me_net", "me_net%"]):
            write_run(tmp_path / f"{number}", model=name, log=log_of(aem=[0.5]))
        write_report([tmp_path])
        ends = ("me--net", "me--net_1", "me--net_1_2", "me_net", "me_net_")
        assert images_of(tmp_path) == [f"curves_{end}.png" for end in ends]
        assert {path.name for path in tmp_path.glob("*.png")} == set(images_of(tmp_path))

    def test_the_confusion_matrix_is_of_all_runs(self, tmp_path, monkeypatch):
        drawn = []
        monkeypatch.setattr(plot, "confusion_matrix", lambda *given, **_: drawn.append(given))
        write_run(tmp_path / "1", seed=1, confusion_matrix=[[1, 0, 1], [1, 1, 0], [0, 0, 0]])
        write_run(tmp_path / "2", seed=2, confusion_matrix=[[0, 1, 0], [0, 1, 0], [1, 0, 1]])
        write_run(tmp_path / "3", seed=3)
        assert "small, XE: 1 of 3 runs without a confusion matrix." in write_report([tmp_path])
        ((counts, names),) = drawn
        assert (counts.tolist(), list(names)) == ([[1, 1, 1], [1, 2, 0], [1, 0, 1]], NAMES)
        title = "Confusion matrix of XE, small, drawn faces, 2 runs together"
        assert f"![{title}](confusion_matrix_small_xe.png)" in (tmp_path / "report.md").read_text(encoding="utf-8")
        write_run(tmp_path / "4", seed=4, confusion_matrix=[[1, 0], [0, 3]])
        with pytest.raises(ValueError) as error:
            write_report([tmp_path])
        assert str(error.value) == (
            f"{tmp_path}/4/all_results.json: 'confusion_matrix' must be 3 rows of 3 counts, not all 0; got "
            "[[1, 0], [0, 3]]; run the recipe again"
        )

    def test_reliability_is_of_all_runs_and_its_error_that_of_the_table(self, tmp_path, monkeypatch):
        drawn = []
        monkeypatch.setattr(plot, "reliability_diagram", lambda bins, **given: drawn.append((bins, given)))
        # Confidence 0.75, of which one run has all right and the other none: together they have half.
        for seed, predicted, error in ((1, [0.75, 0.25, 0], 0.25), (2, [0.25, 0.75, 0], 0.75)):
            write_run(tmp_path / str(seed), seed=seed, eval_ece=error)
            write_predictions(tmp_path / str(seed), {"test": Predictions(np.array([predicted] * 2), np.array([0, 0]))})
        assert "ECE: Expected calibration error" in write_report([tmp_path])
        ((bins, given),) = drawn
        assert (bins["xe"].error, given["mean_errors"]) == (0.25, {"xe": 0.5})
        assert given["title"] == "Reliability of the probabilities, small, drawn faces, 2 runs together"

    @pytest.mark.parametrize(
        ("seeds", "part"), [((), ""), ((2,), ", in part on validation data"), ((1, 2), ", on validation data")]
    )
    def test_curves_say_that_they_are_on_validation_data(self, seeds, part, tmp_path, monkeypatch):
        titles = []
        monkeypatch.setattr(plot, "learning_curves", lambda *_, title, **__: titles.append(title))
        write_run(tmp_path / "1", seed=1, log=log_of(aem=[0.5]), validation_mae=0.5 if 1 in seeds else None)
        write_run(tmp_path / "2", seed=2, log=log_of(aem=[0.5]))
        predictions = Predictions(np.full((2, 3), 1 / 3), np.array([0, 1]), is_of_regression=True)
        parts = ["test", "validation"] if 2 in seeds else ["test"]
        write_predictions(tmp_path / "2", dict.fromkeys(parts, predictions))
        write_report([tmp_path])
        assert titles == [f"Results by epoch, small, drawn faces{part}"]

    @pytest.mark.parametrize(("aeo", "ordered"), [(0.75, True), (None, False)])
    def test_a_line_through_own_classes_that_have_an_order(self, aeo, ordered, tmp_path, monkeypatch):
        drawn = []
        monkeypatch.setattr(plot, "class_map", lambda *_, **given: drawn.append(given["ordered"]))
        own = {"table": "own_data", "data": "cats", "folds": 1, "stand_in": False, "eval_aeo": aeo}
        write_run(tmp_path / "run", loss="xemd", sdd=0.5, ground_distance=line_distances(3), **own)
        write_report([tmp_path])
        assert drawn == [ordered]

    def test_d_of_a_module_without_a_config(self, tmp_path):
        write_run(tmp_path / "run", loss="xemd2", sdd=0.5, ground_distance=line_distances(3), in_file=True)
        (tmp_path / "run" / "config.json").unlink()
        assert "young 0.00 0.33 0.67" in " ".join(write_report([tmp_path]).split())
        assert images_of(tmp_path) == ["ground_distance_small_xemd2.png", "class_map_small_xemd2.png"]

    def test_d_is_the_mean_of_the_runs(self, tmp_path):
        for seed, share in ((1, 0.25), (2, 0.75)):
            matrix = share * np.array(line_distances(3))
            write_run(tmp_path / str(seed), loss="xemd2", seed=seed, ground_distance=matrix, sdd=0.5)
        text = write_report([tmp_path])
        assert "D learned by XEMD2, small, drawn faces, mean of 2 runs:" in text
        assert "young 0.00 0.17 0.33" in " ".join(text.split())  # 1/3 and 2/3, times 0.5


class TestMissing:
    def test_the_report_says_what_it_lacks(self, tmp_path):
        write_run(tmp_path / "xe", log=log_of(aem=[0.5]))
        write_run(tmp_path / "xemd1", loss="xemd1", job="another", sdd=0.5)
        write_run(tmp_path / "xemd2_0", loss="xemd2", ground_distance=line_distances(3), sdd=0.5)
        write_run(tmp_path / "xemd2_1", loss="xemd2", seed=1, log=log_of(spearman=[0.5]))
        notes = [
            "AEM: Exact match; AEO: Within one class.",
            "*: mean over fewer than the 5 folds of the dataset.",
            "small, XEMD1: 1 of 1 runs without the metrics by epoch in trainer_state.json, so no curves.",
            "small, XEMD2: 2 of 2 runs without the metrics by epoch in trainer_state.json, so no curves.",
            "small, XEMD1: 1 of 1 runs without a saved D.",
            "small, XEMD1: no history of D.",
            "small, XEMD2: 1 of 2 runs without a saved D.",
            "small, XEMD2: no history of D.",
        ]
        assert write_report([tmp_path]).split("\n\n")[-2].splitlines() == notes
        report = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert report.endswith("\n".join(f"- {note}" for note in notes).replace("*", "\\*") + "\n")
        assert images_of(tmp_path) == [
            "curves_small.png", "ground_distance_small_xemd2.png", "class_map_small_xemd2.png",
        ]  # fmt: skip

    def test_sdd_is_drawn_where_d_was_not_kept(self, tmp_path):
        write_run(tmp_path / "run", loss="xemd1", sdd=0.25, log=[{"epoch": 1.0, "sdd": 0.25}])
        assert "small, XEMD1: no history of D." in write_report([tmp_path])
        assert "![SDD of XEMD1 by epoch, small, drawn faces, fold 0, seed 42](history_small_xemd1.png)" in (
            (tmp_path / "report.md").read_text(encoding="utf-8")
        )

    def test_other_folds_and_left_out_runs(self, tmp_path):
        for seed, fold in ((1, 0), (1, 1), (2, 0)):
            write_run(tmp_path / f"xe_{seed}_{fold}", seed=seed, fold=fold)
        write_run(tmp_path / "emd", loss="emd", fold=1)
        text = write_report([tmp_path])
        assert "small, XE: left out of the mean, as not all seeds have the same folds: seed 2 fold 0." in text
        assert "small, EMD: not compared with XE's curves, which are of other folds." in text
