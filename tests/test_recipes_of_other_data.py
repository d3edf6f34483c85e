"""The recipes for texts, sounds and tables from end to end: on generated data and on one's own."""

import csv
import json
import math
import runpy
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from transformers import AutoModelForAudioClassification, AutoModelForSequenceClassification, AutoTokenizer

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
GRADES = ("low", "middle", "high")
SHORT = ("--num_train_epochs", "1", "--disable_tqdm", "True", "--use_cpu", "True")
METRICS = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd", "validation_mae")


def run_here(monkeypatch, recipe, *arguments):
    """The recipe in this process, which has imported everything already."""
    path = RECIPES / f"{recipe}.py"
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    runpy.run_path(str(path), run_name="__main__")


def results_below(folder):
    found = {}
    for path in sorted(Path(folder).rglob("all_results.json")):
        results = json.loads(path.read_text())
        found[results["loss"], results["seed"]] = results
    return found


def write_rows(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def own_texts(folder):
    words = {"low": "cold wet dark", "middle": "mild grey calm", "high": "warm dry bright"}
    rows = [{"review": f"it was {words[GRADES[k % 3]]} on day {k}", "label": GRADES[k % 3]} for k in range(30)]
    write_rows(folder / "texts.csv", rows)
    return folder / "texts.csv", ("--text_column", "review")


def own_table(folder):
    rows = [
        {"size": k % 3 + 0.1 * (k % 5), "colour": ("red", "blue")[k % 2], "label": GRADES[k % 3]} for k in range(30)
    ]
    write_rows(folder / "table.csv", rows)
    return folder / "table.csv", ()


def own_sounds(folder):
    for k in range(30):
        place = folder / "sounds" / GRADES[k % 3]
        place.mkdir(parents=True, exist_ok=True)
        sound = np.sin(np.arange(1600) * (0.05 + 0.1 * (k % 3))) * 20_000
        with wave.open(str(place / f"{k}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
            file.writeframes(sound.astype("<i2").tobytes())
    return folder / "sounds", ()


OWN = {"text_ratings": own_texts, "audio_grades": own_sounds, "tabular": own_table}
NETWORKS = {"text_ratings": "tiny", "audio_grades": "tiny", "tabular": "perceptron"}


@pytest.mark.parametrize("recipe", OWN)
def test_on_generated_data(tmp_path, monkeypatch, capsys, recipe):
    options = ("--loss", "reg,emd", "--output_dir", tmp_path, *SHORT)
    run_here(monkeypatch, recipe, *options)
    printed = capsys.readouterr().out
    assert "GENERATED data, made by this program: these figures say nothing about real data." in printed
    found = results_below(tmp_path)
    assert set(found) == {("reg", 42), ("emd", 42)}
    for results in found.values():
        assert results["stand_in"] is True
        assert all(math.isfinite(results[name]) for name in METRICS)
        assert len(results["class_names"]) == 5
    table = (tmp_path / "comparison.md").read_text()
    assert "GENERATED" in table
    for loss, results in found.items():
        assert f"| {loss[0].upper()} | {100 * results['eval_aem']:.1f} |" in table
    run_here(monkeypatch, recipe, *options)  # nothing is trained again
    assert "emd, seed 42: done." in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"holds a run with other settings: num_train_epochs 1\.0, now 2\.0"):
        run_here(monkeypatch, recipe, *options, "--num_train_epochs", "2")


@pytest.mark.parametrize("recipe", OWN)
def test_on_data_of_ones_own(tmp_path, monkeypatch, capsys, recipe):
    source, options = OWN[recipe](tmp_path)
    # a network of one's own: the one that the generated data were learned with
    options += ("--loss", "emd", "--classes", *GRADES, "--dataset", source, "--output_dir", tmp_path / "out", *SHORT)
    if recipe != "tabular":
        run_here(monkeypatch, recipe, "--loss", "xe", "--output_dir", tmp_path / "generated", *SHORT)
        options += ("--model", tmp_path / "generated" / "tiny" / "xe" / "seed_42")
    run_here(monkeypatch, recipe, *options)
    printed = capsys.readouterr().out
    assert "classes in the order low, middle, high." in printed
    (results,) = results_below(tmp_path / "out").values()
    assert results["stand_in"] is False
    assert results["num_train"] + results["num_validation"] + results["num_test"] == 30
    assert results["class_names"] == list(GRADES)
    folder = next((tmp_path / "out").rglob("all_results.json")).parent
    if recipe == "text_ratings":
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        with torch.no_grad():
            logits = model(**AutoTokenizer.from_pretrained(folder)("it was cold", return_tensors="pt")).logits
        assert logits.shape == (1, 3)
    elif recipe == "audio_grades":
        model = AutoModelForAudioClassification.from_pretrained(folder)
        with torch.no_grad():
            assert model(torch.zeros(1, 1600)).logits.shape == (1, 3)
    if recipe != "tabular":
        assert model.config.id2label == dict(enumerate(GRADES))
        assert model.config.emd["loss"] == "emd"
    else:
        assert (tmp_path / "out" / "columns.json").exists()


def test_losses_learn_and_a_emd_takes_the_d_of_xemd2(tmp_path, monkeypatch):
    options = ("--loss", "xe,xemd2,a-emd", "--num_train_epochs", "4", "--jump_start_epochs", "2", "--seeds", "2")
    run_here(monkeypatch, "tabular", *options, "--output_dir", tmp_path, "--disable_tqdm", "True", "--use_cpu", "True")
    found = results_below(tmp_path)
    assert len(found) == 6
    for (loss, _), results in found.items():
        assert results["eval_mae"] < 0.9, loss  # the median class misses by 1.07
        assert (results["sdd"] is not None) == loss.startswith("xemd")
    rows = [line for line in (tmp_path / "comparison.md").read_text().splitlines() if line.startswith("| XEMD2")]
    assert " ± " in rows[0]


def test_a_emd_alone_has_no_d(tmp_path, monkeypatch):
    with pytest.raises(SystemExit) as error:
        run_here(monkeypatch, "tabular", "--loss", "a-emd", "--output_dir", tmp_path, *SHORT)
    assert str(error.value) == (
        "tabular.py: a-emd needs a D: that of an xemd2 run of the same seed (--loss xemd2,a-emd or --loss all; there "
        f"is no {tmp_path}/perceptron/xemd2/seed_42), --ground_distance FILE or --geometry line."
    )
    run_here(monkeypatch, "tabular", "--loss", "a-emd", "--geometry", "line", "--output_dir", tmp_path, *SHORT)
    assert set(results_below(tmp_path)) == {("a-emd", 42)}


def run_on_ranks(rank, folder):
    sys.argv = [str(RECIPES / "tabular.py"), "--loss", "emd", "--output_dir", str(folder), *SHORT]
    runpy.run_path(sys.argv[0], run_name="__main__")


def test_two_ranks(tmp_path):
    on_ranks(2, run_on_ranks, tmp_path)
    (results,) = results_below(tmp_path).values()
    assert math.isfinite(results["eval_mae"])
    assert (tmp_path / "comparison.md").exists()
