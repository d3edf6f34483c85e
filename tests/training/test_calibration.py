"""Calibrated intervals: of every loss they hold what they are to hold, follow the weights, and stand in a folder."""

import gc
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from huggingface_hub import ModelCard
from tests.training.tiny import K, Network, arguments, images, named, samples, tiny_reviewer, tiny_vit, train
from torch import nn
from transformers import Trainer, TrainerCallback, ViTImageProcessor, pipeline

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.__main__ import main
from squared_emd.data.synthetic.generated_data import STARS
from squared_emd.decoding import calibrate_intervals, predict_intervals
from squared_emd.hub.results import digests_of_weights
from squared_emd.training.calibration import rows_of_splits

LINE = np.abs(np.subtract.outer(np.arange(K), np.arange(K))) / (K - 1)
LOSSES = {
    "xe": {}, "emd": {}, "xemd": {}, "xemd1": {}, "xemd2": {}, "a-emd": {"ground_distance": LINE},
}  # fmt: skip


def hard_samples(count, seed, soft=False):
    """Inputs (3,) whose first entry says little of the class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, K, count)
    inputs = generator.normal(size=(count, 3))
    inputs[:, 0] += labels
    targets = 0.8 * np.eye(K)[labels] + 0.2 / K
    return [
        {"inputs": torch.tensor(x).float(), "labels": torch.tensor(t).float() if soft else int(k)}
        for x, k, t in zip(inputs, labels, targets, strict=True)
    ]


@pytest.mark.parametrize("soft", [False, True], ids=["indices", "distributions"])
@pytest.mark.parametrize("loss", LOSSES)
def test_coverage_of_every_loss(loss, soft, tmp_path):
    torch.manual_seed(0)
    options, data = dict(LOSSES[loss]), hard_samples(200, seed=0, soft=soft)
    given = {name: options.pop(name) for name in list(options) if name == "ground_distance"}
    options |= {"jump_start_epochs": 1, "regularizer_weight": 0.1} if loss in ("xemd1", "xemd2") else {}
    args = arguments(tmp_path, loss=loss, **options, num_train_epochs=2, per_device_eval_batch_size=400)
    trainer = EMDTrainer(Network(), args, train_dataset=data, **given)
    trainer.train()
    new, others = hard_samples(800, seed=1, soft=soft), hard_samples(1_600, seed=2, soft=soft)
    (calibration,) = trainer.calibrate(new, coverage=0.9, test_dataset=others)
    error = 3 * (0.9 * 0.1 * (1 / 800 + 1 / 1_600)) ** 0.5
    assert abs(calibration["held_out"]["coverage"] - 0.9) <= error
    assert 1 < calibration["held_out"]["mean_size"] < K


def test_it_is_that_of_the_probabilities(tmp_path):
    trainer = train(tmp_path, loss="emd", num_train_epochs=1)
    new, others = hard_samples(60, seed=1), hard_samples(50, seed=2)
    trainer.compute_metrics, trainer.preprocess_logits_for_metrics = (
        ordinal_metrics(),
        lambda logits, labels: logits[:, :1],
    )
    found = trainer.calibrate(new, coverage=(0.9, 0.5), test_dataset=others)
    assert trainer.preprocess_logits_for_metrics is not None and trainer.compute_metrics is not None
    parts = []
    for part in (new, others):
        with torch.no_grad():
            logits = trainer.model.eval()(torch.stack([sample["inputs"] for sample in part]))["logits"]
        parts.append((logits.double().softmax(-1), torch.tensor([sample["labels"] for sample in part])))
    for calibration, coverage in zip(found, (0.9, 0.5), strict=True):
        expected = calibrate_intervals(*parts[0], coverage=coverage)
        probabilities, labels = parts[1]
        low, high = predict_intervals(probabilities, expected)
        held_out = {
            "coverage": np.mean([a <= k <= b for a, k, b in zip(low, labels, high, strict=True)]),
            "mean_size": np.mean([b - a + 1 for a, b in zip(low, high, strict=True)]),
            "num_samples": 50,
        }
        assert calibration.pop("held_out") == pytest.approx(held_out)
        assert calibration.pop("threshold") == pytest.approx(expected.pop("threshold"), abs=1e-6)
        assert calibration == expected


def test_it_is_saved_and_training_takes_it_away(tmp_path):
    data = images()
    model = tiny_vit(**named("abcd"))
    trainer = EMDTrainer(model, arguments(tmp_path, loss="emd"), train_dataset=data)
    first = trainer.calibrate(data, coverage=0.5) + trainer.calibrate(data, coverage=[0.9])
    trainer.calibrate(data, coverage=0.5)
    trainer.save_model()
    emd = json.loads((tmp_path / "config.json").read_text())["emd"]
    assert (emd["intervals"], emd["class_names"]) == (first, list("abcd"))
    again = EMDTrainer(
        type(model).from_pretrained(tmp_path), arguments(tmp_path / "again", loss="emd"), train_dataset=data
    )
    again.save_model()  # without training its weights are the same
    assert json.loads((tmp_path / "again" / "config.json").read_text())["emd"]["intervals"] == first
    assert again.calibrated == {}  # but nothing was measured here
    again.train()
    again.save_model()
    assert "intervals" not in json.loads((tmp_path / "again" / "config.json").read_text())["emd"]


def test_the_card_has_what_was_measured(tmp_path):
    data = images()
    trainer = EMDTrainer(tiny_vit(), arguments(tmp_path, loss="emd", num_train_epochs=1), train_dataset=data)
    trainer.train()
    (calibration,) = trainer.calibrate(data, test_dataset=data[:10])
    held_out = calibration["held_out"]
    trainer.save_model()
    trainer.create_model_card()
    row = f"| 0.9 | {100 * held_out['coverage']:.1f}% |"
    card = (tmp_path / "README.md").read_text()
    assert row in card and f"| {held_out['mean_size']:.2f} | 10 | 24 |" in card
    trainer.train()
    trainer.save_model()
    trainer.create_model_card()
    assert row not in (tmp_path / "README.md").read_text()


class Unsure(nn.Module):
    """Gives the same logits for all samples."""

    num_classes = K

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, inputs):
        return self.logits.expand(len(inputs), -1)


def test_a_class_that_the_model_masks(tmp_path):
    trainer = EMDTrainer(Unsure([0.0, -torch.inf, 1.0, 0.5]), arguments(tmp_path, loss="xe"))
    (calibration,) = trainer.calibrate(hard_samples(40, seed=0))  # a quarter is of the masked class
    # From the third class to the fourth, then over the masked one to the first, whose probability is what is left.
    assert calibration["threshold"] == pytest.approx(1 - 1 / (1 + np.exp(1) + np.exp(0.5)), abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "model", "data", "given", "message"),
    [
        ("xe", Network(), None, {"coverage": ()}, "coverage must be one probability or several, got (). Give one, as "
         "0.9."),
        ("xe", Network(), None, {"test_dataset": DatasetDict({"train": [], "test": []})}, "test_dataset must be the "
         "samples of one split, got a DatasetDict of train, test. Give one of them, as dataset['test']."),
        ("reg", Network(1), samples(), {}, "the loss reg gives one number for each sample and no probabilities of "
         "classes, so there are no intervals to calibrate. Train with another loss."),
        ("xe", Network(), [{"inputs": torch.zeros(3)}] * 9, {}, "dataset must have labels for a calibration, it has "
         "none. Give labeled samples."),
        ("xe", Network(), samples()[:8], {}, "a coverage of 0.9 needs at least 9 labeled samples, got 8; only "
         "intervals of all classes would be sure to have it. Give more samples, or ask for a smaller coverage."),
        ("xe", Unsure([0.0, 1.0, torch.nan, 0.0]), samples(), {}, "the model must give finite logits, got NaN or "
         "infinite ones for dataset. Look for such values in its weights and in the data."),
    ],
)  # fmt: skip
def test_errors(loss, model, data, given, message, tmp_path):
    trainer = EMDTrainer(model, arguments(tmp_path, loss=loss))
    with pytest.raises(ValueError) as error:
        trainer.calibrate(data, **given)
    assert str(error.value) == message


@pytest.fixture
def reviews(tmp_path, monkeypatch):
    """A model of texts and data of its classes, in this folder."""
    monkeypatch.chdir(tmp_path)
    model, tokenizer, rows = tiny_reviewer(10, 30, 20)
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # so that texts differ
    model.config.emd = {"loss": "emd"}
    model.save_pretrained("stars")
    tokenizer.save_pretrained("stars")
    rows.to_csv("reviews.csv")
    return rows


def test_the_command_calibrates_a_folder(reviews, capsys):
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


def test_the_command_keeps_the_logits_of_a_few_batches_on_the_device(reviews, monkeypatch, recwarn):
    class Watch(TrainerCallback):
        most = 0

        def on_prediction_step(self, *args, **kwargs):
            tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
            logits = [each for each in tensors if each.dtype == torch.float32 and each.shape[1:] == (len(STARS),)]
            self.most = max(self.most, *map(len, logits))

    watch = Watch()
    monkeypatch.setattr("squared_emd.training.calibration.Trainer", partial(Trainer, callbacks=[watch]))
    main(["calibrate", "stars", "--dataset", "reviews.csv", "--batch_size", "1"])
    assert watch.most == 16  # of 30 and 20
    assert not [warning for warning in recwarn if "pin_memory" in str(warning.message)]


def test_halves_of_one_split(reviews, capsys):
    main(["calibrate", "stars", "--dataset", "reviews.csv", "--split", "test", "--coverage", "0.8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Calibrated on the 10 test samples of one half of reviews.csv; in stars:"
    assert " % of the 10 test samples of the other, with " in lines[1]
    splits = np.array(["train", "test", "train", "test", "test", "test", "test"])
    halves = [rows.tolist() for rows in rows_of_splits(splits, "test", "test", "data")]
    assert sorted(halves[0] + halves[1]) == [1, 3, 4, 5, 6]
    assert list(map(len, halves)) == [2, 3]
    with pytest.raises(ValueError) as error:  # images get no validation split by themselves
        rows_of_splits(splits, "validation", "test", "photos")
    assert str(error.value) == (
        "photos must have rows of the split 'validation'; it has test, train. Name one of these for both: half of its "
        "rows are then calibrated on, and the others measured."
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("me/stars --dataset reviews.csv", "me/stars is no folder; of a model of the Hub a calibrated copy is saved. "
         "Give output_dir for it."),
        ("stars --dataset reviews.csv --output_dir out", "stars is a folder, which is calibrated where it is. Leave "
         "out output_dir."),
        ("stars --dataset reviews.csv --coverage 0.999", "a coverage of 0.999 needs at least 999 labeled samples, got "
         "30; only intervals of all classes would be sure to have it. Give more samples, or ask for a smaller "
         "coverage."),
        ("score --dataset reviews.csv", "score must have an output for each class, it has 1, a regression. Give a "
         "classifier."),
    ],
)  # fmt: skip
def test_errors_of_the_command(reviews, command, message):
    tiny_vit(1).save_pretrained("score")
    ViTImageProcessor().save_pretrained("score")
    before = Path("stars/config.json").read_text()
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", *command.split()])
    assert ended.value.code == f"squared-emd calibrate: {message}"
    assert Path("stars/config.json").read_text() == before
