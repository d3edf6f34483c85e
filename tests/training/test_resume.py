"""A run that was killed and resumed is the run that was not: weights, D, centroids, lambda and log."""

import json
import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from tests.training.test_head_features import MODELS
from tests.training.test_head_features import B as BATCH_OF_MODELS
from tests.training.test_head_features import K as CLASSES_OF_MODELS
from torch import nn
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from squared_emd import EMDTrainer, EMDTrainingArguments
from squared_emd.training import checkpointing
from squared_emd.training.checkpoints import last_complete_checkpoint, validate_checkpoint

K, D, N = 4, 6, 24  # three steps of 8 an epoch
TIMES = ("runtime", "samples_per_second", "steps_per_second")


class Network(nn.Module):
    num_classes = K

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, D)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(D, K)

    def forward(self, inputs):
        return {"logits": self.head(self.dropout(self.body(inputs).relu()))}


class Augmented(torch.utils.data.Dataset):
    """Draws from all three generators, as transforms do."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        noise = torch.randn(3) + random.random() + np.random.rand()
        return {"inputs": noise.float() + index % K, "labels": index % K}


class Fixed(Augmented):
    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {"inputs": torch.randn(3, generator=generator) + index % K, "labels": index % K}


class ByEpoch(Augmented):
    """Gives other samples in each epoch."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return sample | {"inputs": sample["inputs"] + self.epoch}


class Stream(torch.utils.data.IterableDataset):
    """Draws as `Augmented` does, keeps a buffer as shuffled streams do, and has no length."""

    def __iter__(self):
        buffer = []
        for index in range(N):
            buffer.append(Augmented()[index])
            if len(buffer) == 5:
                yield buffer.pop(random.randrange(5))
        yield from buffer


class Weighted(EMDTrainer):
    def _get_train_sampler(self, *args):
        return torch.utils.data.WeightedRandomSampler([1.0 + n for n in range(N)], N)


class Grouped(EMDTrainer):
    def _get_train_sampler(self, *args):
        return LengthGroupedSampler(8, lengths=[1 + n * 7 % 5 for n in range(N)])


class KillAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def make(folder, seed=0, data=None, callbacks=None, cls=EMDTrainer, arguments=EMDTrainingArguments, **fields):
    ours = {"loss": "xemd2", "jump_start_epochs": 2} if issubclass(cls, EMDTrainer) else {}
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    fields = (
        ours
        | {
            "per_device_train_batch_size": 8 // world_size,
            "num_train_epochs": 4,
            "learning_rate": 0.1,
            "optim": "sgd",
            "optim_args": "momentum=0.9",
            "logging_strategy": "steps",
            "logging_steps": 2,
            "eval_strategy": "epoch",
            "save_strategy": "steps",
            "save_steps": 1,
            "use_cpu": True,
            "disable_tqdm": True,
            "seed": 3,
        }
        | fields
    )
    torch.manual_seed(seed)
    data = data or Augmented()
    args = arguments(str(folder), **fields)
    return cls(Network(), args, train_dataset=data, eval_dataset=Fixed(), callbacks=callbacks)


def outcome(trainer):
    """All that must be the same."""
    history = [
        {name: value for name, value in entry.items() if not name.endswith(TIMES)}
        for entry in trainer.state.log_history
    ]
    weights = {name: tensor.tolist() for name, tensor in trainer.model.state_dict().items()}
    state = {name: tensor.tolist() for name, tensor in trainer.criterion.state().items()}
    return {"weights": weights, "criterion": state, "history": history}


def check_equal(got, expected):
    assert got["weights"] == expected["weights"]
    assert got["criterion"] == expected["criterion"]
    assert got["history"] == expected["history"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Of (workers, strategy of log and checkpoints): the folder and the outcome of the run that was not killed."""
    runs = {}
    for workers in (0, 1):
        for strategy in ("steps", "epoch"):
            folder = tmp_path_factory.mktemp("whole")
            trainer = make(folder, save_strategy=strategy, logging_strategy=strategy, dataloader_num_workers=workers)
            trainer.train()
            runs[workers, strategy] = folder, outcome(trainer)
    return runs


# what shares a fixture runs in one worker of pytest-xdist, or each would train it anew
of_whole = pytest.mark.xdist_group("resume")
of_two_ranks = pytest.mark.xdist_group("resume_ranks")


@of_whole
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("saves", "logs", "step"),
    # within an epoch and at its last step; in the jump start, at its end and after it; the very last step
    [("steps", "steps", step) for step in (3, 4, 6, 7, 12)]
    + [("epoch", "epoch", step) for step in (6, 12)]
    + [("steps", "epoch", step) for step in (2, 6, 12)],
)
def test_from_every_checkpoint(whole, tmp_path, workers, saves, logs, step):
    folder, _ = whole[workers, saves]
    _, expected = whole[workers, logs]
    shutil.copytree(folder / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    if saves != logs:  # what the log had not said yet is in the checkpoint, whatever it says when
        part = make(tmp_path / "part", save_strategy=saves, logging_strategy=logs, dataloader_num_workers=workers)
        part.train()
        shutil.rmtree(tmp_path / f"checkpoint-{step}")
        shutil.copytree(tmp_path / "part" / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    resumed = make(tmp_path, seed=1, save_strategy=saves, logging_strategy=logs, dataloader_num_workers=workers)
    resumed.train(resume_from_checkpoint=True)
    check_equal(outcome(resumed), expected)


WORKER = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "fork"}
OTHER_WAYS = {
    "stream": {"data": Stream(), "max_steps": 12},
    "stream and worker": {"data": Stream(), "max_steps": 12, **WORKER},
    "stream that does not fill its steps": {
        "data": Stream(),
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "jump_start_epochs": 2,
        "logging_steps": 1,
    },
    "worker that lives on": {**WORKER, "dataloader_persistent_workers": True},
    "stream and worker that lives on": {
        "data": Stream(),
        "max_steps": 12,
        **WORKER,
        "dataloader_persistent_workers": True,
    },
    "grouped by length": {"cls": Grouped},
    "sampler of one's own": {"cls": Weighted},
    "data set told the epoch": {"data": ByEpoch()},
    "last step within an epoch": {"max_steps": 11},
    "part of an epoch": {"num_train_epochs": 3.5},
    "accumulation that does not divide": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    "D within epochs": {"ground_distance_update_steps": 2},
    "evaluation within epochs": {"eval_strategy": "steps", "eval_steps": 2},
}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_other_ways_to_train(tmp_path, name):
    way = OTHER_WAYS[name]
    whole = make(tmp_path / "whole", **way)
    whole.train()
    expected = outcome(whole)
    last = whole.state.global_step
    slow = "dataloader_persistent_workers" in way  # their end is waited for
    for step in [4] if slow else {step for step in (1, 3, 4, 6, 7, last - 1, last) if step <= last}:
        resumed = make(tmp_path / "resumed", seed=1, **way | {"save_strategy": "no"})
        resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
        check_equal(outcome(resumed), expected)


@pytest.mark.parametrize("step", [2, 3, 5, 6])
def test_a_run_that_stopped_early_stays_stopped(tmp_path, step):
    def stops(folder, **fields):
        # the loss that is to fall rises: the second evaluation ends the run
        losses = iter([0.1, 0.9, 0.9, 0.9])
        trainer = make(
            folder, callbacks=[EarlyStoppingCallback(1)], metric_for_best_model="badness", greater_is_better=False,
            **fields,
        )  # fmt: skip
        trainer.compute_metrics = lambda _: {"badness": next(losses) if trainer.state.global_step == 3 else 0.9}
        return trainer

    whole = stops(tmp_path / "whole", load_best_model_at_end=False)
    whole.train()
    assert whole.state.global_step == 6
    resumed = stops(tmp_path / "resumed", seed=1, save_strategy="no")
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / f"checkpoint-{step}"))
    check_equal(outcome(resumed), outcome(whole))


def test_the_mean_loss_is_that_of_the_whole_run(tmp_path):
    whole = make(tmp_path, logging_steps=1)
    said = whole.train().training_loss
    losses = [entry["loss"] for entry in whole.state.log_history if "loss" in entry]
    assert said == pytest.approx(np.mean(losses), rel=1e-6)
    resumed = make(tmp_path, seed=1, logging_steps=1, save_strategy="no")
    assert resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10")).training_loss == said


def test_a_cross_entropy_run_goes_on_self_guided(tmp_path, caplog):
    make(tmp_path, loss="xe", num_train_epochs=2).train()
    trainer = make(tmp_path, num_train_epochs=6)
    trainer.train(resume_from_checkpoint=True)
    assert "was not written by a self-guided run of EMDTrainer" in caplog.text
    assert (trainer.criterion.first_epoch, trainer.criterion.epoch) == (2, 4)
    assert trainer.criterion.regularizer_weight > 0


def test_what_is_uploaded_can_be_resumed(tmp_path):
    trainer = make(tmp_path, max_steps=4, jump_start_epochs=1, regularizer_weight=1.0, hub_strategy="end")
    trainer.train()
    (tmp_path / "checkpoint-4" / "files.json").unlink()
    trainer._push_from_checkpoint(str(tmp_path / "checkpoint-4"))
    assert validate_checkpoint(tmp_path / "checkpoint-4") is None


def test_the_checkpoint_of_another_run_is_left_alone(tmp_path):
    make(tmp_path, num_train_epochs=3).train()
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoint-9").iterdir()}
    make(tmp_path, num_train_epochs=3, save_strategy="no").train()
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoint-9").iterdir()} == before


@of_whole
@pytest.mark.parametrize("step", [2, 5, 9])
def test_killed_by_the_system(whole, tmp_path, step):
    def run():
        make(tmp_path, callbacks=[KillAt(step)]).train()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{step}")
    resumed = make(tmp_path, seed=1)
    resumed.train(resume_from_checkpoint=True)
    check_equal(outcome(resumed), whole[0, "steps"][1])


# of the calls while a run saves: the owner, the name, which call kills, and what is whole then
WITHIN_A_SAVE = [
    (checkpointing, "mark_incomplete", 5, 4),
    (checkpointing, "save_file", 5, 4),
    (EMDTrainer, "_save", 5, 4),
    (EMDTrainer, "_save_optimizer_and_scheduler", 5, 4),
    (EMDTrainer, "_save_rng_state", 5, 4),
    (checkpointing, "mark_complete", 5, 4),
    (checkpointing, "rotate_checkpoints", 5, 5),
    (os, "replace", 5, 3),  # of the fourth manifest, after three of them and a D
    (os, "replace", 23, 12),  # of the manifest that admits another D in the last checkpoint, once training is over
    (os, "replace", 24, 12),  # of this D
]


@of_whole
@pytest.mark.parametrize(("owner", "name", "call", "last"), WITHIN_A_SAVE, ids=str)
def test_killed_within_a_save(whole, tmp_path, owner, name, call, last):
    calls, original = [], getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    def run():
        setattr(owner, name, counted)
        make(tmp_path, save_total_limit=1).train()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{last}")
    resumed = make(tmp_path, seed=1, save_total_limit=1)
    resumed.train(resume_from_checkpoint=True)
    check_equal(outcome(resumed), whole[0, "steps"][1])


@of_whole
@pytest.mark.parametrize("lacks", ["manifest", "weights", "half a file", "a bit", "everything"])
def test_a_half_written_checkpoint_is_passed_over(whole, tmp_path, caplog, lacks):
    folder, expected = whole[0, "steps"]
    for step in (4, 5):
        shutil.copytree(folder / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    broken = tmp_path / "checkpoint-5"
    optimizer = broken / "optimizer.pt"
    size = optimizer.stat().st_size
    if lacks == "manifest":
        (broken / "files.json").unlink()
        why = "it has no manifest."
    elif lacks == "weights":
        (broken / "model.safetensors").unlink()
        why = "model.safetensors is missing ("
    elif lacks == "half a file":
        optimizer.write_bytes(optimizer.read_bytes()[: size // 2])
        why = f"optimizer.pt has {size // 2} bytes in place of {size} ("
    elif lacks == "a bit":
        content = bytearray(optimizer.read_bytes())
        content[size // 2] ^= 1
        optimizer.write_bytes(content)
        why = "optimizer.pt has as many bytes as it was written with, and other ones ("
    else:
        shutil.rmtree(broken)
        broken.mkdir()
        why = "it has no readable trainer_state.json."
    resumed = make(tmp_path, seed=1)
    resumed.train(resume_from_checkpoint=True)
    assert sum(message.startswith(f"{broken} is skipped: {why}") for message in caplog.messages) == 1
    check_equal(outcome(resumed), expected)


def test_messages_where_there_is_nothing_to_go_on_from(tmp_path):
    with pytest.raises(ValueError) as error:
        make(tmp_path).train(resume_from_checkpoint=True)
    assert str(error.value) == (
        f"resume_from_checkpoint=True needs a complete checkpoint in {tmp_path}; there is none. Start without it."
    )
    (tmp_path / "checkpoint-1").mkdir()
    with pytest.raises(ValueError) as error:
        make(tmp_path).train(resume_from_checkpoint=tmp_path / "checkpoint-1")
    assert str(error.value) == (
        f"resume_from_checkpoint must name a complete checkpoint; {tmp_path / 'checkpoint-1'} is none: it has no "
        "readable trainer_state.json. resume_from_checkpoint=True takes the last complete one of output_dir."
    )


@of_whole
def test_nothing_of_ours_is_pickled(whole):
    folder, _ = whole[0, "steps"]
    plain = make(folder / "plain", cls=Trainer, arguments=TrainingArguments, max_steps=1, eval_strategy="no")
    plain.label_names, plain.compute_loss_func = ["labels"], stock_loss
    plain.train()
    stock = {path.name for path in (folder / "plain" / "checkpoint-1").iterdir()}
    ours = {path.name for path in (folder / "checkpoint-1").iterdir()}
    assert ours - stock == {"emd_state.safetensors", "files.json"}
    shutil.rmtree(folder / "plain")


def stock_loss(outputs, labels, num_items_in_batch=None):
    return nn.functional.cross_entropy(outputs["logits"], labels)


@pytest.mark.parametrize("step", [3, 4])
def test_a_checkpoint_of_the_plain_trainer(tmp_path, caplog, step):
    plain = make(tmp_path, cls=Trainer, arguments=TrainingArguments, eval_strategy="no", num_train_epochs=2)
    plain.label_names, plain.compute_loss_func = ["labels"], stock_loss
    plain.train()
    for path in tmp_path.glob("checkpoint-*"):
        if path.name != f"checkpoint-{step}":
            shutil.rmtree(path)
    trainer = make(tmp_path, num_train_epochs=6)
    trainer.train(resume_from_checkpoint=True)
    said = (
        f"{tmp_path / f'checkpoint-{step}'} was not written by a self-guided run of EMDTrainer: its weights and "
        "optimizer are taken over, the ground distance starts empty and the jump start begins now."
    )
    assert caplog.messages.count(said) == 1
    assert trainer.state.global_step == 18
    assert trainer.criterion.first_epoch == 1
    assert trainer.criterion.epoch == 5
    assert trainer.criterion.regularizer_weight > 0
    expected = outcome(trainer)
    again = make(tmp_path, seed=1, num_train_epochs=6)  # and it can be interrupted itself
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    check_equal(outcome(again), expected)
    with pytest.raises(ValueError, match=r"this run has 2\."):  # the epochs after the checkpoint are fewer
        make(tmp_path, num_train_epochs=3).train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))


class ModelData(torch.utils.data.Dataset):
    def __init__(self, inputs):
        torch.manual_seed(0)
        self.inputs = [inputs() for _ in range(2)]

    def __len__(self):
        return 2 * BATCH_OF_MODELS

    def __getitem__(self, index):
        batch = self.inputs[index // BATCH_OF_MODELS]
        row = {name: tensor[index % BATCH_OF_MODELS] for name, tensor in batch.items()}
        return row | {"labels": index % CLASSES_OF_MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_every_architecture_comes_back_whole(tmp_path, name):
    build, inputs, _ = MODELS[name]
    data = ModelData(inputs)
    metrics = iter([0.1, 0.9, 0.3])

    def trainer(seed, **fields):
        torch.manual_seed(seed)
        model = build()
        model.num_classes = CLASSES_OF_MODELS
        args = EMDTrainingArguments(
            str(tmp_path),
            loss="xemd2",
            jump_start_epochs=1,
            regularizer_weight=1.0,
            per_device_train_batch_size=BATCH_OF_MODELS,
            num_train_epochs=3,
            learning_rate=0.5,
            optim="sgd",
            max_grad_norm=0.1,
            eval_strategy="epoch",
            save_strategy="epoch",
            metric_for_best_model="aem",
            use_cpu=True,
            disable_tqdm=True,
            **fields,
        )
        return EMDTrainer(
            model, args, train_dataset=data, eval_dataset=data, compute_metrics=lambda _: {"aem": next(metrics)}
        )

    whole = trainer(0)
    whole.train()
    metrics = iter([0.3])
    resumed = trainer(1)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    expected = whole.model.state_dict()
    for key, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, expected[key]), key
    assert torch.equal(resumed.criterion.ground_distance, whole.criterion.ground_distance)

    metrics = iter([0.3])
    best = trainer(1, load_best_model_at_end=True)
    best.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    metrics = iter([0.1, 0.9])
    two = trainer(0)
    two.args.num_train_epochs = 3
    two.add_callback(StopAt(4))
    two.train()
    for key, tensor in best.model.state_dict().items():
        assert torch.equal(tensor, two.model.state_dict()[key]), key
    assert torch.equal(best.criterion.ground_distance, two.criterion.ground_distance)


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == self.step
        return control


@of_whole
class TestFullDisk:
    def test_the_previous_checkpoint_stays_usable(self, whole, tmp_path):
        # a file size limit fails a write in the middle, as a full disk does
        def run():
            logging.basicConfig(filename=tmp_path / "log", level=logging.ERROR, force=True)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

            class LimitAt(TrainerCallback):
                def on_step_end(self, args, state, control, **kwargs):
                    if state.global_step == 5:
                        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

            try:
                make(tmp_path, callbacks=[LimitAt()], save_total_limit=1).train()
            except Exception:
                os._exit(7)

        process = multiprocessing.get_context("fork").Process(target=run)
        process.start()
        process.join(120)
        assert process.exitcode == 7
        previous = str(tmp_path / "checkpoint-4")
        assert last_complete_checkpoint(tmp_path) == previous
        assert "checkpoint-5 could not be written" in (tmp_path / "log").read_text()[:1000]
        resumed = make(tmp_path, seed=1, save_total_limit=1)
        resumed.train(resume_from_checkpoint=True)
        check_equal(outcome(resumed), whole[0, "steps"][1])
        assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-12"]

    def test_the_message(self, tmp_path, caplog, monkeypatch):
        trainer = make(tmp_path)
        monkeypatch.setattr(
            trainer, "_save_optimizer_and_scheduler", lambda folder: Path(folder, "x").write_bytes(b"") or fail()
        )
        with pytest.raises(OSError):
            trainer.train()
        assert caplog.messages[-1] == (
            f"{tmp_path / 'checkpoint-1'} could not be written: the disk is full (OSError: [Errno 28] No space left on "
            "device). Free some space. There is no complete checkpoint yet: start again."
        )


def fail():
    raise OSError(28, "No space left on device")


RANK_STEPS = (2, 3, 5, 6, 9, 12)
STEPS_OF_WAYS = (4, 6, 11)
WAYS_OF_RANKS = {
    "dispatch": {"accelerator_config": {"dispatch_batches": True}},
    "split": {"accelerator_config": {"split_batches": True}, "per_device_train_batch_size": 8},
    "stream": {"data": Stream(), "max_steps": 12},
    "stream everywhere": {"data": Stream(), "max_steps": 12, "accelerator_config": {"dispatch_batches": False}},
    "sampler of one's own": {"cls": Weighted},
}


def rank_runs(rank, folder):
    """On every rank: runs that were not killed, and some from each of their checkpoints."""
    trainer = make(folder / "whole")
    trainer.train()
    write(folder / f"whole_{rank}.json", trainer)
    for step in RANK_STEPS:
        resumed = make(folder / f"whole_{step}", seed=1)
        resumed.train(resume_from_checkpoint=str(folder / "whole" / f"checkpoint-{step}"))
        write(folder / f"whole_{step}_{rank}.json", resumed)
        resumed = make_certain(folder / f"alone_{step}", seed=1)
        resumed.train(resume_from_checkpoint=str(folder / "alone" / f"checkpoint-{step}"))
        write(folder / f"alone_{step}_{rank}.json", resumed)
    make_certain(folder / "together").train()
    for name, way in WAYS_OF_RANKS.items():
        trainer = make(folder / name, **way)
        trainer.train()
        write(folder / f"{name}_{rank}.json", trainer)
        for step in STEPS_OF_WAYS:
            resumed = make(folder / f"{name}_{step}", seed=1, **way)
            resumed.train(resume_from_checkpoint=str(folder / name / f"checkpoint-{step}"))
            write(folder / f"{name}_{step}_{rank}.json", resumed)


def make_certain(folder, **fields):
    """Without dropout and noise, which no two numbers of ranks draw alike."""
    trainer = make(folder, data=Fixed(), **fields)
    trainer.model.dropout.p = 0.0
    return trainer


def write(path, trainer):
    path.write_text(json.dumps(outcome(trainer)))


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory):
    folder = Path(tmp_path_factory.mktemp("two"))
    alone = make_certain(folder / "alone")
    alone.train()
    write(folder / "alone.json", alone)
    on_ranks(2, rank_runs, folder)
    return folder


@of_two_ranks
@pytest.mark.parametrize("step", RANK_STEPS)
def test_on_two_ranks(on_two_ranks, step):
    for rank in range(2):
        expected = json.loads((on_two_ranks / f"whole_{rank}.json").read_text())
        check_equal(json.loads((on_two_ranks / f"whole_{step}_{rank}.json").read_text()), expected)


@of_two_ranks
@pytest.mark.parametrize("step", RANK_STEPS)
def test_on_another_number_of_ranks(on_two_ranks, tmp_path, step):
    expected = json.loads((on_two_ranks / "alone.json").read_text())
    for rank in range(2):  # of one process, on two ranks
        check_close(json.loads((on_two_ranks / f"alone_{step}_{rank}.json").read_text()), expected)
    resumed = make_certain(tmp_path, seed=1)  # of two ranks, in one process
    resumed.train(resume_from_checkpoint=str(on_two_ranks / "together" / f"checkpoint-{step}"))
    check_close(outcome(resumed), expected)


@of_two_ranks
@pytest.mark.parametrize("step", STEPS_OF_WAYS)
@pytest.mark.parametrize("name", WAYS_OF_RANKS)
def test_other_ways_on_two_ranks(on_two_ranks, name, step):
    for rank in range(2):
        expected = json.loads((on_two_ranks / f"{name}_{rank}.json").read_text())
        check_equal(json.loads((on_two_ranks / f"{name}_{step}_{rank}.json").read_text()), expected)


def check_close(got, expected):
    for part in ("weights", "criterion"):
        assert got[part].keys() == expected[part].keys()
        for name, values in expected[part].items():
            np.testing.assert_allclose(got[part][name], values, rtol=1e-6, atol=1e-6, err_msg=name)
    assert len(got["history"]) == len(expected["history"])
    for mine, theirs in zip(got["history"], expected["history"], strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            np.testing.assert_allclose(mine[key], theirs[key], rtol=1e-6, atol=1e-6, err_msg=key)
