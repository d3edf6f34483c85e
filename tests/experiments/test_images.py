"""A table of runs on images with folds: views, early stopping, the rows that each part sees, scores, two ranks."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from tests.experiments.tiny import NAMES, arguments, experiment, results_of, rows, save_model
from tests.ranks import on_ranks
from transformers import AutoModelForImageClassification

from squared_emd import ordinal_metrics
from squared_emd.data.bins import balanced_bins
from squared_emd.data.splits import fold_split
from squared_emd.experiments import runner
from squared_emd.experiments.experiment import Samples, network_name, path_to_ground_distance, plan
from squared_emd.experiments.networks import image_network
from squared_emd.experiments.results import write_ensembles
from squared_emd.experiments.runner import run_table
from squared_emd.metrics import ScoreMetrics
from squared_emd.reports.predictions import read_predictions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The report has tests of its own."""
    monkeypatch.setattr(runner, "write_report", lambda folders, **options: f"report of {folders}")


def run_folder(output, model, loss, fold=0, seed=3):
    return output / network_name(model) / loss / f"fold_{fold}" / f"seed_{seed}"


def noting(seen):
    """Samples that note the numbers of the rows they are made of."""

    def samples(train, test, loss):
        seen.append((set(train["row"]), set(test["row"])))
        return Samples(train, test, NAMES, ordinal_metrics(class_names=NAMES))

    return samples


def test_folds(model, tmp_path, capsys):
    seen, args = [], arguments(tmp_path, loss="xe,xemd2", fold="all", num_train_epochs=3)
    results = run_table(args, experiment(model, args, samples=noting(seen)))
    assert [(result["loss"], result["fold"]) for result in results] == [
        (loss, fold) for loss in ("xe", "xemd2") for fold in range(3)
    ]
    assert f"report of ['{tmp_path}']" in capsys.readouterr().out
    for fold in range(3):
        assert ({k for k in range(60) if k // 4 % 3 != fold}, {k for k in range(60) if k // 4 % 3 == fold}) in seen
    for result in results:
        folder = run_folder(tmp_path, model, result["loss"], result["fold"])
        assert (result["folds"], result["num_train"], result["num_test"]) == (3, 40, 20)
        assert (folder / "ground_distance.png").exists() == (result["loss"] == "xemd2")
        assert AutoModelForImageClassification.from_pretrained(folder).config.emd["loss"] == result["loss"]
        log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        assert [entry["epoch"] for entry in log if "eval_aem" in entry] == [1, 2, 3]
    assert len({result["eval_squared_emd"] for result in results}) == 6


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_early_stopping_tests_the_best_epoch(workers, model, tmp_path):
    """Validation people are cut from the training side; the test fold is tested once, with the model of epoch 2."""
    seen, evaluated = [], []

    def samples(train, test, loss):
        made = noting(seen)(train, test, loss)
        errors = iter([3.0, 1.0, 2.0, 2.0])

        def compute_metrics(evaluation):
            evaluated.append(len(evaluation.label_ids))
            metrics = made.compute_metrics(evaluation)
            return metrics if len(evaluation.label_ids) == 20 else metrics | {"mae": next(errors, 9.0)}

        return Samples(train, test, NAMES, compute_metrics)

    args = arguments(tmp_path, loss="xe", num_train_epochs=9, early_stopping_patience=2, dataloader_num_workers=workers)
    (result,) = run_table(args, experiment(model, args, samples=samples))
    folder = run_folder(tmp_path, model, "xe")
    state = json.loads((folder / "trainer_state.json").read_text())
    assert [entry["eval_mae"] for entry in state["log_history"] if "eval_mae" in entry] == [3, 1, 2, 2]
    assert (state["best_metric"], result["epochs"]) == (1, 4)
    assert AutoModelForImageClassification.from_pretrained(folder).config.emd["epoch"] == 2
    assert evaluated == [evaluated[0]] * 5 + [20]  # the validation people once more, for the decision rule
    test_fold = {k for k in range(60) if k // 4 % 3 == 0}
    (train, validation), last = seen[-2:]
    assert train | validation == set(range(60)) - test_fold and not train & validation
    assert last == (train, test_fold)


def test_validation_in_place_of_the_test(model, tmp_path):
    """On the same rows, whatever seed is added later."""
    seen = []
    for seed in (3, 4):
        args = arguments(tmp_path, loss="xe", validate=True, num_train_epochs=1, seed=seed)
        (result,) = run_table(args, experiment(model, args, samples=noting(seen)))
        assert (result["tested_on"], result["num_train"] + result["num_test"]) == ("validation data", 40)
    tested = {frozenset(test) for train, test in seen if len(train) + len(test) == 40}
    assert len(tested) == 1


def test_a_validation_split_is_predicted_without_early_stopping(model, tmp_path):
    args = arguments(tmp_path, loss="xe", num_train_epochs=1)
    run_table(args, experiment(model, args, validation=rows().select(range(7))))
    folder = run_folder(tmp_path, model, "xe")
    assert read_predictions(folder, "validation").labels.tolist() == [k % 4 for k in range(7)]
    assert len(read_predictions(folder).labels) == 20


def test_a_network_that_cannot_be_had_costs_nothing(model, tmp_path):
    args = arguments(tmp_path, loss="xe", num_train_epochs=1)
    run_table(args, experiment(model, args))
    args = arguments(tmp_path, loss="xe", redo=True, model=[model, "timm/no_such_network"])
    with pytest.raises(SystemExit):
        run_table(args, experiment(model, args))
    assert results_of(run_folder(tmp_path, model, "xe"))


def test_where_a_emd_finds_its_d(model, tmp_path):
    def where(**fields):
        args = arguments(tmp_path / "own", loss="a-emd", fold="2", seed=5, **fields)
        (run,) = plan(args, [experiment(model, args)])
        return path_to_ground_distance(args, run)

    assert where() == run_folder(tmp_path / "own", model, "xemd2", 2, 5)
    assert where(ground_distance=str(tmp_path / "other")) == run_folder(tmp_path / "other", model, "xemd2", 2, 5)
    assert where(ground_distance=str(tmp_path / "d.npy")) == tmp_path / "d.npy"
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (run / "all_results.json").write_text('{"fold": 2}')
    assert where(ground_distance=str(run)) == run
    (run / "all_results.json").write_text('{"fold": 1}')
    with pytest.raises(ValueError) as caught:
        where(ground_distance=str(run))
    assert str(caught.value) == (
        f"{run} is a run tested on fold 1: its D was learned on rows of fold 2, on which this one is tested. Give the "
        "output folder of a table with an xemd2 run of each fold."
    )


class TestScores:
    """A table whose classes are bins of a score."""

    def of_bins(self, model, args, num_bins):
        data = rows()
        data = data.add_column("score", [k % 4 + k / 100 for k in range(len(data))]).remove_columns("label")

        def samples(train, test, loss):
            bins = balanced_bins(train["score"], num_bins)
            learned = {"label_column": "score"} if loss == "reg" else {"class_scores": bins.means}
            metrics = ScoreMetrics(test["score"], bins)
            return Samples(bins.label_dataset(train), bins.label_dataset(test), bins.names, metrics, **learned)

        variant = f"{num_bins} bins"
        split = {"split": lambda fold: fold_split(data, fold), "samples": samples}
        return experiment(model, args, variant=variant, selected_by="eval_spearman", **split)

    def test_scores_are_saved_and_averaged(self, model, tmp_path):
        args = arguments(tmp_path, loss="emd", num_train_epochs=2)
        experiments = [self.of_bins(model, args, num_bins) for num_bins in (3, 4)]
        results = run_table(args, *experiments, before_report=write_ensembles)
        true, predicted = [k % 4 + k / 100 for k in range(60) if k // 4 % 3 == 0], []
        for run in results:
            saved = np.load(f"{run['folder']}/expected_scores.npz")
            assert saved["true"].tolist() == true
            assert run["eval_spearman"] == pytest.approx(spearmanr(saved["predicted"], true).statistic)
            predicted.append(saved["predicted"])
        result = results_of(tmp_path / network_name(model) / "ensemble_of_2" / "emd" / "fold_0" / "seed_3")
        assert result["eval_spearman"] == pytest.approx(spearmanr(np.mean(predicted, 0), true).statistic)
        assert (result["variant"], result["members"]) == ("ensemble of 2", [3, 4])
        config = AutoModelForImageClassification.from_pretrained(results[1]["folder"]).config
        in_training = sorted(k % 4 + k / 100 for k in range(60) if k // 4 % 3)
        assert config.emd["scores"] == pytest.approx([np.mean(in_training[i : i + 10]) for i in range(0, 40, 10)])

    def test_a_regression_learns_the_score_itself(self, model, tmp_path):
        args = arguments(tmp_path, loss="reg", num_train_epochs=1)
        (result,) = run_table(args, self.of_bins(model, args, 4))
        saved = np.load(f"{result['folder']}/expected_scores.npz")
        mean = np.mean((saved["predicted"] - saved["true"]) ** 2)
        assert result["eval_loss"] == pytest.approx(mean, rel=1e-4)  # in the unit of the score


@pytest.mark.slow
def test_two_ranks(tmp_path):
    """Both ranks see the same, one writes."""
    model = save_model(tmp_path / "model")
    on_ranks(2, _table, model, tmp_path / "out", tmp_path)
    first, second = (json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in range(2))
    for results in (*first, *second):
        for name in [name for name in results if name.endswith(("_per_step", "_per_second", "_runtime"))]:
            del results[name]  # each rank's own
    assert first == second
    assert [result["loss"] for result in first] == ["xemd2", "a-emd", "a-emd"]
    assert first[1] == first[2]  # the second command trained nothing


def _table(rank, model, output, home):
    fields = {"early_stopping_patience": 1, "ddp_backend": "gloo"}
    args = arguments(output, loss="xemd2", **fields)
    guided = run_table(args, experiment(model, args))
    args = arguments(output, loss="a-emd", learning_rate="0.1", entropic_strength="select", **fields)
    entropic = run_table(args, experiment(model, args))
    again = run_table(args, experiment(model, args))
    if rank:
        again = entropic  # read from the file of the main process
    (home / f"rank_{rank}.json").write_text(json.dumps(guided + entropic + again))


def test_stored_images_that_are_too_small_are_refused(model, tmp_path):
    args = arguments(tmp_path, loss="xe", small_pictures=1)
    samples = Samples(None, None, NAMES, ordinal_metrics(class_names=NAMES))
    with pytest.raises(ValueError, match=r"^small_pictures must be at least 10 for .*; got 1\.$"):
        image_network(args)(model, samples, 3)
