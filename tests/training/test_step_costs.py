"""What we add to a run: collectives, waits for the device, memory.

That a step never waits for a GPU is seen on the device `meta`, whose tensors have no values that could be read.
"""

import gc
import json
import tracemalloc
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist
from tests.ranks import on_ranks
from tests.training.tiny import D as FEATURES
from tests.training.tiny import K, N, Network, TakesKwargs, arguments, samples
from transformers import Trainer, TrainerCallback, TrainingArguments

from squared_emd import EMDTrainer, ground_distance_from_positions
from squared_emd.training.criterion import EMDCriterion
from squared_emd.training.nonfinite import FiniteCheck
from squared_emd.training.seeded_data import NUM_UNIQUE

EPOCHS, STEPS = 4, 3  # of each epoch
COLLECTIVES = ("all_reduce", "all_gather", "all_gather_into_tensor", "broadcast", "reduce", "barrier",
               "all_gather_object", "broadcast_object_list", "gather", "scatter", "reduce_scatter")  # fmt: skip


def count(rank, folder):
    calls = []

    def spy(name):
        original = getattr(dist, name)

        def wrapped(*args, **kwargs):
            tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
            calls.append([name, tensors[-1].numel() if tensors else None])
            return original(*args, **kwargs)

        setattr(dist, name, wrapped)

    class Begin(TrainerCallback):
        def on_train_begin(self, *args, **kwargs):
            calls.clear()

    for name in COLLECTIVES:
        spy(name)
    fields = {"per_device_train_batch_size": 4, "num_train_epochs": EPOCHS}
    for cls, args in (
        (Trainer, arguments(folder, TrainingArguments, **fields)),
        (EMDTrainer, arguments(folder, jump_start_epochs=2, **fields)),
    ):
        trainer = cls(TakesLoss() if cls is Trainer else TakesKwargs(), args, train_dataset=samples(count=8 * STEPS))
        trainer.add_callback(Begin())
        trainer.train()
        (folder / f"{cls.__name__}_{rank}.json").write_text(json.dumps(calls))


class TakesLoss(TakesKwargs):
    """What the stock Trainer asks of a model: a loss that is divided by the items of the whole step."""

    def forward(self, inputs, labels, num_items_in_batch=None, **kwargs):
        logits = super().forward(inputs)["logits"]
        return {"loss": torch.nn.functional.cross_entropy(logits, labels, reduction="sum") / num_items_in_batch}


def test_one_all_reduce_a_refresh(tmp_path):
    on_ranks(2, count, tmp_path)
    for rank in range(2):
        stock, ours = (json.loads((tmp_path / f"{name}_{rank}.json").read_text()) for name in ("Trainer", "EMDTrainer"))

        def number(calls, *wanted):
            return calls.count(list(wanted))

        assert number(ours, "all_reduce", K * (FEATURES + 1)) == EPOCHS  # class sums and counts
        counted = EPOCHS * STEPS  # samples of a step: the stock Trainer gathers them, we add them up
        assert number(ours, "all_reduce", 1) == counted
        assert number(ours, "all_gather", 1) == number(stock, "all_gather", 1) - counted + EPOCHS  # the digest of D
        assert number(ours, "all_reduce", 2) == 2  # two logs of ce, and NaN
        assert number(ours, "all_reduce", 3) == 1 + 2  # what lambda is fixed from, once; two logs of ce, emd, and NaN
        assert len(ours) - len(stock) == EPOCHS + EPOCHS + 1 + EPOCHS


def batch_of(data, device):
    return {
        "inputs": torch.stack([sample["inputs"] for sample in data]).to(device),
        "labels": torch.as_tensor([sample["labels"] for sample in data]).to(device)
        if isinstance(data[0]["labels"], int)
        else torch.stack([sample["labels"] for sample in data]).to(device),
    }


def trainer_on_meta(folder, loss, **fields):
    """A Trainer in the middle of a run whose model, losses and sums have no values any more."""
    distance = ground_distance_from_positions(torch.arange(K, dtype=torch.float64))
    if loss == "a-emd":
        fields["ground_distance"] = str(folder / "line.json")
        (folder / "line.json").write_text(str(distance.tolist()))
    trainer = EMDTrainer(Network(1 if loss == "reg" else K), arguments(folder, loss=loss, **fields))
    trainer.compute_loss(trainer.model.train(), batch_of(samples(), "cpu"), num_items_in_batch=N)  # finds the head
    trainer.log_sums = {}
    trainer.model.to("meta")
    trainer.criterion = EMDCriterion(trainer.args, 1 if loss == "reg" else K, device="meta")
    trainer.criterion.restart()  # as when training begins
    if loss.startswith("xemd"):
        trainer.criterion.adopt(distance, {"loss": loss, "regularizer_weight": 1.0})
    trainer.finite = FiniteCheck("meta")
    return trainer


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("loss", ["xe", "reg", "emd", "xemd1", "xemd2", "a-emd"])
def test_reads_no_value(tmp_path, monkeypatch, loss, soft, policy):
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # which meta does not know
    trainer = trainer_on_meta(tmp_path, loss, nan_policy=policy)
    batch = batch_of(samples(soft and loss != "reg"), "meta")
    loss_of = trainer.compute_loss(trainer.model, batch, num_items_in_batch=N)
    loss_of.backward()
    assert loss_of.is_meta
    assert trainer.model.head.weight.grad.shape == trainer.model.head.weight.shape
    assert all(total.is_meta for total in trainer.log_sums.values())
    if loss.startswith("xemd"):
        assert trainer.criterion.distance.centroids.class_sums.is_meta
    trainer.finite._on_host = torch.zeros((), dtype=torch.int64, device="meta")  # where it may be read is the host
    monkeypatch.setattr(FiniteCheck, "steps_without", 0)
    trainer.finite.on_pre_optimizer_step(trainer.args, trainer.state, trainer.control, model=trainer.model)
    trainer.finite.on_step_end(trainer.args, trainer.state, trainer.control)


def test_reads_no_value_of_a_batch_with_repeats_in_the_jump_start(tmp_path):
    trainer = trainer_on_meta(tmp_path, "xemd2", jump_start_epochs=2)
    trainer.criterion.epoch, trainer.criterion.regularizer_weight = 1, None  # lambda is measured
    batch = batch_of(samples(), "meta") | {NUM_UNIQUE: 3}
    assert trainer.compute_loss(trainer.model, batch, num_items_in_batch=3).is_meta
    assert trainer.criterion.automatic_lambda.sums.is_meta


def test_memory_does_not_grow(tmp_path):
    sizes = {}

    class Weigh(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step in (100, 280):
                gc.collect()
                tensors = sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())
                sizes[state.global_step] = tensors, tracemalloc.get_traced_memory()[0]

    args = arguments(
        tmp_path, max_steps=281, loss="xemd2", regularizer_weight=1.0, jump_start_epochs=1, logging_strategy="no",
        per_device_train_batch_size=4,
    )  # fmt: skip
    trainer = EMDTrainer(Network(), args, train_dataset=samples(count=160), callbacks=[Weigh()])
    tracemalloc.start()
    try:
        trainer.train()
    finally:
        tracemalloc.stop()
    assert sizes[280][0] <= sizes[100][0] + 10  # some live until the next step
    assert sizes[280][1] - sizes[100][1] < 18_000  # bytes: 100 a step
