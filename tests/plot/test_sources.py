"""Where D is taken from, the names that come with it, and orders of classes against known ones."""

import re

import huggingface_hub
import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import leaves_list
from tests.plot.matrices import AGES, NAN, of_line, refused, without
from transformers import PretrainedConfig

from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.plot.sources import cluster_tree, read_source, seriation

D = of_line(4)
NUMBERS = ["0", "1", "2", "3"]


def write_model(folder, *, matrix=D, names=AGES):
    config = PretrainedConfig(id2label=dict(enumerate(names)))
    folder.mkdir(parents=True, exist_ok=True)
    write_ground_distance(torch.tensor(matrix), folder, config, {"loss": "xemd2"})
    config.save_pretrained(folder)
    return config


def check(source, matrix=D, names=AGES, **options):
    found, found_names = read_source(source, **options)
    np.testing.assert_allclose(found.detach() if torch.is_tensor(found) else found, matrix, atol=1e-6)
    assert found_names == names


@pytest.mark.parametrize("source", [D, D[::-1, ::-1], D.tolist(), torch.tensor(D).float().requires_grad_()])
def test_numbers(source):
    check(source, names=NUMBERS)
    check(source, names=["1", "2", "3", "4"], class_names=range(1, 5))
    message = (
        "class_names must hold one name for each of the 4 classes, got 1. Name them all, in the order of the rows."
    )
    refused(read_source, message, source, class_names=["a"])


@pytest.mark.parametrize("source", [[[0, 1]], [], np.zeros((2, 2, 2))])
def test_numbers_that_are_not_square(source):
    refused(read_source, f"source must hold a (K, K) matrix, one row a class; got shape {np.shape(source)}.", source)


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_numbers_that_are_not_finite(make):
    refused(read_source, NAN, make([[0, np.nan], [1, 0]]))


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ({"ground_distance": [[0]]}, "dict."),
        (None, "NoneType."),
        ([["a"]], "list (could not convert string to float: 'a')."),
    ],
)
def test_something_else(source, got):
    message = (
        "source must be a matrix of numbers, a model's config, or a str or Path that names a folder, a file or a "
        f"model on the Hub; got {got}"
    )
    refused(read_source, message, source, error=TypeError)


def test_a_config(tmp_path):
    check(write_model(tmp_path))
    config = PretrainedConfig(id2label=dict(enumerate("abcd")), ground_distance=D.tolist())
    config.emd = {"class_names": AGES}  # the names that D was learned with come first
    check(config)
    check(PretrainedConfig(num_labels=4, ground_distance=D.tolist()), names=NUMBERS)  # LABEL_0 is no name
    message = "source is a config without a ground_distance. Models trained with the losses xemd, xemd1, xemd2 and"
    refused(read_source, f"{message} a-emd have one.", PretrainedConfig())


def test_a_config_that_names_a_file(tmp_path):
    many, names = of_line(257), [f"class {k}" for k in range(257)]
    config = write_model(tmp_path, matrix=many, names=names)
    message = (
        "source is a config that names the file ground_distance.safetensors and does not say where it lies. Give the "
        "folder or the repository of the model."
    )
    refused(read_source, message, config)
    config.name_or_path = str(tmp_path)  # as the config of a loaded model has it
    matrix, found_names = read_source(config)
    np.testing.assert_allclose(matrix, many, atol=2**-12)
    assert found_names == names


def test_a_folder_and_its_config(tmp_path):
    write_model(tmp_path)
    check(str(tmp_path))
    check(tmp_path / "config.json")


def test_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("d.npy", D)
    check("d.npy", names=NUMBERS)
    for name in ("none.json", "none.npy", "none.safetensors"):
        with pytest.raises(FileNotFoundError, match=rf"there is no {re.escape(name)}\.$"):
            read_source(name)


def test_the_hub(tmp_path, monkeypatch):
    """A repository as it lies in the cache of huggingface_hub, which does not ask the Hub in the tests."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--me--age"
    write_model(repo / "snapshots" / ("0" * 40))
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0" * 40)
    check("me/age")
    check("me/age", names=["1", "2", "3", "4"], class_names=range(1, 5))
    with pytest.raises(FileNotFoundError, match=r"^the ground distance of 'me/other' could not be loaded: "):
        read_source("me/other")


@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_line_is_found_again(seed):
    places = np.random.default_rng(seed).permutation(12)
    order = seriation(of_line(12)[np.ix_(places, places)], "seriation")
    assert places[order].tolist() in ([*range(12)], [*range(11, -1, -1)])
    assert np.corrcoef(order, range(12))[0, 1] >= 0  # in the direction of the classes


def test_unknown_classes_come_last():
    assert seriation(without(of_line(6), 1, 4), "seriation").tolist() == [0, 2, 3, 5, 1, 4]
    assert seriation(np.zeros((3, 3)), "seriation").tolist() == [0, 1, 2]
    assert seriation(np.zeros((1, 1)), "seriation").tolist() == [0]


def test_a_tree_in_the_direction_of_the_classes():
    assert leaves_list(cluster_tree(of_line(9)[::-1, ::-1], "complete")).tolist() == list(range(9))
