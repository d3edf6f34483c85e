"""`squared-emd calibrate`: the intervals of a saved model are those of its probabilities, and stand in its folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from tests.training.tiny import tiny_vit
from transformers import AutoModelForSequenceClassification, ViTImageProcessor, pipeline

from squared_emd.__main__ import main
from squared_emd.data.synthetic.generated_data import STARS, generate_reviews
from squared_emd.decoding import calibrate_intervals, predict_intervals
from squared_emd.experiments.networks import tiny_text_config, word_tokenizer
from squared_emd.hub import digests_of_weights


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A model of texts and data of its classes, in this folder."""
    monkeypatch.chdir(tmp_path)
    rows = generate_reviews(10, 30, 20)
    tokenizer = word_tokenizer(rows["text"])
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(STARS)), "label2id": {name: k for k, name in enumerate(STARS)}}
    model = AutoModelForSequenceClassification.from_config(tiny_text_config(tokenizer, **labels))
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # so that texts differ
    model.config.emd = {"loss": "emd"}
    model.save_pretrained("stars")
    tokenizer.save_pretrained("stars")
    rows.to_csv("reviews.csv")
    return rows


def test_it_is_that_of_the_probabilities(reviews, capsys):
    digests = digests_of_weights("stars")
    results = {"table": "text_ratings", "eval_aem": 0.5, "weights": digests, "num_test": 20}
    Path("stars/all_results.json").write_text(json.dumps(results))
    main(["calibrate", "stars", "--dataset", "reviews.csv", "--coverage", "0.8", "0.5", "--batch_size", "7"])
    printed = capsys.readouterr().out.splitlines()
    classify = pipeline("text-classification", model="stars", top_k=None)
    parts = {}
    for split in ("validation", "test"):
        rows = reviews.filter(lambda row, split=split: row["split"] == split)
        shares = [{entry["label"]: entry["score"] for entry in answer} for answer in classify(list(rows["text"]))]
        parts[split] = np.array([[share[name] for name in STARS] for share in shares]), np.array(rows["label"])
    emd = json.loads(Path("stars/config.json").read_text())["emd"]
    assert (emd["loss"], emd["class_names"]) == ("emd", list(STARS))
    found = {calibration["coverage"]: calibration for calibration in emd["intervals"]}
    assert printed[0] == f"Calibrated on the {len(parts['validation'][1])} validation samples of reviews.csv; in stars:"
    probabilities, labels = parts["test"]
    for line, coverage in zip(printed[1:], (0.8, 0.5), strict=True):
        expected = calibrate_intervals(*parts["validation"], coverage=coverage)
        assert found[coverage]["threshold"] == pytest.approx(expected["threshold"], abs=1e-5)
        low, high = predict_intervals(probabilities, expected)
        share, size = np.mean((low <= labels) & (labels <= high)), np.mean(high - low + 1)
        samples = f"{len(labels)} test samples"
        assert line == f"coverage {coverage:g}: {100 * share:.1f} % of the {samples}, with {size:.2f} of 5 classes"
        assert f"| {coverage:g} | {100 * share:.1f}% |" in Path("stars/README.md").read_text()
    assert "| AEM | 50.0% |" in Path("stars/README.md").read_text()
    assert digests_of_weights("stars") == digests
    main(["calibrate", "stars", "--dataset", "reviews.csv", "--coverage", "0.9"])
    card = Path("stars/README.md").read_text()
    assert [f"| {coverage} | " in card for coverage in (0.5, 0.8, 0.9)] == [True] * 3
    assert ModelCard(card).data.pipeline_tag == "text-classification"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("me/stars --dataset reviews.csv", "me/stars is no folder; of a model of the Hub a calibrated copy is saved. "
         "Give output_dir for it."),
        ("stars --dataset reviews.csv --output_dir out", "stars is a folder, which is calibrated where it is. Leave "
         "out output_dir."),
        ("stars --dataset reviews.csv --split test", "the coverage must be measured on other samples than those of "
         "the calibration, got 'test' for both. Give another split or test_split."),
        ("stars --dataset reviews.csv --coverage 0.999", "a coverage of 0.999 needs at least 999 labeled samples, got "
         "30; only intervals of all classes would be sure to have it. Give more samples, or ask for a smaller "
         "coverage."),
        ("score --dataset reviews.csv", "score must have an output for each class, it has 1, a regression. Give a "
         "classifier."),
    ],
)  # fmt: skip
def test_errors(reviews, command, message):
    tiny_vit(1).save_pretrained("score")
    ViTImageProcessor().save_pretrained("score")
    before = Path("stars/config.json").read_text()
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *command.split()])
    assert ended.value.code == f"squared-emd calibrate: {message}"
    assert Path("stars/config.json").read_text() == before
