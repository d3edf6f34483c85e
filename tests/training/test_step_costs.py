"""What we add to a run: collectives, waits for the device, memory."""

import gc
import json
import tracemalloc
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from tests.ranks import on_ranks
from tests.training.tiny import D as FEATURES
from tests.training.tiny import K, Network, TakesKwargs, arguments, samples
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import Trainer, TrainerCallback, TrainingArguments

from squared_emd import EMDTrainer
from squared_emd.training.nonfinite import NonFiniteCallback

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


class Waits(TorchDispatchMode):
    """Names the operations that would make the host wait for a GPU; a tensor that lies on the host may be read."""

    NAMES = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2")
    METHODS = ("cpu", "numpy", "tolist")

    def __init__(self, on_host):
        super().__init__()
        self.patches = []
        self.on_host = on_host
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_mask = name in ("index", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or (name in self.NAMES and args[0] is not self.on_host):
            self.seen.append(name)
        return function(*args, **(kwargs or {}))

    def __enter__(self):
        for name in self.METHODS:  # what they do on the CPU is dispatched to nowhere
            original = getattr(torch.Tensor, name)

            def noted(tensor, *args, name=name, original=original, **kwargs):
                self.seen.append(name)
                return original(tensor, *args, **kwargs)

            self.patches.append(mock.patch.object(torch.Tensor, name, noted))
        for patch in self.patches:
            patch.start()
        return super().__enter__()

    def __exit__(self, *error):
        for patch in self.patches:
            patch.stop()
        return super().__exit__(*error)


@pytest.mark.parametrize("loss", ["xe", "emd", "xemd1", "xemd2"])
@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_step_never_waits_for_the_device(tmp_path, monkeypatch, loss, policy):
    monkeypatch.setattr("squared_emd.training.nonfinite.values_are_checkable", lambda tensor: False)  # as on a GPU
    monkeypatch.setattr("squared_emd.losses.inputs.values_are_checkable", lambda tensor: False)
    waits = []

    def watched(part):
        def wrapped(*args, **kwargs):
            with Waits(trainer.finite._on_host) as watch:
                result = part(*args, **kwargs)
            waits.append(watch.seen)
            return result

        return wrapped

    fields = {"jump_start_epochs": 2} if loss.startswith("xemd") else {}
    args = arguments(tmp_path, loss=loss, nan_policy=policy, **fields)
    trainer = EMDTrainer(Network(), args, train_dataset=samples())
    trainer.compute_loss = watched(trainer.compute_loss)
    for name in ("on_pre_optimizer_step", "on_step_end"):
        monkeypatch.setattr(NonFiniteCallback, name, watched(getattr(NonFiniteCallback, name)))
    trainer.train()
    assert len(waits) == 3 * 12
    assert not any(waits[1:])  # the first step finds the head


def test_what_waits_is_seen():
    numbers = torch.ones(3)
    with Waits(None) as watch:
        numbers.sum().item()
        numbers.nonzero()
        bool(numbers.isnan().any())
        numbers[numbers > 0]
        numbers[numbers > 2] = torch.ones(0)
        numbers.masked_select(numbers > 0)
        numbers.unique()
        numbers.cpu()
        numbers.tolist()
        numbers.numpy()
    assert watch.seen == [
        "_local_scalar_dense", "nonzero", "_local_scalar_dense", "index", "index_put_", "masked_select", "_unique2",
        "cpu", "tolist", "numpy",
    ]  # fmt: skip


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
