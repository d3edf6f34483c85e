"""The command line that all recipes share."""

import re

import pytest
from tests.experiments.tiny import TinyArguments, arguments, experiment

from squared_emd.experiments.arguments import DatasetArguments, ExperimentArguments, ImageArguments
from squared_emd.experiments.experiment import plan


class AdienceLike(ImageArguments):
    outputs, seeds_with_data = ("given", "made"), 1


class Unordered(ExperimentArguments):
    all_losses = ("xe", "xemd1")


GIVEN = {"data_dir": "faces", "seeds": 2, "num_train_epochs": 5.5, "output_dir": "mine"}


@pytest.mark.parametrize(
    ("cls", "fields", "expected"),
    [
        (TinyArguments, {"fold": "2"}, {"folds": [2]}),
        (TinyArguments, {"fold": "all", "seed": 3, "seeds": 3}, {"folds": range(3), "run_seeds": range(3, 6)}),
        (TinyArguments, {"loss": "emd,xe,emd"}, {"losses": ("emd", "xe")}),
        (TinyArguments, {"loss": "all"}, {"losses": ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd")}),
        (TinyArguments, {"learning_rate": "0.25"}, {"rate": 0.25, "learning_rate": 0.25, "candidate_rates": None}),
        (TinyArguments, {"learning_rate": "select"}, {"rate": None, "candidate_rates": ()}),
        (TinyArguments, {"entropic_strength": "1"}, {"entropic_strength": 1, "candidate_strengths": None}),
        (TinyArguments, {"entropic_strength": "select:1,3e1,1"}, {"candidate_strengths": (1, 30)}),
        (AdienceLike, {}, {"seeds": 3, "num_train_epochs": 15, "output_dir": "made", "losses": ("xe", "xemd")}),
        (AdienceLike, {"data_dir": "faces"}, {"seeds": 1, "num_train_epochs": 30, "output_dir": "given"}),
        (AdienceLike, GIVEN, GIVEN),
        (DatasetArguments, {"dataset": "a.csv"}, {"seeds": 3, "num_train_epochs": 10, "output_dir": "outputs"}),
        (
            TinyArguments,
            {"early_stopping_patience": 2},
            {"save_strategy": "epoch", "save_total_limit": 1, "load_best_model_at_end": True},
        ),
        (
            DatasetArguments,
            {"load_best_model_at_end": True, "save_strategy": "epoch"},
            {"metric_for_best_model": "eval_mae", "greater_is_better": False},
        ),
        (TinyArguments, {"loss": "xe,xemd2"}, {"needs_order": False}),
        (TinyArguments, {"loss": "xe,emd"}, {"needs_order": True}),
        (TinyArguments, {"loss": "reg"}, {"needs_order": True}),
        (TinyArguments, {"loss": "xemd2", "geometry": "circle", "prior_weight": 0.5}, {"needs_order": True}),
        (TinyArguments, {"loss": "emd", "geometry": "tree.json"}, {"needs_order": False}),
        (TinyArguments, {"loss": "xe,xemd", "geometry": "tree.json"}, {"needs_order": False}),
        (TinyArguments, {"loss": "xe,xemd"}, {"needs_order": True}),
    ],
)
def test_what_follows_from_the_fields(cls, fields, expected):
    args = cls(use_cpu=True, **fields)
    assert {name: getattr(args, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        ("small", {}, (1e-2, 3e-3, 1e-3)),
        ("res_f", {}, (3e-3, 1e-3, 3e-4)),
        ("res_f", {"from_scratch": True}, (1e-2, 3e-3, 1e-3)),
        ("me/vit", {"optim": "adamw_torch"}, (1e-4, 3e-5, 1e-5)),
        ("me/vit", {"learning_rate": "select:1,1e-5"}, (1, 1e-5)),
    ],
)
def test_rates_to_choose_from(model, fields, expected, tmp_path):
    args = arguments(tmp_path, **{"loss": "a-emd", "geometry": "line", "learning_rate": "select"} | fields)
    (run,) = plan(args, [experiment(model, args)])
    assert run.candidates(args) == {"learning_rate": expected}
    args.candidate_strengths = ()
    assert run.candidates(args) == {"learning_rate": expected, "entropic_strength": (0.1, 1, 10)}


def test_each_of_several_losses_gets_its_own(tmp_path):
    """A geometry is that of emd, and as a prior that of the losses that learn D."""
    geometry = {"geometry": "line", "spacing": [1.0, 2.0, 3.0]}
    of_eq_16 = dict.fromkeys(("omega", "mu", "true_class_cost")) | {"regularizer_ratio": 3.5}
    of_a_emd = {"entropic_strength": 10.0, "sinkhorn_iterations": 100}
    of_self_guided = dict.fromkeys(("prior_weight", "prior_decay", "jump_start_epochs", "jump_start_ratio", "rank"))
    of_self_guided |= {"ground_distance_update_steps": None, "regularizer_weight": "auto"}
    args = arguments(tmp_path, loss="all", **geometry)
    assert args.options_of("emd") == {"ground_distance": None, **of_self_guided, **of_eq_16, **of_a_emd}
    assert args.options_of("xemd2").keys() == {"ground_distance", *geometry, *of_a_emd}
    assert args.options_of("xemd") == {"ground_distance": None, **of_eq_16, **of_a_emd}
    assert arguments(tmp_path, loss="xemd").options_of("xemd") == {"geometry": "line"}
    assert Unordered(str(tmp_path), loss="xemd1", num_train_epochs=5, use_cpu=True).options_of("xemd") == {}
    args = arguments(tmp_path, loss="all", prior_weight=0.5, **geometry)
    assert args.options_of("xemd2") == {"ground_distance": None, **of_a_emd}
    assert args.options_of("xe").keys() == {"ground_distance", *of_self_guided, *geometry, *of_eq_16, *of_a_emd}
    assert arguments(tmp_path, loss="a-emd", **geometry).options_of("a-emd") == {}
    args = arguments(tmp_path, loss="xe,xemd", ground_distance="d.npy")
    assert not {"ground_distance", "geometry"} & args.options_of("xemd").keys() and not args.needs_order


def test_a_jump_start_longer_than_the_steps(tmp_path):
    args = arguments(tmp_path, max_steps=3, jump_start_epochs=0.5)
    with pytest.raises(ValueError, match=r"its jump start of 0\.5, or .* this run has 0\.3\. Raise"):
        args.check_steps(80)
    args.check_steps(40)


@pytest.mark.parametrize(
    "fields",
    [{"load_best_model_at_end": True, "save_strategy": "epoch"}, {"lr_scheduler_type": "reduce_lr_on_plateau"}],
)
def test_nothing_is_chosen_on_test_data(fields, tmp_path):
    with pytest.raises(ValueError, match="the test data"):
        arguments(tmp_path, **fields)


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (TinyArguments, {"fold": "3"}, "fold must be 0 .. 2 or all, got '3'."),
        (ExperimentArguments, {"fold": "1"}, "fold must be 0 or all, got '1'."),
        (TinyArguments, {"seeds": 0}, "seeds must be at least 1, got 0."),
        (TinyArguments, {"select_seeds": 0}, "select_seeds must be at least 1, got 0."),
        *(
            (
                TinyArguments,
                {name: text},
                f"{name} must be a number greater than 0, select, or select with a list of such numbers, as "
                f"select:1e-2,1e-3; got {text!r}.",
            )
            for name, text in [
                ("learning_rate", "fast"),
                ("learning_rate", "-1"),
                ("learning_rate", "1e-2,1e-3"),
                ("learning_rate", "select:"),
                ("learning_rate", "select:1e-2,0"),
                ("entropic_strength", "nan"),
            ]
        ),
        (TinyArguments, {"early_stopping_patience": 0}, "early_stopping_patience must be at least 1 epoch, got 0."),
        (
            TinyArguments,
            {"loss": "xe,emb"},
            "loss must be xe, reg, emd, xemd1, xemd2, a-emd, xemd, several of them with commas, or all, got 'emb'.",
        ),
        (
            TinyArguments,
            {"push_to_hub": True},
            "push_to_hub needs hub_model_id, the repository, as in --hub_model_id me/age.",
        ),
        (
            TinyArguments,
            {"push_to_hub": True, "hub_model_id": "me/age", "hub_strategy": "checkpoint"},
            "hub_strategy must be end or every_save, got 'checkpoint': a recipe pushes finished runs, no checkpoints.",
        ),
        (
            TinyArguments,
            {"loss": "xe,xemd2", "ground_distance": "d.npy"},
            "ground_distance is for the losses a-emd and xemd where several are trained, got xe,xemd2. Leave it out, "
            "or train the loss that it is meant for alone.",
        ),
        (
            TinyArguments,
            {"loss": "xe,xemd2", "geometry": "circle"},
            "geometry is for the losses emd and xemd where several are trained, got xe,xemd2. Leave it out, or train "
            "the loss that it is meant for alone.",
        ),
        (
            TinyArguments,
            {"num_train_epochs": 1.2, "jump_start_epochs": 1.5},
            "the loss xemd needs more epochs than its jump start of 1.5, or the run would be plain cross-entropy; this "
            "run has 1.2. Raise num_train_epochs (or max_steps), or lower jump_start_epochs.",
        ),
        (
            Unordered,
            {"loss": "emd"},
            "the loss emd needs classes in an order, which these have not; take one of xe, xemd1.",
        ),
    ],
)
def test_errors(tmp_path, cls, fields, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cls(output_dir=str(tmp_path), use_cpu=True, **fields)
