"""The arguments: the paper's defaults, the command line, and every refusal."""

import json

import pytest
from transformers import HfArgumentParser

from squared_emd import EMDTrainingArguments


def test_defaults_are_the_papers(tmp_path):
    args = EMDTrainingArguments(str(tmp_path))
    assert (args.loss, args.ranks, args.regularizer_weight) == ("xemd2", "strict", "auto")
    assert (args.jump_start_epochs, args.regularizer_ratio, args.true_class_cost) == (4, 3.5, None)
    assert args.self_guided_parameters() == (2, -0.25)
    args.loss = "xemd1"
    assert args.self_guided_parameters() == (1, -0.5)
    args.omega, args.mu = 3, -0.1
    assert args.self_guided_parameters() == (3, -0.1)


def test_every_field_of_ours_on_the_command_line(tmp_path):
    words = (
        "--loss xemd1 --omega 1.5 --mu -0.3 --regularizer_weight 0.5 --regularizer_ratio 4 --jump_start_epochs 2 "
        "--true_class_cost 1 --rank inclusive --ground_distance d.npy --ground_distance_update_steps 7 "
        "--head classifier --nan_policy skip --nan_steps 3"
    )
    (args,) = HfArgumentParser(EMDTrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), *words.split()]
    )
    assert (args.loss, args.omega, args.mu, args.regularizer_weight, args.regularizer_ratio) == (
        "xemd1",
        1.5,
        -0.3,
        0.5,
        4,
    )
    assert (args.jump_start_epochs, args.true_class_cost, args.rank, args.ground_distance) == (
        2,
        1,
        "inclusive",
        "d.npy",
    )
    assert (args.ground_distance_update_steps, args.head) == (7, "classifier")
    assert (args.nan_policy, args.nan_steps) == ("skip", 3)
    json.dumps(args.to_dict())
    (args,) = HfArgumentParser(EMDTrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), *["--loss", "emd", "--spacing", "1", "2.5", "3"]]
    )
    assert args.spacing == [1, 2.5, 3]


def test_regularizer_weight_may_be_a_number_or_its_text(tmp_path):
    for weight in (2, "2", 2.0):
        assert EMDTrainingArguments(str(tmp_path), regularizer_weight=weight).regularizer_weight == 2.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "emd2"}, "loss must be one of xe, reg, emd, xemd1, xemd2, a-emd, xemd, got 'emd2'."),
        ({"rank": "dense"}, 'rank must be "strict" or "inclusive", got \'dense\'.'),
        (
            {"regularizer_weight": "much"},
            "regularizer_weight must be \"auto\" or a number of at least 0, got 'much'.",
        ),
        ({"regularizer_weight": -1}, 'regularizer_weight must be "auto" or a number of at least 0, got -1.'),
        ({"regularizer_ratio": 0}, "regularizer_ratio must be greater than 0, got 0."),
        ({"jump_start_epochs": -1}, "jump_start_epochs must be at least 0, got -1."),
        (
            {"loss": "reg", "label_smoothing_factor": 0.1},
            "label_smoothing_factor spreads mass over classes, which the loss reg does not have; "
            "it must be 0, got 0.1.",
        ),
        (
            {"spacing": [1.0, 2.0]},
            "spacing is for the loss emd and for geometry line or circle; xemd2 has none. Leave it out.",
        ),
        (
            {"loss": "emd", "ground_distance": "d.npy"},
            "ground_distance is for the losses xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; emd "
            "has none. Leave it out.",
        ),
        (
            {"loss": "a-emd", "entropic_strength": 0.0},
            "entropic_strength must be greater than 0 and finite, got 0.0.",
        ),
        ({"loss": "a-emd", "sinkhorn_iterations": 0}, "sinkhorn_iterations must be at least 1, got 0."),
        ({"nan_policy": "ignore"}, 'nan_policy must be "raise" or "skip", got \'ignore\'.'),
        ({"nan_steps": 0}, "nan_steps must be at least 1, got 0."),
        ({"omega": 0}, "omega must be greater than 0, got 0."),
        ({"ground_distance_update_steps": 0}, "ground_distance_update_steps must be at least 1, got 0."),
        (
            {"jump_start_epochs": 1},
            'regularizer_weight="auto" is measured in the last epoch of the jump start, with the D of the epoch before '
            "(or a given one); it needs jump_start_epochs of at least 2, got 1. Give more epochs, or a number for "
            "regularizer_weight.",
        ),
        (
            {"jump_start_epochs": 0, "ground_distance": "d.npy"},
            'regularizer_weight="auto" is measured in the last epoch of the jump start, with the D of the epoch before '
            "(or a given one); it needs jump_start_epochs of at least 1, got 0. Give more epochs, or a number for "
            "regularizer_weight.",
        ),
    ],
)
def test_errors(tmp_path, fields, message):
    with pytest.raises(ValueError) as error:
        EMDTrainingArguments(str(tmp_path), **fields)
    assert str(error.value) == message
