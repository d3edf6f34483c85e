"""One, two and four ranks (gloo, loopback) find the same numbers, whatever way the data reach them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from tests.training.tiny import Augmented
from torch import nn
from torch.utils.data import IterableDataset

from squared_emd import EMDTrainer, EMDTrainingArguments

K, D, BATCH = 4, 6, 8  # BATCH: samples a step, over all ranks and accumulation steps
EQUAL = 1e-6
TIMES = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}


class Network(nn.Module):
    num_classes = K

    def __init__(self):
        super().__init__()
        self.body = nn.Linear(3, D)
        self.head = nn.Linear(D, K)

    def forward(self, inputs):
        return {"logits": self.head(self.body(inputs).relu())}


class TakesKwargs(Network):
    def forward(self, inputs, **kwargs):
        return super().forward(inputs)


class Stream(IterableDataset):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return iter(self.data)


def samples(count, soft=False, labels=None):
    generator = torch.Generator().manual_seed(0)
    labels = [n % K for n in range(count)] if labels is None else labels
    data = []
    for label in labels:
        target = (torch.eye(K)[label] + 0.1) / (1 + 0.1 * K) if soft else label
        data.append({"inputs": torch.randn(3, generator=generator) + label, "labels": target})
    return data


FROZEN = {"learning_rate": 0.0}
EVALUATED = {"eval_strategy": "epoch"}
WORKER = {"dataloader_num_workers": 1, "dataloader_multiprocessing_context": "fork"}
IN_STEPS = {"logging_strategy": "steps", "logging_steps": 1}
# Class 2 is in samples 2 and 3 of each step of 8 only (one rank of two, one of four), class 3 nowhere.
ONE_SIDED = [0, 1, 2, 2, 0, 1, 1, 0] * 3
RARE = [0] * 12 + [1] * 6 + [2] * 2 + [3]
CASES = {
    "divides": {"count": 32, **FROZEN},
    "repeats": {"count": 21, **FROZEN, **EVALUATED},
    "repeats_three": {"count": 19, **FROZEN},
    "fewer_than_a_step": {"count": 5, **FROZEN},
    "drop_last": {"count": 21, "dataloader_drop_last": True, **FROZEN},
    "dispatch": {"count": 21, "accelerator_config": {"dispatch_batches": True}, **FROZEN, **EVALUATED},
    "split": {"count": 21, "accelerator_config": {"split_batches": True}, **FROZEN, **EVALUATED},
    "augmented": {"count": 21, "around": Augmented, **FROZEN},
    "augmented_workers": {"count": 21, "around": Augmented, **WORKER, **FROZEN},
    "augmented_dispatch": {
        "count": 21,
        "around": Augmented,
        "accelerator_config": {"dispatch_batches": True},
        **FROZEN,
    },
    "workers": {"count": 21, **WORKER, **FROZEN},
    "stream": {"count": 21, "around": Stream, "max_steps": 12, **FROZEN, **EVALUATED},
    "stream_accumulation": {
        "count": 18,
        "around": Stream,
        "max_steps": 8,
        "gradient_accumulation_steps": 2,
        **FROZEN,
        **IN_STEPS,
    },
    "stream_everywhere": {
        "count": 21,
        "around": Stream,
        "max_steps": 12,
        "accelerator_config": {"dispatch_batches": False},
        **FROZEN,
        **EVALUATED,
    },
    "stream_worker": {
        "count": 21,
        "around": Stream,
        "max_steps": 12,
        "accelerator_config": {"dispatch_batches": False},
        **WORKER,
        **FROZEN,
    },
    "one_sided": {"labels": ONE_SIDED, "train_sampling_strategy": "sequential", **FROZEN},
    "weighted": {"labels": RARE, "class_weights": "balanced", "learning_rate": 0.1},
    "balanced": {"labels": RARE, "balanced_sampling": True, "learning_rate": 0.1},
    "prior": {"count": 21, "geometry": "circle", "prior_weight": 0.5, "learning_rate": 0.1},
    "smoothed": {
        "count": 21,
        "label_smoothing_factor": 0.2,
        "label_smoothing_temperature": 0.5,
        "learning_rate": 0.1,
    },
} | {
    f"{loss}_{'soft' if soft else 'hard'}_{network.__name__}_{accumulation}": {
        "count": 22,
        "loss": loss,
        "soft": soft,
        "network": network,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": 0.1,
        **IN_STEPS,
    }
    for loss in ("xe", "emd", "xemd2")
    for soft in (False, True)
    for network in (Network, TakesKwargs)
    for accumulation in (1, 2)
}


def train(folder, world_size, count=0, labels=None, soft=False, around=list, network=Network, **fields):
    """One case; gives what this rank knows at the end."""
    accumulation = fields.get("gradient_accumulation_steps", 1)
    split = fields.get("accelerator_config", {}).get("split_batches", False)
    fields = {
        "loss": "xemd2",
        "jump_start_epochs": 2,
        "num_train_epochs": 4,
        "per_device_train_batch_size": BATCH // accumulation // (1 if split else world_size),
        "per_device_eval_batch_size": BATCH // (1 if split else world_size),
        "optim": "sgd",
        "logging_strategy": "epoch",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    } | fields
    data = samples(count, soft, labels)
    torch.manual_seed(0)
    args = EMDTrainingArguments(str(folder), **fields)
    assert args.world_size == world_size
    trainer = EMDTrainer(
        network(), args, train_dataset=around(data), eval_dataset=Stream(data) if around is Stream else data
    )
    trainer.train()
    criterion = trainer.criterion
    return {
        "history": trainer.state.log_history[:-1],  # the last entry is about time
        "weight": criterion.regularizer_weight,
        "sdd": criterion.sdd,
        "ground_distance": None if criterion.ground_distance is None else criterion.ground_distance.tolist(),
        "counts": criterion.centroids.state_dict()["class_counts"].tolist(),
        "head": trainer.model.head.weight.tolist(),
    }


def all_cases(rank, world_size, folder):
    """Every case, one after the other, in a process that is one of `world_size`."""
    for name, case in CASES.items():
        (folder / f"{name}_{rank}.json").write_text(json.dumps(train(folder / name, world_size, **case)))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Gives of (ranks, rank, name of a case) what that rank knows; each number of ranks is run when first asked for."""
    folder = Path(tmp_path_factory.mktemp("ranks"))

    def result(world_size, rank, name):
        own = folder / str(world_size)
        if not own.exists():
            own.mkdir()
            if world_size == 1:
                all_cases(0, 1, own)
            else:
                on_ranks(world_size, all_cases, world_size, own)
        return json.loads((own / f"{name}_{rank}.json").read_text())

    return result


RANKS = [2, pytest.param(4, marks=pytest.mark.slow)]


# every case of the file is trained once in a worker of pytest-xdist, so they share one
pytestmark = pytest.mark.xdist_group("ranks")


@pytest.mark.parametrize("world_size", RANKS)
@pytest.mark.parametrize("name", CASES)
def test_ranks_are_one_process(results, name, world_size):
    expected, got = results(1, 0, name), results(world_size, 0, name)
    for name_of_number in ("weight", "sdd"):
        if expected[name_of_number] is not None:
            np.testing.assert_allclose(got[name_of_number], expected[name_of_number], rtol=EQUAL)
    assert got["ground_distance"] == expected["ground_distance"]
    np.testing.assert_allclose(got["head"], expected["head"], rtol=EQUAL, atol=EQUAL)
    assert len(got["history"]) == len(expected["history"]) > 0
    for mine, theirs in zip(got["history"], expected["history"], strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - TIMES:
            np.testing.assert_allclose(mine[key], theirs[key], rtol=EQUAL, atol=EQUAL, err_msg=key)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("xe", "emd"))])
@pytest.mark.parametrize("key", ["loss", "grad_norm"])
@pytest.mark.parametrize("world_size", [1, *RANKS])
def test_mean_drift_between_splits(results, name, key, world_size):
    # a wrong scale of one loss in eight shows in the mean where one step's tolerance hides it
    def curve(*run):
        return np.array([entry[key] for entry in results(*run)["history"]])

    base = name.rpartition("_")[0]
    whole = curve(1, 0, f"{base}_1")
    assert abs((curve(world_size, 0, name) / whole - 1).mean()) < EQUAL


@pytest.mark.parametrize("world_size", RANKS)
@pytest.mark.parametrize("name", CASES)
def test_every_rank_knows_the_same_to_the_bit(results, name, world_size):
    for rank in range(1, world_size):
        for key in ("weight", "sdd", "ground_distance", "head"):
            assert results(world_size, rank, name)[key] == results(world_size, 0, name)[key]


@pytest.mark.parametrize("world_size", [1, *RANKS])
def test_the_unseen_class_has_no_distance(results, world_size):
    matrix = np.array(results(world_size, 0, "one_sided")["ground_distance"])
    assert not matrix[3].any()
    assert matrix[:3, :3].sum() > 0
