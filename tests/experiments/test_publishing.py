from pathlib import Path
from types import SimpleNamespace

from squared_emd.experiments.experiment import Run
from squared_emd.experiments.publishing import repository_of

ARGS = SimpleNamespace(hub_model_id="me/age")


def run(network="small", loss="xemd2", fold=0, seed=42, variant=""):
    return Run(network, network, loss, fold, seed, Path("out"), SimpleNamespace(variant=variant))


def test_one_run_has_the_name_alone():
    assert repository_of(ARGS, run(), [run()]) == "me/age"


def test_several_runs_have_what_sets_them_apart():
    runs = [run(loss=loss, seed=seed) for loss in ("xe", "xemd2") for seed in (1, 2)]
    assert [repository_of(ARGS, one, runs) for one in runs] == [
        "me/age-xe-seed-1",
        "me/age-xe-seed-2",
        "me/age-xemd2-seed-1",
        "me/age-xemd2-seed-2",
    ]


def test_names_are_such_as_the_hub_takes():
    runs = [run("timm/vit_base from scratch", variant="3 bins"), run("res_f", fold=1)]
    assert repository_of(ARGS, runs[0], runs) == "me/age-timm-vit-base-from-scratch-3-bins-fold-0"
    assert repository_of(ARGS, runs[1], runs) == "me/age-res-f-fold-1"
