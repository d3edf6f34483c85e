"""The command line that all recipes share."""

import re

import pytest
from tests.experiments.tiny import TinyArguments, arguments, experiment

from squared_emd.experiments.arguments import DatasetArguments, ExperimentArguments, ImageArguments
from squared_emd.experiments.experiment import plan


class AdienceLike(ImageArguments):
    outputs, seeds_with_data = ("given", "made"), 1


def test_one_or_all(tmp_path):
    one = arguments(tmp_path, loss="emd", fold="2", learning_rate="0.25", entropic_strength="1")
    assert (list(one.folds), one.losses, one.rate, one.learning_rate) == ([2], ("emd",), 0.25, 0.25)
    assert (one.candidate_rates, one.candidate_strengths, one.entropic_strength) == (None, None, 1)
    assert arguments(tmp_path, loss="emd,xe,emd").losses == ("emd", "xe")
    choice = {"learning_rate": "select", "entropic_strength": "select:1,3e1,1"}
    every = arguments(tmp_path, loss="all", fold="all", seeds=3, **choice)
    assert (list(every.folds), list(every.run_seeds)) == ([0, 1, 2], [3, 4, 5])
    assert every.losses == ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd")
    assert (every.candidate_rates, every.candidate_strengths, every.rate) == ((), (1, 30), None)


@pytest.mark.parametrize(
    ("cls", "fields", "expected"),
    [
        (AdienceLike, {}, (3, 15, "made")),
        (AdienceLike, {"data_dir": "faces"}, (1, 30, "given")),
        (
            AdienceLike,
            {"data_dir": "faces", "seeds": 2, "num_train_epochs": 5.5, "output_dir": "mine"},
            (2, 5.5, "mine"),
        ),
        (DatasetArguments, {"dataset": "a.csv"}, (3, 10, "outputs")),
    ],
)
def test_defaults_with_data_and_without(cls, fields, expected):
    args = cls(use_cpu=True, **fields)
    assert (args.seeds, args.num_train_epochs, args.output_dir, args.losses) == (*expected, ("xe", "xemd"))


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


def test_early_stopping_needs_checkpoints_and_evaluations(tmp_path):
    args = arguments(tmp_path, early_stopping_patience=2)
    assert (args.eval_strategy, args.save_strategy, args.save_total_limit) == ("epoch", "epoch", 1)
    assert args.load_best_model_at_end


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
    ("fields", "needs_order"),
    [
        ({"loss": "xe,xemd2"}, False),
        ({"loss": "xe,emd"}, True),
        ({"loss": "reg"}, True),
        ({"loss": "xemd2", "geometry": "circle", "prior_weight": 0.5}, True),
        ({"loss": "emd", "geometry": "tree.json"}, False),
        ({"loss": "xe,xemd", "geometry": "tree.json"}, False),
        ({"loss": "xe,xemd"}, True),
    ],
)
def test_which_losses_need_an_order(fields, needs_order, tmp_path):
    assert arguments(tmp_path, **fields).needs_order is needs_order


@pytest.mark.parametrize(
    "fields",
    [{"load_best_model_at_end": True, "save_strategy": "epoch"}, {"lr_scheduler_type": "reduce_lr_on_plateau"}],
)
def test_nothing_is_chosen_on_test_data(fields, tmp_path):
    with pytest.raises(ValueError, match="the test data"):
        arguments(tmp_path, **fields)


def test_the_best_epoch_on_a_validation_split_has_the_least_error(tmp_path):
    fields = {"output_dir": str(tmp_path), "use_cpu": True, "load_best_model_at_end": True, "save_strategy": "epoch"}
    args = DatasetArguments(**fields)
    assert (args.metric_for_best_model, args.greater_is_better) == ("eval_mae", False)


class Unordered(ExperimentArguments):
    all_losses = ("xe", "xemd1")


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
