"""`squared-emd distance`: D of a saved model is printed, drawn, saved with it and pushed."""

import os
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Value
from tests.training.test_learned_distance import QUIET, of_texts

from squared_emd import learn_ground_distance, load_ground_distance
from squared_emd.__main__ import main
from squared_emd.data.synthetic.generated_data import STARS
from squared_emd.hub.upload import UploadError
from squared_emd.training import model_with_distance


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, tokenizer, rows, *_ = of_texts()
    model.save_pretrained("stars")
    tokenizer.save_pretrained("stars")
    rows.to_csv("reviews.csv")  # the labels are class indices
    rows = rows.cast_column("label", Value("int64")).map(lambda row: {"stars": STARS[row["label"]]})
    rows.remove_columns(["label", "split"]).to_csv("named.csv")
    return tmp_path


@pytest.fixture
def expected():
    model, tokenizer, rows, *_ = of_texts()
    return learn_ground_distance(model, rows, processor=tokenizer, **QUIET)


def test_saves_draws_and_prints(folder, capsys, expected):
    command = "distance stars --dataset named.csv --label_column stars --output_dir out --batch_size 8"
    main(command.split())
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("D of 5 classes from 42 samples. SDD ")
    assert [line.partition("  ")[0] for line in printed[1:6]] == [name.rjust(7) for name in STARS]
    assert printed[1].split()[2:] == [f"{entry:.2f}" for entry in expected.ground_distance[0].tolist()]
    assert printed[6:] == ["The model is saved with it in out."]
    np.testing.assert_allclose(load_ground_distance("out"), expected.ground_distance, atol=1e-6)
    assert (folder / "out" / "ground_distance.png").is_file() and (folder / "out" / "tokenizer.json").is_file()


def test_pushes(folder, capsys, monkeypatch):
    learned = learn_ground_distance("stars", "reviews.csv", **QUIET)
    done = []

    def push(folder, repository, **options):
        done.append((load_ground_distance(folder).shape, repository, options))
        return SimpleNamespace(repo_url="https://hub/me/stars")

    monkeypatch.setattr(model_with_distance, "push_model", push)
    monkeypatch.setattr(model_with_distance, "create_repository", lambda name, _, private: done.append((name, private)))
    main(["distance", "stars", "--dataset", "reviews.csv", "--rank", "none", "--push", "me/new", "--private"])
    assert capsys.readouterr().out.splitlines()[-1] == "It is at https://hub/me/stars."
    monkeypatch.setattr(model_with_distance, "learn_ground_distance", lambda *_, **__: learned)
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
    monkeypatch.setattr(model_with_distance, "push_model", push)
    monkeypatch.setattr(model_with_distance, "create_repository", lambda *_, **__: None)
    with pytest.raises(SystemExit) as ended:
        main(["distance", "stars", "--dataset", "reviews.csv", "--push", "me/stars"])
    kept = str(ended.value).removeprefix("squared-emd distance: ")
    assert capsys.readouterr().out.startswith("D of 5 classes from 42 samples. SDD ")
    assert load_ground_distance(kept).shape == (5, 5)
    monkeypatch.setattr(model_with_distance, "create_repository", refuse)
    monkeypatch.setattr(model_with_distance, "learn_ground_distance", None)  # is not reached
    with pytest.raises(SystemExit, match=r"^squared-emd distance: no token$"):
        main(["distance", "stars", "--dataset", "reviews.csv", "--push", "me/stars"])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("nowhere --dataset reviews.csv", "the model 'nowhere' cannot be loaded: "),
        ("stars --dataset nowhere.csv", "There is no "),
        (
            "stars --dataset nowhere.csv --push",
            "stars is a folder, which has no repository. Name one, as in --push me/age.",
        ),
        ("stars --dataset reviews.csv --label_column text", "reviews.csv"),
        ("stars --dataset named.csv --label_column stars --split validation --batch_size 0", "batch_size"),
    ],
)
def test_errors(folder, command, message):
    with pytest.raises(SystemExit) as ended:
        main(["distance", *command.split()])
    assert str(ended.value).startswith(f"squared-emd distance: {message}")
