"""Which checkpoint is whole, which is the last, and whose weights it holds."""

import json
import os
import shlex
import shutil
from collections import namedtuple

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.training.tiny import images, tiny_vit, train
from torch import nn
from transformers import ViTForImageClassification

from squared_emd import EMDTrainer
from squared_emd.training.checkpoints import (
    checkpoint_to_resume,
    last_complete_checkpoint,
    load_weights,
    mark_complete,
    replace_files,
    validate_checkpoint,
    why_not_written,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A complete checkpoint of three files."""
    folder = tmp_path / "checkpoint-2"
    (folder / "shards").mkdir(parents=True)
    for name in ("config.json", "optimizer.pt", "shards/0"):
        (folder / name).write_text("0123456789")
    mark_complete(folder)
    assert validate_checkpoint(folder) is None
    return folder


def test_where_there_is_nothing_to_go_on_from(tmp_path):
    (given := tmp_path / "checkpoint-1").mkdir()
    for resume, message in (
        (
            True,
            f"resume_from_checkpoint=True needs a complete checkpoint in {tmp_path}; there is none. Start without it.",
        ),
        (
            given,
            f"resume_from_checkpoint must name a complete checkpoint; {given} is none: it has no readable "
            "trainer_state.json. resume_from_checkpoint=True takes the last complete one of output_dir.",
        ),
    ):
        with pytest.raises(ValueError) as error:
            checkpoint_to_resume(resume, str(tmp_path))
        assert str(error.value) == message


def test_what_is_no_checkpoint(checkpoint):
    with pytest.raises(FileNotFoundError) as error:
        mark_complete(checkpoint / "none")
    none = checkpoint / "none"
    assert str(error.value) == f"a checkpoint to be marked complete must be a folder, there is no {none}."
    assert validate_checkpoint(checkpoint / "none") == "there is no such folder"
    for text in ('{"a": ', "[1]", "[" * 10_000, "null"):
        (checkpoint / "files.json").write_text(text)
        assert validate_checkpoint(checkpoint) == "files.json is incomplete"


@pytest.mark.parametrize("name", ["optimizer.pt", "shards/0"])
@pytest.mark.parametrize(
    ("content", "change"),
    [
        (None, "is missing"),
        ("01234", "has 5 bytes in place of 10"),
        ("\0" * 10, "has as many bytes as it was written with, and other ones"),  # after a power loss
        ("0123456788", "has as many bytes as it was written with, and other ones"),  # one bit flipped
    ],
)
def test_a_file_that_changed(checkpoint, name, content, change):
    (checkpoint / name).unlink() if content is None else (checkpoint / name).write_text(content)
    problem = validate_checkpoint(checkpoint)
    assert problem == (
        f"{name} {change} (if you changed the checkpoint on purpose, accept it as it is: python -c 'from "
        f"squared_emd.training.checkpoints import mark_complete; mark_complete('\"'\"'{checkpoint}'\"'\"')')"
    )
    assert last_complete_checkpoint(checkpoint.parent) is None
    # What the message says is what helps.
    code = shlex.split(problem[problem.index("python -c") : -1])[2]
    exec(code)
    assert checkpoint_to_resume(True, checkpoint.parent) == str(checkpoint)


@pytest.mark.parametrize("size", [10, None])
def test_a_manifest_of_an_earlier_version_has_sizes_alone(checkpoint, size):
    (checkpoint / "files.json").write_text(json.dumps({"config.json": size, "optimizer.pt": 10}))
    assert validate_checkpoint(checkpoint) is None
    (checkpoint / "optimizer.pt").write_text("0")
    assert validate_checkpoint(checkpoint).startswith("optimizer.pt has 1 bytes in place of 10 (")


@pytest.mark.parametrize("kill", [1, 2, 3])
def test_files_are_replaced_in_a_checkpoint_that_stays_complete(checkpoint, tmp_path, monkeypatch, kill):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "config.json").write_text("a longer config")
    (tmp_path / "new" / "ground_distance.safetensors").write_text("new")
    replace, calls = os.replace, []

    def counted(*paths):
        calls.append(paths)
        if len(calls) == kill:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr("os.replace", counted)
    with pytest.raises(KeyboardInterrupt):
        replace_files(checkpoint, tmp_path / "new")
    assert validate_checkpoint(checkpoint) is None
    replace_files(checkpoint, tmp_path / "new")
    assert validate_checkpoint(checkpoint) is None
    assert (checkpoint / "ground_distance.safetensors").read_text() == "new"
    assert not list(checkpoint.glob(".*"))
    (checkpoint / "config.json").write_text("another  config")
    assert "config.json has as many bytes" in validate_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (OSError(28, "No space left on device"), 2**30),
        (RuntimeError("I/O error: Disk quota exceeded (os error 122)"), 2**30),
        (RuntimeError("PytorchStreamWriter failed writing file"), 4096),
        (RuntimeError("a bug"), 2**30),
    ],
)
def test_why_a_checkpoint_was_not_written_and_what_next(checkpoint, monkeypatch, error, free):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(free))
    reason = f"{type(error).__name__}: {error}"
    if str(error) != "a bug":
        reason = f"the disk is full ({reason}). Free some space"
    failed = checkpoint.parent / "checkpoint-3"
    assert why_not_written(str(failed), error) == (
        f"{failed} could not be written: {reason}. resume_from_checkpoint=True then goes on from {checkpoint}."
    )
    failed = checkpoint.parent / "new" / "checkpoint-1"
    assert why_not_written(str(failed), error) == (
        f"{failed} could not be written: {reason}. There is no complete checkpoint yet: start again."
    )


def test_the_last_is_the_highest_number(tmp_path):
    assert last_complete_checkpoint(tmp_path / "none") is None
    for step in (9, 10, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        mark_complete(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-1000").write_text("no folder")
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")


def test_a_checkpoint_that_its_owner_changed(tmp_path):
    trainer = train(tmp_path, tiny_vit(), images(), loss="emd", save_strategy="epoch", num_train_epochs=2)
    folder = tmp_path / "checkpoint-3"
    for name in ("optimizer.pt", "model.safetensors"):
        (folder / name).unlink()
    changed = tiny_vit()
    torch.nn.init.constant_(changed.classifier.bias, 7.0)
    changed.save_pretrained(folder, max_shard_size="1KB")
    state = json.loads((folder / "trainer_state.json").read_text())
    (folder / "trainer_state.json").write_text(json.dumps(state | {"best_metric": 1.0}))
    trainer = EMDTrainer(tiny_vit(), trainer.args, train_dataset=images())
    trainer.args.learning_rate = 0.0
    with pytest.raises(ValueError, match="resume_from_checkpoint must name a complete checkpoint"):
        trainer.train(resume_from_checkpoint=folder)
    mark_complete(folder)
    trainer.train(resume_from_checkpoint=folder)
    assert trainer.state.global_step == 6 and trainer.state.best_metric == 1.0
    assert (trainer.model.classifier.bias > 6).all()


class NeedsMore(ViTForImageClassification):
    def __init__(self, config, more):
        super().__init__(config)


def other_head():
    model = tiny_vit()
    model.classifier = nn.Sequential(nn.Dropout(), nn.Linear(8, 4))
    return model


class TestLoadWeights:
    @pytest.mark.parametrize("build", [tiny_vit, other_head, lambda: NeedsMore(tiny_vit().config, 1)])
    def test_whatever_was_done_to_the_model(self, tmp_path, build):
        torch.manual_seed(1)
        saved, model = build(), build()
        for weight in saved.parameters():
            nn.init.normal_(weight)
        saved.save_pretrained(tmp_path, max_shard_size="1KB")  # several files and an index
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
        assert load_file(next(tmp_path.glob("*.safetensors"))).keys() - model.state_dict().keys()  # other names
        load_weights(model, tmp_path)
        for name, weight in saved.state_dict().items():
            assert torch.equal(model.state_dict()[name], weight), name

    def test_weights_of_another_model(self, tmp_path):
        other_head().save_pretrained(tmp_path)
        model = tiny_vit()
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        with pytest.raises(ValueError) as error:
            load_weights(model, tmp_path)
        assert str(error.value) == (
            f"the weights in {tmp_path} must be those of this ViTForImageClassification; missing are "
            "['classifier.bias', 'classifier.weight'], unknown ['classifier.1.bias', 'classifier.1.weight']. Build the "
            "model as in the run that wrote them."
        )
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, before[name])

    def test_a_file_that_lacks_one(self, tmp_path):
        tiny_vit().save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["classifier.bias"]
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=r"missing are \['classifier.bias'\], unknown none"):
            load_weights(tiny_vit(), tmp_path)
