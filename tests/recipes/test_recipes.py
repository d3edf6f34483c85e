"""The recipes from end to end on little data, drawn or a user's own: what they write, print and refuse.

The slow ones start in processes of their own, as a user starts them; the others run in this process.
"""

import csv
import json
import math
import os
import re
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from PIL import Image
from safetensors.torch import load_file
from scipy.io import wavfile
from scipy.stats import spearmanr
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    AutoFeatureExtractor,
    AutoModelForImageClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    pipeline,
)

from squared_emd.data.synthetic import generated_data
from squared_emd.data.synthetic.drawn_compositions import draw_compositions
from squared_emd.data.synthetic.drawn_people import draw_faces, draw_groups
from squared_emd.data.synthetic.drawn_shapes import draw_shapes
from squared_emd.experiments.networks import word_tokenizer
from squared_emd.ground_distance.saved import read_ground_distance
from squared_emd.reports.predictions import read_predictions

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
AGE_GROUPS = ("0-2", "4-6", "8-13", "15-20", "25-32", "38-43", "48-53", "60-")
ORDINAL = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
SCORES, TOP_K = ("eval_spearman", "eval_score_mae"), ("eval_top_1_error", "eval_top_5_error")
SHORT = ("--num_train_epochs", "2", "--jump_start_epochs", "1", "--regularizer_weight", "1", "--disable_tqdm", "True")
SHORT += ("--dataloader_num_workers", 0, "--seeds", 1)
SMALL_NETWORK = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
DISTRIBUTED = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")

# recipe -> how a small set is drawn, options, metrics, the number of classes, of training and of test rows
DRAWN = {
    "images_of_groups": (partial(draw_groups, num_train=112, num_test=28), (), ORDINAL, (7, 112, 28)),
    "aadb": (partial(draw_compositions, num_train=100, num_test=30, size=64), (), SCORES, (10, 100, 30)),
    "imagenet": (partial(draw_shapes, num_classes=6, num_train=96, num_validation=24, size=64), (), TOP_K, (6, 96, 24)),
    "own_data": (
        lambda folder: draw_faces(folder, num_faces=98, size=64) / "labels.csv",
        ("--classes", *AGE_GROUPS),
        ORDINAL,
        (8, None, None),
    ),
}
# recipe -> what generates its rows, the folder of its network, the classes
GENERATED = {
    "text_ratings": ("generate_reviews", "tiny", generated_data.STARS),
    "audio_grades": ("generate_sounds", "tiny", generated_data.GRADES),
    "tabular": ("generate_table", "perceptron", generated_data.SEVERITIES),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where faces are drawn, once for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, cache):
    """One thread: on a busy machine threads of small tensors that wait for each other take ten times as long."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache / "datasets")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The small set of a recipe, drawn once."""
    home, made = tmp_path_factory.mktemp("drawn"), {}

    def draw(recipe):
        if recipe not in made:
            made[recipe] = DRAWN[recipe][0](home / recipe)
        return made[recipe]

    return draw


def run_here(monkeypatch, recipe, *arguments):
    monkeypatch.setattr(sys, "argv", [str(RECIPES / f"{recipe}.py"), *map(str, arguments), "--use_cpu", "True"])
    runpy.run_path(sys.argv[0], run_name="__main__")


def run_apart(*command):
    """In processes of their own, as a user starts them on a machine without a GPU."""
    launchers = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    environment = {name: value for name, value in os.environ.items() if name not in launchers}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)


def refused(monkeypatch, recipe, *arguments):
    """Python writes the string of a SystemExit to stderr and ends with status 1."""
    with pytest.raises(SystemExit) as caught:
        run_here(monkeypatch, recipe, *arguments)
    return caught.value.code


def results_of(folder):
    return json.loads((folder / "all_results.json").read_text())


@pytest.mark.parametrize("as_a_user", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_adience(as_a_user, cache, monkeypatch, capsys, tmp_path):
    """Each line once, however many ranks: what kind of data, then the run, its results and where they lie."""
    options = ("--num_faces", 150, "--num_train_epochs", 6, "--jump_start_epochs", 2, "--loss", "xemd2", "--seeds", 1)
    if as_a_user:
        ran = run_apart(*DISTRIBUTED, RECIPES / "adience.py", *options, "--use_cpu", "True", "--output_dir", tmp_path)
        assert ran.returncode == 0, ran.stderr
        said = ran.stdout
    else:
        run_here(monkeypatch, "adience", *options, "--dataloader_num_workers", 0, "--output_dir", tmp_path)
        said = capsys.readouterr().out
    lines = [
        "These are DRAWN faces, made by this program, no photographs. For Adience give --data_dir.",
        "1 run: xemd2 x seed 42.",
        "Run 1 of 1: small, xemd2, test fold 0, seed 42.",
        "6 epochs, learning rate 0.01.",
        f"Each run's model lies in {tmp_path}/<network>/<loss>/fold_<k>/seed_<n>.",
        "D learned by XEMD2, small, drawn faces:",
    ]
    assert [line for line in said.splitlines() if line in lines] == lines
    parts = r" \(\d\.\d{3} cross-entropy [+-] \d\.\d{3} EMD\)"
    metrics = r"MAE \d\.\d{3}, AEM \d+\.\d %, EMD2 \d\.\d{3}, \d+\.\d s"
    epochs = re.findall(rf"(?m)^  epoch (\d) of 6: loss -?\d\.\d{{3}}({parts})?, {metrics}$", said)
    assert [number for number, _ in epochs] == list("123456")
    assert [number for number, of_loss in epochs if of_loss] == list("3456")  # after the jump start
    assert "{" not in said and "Writing model shards" not in said
    first = rf"(?m)^150 faces of \d+ people in 8 age groups, from {re.escape(str(cache))}.*\.$"
    assert len(re.findall(first, said)) == 1
    assert len(re.findall(r"(?m)^XEMD2( +\d+\.\d+\*){4} +folds 1 of 5, seeds 1 ", said)) == 1

    folder = tmp_path / "small" / "xemd2" / "fold_0" / "seed_42"
    results = results_of(folder)
    assert (results["table"], results["data"], results["stand_in"]) == ("adience", "drawn faces", True)
    assert (results["fold"], results["folds"], results["tested_on"]) == (0, 5, "test fold")
    assert results["learning_rate"] == 0.01
    assert all(math.isfinite(results[name]) for name in (*ORDINAL, "sdd", "seconds_per_step"))
    assert "adience.py --num_faces 150 " in results["command"]
    for image in (tmp_path / "curves_small.png", folder / "ground_distance.png"):
        assert imread(image).std() > 0.01  # not blank
    assert "DRAWN" in (tmp_path / "report.md").read_text()
    config = AutoModelForImageClassification.from_pretrained(folder).config
    matrix = np.array(config.ground_distance)
    assert (matrix == matrix.T).all() and (np.diag(matrix) == 0).all() and 0 < matrix.max() <= 1
    assert list(config.id2label.values()) == list(AGE_GROUPS)
    assert (config.emd["loss"], config.emd["epoch"]) == ("xemd2", 6)
    assert config.emd["sdd"] == pytest.approx(results["sdd"], rel=1e-6)


@pytest.mark.slow
def test_texts_on_two_ranks(tmp_path):
    """One D, and the test is of every row once."""
    options = (*SHORT, "--loss", "xemd2", "--use_cpu", "True", "--output_dir", tmp_path)
    ran = run_apart(*DISTRIBUTED, RECIPES / "text_ratings.py", *options)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("Run 1 of 1: tiny, xemd2, seed 42.") == 1
    folder = tmp_path / "tiny" / "xemd2" / "seed_42"
    results = results_of(folder)
    assert (results["ranks"], results["num_test"]) == (2, 400)
    assert results["eval_aem"] * 400 == pytest.approx(round(results["eval_aem"] * 400), abs=1e-6)
    matrix = read_ground_distance(folder)
    assert (matrix == matrix.T).all() and matrix.max() > 0


@pytest.mark.parametrize("recipe", DRAWN)
def test_on_drawn_images(recipe, drawn, monkeypatch, tmp_path, capsys):
    _, options, metrics, (num_classes, num_train, num_test) = DRAWN[recipe]
    options = (*SHORT, "--loss", "xemd2", "--model", "small", "--per_device_train_batch_size", 32, *options)
    run_here(monkeypatch, recipe, *options, "--data_dir", drawn(recipe), "--output_dir", tmp_path)
    folder = tmp_path / "small" / "xemd2" / "fold_0" / "seed_42"
    results = results_of(folder)
    assert results["table"] == recipe
    assert all(math.isfinite(results[name]) for name in (*metrics, "sdd", "sdd_relative"))
    if num_train:
        assert (results["num_train"], results["num_test"]) == (num_train, num_test)
    config = AutoModelForImageClassification.from_pretrained(folder).config
    assert len(config.ground_distance) == len(config.id2label) == num_classes
    assert list(config.id2label.values()) == results["class_names"]
    assert ("scores" in config.emd) == (recipe == "aadb")
    report = (tmp_path / "report.md").read_text()
    assert re.search(r"(?m)^\| XEMD2 \| +[0-9.]+", report)
    assert "XEMD1" not in report
    (row,) = csv.DictReader((tmp_path / "runs.csv").read_text().splitlines())
    assert (row["model"], row["loss"]) == ("small", "xemd2")
    said = capsys.readouterr().out
    assert len(re.findall(r"(?m)^Run 1 of 1: small, xemd2, test fold 0, seed 42\.$", said)) == 1
    assert said.count("D learned by XEMD2, small") == 1


@pytest.mark.parametrize("recipe", GENERATED)
def test_on_generated_data(recipe, monkeypatch, tmp_path, capsys):
    name, network, classes = GENERATED[recipe]
    monkeypatch.setattr(generated_data, name, partial(getattr(generated_data, name), 64, 20, 20))
    run_here(monkeypatch, recipe, *SHORT, "--loss", "xemd2", "--output_dir", tmp_path)
    said = capsys.readouterr().out
    assert said.count("GENERATED") == 2  # before the training and with the table
    assert f"of 5 classes in the order {', '.join(classes)}" in said
    folder = tmp_path / network / "xemd2" / "seed_42"
    results = results_of(folder)
    assert all(math.isfinite(results[name]) for name in (*ORDINAL, "validation_mae", "sdd"))
    assert (results["num_train"], results["num_validation"], results["num_test"]) == (64, 20, 20)
    assert (results["stand_in"], results["class_names"]) == (True, list(classes))
    assert read_ground_distance(folder).shape == (5, 5)
    if recipe == "tabular":
        assert load_file(folder / "model.safetensors")["head.weight"].shape == (5, 64)
        assert "vibration" in joblib.load(tmp_path / "columns.joblib").feature_names_in_
    else:  # plain transformers loads what was saved
        task = "text-classification" if recipe == "text_ratings" else "audio-classification"
        ask = pipeline(task, model=str(folder), device="cpu")
        sample = "the soup was good" if recipe == "text_ratings" else np.zeros(4000, dtype=np.float32)
        assert {answer["label"] for answer in ask(sample, top_k=5)} == set(classes)


@pytest.mark.slow
def test_the_ensemble_of_table_4(drawn, monkeypatch, tmp_path, capsys):
    """Eight networks of one epoch each."""
    options = (*SHORT, "--loss", "emd", "--bins", "ensemble", "--num_train_epochs", 1, "--model", "small")
    run_here(monkeypatch, "aadb", *options, "--data_dir", drawn("aadb"), "--output_dir", tmp_path)
    result = results_of(tmp_path / "small" / "ensemble_of_8" / "emd" / "fold_0" / "seed_42")
    assert result["members"] == list(range(3, 11))
    assert -1 <= result["eval_spearman"] <= 1
    assert "ensemble of 8" in capsys.readouterr().out


class TestOwnData:
    def test_votes_of_raters(self, monkeypatch, tmp_path):
        """Soft labels: three columns of votes, seven votes an image."""
        names, rng = ("bad", "fair", "good"), np.random.default_rng(0)
        lines = [["image", *names]]
        for k in range(60):
            pixels = rng.integers(0, 80, (32, 32, 3)) + 80 * (k % 3)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{k}.png")
            lines.append([f"{k}.png", *(5 if j == k % 3 else 1 for j in range(3))])
        (tmp_path / "votes.csv").write_text("\n".join(",".join(map(str, line)) for line in lines))
        options = ("--data_dir", tmp_path / "votes.csv", "--classes", *names, "--loss", "reg,emd", "--model", "small")
        run_here(monkeypatch, "own_data", *SHORT, *options, "--output_dir", tmp_path / "o")
        rows = {row["loss"]: row for row in csv.DictReader((tmp_path / "o" / "runs.csv").read_text().splitlines())}
        # no decision without spread is nearer to votes of 5, 1 and 1, in each of the three orders, than this
        far = np.mean([(2 / 7) ** 2 + (1 / 7) ** 2, (1 / 7) ** 2 + (1 / 7) ** 2, (1 / 7) ** 2 + (2 / 7) ** 2])
        assert float(rows["emd"]["eval_squared_emd"]) > 0
        assert float(rows["reg"]["eval_squared_emd"]) >= far - 1e-6

    def test_texts(self, monkeypatch, tmp_path):
        texts = [f"{word} {'and so on ' * (k % 5)}" for k in range(15) for word in ("bad", "fair", "good")]
        tokenizer = word_tokenizer(texts)
        torch.manual_seed(0)
        model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **SMALL_NETWORK, num_labels=7))
        model.save_pretrained(tmp_path / "bert")
        tokenizer.save_pretrained(tmp_path / "bert")
        lines = [f"{text},{1 + 2 * (k % 3)},user {k // 3}" for k, text in enumerate(texts)]
        (tmp_path / "r.csv").write_text("\n".join(["review,stars,group", *lines]))
        options = ("--dataset", tmp_path / "r.csv", "--label_column", "stars", "--model", tmp_path / "bert")
        run_here(monkeypatch, "text_ratings", *SHORT, *options, "--loss", "reg,emd", "--output_dir", tmp_path / "out")
        (emd,) = (tmp_path / "out").glob("*/emd/seed_42")
        results = results_of(emd)
        assert results["class_names"] == ["1", "3", "5"]
        # Whole users of three texts, of 15 three to test on, and two to validate on.
        assert (results["num_train"], results["num_test"]) == (30, 9)
        assert np.unique(read_predictions(emd).groups, return_counts=True)[1].tolist() == [3, 3, 3]
        assert json.loads((emd / "config.json").read_text())["id2label"] == {"0": "1", "1": "3", "2": "5"}
        assert results_of(emd.parents[1] / "reg" / "seed_42")["stand_in"] is False

    def test_texts_for_the_tiny_network(self, monkeypatch, tmp_path):
        """Its tokens are the words of the training texts; of the longest text it reads what its positions allow."""
        lines = [f"{'so very ' * 40 * (k == 0)}{word} text {k},{word}" for k in range(5) for word in ("bad", "good")]
        splits = ["train", "train", "validation", "test", "test"]
        lines = [f"{line},{splits[k // 2]}" for k, line in enumerate(lines)]
        (tmp_path / "r.csv").write_text("\n".join(["text,label,split", *lines]))
        options = ("--dataset", tmp_path / "r.csv", "--classes", "bad", "good", "--model", "tiny", "--loss", "xe")
        options += ("--max_length", 32)
        run_here(monkeypatch, "text_ratings", *SHORT, *options, "--output_dir", tmp_path / "out")
        folder = tmp_path / "out" / "tiny" / "xe" / "seed_42"
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        assert sorted(vocabulary) == ["0", "1", "[PAD]", "[UNK]", "bad", "good", "so", "text", "very"]
        assert results_of(folder)["learning_rate"] == 10**-2.5
        assert results_of(folder)["num_test"] == 4
        assert AutoTokenizer.from_pretrained(folder).model_max_length == 32

    @pytest.mark.parametrize("network", ["ast", "tiny"])
    def test_sounds(self, network, monkeypatch, tmp_path):
        """In a network of the AST kind every sound becomes equally many frames, and its head has a norm before it."""
        rng = np.random.default_rng(0)
        for k in range(12):
            for grade, noise in (("clean", 0.01), ("noisy", 0.3)):
                (tmp_path / "sounds" / grade).mkdir(parents=True, exist_ok=True)
                wave = (rng.normal(0, noise, 1600 + 100 * k).clip(-1, 1) * 32767).astype(np.int16)
                wavfile.write(tmp_path / "sounds" / grade / f"{k}.wav", 8000, wave)
        options = ("--dataset", tmp_path / "sounds", "--classes", "noisy", "clean")
        if network == "ast":
            torch.manual_seed(0)
            frames = {"max_length": 32, "num_mel_bins": 32}
            network = tmp_path / "ast"
            ASTForAudioClassification(ASTConfig(**SMALL_NETWORK, **frames, num_labels=3)).save_pretrained(network)
            ASTFeatureExtractor(**frames).save_pretrained(network)
        options = (*options, "--model", network)
        run_here(monkeypatch, "audio_grades", *SHORT, *options, "--loss", "xemd2", "--output_dir", tmp_path / "out")
        (folder,) = (tmp_path / "out").glob("*/xemd2/seed_42")
        results = results_of(folder)
        assert AutoFeatureExtractor.from_pretrained(folder).max_seconds == 10
        assert results["class_names"] == ["noisy", "clean"]
        assert (results["num_train"], results["num_validation"], results["num_test"]) == (15, 4, 5)
        assert all(math.isfinite(results[name]) for name in ORDINAL)

    def test_a_table(self, monkeypatch, tmp_path, capsys):
        lines = [f"{k % 3 + k / 100 if k % 7 else ''},{'ab'[k % 2]},{'xyz'[k % 3]},p{k // 3}" for k in range(60)]
        (tmp_path / "t.csv").write_text("\n".join(["x,kind,grade,who", *lines]))
        options = ("--dataset", tmp_path / "t.csv", "--label_column", "grade", "--classes", "x", "y", "z")
        options += ("--group_column", "who")
        run_here(monkeypatch, "tabular", *SHORT, *options, "--loss", "emd", "--output_dir", tmp_path / "out")
        said = capsys.readouterr().out
        assert "GENERATED" not in said
        assert "4 inputs: 1 standardized columns of numbers" in said
        table = re.search(r"(?m)^class +train +validation +test +all$(?:\n.*){4}", said)[0].splitlines()
        assert [line.split()[::4] for line in table[1:]] == [["x", "20"], ["y", "20"], ["z", "20"], ["all", "60"]]
        assert said.index(table[0]) < said.index("Run 1 of 1")
        assert results_of(tmp_path / "out/perceptron/emd/seed_42")["num_test"] == 12
        groups = read_predictions(tmp_path / "out/perceptron/emd/seed_42").groups
        assert np.unique(groups, return_counts=True)[1].tolist() == [3, 3, 3, 3]

    def test_a_truncated_image(self, monkeypatch, capsys, tmp_path):
        draw_faces(tmp_path / "tree", num_faces=98, size=64)
        image = min((tmp_path / "tree").glob("aligned/*/*.jpg"))
        image.write_bytes(image.read_bytes()[:300])
        options = ("--data_dir", tmp_path / "tree", *SHORT, "--model", "small", "--loss", "xe")
        said = refused(monkeypatch, "adience", *options, "--output_dir", tmp_path / "out")
        assert said.startswith("adience.py: 1 of 98 ") and str(image) in said and "--skip_bad_images" in said
        capsys.readouterr()
        options = (*options, "--num_train_epochs", 1, "--skip_bad_images", "--output_dir", tmp_path / "out")
        run_here(monkeypatch, "adience", *options)
        assert capsys.readouterr().out.startswith("97 faces of ")
        assert math.isfinite(results_of(tmp_path / "out" / "small" / "xe" / "fold_0" / "seed_42")["eval_aem"])


ORDER = "the loss emd needs classes in an order, which these have not; take one of xe, xemd1, xemd2, a-emd, xemd."


class TestRefused:
    @pytest.mark.parametrize(
        ("recipe", "options", "message"),
        [
            ("adience", ("--fold", "7"), "fold must be 0 .. 4 or all, got '7'."),
            ("adience", ("--num_faces", 98, "--max_steps", 6, "--jump_start_epochs", 3), "the loss xemd needs more "),
            ("adience", ("--loss", "all", "--label_smoothing_factor", 0.1), "label_smoothing_factor spreads mass over"),
            ("adience", ("--num_faces", 98, "--ground_distance", "no.npy"), "ground_distance must name a .json, .npy "),
            ("adience", ("--num_faces", 98, "--loss", "a-emd"), "a-emd needs the D of an xemd2 run of the same "),
            ("adience", ("--num_faces", 98, "--model", "timm/test_resnett", "--from_scratch"), "timm has no archit"),
            ("imagenet", ("--loss", "emd"), ORDER),
            ("own_data", ("--loss", "emd", "--unordered"), ORDER),
            ("aadb", ("--bins", "1"), "bins must be a number of at least 2 or ensemble, got '1'."),
            ("text_ratings", ("--max_length", "1"), "max_length must be at least 2 tokens, got 1."),
            ("audio_grades", ("--max_seconds", "0"), "max_seconds must be greater than 0, got 0.0."),
            ("tabular", ("--hidden_sizes", "8", "0"), "hidden_sizes must be at least 1 each, got [8, 0]."),
            ("tabular", ("--dropout", "1"), "dropout must be at least 0 and less than 1, got 1.0."),
        ],
    )
    def test_a_wrong_value(self, recipe, options, message, monkeypatch, tmp_path):
        said = refused(monkeypatch, recipe, *options, "--output_dir", tmp_path / "out")
        assert said.startswith(f"{recipe}.py: {message}")

    @pytest.mark.parametrize("recipe", ["tabular", "own_data"])
    def test_an_order_guessed_from_the_alphabet(self, recipe, monkeypatch, tmp_path):
        Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
        grades = ("bad", "excellent", "fair", "good", "poor") * 4
        (tmp_path / "t.csv").write_text("\n".join(["image,x,label", *(f"a.png,1,{grade}" for grade in grades)]))
        options = ("--dataset" if recipe == "tabular" else "--data_dir", tmp_path / "t.csv", "--loss", "xe,emd")
        assert refused(monkeypatch, recipe, *options, "--output_dir", tmp_path / "o") == (
            f"{recipe}.py: {tmp_path / 't.csv'} does not define an order of its classes, which a loss of this run "
            "needs. List them from the lowest to the highest with --classes (classes=...). In the order of the "
            "alphabet, to be put right: --classes bad excellent fair good poor"
        )
        assert not (tmp_path / "o").exists()

    @pytest.mark.parametrize("recipe", ["adience", *DRAWN, *GENERATED])
    def test_no_such_data(self, recipe, monkeypatch, tmp_path):
        option = "--dataset" if recipe in GENERATED else "--data_dir"
        nowhere = tmp_path / "nowhere.csv"
        said = refused(monkeypatch, recipe, option, nowhere, "--output_dir", tmp_path / "out")
        assert said.startswith(f"{recipe}.py: ") and str(nowhere) in said
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("recipe", ["text_ratings", "audio_grades"])
    def test_an_unknown_model(self, recipe, monkeypatch, tmp_path):
        name = GENERATED[recipe][0]
        monkeypatch.setattr(generated_data, name, partial(getattr(generated_data, name), 5, 5, 5))
        said = refused(monkeypatch, recipe, "--model", "nobody/no-such-model", "--output_dir", tmp_path / "out")
        assert said.startswith(
            f"{recipe}.py: model must be a folder with a saved model, or a model of the Hub that can be fetched; "
            "nobody/no-such-model could not be loaded: "
        )
        assert said.endswith(
            ". Check the name and the connection, or give --model tiny, which needs no download: a very small network "
            "with random weights."
        )

    def test_a_model_of_another_sampling_rate(self, monkeypatch, tmp_path):
        monkeypatch.setattr(generated_data, "generate_sounds", partial(generated_data.generate_sounds, 5, 5, 5))
        ASTFeatureExtractor().save_pretrained(tmp_path)
        assert refused(monkeypatch, "audio_grades", "--model", tmp_path) == (
            f"audio_grades.py: the generated sounds have 8000 samples a second, {tmp_path} takes 16000. Leave --model "
            "out, or give --dataset."
        )


@pytest.mark.slow
def test_ground_distance_bands_along_the_order(monkeypatch, tmp_path):
    """Without any data, on a whole drawn set."""
    options = ("--num_faces", 1500, "--num_train_epochs", 12, "--eval_strategy", "no", "--dataloader_num_workers", 0)
    run_here(monkeypatch, "adience", *options, "--loss", "xemd2", "--seeds", 1, "--output_dir", tmp_path)
    matrix = read_ground_distance(tmp_path / "small" / "xemd2" / "fold_0" / "seed_42").numpy()
    one, other = np.triu_indices(len(matrix), 1)
    apart = np.abs(one - other)
    correlation = spearmanr(matrix[one, other], apart).statistic
    assert correlation > 0.6
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(matrix)) for _ in range(2000)]
    others = [spearmanr(matrix[np.ix_(order, order)][one, other], apart).statistic for order in orders]
    assert np.mean(np.array(others) >= correlation) < 0.01  # hardly any other order of the classes fits as well
    neighbors, far = matrix[one, other][apart == 1], matrix[one, other][apart >= len(matrix) // 2]
    assert neighbors.mean() < far.mean() / 2
