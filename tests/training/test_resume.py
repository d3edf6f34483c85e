"""A run that was killed and resumed is the run that was not: weights, D, centroids, lambda and log."""

import errno
import json
import os
import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.ranks import in_fork, on_ranks
from tests.training.architectures import MODELS
from tests.training.architectures import B as BATCH_OF_MODELS
from tests.training.tiny import Augmented, K, N, Network, arguments, logged, samples
from torch import nn
from torch.multiprocessing import ProcessExitedException
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler

from squared_emd import EMDTrainer
from squared_emd.training import checkpointing
from squared_emd.training.checkpoints import last_complete_checkpoint, validate_checkpoint

TIMES = ("runtime", "samples_per_second", "steps_per_second")
FIELDS = {
    "optim_args": "momentum=0.9",
    "logging_strategy": "steps",
    "logging_steps": 2,
    "eval_strategy": "epoch",
    "save_strategy": "steps",
    "save_steps": 1,
}


class Shuffled(torch.utils.data.IterableDataset):
    """Draws as `Augmented` does, keeps a buffer as shuffled streams do, and has no length."""

    def __iter__(self):
        buffer, data = [], Augmented()
        for index in range(N):
            buffer.append(data[index])
            if len(buffer) == 5:
                yield buffer.pop(random.randrange(5))
        yield from buffer


class Weighted(EMDTrainer):
    def _get_train_sampler(self, *args):
        return torch.utils.data.WeightedRandomSampler([1.0 + n for n in range(N)], N)


class Grouped(EMDTrainer):
    def _get_train_sampler(self, *args):
        return LengthGroupedSampler(8, lengths=[1 + n * 7 % 5 for n in range(N)])


def make(folder, seed=0, data=None, callbacks=None, cls=EMDTrainer, dropout=0.2, **fields):
    """Twelve steps, three an epoch, of which six are the jump start; `seed` is that of the first weights."""
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    fields = {"per_device_train_batch_size": 8 // world_size, "jump_start_epochs": 2, **FIELDS, **fields}
    torch.manual_seed(seed)
    data = data or Augmented()
    args = arguments(folder, **fields)
    return cls(Network(dropout=dropout), args, train_dataset=data, eval_dataset=samples(), callbacks=callbacks)


def make_certain(folder, seed=0):
    """Without dropout and noise, which no two numbers of ranks draw alike."""
    return make(folder, seed, data=samples(), dropout=0.0)


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
    for part in ("weights", "criterion", "history"):
        assert got[part] == expected[part]


def resume(trainer, folder, step):
    """The outcome of going on from a checkpoint."""
    trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
    return outcome(trainer)


def outcomes(folder, steps=(4, 6, 11), saves="no", **way):
    """That of the whole run, and those of runs that went on from its checkpoints, with or without saving."""
    whole = make(folder, **way)
    whole.train()
    way |= {"save_strategy": saves}
    steps = [step for step in steps if (folder / f"checkpoint-{step}").exists()]
    return [outcome(whole), *(resume(make(folder / "resumed", seed=1, **way), folder, step) for step in steps)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder and the outcome of the run that was not killed."""
    trainer = make(tmp_path_factory.mktemp("whole"))
    trainer.train()
    return Path(trainer.args.output_dir), outcome(trainer)


# what shares a fixture runs in one worker of pytest-xdist, or each would train it anew
of_whole = pytest.mark.xdist_group("resume")
of_two_ranks = pytest.mark.xdist_group("resume_ranks")

# within an epoch and at its last step; in the jump start, at its end and after it; the very last step
EVERY = {"steps": (1, 3, 4, 6, 7, 11, 12)}
WORKER = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "fork"}
LIVES_ON = {**WORKER, "dataloader_persistent_workers": True, "steps": (4,)}  # their end is waited for
STREAM = {"data": Shuffled(), "max_steps": 12}
WAYS = {
    "steps": EVERY,
    "epochs": {"save_strategy": "epoch", "logging_strategy": "epoch"},
    # what the log had not said yet is in the checkpoint
    "log by epoch": {"logging_strategy": "epoch"},
    "worker": WORKER,
    "stream": STREAM | EVERY,
    "stream and worker": STREAM | WORKER,
    "stream that does not fill its steps": STREAM
    | EVERY
    | {"max_steps": 6, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4, "logging_steps": 1},
    "worker that lives on": LIVES_ON,
    "stream and worker that lives on": STREAM | LIVES_ON,
    "grouped by length": {"cls": Grouped},
    "sampler of one's own": {"cls": Weighted},
    "last step within an epoch": {"max_steps": 11},
    "part of an epoch": {"num_train_epochs": 3.5},
    "accumulation that does not divide": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4},
    "D within epochs": {"ground_distance_update_steps": 2} | EVERY,
    "D of two": {"geometry": "line", "prior_weight": 0.5},
    "jump start of steps": {"jump_start_epochs": 1.5} | EVERY,  # D is there after three, lambda after five
    "jump start of a share": {"loss": "xemd", "jump_start_epochs": None, "jump_start_ratio": 0.25} | EVERY,
    "evaluation within epochs": {"eval_strategy": "steps", "eval_steps": 2},
    "balanced": {"balanced_sampling": True, "data": samples(labels=[0] * 12 + [1] * 6 + [2] * 4 + [3] * 2)},
}


@pytest.mark.parametrize("name", WAYS)
def test_ends_as_the_whole_run(tmp_path, name):
    expected, *resumed = outcomes(tmp_path, **WAYS[name])
    assert resumed
    for got in resumed:
        check_equal(got, expected)


@pytest.mark.parametrize("step", [8, 9, 11, 12])
def test_a_run_that_stopped_early_stays_stopped(tmp_path, step):
    def stops(seed, **fields):
        fields |= {"num_train_epochs": 5, "metric_for_best_model": "mae"}  # of the jump start none is the best
        trainer = make(tmp_path, seed, callbacks=[EarlyStoppingCallback(1)], **fields)
        trainer.compute_metrics = lambda _: {"mae": 0.1 if trainer.state.global_step == 9 else 0.9}
        return trainer

    whole = stops(0, load_best_model_at_end=False)
    whole.train()
    assert whole.state.global_step == 12
    check_equal(resume(stops(1, save_strategy="no"), tmp_path, step), outcome(whole))


def test_the_mean_loss_is_that_of_the_whole_run(tmp_path):
    whole = make(tmp_path, logging_steps=1)
    said = whole.train().training_loss
    assert said == pytest.approx(np.mean(logged(whole, "loss")), rel=1e-6)
    resumed = make(tmp_path, seed=1, logging_steps=1, save_strategy="no")
    assert resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10")).training_loss == said


def test_the_loss_and_lambda_that_are_asked_for_are_trained(tmp_path, caplog):
    make(tmp_path, num_train_epochs=3).train()
    checkpoint = str(tmp_path / "checkpoint-9")
    trainer = make(tmp_path, loss="xemd", jump_start_epochs=None, num_train_epochs=6, save_strategy="no")
    state = load_file(tmp_path / "checkpoint-9" / "emd_state.safetensors")
    trainer.train(resume_from_checkpoint=checkpoint)
    said = (
        f"{checkpoint} was not written by a run of EMDTrainer with the loss xemd: its weights and optimizer are taken "
        "over, the ground distance starts empty and the jump start begins now."
    )
    assert caplog.messages.count(said) == 1
    assert trainer.criterion.regularizer_weight == 6 and trainer.criterion.jump_start.last_step == 10  # 0.1 of 9 steps
    known = trainer.criterion.ground_distance[~torch.eye(K, dtype=torch.bool)]
    assert known.mean().item() == pytest.approx(1)  # not the ranks of xemd2

    def loaded(state, **fields):
        criterion = make(tmp_path, save_strategy="no", **fields).criterion
        assert criterion.resume(state, 3)
        criterion.begin(step=9, total_steps=18, epoch_steps=3)
        return criterion.regularizer_weight

    measured = state["regularizer_weight"].item()
    assert (loaded(state), loaded(state, regularizer_weight="3")) == (measured, 3.0)
    assert loaded(state, jump_start_epochs=5) is None  # which is to be measured again


def test_what_is_uploaded_can_be_resumed(tmp_path):
    trainer = make(tmp_path, max_steps=4, jump_start_epochs=1, regularizer_weight=1.0, hub_strategy="end")
    trainer.train()
    (tmp_path / "checkpoint-4" / "files.json").unlink()
    trainer._push_from_checkpoint(str(tmp_path / "checkpoint-4"))
    assert validate_checkpoint(tmp_path / "checkpoint-4") is None


# of the calls while a run trains and saves: the owner, the name, which call kills, and what is whole then
KILLED_IN = [
    (EMDTrainer, "training_step", 6, 5),
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
@pytest.mark.parametrize(
    ("owner", "name", "call", "last"), KILLED_IN, ids=lambda part: getattr(part, "__name__", str(part))
)
def test_killed(whole, tmp_path, owner, name, call, last):
    calls, original = [], getattr(owner, name)

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    def run():
        setattr(owner, name, counted)
        make(tmp_path, save_total_limit=1).train()

    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        in_fork(run)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{last}")
    resumed = make(tmp_path, seed=1, save_total_limit=1)
    resumed.train(resume_from_checkpoint=True)
    check_equal(outcome(resumed), whole[1])


@of_whole
def test_a_half_written_checkpoint_is_passed_over(whole, tmp_path, caplog):
    folder, expected = whole
    for step in (4, 5):
        shutil.copytree(folder / f"checkpoint-{step}", tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-5" / "files.json").unlink()
    resumed = make(tmp_path, seed=1)
    resumed.train(resume_from_checkpoint=True)
    assert caplog.messages.count(f"{tmp_path / 'checkpoint-5'} is skipped: it has no manifest.") == 1
    check_equal(outcome(resumed), expected)


@pytest.mark.parametrize("step", [3, 4])
def test_a_checkpoint_of_the_plain_trainer(tmp_path, caplog, step):
    args = arguments(tmp_path, TrainingArguments, **FIELDS | {"num_train_epochs": 2, "eval_strategy": "no"})
    plain = Trainer(Network(dropout=0.2), args, train_dataset=Augmented())
    plain.label_names = ["labels"]
    plain.compute_loss_func = lambda outputs, labels, **_: nn.functional.cross_entropy(outputs["logits"], labels)
    plain.train()
    for path in tmp_path.glob("checkpoint-*"):
        if path.name != f"checkpoint-{step}":
            shutil.rmtree(path)
    trainer = make(tmp_path, num_train_epochs=6)
    trainer.train(resume_from_checkpoint=True)
    said = (
        f"{tmp_path / f'checkpoint-{step}'} was not written by a run of EMDTrainer with the loss xemd2: its "
        "weights and optimizer are taken over, the ground distance starts empty and the jump start begins now."
    )
    assert caplog.messages.count(said) == 1
    assert trainer.state.global_step == 18
    assert (trainer.criterion.first_epoch, trainer.criterion.epoch) == (1, 5)
    assert trainer.criterion.regularizer_weight > 0
    stock, ours = ({path.name for path in (tmp_path / f"checkpoint-{n}").iterdir()} for n in (step, 8))
    assert ours - stock == {"emd_state.safetensors", "ground_distance.safetensors", "files.json"}  # nothing is pickled
    # and it can be interrupted itself
    check_equal(resume(make(tmp_path, seed=1, num_train_epochs=6), tmp_path, 8), outcome(trainer))
    with pytest.raises(ValueError, match=r"this run has 2\."):  # the epochs after the checkpoint are fewer
        resume(make(tmp_path, num_train_epochs=3), tmp_path, step)


class ModelData(torch.utils.data.Dataset):
    def __init__(self, inputs):
        torch.manual_seed(0)
        self.inputs = [inputs() for _ in range(2)]

    def __len__(self):
        return 2 * BATCH_OF_MODELS

    def __getitem__(self, index):
        batch = self.inputs[index // BATCH_OF_MODELS]
        row = {name: tensor[index % BATCH_OF_MODELS] for name, tensor in batch.items()}
        return row | {"labels": index % K}


# with batch norm; whose names differ in files; of timm
OFTEN = ("ResNetForImageClassification", "ViTForImageClassification", "test_resnet")


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_every_architecture_comes_back_whole(tmp_path, name):
    build, inputs, _ = MODELS[name]
    data = ModelData(inputs)
    states = []

    def train(seed, checkpoint=None, **fields):
        torch.manual_seed(seed)
        model = build()
        model.num_classes = K
        fields |= {"jump_start_epochs": 1, "regularizer_weight": 1.0, "per_device_train_batch_size": BATCH_OF_MODELS}
        fields |= {"num_train_epochs": 3, "learning_rate": 0.5, "max_grad_norm": 0.1, "metric_for_best_model": "aem"}
        args = arguments(tmp_path, **FIELDS | {"save_strategy": "epoch"} | fields)

        def keep(_):
            weights = {key: tensor.clone() for key, tensor in trainer.model.state_dict().items()}
            states.append(weights | {"D": trainer.criterion.ground_distance.clone()})
            return {"aem": {2: 0.1, 4: 0.9, 6: 0.3}[trainer.state.global_step]}

        trainer = EMDTrainer(model, args, train_dataset=data, eval_dataset=data, compute_metrics=keep)
        trainer.train(resume_from_checkpoint=checkpoint)
        keep(None)

    train(0)
    train(1, str(tmp_path / "checkpoint-4"), load_best_model_at_end=True)
    _, best, last, _, resumed, loaded = states
    for got, expected in ((resumed, last), (loaded, best)):
        assert all(torch.equal(got[key], tensor) for key, tensor in expected.items())


@of_whole
def test_a_full_disk_leaves_the_previous_checkpoint_usable(whole, tmp_path, monkeypatch, caplog):
    save = EMDTrainer._save_rng_state

    def fails_at(trainer, folder):
        if trainer.state.global_step == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(trainer, folder)

    with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        patch.setattr(EMDTrainer, "_save_rng_state", fails_at)
        make(tmp_path, save_total_limit=1).train()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-4")
    assert "checkpoint-5 could not be written: the disk is full" in caplog.text
    resumed = make(tmp_path, seed=1, save_total_limit=1)
    resumed.train(resume_from_checkpoint=True)
    check_equal(outcome(resumed), whole[1])
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-12"]


RANK_STEPS = (4, 6, 11)
WAYS_OF_RANKS = {
    "steps": {},
    "dispatch": {"accelerator_config": {"dispatch_batches": True}},
    "split": {"accelerator_config": {"split_batches": True}, "per_device_train_batch_size": 8},
    "stream": STREAM,
    "stream everywhere": {**STREAM, "accelerator_config": {"dispatch_batches": False}},
    "sampler of one's own": {"cls": Weighted},
}


def rank_runs(rank, folder):
    """Every way to train, whole and resumed; and resumed from what one process has written."""
    # a checkpoint adds up the log over the ranks, so that only runs with the same ones agree to the bit
    found = {name: outcomes(folder / name, RANK_STEPS, "steps", **way) for name, way in WAYS_OF_RANKS.items()}
    found["alone"] = [resume(make_certain(folder / "x", seed=1), folder / "alone", step) for step in RANK_STEPS]
    make_certain(folder / "together").train()
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """A folder with the checkpoints of "alone" and "together", the outcome of "alone", and what each rank found."""
    folder = tmp_path_factory.mktemp("two")
    alone = make_certain(folder / "alone")
    alone.train()
    on_ranks(2, rank_runs, folder)
    return folder, outcome(alone), [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@of_two_ranks
@pytest.mark.parametrize("name", WAYS_OF_RANKS)
def test_on_two_ranks(two_ranks, name):
    for found in two_ranks[2]:
        expected, *resumed = found[name]
        assert len(resumed) == len(RANK_STEPS)
        for got in resumed:
            check_equal(got, expected)


@of_two_ranks
def test_on_another_number_of_ranks(two_ranks, tmp_path):
    folder, expected, found = two_ranks
    of_one = [got for of_rank in found for got in of_rank["alone"]]
    of_two = [resume(make_certain(tmp_path, seed=1), folder / "together", step) for step in RANK_STEPS]
    for got in of_one + of_two:
        for part in ("weights", "criterion"):
            assert got[part].keys() == expected[part].keys()
            for name, values in expected[part].items():
                np.testing.assert_allclose(got[part][name], values, rtol=1e-6, atol=1e-6, err_msg=name)
        for mine, theirs in zip(got["history"], expected["history"], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-6)
