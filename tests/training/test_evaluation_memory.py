"""Evaluation keeps what the metrics need, and finds the same numbers as if it kept everything."""

import gc
import json
import tracemalloc

import numpy as np
import pytest
import torch
from tests.ranks import on_ranks
from tests.training.tiny import Stream
from torch import nn
from torch.utils.data import Dataset
from transformers import EvalPrediction, TrainerCallback

from squared_emd import EMDTrainer, EMDTrainingArguments, ordinal_metrics
from squared_emd.metrics import top_k_metrics

K, BATCH = 1000, 16
TIMES = ("runtime", "per_second", "preparation_time", "epoch")


class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        torch.manual_seed(0)
        self.head = nn.Linear(4, num_classes)

    def forward(self, inputs):
        return {"logits": self.head(inputs)}


class Rows(Dataset):
    """Made when they are asked for, so that they take no memory."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        inputs = torch.randn(4, generator=torch.Generator().manual_seed(index))
        return {"inputs": inputs, "labels": index % K}


def trainer_of(folder, rows, compute_metrics, num_classes=K, **fields):
    fields = {"per_device_eval_batch_size": BATCH, "use_cpu": True, "disable_tqdm": True, "report_to": []} | fields
    args = EMDTrainingArguments(str(folder), loss="emd", **fields)
    return EMDTrainer(Network(num_classes), args, eval_dataset=rows, compute_metrics=compute_metrics)


def without_times(metrics):
    return {name: value for name, value in metrics.items() if not name.endswith(TIMES)}


class Watch(TrainerCallback):
    """The most bytes of outputs (rows of K numbers) that were alive as tensors after a step."""

    def __init__(self):
        self.most = 0

    def on_prediction_step(self, *args, **kwargs):
        alive = (thing for thing in gc.get_objects() if type(thing) is torch.Tensor)
        alive = {tensor.data_ptr(): tensor.nbytes for tensor in alive if tensor.dim() == 2 and tensor.shape[1] == K}
        self.most = max(self.most, sum(alive.values()))


def memory_of(folder, num_batches, make_metrics, way="evaluate"):
    """Most bytes of outputs as tensors; most bytes of Python and NumPy, beyond those before."""
    rows = Rows(num_batches * BATCH)
    trainer = trainer_of(folder, rows, make_metrics())
    run = trainer.evaluate if way == "evaluate" else (lambda: trainer.predict(rows))
    run()  # what is made once
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    watch = Watch()
    trainer.add_callback(watch)
    run()
    return watch.most, peak


OURS = {"ordinal": lambda: ordinal_metrics(scores=range(K)), "top_k": top_k_metrics}


@pytest.mark.parametrize("name", OURS)
def test_memory_does_not_grow_with_the_data(tmp_path, name):
    few, many = (memory_of(tmp_path, num_batches, OURS[name]) for num_batches in (3, 12))
    samples = 9 * BATCH
    assert many[0] == few[0] <= 3 * BATCH * K * 4  # the batch, gathered and not
    assert many[1] - few[1] < samples * 400  # a row of outputs has 4,000 bytes


@pytest.mark.parametrize("name", OURS)
def test_numbers_are_those_of_the_whole(tmp_path, name):
    count = 5 * BATCH + 3
    trainer = trainer_of(tmp_path, Rows(count), OURS[name]())
    evaluated = without_times(trainer.evaluate())
    predicted = trainer.predict(Rows(count), metric_key_prefix="eval")
    whole = EvalPrediction(predictions=predicted.predictions, label_ids=predicted.label_ids)
    expected = {f"eval_{key}": value for key, value in OURS[name]()(whole).items()}
    assert predicted.predictions.shape == (count, K)
    assert {key: evaluated[key] for key in expected} == pytest.approx(expected, rel=1e-12)
    assert without_times(predicted.metrics) == pytest.approx(evaluated, rel=1e-12)
    assert trainer.args.batch_eval_metrics is False


def test_metrics_of_their_own_get_everything_at_once(tmp_path):
    seen = []

    def of_their_own(evaluation):
        seen.append(evaluation.predictions.shape)
        return {}

    trainer_of(tmp_path, Rows(40), of_their_own).evaluate()
    assert seen == [(40, K)]


def test_an_interrupted_evaluation_leaves_nothing(tmp_path):
    class Stop(TrainerCallback):
        def on_prediction_step(self, *args, **kwargs):
            trainer.remove_callback(Stop)
            raise KeyboardInterrupt

    trainer = trainer_of(tmp_path, Rows(40), ordinal_metrics())
    expected = without_times(trainer.evaluate())
    trainer.compute_metrics(EvalPrediction(np.zeros((5, K)), np.zeros(5, int)), compute_result=False)
    trainer.add_callback(Stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.evaluate()
    assert trainer.args.batch_eval_metrics is False
    assert without_times(trainer.evaluate()) == expected


CASES = {
    "map": {},
    "stream_everywhere": {"around": Stream, "accelerator_config": {"dispatch_batches": False}},
    "dispatch": {"accelerator_config": {"dispatch_batches": True}},
    "split": {"accelerator_config": {"split_batches": True}},
}


def evaluate_on_rank(rank, world_size, folder):
    ours = ordinal_metrics(scores=range(5))
    for name, case in CASES.items():
        fields = {key: value for key, value in case.items() if key != "around"}
        rows = case.get("around", list)([Rows(K)[n] | {"labels": n % 5} for n in range(21)])
        batch = 8 if "split" in name else 8 // world_size
        for way, metrics in {"batches": ours, "whole": lambda evaluation: ours(evaluation)}.items():
            trainer = trainer_of(folder, rows, metrics, 5, per_device_eval_batch_size=batch, **fields)
            found = without_times(trainer.evaluate())
            (folder / f"{name}_{way}_{world_size}_{rank}.json").write_text(json.dumps(found))


def test_ranks_find_the_same(tmp_path):
    evaluate_on_rank(0, 1, tmp_path)
    on_ranks(2, evaluate_on_rank, 2, tmp_path)

    def found(name, way, run):
        return json.loads((tmp_path / f"{name}_{way}_{run}.json").read_text())

    for name in CASES:  # 21 rows are no multiple of 2 x 4: the last batch has repeats
        for run in ("1_0", "2_0", "2_1"):
            assert {"eval_aem", "eval_spearman", "eval_loss"} <= found(name, "batches", run).keys()
            assert found(name, "batches", run) == pytest.approx(found(name, "whole", run), rel=1e-12), name
            if name != "stream_everywhere":  # whose repeats accelerate cannot know, so that metrics count them
                assert found(name, "batches", run) == pytest.approx(found(name, "batches", "1_0"), rel=1e-6), name
