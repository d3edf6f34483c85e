"""`--push_to_hub` on a recipe, on two ranks: once, at the end, and again with the same command after a failure."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tests.hub.server import Fault, HubServer, environment, run_python

ROOT = Path(__file__).parents[2]
OPTIONS = (
    "--num_faces 150 --loss xe --seeds 1 --num_train_epochs 1 --dataloader_num_workers 0 --use_cpu True --push_to_hub"
)


def recipe(hub, folder, ranks=1, token="hf_me"):
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(ranks)] if ranks > 1 else []
    options = [*OPTIONS.split(), "--hub_model_id", "me/drawn", "--output_dir", folder / "out"]
    env = environment(hub, folder, token)
    return run_python(ROOT / "recipes" / "adience.py", env, ROOT, 300, flags=launch, arguments=options)


@pytest.mark.slow
def test_two_ranks_push_once_and_again_after_a_failure(tmp_path):
    with HubServer() as hub:
        hub.faults.append(Fault("POST", "/api/models/me/drawn/commit/main", status=503))
        first = recipe(hub, tmp_path, ranks=2)
        run = tmp_path / "out" / "small" / "xe" / "fold_0" / "seed_42"
        assert first.returncode != 0
        assert hub.faults[0].seen == 1
        assert f"{run} was not pushed to me/drawn: the Hub had a fault of its own (503). Wait a moment." in first.stderr
        trained = (run / "model.safetensors").read_bytes()
        second = recipe(hub, tmp_path, ranks=2)
        assert second.returncode == 0, second.stderr
        assert (run / "model.safetensors").read_bytes() == trained
        (commit,) = hub.repo("me/drawn").commits[1:]
    assert set(commit.files) == {"README.md", "config.json", "model.safetensors", "confusion_matrix.png"}
    assert commit.files["model.safetensors"] == trained
    card, results = ModelCard(commit.files["README.md"].decode()), json.loads((run / "all_results.json").read_text())
    measured = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert measured["AEM (exact match)"] == pytest.approx(results["eval_aem"], abs=1e-6)
    for name, content in commit.files.items():
        for secret in (str(tmp_path), "hf_me"):
            assert secret.encode() not in content, f"{secret} in {name}"


@pytest.mark.slow
def test_a_token_that_may_not_write_is_found_before_training(tmp_path):
    with HubServer() as hub:
        done = recipe(hub, tmp_path, token="hf_other")
    assert done.returncode == 1
    assert "me/drawn cannot be pushed to: your token may not write to me/drawn." in done.stderr
    assert not (tmp_path / "out").exists()
