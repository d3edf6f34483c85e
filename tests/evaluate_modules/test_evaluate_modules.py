"""The metric modules: as the package gives them, and in the folders that `squared-emd space` writes."""

import doctest
import importlib.util
import multiprocessing
import os
import re
import subprocess
import sys

import evaluate
import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from tests.metrics.cases import CASES, LABELS, LOPSIDED, REALS, SOFT, K, N, P

from squared_emd import load_metric
from squared_emd.__main__ import main
from squared_emd.evaluate_modules import METRICS, write_space

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_metric = pytest.mark.parametrize("name", METRICS)


def close(expected):
    """Equal but for the order of sums."""
    return {
        name: [pytest.approx(entry, rel=1e-9) for entry in value]
        if isinstance(value, list)
        else pytest.approx(value, rel=1e-9, abs=1e-12)
        for name, value in expected.items()
    }


def truth_for(name):
    return REALS if name == "expected_score_correlation" else LABELS


@pytest.fixture(scope="module")
def spaces(tmp_path_factory):
    """A folder with that of each metric, and of what evaluate copies from there."""
    folder = tmp_path_factory.mktemp("spaces")
    for name in METRICS:
        main(["space", name, str(folder / name)])
    return folder


@every_case
def test_all_at_once_in_batches_and_one_by_one(case):
    metric = load_metric(case.module)
    assert metric.name == case.module
    expected = close(case.expected)
    assert metric.compute(predictions=case.predictions, references=case.references, **case.settings) == expected
    for start in range(0, N, 77):
        rows = slice(start, start + 77)
        metric.add_batch(predictions=case.predictions[rows], references=case.references[rows])
    assert len(metric) == N
    assert metric.compute(**case.settings) == expected
    assert len(metric) == 0
    metric = load_metric(case.module, **case.settings)
    for k in range(10):
        metric.add(prediction=case.predictions[k], reference=case.references[k])
    metric.add_batch(predictions=case.predictions[10:200], references=case.references[10:200])
    assert metric.compute(predictions=case.predictions[200:], references=case.references[200:]) == expected


def test_combine():
    names = ("squared_emd", "ordinal_accuracy", "top_k_error")
    combined = evaluate.combine([load_metric(name) for name in names])
    expected = {}
    for name in names:
        expected |= load_metric(name).compute(predictions=P, references=LABELS)
    assert combined.compute(predictions=P, references=LABELS) == expected
    for start in range(0, N, 100):
        combined.add_batch(predictions=P[start : start + 100], references=LABELS[start : start + 100])
    assert combined.compute() == close(expected)


def compute_share(process, folder):
    """All cases, then one where process 1 has no sample, then one after errors; the rounds follow each other."""
    arguments = {"num_process": 2, "process_id": process, "cache_dir": str(folder), "timeout": 60}
    results = []
    for name, case in CASES.items():
        metric = load_metric(case.module, experiment_id=name, **arguments)
        first, last = ((0, 180), (180, N))[process]
        for start in range(first, last, 70):
            rows = slice(start, min(start + 70, last))
            metric.add_batch(predictions=case.predictions[rows], references=case.references[rows])
        results.append(metric.compute(**case.settings))
    metric = load_metric("squared_emd", experiment_id="errors", **arguments)
    if process == 0:
        metric.add_batch(predictions=P[:100], references=LABELS[:100])
        for settings in ({"spacing": [1]}, {"p": 0}):
            with pytest.raises(ValueError):
                metric.compute(predictions=P[100:], references=LABELS[100:], **settings)
        metric.add_batch(predictions=P[100:150], references=LABELS[100:150])
        results.append(metric.compute(predictions=P[150:], references=LABELS[150:]))
    else:
        results.append(metric.compute())
    return results


def test_two_processes(tmp_path):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        first, second = pool.starmap(compute_share, [(process, tmp_path) for process in (0, 1)], chunksize=1)
        pool.close()  # they end by themselves: a SIGTERM may be caught by what other tests have set up
        pool.join()
    assert second == [None] * (len(CASES) + 1)
    for name, found in zip(CASES, first, strict=False):
        assert found == close(CASES[name].expected), name
    expected = load_metric("squared_emd").compute(predictions=P, references=LABELS)
    assert first[-1] == close(expected)
    assert not list(tmp_path.rglob("*.arrow"))


@every_metric
def test_arrays_may_be_used_again(name):
    truth = truth_for(name).astype(float)
    metric = load_metric(name)
    predictions, references = np.empty((100, K)), np.empty(100)
    for start in range(0, N, 100):
        predictions[:], references[:] = P[start : start + 100], truth[start : start + 100]
        metric.add_batch(predictions=predictions, references=references)
    predictions[:], references[:] = 0, 0
    assert metric.compute() == close(load_metric(name).compute(predictions=P, references=truth))


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
def test_kinds_of_inputs(name, convert):
    metric = load_metric(name)
    expected = close(metric.compute(predictions=P, references=truth_for(name)))
    assert metric.compute(predictions=convert(P), references=convert(truth_for(name))) == expected


@every_metric
def test_an_error_loses_nothing(name):
    truth = truth_for(name)
    metric = load_metric(name)
    expected = close(metric.compute(predictions=P, references=truth))
    metric.add_batch(predictions=P[:100], references=truth[:100])
    broken = P[100:].copy()
    broken[7, 2] = np.nan
    for bad in (broken, P[:7], P[100:, :1] - 1):
        for call in (metric.add_batch, metric.compute):
            with pytest.raises(ValueError):
                call(predictions=bad, references=np.r_[truth[100:-1], 0.5] if bad.shape[1] == 1 else truth[100:])
    with pytest.raises(TypeError):
        metric.compute(no_such_setting=1)
    assert len(metric) == 100
    metric.add_batch(predictions=P[100:200], references=truth[100:200])
    assert metric.compute(predictions=P[200:], references=truth[200:]) == expected


def raises(message):
    return pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}$")


def test_errors():
    metric = load_metric("squared_emd")
    for nothing in ({}, {"predictions": [], "references": []}):
        with raises("squared_emd got no samples: add a batch first, or give predictions and references."):
            metric.compute(**nothing)
    with raises("references must be a list, array or tensor with one entry a sample, got None."):
        metric.compute(predictions=P)
    with raises("references must be a list, array or tensor with one entry a sample, got 3."):
        metric.add_batch(predictions=[P[0]], references=3)
    with raises(
        "squared_emd has no setting tolerance; it has p, spacing, ground_distance, from_logits, per_class, "
        "class_weights, per_sample."
    ):
        load_metric("squared_emd", tolerance=1)
    with raises("from_logits must be True or False, got 'no'."):
        load_metric("squared_emd", from_logits="no")
    with raises("give ground_distance, or p and spacing, not both: each says how far classes are apart."):
        metric.compute(predictions=P, references=LABELS, p=1, ground_distance=LOPSIDED)
    metric.add_batch(predictions=P, references=LABELS)
    with raises(
        "every batch must have the shapes of the first: that had predictions (N, 5), references (N,); "
        "this one has predictions (N, 5), references (N, 5)."
    ):
        metric.add_batch(predictions=P, references=SOFT)
    metric.add_batch(predictions=[], references=[])  # nothing is added
    assert len(metric) == N
    for bad, shown in ((0.5, "0.5"), (np.nan, "nan"), ("a", "'a'"), (-1, "-1")):
        with raises(f"tolerances must be whole numbers, at least 0; got [{shown}]."):
            load_metric("ordinal_accuracy").compute(predictions=[1], references=[1], tolerances=bad)
    with raises("k must be whole numbers, at least 1; got []."):
        load_metric("top_k_error").compute(predictions=[[1, 0]], references=[1], k=[])
    with raises("predictions are (N,) expected scores already: scores and from_logits do not apply."):
        load_metric("expected_score_correlation").compute(predictions=[1, 2], references=[1, 2], scores=[1, 2])


@pytest.mark.parametrize(
    ("name", "predictions", "references", "expected"),
    [
        ("squared_emd", [[1.0]], [0], {"squared_emd": 0, "ranked_probability_score": 0}),  # one class
        ("squared_emd", [[1, 0, 0]], [2], {"squared_emd": 2, "ranked_probability_score": 1}),  # one sample
        ("ordinal_accuracy", [4], [4], {"aem": 1, "aeo": 1, "mae": 0, "macro_mae": 0}),
        ("quadratic_weighted_kappa", [4, 4], [4, 4], {"quadratic_weighted_kappa": 0}),  # constant
        ("top_k_error", [[0.0]], [0], {"top_1_error": 0, "top_5_error": 0}),
        ("expected_score_correlation", [[1, 0]] * 9, range(9), {"spearman": 0, "pearson": 0, "kendall": 0}),
    ],
)
def test_degenerate_samples(name, predictions, references, expected):
    assert load_metric(name).compute(predictions=predictions, references=list(references)) == expected


def test_classes_without_a_sample():
    found = load_metric("ordinal_accuracy").compute(predictions=[3, 1], references=[1, 1], per_class=True)
    assert found["accuracy_per_class"] == [None, 0.5, None, None]
    few = LABELS < 2
    found = load_metric("squared_emd").compute(predictions=P[few], references=LABELS[few], per_class=True)
    assert found["squared_emd_per_class"][2:] == [None, None, None]


def test_without_evaluate(monkeypatch):
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with pytest.raises(ImportError, match=r'^load_metric needs evaluate, .* pip install "squared-emd\[metrics\]"\.'):
        load_metric("squared_emd")


class TestSpaces:
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
    metric.add_batch(**metric.example)
    print(metric.compute())
"""

    def test_load_where_this_package_cannot_be_imported(self, spaces, tmp_path):
        # In one process for all: importing evaluate takes seconds.
        command = [sys.executable, "-c", self.STAND_ALONE, *(str(spaces / name) for name in METRICS)]
        environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "USE_TORCH": "0", "USE_TF": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        examples = [metric.compute(**metric.example) for metric in map(load_metric, METRICS)]
        assert done.stdout.splitlines() == [str(example) for example in examples]

    def test_requirements_name_what_is_imported(self, spaces):
        packages = {"datasets", "evaluate", "numpy", "pandas", "pot", "scipy"}
        for name in METRICS:
            (module,) = (path for path in (spaces / name).iterdir() if path.name == f"{name}.py")
            text = "".join(path.read_text() for path in module.parent.glob("*.py") if path.name != "app.py")
            imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)) | {"ot", "squared_emd"}
            assert "squared_emd" not in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE)
            needed = {"pot" if package == "ot" else package for package in imported} & packages
            named = {re.split(r"[<>=]", line)[0] for line in (spaces / name / "requirements.txt").read_text().split()}
            assert named <= needed and {"evaluate", "datasets", "numpy"} <= named

    @every_metric
    def test_examples_of_the_card(self, name, spaces, monkeypatch):
        monkeypatch.chdir(spaces)
        failed, tried = doctest.testfile(str(spaces / name / "README.md"), module_relative=False)
        assert failed == 0
        assert tried >= 4

    @pytest.mark.parametrize("call", [load_metric, lambda name: write_space(name, "nowhere")])
    def test_unknown_name(self, call):
        with raises(
            "there is no metric 'accuracy'; there are expected_score_correlation, ordinal_accuracy, "
            "quadratic_weighted_kappa, squared_emd, top_k_error."
        ):
            call("accuracy")

    @pytest.mark.xdist_group("gradio")  # importing it takes seconds
    def test_app_answers_over_http(self, spaces, monkeypatch):
        monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        gradio = importlib.import_module("gradio_client")
        name = "ordinal_accuracy"
        spec = importlib.util.spec_from_file_location("app", spaces / name / "app.py")
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
            with pytest.raises(Exception, match="Each cell holds a number or a list"):
                client.predict({**table, "data": [["adult", "0"]]}, "", api_name="/compute")
            texts = [block.value for block in page.blocks.values() if isinstance(getattr(block, "value", None), str)]
            assert any(text.startswith("# Metric card") for text in texts)
        finally:
            page.close()
