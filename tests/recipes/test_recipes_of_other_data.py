"""The recipes on texts, sounds and tables from end to end: on little of what they generate, and on people's own."""

import csv
import gc
import json
import math
import os
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.io import wavfile
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    BertConfig,
    BertForSequenceClassification,
    pipeline,
)

from squared_emd.data.synthetic import generated_reviews, generated_sounds, generated_table
from squared_emd.data.synthetic.tiny_models import word_tokenizer
from squared_emd.ground_distance.saved import read_ground_distance

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHORT = ("--num_train_epochs", "3", "--jump_start_epochs", "2", "--disable_tqdm", "True")
METRICS = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd", "validation_mae", "sdd")
# recipe -> what generates its rows, the folder of its network, the classes
GENERATED = {
    "text_ratings": (generated_reviews, "generate_reviews", "tiny", generated_reviews.STARS),
    "audio_grades": (generated_sounds, "generate_sounds", "tiny", generated_sounds.GRADES),
    "tabular": (generated_table, "generate_table", "perceptron", generated_table.SEVERITIES),
}


@pytest.fixture(autouse=True, scope="module")
def quick_collection():
    """Each run collects garbage several times; what was there before need not be looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run_here(monkeypatch, recipe, *arguments):
    monkeypatch.setattr(sys, "argv", [str(RECIPES / f"{recipe}.py"), *map(str, arguments), "--use_cpu", "True"])
    runpy.run_path(sys.argv[0], run_name="__main__")


def results_of(folder):
    return json.loads((folder / "all_results.json").read_text())


@pytest.mark.parametrize("recipe", GENERATED)
def test_on_generated_data(recipe, monkeypatch, tmp_path, capsys):
    module, name, network, classes = GENERATED[recipe]
    monkeypatch.setattr(module, name, partial(getattr(module, name), 64, 20, 20))
    run_here(monkeypatch, recipe, *SHORT, "--loss", "xe,xemd2", "--output_dir", tmp_path)
    said = capsys.readouterr().out
    assert said.count("GENERATED") == 2  # before the training and with the table
    assert f"of 5 classes in the order {', '.join(classes)}" in said
    assert "| XEMD2 |" in (tmp_path / "comparison.md").read_text()
    folder = tmp_path / network / "xemd2" / "seed_42"
    results = results_of(folder)
    assert all(math.isfinite(results[name]) for name in METRICS)
    assert (results["num_train"], results["num_validation"], results["num_test"]) == (64, 20, 20)
    assert results["stand_in"] is True
    assert results["class_names"] == list(classes)
    assert read_ground_distance(folder).shape == (5, 5)
    if recipe == "tabular":
        assert load_file(folder / "model.safetensors")["head.weight"].shape == (5, 64)
        assert "vibration" in joblib.load(tmp_path / "columns.joblib").feature_names_in_
    else:  # plain transformers loads what was saved
        task = "text-classification" if recipe == "text_ratings" else "audio-classification"
        ask = pipeline(task, model=str(folder), device="cpu")
        sample = "the soup was good" if recipe == "text_ratings" else np.zeros(4000, dtype=np.float32)
        assert {answer["label"] for answer in ask(sample, top_k=5)} == set(classes)


def test_a_text_model_and_reviews_of_ones_own(monkeypatch, tmp_path):
    texts = [f"{word} {'and so on ' * (k % 5)}" for k in range(15) for word in ("bad", "fair", "good")]
    tokenizer = word_tokenizer(texts)
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **size, num_labels=7))
    model.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    with open(tmp_path / "r.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["review", "stars"])
        table.writerows([text, 1 + 2 * (k % 3)] for k, text in enumerate(texts))
    options = ("--dataset", tmp_path / "r.csv", "--label_column", "stars", "--model", tmp_path / "bert")
    run_here(monkeypatch, "text_ratings", *SHORT, *options, "--loss", "reg,emd", "--output_dir", tmp_path / "out")
    (emd,) = (tmp_path / "out").glob("*/emd/seed_42")
    assert results_of(emd)["class_names"] == ["1", "3", "5"]
    assert (results_of(emd)["num_train"], results_of(emd)["num_test"]) == (
        29,
        9,
    )  # A fifth of 45 rows is for the test, and a fifth of the other 36 for the validation.
    assert json.loads((emd / "config.json").read_text())["id2label"] == {"0": "1", "1": "3", "2": "5"}
    assert results_of(emd.parents[1] / "reg" / "seed_42")["stand_in"] is False


def test_a_spectrogram_model_and_sounds_of_ones_own(monkeypatch, tmp_path):
    """A network of the AST kind: every sound becomes equally many frames; its head has a norm before it."""
    rng = np.random.default_rng(0)
    for k in range(12):
        for grade, noise in (("clean", 0.01), ("noisy", 0.3)):
            (tmp_path / "sounds" / grade).mkdir(parents=True, exist_ok=True)
            wave = (rng.normal(0, noise, 1600 + 100 * k).clip(-1, 1) * 32767).astype(np.int16)
            wavfile.write(tmp_path / "sounds" / grade / f"{k}.wav", 8000, wave)
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    frames = {"max_length": 32, "num_mel_bins": 32}
    ASTForAudioClassification(ASTConfig(**size, **frames, num_labels=3)).save_pretrained(tmp_path / "ast")
    ASTFeatureExtractor(**frames).save_pretrained(tmp_path / "ast")
    options = ("--dataset", tmp_path / "sounds", "--classes", "noisy", "clean", "--model", tmp_path / "ast")
    run_here(monkeypatch, "audio_grades", *SHORT, *options, "--output_dir", tmp_path / "out")
    (folder,) = (tmp_path / "out").glob("*/xemd2/seed_42")
    results = results_of(folder)
    assert results["class_names"] == ["noisy", "clean"]
    assert (results["num_train"], results["num_validation"], results["num_test"]) == (15, 4, 5)
    assert all(math.isfinite(results[name]) for name in METRICS)


def test_a_table_of_ones_own(monkeypatch, tmp_path, capsys):
    with open(tmp_path / "t.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["x", "kind", "grade"])
        table.writerows([k % 3 + k / 100 if k % 7 else "", "ab"[k % 2], "xyz"[k % 3]] for k in range(60))
    options = ("--dataset", tmp_path / "t.csv", "--label_column", "grade", "--classes", "x", "y", "z")
    run_here(monkeypatch, "tabular", *SHORT, *options, "--loss", "emd", "--output_dir", tmp_path / "out")
    said = capsys.readouterr().out
    assert "GENERATED" not in said
    assert "4 inputs: 1 standardized columns of numbers" in said
    assert "missing values are the mean and marked in x; one column per value for kind (2)." in said
    assert results_of(tmp_path / "out/perceptron/emd/seed_42")["num_test"] == 12


class TestUserErrors:
    def refused(self, monkeypatch, recipe, *arguments):
        with pytest.raises(SystemExit) as caught:
            run_here(monkeypatch, recipe, *arguments)
        return caught.value.code

    @pytest.mark.parametrize("recipe", GENERATED)
    def test_no_such_data(self, recipe, monkeypatch, tmp_path):
        absent = tmp_path / "absent.csv"
        said = self.refused(monkeypatch, recipe, "--dataset", absent, "--output_dir", tmp_path / "out")
        assert said.startswith(f"{recipe}.py: There is no {absent}. Own ")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("recipe", "option", "message"),
        [
            ("text_ratings", ("--max_length", "1"), "max_length must be at least 2 tokens, got 1."),
            ("audio_grades", ("--max_seconds", "0"), "max_seconds must be greater than 0, got 0.0."),
            ("tabular", ("--hidden_sizes", "8", "0"), "hidden_sizes must be at least 1 each, got [8, 0]."),
            ("tabular", ("--dropout", "1"), "dropout must be at least 0 and less than 1, got 1.0."),
        ],
    )
    def test_a_wrong_value(self, recipe, option, message, monkeypatch):
        assert self.refused(monkeypatch, recipe, *option) == f"{recipe}.py: {message}"

    def test_a_model_of_another_rate(self, monkeypatch, tmp_path):
        monkeypatch.setattr(generated_sounds, "generate_sounds", partial(generated_sounds.generate_sounds, 5, 5, 5))
        ASTFeatureExtractor().save_pretrained(tmp_path)
        assert self.refused(monkeypatch, "audio_grades", "--model", tmp_path) == (
            f"audio_grades.py: the generated sounds have 8000 samples a second, {tmp_path} takes 16000. Leave --model "
            "out, or give --dataset."
        )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["tabular", "text_ratings"])
def test_two_ranks(recipe, tmp_path):
    """The same command on two ranks learns one D, and the test is of every row once."""
    ours = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    command = (*launcher, RECIPES / f"{recipe}.py", *SHORT, "--use_cpu", "True", "--output_dir", tmp_path)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    (folder,) = tmp_path.glob("*/xemd2/seed_42")
    results = results_of(folder)
    assert results["ranks"] == 2
    assert results["eval_aem"] * 400 == pytest.approx(round(results["eval_aem"] * 400), abs=1e-6)
    assert ran.stdout.count("Run 1 of 1: xemd2, seed 42.") == 1
    matrix = read_ground_distance(folder)
    assert (matrix == matrix.T).all() and matrix.max() > 0
