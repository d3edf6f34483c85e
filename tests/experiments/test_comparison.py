"""A comparison of losses on any data: which runs there are, what they depend on, what is chosen and what is written."""

import dataclasses
import gc
import json
import math
import re

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn

from squared_emd.experiments import Comparison, ComparisonArguments, run_comparison
from squared_emd.experiments.comparison_table import write_comparison
from squared_emd.experiments.comparison_training import digest_of_table
from squared_emd.ground_distance.saved import read_ground_distance

NAMES = ("low", "middle", "high")
NEEDED = {"data", "loss", "model", "seed", "stand_in", "learning_rate", "eval_aem", "eval_aeo", "eval_mae"}
NEEDED |= {"eval_squared_emd", "validation_mae", "num_train", "num_validation", "num_test", "sdd", "class_names"}


class Line(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.head = nn.Linear(2, num_classes)

    def forward(self, features):
        return {"logits": self.head(features)}


def rows(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = np.stack([labels + rng.normal(0, 0.3, count), rng.normal(0, 1, count)], axis=1)
    return Dataset.from_dict({"features": features.astype(np.float32), "label": labels})


def comparison(**fields):
    fields = {
        "name": "lines",
        "data": "made of numbers",
        "stand_in": True,
        "class_names": NAMES,
        "train": rows(48, 0),
        "validation": rows(12, 1),
        "test": rows(18, 2),
        "network": "line",
        "build": Line,
        "rates": dict.fromkeys(("xe", "reg", "emd", "xemd1", "xemd2", "a-emd"), 0.3),
    } | fields
    return Comparison(**fields)


def arguments(output, **fields):
    fields = {
        "output_dir": str(output),
        "num_train_epochs": 4,
        "jump_start_epochs": 2,
        "per_device_train_batch_size": 16,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    } | fields
    return ComparisonArguments(**fields)


def results_of(folder):
    return json.loads((folder / "all_results.json").read_text())


def refused(args, compared):
    with pytest.raises(SystemExit) as caught:
        run_comparison(args, compared)
    return caught.value.code.partition(": ")[2]


@pytest.fixture(autouse=True, scope="module")
def quick_collection():
    """Each run collects garbage several times; what was there before need not be looked at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All losses, and two seeds of two of them."""
    output = tmp_path_factory.mktemp("comparison")
    results = run_comparison(arguments(output, loss="all"), comparison())
    return output, results + run_comparison(arguments(output, loss="xe,emd", seed=4), comparison())


@pytest.mark.xdist_group("comparison")
class TestAllLosses:
    def test_a_run_each(self, done):
        output, results = done
        order = [*((loss, 3) for loss in ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd")), ("xe", 4), ("emd", 4)]
        assert [(run["loss"], run["seed"]) for run in results] == order
        for run in results:
            folder = output / "line" / run["loss"] / f"seed_{run['seed']}"
            assert results_of(folder) | {"folder": str(folder)} == run
            assert run.keys() >= NEEDED
            assert (run["num_train"], run["num_validation"], run["num_test"]) == (48, 12, 18)
            assert {"model.safetensors", "trainer_state.json", "settings.json"} <= {p.name for p in folder.iterdir()}
            assert not list(folder.glob("checkpoint-*"))

    def test_it_learns(self, done):
        _, results = done
        assert np.mean([run["eval_aem"] for run in results]) > 0.6  # by chance 1/3

    def test_figures_are_those_of_the_saved_network(self, done):
        output, _ = done
        folder = output / "line" / "xe" / "seed_4"
        network, test = Line(3), rows(18, 2)
        from safetensors.torch import load_file

        network.load_state_dict(load_file(folder / "model.safetensors"))
        with torch.no_grad():
            logits = network(torch.tensor(test["features"][:]))["logits"]
        shares, labels = logits.double().softmax(1).numpy(), np.array(test["label"])
        off = np.abs(shares.argmax(1) - labels)
        squared = ((shares.cumsum(1) - np.eye(3)[labels].cumsum(1)) ** 2).sum(1)
        results = results_of(folder)
        assert results["eval_aem"] == pytest.approx((off == 0).mean())
        assert results["eval_mae"] == pytest.approx(off.mean())
        assert results["eval_squared_emd"] == pytest.approx(squared.mean(), rel=1e-5)

    def test_a_emd_takes_the_d_of_xemd2(self, done):
        output, _ = done
        one, other = (read_ground_distance(output / "line" / loss / "seed_3") for loss in ("xemd2", "a-emd"))
        assert torch.allclose(one, other, atol=1e-6)

    def test_the_table(self, done):
        output, results = done
        table = (output / "comparison.md").read_text()
        assert "GENERATED data, made by this program: these figures say nothing about real data." in table
        assert "made of numbers: trained on 48 rows, validated on 12, tested on 18, of 3 classes" in table
        maes = [run["eval_mae"] for run in results if run["loss"] == "emd"]
        (row,) = re.findall(r"(?m)^\| EMD \|.*$", table)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[3] == f"{np.mean(maes):.3f} ± {np.std(maes, ddof=1):.3f}"
        assert cells[-2:] == ["0.3", "2"]
        order = re.findall(r"(?m)^\| ([A-Z][A-Z0-9-]+) \|", table)
        assert order == ["XE", "REG", "EMD", "XEMD1", "XEMD2", "A-EMD"]

    def test_the_same_command_trains_nothing(self, done, capsys):
        output, results = done
        times = {path: path.stat().st_mtime_ns for path in output.rglob("model.safetensors")}
        again = run_comparison(arguments(output, loss="xe,emd", seeds=2), comparison())
        assert again == [run for loss in ("xe", "emd") for run in results if run["loss"] == loss]
        assert {path: path.stat().st_mtime_ns for path in output.rglob("model.safetensors")} == times
        assert "emd, seed 4: done." in capsys.readouterr().out

    def test_other_settings_are_refused(self, done):
        output, _ = done
        folder = output / "line" / "xe" / "seed_3"
        advice = "Give another --output_dir, or --redo to train it again."
        assert refused(arguments(output, loss="xe", weight_decay=0.5), comparison()) == (
            f"{folder} holds a run with other settings: weight_decay 0.0, now 0.5. {advice}"
        )
        said = refused(arguments(output, loss="xe"), comparison(train=rows(48, 7)))
        assert re.fullmatch(
            re.escape(f"{folder} holds a run with other settings: digest of the data ")
            + r"[0-9a-f]{16}, now [0-9a-f]{16}\. "
            + re.escape(advice),
            said,
        )
        # an option of another loss changes nothing
        assert run_comparison(arguments(output, loss="xe", jump_start_epochs=1, rank="inclusive"), comparison())


class TestChoice:
    def test_the_rate_is_chosen_on_validation_data(self, tmp_path, monkeypatch):
        """Test labels that are all wrong change nothing in the choice."""
        rates = (1.0, 1e-4)
        monkeypatch.setattr("squared_emd.experiments.comparison_runs.RATES", rates)
        args = arguments(tmp_path / "a", loss="emd", learning_rate="select", num_train_epochs=2)
        (result,) = run_comparison(args, comparison())
        trials = {rate: results_of(tmp_path / "a/line/emd/select" / f"rate_1e{math.log10(rate):g}") for rate in rates}
        values = {rate: trial["value"] for rate, trial in trials.items()}
        assert result["learning_rate"] == min(values, key=values.get)
        assert len(set(values.values())) > 1
        wrong = rows(18, 2)
        wrong = wrong.remove_columns("label").add_column("label", [(k + 1) % 3 for k in wrong["label"]])
        args.output_dir = str(tmp_path / "b")
        (other,) = run_comparison(args, comparison(test=wrong))
        assert other["learning_rate"] == result["learning_rate"]
        assert other["validation_mae"] == result["validation_mae"]
        assert other["eval_mae"] > result["eval_mae"]

    def test_redo_trains_again(self, tmp_path):
        run_comparison(arguments(tmp_path, loss="xe"), comparison())
        (again,) = run_comparison(arguments(tmp_path, loss="xe", redo=True, weight_decay=0.5), comparison())
        settings = json.loads((tmp_path / "line/xe/seed_3/settings.json").read_text())
        assert settings["weight_decay"] == 0.5
        assert again["eval_mae"] == results_of(tmp_path / "line/xe/seed_3")["eval_mae"]

    def test_it_goes_on_from_a_checkpoint(self, tmp_path):
        """Interrupted after two of four epochs, it ends as it would have."""
        whole = run_comparison(arguments(tmp_path / "whole", loss="xemd2"), comparison())[0]
        args = arguments(tmp_path / "parts", loss="xemd2", save_strategy="epoch", save_total_limit=None)
        compared = comparison()

        class Interrupted(Line):
            steps = 0

            def forward(self, features):
                Interrupted.steps += self.training
                if Interrupted.steps == 8:  # three steps an epoch
                    raise KeyboardInterrupt
                return super().forward(features)

        with pytest.raises(KeyboardInterrupt):
            run_comparison(args, dataclasses.replace(compared, build=Interrupted))
        (parts,) = run_comparison(args, compared)
        assert parts["eval_squared_emd"] == pytest.approx(whole["eval_squared_emd"], abs=1e-6)
        assert parts["sdd"] == pytest.approx(whole["sdd"], abs=1e-6)

    def test_a_geometry_in_place_of_xemd2(self, tmp_path):
        run_comparison(arguments(tmp_path, loss="a-emd", geometry="line"), comparison())
        expected = torch.tensor([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]], dtype=torch.float64)
        assert torch.allclose(read_ground_distance(tmp_path / "line/a-emd/seed_3"), expected)


class TestRefused:
    def test_a_emd_without_d(self, tmp_path):
        assert refused(arguments(tmp_path, loss="a-emd"), comparison()) == (
            "a-emd needs a D: that of an xemd2 run of the same seed (--loss xemd2,a-emd or --loss all; there is no "
            f"{tmp_path / 'line/xemd2/seed_3'}), --ground_distance FILE or --geometry line."
        )

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"seeds": 0}, "seeds must be at least 1, got 0."),
            ({"learning_rate": "fast"}, "learning_rate must be a number greater than 0 or select, got 'fast'."),
            (
                {"loss": "xe,mae"},
                "loss must be xe, reg, emd, xemd1, xemd2, a-emd, several of them with commas, or all, got 'mae'.",
            ),
            (
                {"push_to_hub": True},
                "a comparison pushes none of its runs. Push the folder of the one you chose: "
                "python -m squared_emd push FOLDER REPOSITORY",
            ),
        ],
    )
    def test_arguments(self, fields, message, tmp_path):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            arguments(tmp_path, **fields)

    def test_no_run(self, tmp_path):
        with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))} holds no run that is done\\.$"):
            write_comparison(tmp_path)


def test_the_digest_is_of_what_is_in_the_rows():
    one, again, other = rows(6, 0), rows(12, 0).select(range(12)), rows(6, 1)
    assert digest_of_table(one) == digest_of_table(rows(6, 0))
    assert len({digest_of_table(table) for table in (one, again, other)}) == 3
    shuffled = one.select([1, 0, 2, 3, 4, 5])
    assert digest_of_table(shuffled) != digest_of_table(one)
    assert digest_of_table(shuffled.select([1, 0, 2, 3, 4, 5])) == digest_of_table(one)
