"""A table of runs: what is trained, what is not trained twice, what is chosen and on which rows."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tests.experiments.tiny import NAMES, arguments, experiment, rows, save_model
from transformers import AutoModelForImageClassification

from squared_emd import ordinal_metrics
from squared_emd.data.bins import balanced_bins
from squared_emd.data.score_metrics import ScoreMetrics
from squared_emd.data.splits import fold_split
from squared_emd.experiments import Samples, cost, run_table, selection, table, write_ensembles
from squared_emd.experiments.arguments import PAPER_RATES
from squared_emd.experiments.cost import Pace
from squared_emd.experiments.plan import learned_where, network_name, plan
from squared_emd.experiments.recorder import RunRecorder
from squared_emd.vision.flip_averaging import average_flips
from squared_emd.vision.transforms import EvalTransform


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The report has tests of its own."""
    monkeypatch.setattr(table, "write_report", lambda folders: f"report of {folders}")


def results_of(folder):
    return json.loads((folder / "all_results.json").read_text())


def run_folder(output, model, loss, fold=0, seed=3):
    return output / network_name(model) / loss / f"fold_{fold}" / f"seed_{seed}"


def forbid(monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(table, "train", train)
    monkeypatch.setattr(selection, "train", train)


def test_every_cell_once(model, tmp_path, monkeypatch, capsys):
    args = arguments(tmp_path, loss="xe,reg,xemd2,a-emd", fold="1", seeds=2)
    results = run_table(args, experiment(model))
    assert len(results) == 4 * 2
    cells = {(result["loss"], result["fold"], result["seed"]) for result in results}
    assert len(cells) == 8
    assert f"report of ['{tmp_path}']" in capsys.readouterr().out
    for result in results:
        folder = run_folder(tmp_path, model, result["loss"], result["fold"], result["seed"])
        assert results_of(folder) | {"folder": str(folder)} == result
        assert (result["folds"], result["num_train"], result["num_test"]) == (3, 40, 20)
        self_guided = result["loss"].startswith("xemd")
        assert (folder / "ground_distance.png").exists() == self_guided
        assert (result["sdd"] is not None) == self_guided
        config = AutoModelForImageClassification.from_pretrained(folder).config
        assert config.emd["loss"] == result["loss"]
        log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        assert [entry["epoch"] for entry in log if "eval_aem" in entry] == [1, 2, 3, 4]
    assert len({result["job"] for result in results}) == 1
    assert len({result["eval_squared_emd"] for result in results if result["loss"] == "xe"}) == 2  # seeds

    guided = run_folder(tmp_path, model, "xemd2", 1, 4)
    history = np.load(guided / "ground_distance_history.npz")
    assert history["epochs"].tolist() == [1, 2, 3, 4]
    last = AutoModelForImageClassification.from_pretrained(guided).config.ground_distance
    np.testing.assert_allclose(history["ground_distance"][-1], last, atol=1e-6)
    # a-emd has the D of the xemd2 run of the same fold and seed
    entropic = AutoModelForImageClassification.from_pretrained(run_folder(tmp_path, model, "a-emd", 1, 4)).config
    assert entropic.ground_distance == last

    forbid(monkeypatch)
    again = run_table(arguments(tmp_path, loss="xe,reg,xemd2,a-emd", fold="1", seeds=2), experiment(model))
    assert again == results
    assert capsys.readouterr().out.count(": done.") == 8


def test_all_folds(model, tmp_path):
    results = run_table(arguments(tmp_path, loss="xe", fold="all"), experiment(model))
    assert [result["fold"] for result in results] == [0, 1, 2]
    assert len({result["eval_squared_emd"] for result in results}) == 3


def test_goes_on_where_it_was_interrupted(model, tmp_path, monkeypatch, capsys):
    fields = {"loss": "xemd2", "seeds": 2, "save_strategy": "epoch"}
    whole = run_table(arguments(tmp_path / "whole", **fields), experiment(model))

    note = RunRecorder.on_epoch_end

    def interrupted(self, args, state, *others, **kwargs):
        note(self, args, state, *others, **kwargs)
        if args.seed == 4 and state.epoch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunRecorder, "on_epoch_end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_table(arguments(tmp_path / "cut", **fields), experiment(model))
    monkeypatch.setattr(RunRecorder, "on_epoch_end", note)
    capsys.readouterr()
    run_table(arguments(tmp_path / "cut", dry_run=True, **fields), experiment(model))
    said = capsys.readouterr().out
    assert re.findall(r"seed (\d): (.+)", said) == [("3", "done"), ("4", "goes on from checkpoint-10")]  # 5 an epoch
    assert "1 of 2 runs are to do: about " in said

    cut = run_table(arguments(tmp_path / "cut", **fields), experiment(model))
    assert "4 epochs, learning rate 0.1, from checkpoint-10 on." in capsys.readouterr().out
    exact = ("eval_aem", "eval_mae", "eval_squared_emd", "eval_loss", "sdd", "regularizer_weight", "epochs")
    for name in exact:
        assert [result[name] for result in cut] == [result[name] for result in whole]
    first, second = (
        np.load(run_folder(tmp_path / name, model, "xemd2", 0, 4) / "ground_distance_history.npz")
        for name in ("whole", "cut")
    )
    assert first["epochs"].tolist() == second["epochs"].tolist() == [1, 2, 3, 4]
    assert (first["ground_distance"] == second["ground_distance"]).all()


def test_other_settings_are_refused_unless_redone(model, tmp_path, capsys):
    run_table(arguments(tmp_path, loss="xe", learning_rate="0.2"), experiment(model))
    folder = run_folder(tmp_path, model, "xe")
    (folder.parent / "select").mkdir()
    with pytest.raises(SystemExit) as caught:
        run_table(arguments(tmp_path, loss="xe", num_train_epochs=5), experiment(model))
    assert caught.value.code.partition(": ")[2] == (
        f"{folder} holds a run with other settings: learning_rate 0.2, now 0.1; num_train_epochs 4, now 5. "
        "Give another --output_dir, or --redo to train it again."
    )
    assert results_of(folder)["epochs"] == 4
    run_table(arguments(tmp_path, loss="xe", num_train_epochs=5, redo=True), experiment(model))
    assert results_of(folder)["epochs"] == 5
    assert not (folder.parent / "select").exists()


def test_half_written_results(model, tmp_path):
    folder = run_folder(tmp_path, model, "xe")
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text("{")
    with pytest.raises(SystemExit) as caught:
        run_table(arguments(tmp_path, loss="xe"), experiment(model))
    assert caught.value.code.partition(": ")[2].startswith(
        f"{folder / 'settings.json'} must hold JSON, reading it gave: Expecting property name"
    )


class TestSelection:
    def fake(self, monkeypatch, errors):
        """Trials that give what `errors` says for a rate, and note the rows they were given."""
        seen = []

        def train(run, experiment, model, rows, **kwargs):
            seen.append((run, rows))
            error = errors(run)
            if isinstance(error, Exception):
                raise error
            log = [{"non_finite_samples": 3}] if error is None else []
            trainer = SimpleNamespace(state=SimpleNamespace(log_history=log))
            return SimpleNamespace(trainer=trainer, metrics={"eval_mae": error, "eval_spearman": error})

        monkeypatch.setattr(selection, "train", train)
        return seen

    def test_least_error_of_seven_on_rows_of_the_training_side(self, model, tmp_path, monkeypatch, capsys):
        seen = self.fake(monkeypatch, lambda run: abs(run.learning_rate - 10**-3.5))
        args = arguments(tmp_path, loss="emd", fold="1", seeds=2, learning_rate="select")
        results = run_table(args, experiment(model))
        assert [run.learning_rate for run, _ in seen] == list(PAPER_RATES)  # once for both seeds
        assert [result["learning_rate"] for result in results] == [10**-3.5] * 2
        train_rows, test_rows = fold_split(rows(), 1)
        for run, (train, validation) in seen:
            assert (run.loss, run.seed) == ("emd", 3)
            assert sorted([*train["row"], *validation["row"]]) == sorted(train_rows["row"])
            assert not set(train["user_id"]) & set(validation["user_id"])
            assert not set(test_rows["row"]) & {*train["row"], *validation["row"]}
        said = capsys.readouterr().out
        assert "emd, learning rate 0.0032: MAE 0.003 on validation data" in said

        forbid(monkeypatch)
        monkeypatch.setattr(table, "train", TestSelection.real_train)
        third = run_table(arguments(tmp_path, loss="emd", fold="1", seeds=3, learning_rate="select"), experiment(model))
        assert third[2]["learning_rate"] == 10**-3.5

    real_train = staticmethod(table.train)

    def test_largest_where_more_is_better(self, model, tmp_path, monkeypatch):
        self.fake(monkeypatch, lambda run: -abs(run.learning_rate - 10**-2))
        args = arguments(tmp_path, loss="xe", learning_rate="select")
        (result,) = run_table(args, experiment(model, selected_by="eval_spearman"))
        assert result["learning_rate"] == 10**-2

    def test_a_failed_trial_is_the_worst(self, model, tmp_path, monkeypatch, capsys):
        def errors(run):
            if run.learning_rate > 10**-2.2:
                return ValueError("not finite")
            return None if run.learning_rate > 10**-2.7 else run.learning_rate

        self.fake(monkeypatch, errors)
        (result,) = run_table(arguments(tmp_path, loss="xe", learning_rate="select"), experiment(model))
        assert result["learning_rate"] == PAPER_RATES[-1]
        assert capsys.readouterr().out.count("failed on validation data") == 3

    def test_all_failed(self, model, tmp_path, monkeypatch):
        self.fake(monkeypatch, lambda run: None)
        with pytest.raises(ValueError, match=r"^no learning_rate of 0\.032, 0\.01, .* ran into NaN or infinite values"):
            run_table(arguments(tmp_path, loss="xe", learning_rate="select"), experiment(model))

    def test_rate_then_strength(self, model, tmp_path, monkeypatch):
        run_table(arguments(tmp_path, loss="xemd2", learning_rate="0.1"), experiment(model))
        seen = self.fake(monkeypatch, lambda run: abs(run.learning_rate - 10**-2) + abs(run.entropic_strength - 1))
        args = arguments(tmp_path, loss="a-emd", learning_rate="select", entropic_strength="select")
        (result,) = run_table(args, experiment(model))
        assert [(run.learning_rate, run.entropic_strength) for run, _ in seen] == [
            *((rate, 10) for rate in PAPER_RATES),
            *((10**-2, strength) for strength in (0.1, 1, 10)),
        ]
        assert (result["learning_rate"], result["entropic_strength"]) == (10**-2, 1)

    def test_real_trials(self, model, tmp_path):
        args = arguments(tmp_path, loss="xe", num_train_epochs=2, learning_rate="select")
        (result,) = run_table(args, experiment(model))
        folders = sorted((run_folder(tmp_path, model, "xe").parent / "select").iterdir())
        errors = {folder.name: results_of(folder)["value"] for folder in folders}
        assert len(errors) == 7
        best = min(errors.values())
        assert errors[f"rate_1e{np.log10(result['learning_rate']):g}"] == best


@pytest.mark.parametrize("workers", [0, 1])
def test_early_stopping_tests_the_best_epoch(workers, model, tmp_path):
    looked_at, evaluations = [], []

    def samples(train, test, loss):
        looked_at.append((set(train["row"]), set(test["row"])))
        real, errors = ordinal_metrics(class_names=NAMES), iter([3.0, 1.0, 2.0, 2.0])

        def compute_metrics(evaluation):
            evaluations.append(evaluation.label_ids.tolist())
            metrics = real(evaluation)
            return metrics if len(evaluation.label_ids) == 20 else metrics | {"mae": next(errors)}

        return Samples(train, test, NAMES, compute_metrics)

    args = arguments(tmp_path, loss="xe", num_train_epochs=9, early_stopping_patience=2, dataloader_num_workers=workers)
    (result,) = run_table(args, experiment(model, samples=samples))
    state = json.loads((run_folder(tmp_path, model, "xe") / "trainer_state.json").read_text())
    assert [entry["eval_mae"] for entry in state["log_history"] if "eval_mae" in entry] == [3, 1, 2, 2]
    assert state["best_metric"] == 1
    assert result["epochs"] == 4  # the second is the best, two more were not better
    train_rows, test_rows = fold_split(rows(), 0)
    (train, validation), (again, tested) = looked_at[-2:]
    assert train == again
    assert train | validation == set(train_rows["row"])
    assert tested == set(test_rows["row"])
    assert evaluations[-1] == test_rows["label"][:]
    assert (result["num_train"], result["num_test"]) == (len(train), 20)

    # the weights are those of the best epoch, and they are what was saved: an independent evaluation agrees
    short = arguments(tmp_path / "short", loss="xe", num_train_epochs=9)
    saved = AutoModelForImageClassification.from_pretrained(result["folder"])
    average_flips(saved)
    view = EvalTransform(8, (0.5,) * 3, (0.5,) * 3)
    pixels = torch.stack([view(picture) for picture in test_rows["image"]])
    with torch.no_grad():
        logits = saved.eval()(pixel_values=pixels).logits.numpy()
    expected = ordinal_metrics()(SimpleNamespace(predictions=logits, label_ids=np.array(test_rows["label"])))
    for name, value in expected.items():
        assert result[f"eval_{name}"] == pytest.approx(value, abs=1e-6)
    (last,) = run_table(short, experiment(model))
    assert last["eval_squared_emd"] != pytest.approx(result["eval_squared_emd"], abs=1e-4)
    assert not list(Path(result["folder"]).glob("checkpoint-*"))


def test_the_jump_start_is_not_chosen(model, tmp_path):
    def samples(train, test, loss):
        errors = iter([1.0, 0.2, 5.0, 4.0, 4.5, 4.5, 4.5])
        real = ordinal_metrics(class_names=NAMES)

        def compute_metrics(evaluation):
            metrics = real(evaluation)
            return metrics if len(evaluation.label_ids) == 20 else metrics | {"mae": next(errors)}

        return Samples(train, test, NAMES, compute_metrics)

    args = arguments(tmp_path, loss="xemd2", num_train_epochs=9, early_stopping_patience=2)
    (result,) = run_table(args, experiment(model, samples=samples))
    folder = run_folder(tmp_path, model, "xemd2")
    state = json.loads((folder / "trainer_state.json").read_text())
    assert (result["epochs"], state["best_metric"]) == (6, 4)  # the fourth, and two that were not better
    assert AutoModelForImageClassification.from_pretrained(folder).config.emd["epoch"] == 4


@pytest.mark.parametrize(
    "fields",
    [{"load_best_model_at_end": True, "save_strategy": "epoch"}, {"lr_scheduler_type": "reduce_lr_on_plateau"}],
)
def test_nothing_is_chosen_on_test_data(fields, tmp_path):
    with pytest.raises(ValueError, match="the test data"):
        arguments(tmp_path, **fields)


def test_other_data_are_not_taken_for_the_same(model, tmp_path):
    run_table(arguments(tmp_path, loss="xe"), experiment(model))
    data = rows()
    features, labels = data.features, [3 - label for label in data["label"]]
    others = data.remove_columns("label").add_column("label", labels, feature=features["label"])
    with pytest.raises(SystemExit) as caught:
        run_table(arguments(tmp_path, loss="xe"), experiment(model, split=lambda fold: fold_split(others, fold)))
    assert "holds a run with other settings: digest of the data " in caught.value.code


def test_options_of_other_losses_do_not_matter(model, tmp_path, monkeypatch):
    (first,) = run_table(arguments(tmp_path, loss="xe"), experiment(model))
    forbid(monkeypatch)
    other = arguments(tmp_path, loss="xe", omega=3.0, jump_start_epochs=3, save_total_limit=2, seed=3)
    assert run_table(other, experiment(model)) == [first]


def test_a_network_that_cannot_be_had_costs_nothing(model, tmp_path):
    run_table(arguments(tmp_path, loss="xe"), experiment(model))
    args = arguments(tmp_path, loss="xe", redo=True, model=[model, "timm/no_such_network"], from_scratch=False)
    with pytest.raises(SystemExit):
        run_table(args, experiment(model))
    assert results_of(run_folder(tmp_path, model, "xe"))


def test_validation_in_place_of_the_test(model, tmp_path):
    (result,) = run_table(arguments(tmp_path, loss="xe", validate=True), experiment(model))
    assert (result["tested_on"], result["num_train"] + result["num_test"]) == ("validation data", 40)


class TestDistancesForEntropic:
    def test_places(self, model, tmp_path):
        def where(**fields):
            args = arguments(tmp_path / "own", loss="a-emd", fold="2", seed=5, **fields)
            (run,) = plan(args, [experiment(model)])
            return learned_where(args, run)

        assert where() == run_folder(tmp_path / "own", model, "xemd2", 2, 5)
        assert where(ground_distance=str(tmp_path / "other")) == run_folder(tmp_path / "other", model, "xemd2", 2, 5)
        assert str(where(ground_distance=model)) == model  # it has a config.json
        assert where(ground_distance=str(tmp_path / "d.npy")) == tmp_path / "d.npy"

    def test_the_run_of_another_fold_is_refused(self, model, tmp_path):
        (result,) = run_table(arguments(tmp_path / "first", loss="xemd2", fold="1"), experiment(model))
        fields = {"loss": "a-emd", "ground_distance": result["folder"]}
        with pytest.raises(SystemExit) as caught:
            run_table(arguments(tmp_path / "second", fold="all", **fields), experiment(model))
        assert caught.value.code.partition(": ")[2] == (
            f"{result['folder']} is a run tested on fold 1: its D was learned on rows of fold 0, on which this one is "
            "tested. Give the output folder of a table with an xemd2 run of each fold."
        )
        (second,) = run_table(arguments(tmp_path / "second", fold="1", **fields), experiment(model))
        config, earlier = (
            AutoModelForImageClassification.from_pretrained(run["folder"]).config for run in (second, result)
        )
        assert config.ground_distance == earlier.ground_distance

    def test_another_matrix_than_it_was_trained_with_is_refused(self, model, tmp_path):
        np.save(tmp_path / "d.npy", np.abs(np.subtract.outer(range(4), range(4))) / 4)
        fields = {"loss": "a-emd", "ground_distance": str(tmp_path / "d.npy")}
        run_table(arguments(tmp_path / "out", **fields), experiment(model))
        np.save(tmp_path / "d.npy", np.abs(np.subtract.outer(range(4), range(4))) / 5)
        with pytest.raises(SystemExit) as caught:
            run_table(arguments(tmp_path / "out", **fields), experiment(model))
        assert "holds a run with other settings: digest of D " in caught.value.code

    def test_several_losses_with_a_matrix(self, model, tmp_path):
        """It is that of a-emd; xemd2 learns its own."""
        matrix = np.abs(np.subtract.outer(range(4), range(4))) / 4
        np.save(tmp_path / "d.npy", matrix)
        args = arguments(tmp_path / "out", loss="xe,xemd2,a-emd", ground_distance=str(tmp_path / "d.npy"))
        results = {result["loss"]: result for result in run_table(args, experiment(model))}
        config = AutoModelForImageClassification.from_pretrained(results["a-emd"]["folder"]).config
        assert config.ground_distance == matrix.tolist()
        assert results["xemd2"]["sdd"] is not None

    def test_none_there_and_none_planned(self, model, tmp_path):
        with pytest.raises(SystemExit) as caught:
            run_table(arguments(tmp_path, loss="a-emd", fold="1"), experiment(model))
        assert caught.value.code.partition(": ")[2] == (
            "a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, or "
            f"--loss all; there is no {run_folder(tmp_path, model, 'xemd2', 1)}."
        )


class TestDryRun:
    def test_counts_and_trains_nothing(self, model, tmp_path, monkeypatch, capsys):
        run_table(arguments(tmp_path, loss="xe", learning_rate="0.1"), experiment(model))
        shutil.rmtree(run_folder(tmp_path, model, "xe", 0))
        forbid(monkeypatch)
        monkeypatch.setattr(cost, "measure_pace", lambda *args: Pace(step=2.0, row=0.5))
        fields = {"loss": "all", "fold": "all", "seeds": 2, "learning_rate": "select", "entropic_strength": "select"}
        capsys.readouterr()
        assert run_table(arguments(tmp_path, dry_run=True, **fields), experiment(model)) == []
        said = capsys.readouterr().out
        assert said.count(": to do") == 36
        assert said.count("7 trials, 7 of them to do") == 5 * 3
        assert said.count("10 trials, 10 of them to do") == 3
        # 40 training rows in batches of 8 are 5 steps an epoch: 4 epochs of 5 steps, 4 + 1 tests of 20 rows
        one_run = 4 * 5 * 2 + 5 * 20 * 0.5
        all_runs = 36 + 3 * (5 * 7 + 10)
        hours, rest = divmod(all_runs * one_run, 3600)
        assert f"36 of 36 runs are to do and 135 of 135 trials: about {hours:g} h {rest // 60:g} min" in said
        assert not (tmp_path / "report.md").exists()

    def test_measures_a_real_pace(self, model, tmp_path, capsys):
        run_table(arguments(tmp_path, loss="xemd2", dry_run=True), experiment(model))
        step, row = re.search(r"Measured with .*: (\S+) s a step, (\S+) s a row", capsys.readouterr().out).groups()
        assert float(row) > 0
        assert float(step) > 0
        assert list(tmp_path.iterdir()) == []


class TestScores:
    """A table whose classes are bins of a score."""

    def of_bins(self, model, num_bins):
        data = rows()
        data = data.add_column("score", [k % 4 + k / 100 for k in range(len(data))]).remove_columns("label")

        def samples(train, test, loss):
            bins = balanced_bins(train["score"], num_bins)
            learned = {"label_column": "score"} if loss == "reg" else {"class_scores": bins.means}
            metrics = ScoreMetrics(test["score"], bins)
            return Samples(bins.label_dataset(train), bins.label_dataset(test), bins.names, metrics, **learned)

        variant = f"{num_bins} bins"
        split = {"split": lambda fold: fold_split(data, fold), "samples": samples}
        return experiment(model, variant=variant, selected_by="eval_spearman", **split)

    def test_scores_are_saved_and_averaged(self, model, tmp_path):
        args = arguments(tmp_path, loss="emd", seeds=2)
        results = run_table(args, *(self.of_bins(model, num_bins) for num_bins in (3, 4)), report=False)
        members = results[:2], results[2:]
        write_ensembles(args, results)
        true = [k % 4 + k / 100 for k in range(60) if k // 4 % 3 == 0]
        for i, seed in enumerate((3, 4)):
            predicted = []
            for runs in members:
                saved = np.load(f"{runs[i]['folder']}/expected_scores.npz")
                assert saved["true"].tolist() == true
                assert runs[i]["eval_spearman"] == pytest.approx(spearmanr(saved["predicted"], true).statistic)
                predicted.append(saved["predicted"])
            folder = tmp_path / network_name(model) / "ensemble_of_2" / "emd" / "fold_0" / f"seed_{seed}"
            result = results_of(folder)
            assert result["eval_spearman"] == pytest.approx(spearmanr(np.mean(predicted, 0), true).statistic)
            assert (result["variant"], result["members"]) == ("ensemble of 2", [3, 4])
        config = AutoModelForImageClassification.from_pretrained(members[1][0]["folder"]).config
        in_training = sorted(k % 4 + k / 100 for k in range(60) if k // 4 % 3)
        assert config.emd["scores"] == pytest.approx([np.mean(in_training[i : i + 10]) for i in range(0, 40, 10)])

    def test_a_regression_learns_the_score_itself(self, model, tmp_path):
        (result,) = run_table(arguments(tmp_path, loss="reg"), self.of_bins(model, 4))
        saved = np.load(f"{result['folder']}/expected_scores.npz")
        mean = np.mean((saved["predicted"] - saved["true"]) ** 2)
        assert result["eval_loss"] == pytest.approx(mean, rel=1e-4)  # in the unit of the score


def test_plan_is_in_the_order_of_the_command(model, tmp_path):
    args = arguments(tmp_path, model=["first", "a/second"], loss="all", fold="all", seeds=2)
    runs = plan(args, [experiment(model)])
    assert len(runs) == 2 * 6 * 3 * 2
    assert str(runs[0]) == "first, xe, test fold 0, seed 3"
    assert runs[-1].folder == tmp_path / "a--second" / "a-emd" / "fold_2" / "seed_4"
    assert len({run.folder for run in runs}) == len(runs)
