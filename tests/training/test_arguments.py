"""The arguments: their defaults, the command line, and every refusal."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from transformers import HfArgumentParser

from squared_emd import EMDTrainingArguments


def test_the_default_loss_needs_nothing_else(tmp_path):
    args = EMDTrainingArguments(str(tmp_path))
    assert (args.loss, args.ranks, args.fixed_regularizer_weight, args.prior) == ("xemd", None, 6, (0.5, 1))
    args.check_jump_start(num_epochs=1)


def test_defaults_of_the_papers_losses_are_the_papers(tmp_path):
    args = EMDTrainingArguments(str(tmp_path), loss="xemd2")
    assert (args.ranks, args.regularizer_weight, args.fixed_regularizer_weight) == ("strict", "auto", None)
    assert (args.steps_of_jump_start(300, 10), args.regularizer_ratio, args.true_class_cost) == (40, 3.5, None)
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
    found = {name: getattr(args, name) for name in words.replace("--", "").split()[::2]}
    assert found == {
        "loss": "xemd1", "omega": 1.5, "mu": -0.3, "regularizer_weight": "0.5", "regularizer_ratio": 4,
        "jump_start_epochs": 2, "true_class_cost": 1, "rank": "inclusive", "ground_distance": "d.npy",
        "ground_distance_update_steps": 7, "head": "classifier", "nan_policy": "skip", "nan_steps": 3,
    }  # fmt: skip
    json.dumps(args.to_dict())
    (args,) = HfArgumentParser(EMDTrainingArguments).parse_args_into_dataclasses(
        ["--output_dir", str(tmp_path), *["--loss", "emd", "--spacing", "1", "2.5", "3"]]
    )
    assert args.spacing == [1, 2.5, 3]


def test_regularizer_weight_may_be_a_number_or_its_text(tmp_path):
    for weight in (2, "2", 2.0):
        assert EMDTrainingArguments(str(tmp_path), regularizer_weight=weight).fixed_regularizer_weight == 2.0


@pytest.mark.parametrize("make", [np.array, torch.tensor, tuple, lambda numbers: [np.float64(x) for x in numbers]])
def test_lists_of_numbers_may_be_arrays(tmp_path, make):
    args = EMDTrainingArguments(
        str(tmp_path), loss="emd", spacing=make([1.0, 2.5]), class_weights=make([1.0, 2.5, 3.0])
    )
    assert (args.spacing, args.class_weights) == ([1.0, 2.5], ["1.0", "2.5", "3.0"])
    json.dumps(args.to_dict())
    other = copy.copy(args)
    other.spacing, other.class_weights = make([1.0, 2.5]), make([1.0, 2.5, 4.0])
    assert other.changed_fields(args) == ["class_weights"]
    other.class_weights = make([1.0, 2.5, 3.0])
    assert other.changed_fields(args) == []


@pytest.mark.parametrize(
    ("metric", "greater_is_better"),
    [
        ("mae", False),
        ("eval_score_mae", False),
        ("eval_validation_squared_emd", False),
        ("top_5_error", False),
        ("eval_loss_emd", False),
        ("ranked_probability_score", False),
        ("eval_loss", False),
        ("aem", True),
        ("eval_spearman", True),
        ("quadratic_weighted_kappa", True),
    ],
)
def test_errors_are_to_fall_where_the_user_does_not_say(tmp_path, metric, greater_is_better):
    assert EMDTrainingArguments(str(tmp_path), metric_for_best_model=metric).greater_is_better is greater_is_better
    args = EMDTrainingArguments(str(tmp_path), metric_for_best_model=metric, greater_is_better=not greater_is_better)
    assert args.greater_is_better is not greater_is_better


NO_JUMP_START = (
    'regularizer_weight="auto" is measured at the end of the jump start, and there is to be none. Give '
    "jump_start_epochs or jump_start_ratio more than 0, or a number for regularizer_weight."
)
RANGES = (
    ("loss", "one of xe, reg, emd, xemd1, xemd2, a-emd, xemd", ("emd2",)),
    ("rank", '"strict" or "inclusive"', ("dense",)),
    ("nan_policy", '"raise" or "skip"', ("ignore",)),
    ("regularizer_weight", '"auto" or a number of at least 0', ("much", -1)),
    ("regularizer_ratio", "greater than 0 and finite", (0, math.nan, math.inf, None, "3")),
    ("omega", "greater than 0 and finite", (0, math.nan, math.inf, "2")),
    ("mu", "finite", (math.nan, -math.inf, "-0.5")),
    ("true_class_cost", "at least 0 and finite", (-1.0, math.nan, math.inf)),
    ("label_smoothing_factor", "between 0 and 1", (-0.1, 1.5, math.nan)),
    ("label_smoothing_temperature", "greater than 0 and finite", (-1.0,)),
    ("jump_start_epochs", "at least 0 and finite", (-1, math.nan, math.inf, "2")),
    ("ground_distance_update_steps", "a whole number of at least 1", (0, 2.5, math.inf)),
    ("nan_steps", "a whole number of at least 1", (0, 2.5, math.nan, math.inf)),
    ("sinkhorn_iterations", "a whole number of at least 1", (0, math.nan, math.inf)),
    ("entropic_strength", "greater than 0 and finite", (0.0, math.nan, math.inf)),
    ("geometry", "line, circle or a .json file with a label tree", (3, "square")),
    ("spacing", "finite gaps, none negative and not all 0", ([0.0, 0.0], [1.0, math.nan], [1.0, -1.0], 2)),
    ("prior_weight", "between 0 and 1", (1.5,)),
    ("prior_decay", "greater than 0 and at most 1", (0.0,)),
    (
        "class_weights",
        "balanced, effective, effective:BETA with BETA at least 0 and less than 1, or one number of at least 0 for "
        "each class, not all 0",
        (["often"], ["1", "-1"], ["effective:1"]),
    ),
)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        *(
            ({name: value}, f"{name} must be {requirement}, got {value!r}.")
            for name, requirement, values in RANGES
            for value in values
        ),
        ({"loss": "reg", "label_smoothing_factor": 0.1}, "label_smoothing_factor spreads mass over classes, which the "
         "loss reg does not have; it must be 0, got 0.1."),
        ({"label_smoothing_temperature": 1.0}, "label_smoothing_temperature says how label_smoothing_factor is spread, "
         "which is 0. Give both, or leave it out."),
        ({"loss": "xemd2", "spacing": [1.0, 2.0]},
         "spacing is for the loss emd and for geometry line or circle; xemd2 has none. Leave it out."),
        ({"geometry": "t.json", "spacing": [1.0]}, "spacing is for the loss emd and for geometry line or circle; a "
         "label tree has its own lengths. Leave it out."),
        ({"loss": "xemd", "mu": -0.5}, "omega, mu and true_class_cost are for Eq. 16, the losses xemd1 and xemd2; xemd "
         "has none. Leave them out."),
        ({"loss": "emd", "ground_distance": "d.npy"}, "ground_distance is for the losses xemd, xemd1, xemd2 and a-emd, "
         "and for label_smoothing_temperature; emd has none. Leave it out."),
        ({"loss": "xe", "geometry": "line"}, "geometry is for the losses emd, xemd, xemd1, xemd2 and a-emd, and for "
         "label_smoothing_temperature; xe has none. Leave it out."),
        ({"geometry": "line", "ground_distance": "d.npy"},
         "give geometry or ground_distance, not both: each says how far the classes are apart."),
        ({"loss": "emd", "prior_weight": 0.5},
         "prior_weight is for the losses xemd, xemd1 and xemd2; emd learns no D. Leave it out."),
        ({"balanced_sampling": True, "train_sampling_strategy": "sequential"}, "balanced_sampling draws the samples "
         "itself; train_sampling_strategy must be random, got sequential."),
        ({"loss": "xemd2", "jump_start_epochs": 0}, NO_JUMP_START),
        ({"loss": "xemd2", "jump_start_ratio": 0}, NO_JUMP_START),
        ({"jump_start_epochs": 1, "jump_start_ratio": 0.5},
         "give jump_start_epochs or jump_start_ratio, not both: each says how long the jump start is."),
    ],
)  # fmt: skip
def test_errors(tmp_path, fields, message):
    with pytest.raises(ValueError) as error:
        EMDTrainingArguments(str(tmp_path), **fields)
    assert str(error.value) == message
