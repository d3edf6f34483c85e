"""`--push_to_hub` on a recipe, on two ranks: once, at the end, and again with the same command where it failed."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tests.hub.clients import environment, run_python
from tests.hub.server import HubServer

ROOT = Path(__file__).parents[2]
OPTIONS = [
    "--num_faces",
    150,
    "--loss",
    "xe",
    "--num_train_epochs",
    1,
    "--dataloader_num_workers",
    0,
    "--use_cpu",
    True,
]


@pytest.fixture
def hub():
    with HubServer() as server:
        yield server


def recipe(hub, folder, *options, ranks=1, token="hf_me"):
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(ranks)] if ranks > 1 else []
    arguments = [*OPTIONS, "--output_dir", folder / "out", *options]
    return run_python(
        ROOT / "recipes" / "adience.py", environment(hub, folder, token), ROOT, 300, flags=launch, arguments=arguments
    )


@pytest.mark.slow
def test_two_ranks_push_once_and_again_where_it_failed(hub, tmp_path):
    fault = hub.fail("POST", "/api/models/me/drawn/commit/main", 503)
    push = ["--push_to_hub", "--hub_model_id", "me/drawn"]
    first = recipe(hub, tmp_path, *push, ranks=2)
    run = tmp_path / "out" / "small" / "xe" / "fold_0" / "seed_42"
    assert first.returncode != 0
    assert fault.seen == 1
    why = f"{run} was not pushed to me/drawn: the Hub had a fault of its own (503). Wait a moment."
    assert f"All runs are done; 1 of 1 were not pushed. The first: {why}" in first.stderr
    assert 'Traceback (most recent call last):\n  File "' + str(ROOT / "recipes") not in first.stderr
    trained = (run / "model.safetensors").read_bytes()

    second = recipe(hub, tmp_path, *push, ranks=2)
    assert second.returncode == 0, second.stderr
    assert "Pushed to me/drawn." in second.stdout
    assert "1 epochs" not in second.stdout  # nothing is trained again
    assert (run / "model.safetensors").read_bytes() == trained
    (commit,) = hub.repo("me/drawn").commits[1:]
    assert set(commit.files) == {"README.md", "config.json", "model.safetensors", "confusion_matrix.png"}
    assert commit.files["model.safetensors"] == trained
    text = commit.files["README.md"].decode()
    card, results = ModelCard(text), json.loads((run / "all_results.json").read_text())
    measured = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert measured["AEM (exact match)"] == pytest.approx(results["eval_aem"], abs=1e-6)
    command = "torchrun --nproc_per_node 2 recipes/adience.py --use_cpu True --num_faces 150 --num_train_epochs 1"
    assert f"{command} --dataloader_num_workers 0 --loss xe --fold 0 --seed 42" in text
    for name, content in commit.files.items():
        for secret in (str(tmp_path), "hf_me"):
            assert secret.encode() not in content, f"{secret} in {name}"


@pytest.mark.slow
def test_a_token_that_may_not_write_is_found_before_training(hub, tmp_path):
    done = recipe(hub, tmp_path, "--push_to_hub", "--hub_model_id", "me/drawn", token="hf_other")
    assert done.returncode == 1
    assert "adience.py: " in done.stderr
    assert "me/drawn cannot be pushed to: your token may not write to me/drawn." in done.stderr
    assert not (tmp_path / "out").exists()
