"""A training step never waits for a GPU: run on the device `meta`, whose tensors have no values that could be read."""

from contextlib import nullcontext

import pytest
import torch
from tests.training.tiny import K, N, Network, arguments, samples

from squared_emd import EMDTrainer, EMDTrainingArguments, ground_distance_from_positions
from squared_emd.training.criterion import EMDCriterion
from squared_emd.training.nonfinite import FiniteCheck
from squared_emd.training.seeded_data import NUM_UNIQUE

NAN, INF = float("nan"), float("inf")


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
        assert trainer.criterion.centroids.class_sums.is_meta


def test_reads_no_value_of_a_batch_with_repeats_in_the_jump_start(tmp_path):
    trainer = trainer_on_meta(tmp_path, "xemd2", jump_start_epochs=2)
    trainer.criterion.epoch, trainer.criterion.regularizer_weight = 1, None  # lambda is measured
    batch = batch_of(samples(), "meta") | {NUM_UNIQUE: 3}
    assert trainer.compute_loss(trainer.model, batch, num_items_in_batch=3).is_meta
    assert trainer.criterion.automatic_lambda.sums.is_meta


def test_that_reading_a_value_would_be_noticed(tmp_path):
    trainer = trainer_on_meta(tmp_path, "emd")
    observed = trainer.criterion.forward
    trainer.criterion.forward = lambda logits, *others: observed(logits, *others) if logits.sum() > 0 else {}
    with pytest.raises(RuntimeError, match="meta"):
        trainer.compute_loss(trainer.model, batch_of(samples(), "meta"), num_items_in_batch=N)


class TestFiniteCheck:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_rows(self, dtype):
        rows = torch.zeros(6, 100, dtype=dtype)
        rows[0] = torch.finfo(dtype).min  # finite, as masked classes are, though there is no number for the sum
        rows[1, 7], rows[2, 7], rows[3, 7] = NAN, INF, -INF
        rows[4, 7], rows[4, 8] = INF, -INF
        check = FiniteCheck()
        assert check.check(rows).tolist() == [True, False, False, True, False, True]  # -inf is a masked class
        assert check.last_finite == 3
        assert check.check(rows[:, :1], rows, rows[:, 0]).tolist() == [True, False, False, False, False, True]

    def test_infinities_of_opposite_sign_in_two_tensors(self):
        assert FiniteCheck().check(torch.full((2, 1), INF), torch.full((2,), -INF)).tolist() == [False, False]

    def test_repeats_do_not_count(self):
        check = FiniteCheck()
        assert check.check(torch.zeros(3, 2), num_unique=1).tolist() == [True, False, False]
        assert check.last_finite == 1
        check.check(torch.zeros(3, 2), num_unique=0)
        check.end_step()
        assert check.steps_without == 0


def test_what_a_criterion_sums_lies_on_the_device_from_the_start(tmp_path):
    args = EMDTrainingArguments(str(tmp_path), loss="xemd2", use_cpu=True)
    criterion = EMDCriterion(args, K, device="meta")
    assert criterion.automatic_lambda.sums.is_meta
    assert criterion.centroids.class_counts.is_meta
