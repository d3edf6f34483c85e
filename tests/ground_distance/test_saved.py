"""D on disk: from every kind of file, in and beside a config, and of other classes than the model has."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.errors import message_of
from tests.training.tiny import K, arguments, images, tiny_vit, train
from transformers import AutoModelForImageClassification, PretrainedConfig

from squared_emd import EMDTrainer, load_ground_distance
from squared_emd.ground_distance.given import as_ground_distance
from squared_emd.ground_distance.saved import ground_distance_of_model, read_ground_distance

AGES = ["baby", "child", "adult", "senior"]


def test_reads_a_matrix_from_every_kind_of_file(tmp_path):
    matrix = torch.tensor([[0.0, 0.5], [0.5, 0.0]], dtype=torch.float64)
    np.save(tmp_path / "d.npy", matrix.numpy())
    save_file({"ground_distance": matrix}, tmp_path / "d.safetensors")
    (tmp_path / "rows.json").write_text(json.dumps(matrix.tolist()))
    (tmp_path / "config.json").write_text(json.dumps({"ground_distance": matrix.tolist(), "model_type": "vit"}))
    for name in ("d.npy", "d.safetensors", "rows.json", "config.json"):
        assert torch.equal(read_ground_distance(tmp_path / name), matrix)
    assert torch.equal(read_ground_distance(tmp_path), matrix)  # the folder of a model
    save_file({"ground_distance": 2 * matrix}, tmp_path / "ground_distance.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"ground_distance": "ground_distance.safetensors"}))
    assert torch.equal(read_ground_distance(tmp_path), 2 * matrix)


NO_NUMBERS = (
    "must hold a (K, K) matrix of numbers: .npy, .safetensors or .json (a list of rows, or an object with such a list "
    "under 'ground_distance'); reading it gave "
)
NO_DISTANCES = [
    ("[1, 2]", "must hold a (K, K) matrix, got shape (2,)."),
    ("7", "must hold a (K, K) matrix, got shape ()."),
    ("[[0, 1]]", "must hold a (K, K) matrix, got shape (1, 2)."),
    ("[[0, 1], [1]]", NO_NUMBERS + "ValueError: setting an array element with a sequence."),
    ('[["0", "1"], ["1", "0"]]', NO_NUMBERS + "TypeError: can't convert np.ndarray of type numpy.str_."),
    ("[[0, null], [1, 0]]", NO_NUMBERS + "TypeError: can't convert np.ndarray of type numpy.object_."),
    ("[[false, true], [true, false]]", "must hold real numbers, got torch.bool."),
    ("[[0, NaN], [NaN, 0]]", "must be finite, got D[0, 1] = nan and D[1, 0] = nan."),
    ("[[0, Infinity], [Infinity, 0]]", "must be finite, got D[0, 1] = inf and D[1, 0] = inf."),
    ("[[0, -1], [-1, 0]]", "must be non-negative, got D[0, 1] = -1 and D[1, 0] = -1."),
    ("[[0, 1], [2, 0]]", "must be symmetric, got D[0, 1] = 1 and D[1, 0] = 2."),
    ("[[0, 1], [1, 2]]", "must be 0 on the diagonal, got D[1, 1] = 2 and D[1, 1] = 2."),
]


@pytest.mark.parametrize(("text", "message"), NO_DISTANCES)
def test_no_distances(tmp_path, text, message):
    path = tmp_path / "d.json"
    path.write_text(text)
    assert message_of(ValueError, read_ground_distance, path).startswith(f"{path} {message}")
    (tmp_path / "config.json").write_text(f'{{"ground_distance": {text}}}')
    for read in (load_ground_distance, read_ground_distance):
        assert message_of(ValueError, read, tmp_path).startswith(f"config.json of {tmp_path} {message}")
    found = message_of(ValueError, ground_distance_of_model, PretrainedConfig(ground_distance=json.loads(text)), None)
    assert found.startswith(f"config.json of the model {message}")


def test_files_that_hold_no_matrix(tmp_path):
    for folder in (tmp_path, tmp_path / "no.npy"):
        missing = tmp_path / "ground_distance.safetensors" if folder.is_dir() else folder
        assert message_of(FileNotFoundError, read_ground_distance, folder) == (
            "ground_distance must name a .json, .npy or .safetensors file, or the folder of a model that was saved "
            f"with a ground distance; there is no {missing}."
        )
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"")
    found = message_of(ValueError, read_ground_distance, broken)
    assert found.startswith(f"{broken} {NO_NUMBERS}SafetensorError: ")
    for dtype, name in ((np.complex64, "complex64"), (np.bool_, "bool")):
        matrix = np.array([[0, 1], [1, 0]], dtype)
        np.save(tmp_path / "d.npy", matrix)
        message = f"must hold real numbers, got torch.{name}."
        assert message_of(ValueError, read_ground_distance, tmp_path / "d.npy").endswith(message)
        assert message_of(ValueError, as_ground_distance, matrix, 2).endswith(message)
    (tmp_path / "config.json").write_text("[1]")
    assert message_of(ValueError, load_ground_distance, tmp_path) == (
        f"{tmp_path / 'config.json'} must hold a JSON object; got [1]; write it again"
    )


@pytest.mark.parametrize("name", ["../secret.safetensors", "/secret.safetensors", "d.safetensors", ""])
def test_a_config_that_names_another_file(tmp_path, name):
    """Whoever wrote the config would have any file of this machine read."""
    folder = tmp_path / "model"
    folder.mkdir()
    matrix = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    for path in (tmp_path / "secret.safetensors", folder / "d.safetensors"):
        save_file({"ground_distance": matrix}, path)
    name = str(tmp_path / name[1:]) if name.startswith("/") else name
    (folder / "config.json").write_text(json.dumps({"ground_distance": name}))
    reads = [
        (folder, lambda: load_ground_distance(folder)),
        (folder, lambda: read_ground_distance(folder / "config.json")),
        ("the model", lambda: ground_distance_of_model(PretrainedConfig(ground_distance=name), None)),
    ]
    for source, read in reads:
        assert message_of(ValueError, read) == (
            f"'ground_distance' in the config.json of {source} must be K rows of K numbers, or "
            f"'ground_distance.safetensors', the file beside it; got {name!r:.80}, which is not read. Save the model "
            "again, or take the entry out."
        )


@pytest.fixture(scope="module")
def ages(tmp_path_factory):
    """The folder of a model of four named classes, with its D."""
    folder = tmp_path_factory.mktemp("ages")
    model = tiny_vit()
    model.config.update(named(AGES))
    trainer = train(folder, model, images())
    trainer.save_model()
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """The folder of a model of 300 classes, whose D lies beside it, and that D as it was learned."""
    folder = tmp_path_factory.mktemp("many")
    data = [picture | {"labels": k} for k, picture in zip(range(300), images() * 13, strict=False)]
    fields = {"regularizer_weight": 1.0, "num_train_epochs": 3, "per_device_train_batch_size": 64}
    trainer = train(folder, tiny_vit(300), data, **fields)
    trainer.save_model()
    return folder, trainer.criterion.ground_distance.clone(), data


def loaded(folder, **changes):
    return AutoModelForImageClassification.from_pretrained(folder, ignore_mismatched_sizes=True, **changes)


def named(names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}


class TestManyClasses:
    def test_half_precision_moves_no_entry_far(self, many):
        folder, matrix, _ = many
        assert (folder / "config.json").stat().st_size < 60_000
        assert (load_ground_distance(folder) - matrix).abs().max() <= 2**-12

    @pytest.mark.parametrize("loss", ["xe", "emd", "xemd2"])
    def test_survives_fine_tuning(self, many, tmp_path, loss):
        folder, _, data = many
        before = load_ground_distance(folder)
        fields = {"regularizer_weight": 1.0} if loss == "xemd2" else {}
        trainer = EMDTrainer(loaded(folder), arguments(tmp_path, loss=loss, **fields), train_dataset=data)
        if loss == "xemd2":  # learned anew in training; until then it is that of the model
            assert torch.equal(trainer.criterion.ground_distance, before)
        else:
            trainer.train()
        trainer.save_model()
        again = load_ground_distance(tmp_path)
        assert torch.equal(again, before)
        assert load_file(tmp_path / "ground_distance.safetensors")["ground_distance"].dtype == torch.float16

    def test_entries_that_half_precision_would_move_stay(self, many, tmp_path):
        _, _, data = many
        line = torch.arange(300.0).sub(torch.arange(300.0)[:, None]).abs() * 1.1
        np.save(tmp_path / "line.npy", line.numpy())
        fields = {"loss": "a-emd", "ground_distance": str(tmp_path / "line.npy")}
        EMDTrainer(tiny_vit(300), arguments(tmp_path, **fields), train_dataset=data).save_model()
        assert torch.equal(load_ground_distance(tmp_path), line.double())

    def test_file_of_another_model(self, many, tmp_path):
        for name in ("config.json", "ground_distance.safetensors"):
            (tmp_path / name).write_bytes((many[0] / name).read_bytes())
        save_file({"ground_distance": torch.zeros(300, 300)}, tmp_path / "ground_distance.safetensors")
        assert message_of(ValueError, load_ground_distance, tmp_path) == (
            f"ground_distance.safetensors of {tmp_path} must be the one that was saved with its config; it is of "
            "another model or revision. Save or download the whole model again."
        )

    def test_file_that_is_missing(self, many, tmp_path):
        (tmp_path / "config.json").write_bytes((many[0] / "config.json").read_bytes())
        assert message_of(FileNotFoundError, load_ground_distance, tmp_path) == (
            f"{tmp_path} must hold the file ground_distance.safetensors that its config names; there is none. "
            "Copy the whole folder; `EMDTrainer.save_model` writes that file, a model's own `save_pretrained` does not."
        )


class TestOtherClasses:
    def test_same_classes(self, ages, tmp_path):
        trainer = EMDTrainer(loaded(ages), arguments(tmp_path, jump_start_epochs=2))
        assert torch.equal(trainer.criterion.ground_distance, load_ground_distance(ages))

    def test_survives_another_loss(self, ages, tmp_path):
        trainer = EMDTrainer(loaded(ages), arguments(tmp_path, loss="xe"), train_dataset=images())
        trainer.train()
        trainer.save_model()
        assert torch.equal(load_ground_distance(tmp_path), load_ground_distance(ages))
        assert json.loads((tmp_path / "config.json").read_text())["emd"]["class_names"] == AGES

    def test_another_order_is_refused(self, ages, tmp_path):
        turned = named(AGES[::-1])
        message = (
            f"the classes of {ages} must stand in the order in which its ground distance and its classifier head were "
            "learned, baby, child, adult, senior; id2label has senior, adult, child, baby. Load it without id2label, "
            "and give your data the labels in that order."
        )
        assert message_of(ValueError, EMDTrainer, loaded(ages, **turned), arguments(tmp_path)) == message
        model = tiny_vit()
        model.config.update(turned)
        given = arguments(tmp_path, loss="a-emd", ground_distance=str(ages))
        assert message_of(ValueError, EMDTrainer, model, given) == message
        model.config.update(named("abcd"))
        assert message_of(ValueError, EMDTrainer, model, given) == (
            f"the ground distance of {ages} is of the classes baby, child, adult, senior, this model has a, b, c, d. "
            "Give one of its own classes, as a file with the matrix alone."
        )
        config = json.loads((ages / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"id2label": turned["id2label"]}))
        assert message_of(ValueError, load_ground_distance, tmp_path) == message.replace(str(ages), str(tmp_path))

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"num_labels": 5}, "it is of 4 classes, the model has 5"),
            (
                named("abcd"),
                "it is of the classes baby, child, adult, senior, the model has a, b, c, d",
            ),
        ],
    )
    def test_other_classes_have_no_distances_yet(self, ages, tmp_path, caplog, changes, why):
        model = loaded(ages, **changes)
        trainer = EMDTrainer(model, arguments(tmp_path, loss="emd"), train_dataset=images())
        assert caplog.messages[-1] == f"The ground distance in the model's config is taken out: {why}."
        trainer.save_model()
        assert "ground_distance" not in json.loads((tmp_path / "config.json").read_text())

    def test_names_that_come_later(self, tmp_path):
        folder = tmp_path / "unnamed"
        train(folder, tiny_vit(), images()).save_model()  # LABEL_0 and so on
        trainer = EMDTrainer(loaded(folder, **named(AGES)), arguments(tmp_path / "named", jump_start_epochs=2))
        assert torch.equal(trainer.criterion.ground_distance, load_ground_distance(folder))

    def test_a_matrix_of_another_size_in_the_folder(self, ages, tmp_path):
        config = json.loads((ages / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"ground_distance": [[0.0] * 3] * 3}))
        assert message_of(ValueError, load_ground_distance, tmp_path) == (
            f"the ground distance of {tmp_path} must be ({K}, {K}), one row for each of the model's classes, got shape "
            "(3, 3): num_labels was changed after it was learned. Train again."
        )

    def test_a_model_without_a_matrix(self, tmp_path):
        tiny_vit().save_pretrained(tmp_path)
        assert message_of(ValueError, load_ground_distance, tmp_path) == (
            f"{tmp_path} was saved without a ground distance: its config.json has none. Models trained with the losses "
            "xemd, xemd1, xemd2 and a-emd have one."
        )
