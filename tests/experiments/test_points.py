"""A table of runs on data with a validation split: what is trained, what is not trained twice, what is chosen."""

import csv
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.experiments.tiny import Line, point_arguments, point_experiment, points, results_of

from squared_emd.experiments import results, runner, selection
from squared_emd.experiments.experiment import Run, network_name, plan
from squared_emd.experiments.runner import run_table
from squared_emd.experiments.settings import digest_of_rows, settings_of
from squared_emd.ground_distance.saved import read_ground_distance
from squared_emd.reports.predictions import read_predictions

LOSSES = ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd")


def refused(args, experiment):
    with pytest.raises(SystemExit) as caught:
        run_table(args, experiment)
    return caught.value.code.partition(": ")[2]


def forbid_training(monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("nothing is to be trained")

    monkeypatch.setattr(runner, "train", train)
    monkeypatch.setattr(selection, "train", train)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All losses, and a second seed of two of them."""
    output = tmp_path_factory.mktemp("points")
    results = run_table(point_arguments(output, loss="all"), point_experiment())
    return output, results + run_table(point_arguments(output, loss="xe,emd", seed=4), point_experiment())


class TestAllLosses:
    def test_a_run_each(self, done):
        output, results = done
        order = [*((loss, 3) for loss in LOSSES), ("xe", 4), ("emd", 4)]
        assert [(run["loss"], run["seed"]) for run in results] == order
        for run in results:
            folder = output / "line" / run["loss"] / f"seed_{run['seed']}"
            assert results_of(folder) | {"folder": str(folder)} == run
            assert (run["num_train"], run["num_validation"], run["num_test"]) == (48, 12, 18)
            assert {"model.safetensors", "trainer_state.json", "settings.json"} <= {p.name for p in folder.iterdir()}
            assert not list(folder.glob("checkpoint-*"))
            assert np.sum(run["confusion_matrix"]) == 18
            for part, key in (("test", "eval"), ("validation", "validation")):
                predictions = read_predictions(folder, part)
                hits = predictions.probabilities.argmax(1) == predictions.true_classes
                assert hits.mean() == pytest.approx(run[f"{key}_aem"])
            assert (run["sdd"] is not None) == run["loss"].startswith("xemd")
        assert len({run["job"] for run in results}) == 2  # commands
        assert np.mean([run["eval_aem"] for run in results]) > 0.6  # by chance 1/3

    def test_keys_of_the_results(self, done):
        """Scripts of other people read them."""
        _, (run, *_) = done
        assert set(run) == {
            "table", "data", "stand_in", "variant", "model", "loss", "fold", "folds", "seed", "tested_on",
            "num_train", "num_test", "learning_rate", "learning_rate_selected", "entropic_strength", "epochs", "sdd",
            "sdd_relative", "regularizer_weight", "seconds_per_step", "cpu_seconds_per_step", "class_names",
            "confusion_matrix", "command", "batch_size", "optimizer", "device", "ranks", "versions", "weights",
            "job", "comparison", "num_validation", "non_finite", "folder",
            *(f"{part}_{name}" for part in ("eval", "validation") for name in (
                "loss", "loss_ce", "aem", "aeo", "mae", "squared_emd", "nll", "ece", "runtime", "samples_per_second",
                "steps_per_second")),
        }  # fmt: skip

    @pytest.mark.parametrize(("prefix", "rows"), [("eval", points(18, 2)), ("validation", points(12, 1))])
    def test_metrics_are_those_of_the_saved_network(self, done, prefix, rows):
        folder = done[0] / "line" / "xe" / "seed_4"
        network = Line(3)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        with torch.no_grad():
            logits = network(torch.tensor(rows["features"][:]))["logits"]
        shares, labels = logits.double().softmax(1).numpy(), np.array(rows["label"])
        off = np.abs(shares.argmax(1) - labels)
        squared = ((shares.cumsum(1) - np.eye(3)[labels].cumsum(1)) ** 2).sum(1)
        results = results_of(folder)
        assert results[f"{prefix}_aem"] == pytest.approx((off == 0).mean())
        assert results[f"{prefix}_mae"] == pytest.approx(off.mean())
        assert results[f"{prefix}_squared_emd"] == pytest.approx(squared.mean(), rel=1e-5)

    def test_a_emd_takes_the_d_of_xemd2(self, done):
        one, other = (read_ground_distance(done[0] / "line" / loss / "seed_3") for loss in ("xemd2", "a-emd"))
        assert torch.allclose(one, other, atol=1e-6)

    def test_the_report(self, done):
        output, results = done
        report = (output / "report.md").read_text()
        assert "The data are GENERATED (generated points), made by this program." in report
        maes = [run["eval_mae"] for run in results if run["loss"] == "emd"]
        (row,) = re.findall(r"(?m)^\| EMD \|.*folds.*$", report)
        assert f"{np.mean(maes):.3f} ± {np.std(maes, ddof=1):.3f}" in row
        assert re.findall(r"(?m)^\| ([A-Z0-9-]+) \|.*folds", report) == [loss.upper() for loss in LOSSES]

    def test_the_same_command_trains_nothing(self, done, monkeypatch, capsys):
        output, results = done
        forbid_training(monkeypatch)
        again = run_table(point_arguments(output, loss="xe,emd", seeds=2), point_experiment())
        assert again == [run for loss in ("xe", "emd") for run in results if run["loss"] == loss]
        assert "line, emd, seed 4: done." in capsys.readouterr().out
        # an option of another loss, or of the report, changes nothing
        fields = {"jump_start_epochs": 1, "rank": "inclusive", "metric": "aem"}
        assert run_table(point_arguments(output, loss="xe", **fields), point_experiment())

    def test_other_settings_are_refused(self, done):
        output, _ = done
        folder = output / "line" / "xe" / "seed_3"
        advice = "Give another --output_dir, or --redo to train it again."
        assert refused(point_arguments(output, loss="xe", weight_decay=0.5), point_experiment()) == (
            f"{folder} holds a run with other settings: weight_decay 0.0, now 0.5. {advice}"
        )
        said = refused(point_arguments(output, loss="xe"), point_experiment(train=points(48, 7)))
        digests = r"digest of the data [0-9a-f]{16}, now [0-9a-f]{16}\. "
        assert re.fullmatch(re.escape(f"{folder} holds a run with other settings: ") + digests + advice, said)

    def test_a_dry_run(self, done, capsys):
        output, _ = done
        assert run_table(point_arguments(output, loss="xe", seeds=3, dry_run=True), point_experiment()) == []
        states = re.findall(r"line, xe, seed (\d): (.+)", capsys.readouterr().out)
        assert states == [("3", "done"), ("4", "done"), ("5", "to do")]

    def test_redo(self, tmp_path):
        folder = tmp_path / "line" / "xe" / "seed_3"
        run_table(point_arguments(tmp_path, loss="xe", num_train_epochs=1), point_experiment())
        (folder.parent / "select").mkdir()
        run_table(point_arguments(tmp_path, loss="xe", num_train_epochs=2, redo=True), point_experiment())
        assert results_of(folder)["epochs"] == 2
        assert not (folder.parent / "select").exists()

    def test_settings_that_are_half_written(self, tmp_path):
        folder = tmp_path / "line" / "xe" / "seed_3"
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text("{")
        said = refused(point_arguments(tmp_path, loss="xe"), point_experiment())
        assert said.startswith(f"{folder / 'settings.json'} must be JSON in UTF-8; reading it gave: Expecting property")
        assert said.endswith("; write it again, delete it, or give --redo.")


@pytest.mark.parametrize("loss", ["xemd2"])
def test_resumes_where_it_was_interrupted(loss, tmp_path, capsys):
    """Interrupted in the third of four epochs, it ends with the same bits, and a history of D of all epochs."""
    (expected,) = run_table(point_arguments(tmp_path / "whole", loss=loss), point_experiment())
    args = point_arguments(tmp_path / "parts", loss=loss, save_strategy="epoch")

    class Interrupted(Line):
        steps = 0

        def forward(self, features):
            Interrupted.steps += self.training
            if Interrupted.steps == 8:  # three steps an epoch
                raise KeyboardInterrupt
            return super().forward(features)

    with pytest.raises(KeyboardInterrupt):
        run_table(args, point_experiment(layer=Interrupted))
    capsys.readouterr()
    run_table(point_arguments(tmp_path / "parts", loss=loss, dry_run=True), point_experiment())
    assert "line, xemd2, seed 3: resumes from checkpoint-6" in capsys.readouterr().out
    (resumed,) = run_table(args, point_experiment())
    assert "4 epochs, learning rate 0.3, from checkpoint-6 on." in capsys.readouterr().out
    for name in ("weights", "eval_squared_emd", "eval_loss", "sdd", "regularizer_weight", "epochs"):
        assert resumed[name] == expected[name]
    one, other = (
        np.load(tmp_path / part / "line" / loss / "seed_3" / "ground_distance_history.npz")
        for part in ("whole", "parts")
    )
    assert one["epochs"].tolist() == other["epochs"].tolist() == [1, 2, 3, 4]
    assert (one["ground_distance"] == other["ground_distance"]).all()


class TestSelection:
    @staticmethod
    def fake_trials(monkeypatch, error_of):
        """Trials that give what `error_of` says, and note their arguments and rows."""
        seen = []

        def train(args, experiment, model, rows, **kwargs):
            assert kwargs == {"is_trial": True}
            seen.append((args, rows))
            error = error_of(args)
            if isinstance(error, Exception):
                raise error
            log = [{"non_finite_samples": 3}] if error is None else []
            trainer = SimpleNamespace(state=SimpleNamespace(log_history=log))
            return SimpleNamespace(trainer=trainer, metrics={"eval_mae": error, "eval_spearman": error})

        monkeypatch.setattr(selection, "train", train)
        return seen

    def test_least_error_once_for_all_seeds(self, tmp_path, monkeypatch, capsys):
        """The mean over two seeds decides; a rate that is added later is tried alone."""
        # Of even and of odd seeds.
        errors = {1e-3: (0.5, 0.5), 1.0001e-3: (0.6, 0.0), 1e-2: (0.0, 0.9), 2e-2: (0.0, 0.0)}
        seen = self.fake_trials(monkeypatch, lambda args: errors[args.learning_rate][args.seed % 2])
        fields = {"loss": "emd", "num_train_epochs": 1, "select_seeds": 2}
        three = fields | {"learning_rate": "select:1e-3,1.0001e-3,1e-2"}
        results = run_table(point_arguments(tmp_path, seeds=2, **three), point_experiment())
        tried = [(rate, seed) for rate in list(errors)[:3] for seed in (3, 4)]
        assert [(args.learning_rate, args.seed) for args, _ in seen] == tried
        assert {args.loss for args, _ in seen} == {"emd"}
        assert all(len(train) == 48 and len(validation) == 12 for _, (train, validation) in seen)
        chosen = [(result["learning_rate"], result["learning_rate_selected"]) for result in results]
        assert chosen == [(1.0001e-3, True)] * 2
        said = capsys.readouterr().out
        assert said.count("  learning rate 0.01: MAE 0.450 on validation data") == 1
        assert said.count("\n1 epoch, learning rate 0.001.\n") == 2
        told = r"2 runs: emd x seeds 3, 4\.\nHow long these runs take is told after the first\.\n\nRun 1 of 2"
        assert re.search(rf"{told}(?s:.*)\nAbout \d+ seconds for the others, by", said)
        third = run_table(point_arguments(tmp_path, seeds=3, **three), point_experiment())  # tries nothing again
        assert (third[2]["learning_rate"], len(seen)) == (1.0001e-3, 6)
        rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
        told = [(row["seed"], row["learning_rate"], row["learning_rate_selected"]) for row in rows]
        assert told == [(seed, "0.0010001", "True") for seed in "345"]
        more = fields | {"learning_rate": "select:1e-3,1.0001e-3,1e-2,2e-2"}
        said = refused(point_arguments(tmp_path, **more), point_experiment())
        assert "learning_rate of 0.001, 0.0010001, 0.01 by 2 seeds, now of 0.001" in said
        (fourth,) = run_table(point_arguments(tmp_path, seed=6, **more), point_experiment())
        assert (fourth["learning_rate"], len(seen)) == (2e-2, 8)

    def test_largest_where_more_is_better(self, tmp_path, monkeypatch):
        self.fake_trials(monkeypatch, lambda args: -abs(args.learning_rate - 10**-2))
        args = point_arguments(tmp_path, loss="xe", learning_rate="select:1e-1,1e-2,1e-3", num_train_epochs=1)
        (result,) = run_table(args, point_experiment(selected_by="eval_spearman"))
        assert result["learning_rate"] == 10**-2

    def test_a_failed_trial_is_the_worst(self, tmp_path, monkeypatch, capsys):
        def error_of(args):
            return {1e-1: ValueError("not finite"), 1e-2: None}.get(args.learning_rate, args.learning_rate)

        self.fake_trials(monkeypatch, error_of)
        args = point_arguments(tmp_path, loss="xe", learning_rate="select:1e-1,1e-2,1e-3,1e-4", num_train_epochs=1)
        (result,) = run_table(args, point_experiment())
        assert result["learning_rate"] == 1e-4
        assert capsys.readouterr().out.count("failed on validation data") == 2

    def test_all_failed(self, tmp_path, monkeypatch):
        self.fake_trials(monkeypatch, lambda args: None)
        with pytest.raises(
            ValueError, match=r"^no learning_rate of 0\.0001, 3e-05, 1e-05 .* ran into NaN or infinite values"
        ):
            run_table(point_arguments(tmp_path, loss="xe", learning_rate="select"), point_experiment())

    def test_rate_then_strength(self, tmp_path, monkeypatch):
        def error_of(args):
            return abs(args.learning_rate - 10**-2) + abs(args.entropic_strength - 1)

        seen = self.fake_trials(monkeypatch, error_of)
        fields = {"learning_rate": "select:1e-1,1e-2", "entropic_strength": "select", "geometry": "line"}
        fields["num_train_epochs"] = 1
        (result,) = run_table(point_arguments(tmp_path, loss="a-emd", **fields), point_experiment())
        assert [(args.learning_rate, args.entropic_strength) for args, _ in seen] == [
            *((rate, 10) for rate in (1e-1, 1e-2)),
            *((10**-2, strength) for strength in (0.1, 1, 10)),
        ]
        assert (result["learning_rate"], result["entropic_strength"]) == (10**-2, 1)

    @pytest.mark.parametrize(
        ("fields", "num_train"), [({"learning_rate": "select"}, 48), ({"early_stopping_patience": 1}, 36)]
    )
    def test_what_is_chosen_under_validate_is_chosen_on_other_rows(self, fields, num_train, tmp_path, monkeypatch):
        """The validation rows of the data are tested on."""
        seen = self.fake_trials(monkeypatch, lambda args: args.learning_rate)
        args = point_arguments(tmp_path, loss="xe", validate=True, num_train_epochs=1, **fields)
        (run,) = run_table(args, point_experiment())
        assert (run["num_train"], run["num_test"], run["tested_on"]) == (num_train, 12, "validation data")
        folder = tmp_path / "line" / "xe" / "seed_3"
        assert read_predictions(folder).labels.tolist() == points(12, 1)["label"][:]
        assert (read_predictions(folder, "validation") is None) == (num_train == 48)  # else it would choose the rule
        assert [tuple(map(len, of)) for _, of in seen] == [(36, 12)] * 3 * (num_train == 48)

    def test_test_data_change_nothing_in_the_choice(self, tmp_path):
        """Real trials; the second time all test labels are wrong."""
        rates, wrong = (1.0, 1e-4), points(18, 2)
        wrong = wrong.remove_columns("label").add_column("label", [(k + 1) % 3 for k in wrong["label"]])
        results = []
        for name, test in (("right", None), ("wrong", wrong)):
            args = point_arguments(tmp_path / name, loss="emd", learning_rate="select:1,1e-4", num_train_epochs=2)
            results += run_table(args, point_experiment(test=test))
        trials = tmp_path / "right" / "line" / "emd" / "select"
        values = {rate: results_of(trials / f"learning_rate_{rate!r}" / "trial_0")["value"] for rate in rates}
        assert len(set(values.values())) == 2
        assert results[0]["learning_rate"] == results[1]["learning_rate"] == min(values, key=values.get)
        assert results[0]["validation_mae"] == results[1]["validation_mae"]
        assert results[0]["eval_mae"] < results[1]["eval_mae"]


class TestGivenGroundDistance:
    MATRIX = np.abs(np.subtract.outer(range(3), range(3))) / 3

    def test_a_geometry(self, tmp_path):
        run_table(point_arguments(tmp_path, loss="a-emd", geometry="line"), point_experiment())
        expected = torch.tensor([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]], dtype=torch.float64)
        assert torch.allclose(read_ground_distance(tmp_path / "line/a-emd/seed_3"), expected)

    def test_a_matrix_is_that_of_a_emd_and_another_is_refused(self, tmp_path):
        file = tmp_path / "d.npy"
        np.save(file, self.MATRIX)
        args = point_arguments(tmp_path / "out", loss="xemd2,a-emd", ground_distance=str(file))
        learned, _ = run_table(args, point_experiment())
        assert learned["sdd"] is not None
        saved = read_ground_distance(tmp_path / "out/line/a-emd/seed_3")
        np.testing.assert_allclose(saved, self.MATRIX, atol=1e-6)
        np.save(file, self.MATRIX / 2)
        said = refused(point_arguments(tmp_path / "out", loss="a-emd", ground_distance=str(file)), point_experiment())
        assert "holds a run with other settings: digest of D " in said

    def test_without_a_emd_it_is_that_of_xemd(self, tmp_path):
        file = tmp_path / "d.npy"
        fields = {"loss": "xe,xemd", "num_train_epochs": 1, "jump_start_epochs": 0, "prior_weight": 1.0}
        args = point_arguments(tmp_path / "out", ground_distance=str(file), **fields)
        assert refused(args, point_experiment()).endswith(f"there is no {file}.")
        np.save(file, self.MATRIX[:2, :2])
        assert "(2, 2)" in refused(args, point_experiment())
        assert not (tmp_path / "out").exists()
        np.save(file, self.MATRIX)
        run_table(args, point_experiment())
        saved = read_ground_distance(tmp_path / "out/line/xemd/seed_3").numpy()
        np.testing.assert_allclose(saved / saved.max(), self.MATRIX / self.MATRIX.max(), atol=1e-6)

    def test_none_there_and_none_planned(self, tmp_path):
        assert refused(point_arguments(tmp_path, loss="a-emd"), point_experiment()) == (
            "a-emd needs the D of an xemd2 run of the same network, fold and seed: --ground_distance DIR, or "
            f"--loss all; there is no {tmp_path / 'line' / 'xemd2' / 'seed_3'}."
        )


@pytest.mark.parametrize(
    "token", [["--hub_token", "t"], ["--hub-token", "a b"], ["--hub_token=hf_a!b"], ["--hub-token=t"]]
)
def test_a_token_is_not_kept(token):
    assert results._command(["a.py", *token, "--data_dir", "my data"]) == "a.py --data_dir 'my data'"
    assert results._command(["a.py", *token]) == "a.py"


def test_where_the_classes_lie_is_a_setting_of_smoothed_labels(tmp_path):
    smoothed = {"label_smoothing_factor": 0.1, "label_smoothing_temperature": 1.0, "geometry": "line"}
    for fields in ({}, smoothed):
        args = point_arguments(tmp_path, loss="xe", **fields)
        (run,) = plan(args, [point_experiment()])
        assert settings_of(args, run, None, "a digest").get("geometry", "none") == fields.get("geometry", "none")


def test_the_digest_is_of_what_is_in_the_rows():
    one, longer, other = points(6, 0), points(12, 0), points(6, 1)
    assert digest_of_rows(one) == digest_of_rows(points(6, 0))
    swapped = one.select([1, 0, 2, 3, 4, 5])
    assert len({digest_of_rows(table) for table in (one, longer, other, swapped)}) == 4
    assert digest_of_rows(swapped.select([1, 0, 2, 3, 4, 5])) == digest_of_rows(one)


def test_plan_is_in_the_order_of_the_command(tmp_path):
    args = point_arguments(tmp_path, loss="all", seeds=2)
    args.model = ["first", "a/second"]
    runs = plan(args, [point_experiment()])
    assert len({run.folder for run in runs}) == len(runs) == 2 * 7 * 2
    assert str(runs[0]) == "first, xe, seed 3"
    assert runs[-1].folder == tmp_path / "a--second" / "xemd" / "seed_4"
    assert network_name(str(tmp_path)).startswith(f"{tmp_path.name}-")


def test_a_distance_that_is_given_and_kept_is_not_called_learned(tmp_path):
    args = point_arguments(tmp_path, loss="xemd", geometry="line", prior_weight=1, num_train_epochs=3)
    (run,) = run_table(args, point_experiment())
    assert run["sdd"] is None
    assert not (tmp_path / "line/xemd/seed_3/ground_distance.png").exists()
    assert "learned by" not in (tmp_path / "report.md").read_text()


def test_repositories_are_named_by_what_sets_the_runs_apart(tmp_path):
    def run(network="small", loss="xemd2", fold=0, seed=1, variant=""):
        return Run(network, network, loss, fold, seed, tmp_path, SimpleNamespace(variant=variant))

    def names(*runs):
        return [runner.repository_of(SimpleNamespace(hub_model_id="me/age"), one, runs) for one in runs]

    assert names(run()) == ["me/age"]
    assert names(run(), run(loss="xe", seed=2)) == ["me/age-xemd2-seed-1", "me/age-xe-seed-2"]
    assert names(run("timm/vit_base from scratch", variant="3 bins"), run("res_f", fold=1)) == [
        "me/age-timm-vit-base-from-scratch-3-bins-fold-0",
        "me/age-res-f-fold-1",
    ]
