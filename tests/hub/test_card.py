"""Model cards: what is on them was measured on the weights beside them, or is "not run"."""

import json
import math
import re

import huggingface_hub
import numpy as np
import pytest
import soundfile
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from PIL import Image
from safetensors.torch import save_file
from tests.errors import message_of
from tests.hub.card_folders import (
    DISTANCES,
    EMD,
    FOUND,
    METRIC_NAMES,
    NAMES,
    RESULTS,
    card_of,
    cells,
    model_folder,
    run_folder,
    section,
)
from tests.training.tiny import tiny_vit
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    AutoModelForSequenceClassification,
    TimmWrapperConfig,
    ViTImageProcessor,
)
from transformers.pipelines import audio_classification

from squared_emd import plot
from squared_emd.data.sounds import decode_audio
from squared_emd.experiments.networks import (
    tiny_audio_config,
    tiny_feature_extractor,
    tiny_text_config,
    word_tokenizer,
)
from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.hub import write_card
from squared_emd.hub.results import digests_of_weights


@pytest.fixture(autouse=True)
def drawn(request, monkeypatch):
    """Figures are drawn in one test, `test_card`; to draw them in all would take most of the time."""
    if request.node.name == "test_card":
        return
    for name in ("confusion_matrix", "heat_map"):
        monkeypatch.setattr(plot, name, lambda matrix, class_names, path: path.write_bytes(b"a figure"))


class TestMeasuredResults:
    def test_card(self, tmp_path):
        written = write_card(run_folder(tmp_path), repo_id="someone/ages")
        assert written == [tmp_path / name for name in ("README.md", "confusion_matrix.png", "ground_distance.png")]
        card = written[0].read_text()
        assert [cells(card, name)[0] for name in METRIC_NAMES] == ["66.7%", "83.3%", "0.500", "0.432"]
        assert "not run" not in card
        figures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", card)
        assert [name for _, name in figures] == [path.name for path in written[1:]]
        for part in (
            "Tested on **6 samples**: test fold 2 (of folds 0 to 4).", "This is one fold of 5 and one seed",
            "Least often right: old, 1 of 2 samples. The class with the fewest samples: grown, 1.",
            "is right in 50.0%.", f"```sh\n{RESULTS['command']}\n```", "| training samples | 19 |", "| epochs | 7 |",
            "| batch size of a step | 17 |", "| learning rate | 0.00316 |", "| seed | 11 |", "| device | cpu |",
            "| seconds per step | 0.0543 |", "| optimizer | sgd (momentum=0.98), linear schedule |",
            r"| versions | squared\_emd 0.1.0, torch 2.15.0 |", "ω = 2, μ = -0.25, λ = 4.56",
        ):  # fmt: skip
            assert part in card
        data = ModelCard(card).data
        assert (data.library_name, data.pipeline_tag) == ("transformers", "image-classification")
        assert {"ordinal-classification", "squared-emd"} <= set(data.tags)
        assert (data.license, data.base_model, data.datasets) == ("apache-2.0", None, None)
        assert (data.metrics, data.model_name) == (["accuracy", "mae"], "ages")
        assert {(result.metric_type, result.metric_name): result.metric_value for result in data.eval_results} == {
            ("accuracy", "AEM (exact match)"): 0.666667,
            ("accuracy_within_one", "AEO (within one class)"): 0.833333,
            ("mae", "MAE in classes"): 0.5,
            ("squared_emd", "Squared EMD"): 0.4321,
        }
        assert data.eval_results[0].dataset_split == "test fold 2 (of folds 0 to 4)"
        again = [path.read_bytes() for path in written]
        assert [path.read_bytes() for path in write_card(tmp_path, repo_id="someone/ages")] == again

    def test_every_number_comes_from_the_run(self, tmp_path):
        """Whatever has a decimal point or a percent sign, in the card and in its metadata, except names and links."""
        card = card_of(run_folder(tmp_path))
        card = re.sub(r"https?:\S+|arXiv\S*|license: \S+|apache-2.0|Apache-2.0", "", card)
        rows = {"66.7%", "83.3%", "100%", "95%", "0.500", "0.432", "50.0%"}  # the last: 3 of 6 are young
        metadata = {"0.666667", "0.833333", "0.5", "0.4321"}
        training = {"0.00316", "0.0543", "0.98", "0.1.0", "2.15.0", "4.56", "0.25", "0.0123", "0.789"}
        intervals = set()
        for share in (4 / 6, 5 / 6):  # Wilson's, from its formula
            z, n = 1.959963984540054, 6
            middle, half = share + z**2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
            low, high = (100 * end / (1 + z**2 / n) for end in (middle - half, middle + half))
            intervals |= {f"{low:.1f}", f"{high:.1f}%"}
        assert set(re.findall(r"\d+(?:\.\d+)+%?|\d+%", card)) == rows | metadata | training | intervals

    def test_intervals(self, tmp_path):
        calibration = {"coverage": 0.9, "threshold": 0.75, "num_classes": 3, "num_samples": 40}
        emd = EMD | {"intervals": [{**calibration, "coverage": 0.8, "threshold": 0.5}, calibration]}
        held_out = {"coverage": 0.875, "mean_size": 1.625, "num_samples": 8}
        folder = run_folder(tmp_path, emd=emd, changes={"intervals": [calibration | {"held_out": held_out}]})
        card = section(card_of(folder), "Intervals")
        assert "| 0.8 | not run |  | not run |  | 40 |" in card
        assert "| 0.9 | 87.5% | 52.9 to 97.8% | 1.62 | 8 | 40 |" in card  # by scipy.stats.binomtest(7, 8)
        assert 'classify("image.jpg", coverage=0.9)["interval"]' in card_of(folder)
        (tmp_path / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(ValueError, match="they were measured with other weights"):
            write_card(folder)
        assert "## Intervals" not in card_of(model_folder(tmp_path / "none"))

    @pytest.mark.parametrize(("name", "key"), [*zip(METRIC_NAMES, ("aem", "aeo", "mae", "squared_emd"), strict=True)])
    def test_what_was_not_measured_is_not_run(self, tmp_path, name, key):
        card = card_of(run_folder(tmp_path, changes={f"eval_{key}": None, "confusion_matrix": None}))
        assert cells(card, name) == ["not run", ""]
        assert "Confusion matrix: not run." in card and "confusion_matrix.png" not in card
        assert len(ModelCard(card).data.eval_results) == 3


class TestWhoseWeights:
    def test_results_that_name_no_weights(self, tmp_path):
        card = card_of(run_folder(tmp_path, changes={"weights": None, "data": "Adience files", "stand_in": False}))
        assert f"{FOUND} does not say which weights it was measured with." in card
        assert [cells(card, name)[0] for name in METRIC_NAMES] == ["not run"] * 4
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

    def test_given_results_are_kept_for_the_same_weights(self, tmp_path):
        model_folder(tmp_path)
        first = card_of(tmp_path, results=RESULTS, license="cc-by-4.0", metadata={"language": "en"})
        assert cells(first, "AEM")[0] == "66.7%"
        assert card_of(tmp_path) == first
        (tmp_path / "model.safetensors").write_bytes(b"other weights")
        assert cells(card_of(tmp_path), "AEM")[0] == "not run"

    @pytest.mark.parametrize("results", [None, RESULTS | {"eval_aem": 5 / 6, "confusion_matrix": None}])
    def test_a_calibration_keeps_license_and_metadata(self, tmp_path, results):
        calibration = {"coverage": 0.9, "threshold": 0.75, "num_classes": 3, "num_samples": 40}
        model_folder(tmp_path, emd=EMD | {"intervals": [calibration]})
        write_card(tmp_path, results=RESULTS, license="cc-by-4.0", metadata={"language": "en", "base_model": "a/b"})
        card = card_of(tmp_path, results=results, metadata={"base_model": "c/d"}, calibrations=[calibration])
        assert card_of(tmp_path) == card
        data = ModelCard(card).data
        assert (data.license, data.language, data.base_model) == ("cc-by-4.0", "en", "c/d")
        assert cells(card, "AEM")[0] == ("66.7%" if results is None else "83.3%")

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
        assert card.split("\n# ")[1].startswith("Classes: XEMD2\n")
        assert [cells(card, name) for name in ("AEM", "AEO")] == [["50.0%", ""], ["75.0%", ""]]
        for part in (
            "- **Network:** vit\n", "Confusion matrix: not recorded.", "Tested on samples whose number was not",
            "| learning rate | 5e-05 |", "| optimizer | not recorded |", "**Not stated.** Whoever publishes this model",
        ):  # fmt: skip
            assert part in card
        assert "command" not in section(card, "How it was trained")
        data = ModelCard(card).data
        assert data.license is None
        assert (data.eval_results[0].dataset_type, data.eval_results[0].metric_value) == ("own_data", 0.5)

    def test_metrics_of_its_own_are_under_their_names(self, tmp_path):
        """Its mae may be in years, and its f1 was not defined."""
        own = {"loss": "xemd2", "eval_loss": 0.1, "eval_accuracy": 0.2519, "eval_mae": 1.5, "eval_f1": math.nan}
        card = card_of(model_folder(tmp_path), results=own)
        assert [cells(card, name) for name in ("accuracy", "mae")] == [["0.2519", ""], ["1.5", ""]]
        table = section(card, "Results")
        assert not [name for name in ("MAE", "AEM", "f1", "not run") if name in table]
        results = {result.metric_name: result.metric_value for result in ModelCard(card).data.eval_results}
        assert results == {"accuracy": 0.2519, "mae": 1.5}

    def test_metadata(self, tmp_path):
        model_folder(tmp_path)
        more = {"language": "en", "tags": "rail", "datasets": ["someone/rails"], "base_model": "google/vit"}
        data = ModelCard(card_of(tmp_path, results=self.OWN, metadata=more)).data
        assert (data.language, data.datasets, data.base_model) == ("en", ["someone/rails"], "google/vit")
        assert data.tags[0] == "ordinal-classification" and data.tags[-1] == "rail"


REGRESSION = {"names": ["output_0"], "emd": {"loss": "reg"}, "distances": None}
WITHOUT_FOLDS = {"stand_in": False, "folds": 1, "fold": 0}
NO_ORDINAL = dict.fromkeys(("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")) | {"eval_top_1_error": 2 / 6}
GIVEN = "given to the training, not learned by it"


class TestOtherRuns:
    @pytest.mark.parametrize(
        ("fields", "changes", "present", "absent"),
        [
            (REGRESSION, {"loss": "reg"}, ["It gives one number for each image", "A regression has no distribution",
             "None: the config holds no ground distance.", "confusion_matrix.png"], ["ordinal-image-classification"]),
            ({"emd": EMD | {"scores": [0.1, 0.45, 0.9]}}, WITHOUT_FOLDS | {"table": "aadb", "data": "AADB",
             "eval_spearman": 0.54321}, ["**Scores of the classes:** 0.1, 0.45, 0.9", "| Spearman's rho | 0.5432 |",
             "| MAE of the score | not run |", "no measure of anybody's beauty, attractiveness or worth"], []),
            ({}, WITHOUT_FOLDS | NO_ORDINAL | {"table": "imagenet", "data": "ImageNet"}, ["| Top-1 error | 0.333 |",
             "| Top-5 error | not run |", "ILSVRC/imagenet-1k"], ["AEO", "ordinal-classification\n", ", in order:"]),
            ({}, {"data": "Adience files", "tested_on": "validation data"}, ["the **test data were not used**",
             "validation data, fold 2 (of folds 0 to 4).", "This is not the dataset as it is published",
             "name: Adience (a part of it, or other labels)"], []),
            ({}, {"eval_nll": 1.25, "eval_ece": 0.125}, ["| NLL | 1.250 |  |", "| ECE | 0.125 |  |",
             "type: nll\n      value: 1.25\n", "type: expected_calibration_error\n      value: 0.125\n"], []),
            ({"emd": {"loss": "a-emd"}}, {"loss": "a-emd"}, [GIVEN], []),
            ({"emd": {"loss": "xe"}}, {"loss": "xe"}, ["from an earlier training"], []),
            *(({"emd": EMD | {"loss": loss, "sdd": None, "prior_weight": 1.0, "prior_decay": 1.0}},
               {"loss": loss, "sdd": None, "sdd_relative": None}, [GIVEN],
               ["network learns", "learned by itself", "centroids"]) for loss in ("xemd", "xemd2")),
        ],
    )  # fmt: skip
    def test_what_is_said(self, tmp_path, fields, changes, present, absent):
        card = card_of(run_folder(tmp_path, changes=changes, **fields))
        assert [text for text in present if text not in card] == []
        assert [text for text in absent if text in card] == []

    def test_a_network_that_is_registered_by_this_package(self, tmp_path):
        architecture = "alxs_needs_import_squared_emd"
        TimmWrapperConfig(architecture=architecture, id2label=dict(enumerate(NAMES)), emd=EMD).save_pretrained(tmp_path)
        plain = section(card_of(tmp_path, results=RESULTS), "How to use it").split("```")[1]
        assert plain.startswith("python\nimport squared_emd.vision\nfrom transformers import pipeline\n")

    def test_many_classes(self, tmp_path):
        model_folder(tmp_path, names=[f"class {index}" for index in range(300)], emd={}, distances=None)
        saved = AutoConfig.from_pretrained(tmp_path)
        positions = torch.arange(300) / 300
        write_ground_distance((positions[:, None] - positions).abs(), tmp_path, saved, dict(EMD))
        saved.save_pretrained(tmp_path)
        counts = np.eye(300, dtype=int).tolist()
        written = write_card(tmp_path, results={"loss": "xemd2", "eval_top_1_error": 0.0, "confusion_matrix": counts})
        assert [path.name for path in written] == ["README.md", "ground_distance.png"]
        card = written[0].read_text()
        assert "class 39 and 260 more, see config.json" in card
        assert "It is not drawn: there are too many classes." in card


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
        listed = html.split("in order:</strong>")[1].split("</li>")[0]
        for name in ("a|b", "`x`", "**bold**", "[link](http://x.yz)", "two lines", "{{ 7 * 7 }}", r"back\slash", "$x$"):
            assert name in listed

    @pytest.mark.parametrize("name", ["model", "variant", "device", "optimizer", "command", "tested_on"])
    def test_other_texts_break_nothing(self, tmp_path, name):
        text = "x` ``` |\n# head\n\n<b>| a | b |"
        tokens = MarkdownIt().enable("table").parse(ModelCard(card_of(run_folder(tmp_path, changes={name: text}))).text)
        assert len([token for token in tokens if token.type == "heading_open"]) == 9  # the title, and eight sections
        assert not [token for token in tokens if token.type == "html_block" and "squared_emd" not in token.content]
        assert len([token for token in tokens if token.type == "table_open"]) == 2

    def test_no_local_path_gets_onto_a_card(self, tmp_path):
        secret = tmp_path / "secret"
        changes = {name: f"{secret}/{name} x" for name in ("command", "model", "device", "optimizer", "variant")}
        changes |= {"versions": {"torch": str(secret)}}
        card = card_of(run_folder(secret, changes=changes, _name_or_path=str(secret)))
        assert "secret" not in card and str(tmp_path) not in card


class TestLicense:
    @pytest.mark.parametrize(
        ("table", "data", "model", "license", "base"),
        [
            ("adience", "drawn faces", "small", "apache-2.0", None),
            ("adience", "drawn faces", "res_f", "apache-2.0", "timm/resnetv2_50.a1h_in1k"),
            ("adience", "drawn faces", "vgg_f", "bsd-3-clause", "timm/vgg16.tv_in1k"),
            ("adience", "drawn faces", "microsoft/resnet-50", None, "microsoft/resnet-50"),
            ("adience", "Adience files", "res", "other", None),
            ("aadb", "AADB", "timm/resnet18 from scratch", "other", None),
            ("imagenet", "ImageNet", "/home/me/model", "other", None),
            ("own_data", "own data", "../runs/model", None, None),
        ],
    )
    def test_of_weights_and_base_model(self, tmp_path, table, data, model, license, base):
        changes = {"table": table, "data": data, "model": model, "fold": 0}
        data = ModelCard(card_of(run_folder(tmp_path, changes=changes))).data
        assert (data.license, data.base_model) == (license, base)
        assert (data.license_name is not None) == (data.license_link is not None) == (license == "other")

    def test_stated(self, tmp_path):
        run_folder(tmp_path, changes={"data": "own data", "table": "own_data"})
        assert ModelCard(card_of(tmp_path, license="cc-by-4.0")).data.license == "cc-by-4.0"


class TestFiles:
    def test_figures_of_an_earlier_run_are_deleted(self, tmp_path):
        write_card(run_folder(tmp_path))
        run_folder(tmp_path, emd={"loss": "xe"}, distances=None, changes={"loss": "xe", "confusion_matrix": None})
        assert [path.name for path in write_card(tmp_path)] == ["README.md"]
        assert not list(tmp_path.glob("*.png"))

    def test_a_card_written_by_hand_stays(self, tmp_path):
        card = card_of(run_folder(tmp_path))
        mine = card.replace(card.splitlines()[-1], "")
        (tmp_path / "README.md").write_text(mine)
        assert write_card(tmp_path) == []
        assert (tmp_path / "README.md").read_text() == mine

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"license": "my: license"}, "license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got "
             "'my: license'; give its id"),
            ({"metadata": {"metrics": [], "eval_results": []}}, "metadata must hold no results, those are measured; "
             "got eval_results, metrics; leave it out"),
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, tmp_path, arguments, message):
        missing = f"a card needs a saved model, there is no {tmp_path / 'config.json'}; save one first"
        assert message_of(FileNotFoundError, write_card, tmp_path) == missing
        assert message_of(ValueError, write_card, run_folder(tmp_path), **arguments) == message
        with pytest.raises(ValueError, match="Repo id must"):
            write_card(tmp_path, repo_id='x"); import os; ("')

    @pytest.mark.parametrize("loss", ["xemd2", "reg"])
    def test_a_module_without_a_config(self, tmp_path, monkeypatch, loss):
        """As the recipe for tables saves it."""
        save_file({"head.weight": torch.ones(3, 2)}, tmp_path / "model.safetensors")
        weights = digests_of_weights(tmp_path)
        if loss == "xemd2":
            write_ground_distance(torch.tensor(DISTANCES), tmp_path, None, {})
        changes = {"table": "tabular", "data": "generated table", "model": "perceptron", "loss": loss}
        (tmp_path / "all_results.json").write_text(json.dumps(RESULTS | changes | {"weights": weights}))
        card = card_of(tmp_path, repo_id="someone/wear")
        data = ModelCard(card).data
        assert (data.library_name, data.pipeline_tag) == ("pytorch", "tabular-classification")
        assert {"ordinal-classification", "synthetic"} <= set(data.tags)
        assert data.eval_results[0].task_name == "Ordinal tabular classification"
        assert [cells(card, name)[0] for name in METRIC_NAMES] == ["66.7%", "83.3%", "0.500", "0.432"]
        assert "Generated data only." in card and "center crop" not in card and "confusion_matrix.png" in card
        assert ("ground_distance.png" in card) == (loss == "xemd2")
        if loss == "reg":
            assert "It gives one number for each row: the index of the class" in card
            return
        assert "It gives each row a probability for each of 3 classes that have an order." in card
        assert "learned by itself in training" in card and "SDD, the spread of the raw distances, is 0.0123" in card
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, name: tmp_path / name)
        scope = {}
        for snippet in re.findall(r"```python\n(.*?)```", card.replace("someone/wear", str(tmp_path)), flags=re.DOTALL):
            exec(snippet, scope)
        assert scope["weights"]["head.weight"].shape == (3, 2)
        np.testing.assert_allclose(scope["ground_distance"], DISTANCES)

    @pytest.mark.parametrize("task", ["image-classification", "text-classification", "audio-classification"])
    def test_the_snippets_run(self, tmp_path, monkeypatch, task):
        """As they are, with a tiny model where the card says its repository."""
        monkeypatch.chdir(tmp_path)
        folder = tmp_path / "someone" / "tiny"
        calibration = {"coverage": 0.9, "threshold": 0.75, "num_classes": 3, "num_samples": 40}
        fields = {"id2label": dict(enumerate(NAMES)), "ground_distance": DISTANCES}
        fields["emd"] = EMD | {"mirrored": False, "intervals": [calibration]}
        if task == "image-classification":
            model = tiny_vit(3, **fields)
            processor = ViTImageProcessor(size={"height": 8, "width": 8})
            Image.new("RGB", (8, 8)).save("image.jpg")
        elif task == "text-classification":
            processor = word_tokenizer(["a good text"])
            model = AutoModelForSequenceClassification.from_config(tiny_text_config(processor, **fields))
        else:
            processor = tiny_feature_extractor(1000)
            model = AutoModelForAudioClassification.from_config(tiny_audio_config(**fields))
            soundfile.write("sound.wav", np.zeros(900), 1000)
            monkeypatch.setattr(  # That of transformers starts a program which need not be there.
                audio_classification,
                "ffmpeg_read",
                lambda content, rate: decode_audio({"path": None, "bytes": content}, rate),
            )
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        card = card_of(folder, repo_id="someone/tiny", results={})
        assert ModelCard(card).data.pipeline_tag == task
        printed = []
        for snippet in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
            scope = {"print": printed.append}
            exec(snippet, scope)
        assert {entry["label"] for entry in printed[0]} <= set(NAMES)
        assert set(printed[1]) == {"label", "score", "distribution", "expected_score", "spread"}
        assert len(printed[2]) == 2 and set(printed[2]) <= set(NAMES)
        assert scope["ground_distance"].tolist() == DISTANCES
