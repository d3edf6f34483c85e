"""What goes wrong in training: NaN, labels that do not fit, a rank that dies. Each ends in a clear word."""

import os
import signal
import time
from functools import partial

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from tests.training.tiny import K, N, Network, Stream, arguments, logged, samples, train
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException
from torch.utils.data import Subset
from transformers import TrainerCallback

from squared_emd import EMDTrainer, ordinal_metrics
from squared_emd.training.checkpoints import last_complete_checkpoint
from squared_emd.training.nonfinite import FiniteCheck, check_weights

NAN, INF = float("nan"), float("inf")


def poisoned(*positions, value=NAN):
    data = samples()
    for position in positions:
        data[position]["inputs"] = torch.full((3,), value)
    return data


class TestOneSample:
    @pytest.mark.parametrize("value", [NAN, float("inf")])
    def test_is_left_out_and_counted(self, tmp_path, value):
        run = partial(train, learning_rate=0.0, nan_policy="skip", loss="xemd2")
        trainer = run(tmp_path, data=poisoned(5, value=value))
        clean = run(tmp_path, data=[sample for n, sample in enumerate(samples()) if n != 5])
        assert logged(trainer, "non_finite_samples") == [1, 1, 1, 1]  # epochs
        assert torch.equal(trainer.criterion.ground_distance, clean.criterion.ground_distance)
        assert trainer.criterion.figures() == pytest.approx(clean.criterion.figures(), rel=1e-6)
        # its share of the loss is 0, and it still counts in the mean
        got, expected = logged(trainer, "loss_ce"), logged(clean, "loss_ce")
        np.testing.assert_allclose(got, np.array(expected) * (N - 1) / N, rtol=0.02)

    def test_of_clean_data_both_policies_are_the_same(self, tmp_path):
        first, second = (train(tmp_path, nan_policy=policy) for policy in ("raise", "skip"))
        for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
            assert torch.equal(one, other)
        assert not logged(first, "non_finite_samples")

    def test_regression(self, tmp_path):
        trainer = train(tmp_path, Network(1), poisoned(5), loss="reg", nan_policy="skip")
        assert logged(trainer, "non_finite_samples") == [1, 1, 1, 1]


class TestWholeBatches:
    def test_raise_after_as_many_steps_as_asked(self, tmp_path):
        with pytest.raises(FloatingPointError) as error:
            train(tmp_path, data=poisoned(0), loss="emd", nan_steps=4, train_sampling_strategy="sequential")
        # the first step makes the weights NaN; from the second on no sample is finite
        assert str(error.value) == (
            "for 4 steps, up to step 5, all features or logits were NaN or infinite on this rank: the weights are most "
            "likely NaN. Lower learning_rate, raise warmup_steps, lower max_grad_norm, or look for NaN in the data; "
            "resume_from_checkpoint=True goes on from the last checkpoint. nan_policy='skip' leaves such steps out."
        )

    def test_no_checkpoint_of_nan(self, tmp_path):
        with pytest.raises(FloatingPointError) as error:
            train(tmp_path, data=poisoned(12), loss="emd", train_sampling_strategy="sequential", save_strategy="steps",
                  save_steps=1)  # fmt: skip
        assert str(error.value) == (
            "at step 2 the weights body.weight are NaN or infinite, so they are not saved over good ones. Lower "
            "learning_rate, raise warmup_steps, lower max_grad_norm, or look for NaN in the data. nan_policy='skip' "
            "leaves out what would make them so."
        )
        assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")

    def test_no_nan_is_saved_at_the_end_of_a_short_run(self, tmp_path):
        run = partial(train, data=poisoned(0), loss="emd", max_steps=2, train_sampling_strategy="sequential")
        with pytest.raises(FloatingPointError, match=r"at step 2 the weights body\.weight are NaN or infinite"):
            run(tmp_path / "raise").save_model()
        assert not list((tmp_path / "raise").glob("*.safetensors"))
        run(tmp_path / "skip", nan_policy="skip").save_model()
        assert list((tmp_path / "skip").glob("*.safetensors"))

    def test_statistics_of_batches_count_as_weights(self):
        layer = torch.nn.BatchNorm1d(3)
        layer(torch.full((2, 3), NAN))
        with pytest.raises(FloatingPointError, match="at step 7 the weights running_mean are NaN or infinite"):
            check_weights(layer, 7)

    def test_skip_goes_on(self, tmp_path):
        trainer = train(
            tmp_path, data=poisoned(*range(8)), nan_policy="skip", train_sampling_strategy="sequential", nan_steps=1
        )
        assert trainer.state.global_step == 12
        assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())


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
        masked = torch.full((1, 100), -INF, dtype=dtype)  # all classes, or a feature
        assert check.check(masked).tolist() == check.check(rows[:1], masked).tolist() == [False]

    def test_infinities_of_opposite_sign_in_two_tensors(self):
        assert FiniteCheck().check(torch.full((2, 1), INF), torch.full((2,), -INF)).tolist() == [False, False]

    def test_steps_without_a_finite_sample_by_hand(self):
        check = FiniteCheck()
        bad, good = torch.full((2, 3), NAN), torch.zeros(2, 3)
        for batches, expected in (((bad, bad), 1), ((bad, good), 0), ((bad,), 1), ((bad,), 2), ((), 2), ((good,), 0)):
            for batch in batches:
                check.check(batch)
            check.end_step()
            assert check.steps_without == expected
        # Padding duplicates do not count, and a step of them alone is none.
        counted = check.check(torch.tensor([1.0, NAN, 2.0]), good[[0, 0, 0]], num_unique=2)
        assert counted.tolist() == [True, False, False]
        assert check.last_finite == 1
        check.end_step()
        check.check(bad, num_unique=0)
        check.end_step()
        assert check.steps_without == 0


class Masked(Network):
    """Its last class is out of the question."""

    def forward(self, inputs):
        return {"logits": super().forward(inputs)["logits"].index_fill(1, torch.tensor([K - 1]), -INF)}


@pytest.mark.parametrize(
    "fields",
    [{"loss": "xe"}, {"loss": "emd"}, {"loss": "xemd2"}, {"loss": "xemd"}, {"loss": "a-emd", "geometry": "line"}],
)
@pytest.mark.parametrize("soft", [False, True])
def test_masked_classes_do_not_end_a_run(tmp_path, soft, fields):
    data = samples(labels=[0, 1, 2] * 8)
    if soft:
        spread = torch.tensor([[0.8, 0.2, 0, 0], [0.1, 0.8, 0.1, 0], [0, 0.2, 0.8, 0]])
        data = [sample | {"labels": spread[sample["labels"]]} for sample in data]
    trainer = train(tmp_path, Masked(), data, nan_steps=1, head="head", **fields)
    assert trainer.state.global_step == 12
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())
    assert not logged(trainer, "non_finite_samples")
    assert np.isfinite(logged(trainer, "loss")).all()
    trainer.compute_metrics = ordinal_metrics()
    assert all(np.isfinite(value) for value in trainer.evaluate(data).values())


class TestDropLast:
    def test_evaluation_is_of_all_samples(self, tmp_path):
        model, data = Network(), samples(count=21)
        whole, dropped = (
            EMDTrainer(model, arguments(tmp_path, loss="xe", dataloader_drop_last=drop), train_dataset=data)
            for drop in (False, True)
        )
        assert len(dropped.predict(data).predictions) == 21
        assert dropped.evaluate(data)["eval_loss"] == whole.evaluate(data)["eval_loss"]
        assert len(dropped.get_train_dataloader()) == 2

    def test_a_stream_is_refused(self, tmp_path):
        args = arguments(tmp_path, loss="xe", max_steps=3, dataloader_drop_last=True)
        with pytest.raises(ValueError) as error:
            EMDTrainer(Network(), args, train_dataset=Stream(samples(count=21))).train()
        assert str(error.value) == (
            "dataloader_drop_last=True has no effect on a stream, of which Trainer also takes the last batch, complete "
            "or not. Leave it out, or leave the last samples out of the dataset."
        )

    def test_no_batch_is_left(self, tmp_path):
        with pytest.raises(ValueError) as error:
            train(tmp_path, data=samples(count=7), loss="xe", dataloader_drop_last=True)
        assert str(error.value) == (
            "dataloader_drop_last=True leaves no batch of the 7 training samples: a batch of all ranks has 8. Lower "
            "per_device_train_batch_size, or leave dataloader_drop_last out."
        )


@pytest.mark.parametrize(
    ("around", "fields"),
    [
        (lambda data: Subset(data, range(N)), {}),
        (lambda data: Subset(data, range(N)), {"dataloader_num_workers": 1}),
        (Stream, {"max_steps": 9}),
    ],
)
def test_a_label_out_of_range_is_named_where_no_column_can_be_read(tmp_path, around, fields):
    data = samples()
    data[7]["labels"] = K
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\. 3, the model's 4 classes; got 0 \.\. 4\."):
        train(tmp_path, data=around(data), loss="emd", **fields)


class TestGroundDistanceFirst:
    def test_evaluation_before_it(self, tmp_path):
        trainer = EMDTrainer(Network(), arguments(tmp_path), eval_dataset=samples())
        with pytest.raises(ValueError) as error:
            trainer.evaluate()
        assert str(error.value) == (
            "the loss xemd2 needs a ground distance to be evaluated, and there is none yet: train first, give "
            "ground_distance, or load a model that was saved after training with this loss."
        )

    def test_evaluation_at_the_start_of_training(self, tmp_path):
        torch.manual_seed(0)
        args = arguments(tmp_path, eval_on_start=True, jump_start_epochs=2)
        trainer = EMDTrainer(Network(), args, train_dataset=samples(), eval_dataset=samples())
        trainer.train()
        assert len(logged(trainer, "eval_loss")) == 1


def hangs(rank, folder):
    class Hang(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 2 and rank == 1:
                time.sleep(100)

    args = arguments(folder, loss="emd", per_device_train_batch_size=4, ddp_timeout=5)
    EMDTrainer(Network(), args, train_dataset=samples(), callbacks=[Hang()]).train()


def test_a_rank_that_hangs_ends_the_others(tmp_path):
    # gloo says it in one of two ways: the wait itself ran out, or the pair of sockets was closed for its timeout first
    message = r"Process 0 terminated(.|\n)*(Timed out waiting 5000ms|Application timeout caused pair closure)"
    with pytest.raises(ProcessRaisedException, match=message):
        on_ranks(2, hangs, tmp_path)


def dies(rank, folder, at):
    class Die(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == at and rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    fields = {"save_strategy": "steps", "save_steps": 1, "ddp_timeout": 60, "per_device_train_batch_size": 4}
    args = arguments(folder, jump_start_epochs=2, **fields)
    trainer = EMDTrainer(Network(), args, train_dataset=samples(), callbacks=[Die()])
    trainer.train(resume_from_checkpoint=at is None)
    (folder / f"ended_{rank}").write_text(str(trainer.state.global_step))


def test_a_rank_that_dies_ends_the_others(tmp_path):
    # which of them is seen first to have ended is left to chance
    message = "process 1 terminated with signal SIGKILL|Connection closed by peer"
    with pytest.raises((ProcessExitedException, ProcessRaisedException), match=message):
        on_ranks(2, dies, tmp_path, 5)
    assert not list(tmp_path.glob("ended_*"))
    assert last_complete_checkpoint(tmp_path) in [str(tmp_path / f"checkpoint-{step}") for step in (4, 5)]
    on_ranks(2, dies, tmp_path, None)
    assert [(tmp_path / f"ended_{rank}").read_text() for rank in range(2)] == ["12", "12"]
