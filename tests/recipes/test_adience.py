"""The recipe for Adience from end to end on a few drawn faces: what it writes and says, and how it refuses."""

import json
import math
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from transformers import AutoModelForImageClassification

from squared_emd.data.synthetic.drawn_faces import draw_faces

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "adience.py"
METRICS = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
SMALL_RUN = ("--num_faces", "150", "--num_train_epochs", "6", "--jump_start_epochs", "2", "--loss", "xemd2")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where the faces are drawn, once for all tests."""
    return tmp_path_factory.mktemp("cache")


def run(cache, *command):
    """The recipe in processes of its own, as a user starts it on a machine without a GPU."""
    ours = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"XDG_CACHE_HOME": str(cache), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=400)


@pytest.fixture
def one_thread():
    """Small tensors: on a busy machine threads that wait for each other take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_here(monkeypatch, cache, *arguments):
    """The recipe in this process, which has imported everything already."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(sys, "argv", [str(RECIPE), *map(str, arguments), "--use_cpu", "True"])
    runpy.run_path(str(RECIPE), run_name="__main__")


def check_results(output):
    folder = output / "small" / "xemd2" / "fold_0" / "seed_42"
    results = json.loads((folder / "all_results.json").read_text())
    assert (results["table"], results["data"], results["stand_in"]) == ("adience", "drawn faces", True)
    assert (results["loss"], results["fold"], results["folds"], results["seed"]) == ("xemd2", 0, 5, 42)
    assert (results["model"], results["tested_on"], results["learning_rate"]) == ("small", "test fold", 0.01)
    assert all(math.isfinite(results[name]) for name in (*METRICS, "sdd", "seconds_per_step"))
    assert 0 <= results["eval_aem"] <= results["eval_aeo"] <= 1
    for picture in (output / "curves_small.png", folder / "ground_distance.png"):
        assert imread(picture).std() > 0.01  # not blank
    assert "DRAWN" in (output / "report.md").read_text()
    config = AutoModelForImageClassification.from_pretrained(folder).config
    matrix = np.array(config.ground_distance)
    assert matrix.shape == (8, 8)
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 0).all()
    assert ((matrix >= 0) & (matrix <= 1)).all()
    assert matrix.max() > 0
    assert list(config.id2label.values()) == ["0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-"]
    assert (config.emd["loss"], config.emd["epoch"]) == ("xemd2", 6)
    assert config.emd["sdd"] == pytest.approx(results["sdd"], rel=1e-6)


def check_said(said, folder, cache):
    """Each once, however many ranks there are: the kind of data first, then the run, its results and where they lie."""
    lines = said.splitlines()
    wanted = [
        "These are DRAWN faces, made by this program; they are no photographs. For Adience give --data_dir.",
        "Run 1 of 1: small, xemd2, test fold 0, seed 42.",
        "6 epochs, learning rate 0.01.",
        "D learned by XEMD2, small, drawn faces:",
        f"Each run's model lies in {folder}/<network>/<loss>/fold_<k>/seed_<n>.",
    ]
    assert [line for line in lines if line in wanted] == wanted
    assert (
        len(re.findall(rf"(?m)^150 faces of \d+ people in 8 age groups, from {re.escape(str(cache))}.*\.$", said)) == 1
    )
    assert len(re.findall(r"(?m)^XEMD2( +\d+\.\d+\*){4} +folds 1 of 5, seeds 1$", said)) == 1


def test_one_process_draws_its_faces(cache, tmp_path):
    ran = run(cache, RECIPE, *SMALL_RUN, "--output_dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    check_said(ran.stdout, tmp_path, cache)
    check_results(tmp_path)


def test_two_ranks(cache, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    ran = run(cache, *launcher, RECIPE, *SMALL_RUN, "--use_cpu", "True", "--output_dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    check_said(ran.stdout, tmp_path, cache)
    check_results(tmp_path)


class TestUserErrors:
    def test_status_and_stderr(self, cache, tmp_path):
        ran = run(cache, RECIPE, "--fold", "7", "--output_dir", tmp_path / "out")
        assert ran.returncode == 1
        assert "Traceback" not in ran.stderr
        assert ran.stderr.splitlines()[-1] == "adience.py: fold must be 0 .. 4 or all, got '7'."
        assert not (tmp_path / "out").exists()

    def refused(self, monkeypatch, cache, *arguments):
        """Python writes the string of a SystemExit to stderr and ends with status 1."""
        with pytest.raises(SystemExit) as caught:
            run_here(monkeypatch, cache, *arguments)
        return caught.value.code

    def test_no_such_folder(self, monkeypatch, cache, tmp_path):
        said = self.refused(monkeypatch, cache, "--data_dir", tmp_path / "none", "--output_dir", tmp_path / "out")
        assert said.startswith(f"adience.py: data_dir must be a folder, {tmp_path / 'none'} is not one. Adience is ")

    def test_a_run_within_its_jump_start(self, monkeypatch, cache, tmp_path):
        said = self.refused(monkeypatch, cache, "--loss", "all", "--num_train_epochs", 3, "--output_dir", tmp_path)
        assert said.startswith("adience.py: the loss xemd1 needs more epochs than its jump start of 4, ")

    def test_steps_within_its_jump_start(self, monkeypatch, cache, tmp_path):
        arguments = ("--num_faces", 98, "--loss", "all", "--max_steps", 6, "--output_dir", tmp_path)
        said = self.refused(monkeypatch, cache, *arguments)
        assert said.startswith("adience.py: the loss xemd1 needs more epochs than its jump start of 4, ")
        assert "this run has 2." in said  # 78 or so training faces in batches of 32

    def test_a_field_that_one_of_the_losses_does_not_have(self, monkeypatch, cache, tmp_path):
        arguments = ("--loss", "all", "--label_smoothing_factor", 0.1, "--output_dir", tmp_path)
        said = self.refused(monkeypatch, cache, *arguments)
        assert said.startswith("adience.py: label_smoothing_factor spreads mass over classes, which the loss reg does")

    def test_no_such_matrix(self, monkeypatch, cache, tmp_path):
        arguments = ("--num_faces", 98, "--ground_distance", tmp_path / "d.npy", "--output_dir", tmp_path / "out")
        said = self.refused(monkeypatch, cache, *arguments)
        assert said.startswith(
            "adience.py: ground_distance must name a .json, .npy or .safetensors file, or the folder"
        )

    def test_a_emd_without_a_matrix(self, monkeypatch, cache, tmp_path):
        said = self.refused(monkeypatch, cache, "--num_faces", 98, "--loss", "a-emd", "--output_dir", tmp_path)
        assert said == (
            "adience.py: a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, "
            f"or --loss all; there is no {tmp_path / 'small' / 'xemd2' / 'fold_0' / 'seed_42'}."
        )

    def test_no_number(self, monkeypatch, cache, tmp_path):
        said = self.refused(monkeypatch, cache, "--entropic_strength", "strong", "--output_dir", tmp_path)
        assert said == "adience.py: entropic_strength must be a number greater than 0 or select, got 'strong'."

    def test_no_such_model(self, monkeypatch, cache, tmp_path):
        arguments = ("--model", "timm/test_resnett", "--from_scratch", "--output_dir", tmp_path / "out")
        said = self.refused(monkeypatch, cache, "--num_faces", 98, *arguments)
        assert said == "adience.py: timm has no architecture 'test_resnett'; near it: test_resnet."

    def test_a_truncated_picture(self, one_thread, monkeypatch, capsys, cache, tmp_path):
        draw_faces(tmp_path / "tree", num_faces=98)
        picture = min((tmp_path / "tree").glob("aligned/*/*.jpg"))
        picture.write_bytes(picture.read_bytes()[:600])
        arguments = ("--data_dir", tmp_path / "tree", "--model", "small", "--loss", "xe", "--num_train_epochs", 1)
        said = self.refused(monkeypatch, cache, *arguments, "--output_dir", tmp_path / "out")
        first = f"adience.py: 1 of 98 pictures in {tmp_path / 'tree' / 'aligned'} are absent or cannot be decoded, the "
        assert said.startswith(f"{first}first: {picture} (cannot be decoded: ")
        assert said.endswith(
            "Unpack the archive again, or leave them out with --skip_bad_images (skip_bad_images=True)."
        )

        capsys.readouterr()
        run_here(monkeypatch, cache, *arguments, "--skip_bad_images", "--output_dir", tmp_path / "out")
        assert capsys.readouterr().out.startswith("97 faces of ")
        (results,) = (tmp_path / "out").glob("small/xe/fold_0/seed_42/all_results.json")
        assert math.isfinite(json.loads(results.read_text())["eval_aem"])
