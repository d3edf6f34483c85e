"""Reading runs, and refusing what is not one."""

import json
import os
import re

import pytest
from tests.reports.run_folders import NAMES, RESULTS, write_run

from squared_emd.reports.records import read_runs


def refused(folders, message, error=ValueError):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        read_runs(folders)


class TestReadRuns:
    def test_all_of_a_run(self, tmp_path):
        log = [{"epoch": 1.0, "eval_aem": 0.25}]
        given = {
            "model": "timm/resnetv2_50.a1h_in1k", "loss": "xemd2", "variant": "8 bins", "fold": 3, "seed": 7,
            "entropic_strength": 10, "eval_spearman": -0.5, "eval_squared_emd": None, "eval_loss": float("inf"),
            "sdd": 0.25, "sdd_relative": 0.5, "regularizer_weight": 3.0, "learning_rate_selected": True,
            "seconds_per_step": 0.75,
        }  # fmt: skip
        folder = write_run(tmp_path / "run", log=log, **given)
        (run,) = read_runs([tmp_path])
        assert (run.folder, run.network, run.log, run.class_names) == (folder, "res_f", log, tuple(NAMES))
        assert run.metrics == {"eval_aem": 0.5, "eval_aeo": 0.75, "eval_spearman": -0.5}
        own = vars(run).keys() - {"folder", "class_names", "metrics", "log"}
        assert {name: vars(run)[name] for name in own} == {name: (RESULTS | given)[name] for name in own}
        assert run.learned_ground_distance

    def test_what_may_be_missing(self, tmp_path):
        write_run(tmp_path / "run")
        path = tmp_path / "run" / "all_results.json"
        optional = ("variant", "job", "learning_rate", "epochs", "sdd", "seconds_per_step", "num_train", "eval_aem")
        path.write_text(json.dumps({name: value for name, value in RESULTS.items() if name not in optional}))
        (run,) = read_runs([tmp_path])
        assert (run.variant, run.job, run.learning_rate, run.epochs, run.sdd) == ("", "", None, None, None)
        assert run.metrics == {"eval_aeo": 0.75}
        assert run.log == ()
        assert not run.learned_ground_distance

    def test_below_at_any_depth_in_order_but_for_trials_and_checkpoints(self, tmp_path):
        write_run(tmp_path / "b" / "fold_1", fold=1)
        write_run(tmp_path / "b" / "fold_0" / "deep", fold=0)
        write_run(tmp_path / "a", seed=1)
        write_run(tmp_path / "b" / "select" / "fold_0")
        write_run(tmp_path / "b" / "fold_1" / "checkpoint-38", fold=1)
        assert [run.folder for run in read_runs([tmp_path])] == [
            tmp_path / "a", tmp_path / "b" / "fold_0" / "deep", tmp_path / "b" / "fold_1",
        ]  # fmt: skip

    def test_a_run_below_two_of_the_folders_counts_once(self, tmp_path, monkeypatch):
        write_run(tmp_path / "a" / "b")
        monkeypatch.chdir(tmp_path)
        assert len(read_runs([tmp_path, "a", os.path.join("a", "b")])) == 1

    def test_results_of_other_programs_are_no_runs(self, tmp_path):
        write_run(tmp_path / "run")
        (tmp_path / "all_results.json").write_text("[]")
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "all_results.json").write_text('{"eval_loss": 0.5}')
        assert len(read_runs([tmp_path])) == 1


class TestRefused:
    def test_no_folder(self, tmp_path):
        message = f"a folder with runs must exist; there is no folder {tmp_path / 'no'}; check its name"
        refused([tmp_path, tmp_path / "no"], message, FileNotFoundError)

    def test_no_run(self, tmp_path):
        refused(
            [tmp_path],
            "there must be a finished run, a folder with an all_results.json that has a key 'table', in or below "
            f"{tmp_path}; got none; name the output folder of a recipe",
        )

    def test_the_same_run_twice(self, tmp_path):
        first = write_run(tmp_path / "a", model="vgg_f")
        second = write_run(tmp_path / "b", model="timm/vgg16.tv_in1k")
        refused(
            [tmp_path],
            f"a run must lie in one folder; got {first} and {second}, both adience, drawn faces, timm/vgg16.tv_in1k, "
            "xe, fold 0, seed 42, tested on test fold; leave one of them out",
        )

    @pytest.mark.parametrize(
        "other", [{"fold": 1}, {"seed": 1}, {"loss": "emd"}, {"variant": "8 bins"}, {"tested_on": "validation data"}]
    )
    def test_but_not_runs_that_differ(self, tmp_path, other):
        write_run(tmp_path / "a")
        write_run(tmp_path / "b", **other)
        assert len(read_runs([tmp_path])) == 2

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"loss": ""}, "'loss' must be there; got ''"),
            ({"fold": None}, "'fold' must be there; got None"),
            ({"class_names": [1]}, "'class_names' must be a list of names, or null; got [1]"),
            ({"eval_aem": 61.5}, "'eval_aem' must be a number, 0 to 1, or null; got 61.5"),
        ],
    )  # fmt: skip
    def test_results(self, tmp_path, wrong, message):
        folder = write_run(tmp_path / "run", **wrong)
        refused([tmp_path], f"{folder / 'all_results.json'}: {message}; run the recipe again")

    def test_damaged_files(self, tmp_path):
        state = write_run(tmp_path / "run", log=[]) / "trainer_state.json"
        state.write_text("[]")
        refused([tmp_path], f"{state} must hold a JSON object; got []; write it again")
        path = tmp_path / "run" / "all_results.json"
        path.write_text('{"table": ')
        why = "Expecting value: line 1 column 11 (char 10)"
        refused([tmp_path], f"{path} must be JSON in UTF-8; reading it gave: {why}; write it again")
