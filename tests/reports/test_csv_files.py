"""CSV files, read back with the csv module."""

import csv

from tests.reports.run_folders import REAL, log_of, write_run

from squared_emd.reports.csv_files import write_runs, write_table
from squared_emd.reports.records import read_runs
from squared_emd.reports.summary import summarize


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_table(tmp_path):
    for seed, aem in ((1, 0.5), (2, 0.75)):
        for fold in range(5):
            write_run(tmp_path / f"xe_{seed}_{fold}", seed=seed, fold=fold, eval_aem=aem, log=log_of(aem=[aem]), **REAL)
    write_run(tmp_path / "xemd2", loss="xemd2", sdd=0.25, sdd_relative=0.5, **REAL)
    write_run(tmp_path / "aadb", table="aadb", folds=1, eval_aem=None, eval_aeo=None, eval_spearman=0.123456789)
    write_table(summarize(read_runs([tmp_path])), tmp_path / "table.csv")

    rows = {(row["table"], row["network"], row["loss"]): row for row in rows_of(tmp_path / "table.csv")}
    assert len(rows) == 4 * 6 + 5  # all of Table 1, and the one network of the drawn AADB
    xe = rows["adience", "RES_F", "xe"]
    assert (xe["data"], xe["stand_in"], xe["tested_on"]) == ("Adience files", "False", "test fold")
    assert (xe["folds"], xe["of_folds"], xe["seeds"]) == ("5", "5", "2")
    assert (xe["AEM % mean"], xe["AEM % spread"], xe["AEM % paper"]) == ("62.5", "17.678", "60.1")
    assert (xe["AEO % mean"], xe["AEO % paper"], xe["relative_time"], xe["rho mean"]) == ("75.0", "92.1", "1.0", "")
    xemd2 = rows["adience", "RES_F", "xemd2"]
    assert (xemd2["folds"], xemd2["seeds"], xemd2["AEM % mean"], xemd2["AEM % spread"]) == ("1", "1", "50.0", "")
    assert (xemd2["sdd"], xemd2["sdd_relative"]) == ("0.25", "0.5")
    absent = rows["adience", "ALXs", "emd"]
    assert (absent["folds"], absent["seeds"], absent["AEM % mean"], absent["AEM % paper"]) == (
        "0",
        "0",
        "not run",
        "57.0",
    )
    drawn = rows["aadb", "small", "xe"]
    assert (drawn["rho mean"], drawn["stand_in"], drawn["AEM % mean"]) == ("0.123457", "True", "")
    assert "rho paper" not in drawn  # nothing is to be held against it


def test_epochs_that_reach_xe(tmp_path):
    write_run(tmp_path / "a", log=log_of(aem=[0.25, 0.5], aeo=[0.5, 0.75]))
    write_run(tmp_path / "b", loss="emd", log=log_of(aem=[0.5, 0.5], aeo=[0.5, 0.5]))
    write_table(summarize(read_runs([tmp_path])), tmp_path / "table.csv")
    row = next(row for row in rows_of(tmp_path / "table.csv") if row["loss"] == "emd")
    assert (row["reaches XE's AEM % at epoch"], row["reaches XE's AEO % at epoch"]) == ("1.0", "")


def test_runs(tmp_path):
    write_run(tmp_path / "a", data='mine, or\n"yours"', eval_mae=0.5)
    write_run(tmp_path / "b", loss="a-emd", entropic_strength=10.0, eval_aem=1 / 3)
    write_runs(read_runs([tmp_path]), tmp_path / "runs.csv")
    first, second = rows_of(tmp_path / "runs.csv")
    assert (first["folder"], first["data"], first["loss"]) == (str(tmp_path / "a"), 'mine, or\n"yours"', "xe")
    assert (first["eval_mae"], first["seconds_per_step"], first["entropic_strength"]) == ("0.5", "0.5", "")
    assert (second["entropic_strength"], second["eval_mae"], float(second["eval_aem"])) == ("10.0", "", 1 / 3)
