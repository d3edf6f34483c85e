"""Where D is taken from, and the names that come with it."""

import json
import re

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tests.plot.matrices import AGES, of_line
from transformers import PretrainedConfig

from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.plot.sources import read_source

D = of_line(4)
NUMBERS = ["0", "1", "2", "3"]


def refused(error, message, source, **kwargs):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        read_source(source, **kwargs)


def write_model(folder, *, matrix=D, names=AGES, emd_names=None):
    config = PretrainedConfig(id2label=dict(enumerate(names)))
    folder.mkdir(parents=True, exist_ok=True)
    emd = {"loss": "xemd2"} | ({} if emd_names is None else {"class_names": emd_names})
    write_ground_distance(torch.tensor(matrix), folder, config, emd)
    config.save_pretrained(folder)
    return config


class TestNumbers:
    @pytest.mark.parametrize("source", [D, D.tolist(), torch.tensor(D), torch.tensor(D).float().requires_grad_()])
    def test_a_matrix_of_any_kind(self, source):
        matrix, names = read_source(source)
        np.testing.assert_allclose(matrix.detach() if torch.is_tensor(matrix) else matrix, D)
        assert names == NUMBERS

    def test_given_names(self):
        assert read_source(D, class_names=range(1, 5))[1] == ["1", "2", "3", "4"]
        message = (
            "class_names must hold one name for each of the 4 classes, got 1. Name them all, in the order of the rows."
        )
        refused(ValueError, message, D, class_names=["a"])

    @pytest.mark.parametrize("source", [[[0, 1]], [0, 1], [], [[]], np.zeros((2, 2, 2))])
    def test_not_square(self, source):
        shape = np.shape(source)
        refused(ValueError, f"source must hold a (K, K) matrix, one row a class; got shape {shape}.", source)

    @pytest.mark.parametrize(
        ("source", "got"),
        [
            ({"ground_distance": [[0]]}, "dict."),
            (None, "NoneType."),
            ([["a"]], "list (could not convert string to float: 'a')."),
        ],
    )
    def test_something_else(self, source, got):
        message = (
            "source must be a matrix of numbers, a model's config, or a str or Path that names a folder, a file or a "
            f"model on the Hub; got {got}"
        )
        refused(TypeError, message, source)


class TestConfig:
    def test_matrix_and_names(self, tmp_path):
        matrix, names = read_source(write_model(tmp_path))
        np.testing.assert_allclose(matrix, D, atol=1e-6)
        assert names == AGES

    def test_names_that_d_was_learned_with_come_first(self):
        config = PretrainedConfig(id2label=dict(enumerate("abcd")), ground_distance=D.tolist())
        config.emd = {"class_names": AGES}
        assert read_source(config)[1] == AGES

    def test_labels_without_names_are_numbers(self):
        assert read_source(PretrainedConfig(num_labels=4, ground_distance=D.tolist()))[1] == NUMBERS

    def test_without_one(self):
        message = "source is a config without a ground_distance. Models trained with the losses xemd1, xemd2 and a-emd"
        refused(ValueError, f"{message} have one.", PretrainedConfig())

    def test_one_in_a_file(self, tmp_path):
        many = of_line(257)
        config = write_model(tmp_path, matrix=many, names=[f"class {k}" for k in range(257)])
        message = (
            "source is a config that names the file ground_distance.safetensors and does not say where it lies. Give "
            "the folder or the repository of the model."
        )
        refused(ValueError, message, config)
        config.name_or_path = str(tmp_path)  # as the config of a loaded model has it
        matrix, names = read_source(config)
        np.testing.assert_allclose(matrix, many, atol=2**-12)
        assert names[256] == "class 256"


class TestPaths:
    @pytest.mark.parametrize("kind", [str, lambda path: path])
    def test_a_folder(self, kind, tmp_path):
        write_model(tmp_path / "run")
        matrix, names = read_source(kind(tmp_path / "run"))
        np.testing.assert_allclose(matrix, D, atol=1e-6)
        assert names == AGES

    def test_the_last_checkpoint_of_a_folder(self, tmp_path):
        write_model(tmp_path / "checkpoint-9", matrix=D / 2)
        write_model(tmp_path / "checkpoint-10")
        (tmp_path / "checkpoint-11").mkdir()  # has no D
        matrix, names = read_source(tmp_path)
        np.testing.assert_allclose(matrix, D, atol=1e-6)
        assert names == AGES

    def test_a_folder_with_nothing(self, tmp_path):
        message = (
            f"{tmp_path} must hold a model that was saved with a ground distance, or checkpoints of one; there is "
            "neither a config.json nor a checkpoint with one in it. Name the folder of one run."
        )
        refused(FileNotFoundError, message, tmp_path)

    @pytest.mark.parametrize("name", ["d.npy", "d.json", "d.safetensors"])
    def test_a_file(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        np.save("d.npy", D)
        (tmp_path / "d.json").write_text(json.dumps(D.tolist()))
        save_file({"ground_distance": D}, "d.safetensors")
        matrix, names = read_source(name)
        np.testing.assert_allclose(matrix, D)
        assert names == NUMBERS

    def test_a_config_as_a_file(self, tmp_path):
        write_model(tmp_path)
        assert read_source(tmp_path / "config.json")[1] == AGES

    @pytest.mark.parametrize("name", ["d.npy", "no/such/folder"])
    def test_no_file(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        message = (
            "ground_distance must name a .json, .npy or .safetensors file, or the folder of a model that was saved "
            f"with a ground distance; there is no {name}."
        )
        refused(FileNotFoundError, message, name)


class TestHub:
    """A repository as it lies in the cache of huggingface_hub, which does not ask the Hub in the tests."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        repo = tmp_path / "models--me--age"
        write_model(repo / "snapshots" / ("0" * 40))
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text("0" * 40)

    def test_matrix_and_names(self):
        matrix, names = read_source("me/age")
        np.testing.assert_allclose(matrix, D, atol=1e-6)
        assert names == AGES

    def test_no_such_repository(self):
        with pytest.raises(FileNotFoundError, match=r"^the ground distance of 'me/other' could not be loaded: "):
            read_source("me/other")
