"""Model cards: what stands on them was measured on the weights beside them, or is "not run"."""

import hashlib
import json
import math
import re

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from tests.reports.pictures import assert_good_png
from transformers import AutoConfig, TimmWrapperConfig, ViTConfig, ViTForImageClassification, ViTImageProcessor

from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.hub.card import write_card
from squared_emd.hub.card_facts import DATA, NETWORKS, facts_of, licence_of
from squared_emd.hub.card_fill import CardFill, markdown
from squared_emd.hub.card_results import checked_confusion_matrix, checked_results, without_paths
from squared_emd.hub.card_text import card_text
from squared_emd.reports import paper

NAMES = ["young", "grown", "old"]
COUNTS = [[2, 1, 0], [0, 1, 0], [1, 0, 1]]  # 4 of 6 right, 5 within one class; off by 1 and by 2: 3 / 6
DISTANCES = [[0, 0.25, 0.6875], [0.25, 0, 0.3125], [0.6875, 0.3125, 0]]
EMD = {
    "loss": "xemd2", "epoch": 7, "version": "0.1.0", "omega": 2.0, "mu": -0.25, "rank": "strict", "sdd": 0.0123,
    "regularizer_weight": 4.56, "mirrored": True,
}  # fmt: skip
RESULTS = {
    "table": "adience", "data": "drawn faces", "stand_in": True, "variant": "", "model": "small", "loss": "xemd2",
    "fold": 2, "folds": 5, "seed": 11, "tested_on": "test fold", "num_train": 19, "num_test": 6,
    "learning_rate": 0.00316, "entropic_strength": None, "eval_aem": 4 / 6, "eval_aeo": 5 / 6, "eval_mae": 0.5,
    "eval_squared_emd": 0.4321, "eval_loss": -0.9, "eval_runtime": 9.87, "epochs": 7.0, "sdd": 0.0123,
    "sdd_relative": 0.789, "regularizer_weight": 4.56, "seconds_per_step": 0.0543, "device": "cpu",
    "class_names": NAMES, "job": "a job", "confusion_matrix": COUNTS, "batch_size": 17,
    "command": "accelerate launch recipes/adience.py --loss xemd2 --fold 2 --seed 11",
    "optimizer": "sgd (momentum=0.98), linear schedule", "versions": {"squared_emd": "0.1.0", "torch": "2.15.0"},
}  # fmt: skip
WEIGHTS = b"not really weights"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
AGAIN = "run the recipe again"
FOUND = "all_results.json"


def model_folder(folder, *, names=NAMES, emd=EMD, distances=DISTANCES, **fields):
    """The folder of a saved model, as far as a card looks at it."""
    folder.mkdir(exist_ok=True)
    fields = {"id2label": dict(enumerate(names)), "emd": emd} | fields
    if distances is not None:
        fields["ground_distance"] = distances
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"} | fields))
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def run_folder(folder, *, changes=(), **fields):
    model_folder(folder, **fields)
    results = RESULTS | {"weights": {"model.safetensors": DIGEST}} | dict(changes)
    (folder / FOUND).write_text(json.dumps(results))
    return folder


def card_of(folder, **arguments):
    write_card(folder, **arguments)
    return (folder / "README.md").read_text()


def section(card, heading):
    return card.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def cells(card, name):
    """Of the row of a metric: value and interval."""
    row = next(line for line in section(card, "Results").splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.split("|")[2:4]]


def config(**fields):
    return ViTConfig(**{"id2label": dict(enumerate(NAMES)), "emd": EMD} | fields)


class TestMeasuredResults:
    def test_table(self, tmp_path):
        card = card_of(run_folder(tmp_path))
        assert cells(card, "AEM")[0] == "66.7%"
        assert cells(card, "AEO")[0] == "83.3%"
        assert cells(card, "MAE") == ["0.500", ""]
        assert cells(card, "Squared EMD") == ["0.432", ""]
        assert "not run" not in card

    @pytest.mark.parametrize(("name", "right"), [("AEM", 4), ("AEO", 5)])
    def test_interval_is_wilsons(self, tmp_path, name, right):
        share, z = right / 6, 1.959963984540054  # 97.5 % of the normal distribution
        middle = (share + z**2 / 12) / (1 + z**2 / 6)
        half = z / (1 + z**2 / 6) * math.sqrt(share * (1 - share) / 6 + z**2 / 144)
        expected = f"{100 * (middle - half):.1f} to {100 * (middle + half):.1f}%"
        assert cells(card_of(run_folder(tmp_path)), name)[1] == expected

    def test_no_interval_of_what_is_no_share_of_the_rows(self, tmp_path):
        card = card_of(run_folder(tmp_path, changes={"confusion_matrix": None, "eval_aem": 0.65}))
        assert cells(card, "AEM") == ["65.0%", ""]

    def test_metadata_the_hub_reads(self, tmp_path):
        run_folder(tmp_path)
        write_card(tmp_path, repo_id="someone/ages")
        data = ModelCard.load(tmp_path / "README.md").data
        assert data.library_name == "transformers"
        assert data.pipeline_tag == "image-classification"
        assert {"ordinal-classification", "squared-emd"} <= set(data.tags)
        assert data.license == "apache-2.0"
        assert data.base_model is None
        assert data.datasets is None
        assert data.metrics == ["accuracy", "mae"]
        assert data.model_name == "ages"
        assert {(result.metric_type, result.metric_name): result.metric_value for result in data.eval_results} == {
            ("accuracy", "AEM (exact match)"): 0.666667,
            ("accuracy_within_one", "AEO (within one class)"): 0.833333,
            ("mae", "MAE in classes"): 0.5,
            ("squared_emd", "Squared EMD"): 0.4321,
        }
        for result in data.eval_results:
            assert result.task_type == "image-classification"
            assert (result.dataset_type, result.dataset_name) == ("drawn_faces", "Drawn faces")
            assert result.dataset_split == "test fold 2 (of folds 0 to 4)"

    def test_how_it_was_tested_and_trained(self, tmp_path):
        card = card_of(run_folder(tmp_path))
        tested = section(card, "Results")
        assert "Tested on **6 rows**: test fold 2 (of folds 0 to 4)." in tested
        assert "Of each picture the centre crop, its probabilities averaged with those of its mirror image." in tested
        assert "This is one fold of 5 and one seed: others give other figures." in tested
        assert "Least often right: old, 1 of 2 rows. The class with the fewest rows: grown, 1." in tested
        trained = section(card, "How it was trained")
        assert f"```sh\n{RESULTS['command']}\n```" in trained
        for line in (
            "| rows trained on | 19 |", "| epochs | 7 |", "| batch of a step | 17 |", "| learning rate | 0.00316 |",
            "| seed | 11 |", "| device | cpu |", "| seconds a step there | 0.0543 |",
            "| optimizer | sgd (momentum=0.98), linear schedule |",
            r"| versions | squared\_emd 0.1.0, torch 2.15.0 |",
        ):  # fmt: skip
            assert line in trained
        assert "ω = 2, μ = -0.25, λ = 4.56" in card

    def test_every_number_of_the_results_comes_from_the_run(self, tmp_path):
        """Whatever has a decimal point or a percent sign, in the card and in its metadata, but for names and links."""
        card = card_of(run_folder(tmp_path))
        card = re.sub(r"https?:\S+|arXiv\S*|licen[cs]e: \S+|apache-2.0|Apache-2.0", "", card)
        rows = {"66.7%", "83.3%", "100%", "95%", "0.500", "0.432", "50.0%"}  # the last: 3 of 6 are young
        metadata = {"0.666667", "0.833333", "0.5", "0.4321"}
        training = {"0.00316", "0.0543", "0.98", "0.1.0", "2.15.0", "4.56", "0.25", "0.0123", "0.789"}
        intervals = {"30.0", "90.3%", "43.6", "97.0%"}  # of 4 and 5 of 6, by the closed form above
        assert set(re.findall(r"\d+(?:\.\d+)+%?|\d+%", card)) == rows | metadata | training | intervals

    @pytest.mark.parametrize("name", ["eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"])
    @pytest.mark.parametrize("how", ["null", "absent"])
    def test_what_was_not_measured_is_not_run(self, tmp_path, name, how):
        run_folder(tmp_path)
        results = json.loads((tmp_path / FOUND).read_text()) | {"confusion_matrix": None}
        results[name] = None
        if how == "absent":
            del results[name], results["confusion_matrix"]
        (tmp_path / FOUND).write_text(json.dumps(results))
        card = card_of(tmp_path)
        title = {"eval_aem": "AEM", "eval_aeo": "AEO", "eval_mae": "MAE", "eval_squared_emd": "Squared EMD"}[name]
        assert cells(card, title) == ["not run", ""]
        assert "Confusion matrix: not run." in card
        assert "confusion_matrix.png" not in card
        assert len(ModelCard(card).data.eval_results) == 3

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("eval_aem", 1.7, "'eval_aem' must be a number, 0 to 1, or null; got 1.7"),
            ("eval_aem", 66.7, "'eval_aem' must be a number, 0 to 1, or null; got 66.7"),
            ("eval_aem", -0.1, "'eval_aem' must be a number, 0 to 1, or null; got -0.1"),
            ("eval_aem", math.nan, "'eval_aem' must be a number, 0 to 1, or null; got nan"),
            ("eval_aem", True, "'eval_aem' must be a number, 0 to 1, or null; got True"),
            ("eval_aem", "0.9", "'eval_aem' must be a number, 0 to 1, or null; got '0.9'"),
            ("eval_aeo", [0.9], "'eval_aeo' must be a number, 0 to 1, or null; got [0.9]"),
            ("eval_aeo", 0.5, f"'eval_aeo' must be at least 'eval_aem', {4 / 6}; got 0.5"),
            ("eval_mae", 2.5, "'eval_mae' must be a number, 0 to 2, or null; got 2.5"),
            ("eval_squared_emd", math.inf, "'eval_squared_emd' must be a number, 0 to 2, or null; got inf"),
            ("eval_spearman", -1.5, "'eval_spearman' must be a number, -1 to 1, or null; got -1.5"),
            ("eval_score_mae", -1, "'eval_score_mae' must be a finite number, 0 or more, or null; got -1"),
            ("eval_top_1_error", 3, "'eval_top_1_error' must be a number, 0 to 1, or null; got 3"),
            ("learning_rate", "fast", "'learning_rate' must be a finite number, 0 or more, or null; got 'fast'"),
            ("seconds_per_step", math.nan, "'seconds_per_step' must be a finite number, 0 or more, or null; got nan"),
            ("num_test", 6.0, "'num_test' must be a whole number, 1 or more, or null; got 6.0"),
            ("num_test", True, "'num_test' must be a whole number, 1 or more, or null; got True"),
            ("num_test", 0, "'num_test' must be a whole number, 1 or more, or null; got 0"),
            ("fold", 5, "'fold' must be less than 'folds', 5; got 5"),
            ("stand_in", 1, "'stand_in' must be true or false, or null; got 1"),
            ("device", 3, "'device' must be text, or null; got 3"),
            ("versions", {"torch": 2.15}, "'versions' must be names of packages, each with a version, or null; "
             "got {'torch': 2.15}"),
            ("table", "faces", "'table' must be one of adience, images_of_groups, aadb, imagenet, own_data; "
             "got 'faces'"),
            ("loss", "emd", "'loss' must be that of the config, 'xemd2'; got 'emd'"),
            ("class_names", ["old", "grown", "young"], f"'class_names' must be those of the config, {NAMES}; "
             "got ['old', 'grown', 'young']"),
            ("class_names", "abc", "'class_names' must be a list of names, or null; got 'abc'"),
            ("confusion_matrix", [[6]], "'confusion_matrix' must be 3 rows of 3 counts, not all 0; got [[6]]"),
            ("confusion_matrix", [[2, 1, 0], [0, 1, 0], [1, 0, 1.5]], "'confusion_matrix' must be 3 rows of 3 counts, "
             "not all 0; got [[2, 1, 0], [0, 1, 0], [1, 0, 1.5]]"),
            ("confusion_matrix", [[2, 1, 0], [0, 1, 0], [1, 0, 2]], "'confusion_matrix' must be one whose sum is "
             "'num_test', 6; got 7.0"),
            ("confusion_matrix", [[3, 0, 0], [0, 1, 0], [1, 0, 1]], "'confusion_matrix' must be one whose share on the "
             f"diagonal is 'eval_aem', 0.6666666667; got {5 / 6}"),
            ("confusion_matrix", [[2, 0, 1], [0, 1, 0], [1, 0, 1]], "'confusion_matrix' must be one whose share on and "
             f"beside the diagonal is 'eval_aeo', 0.8333333333; got {4 / 6}"),
        ],
    )  # fmt: skip
    def test_nonsense_is_refused(self, tmp_path, name, value, message):
        run_folder(tmp_path, changes={name: value})
        with pytest.raises(ValueError, match=f"^{re.escape(f'{FOUND}: {message}; {AGAIN}')}$"):
            write_card(tmp_path)
        assert not (tmp_path / "README.md").exists()

    @pytest.mark.parametrize(
        ("emd", "message"),
        [
            ({"mu": math.nan}, "'emd.mu' must be a finite number, or null; got nan"),
            ({"regularizer_weight": "8"}, "'emd.regularizer_weight' must be a finite number, or null; got '8'"),
            ({"scores": [1, 2]}, "'emd.scores' must be a finite number for each class, or null; got [1, 2]"),
        ],
    )
    def test_nonsense_of_the_config_is_refused(self, emd, message):
        with pytest.raises(ValueError, match=f"^{re.escape(f'config.json: {message}; {AGAIN}')}$"):
            checked_results(RESULTS, config(emd=EMD | emd))

    def test_numbers_of_numpy_are_numbers(self):
        measured = {"table": "own_data", "eval_aem": np.float32(0.5), "num_test": np.int64(4)}
        assert checked_results(measured, config())["eval_aem"] == 0.5

    def test_a_file_that_is_none_is_refused(self, tmp_path):
        run_folder(tmp_path)
        (tmp_path / FOUND).write_text("[1]")
        with pytest.raises(ValueError, match=f"^{FOUND} must hold a JSON object; got \\[1\\]; {AGAIN}$"):
            write_card(tmp_path)
        (tmp_path / FOUND).write_text("{")
        with pytest.raises(ValueError, match=f"^{FOUND} must hold JSON; reading it gave: Expecting .*; {AGAIN}$"):
            write_card(tmp_path)

    def test_the_papers_figures_are_on_no_card(self, tmp_path):
        """Where nothing was measured; what was may be the same figure by chance."""
        tables = {"adience": "Adience files", "images_of_groups": "Images of Groups", "aadb": "AADB", "imagenet": "x"}
        cards = [
            card_of(run_folder(tmp_path / table, changes={"table": table, "data": data, "weights": None}))
            for table, data in tables.items()
        ]
        figures = {
            f"{value:g}"
            for table in (paper.PAPER_ADIENCE, paper.PAPER_IMAGES_OF_GROUPS, paper.PAPER_AADB, paper.PAPER_IMAGENET)
            for losses in table.values()
            for row in losses.values()
            for value in row
        }
        assert len(figures) > 50
        for card in cards:
            assert not figures & set(re.findall(r"\d+\.\d+", re.sub(r"https?:\S+", "", card)))


class TestWhoseWeights:
    @pytest.mark.parametrize(
        ("weights", "name", "there", "got"),
        [
            ({"model.safetensors": "0" * 64}, "model.safetensors", DIGEST, "0" * 64),
            ({"model.safetensors": DIGEST, "model-2.safetensors": DIGEST}, "model-2.safetensors", "not there", DIGEST),
            ({"other_model.safetensors": DIGEST}, "model.safetensors", DIGEST, "none"),
        ],
    )
    def test_results_of_other_weights_are_refused(self, tmp_path, weights, name, there, got):
        run_folder(tmp_path, changes={"weights": weights})
        message = (
            f"{FOUND}: 'weights' must have the sha256 of the weights in the folder, {name}: {there}; got {got}; they "
            f"were measured with other weights: test these, or {AGAIN}"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            write_card(tmp_path)

    @pytest.mark.parametrize("weights", [{}, [], "model", {"model.safetensors": 1}])
    def test_digests_that_are_none_are_refused(self, tmp_path, weights):
        run_folder(tmp_path, changes={"weights": weights})
        message = f"{FOUND}: 'weights' must be file names, each with its sha256; got {weights!r}; {AGAIN}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            write_card(tmp_path)

    def test_weights_that_were_trained_on_are_noticed(self, tmp_path):
        run_folder(tmp_path)
        write_card(tmp_path)
        (tmp_path / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(ValueError, match="they were measured with other weights"):
            write_card(tmp_path)

    @pytest.mark.parametrize("how", ["null", "absent"])
    def test_results_that_name_no_weights_are_not_believed(self, tmp_path, how):
        run_folder(tmp_path, changes={"weights": None, "data": "Adience files", "stand_in": False})
        if how == "absent":
            results = json.loads((tmp_path / FOUND).read_text())
            del results["weights"]
            (tmp_path / FOUND).write_text(json.dumps(results))
        card = card_of(tmp_path)
        assert f"{FOUND} does not say which weights it was measured with." in card
        assert [cells(card, name)[0] for name in ("AEM", "AEO", "MAE", "Squared EMD")] == ["not run"] * 4
        assert ModelCard(card).data.eval_results is None
        assert "66.7" not in card and "0.0543" not in card and RESULTS["command"] not in card
        assert not (tmp_path / "confusion_matrix.png").exists()
        assert "An age group is no proof of age." in card  # what it was trained on is still said
        assert ModelCard(card).data.license_name == "adience-terms"

    def test_without_results(self, tmp_path):
        card = card_of(model_folder(tmp_path))
        assert f"There is no {FOUND} beside the weights." in card
        assert cells(card, "AEM") == ["not run", ""]
        assert (tmp_path / "ground_distance.png").exists()  # it was saved with the weights

    def test_results_handed_over_are_believed(self, tmp_path):
        model_folder(tmp_path)
        assert cells(card_of(tmp_path, results=RESULTS), "AEM")[0] == "66.7%"

    def test_results_handed_over_with_other_digests_are_refused(self, tmp_path):
        model_folder(tmp_path)
        with pytest.raises(ValueError, match=r"^results: 'weights' must have the sha256 of the weights in the folder"):
            write_card(tmp_path, results=RESULTS | {"weights": {"model.safetensors": "0" * 64}})

    def test_an_evaluation_of_nothing(self, tmp_path):
        card = card_of(model_folder(tmp_path), results={"loss": "xemd2", "epochs": 3.0})
        assert "Nothing was measured on these weights. Evaluate them before the push;" in card
        assert "| epochs | 3 |" in card


class TestOwnScript:
    """`trainer.push_to_hub()` of a user: what the Trainer knows, no table, no command."""

    MEASURED = {"eval_aem": 0.5, "eval_aeo": 0.75, "eval_mae": 0.8, "eval_squared_emd": 0.4}  # noqa: RUF012
    OWN = {"loss": "xemd2", "eval_loss": 0.1, "epochs": 2.0, "learning_rate": 5e-5, **MEASURED}  # noqa: RUF012

    def test_it_lists_what_is_known(self, tmp_path):
        card = card_of(model_folder(tmp_path), results=self.OWN)
        assert card.split("\n# ")[1].startswith("Classes of pictures: XEMD2\n")
        assert cells(card, "AEM") == ["50.0%", ""]
        assert cells(card, "AEO") == ["75.0%", ""]
        assert "- **Network:** vit\n" in card
        assert "Confusion matrix: not recorded." in card
        assert "Tested on rows whose number was not recorded." in card
        assert "| learning rate | 5e-05 |" in card
        assert "| optimizer | not recorded |" in card
        assert "command" not in section(card, "How it was trained")
        assert "**Not stated.** Whoever publishes this model must say here" in card
        data = ModelCard(card).data
        assert data.license is None
        assert (data.eval_results[0].dataset_type, data.eval_results[0].metric_value) == ("own_data", 0.5)

    def test_metrics_of_its_own_stand_under_their_names(self, tmp_path):
        """Its mae may be in years, and its f1 was not defined."""
        own = {"loss": "xemd2", "eval_loss": 0.1, "eval_accuracy": 0.2519, "eval_mae": 1.5, "eval_f1": math.nan}
        card = card_of(model_folder(tmp_path), results=own)
        assert cells(card, "accuracy") == ["0.2519", ""]
        assert cells(card, "mae") == ["1.5", ""]
        table = section(card, "Results")
        assert "MAE" not in table and "AEM" not in table and "f1" not in table and "not run" not in table
        results = {result.metric_name: result.metric_value for result in ModelCard(card).data.eval_results}
        assert results == {"accuracy": 0.2519, "mae": 1.5}

    def test_more_metadata(self, tmp_path):
        model_folder(tmp_path)
        more = {"language": "en", "tags": "rail", "datasets": ["someone/rails"], "base_model": "google/vit"}
        data = ModelCard(card_of(tmp_path, results=self.OWN, metadata=more)).data
        assert (data.language, data.datasets, data.base_model) == ("en", ["someone/rails"], "google/vit")
        assert data.tags[0] == "ordinal-classification" and data.tags[-1] == "rail"

    def test_metadata_brings_no_results(self, tmp_path):
        model_folder(tmp_path)
        message = "metadata must hold no results, those are measured; got eval_results, metrics; leave it out"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            write_card(tmp_path, metadata={"metrics": ["accuracy"], "eval_results": []})


class TestOtherRuns:
    def test_regression(self, tmp_path):
        run_folder(tmp_path, names=["output_0"], emd={"loss": "reg"}, distances=None, changes={"loss": "reg"})
        card = card_of(tmp_path)
        assert "It gives one number to a picture" in card
        assert "ordinal-image-classification" not in card  # which needs a distribution
        assert "None: the config holds no ground distance." in card
        assert (tmp_path / "confusion_matrix.png").exists()
        assert "A regression has no distribution" in card

    def test_scores(self, tmp_path):
        emd = EMD | {"scores": [0.1, 0.45, 0.9]}
        changes = {"table": "aadb", "data": "AADB", "stand_in": False, "folds": 1, "fold": 0, "eval_spearman": 0.54321}
        card = card_of(run_folder(tmp_path, emd=emd, changes=changes))
        assert "**What the classes count for:** 0.1, 0.45, 0.9" in card
        assert cells(card, "Spearman's rho") == ["0.5432", ""]
        assert cells(card, "MAE of the score") == ["not run", ""]
        assert "It is no measure of anybody's beauty, attractiveness or worth" in card
        spearman = next(r for r in ModelCard(card).data.eval_results if r.metric_type == "spearmanr")
        assert spearman.metric_value == 0.54321

    def test_classes_without_an_order(self, tmp_path):
        changes = {
            "table": "imagenet", "data": "ImageNet", "stand_in": False, "folds": 1, "fold": 0,
            "eval_aem": None, "eval_aeo": None, "eval_mae": None, "eval_squared_emd": None, "eval_top_1_error": 2 / 6,
        }  # fmt: skip
        card = card_of(run_folder(tmp_path, changes=changes))
        assert cells(card, "Top-1 error")[0] == "0.333"
        assert cells(card, "Top-5 error")[0] == "not run"
        assert "AEO" not in card and "in order" not in card.split("## How to use it")[0]
        data = ModelCard(card).data
        assert "ordinal-classification" not in data.tags
        assert data.datasets == ["ILSVRC/imagenet-1k"]

    def test_validation_data_are_named(self, tmp_path):
        card = card_of(run_folder(tmp_path, changes={"tested_on": "validation data"}))
        assert "validation data, fold 2 (of folds 0 to 4)." in card
        assert "the **test data were not looked at**" in card

    def test_a_part_of_a_data_set_is_named_so(self, tmp_path):
        card = card_of(run_folder(tmp_path, changes={"data": "Adience files"}))
        assert "These are not the data set as it is published" in card
        assert ModelCard(card).data.eval_results[0].dataset_name == "Adience (a part of it, or other labels)"

    def test_other_losses_and_their_distance(self, tmp_path):
        given = card_of(run_folder(tmp_path / "given", emd={"loss": "a-emd"}, changes={"loss": "a-emd"}))
        assert "given to the training, not learned by it" in given
        kept = card_of(run_folder(tmp_path / "kept", emd={"loss": "xe"}, changes={"loss": "xe"}))
        assert "Kept from an earlier training" in kept

    def test_a_network_that_needs_our_package(self, tmp_path):
        TimmWrapperConfig(
            architecture="alxs_needs_import_squared_emd", id2label=dict(enumerate(NAMES)), emd=EMD
        ).save_pretrained(tmp_path)
        plain = section(card_of(tmp_path, results=RESULTS), "How to use it").split("```")[1]
        assert plain.startswith("python\nimport squared_emd\nfrom transformers import pipeline\n")

    def test_many_classes(self, tmp_path):
        model_folder(tmp_path, names=[f"class {index}" for index in range(300)], emd={}, distances=None)
        saved = AutoConfig.from_pretrained(tmp_path)
        positions = torch.arange(300) / 300
        write_ground_distance((positions[:, None] - positions).abs(), tmp_path, saved, dict(EMD))
        saved.save_pretrained(tmp_path)
        written = write_card(tmp_path, results={"loss": "xemd2", "eval_top_1_error": 0.25, "num_test": 400})
        assert [path.name for path in written] == ["README.md", "ground_distance.png"]
        card = written[0].read_text()
        assert "class 39 and 260 more, see config.json" in card
        assert "Confusion matrix: left out, too many classes to draw." in card


class TestTextFromElsewhere:
    HOSTILE = (
        "a|b", "`x`", "<script>alert(1)</script>", "**bold**", "[link](http://x.yz)", "two\nlines", "---",
        "{{ 7 * 7 }}", "# head", r"back\slash", "$x$", "&lt;", "![i](j.png)", "key: value", "'\"", "1. one",
    )  # fmt: skip

    def test_class_names_break_nothing(self, tmp_path):
        names = [*self.HOSTILE, *NAMES]
        folder = model_folder(tmp_path, names=names, distances=None)
        plain = model_folder(tmp_path / "plain", names=[f"c{k}" for k in range(len(names))], distances=None)
        counts = np.eye(len(names), dtype=int)
        counts[0, 1] = 1  # the first name, with a bar, is the worst
        results = RESULTS | {"num_test": 20, "eval_aem": 19 / 20, "eval_aeo": 1.0, "eval_mae": 1 / 20}
        results |= {"confusion_matrix": counts.tolist()}
        card = card_of(folder, results=results | {"class_names": names}, repo_id="someone/x")
        safe = card_of(plain, results=results | {"class_names": None}, repo_id="someone/x")
        assert ModelCard(card).data.to_dict() == ModelCard(safe).data.to_dict()
        shapes = [[token.type for token in MarkdownIt().enable("table").parse(ModelCard(c).text)] for c in (card, safe)]
        assert shapes[0] == shapes[1]  # headings, tables, lists, blocks: the same
        html = MarkdownIt().enable("table").render(ModelCard(card).text)
        assert "<script>" not in html and 'x.yz"' not in html and "j.png" not in html.replace("(j.png)", "")
        assert "<strong>bold</strong>" not in html and "<code>x</code>" not in html
        listed = html.split("in order:</strong>")[1].split("</li>")[0]
        for name in ("a|b", "`x`", "**bold**", "[link](http://x.yz)", "two lines", "{{ 7 * 7 }}", r"back\slash", "$x$"):
            assert name in listed
        assert "&amp;lt;" in listed and "&lt;script&gt;" in listed

    @pytest.mark.parametrize("name", ["model", "variant", "device", "optimizer", "command", "tested_on"])
    def test_other_texts_break_nothing(self, tmp_path, name):
        text = "x` ``` |\n# head\n\n<b>| a | b |"
        card = card_of(run_folder(tmp_path, changes={name: text}))
        tokens = MarkdownIt().enable("table").parse(ModelCard(card).text)
        headings = [token for token in tokens if token.type == "heading_open"]
        assert len(headings) == 9  # the title, and eight sections
        assert not [token for token in tokens if token.type == "html_block" and "squared_emd" not in token.content]
        assert len([token for token in tokens if token.type == "table_open"]) == 2

    def test_markdown_is_one_line(self):
        assert markdown("a\n\n b\tc") == "a b c"

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("--data_dir /home/me/faces -x", "--data_dir DIR -x"),
            ("--data_dir=/home/me/faces", "--data_dir=DIR"),
            ("--data_dir '/home/me/my faces' -x", "--data_dir DIR -x"),
            ("--out ~/runs ../x ./y", "--out DIR DIR DIR"),
            (r"C:\Users\me\faces D:/x \\server\share", "DIR DIR DIR"),
            ("file:///home/me/x", "DIR"),
            (r"/home/me/my\ faces", "DIR"),
            (
                "timm/resnet18 https://huggingface.co/x/y 1/2 a / b",
                "timm/resnet18 https://huggingface.co/x/y 1/2 a / b",
            ),
        ],
    )
    def test_paths_are_replaced(self, text, expected):
        assert without_paths(text) == expected

    def test_no_local_path_gets_onto_a_card(self, tmp_path):
        secret = tmp_path / "secret"
        changes = {name: f"{secret}/{name} x" for name in ("command", "model", "device", "optimizer", "variant")}
        changes |= {"versions": {"torch": str(secret)}}
        folder = run_folder(secret, changes=changes, _name_or_path=str(secret), transformers_version=str(secret))
        card = card_of(folder)
        assert "secret" not in card
        assert str(tmp_path) not in card


class TestLicenceAndOrigin:
    @pytest.mark.parametrize(
        ("data", "model", "expected"),
        [
            ("drawn faces", "small", "apache-2.0"),
            ("drawn faces", "res_f", "apache-2.0"),
            ("drawn faces", "vgg_f", "bsd-3-clause"),
            ("adience", "res", "other"),
            ("images_of_groups", "res", "other"),
            ("aadb", "small", "other"),
            ("imagenet", "alx", "other"),
            ("own data", "small", None),
        ],
    )
    def test_licence_of_weights(self, data, model, expected):
        licence = licence_of(DATA[data], NETWORKS[model])
        assert licence.id == expected
        assert (licence.name is not None) == (licence.link is not None) == (expected == "other")

    def test_a_stated_licence(self, tmp_path):
        folder = run_folder(tmp_path, changes={"data": "own data", "table": "own_data"})
        assert ModelCard(card_of(folder)).data.license is None
        assert ModelCard(card_of(folder, license="cc-by-4.0")).data.license == "cc-by-4.0"
        with pytest.raises(
            ValueError,
            match=r"^license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got 'my: licence'; give its id$",
        ):
            write_card(folder, license="my: licence")

    @pytest.mark.parametrize(
        ("model", "base"),
        [
            ("res_f", "timm/resnetv2_50.a1h_in1k"),
            ("vgg_f", "timm/vgg16.tv_in1k"),
            ("timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k"),
            ("microsoft/resnet-50", "microsoft/resnet-50"),
            ("timm/resnet18 from scratch", None),
            ("my-model-12ab34", None),  # a folder, as results name it
            ("small", None),
            ("/home/me/model", None),
            ("../runs/model", None),
        ],
    )
    def test_base_model(self, tmp_path, model, base):
        assert ModelCard(card_of(run_folder(tmp_path, changes={"model": model}))).data.base_model == base

    def test_facts(self):
        assert facts_of("images_of_groups", "Images of Groups").kind == "images_of_groups"
        assert facts_of("images_of_groups", "drawn groups").is_drawn
        assert not facts_of("", "").is_stated
        for facts in DATA.values():
            assert facts.who and facts.not_for and facts.licence and facts.picture
            assert bool(facts.link) == (not facts.is_drawn and facts.is_stated)


class TestFiles:
    def test_what_is_written(self, tmp_path):
        written = write_card(run_folder(tmp_path))
        assert written == [tmp_path / name for name in ("README.md", "confusion_matrix.png", "ground_distance.png")]
        images = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", written[0].read_text())
        assert [name for _, name in images] == ["confusion_matrix.png", "ground_distance.png"]
        assert images[0][0].startswith("Confusion matrix of 6 rows: a row for each true class")
        assert images[1][0].startswith("Ground distance between the 3 classes")
        for path in written[1:]:
            assert_good_png(path)

    def test_twice_gives_the_same(self, tmp_path):
        first = [path.read_bytes() for path in write_card(run_folder(tmp_path))]
        assert [path.read_bytes() for path in write_card(tmp_path)] == first

    def test_pictures_of_an_earlier_run_go(self, tmp_path):
        write_card(run_folder(tmp_path))
        run_folder(tmp_path, emd={"loss": "xe"}, distances=None, changes={"loss": "xe", "confusion_matrix": None})
        assert [path.name for path in write_card(tmp_path)] == ["README.md"]
        assert not list(tmp_path.glob("*.png"))

    def test_a_card_written_by_hand_stays(self, tmp_path):
        run_folder(tmp_path)
        card = card_of(tmp_path)
        mine = card.replace(card.splitlines()[-1], "").replace("**Not stated.**", "Rails.")
        (tmp_path / "README.md").write_text(mine)
        assert write_card(tmp_path) == []
        assert (tmp_path / "README.md").read_text() == mine

    def test_what_cannot_be(self, tmp_path):
        message = f"a card needs a saved model, there is no {tmp_path / 'config.json'}; save one first"
        with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
            write_card(tmp_path)
        with pytest.raises(ValueError, match="Repo id must"):
            write_card(run_folder(tmp_path), repo_id='x"); import os; ("')

    def test_the_three_snippets_run(self, tmp_path, monkeypatch):
        """As they stand, with a tiny model where the card says its repository."""
        torch.manual_seed(0)
        sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        folder = tmp_path / "someone" / "tiny"
        distances = {"ground_distance": DISTANCES}
        ViTForImageClassification(config(**sizes, intermediate_size=8, **distances)).save_pretrained(folder)
        ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
        card = card_of(folder, repo_id="someone/tiny", results={})
        processor_input = torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()
        monkeypatch.chdir(tmp_path)
        from PIL import Image

        Image.fromarray(processor_input).save("picture.jpg")
        said = []
        for snippet in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
            scope = {"print": said.append}
            exec(snippet, scope)
        assert {entry["label"] for entry in said[0]} == set(NAMES)
        assert set(said[1]) == {"label", "score", "distribution", "expected_score", "spread"}
        assert scope["distances"].tolist() == DISTANCES

    def test_a_planned_card_has_no_figure(self):
        run = {"table": "adience", "data": "Adience files", "model": "res_f", "loss": "xemd2", "stand_in": False}
        known = checked_results(run, config(emd={"loss": "xemd2"}))
        card = card_text(CardFill(config(emd={"loss": "xemd2"}), known, "nobody ran it.", is_planned=True))
        assert cells(card, "AEM") == ["not run", ""]
        assert ModelCard(card).data.eval_results is None


class TestConfusionMatrix:
    def test_errors_are_compared_without_an_order(self):
        with pytest.raises(ValueError, match=r"share off the diagonal is 'eval_top_1_error', 0\.1; got 0\.25"):
            checked_confusion_matrix([[2, 1], [0, 1]], 2, {"eval_top_1_error": 0.1})
