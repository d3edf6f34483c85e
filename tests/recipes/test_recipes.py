"""The other recipes from end to end on small drawn sets, on one rank here and on two ranks (slow)."""

import csv
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
from PIL import Image
from transformers import AutoModelForImageClassification

from squared_emd.data.synthetic.drawn_compositions import draw_compositions
from squared_emd.data.synthetic.drawn_faces import draw_faces
from squared_emd.data.synthetic.drawn_groups import draw_groups
from squared_emd.data.synthetic.drawn_shapes import draw_shapes

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHORT = ("--num_train_epochs", "3", "--jump_start_epochs", "2", "--model", "small", "--dataloader_num_workers", "0")
AGE_GROUPS = ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-")

# recipe -> how a small set is drawn, options of the recipe, metrics, the number of classes, of training and test rows
RUNS = {
    "images_of_groups": (
        lambda folder: draw_groups(folder, num_train=112, num_test=28),
        (),
        ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"),
        (7, 112, 28),
    ),
    "aadb": (
        lambda folder: draw_compositions(folder, num_train=100, num_test=30, size=64),
        (),
        ("eval_spearman", "eval_score_mae"),
        (10, 100, 30),
    ),
    "imagenet": (
        lambda folder: draw_shapes(folder, num_classes=6, num_train=96, num_validation=24, size=64),
        ("--per_device_train_batch_size", "32"),
        ("eval_top_1_error", "eval_top_5_error"),
        (6, 96, 24),
    ),
    "own_data": (
        lambda folder: draw_faces(folder, num_faces=98, size=64) / "labels.csv",
        ("--classes", *AGE_GROUPS),
        ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"),
        (8, None, None),
    ),
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The small set of a recipe, drawn once."""
    home, made = tmp_path_factory.mktemp("drawn"), {}

    def draw(recipe):
        return made.setdefault(recipe, RUNS[recipe][0](home / recipe))

    return draw


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_here(monkeypatch, recipe, *arguments):
    monkeypatch.setattr(sys, "argv", [str(RECIPES / f"{recipe}.py"), *map(str, arguments), "--use_cpu", "True"])
    runpy.run_path(sys.argv[0], run_name="__main__")


def check(recipe, said, output):
    _, _, metrics, (num_classes, num_train, num_test) = RUNS[recipe]
    folder = output / "small" / "xemd2" / "fold_0" / "seed_42"
    results = json.loads((folder / "all_results.json").read_text())
    assert results["table"] == recipe
    assert all(math.isfinite(results[name]) for name in (*metrics, "sdd", "sdd_relative"))
    if num_train:
        assert (results["num_train"], results["num_test"]) == (num_train, num_test)
    config = AutoModelForImageClassification.from_pretrained(folder).config
    assert len(config.ground_distance) == len(config.id2label) == num_classes
    assert list(config.id2label.values()) == results["class_names"]
    assert ("scores" in config.emd) == (recipe == "aadb")
    report = (output / "report.md").read_text()
    assert re.search(r"(?m)^\| XEMD2 \| +[0-9.]+", report)
    assert re.search(r"(?m)^\| XEMD1 \| not run", report) or recipe == "own_data"
    with open(output / "runs.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["model"], row["loss"]) == ("small", "xemd2")
    assert len(re.findall(r"(?m)^Run 1 of 1: small, xemd2, test fold 0, seed 42\.$", said)) == 1
    assert said.count("D learned by XEMD2, small") == 1


@pytest.mark.parametrize("recipe", RUNS)
def test_one_rank(recipe, drawn, monkeypatch, tmp_path, capsys):
    _, options, _, _ = RUNS[recipe]
    run_here(monkeypatch, recipe, *SHORT, *options, "--data_dir", drawn(recipe), "--output_dir", tmp_path / "out")
    check(recipe, capsys.readouterr().out, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["aadb"])  # what the others do differently is no matter of ranks
def test_two_ranks(recipe, drawn, tmp_path):
    _, options, _, _ = RUNS[recipe]
    ours = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    command = (*launcher, RECIPES / f"{recipe}.py", *SHORT, *options, "--use_cpu", "True")
    command += ("--data_dir", drawn(recipe), "--output_dir", tmp_path / "out")
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert ran.returncode == 0, ran.stderr
    check(recipe, ran.stdout, tmp_path / "out")


def test_the_ensemble_of_table_4(drawn, monkeypatch, tmp_path, capsys):
    """Eight networks of one epoch each."""
    options = ("--loss", "emd", "--bins", "ensemble", "--num_train_epochs", 1, "--model", "small")
    options += ("--dataloader_num_workers", 0, "--data_dir", drawn("aadb"), "--output_dir", tmp_path)
    run_here(monkeypatch, "aadb", *options)
    (file,) = tmp_path.glob("small/ensemble_of_8/emd/fold_0/seed_42/all_results.json")
    result = json.loads(file.read_text())
    assert result["members"] == list(range(3, 11))
    assert -1 <= result["eval_spearman"] <= 1
    assert "ensemble of 8" in capsys.readouterr().out


def test_votes_of_raters(monkeypatch, tmp_path, capsys):
    """Soft labels: three columns of votes, seven votes a picture."""
    names = ("bad", "fair", "good")
    rng = np.random.default_rng(0)
    with open(tmp_path / "votes.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", *names])
        for k in range(60):
            pixels = rng.integers(0, 80, (32, 32, 3)) + 80 * (k % 3)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{k}.png")
            votes = [1, 1, 1]
            votes[k % 3] += 4
            table.writerow([f"{k}.png", *votes])
    options = (
        "--data_dir",
        tmp_path / "votes.csv",
        "--classes",
        *names,
        "--loss",
        "all",
        "--output_dir",
        tmp_path / "o",
    )
    run_here(monkeypatch, "own_data", *SHORT, *options)
    rows = {row["loss"]: row for row in csv.DictReader((tmp_path / "o" / "runs.csv").read_text().splitlines())}
    assert set(rows) == {"xe", "reg", "emd", "xemd1", "xemd2", "a-emd"}
    # no decision without spread is nearer to votes of 5, 1 and 1, in each of the three orders, than this
    far = np.mean([(2 / 7) ** 2 + (1 / 7) ** 2, (1 / 7) ** 2 + (1 / 7) ** 2, (1 / 7) ** 2 + (2 / 7) ** 2])
    assert float(rows["emd"]["eval_squared_emd"]) > 0
    assert float(rows["reg"]["eval_squared_emd"]) >= far - 1e-6


class TestUserErrors:
    def refused(self, monkeypatch, recipe, *arguments):
        with pytest.raises(SystemExit) as caught:
            run_here(monkeypatch, recipe, *arguments)
        return caught.value.code

    @pytest.mark.parametrize("recipe", RUNS)
    def test_no_such_folder(self, recipe, monkeypatch, tmp_path):
        nowhere = tmp_path / "nowhere"
        said = self.refused(monkeypatch, recipe, "--data_dir", nowhere, "--output_dir", tmp_path / "out")
        assert said.startswith(f"{recipe}.py: ")
        assert str(nowhere) in said
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("recipe", "options"), [("imagenet", ("--loss", "emd")), ("own_data", ("--loss", "emd", "--unordered"))]
    )
    def test_a_loss_that_needs_an_order(self, recipe, options, monkeypatch):
        assert self.refused(monkeypatch, recipe, *options) == (
            f"{recipe}.py: the loss emd needs classes in an order, which these have not; "
            "take one of xe, xemd1, xemd2, a-emd."
        )

    def test_no_number_of_bins(self, monkeypatch):
        said = self.refused(monkeypatch, "aadb", "--bins", "1")
        assert said == "aadb.py: bins must be a number of at least 2 or ensemble, got '1'."
