"""Results that a card may show: none that contradict another, and none of other weights."""

import math

import numpy as np
import pytest
import torch
from tests.errors import message_of
from tests.hub.card_folders import AGAIN, DIGEST, EMD, FOUND, NAMES, RESULTS, config, run_folder

from squared_emd.hub import write_card
from squared_emd.hub.results import hide_paths, verify_results, weights_version


class TestContradictions:
    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            (
                "table",
                "faces",
                "'table' must be one of adience, images_of_groups, aadb, imagenet, own_data, text_ratings, "
                "audio_grades, tabular, or null; got 'faces'",
            ),
            ("eval_aem", 66.7, "'eval_aem' must be a number, 0 to 1, or null; got 66.7"),
            ("eval_aem", -0.1, "'eval_aem' must be a number, 0 to 1, or null; got -0.1"),
            ("eval_aem", math.nan, "'eval_aem' must be a number, 0 to 1, or null; got nan"),
            ("eval_aem", True, "'eval_aem' must be a number, 0 to 1, or null; got True"),
            ("eval_aeo", "0.9", "'eval_aeo' must be a number, 0 to 1, or null; got '0.9'"),
            ("eval_aeo", 0.5, f"'eval_aeo' must be at least 'eval_aem', {4 / 6}; got 0.5"),
            ("eval_mae", 2.5, "'eval_mae' must be a number, 0 to 2, or null; got 2.5"),
            ("eval_squared_emd", math.inf, "'eval_squared_emd' must be a finite number, 0 or more, or null; got inf"),
            ("eval_spearman", -1.5, "'eval_spearman' must be a number, -1 to 1, or null; got -1.5"),
            ("eval_score_mae", -1, "'eval_score_mae' must be a finite number, 0 or more, or null; got -1"),
            ("eval_nll", -3, "'eval_nll' must be a finite number, 0 or more, or null; got -3"),
            ("eval_nll", math.nan, "'eval_nll' must be a finite number, 0 or more, or null; got nan"),
            ("eval_ece", 1.5, "'eval_ece' must be a number, 0 to 1, or null; got 1.5"),
            ("num_test", 6.0, "'num_test' must be an integer, 1 or more, or null; got 6.0"),
            ("fold", 5, "'fold' must be less than 'folds', 5; got 5"),
            ("stand_in", 1, "'stand_in' must be true or false, or null; got 1"),
            ("device", 3, "'device' must be text, or null; got 3"),
            ("versions", {"torch": 2.15}, "'versions' must be names of packages, each with a version, or null; "
             "got {'torch': 2.15}"),
            *(("weights", value, f"'weights' must be file names, each with its sha256; got {value!r}")
              for value in ({}, [], {"model.safetensors": 1})),
            ("loss", "emd", "'loss' must be that of the config, 'xemd2'; got 'emd'"),
            ("class_names", ["old", "grown", "young"], f"'class_names' must be those of the config, {NAMES}; "
             "got ['old', 'grown', 'young']"),
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
    def test_contradictions_are_refused(self, tmp_path, name, value, message):
        run_folder(tmp_path, changes={name: value})
        assert message_of(ValueError, write_card, tmp_path) == f"{FOUND}: {message}; {AGAIN}"
        assert not (tmp_path / "README.md").exists()

    def test_contradictions_of_the_config_are_refused(self):
        message = f"config.json: 'emd.scores' must be a number for each class, or null; got [1, 2]; {AGAIN}"
        assert message_of(ValueError, verify_results, RESULTS, config(emd=EMD | {"scores": [1, 2]})) == message

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"threshold": 0.25}, "'intervals' must be calibrations of the config; got {'coverage': 0.5, 'threshold': "
             "0.25, 'num_classes': 3, 'num_samples': 40}; "),
            ({"held_out": {"coverage": 1.5}}, "'intervals.held_out.coverage' must be a number, 0 to 1; got 1.5; "),
            ({"held_out": {"coverage": 1, "mean_size": 4}}, "'intervals.held_out.mean_size' must be a number, 1 to 3; "
             "got 4; "),
        ],
    )  # fmt: skip
    def test_intervals_that_cannot_be_are_refused(self, changes, message):
        calibration = {"coverage": 0.5, "threshold": 0.5, "num_classes": 3, "num_samples": 40}
        results, saved = {"intervals": [calibration | changes]}, config(emd=EMD | {"intervals": [calibration]})
        assert message_of(ValueError, verify_results, results, saved) == f"{FOUND}: {message}{AGAIN}"

    def test_numpy_numbers_are_numbers(self):
        measured = {"table": "own_data", "eval_aem": np.float32(0.5), "num_test": np.int64(4)}
        assert verify_results(measured, config())["eval_aem"] == 0.5

    @pytest.mark.parametrize(
        ("text", "message"),
        [("[1]", r"must hold a JSON object; got \[1\]"), ("{", "must be JSON in UTF-8; reading it gave: Expecting .*")],
    )
    def test_a_file_without_results(self, tmp_path, text, message):
        run_folder(tmp_path)
        (tmp_path / FOUND).write_text(text)
        with pytest.raises(ValueError, match=f"^{tmp_path / FOUND} {message}; write it again$"):
            write_card(tmp_path)


class TestOtherWeights:
    @pytest.mark.parametrize(
        ("weights", "name", "there", "got"),
        [
            ({"model.safetensors": "0" * 64}, "model.safetensors", DIGEST, "0" * 64),
            ({"model.safetensors": DIGEST, "model-2.safetensors": DIGEST}, "model-2.safetensors", "not there", DIGEST),
            ({"other_model.safetensors": DIGEST}, "model.safetensors", DIGEST, "none"),
        ],
    )
    @pytest.mark.parametrize("where", [FOUND, "results"])
    def test_results_of_other_weights_are_refused(self, tmp_path, weights, name, there, got, where):
        run_folder(tmp_path, changes={"weights": weights})
        message = (
            f"{where}: 'weights' must have the sha256 of the weights in the folder, {name}: {there}; got {got}; they "
            f"were measured with other weights: evaluate these, or {AGAIN}"
        )
        results = RESULTS | {"weights": weights} if where == "results" else None
        assert message_of(ValueError, write_card, tmp_path, results=results) == message


def test_samples_of_all_weights_are_copied_from_a_device_at_once(monkeypatch):
    copied, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copied.append(tensor.numel()) or cpu(tensor))
    weights_version(torch.nn.Sequential(torch.nn.Linear(16, 3), torch.nn.Linear(3, 2)))
    assert copied == [3 * 8 + 3 + 2 * 3 + 2]  # every second of the 16 columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--data_dir=/home/me/faces -x", "--data_dir=DIR -x"),
        ("--data_dir '/home/me/my faces' -x", "--data_dir DIR -x"),
        ("--out ~/runs ../x ./y", "--out DIR DIR DIR"),
        (r"C:\Users\me\faces D:/x \\server\share file:///home/me/x /home/me/my\ faces", "DIR DIR DIR DIR DIR"),
        ("timm/resnet18 https://huggingface.co/x/y 1/2", "timm/resnet18 https://huggingface.co/x/y 1/2"),
    ],
)
def test_paths_are_replaced(text, expected):
    assert hide_paths(text) == expected
