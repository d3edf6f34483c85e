"""D of a trained classifier from one pass, against section 3.1 in float64, on features that a hook of ours takes.

`squared-emd distance` prints, draws, saves and pushes it.
"""

import copy
import json
import os
import tempfile
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from safetensors.torch import load_file
from tests.training.tiny import (
    K,
    Network,
    Stream,
    arguments,
    ground_distance_slowly,
    named,
    samples,
    tiny_reviewer,
    tiny_vit,
)
from torch import nn
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from squared_emd import EMDTrainer, learn_ground_distance, load_ground_distance
from squared_emd.__main__ import main
from squared_emd.data.synthetic.generated_data import GRADES, SAMPLING_RATE, STARS, generate_sounds
from squared_emd.experiments.networks import (
    tiny_audio_config,
    tiny_feature_extractor,
)
from squared_emd.hub.upload import UploadError
from squared_emd.training import learned_distance
from squared_emd.vision import average_flips

AGES = ["baby", "child", "adult", "old"]
learn = partial(learn_ground_distance, progress=False)


def features_one_by_one(model, head, inputs):
    """(N, d) inputs of the head, in float64, each sample for itself."""
    model = copy.deepcopy(model).double().eval()
    found = []
    model.get_submodule(head).register_forward_pre_hook(lambda module, args: found.append(args[0][0].numpy()))
    with torch.no_grad():
        for sample in inputs:
            model(**{name: value.double() if value.is_floating_point() else value for name, value in sample.items()})
    return np.stack([rows if rows.ndim == 1 else rows[0] for rows in found])  # of tokens the first


def of_images():
    generator = np.random.default_rng(0)
    kinds = Features(image=Image(), label=ClassLabel(names=AGES))
    pictures = [generator.integers(60 * (n % K), 60 * (n % K) + 70, (12, 12, 3), dtype=np.uint8) for n in range(14)]
    rows = Dataset.from_dict({"image": pictures, "label": [n % K for n in range(14)]}, features=kinds)
    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    inputs = [processor(images=picture, return_tensors="pt") for picture in rows["image"]]
    return tiny_vit(**named(AGES)), processor, rows, inputs, "classifier"


def of_texts():
    model, tokenizer, rows = tiny_reviewer(40, 1, 1)
    return model, tokenizer, rows, [tokenizer(text, return_tensors="pt") for text in rows["text"]], "classifier"


def of_sounds():
    rows, extractor = generate_sounds(12, 4, 4), tiny_feature_extractor(SAMPLING_RATE)
    torch.manual_seed(0)
    model = AutoModelForAudioClassification.from_config(tiny_audio_config(**named(GRADES)))
    inputs = [extractor(sound, sampling_rate=SAMPLING_RATE, return_tensors="pt") for sound in rows["audio"]]
    return model, extractor, rows, inputs, "classifier"


def of_table():
    torch.manual_seed(1)
    rows = samples(count=21)
    inputs = [{"inputs": row["inputs"][None]} for row in rows]
    return Network(), None, Dataset.from_list(rows).with_format("torch"), inputs, "head"


@pytest.mark.parametrize("made", [of_images, of_texts, of_sounds, of_table])
def test_d_is_that_of_the_equations(made):
    model, processor, rows, inputs, head = made()
    learned = learn(model, rows, processor=processor, batch_size=5)
    labels = np.array(rows["labels" if "labels" in rows.column_names else "label"])
    matrix, distances = ground_distance_slowly(features_one_by_one(model, head, inputs), labels)
    np.testing.assert_allclose(learned.raw_distances, distances, atol=1e-6)
    np.testing.assert_allclose(learned.ground_distance, matrix, atol=1e-12)
    np.testing.assert_allclose([learned.sdd, learned.class_counts.sum()], [distances.std(), len(rows)], rtol=1e-4)


def test_soft_labels_and_ranks():
    torch.manual_seed(1)
    model, rows = Network(), samples(soft=True)
    features = features_one_by_one(model, "head", [{"inputs": row["inputs"][None]} for row in rows])
    labels = torch.stack([row["labels"] for row in rows]).double().numpy()
    strict, distances = ground_distance_slowly(features, labels)
    expected = {
        "strict": strict,
        "inclusive": ground_distance_slowly(features, labels, "weak")[0],
        None: distances / distances[~np.eye(K, dtype=bool)].mean(),
    }
    for rank, matrix in expected.items():
        learned = learn(model, rows, rank=rank)
        np.testing.assert_allclose(learned.ground_distance, matrix, atol=1e-6)


def test_classes_are_matched_by_name_and_the_model_is_left_as_it_was():
    model, processor, rows, *_ = of_images()
    expected = learn(model, rows, processor=processor)
    names = AGES[::-1]
    turned = rows.map(lambda row: {"label": names.index(AGES[row["label"]])}, features=rows.features)
    turned = turned.cast_column("label", ClassLabel(names=names)).rename_columns({"label": "age", "image": "face"})
    average_flips(model)  # of which the features are those of the image itself
    by_name = Dataset.from_dict({"image": rows["image"][:], "label": [AGES[k] for k in rows["label"]]})
    by_name = learn(model, by_name.cast_column("image", Image()), processor=processor)
    assert torch.equal(by_name.centroids, expected.centroids)
    model.train()
    model.classifier.eval()
    learned = learn(model, turned, processor=processor, label_column="age", num_proc=1)
    assert torch.equal(learned.centroids, expected.centroids) and learned.class_names == AGES
    assert model.training and not model.classifier.training and not model.classifier._forward_hooks


def test_what_is_not_finite_or_not_there_is_left_out(caplog):
    torch.manual_seed(1)
    rows = samples(labels=[0, 1, 2, 0, 1, 2])
    clean = learn(Network(), rows[:3] + rows[4:])
    torch.manual_seed(1)
    rows[3]["inputs"] = torch.full((3,), torch.nan)
    learned = learn(Network(), Stream(rows), batch_size=4, num_proc=2)
    np.testing.assert_allclose(learned.ground_distance, clean.ground_distance)
    assert learned.class_counts.tolist() == [1, 2, 2, 0] and not learned.ground_distance[3].any()
    assert caplog.messages[-1] == "1 of 4 classes have no sample, so that D does not know them: 3."


class TestSaved:
    def test_as_a_trained_one(self, tmp_path):
        model, processor, rows, *_ = of_images()
        model.config.emd = {"loss": "xe", "scores": [0.5, 6.0, 40.0, 80.0]}
        learned = learn(model, rows, processor=processor)
        learned.save(tmp_path / "age")
        np.testing.assert_allclose(load_ground_distance(tmp_path / "age"), learned.ground_distance, atol=1e-6)
        emd = json.loads((tmp_path / "age" / "config.json").read_text())["emd"]
        assert emd.pop("version") and emd == {
            "loss": "xe", "scores": [0.5, 6.0, 40.0, 80.0], "rank": "strict", "sdd": learned.sdd, "num_samples": 14,
            "class_names": AGES,
        }  # fmt: skip
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path / "age")
        import squared_emd.hub  # noqa: F401

        decide = pipeline("ordinal-image-classification", model=str(tmp_path / "age"), rule="min_distance")
        assert decide(rows[0]["image"])["label"] in AGES
        data = [{"pixel_values": torch.randn(3, 8, 8), "labels": k} for k in range(K)]
        args = arguments(tmp_path / "out", loss="a-emd", ground_distance=str(tmp_path / "age"), num_train_epochs=1)
        trainer = EMDTrainer(loaded, args, train_dataset=data)
        trainer.train()
        np.testing.assert_allclose(trainer.criterion.ground_distance, learned.ground_distance, atol=1e-6)

    def test_beside_a_module(self, tmp_path):
        model = Network()
        learned = learn(model, samples(), processor=nn.Sequential(nn.Linear(1, 1)))
        learned.save(tmp_path)
        torch.testing.assert_close(load_file(tmp_path / "model.safetensors"), dict(model.state_dict()))
        np.testing.assert_allclose(load_ground_distance(tmp_path), learned.ground_distance, atol=1e-6)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ground_distance.safetensors", "model.safetensors"]


def of_labels(labels, kind=None, texts=None, label_column="label"):
    """D from these labels and texts."""
    model, tokenizer, _ = tiny_reviewer(1, 1, 1)
    rows = Dataset.from_dict({"text": texts or ["good"] * len(labels), label_column: labels})
    rows = rows if kind is None else rows.cast_column(label_column, kind)
    return learn(model, rows, processor=tokenizer, label_column=label_column)


class Named(Network):
    def __init__(self):
        super().__init__(2)
        self.config = tiny_vit(2, **named(["a", "b"])).config


TURNED = Dataset.from_dict({"inputs": [[0.0] * 3], "label": [0]}).cast_column("label", ClassLabel(names=["b", "a"]))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: learn(Network(), samples(), rank="loose"),
         'rank must be "strict" (Eq. 12), "inclusive" (Table 2) or None, got \'loose\'.'),
        (lambda: learn(nn.Linear(2, 2), samples()),
         "the number of classes of Linear must be known: give the model an attribute num_classes (a Hugging Face model "
         "has config.num_labels)."),
        (lambda: learn(Network(1), samples()),
         "D needs a classifier with an output for each class; this one has 1 output."),
        (lambda: learn(Network(), []),
         "the dataset must have labeled samples, it is empty. Give some for each class."),
        (lambda: learn(Network(), samples(labels=[0, 0, 0])),
         "D needs samples of at least two classes, with finite features; 1 of 4 classes have one. Look at the labels, "
         "and at the model's weights."),
        (lambda: learn(Network(), samples(labels=[0, 1, 4])),
         "labels must be class indices in 0 .. 3, or 4 shares of sum 1 each; of the column 'labels' of the dataset 1 "
         "are not, the first in row 2: 4. Give the model num_labels=5, or leave out what is no class."),
        (lambda: learn(Network(), [{"inputs": torch.zeros(3)}]),
         "every sample must be a mapping with `label` or `labels`, a batch has ['inputs']. Name the column of the "
         "labels with label_column, or give a data_collator that makes `labels`."),
        (lambda: learn(Network(), Stream([(torch.zeros(3), 0)])),
         "every sample must be a mapping with the inputs of the model and `label`; got a tuple. Give such samples, or "
         "a data_collator that makes them of yours."),
        (lambda: learn(Network(), "faces"),
         "faces is read for models of images, texts or sounds that come with a processor. Give processor, or a dataset "
         "with the inputs of the model."),
        (lambda: learn(Network(), samples(), split="train"),
         "split is of a dataset that is given by its place. Give the rows of the split themselves."),
        (lambda: learn(Network(), Dataset.from_list([{"x": 0, "label": 0}])),
         "the dataset must have columns that Network takes, of inputs; it has x, label. Make its inputs, or give the "
         "processor that does."),
        (lambda: learn(Named(), TURNED),
         "the classes of the dataset must be those of the model, in their order: a, b; it has b, a. Give it the labels "
         "of the model."),
        (lambda: learn(Network(), DatasetDict(train=TURNED)),
         "the dataset must be the samples of one split, got a DatasetDict of train. Give one of them, as "
         "dataset['train']."),
        (lambda: of_labels(["4 stars", "good"]),
         "the labels must be classes of the model, 1 star, 2 stars, 3 stars, 4 stars, 5 stars; of the column 'label' "
         "row 1 has 'good'. Rename it, or leave out such rows."),
        (lambda: of_labels([1, None, 2]),
         "labels must be class indices in 0 .. 4, or 5 shares of sum 1 each; of the column 'label' of the dataset 1 "
         "are not, the first in row 1: nan. Leave out samples without a label."),
        (lambda: of_labels([1, 5], label_column="stars"),
         "labels must be class indices in 0 .. 4, or 5 shares of sum 1 each; of the column 'label' of the dataset, its "
         "'stars', 1 are not, the first in row 1: 5. If the labels count from 1, subtract 1; otherwise give the model "
         "num_labels=6."),
        (lambda: of_labels([1, -1], ClassLabel(names=STARS[::-1])),
         "labels must be class indices in 0 .. 4, or 5 shares of sum 1 each; of the column 'label' of the dataset 1 "
         "are not, the first in row 1: -1. Leave out samples without a label."),
        (lambda: of_labels([1, 2], texts=["good", None]),
         "the column 'text' must have an input for each sample, row 1 has none. Leave out such rows."),
        (lambda: learn(tiny_vit(), TURNED, processor=ViTImageProcessor(), input_column="face"),
         "the dataset must have a column of image inputs, 'face', and one of labels, 'label'; it has inputs, label. "
         "Name them with input_column and label_column."),
    ],
)  # fmt: skip
def test_errors(act, message):
    with pytest.raises(ValueError) as error:
        act()
    assert str(error.value) == message


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, tokenizer, rows = tiny_reviewer(40, 1, 1)
    model.save_pretrained("stars")
    tokenizer.save_pretrained("stars")
    rows.to_csv("reviews.csv")  # the labels are class indices
    rows = rows.cast_column("label", Value("int64")).map(lambda row: {"stars": STARS[row["label"]]})
    rows.remove_columns(["label", "split"]).to_csv("named.csv")
    return tmp_path


def test_the_command_saves_draws_and_prints(folder, capsys):
    model, tokenizer, rows = tiny_reviewer(40, 1, 1)
    expected = learn(model, rows, processor=tokenizer)
    command = "distance stars --dataset named.csv --label_column stars --output_dir out --batch_size 8"
    main(command.split())
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("D of 5 classes from 42 samples. SDD ")
    assert [line.partition("  ")[0] for line in printed[1:6]] == [name.rjust(7) for name in STARS]
    assert printed[1].split()[2:] == [f"{entry:.2f}" for entry in expected.ground_distance[0].tolist()]
    assert printed[6:] == ["The model is saved with it in out."]
    np.testing.assert_allclose(load_ground_distance("out"), expected.ground_distance, atol=1e-6)
    assert (folder / "out" / "ground_distance.png").is_file() and (folder / "out" / "tokenizer.json").is_file()


def test_the_command_pushes(folder, capsys, monkeypatch):
    learned = learn("stars", "reviews.csv")
    done = []

    def push(folder, repository, **options):
        done.append((load_ground_distance(folder).shape, repository, options))
        return SimpleNamespace(repo_url="https://hub/me/stars")

    monkeypatch.setattr(learned_distance, "push_model", push)
    monkeypatch.setattr(learned_distance, "create_repository", lambda name, _, private: done.append((name, private)))
    main(["distance", "stars", "--dataset", "reviews.csv", "--rank", "none", "--push", "me/new", "--private"])
    assert capsys.readouterr().out.splitlines()[-1] == "It is at https://hub/me/stars."
    monkeypatch.setattr(learned_distance, "learn_ground_distance", lambda *_, **__: learned)
    main(["distance", "me/stars", "--dataset", "reviews.csv", "--push"])
    message = {"message": "Add the ground distance"}
    assert done == [
        ("me/new", True), ((5, 5), "me/new", {"private": True} | message),
        ("me/stars", None), ((5, 5), "me/stars", {"private": None} | message),
    ]  # fmt: skip


def test_a_push_that_fails_loses_nothing(folder, capsys, monkeypatch):
    def push(folder, repository, **options):
        raise UploadError(os.fspath(folder))

    def refuse(*args, **options):
        raise UploadError("no token")

    monkeypatch.setattr(tempfile, "tempdir", os.fspath(folder))
    monkeypatch.setattr(learned_distance, "push_model", push)
    monkeypatch.setattr(learned_distance, "create_repository", lambda *_, **__: None)
    with pytest.raises(SystemExit) as ended:
        main(["distance", "stars", "--dataset", "reviews.csv", "--push", "me/stars"])
    kept = str(ended.value).removeprefix("squared-emd distance: ")
    assert capsys.readouterr().out.startswith("D of 5 classes from 42 samples. SDD ")
    assert load_ground_distance(kept).shape == (5, 5)
    monkeypatch.setattr(learned_distance, "create_repository", refuse)
    monkeypatch.setattr(learned_distance, "learn_ground_distance", None)  # is not reached
    with pytest.raises(SystemExit, match=r"^squared-emd distance: no token$"):
        main(["distance", "stars", "--dataset", "reviews.csv", "--push", "me/stars"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("nowhere --dataset reviews.csv", "the model 'nowhere' cannot be loaded: "),
        (
            ". --dataset reviews.csv",
            ". must hold a classifier of images, texts or sounds that transformers can load; it ",
        ),
        ("stars --dataset nowhere.csv", "There is no "),
        (
            "stars --dataset nowhere.csv --push",
            "stars is a folder, which has no repository. Name one, as in --push me/age.",
        ),
        ("stars --dataset reviews.csv --label_column text", "reviews.csv"),
        ("stars --dataset named.csv --label_column stars --split validation --batch_size 0", "batch_size"),
    ],
)
def test_errors_of_the_command(folder, command, message):
    with pytest.raises(SystemExit) as ended:
        main(["distance", *command.split()])
    assert str(ended.value).startswith(f"squared-emd distance: {message}")
