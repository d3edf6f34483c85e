from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from squared_emd.experiments import ExperimentArguments
from squared_emd.experiments.command import command_of
from squared_emd.experiments.plan import Run


def run(loss="xemd2", model="small", fold=0, seed=42, options=()):
    experiment = SimpleNamespace(model="small", options=options, variant="")
    return Run(model, model, loss, fold, seed, Path("out"), experiment)


def args(**changes):
    fields = {"world_size": 1, "device": torch.device("cpu"), "told_by_variant": (), "ground_distance": None}
    fields |= {"num_folds": 5, "validate": False, "seeds": 1, "seed": 42}
    fields |= {"geometry": None, "output_dir": "out", "without_other_losses": lambda loss: {}}
    return SimpleNamespace(**fields | {"select_rate": False, "select_strength": False} | changes)


@pytest.mark.parametrize(
    ("typed", "of", "expected"),
    [
        ("adience.py", run(), "recipes/adience.py --loss xemd2 --fold 0 --seed 42"),
        (
            "/home/me/squared-emd/recipes/adience.py --loss all --fold=all --seeds 3 --output_dir /home/me/out",
            run("emd", fold=3, seed=44),
            "recipes/adience.py --loss emd --fold 3 --seed 44",
        ),
        (
            "adience.py --data_dir /data/adience --num-train-epochs 5 --model alxs res --push_to_hub --hub_token t",
            run("xe", model="alxs"),
            "recipes/adience.py --data_dir DIR --num_train_epochs 5 --model alxs --loss xe --fold 0 --seed 42",
        ),
        (
            "adience.py --loss all --learning_rate select --redo --bf16 True",
            run("a-emd"),
            "recipes/adience.py --learning_rate select --bf16 True --loss xemd2,a-emd --fold 0 --seed 42",
        ),
        (
            "own_data.py --data_dir me/pictures",
            run(),
            "recipes/own_data.py --data_dir me/pictures --loss xemd2 --fold 0 --seed 42",
        ),
    ],
)
def test_what_was_typed_for_one_run(typed, of, expected):
    assert command_of(typed.split(), args(), of) == f"accelerate launch {expected}"


def test_folders_are_not_told(tmp_path):
    matrix = tmp_path / "d.npy"
    matrix.touch()
    typed = ["a.py", "--data_dir", str(tmp_path), "--ground_distance", str(matrix), "--model", str(tmp_path)]
    got = command_of(typed, args(ground_distance=str(matrix)), run("a-emd", model=str(tmp_path)))
    assert got == (
        "accelerate launch recipes/a.py --data_dir DIR --ground_distance FILE --model DIR --loss a-emd --fold 0 "
        "--seed 42"
    )


def test_options_of_other_losses_are_left_out(tmp_path):
    given = {"output_dir": str(tmp_path), "loss": "all", "use_cpu": True, "geometry": "line", "prior_weight": 0.5}
    words = ["own_data.py", "--loss", "all", "--geometry", "line", "--prior_weight", "0.5"]
    of = {loss: command_of(words, ExperimentArguments(**given), run(loss)) for loss in ("xe", "emd", "xemd2", "a-emd")}
    start = "accelerate launch recipes/own_data.py"
    assert of == {
        "xe": f"{start} --loss xe --seed 42",
        "emd": f"{start} --geometry line --loss emd --seed 42",
        "xemd2": f"{start} --geometry line --prior_weight 0.5 --loss xemd2 --seed 42",
        "a-emd": f"{start} --geometry line --prior_weight 0.5 --loss xemd2,a-emd --seed 42",
    }


def test_a_variant_and_one_fold():
    typed = ["aadb.py", "--bins", "ensemble"]
    got = command_of(typed, args(told_by_variant=("bins",), num_folds=1), run(options=("--bins", "8")))
    assert got == "accelerate launch recipes/aadb.py --loss xemd2 --seed 42 --bins 8"


@pytest.mark.parametrize(
    ("device", "start"),
    [
        ("cpu", "torchrun --nproc_per_node 2 recipes/a.py --use_cpu True"),
        ("cuda", "accelerate launch --multi_gpu --num_processes 2 recipes/a.py"),
    ],
)
def test_several_ranks(device, start):
    typed = ["a.py", "--use_cpu", "True"]
    got = command_of(typed, args(world_size=2, device=torch.device(device)), run())
    assert got == f"{start} --loss xemd2 --fold 0 --seed 42"


def test_what_several_seeds_share_is_chosen_with_the_first():
    typed = ["adience.py", "--seeds", "3", "--learning_rate", "select"]
    got = command_of(typed, args(seeds=3, select_rate=True), run(seed=44))
    assert got.endswith("--learning_rate select --loss xemd2 --fold 0 --seed 42 --seeds 3")


def test_a_folder_of_the_same_name_changes_no_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "100").mkdir()
    got = command_of(["adience.py", "--num_faces", "100", "--data_dir", "100"], args(), run())
    assert "--num_faces 100 --data_dir DIR" in got
