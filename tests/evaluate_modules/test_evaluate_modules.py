"""The metric modules: as `evaluate` loads them, as the package gives them, and as they stand in a Space."""

import ast
import doctest
import importlib.util
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import evaluate
import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from PIL import Image
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error, top_k_accuracy_score
from tests.training.test_trainer import tiny_vit
from transformers import ViTImageProcessor, pipeline

from squared_emd import load_metric, metrics
from squared_emd.evaluation import METRICS
from squared_emd.evaluation.spaces import SPACES, space_files

ROOT = Path(__file__).resolve().parents[2]

GENERATOR = np.random.default_rng(0)
SAMPLES, CLASSES = 500, 5
P = GENERATOR.dirichlet(np.ones(CLASSES), SAMPLES)
LABELS = GENERATOR.integers(0, CLASSES, SAMPLES)
SOFT = GENERATOR.dirichlet(np.ones(CLASSES), SAMPLES)
REALS = LABELS / 4 + GENERATOR.normal(size=SAMPLES)
DISTANCES = GENERATOR.uniform(size=(CLASSES, CLASSES)) * (1 - np.eye(CLASSES))
SCORES = [1, 2, 4, 8, 16]
WEIGHTS = [0.5, 2, 1, 0, 3]
DECISIONS = P.argmax(1)

# name, predictions, references, settings, and what the package's functions make of them
CASES = {
    "emd": (
        "squared_emd",
        P,
        LABELS,
        {},
        lambda: {
            "squared_emd": metrics.squared_emd(P, LABELS),
            "ranked_probability_score": metrics.squared_emd(P, LABELS) / 4,
        },
    ),
    "emd soft": (
        "squared_emd",
        np.log(P),
        SOFT,
        {"from_logits": True, "p": 1, "spacing": [1, 2, 3, 4]},
        lambda: {"emd": metrics.squared_emd(P, SOFT, p=1, spacing=[1, 2, 3, 4])},
    ),
    "emd under D": (
        "squared_emd",
        P,
        SOFT,
        {"ground_distance": DISTANCES},
        lambda: {"emd": metrics.exact_emd(P, SOFT, DISTANCES)},
    ),
    "accuracy": (
        "ordinal_accuracy",
        P,
        LABELS,
        {"tolerances": [0, 2], "per_class": True},
        lambda: {
            "aem": metrics.within(DECISIONS, LABELS),
            "aeo": metrics.within(DECISIONS, LABELS, tolerance=1),
            "mae": metrics.mean_absolute_error(DECISIONS, LABELS),
            "macro_mae": metrics.macro_mean_absolute_error(DECISIONS, LABELS),
            "within_0": metrics.within(DECISIONS, LABELS),
            "within_2": metrics.within(DECISIONS, LABELS, tolerance=2),
            "accuracy_per_class": list(metrics.accuracy_per_class(DECISIONS, LABELS).values()),
        },
    ),
    "emd of balanced classes": (
        "squared_emd",
        P,
        LABELS,
        {"class_weights": "balanced"},
        lambda: {
            "squared_emd": np.mean([metrics.squared_emd(P[k == LABELS], LABELS[k == LABELS]) for k in range(5)]),
            "ranked_probability_score": np.mean(
                [metrics.squared_emd(P[k == LABELS], LABELS[k == LABELS]) / 4 for k in range(5)]
            ),
        },
    ),
    "emd soft of weighted classes": (
        "squared_emd",
        P,
        SOFT,
        {"class_weights": WEIGHTS, "p": 1},
        lambda: {"emd": np.average(metrics.squared_emd(P, SOFT, p=1, reduction="none"), weights=SOFT @ WEIGHTS)},
    ),
    "accuracy of weighted classes": (
        "ordinal_accuracy",
        P,
        LABELS,
        {"class_weights": WEIGHTS},
        lambda: {
            "aem": accuracy_score(LABELS, DECISIONS, sample_weight=np.array(WEIGHTS)[LABELS]),
            "aeo": np.average(abs(DECISIONS - LABELS) <= 1, weights=np.array(WEIGHTS)[LABELS]),
            "mae": mean_absolute_error(LABELS, DECISIONS, sample_weight=np.array(WEIGHTS)[LABELS]),
            "macro_mae": metrics.macro_mean_absolute_error(DECISIONS, LABELS),
        },
    ),
    "accuracy of votes": (
        "ordinal_accuracy",
        P,
        SOFT,
        {},
        lambda: {
            "aem": accuracy_score(SOFT.argmax(1), DECISIONS),
            "aeo": np.mean(abs(DECISIONS - SOFT.argmax(1)) <= 1),
            "mae": mean_absolute_error(SOFT.argmax(1), DECISIONS),
            "macro_mae": metrics.macro_mean_absolute_error(DECISIONS, SOFT.argmax(1)),
        },
    ),
    "kappa of votes": (
        "quadratic_weighted_kappa",
        P,
        SOFT,
        {},
        lambda: {"quadratic_weighted_kappa": cohen_kappa_score(DECISIONS, SOFT.argmax(1), weights="quadratic")},
    ),
    "top k of votes": (
        "top_k_error",
        P,
        SOFT,
        {"k": 2},
        lambda: {"top_2_error": 1 - top_k_accuracy_score(SOFT.argmax(1), P, k=2, labels=range(5))},
    ),
    "correlation with votes": (
        "expected_score_correlation",
        P,
        SOFT,
        {"scores": SCORES},
        lambda: {
            "spearman": spearmanr(P @ SCORES, SOFT @ SCORES).statistic,
            "pearson": pearsonr(P @ SCORES, SOFT @ SCORES).statistic,
            "kendall": kendalltau(P @ SCORES, SOFT @ SCORES).statistic,
        },
    ),
    "kappa": (
        "quadratic_weighted_kappa",
        DECISIONS,
        LABELS,
        {},
        lambda: {"quadratic_weighted_kappa": metrics.weighted_kappa(DECISIONS, LABELS)},
    ),
    "kappa under D": (
        "quadratic_weighted_kappa",
        P,
        LABELS,
        {"ground_distance": DISTANCES},
        lambda: {"weighted_kappa": metrics.weighted_kappa(DECISIONS, LABELS, ground_distance=DISTANCES)},
    ),
    "top k": (
        "top_k_error",
        P,
        LABELS,
        {"k": [1, 3]},
        lambda: {f"top_{k}_error": metrics.top_k_error(metrics.ranks_of_truth(P, LABELS), k) for k in (1, 3)},
    ),
    "correlation": (
        "expected_score_correlation",
        P,
        REALS,
        {"scores": SCORES},
        lambda: {
            kind: metrics.correlation(metrics.expected_score(P, SCORES), REALS, kind)
            for kind in ("spearman", "pearson", "kendall")
        },
    ),
    "correlation of scores": (
        "expected_score_correlation",
        P @ SCORES,
        REALS,
        {},
        lambda: {kind: metrics.correlation(P @ SCORES, REALS, kind) for kind in ("spearman", "pearson", "kendall")},
    ),
}
every_case = pytest.mark.parametrize("case", CASES)
every_metric = pytest.mark.parametrize("name", METRICS)


def close(expected):
    """Equal but for the order of sums."""
    return {name: pytest.approx(value, rel=1e-12, abs=1e-12) for name, value in expected.items()}


@pytest.fixture(params=["space", "package"])
def load(request, tmp_path):
    """From a metric's name to the metric, from its folder and from the package."""
    if request.param == "package":
        return lambda name, **kwargs: load_metric(name, cache_dir=str(tmp_path), **kwargs)
    return lambda name, **kwargs: evaluate.load(str(SPACES / name), cache_dir=str(tmp_path), **kwargs)


@every_case
def test_all_at_once_in_batches_and_one_by_one(case, load, tmp_path):
    name, predictions, references, settings, expected = CASES[case]
    expected = close(expected())
    for memory in (False, True):
        metric = load(name, keep_in_memory=memory)
        assert metric.name == name
        assert metric.compute(predictions=predictions, references=references, **settings) == expected
        for start in range(0, SAMPLES, 77):
            metric.add_batch(predictions=predictions[start : start + 77], references=references[start : start + 77])
        assert len(metric) == SAMPLES
        assert metric.compute(**settings) == expected
        assert len(metric) == 0
        for start in range(50):
            metric.add(prediction=predictions[start], reference=references[start])
        metric.add_batch(predictions=predictions[50:300], references=references[50:300])
        rest = {"predictions": predictions[300:], "references": references[300:]}
        assert metric.compute(**rest, **settings) == expected
    assert not list(tmp_path.rglob("*.arrow"))  # nothing is left lying


@every_case
def test_settings_may_be_given_when_loading(case, load):
    name, predictions, references, settings, expected = CASES[case]
    assert load(name, **settings).compute(predictions=predictions, references=references) == close(expected())


def test_values_of_each_class_and_sample(load):
    values = metrics.squared_emd(P, LABELS, reduction="none")
    metric = load("squared_emd")
    got = metric.compute(predictions=P, references=LABELS, per_class=True, per_sample=True)
    assert got["squared_emd_per_sample"] == pytest.approx(values)
    assert got["squared_emd_per_class"] == pytest.approx([values[k == LABELS].mean() for k in range(CLASSES)])
    # a soft reference counts for each class by its weight
    got = metric.compute(predictions=P, references=SOFT, per_class=True)["squared_emd_per_class"]
    values = metrics.squared_emd(P, SOFT, reduction="none")
    assert got == pytest.approx([np.average(values, weights=SOFT[:, k]) for k in range(CLASSES)])
    # a class without a sample has no mean
    few = LABELS < 2
    got = metric.compute(predictions=P[few], references=LABELS[few], per_class=True, ground_distance=DISTANCES)
    assert got["emd_per_class"][2:] == [None, None, None]
    got = load("ordinal_accuracy").compute(predictions=[3, 1], references=[1, 1], per_class=True)
    assert got["accuracy_per_class"] == [None, 0.5, None, None]


def test_combine(load):
    combined = evaluate.combine([load(name) for name in ("squared_emd", "ordinal_accuracy", "top_k_error")])
    expected = close(
        {
            "squared_emd": metrics.squared_emd(P, LABELS),
            "ranked_probability_score": metrics.squared_emd(P, LABELS) / 4,
            "aem": metrics.within(DECISIONS, LABELS),
            "aeo": metrics.within(DECISIONS, LABELS, tolerance=1),
            "mae": metrics.mean_absolute_error(DECISIONS, LABELS),
            "macro_mae": metrics.macro_mean_absolute_error(DECISIONS, LABELS),
            "top_1_error": 1 - metrics.within(DECISIONS, LABELS),
            "top_5_error": 0.0,
        }
    )
    assert combined.compute(predictions=P, references=LABELS) == expected
    for start in range(0, SAMPLES, 100):
        combined.add_batch(predictions=P[start : start + 100], references=LABELS[start : start + 100])
    assert combined.compute() == expected


def compute_a_part(process, case, kind, folder):
    name, predictions, references, settings, _ = CASES[case]
    kwargs = {"num_process": 2, "process_id": process, "experiment_id": "both", "cache_dir": str(folder), "timeout": 20}
    metric = load_metric(name, **kwargs) if kind == "package" else evaluate.load(str(SPACES / name), **kwargs)
    first, last = (0, 180) if process == 0 else (180, SAMPLES)
    if kind == "one has none":
        first, last = (0, 0) if process == 0 else (0, SAMPLES)
    for start in range(first, last, 70):
        rows = slice(start, min(start + 70, last))
        metric.add_batch(predictions=predictions[rows], references=references[rows])
    return metric.compute(**settings)


@pytest.mark.parametrize("kind", ["space", "package", "one has none"])
@every_case
def test_two_processes(case, kind, tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        got = pool.starmap(compute_a_part, [(process, case, kind, tmp_path) for process in (0, 1)], chunksize=1)
        pool.close()  # they end by themselves: a SIGTERM may be caught by what other tests have set up
        pool.join()
    assert got == [close(CASES[case][4]()), None]
    assert not list(tmp_path.rglob("*.arrow"))


def compute_twice(process, folder, barrier):
    """A setting that does not fit, then again; and another round."""
    metric = load_metric(
        "squared_emd", num_process=2, process_id=process, experiment_id="x", cache_dir=str(folder), timeout=20
    )
    half = slice(250 * process, 250 * (process + 1))
    metric.add_batch(predictions=P[half][:100], references=LABELS[half][:100])
    rest = {"predictions": P[half][100:], "references": LABELS[half][100:]}
    if process > 0:
        results = [metric.compute(**rest)]
    else:
        for settings in ({"spacing": [1]}, {"p": 0}):
            with pytest.raises(ValueError):
                metric.compute(**rest, **settings)
        metric.add_batch(predictions=rest["predictions"][:20], references=rest["references"][:20])
        with pytest.raises(ValueError):
            metric.compute(p=0)
        rest = {name: values[20:] for name, values in rest.items()}
        results = [metric.compute(**rest, per_sample=True)]
    barrier.wait(60)
    metric.add_batch(predictions=P[:process], references=LABELS[:process])  # none and one
    return [*results, metric.compute()]


def test_two_processes_after_an_error_and_in_a_second_round(tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Manager().Barrier(2)
    with context.Pool(2) as pool:
        jobs = [pool.apply_async(compute_twice, (process, tmp_path, barrier)) for process in (0, 1)]
        (first, second), others = (job.get(timeout=120) for job in jobs)
        pool.close()  # as above
        pool.join()
    assert others == [None, None]
    assert first["squared_emd_per_sample"] == pytest.approx(metrics.squared_emd(P, LABELS, reduction="none"))
    assert second["squared_emd"] == pytest.approx(metrics.squared_emd(P[:1], LABELS[:1]))


@pytest.mark.parametrize("memory", [False, True])
@every_metric
def test_arrays_may_be_used_again(name, memory, load):
    references = REALS if name == "expected_score_correlation" else LABELS.astype(float)
    metric = load(name, keep_in_memory=memory)
    predictions, truth = np.empty((100, CLASSES)), np.empty(100)
    for start in range(0, SAMPLES, 100):
        predictions[:], truth[:] = P[start : start + 100], references[start : start + 100]
        metric.add_batch(predictions=predictions, references=truth)
    predictions[:], truth[:] = 0, 0
    assert metric.compute() == close(load(name).compute(predictions=P, references=references))


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        torch.tensor,
        lambda array: list(torch.tensor(array)),
        lambda array: torch.tensor(array).requires_grad_() if array.dtype.kind == "f" else torch.tensor(array),
        lambda array: pd.Series(array) if array.ndim == 1 else pd.DataFrame(array),
        lambda array: Dataset.from_dict({"column": array})["column"],
        np.asfortranarray,
    ],
    ids=["lists", "tensor", "list of tensors", "tensor with gradient", "pandas", "datasets", "fortran"],
)
@every_metric
def test_kinds_of_inputs(name, convert, load):
    references = REALS if name == "expected_score_correlation" else LABELS
    expected = close(load(name).compute(predictions=P, references=references))
    metric = load(name)
    assert metric.compute(predictions=convert(P), references=convert(references)) == expected


def test_half_precision_is_taken_as_it_is(load):
    half = torch.tensor(P, dtype=torch.bfloat16)
    expected = metrics.squared_emd(half.double().numpy(), LABELS)
    assert load("squared_emd").compute(predictions=half, references=LABELS)["squared_emd"] == pytest.approx(expected)


@every_metric
def test_an_error_loses_nothing(name, load):
    references = REALS if name == "expected_score_correlation" else LABELS
    metric = load(name)
    expected = close(metric.compute(predictions=P, references=references))
    metric.add_batch(predictions=P[:200], references=references[:200])
    broken = P[200:].copy()
    broken[7, 2] = np.nan
    for bad in ({"predictions": broken}, {"predictions": P[:7]}, {"predictions": P[200:, :4]}):
        if bad["predictions"].shape[1] == 4 and name in ("ordinal_accuracy", "quadratic_weighted_kappa", "top_k_error"):
            bad["predictions"] = P[200:, 0]  # these keep nothing of the classes' number; one column is no label
        with pytest.raises(ValueError):
            metric.add_batch(**{"references": references[200:], **bad})
        with pytest.raises(ValueError):
            metric.compute(**{"references": references[200:], **bad})
        with pytest.raises(TypeError):
            metric.compute(no_such_setting=1)
    assert len(metric) == 200
    metric.add_batch(predictions=P[200:400], references=references[200:400])
    assert metric.compute(predictions=P[400:], references=references[400:]) == expected


@pytest.mark.parametrize("name", ["squared_emd", "expected_score_correlation"])
def test_the_first_batch_says_whether_predictions_are_logits(name, load):
    references = REALS if name == "expected_score_correlation" else LABELS
    broken = P[100:200].copy()
    broken[7, 2] += 0.5
    metric = load(name)
    metric.add_batch(predictions=P[:100], references=references[:100])
    with pytest.raises(ValueError, match=r"row 7 has .* \(All rows added before were distributions\.\)$"):
        metric.add_batch(predictions=broken, references=references[100:200])
    metric.add_batch(predictions=P[100:], references=references[100:])
    with says(
        "the predictions added before are distributions; from_logits=True would take their softmax again. Leave it out."
    ):
        metric.compute(from_logits=True)
    assert metric.compute() == close(metric.compute(predictions=P, references=references))

    metric.add_batch(predictions=np.log(P[:100]), references=references[:100])
    with says(
        "the predictions added before are logits, or some of their rows are no distributions; these are distributions. "
        "Add one kind only; from_logits says which."
    ):
        metric.add_batch(predictions=P[100:], references=references[100:])
    metric.add_batch(predictions=np.log(P[100:]), references=references[100:])
    with pytest.raises(ValueError, match="Are these logits"):
        metric.compute()
    assert metric.compute(from_logits=True) == close(metric.compute(predictions=P, references=references))


def test_the_row_that_is_no_distribution_is_named(load):
    many = np.full((100_000, 2), 0.5)
    many[70_000] = 0.2
    with pytest.raises(ValueError, match=r"row 70000 has entries from 0.2 and the sum 0.4"):
        load("squared_emd").compute(predictions=many, references=np.zeros(100_000, int))
    with pytest.raises(ValueError, match=r"row 1 has entries from 0.2 and the sum 0.4"):
        load("squared_emd").add_batch(predictions=many[:2], references=many[69_999:70_001])


def test_a_setting_that_does_not_fit_loses_nothing(load):
    metric = load("squared_emd")
    metric.add_batch(predictions=P[:200], references=LABELS[:200])
    for settings in ({"spacing": [1, 2]}, {"ground_distance": 1 - np.eye(3)}, {"p": 0}):
        with pytest.raises(ValueError):
            metric.compute(**settings)
    metric.add_batch(predictions=P[200:], references=LABELS[200:])
    assert metric.compute(p=1) == close({"emd": metrics.squared_emd(P, LABELS, p=1)})


def says(message):
    return pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}$")


def test_errors(load):
    metric = load("squared_emd")
    with says("squared_emd got no samples: add a batch first, or give predictions and references."):
        metric.compute()
    with says("squared_emd got no samples: add a batch first, or give predictions and references."):
        metric.compute(predictions=[], references=[])
    with says("squared_emd needs predictions and references, and nothing else; got ['predictions']."):
        metric.compute(predictions=P)
    with says(
        "squared_emd needs predictions and references, and nothing else; got ['predictions', 'references', 'x']."
    ):
        metric.add_batch(predictions=P, references=LABELS, x=1)
    with says("references must be a list, array or tensor with one entry a sample, got 3."):
        metric.add_batch(predictions=[P[0]], references=3)
    with says(
        "squared_emd has no setting tolerance; it has p, spacing, ground_distance, from_logits, per_class, "
        "class_weights, per_sample."
    ):
        load("squared_emd", tolerance=1)
    with says("give ground_distance, or p and spacing, not both: each says how far classes are apart."):
        metric.compute(predictions=P, references=LABELS, p=1, ground_distance=DISTANCES)
    metric.add_batch(predictions=P, references=LABELS)
    with says(
        "every batch must have the shapes of the first: that had predictions (N, 5), references (N,); "
        "this one has predictions (N, 5), references (N, 5)."
    ):
        metric.add_batch(predictions=P, references=SOFT)
    metric.add_batch(predictions=[], references=[])  # nothing is added
    assert metric.compute() == close(CASES["emd"][4]())
    accuracy = load("ordinal_accuracy")
    for bad, shown in ((0.5, "0.5"), (np.nan, "nan"), ("a", "'a'"), (-1, "-1")):
        with says(f"tolerances must be whole numbers, at least 0; got [{shown}]."):
            accuracy.compute(predictions=[1], references=[1], tolerances=bad)
    assert accuracy.compute(predictions=[1], references=[2], tolerances=1)["within_1"] == 1
    with says("k must be whole numbers, at least 1; got []."):
        load("top_k_error").compute(predictions=[[1, 0]], references=[1], k=[])
    assert load("top_k_error").compute(predictions=[[1, 0]], references=[1], k=1.0) == {"top_1_error": 1}
    with says("from_logits must be True or False, got 'no'."):
        load("squared_emd", from_logits="no")
    with says("predictions are (N,) expected scores already: scores and from_logits do not apply."):
        load("expected_score_correlation").compute(predictions=[1, 2], references=[1, 2], scores=[1, 2])
    with says(
        "there is no metric 'accuracy'; there are expected_score_correlation, ordinal_accuracy, "
        "quadratic_weighted_kappa, squared_emd, top_k_error."
    ):
        load_metric("accuracy")


@pytest.mark.parametrize(
    ("name", "predictions", "references", "expected"),
    [
        ("squared_emd", [[1.0]], [0], {"squared_emd": 0, "ranked_probability_score": 0}),  # one class
        ("squared_emd", [[1, 0, 0]], [2], {"squared_emd": 2, "ranked_probability_score": 1}),  # one sample
        ("ordinal_accuracy", [4], [4], {"aem": 1, "aeo": 1, "mae": 0, "macro_mae": 0}),
        ("quadratic_weighted_kappa", [4, 4], [4, 4], {"quadratic_weighted_kappa": 0}),  # constant
        ("top_k_error", [[0.0]], [0], {"top_1_error": 0, "top_5_error": 0}),
        ("expected_score_correlation", [[1, 0]], [0.3], {"spearman": 0, "pearson": 0, "kendall": 0}),
        ("expected_score_correlation", [[1, 0]] * 9, range(9), {"spearman": 0, "pearson": 0, "kendall": 0}),
    ],
)
def test_degenerate_samples(name, predictions, references, expected, load):
    assert load(name).compute(predictions=predictions, references=list(references)) == expected


def anonymous_memory():
    """Bytes of this process that no file backs."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def memory_held_by(metric):
    """Bytes that 100 MB of samples, added in batches, take before and within `compute`."""
    generator = np.random.default_rng(0)
    references = np.tile(LABELS, 2)
    peak = 0

    def add(batches):
        for _ in range(batches):
            predictions = generator.random((1000, 100))  # 0.8 MB
            predictions /= predictions.sum(1, keepdims=True)
            metric.add_batch(predictions=predictions, references=references)

    def watched(tables, compute=metric._compute, **settings):
        def look():
            nonlocal peak
            for table in tables:
                peak = max(peak, anonymous_memory())
                yield table

        return compute(look(), **settings)

    add(20)
    metric.compute()
    before = anonymous_memory()
    add(125)
    held = anonymous_memory()
    metric._compute = watched
    metric._defaults = lambda: {}  # of the wrapped function
    metric.compute()
    return held - before, peak - before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux' /proc")
class TestMemory:
    @pytest.mark.parametrize("name", [name for name in METRICS if name != "expected_score_correlation"])
    def test_is_that_of_a_batch(self, name, tmp_path):
        assert max(memory_held_by(load_metric(name, cache_dir=str(tmp_path)))) < 30e6

    def test_this_test_can_fail(self):
        assert memory_held_by(load_metric("squared_emd", keep_in_memory=True))[0] > 80e6


@every_metric
def test_spaces_are_built_from_the_package(name):
    for file_name, text in space_files(name).items():
        assert (SPACES / name / file_name).read_text() == text, "run python -m squared_emd.evaluation.spaces"
    tree = ast.parse((SPACES / name / f"{name}.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(names) == len(set(names))  # no file hides a function of another
    assert {path.name for path in (SPACES / name).iterdir() if path.name != "__pycache__"} == {
        f"{name}.py",
        "app.py",
        "README.md",
        "requirements.txt",
    }


@every_metric
def test_examples_of_the_cards(name, tmp_path, monkeypatch):
    shutil.copytree(SPACES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(tmp_path / name / "README.md"), module_relative=False)
    assert failed == 0
    assert tried >= 4


STAND_ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"squared_emd", "torch", "transformers", "accelerate", "sklearn", "matplotlib"}:
            raise ImportError(name)

sys.meta_path.insert(0, Absent())
import evaluate
for folder in sys.argv[1:]:
    metric = evaluate.load(folder)
    print(metric.compute(**metric.example))
"""


def test_spaces_stand_alone(tmp_path):
    # in one process for all: importing evaluate takes seconds
    folders = [str(shutil.copytree(SPACES / name, tmp_path / name)) for name in METRICS]
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "USE_TORCH": "0", "USE_TF": "0"}
    done = subprocess.run(
        [sys.executable, "-c", STAND_ALONE, *folders],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    examples = [metric.compute(**metric.example) for metric in map(load_metric, METRICS)]
    assert done.stdout.splitlines() == [str(example) for example in examples]


def test_requirements_name_what_is_imported():
    for name in METRICS:
        text = (SPACES / name / f"{name}.py").read_text()
        imported = set(
            re.findall(r"^\s*(?:import|from) (datasets|evaluate|numpy|ot|pyarrow|scipy)\b", text, re.MULTILINE)
        )
        named = {re.split(r"[<>=]", line)[0] for line in (SPACES / name / "requirements.txt").read_text().split()}
        assert {"pot" if package == "ot" else package for package in imported} == named


@pytest.fixture(scope="module")
def gradio():
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    return importlib.import_module("gradio_client")


@every_metric
@pytest.mark.xdist_group("gradio")  # importing it takes seconds
def test_app_answers_over_http(name, gradio):
    spec = importlib.util.spec_from_file_location("app", SPACES / name / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    page = app.build()
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, footer_links=[])
    try:
        metric = load_metric(name)
        rows = [[str(p), str(r)] for p, r in zip(*metric.example.values(), strict=True)]
        table = {"headers": ["predictions", "references"], "data": [*rows, ["", ""]], "metadata": None}
        client = gradio.Client(url, verbose=False)
        assert client.predict(table, "", api_name="/compute") == metric.compute(**metric.example)
        with pytest.raises(Exception, match=f"{name} has no setting x"):
            client.predict(table, '{"x": 1}', api_name="/compute")
        with pytest.raises(Exception, match=r"cannot convert|must be"):
            client.predict(table, "[1]", api_name="/compute")
        with pytest.raises(Exception, match="Each cell holds a number or a list"):
            client.predict({**table, "data": [["adult", "0"]]}, "", api_name="/compute")
        texts = [block.value for block in page.blocks.values() if isinstance(getattr(block, "value", None), str)]
        assert any(text.startswith("# Metric card") for text in texts)
    finally:
        page.close()


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_readmes_pipeline(tmp_path, monkeypatch, capsys):
    (block,) = (block for block in blocks("README.md") if "sklearn" in block)
    for name in ("squared_emd", "ordinal_accuracy"):
        shutil.copytree(SPACES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(block, space)
    probabilities = space["model"].predict_proba(space["x_test"])
    got = ast.literal_eval(capsys.readouterr().out)
    assert got["squared_emd"] == pytest.approx(metrics.squared_emd(probabilities, space["y_test"]))
    assert got["aem"] == pytest.approx(space["model"].score(space["x_test"], space["y_test"]))


def test_the_loop_in_place_of_the_evaluator(monkeypatch):
    (block,) = (block for block in blocks("docs/metrics.md") if "classifier.model" in block)
    monkeypatch.chdir(SPACES)
    model = tiny_vit()
    model.config.id2label = dict(enumerate(["baby", "adult", "teenager", "child"]))  # not in the order of the alphabet
    model.config.label2id = {name: k for k, name in model.config.id2label.items()}
    processor = ViTImageProcessor(size={"height": 8, "width": 8})
    classifier = pipeline("image-classification", model=model, image_processor=processor)
    pictures = [Image.fromarray(GENERATOR.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(70)]
    dataset = Dataset.from_dict({"image": pictures, "label": LABELS[:70] % 4})
    space = {"evaluate": evaluate, "classifier": classifier, "dataset": dataset}
    exec(block, space)
    logits = model(**processor(pictures, return_tensors="pt")).logits.detach()
    expected = metrics.squared_emd(logits.softmax(-1), LABELS[:70] % 4)
    assert space["results"]["squared_emd"] == pytest.approx(expected, rel=1e-6)
