"""The two models in `model_cards/` load from a fresh clone, and their cards are what the package writes for them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from scipy.stats import spearmanr
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from squared_emd import load_ground_distance
from squared_emd.data.synthetic.drawn_compositions import draw_compositions
from squared_emd.data.synthetic.drawn_people import draw_faces
from squared_emd.hub import write_card

CARDS = Path(__file__).parents[2] / "model_cards"
NAMES = pytest.mark.parametrize("name", ["drawn-faces", "drawn-compositions"])


@NAMES
def test_from_pretrained(name):
    model = AutoModelForImageClassification.from_pretrained(CARDS / name)
    AutoImageProcessor.from_pretrained(CARDS / name)
    num_classes = model.config.num_labels
    assert load_ground_distance(CARDS / name).shape == (num_classes, num_classes)
    assert (CARDS / name / "model.safetensors").stat().st_size < 1_000_000


@NAMES
def test_card(name, tmp_path):
    shutil.copytree(CARDS / name, tmp_path, dirs_exist_ok=True)
    write_card(tmp_path, repo_id=f"YOUR_NAME/{name}")
    card = (CARDS / name / "README.md").read_text()
    assert (tmp_path / "README.md").read_text() == card
    assert "not run" not in card.split("## Results")[1] and ModelCard(card).data.eval_results
    assert (CARDS / name / "confusion_matrix.png").is_file() and (CARDS / name / "ground_distance.png").is_file()


def test_pipeline_knows_the_ages_of_other_faces(tmp_path):
    """Faces of people who were not in training: much nearer to the truth than the best constant answer."""
    folder = draw_faces(tmp_path / "faces", num_faces=98, seed=1)
    rows = [row.split(",") for row in (folder / "labels.csv").read_text().splitlines()[1:]]
    classify = pipeline("ordinal-image-classification", model=str(CARDS / "drawn-faces"), device="cpu")
    groups = list(classify.model.config.id2label.values())
    paths = [str(next(folder.rglob(Path(row[0]).name))) for row in rows]
    predicted = np.array([groups.index(answer["label"]) for answer in classify(paths, rule="median", batch_size=16)])
    true = np.array([groups.index(row[1]) for row in rows])
    assert np.abs(predicted - true).mean() < 0.6 * np.abs(np.median(true) - true).mean()


def test_pipeline_ranks_other_compositions(tmp_path):
    folder = draw_compositions(tmp_path / "compositions", num_train=60, num_test=60, seed=1)
    rows = [row.split(",") for row in (folder / "rule.csv").read_text().splitlines()[1:] if row.startswith("test")]
    classify = pipeline("ordinal-image-classification", model=str(CARDS / "drawn-compositions"), device="cpu")
    paths = [str(next(folder.rglob(row[1]))) for row in rows]
    expected = [answer["expected_score"] for answer in classify(paths, batch_size=16)]
    assert spearmanr(expected, [float(row[-1]) for row in rows]).statistic > 0.5
