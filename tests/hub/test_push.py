"""From a Trainer to the Hub and back, over HTTP: what goes up, what comes down, and what is said where it fails."""

import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from tests.hub import push_program
from tests.hub.server import Fault, HubServer, environment, run_python
from tests.ranks import in_fork

HERE = Path(__file__).parent
MODEL = {"README.md", "config.json", "model.safetensors"}
AGES = ["baby", "child", "teen", "adult", "senior"]
pytestmark = pytest.mark.xdist_group("push")


@pytest.fixture(scope="module")
def hub():
    with HubServer() as server:
        for name, fault in {"conflict": {"status": 409}, "live": {"status": 500}, "lost": {"after_bytes": 100}}.items():
            server.faults.append(Fault("POST", f"/api/models/me/{name}/commit/main", **fault))
        server.faults.append(Fault("PUT", "/lfs/", after_bytes=1000, times=2))
        yield server


@pytest.fixture(scope="module")
def pushed(hub, tmp_path_factory):
    """The folder of `push_program.py` once it has run, and what it saw."""
    folder = tmp_path_factory.mktemp("pushed")
    in_fork(push_program.main, hub, folder)
    return folder, json.loads((folder / "seen.json").read_text())


@pytest.fixture(scope="module")
def loaded(hub, pushed, tmp_path_factory):
    """What `load_program.py` saw without squared_emd, and the logits it computed."""
    folder, seen = pushed
    own = tmp_path_factory.mktemp("loaded")
    arguments = [folder, own, seen["first"]]
    done = run_python(HERE / "load_program.py", environment(hub, own), own, 300, arguments=arguments)
    assert done.returncode == 0, done.stderr
    return json.loads((own / "loaded.json").read_text()), np.load(own / "loaded.npz")


class TestPush:
    @pytest.mark.parametrize(
        ("repo", "more"),
        [
            ("me/age", {"ground_distance.png"}),  # the image processor of a timm model is its config
            ("me/many", {"ground_distance.png", "ground_distance.safetensors", "preprocessor_config.json"}),
            ("me/live", {"ground_distance.png"}),
        ],
    )
    def test_what_goes_up(self, hub, pushed, repo, more):
        for commit in hub.repo(repo).commits[1:]:
            assert set(commit.files) == MODEL | more

    def test_no_folder_of_this_machine_goes_up(self, hub, pushed):
        folder, _ = pushed
        for repo in ("me/age", "me/many", "me/live"):
            for name, content in hub.repo(repo).files().items():
                for secret in (str(folder), str(Path.home()), "hf_me"):
                    assert secret.encode() not in content, f"{secret} in {name} of {repo}"

    def test_one_commit_a_push(self, hub, pushed):
        assert [commit.message for commit in hub.repo("me/age").commits[1:3]] == ["End of training", "Trained longer"]
        assert hub.repo("me/many").private
        assert not hub.repo("me/age").private

    def test_a_card_that_was_written_by_hand_on_the_hub_stays(self, hub, pushed):
        assert len(hub.repo("me/age").commits) == 4  # two pushes, the card; the same weights again are no commit
        assert hub.repo("me/age").files()["README.md"] == b"My own words."

    def test_training_goes_on_where_an_upload_fails(self, hub, pushed):
        folder, seen = pushed
        messages = [commit.message for commit in hub.repo("me/live").commits[1:]]
        again = f"Then try again: squared-emd push {folder / 'live'} me/live"
        assert [message for message in seen["logged while training"] if "was not pushed" in message] == [
            f"{folder / 'live'} was not pushed to me/live: the Hub had a fault of its own (500). Wait a moment. The "
            f"folder is unchanged, and the repository has all of it or nothing new. {again}"
        ]
        assert messages == ["Training in progress, step 10", "Training in progress, step 15"]  # 5 failed

    def test_the_card_has_the_evaluation_of_these_weights(self, hub, pushed):
        _, seen = pushed
        first, second = (commit.files["README.md"].decode() for commit in hub.repo("me/age").commits[1:3])
        results = {result.metric_name: result.metric_value for result in ModelCard(first).data.eval_results}
        expected = {
            "AEM (exact match)": seen["metrics"]["eval_aem"],
            "AEO (within one class)": seen["metrics"]["eval_aeo"],
            "MAE in classes": seen["metrics"]["eval_mae"],
            "Squared EMD": seen["metrics"]["eval_squared_emd"],
            "Negative log-likelihood": seen["metrics"]["eval_nll"],
            "Expected calibration error": seen["metrics"]["eval_ece"],
        }
        assert results == pytest.approx(expected, abs=1e-6)
        assert "Tested on **40 samples**" in first
        assert ModelCard(second).data.eval_results is None  # it was trained longer, and not evaluated since
        assert "not run" in second


class TestLoad:
    @pytest.mark.parametrize("name", ["age", "age at first", "many"])
    def test_without_this_package(self, pushed, loaded, name):
        folder, _ = pushed
        seen, logits = loaded
        with np.load(folder / "logits.npz") as saved:
            np.testing.assert_array_equal(logits[name], saved[name])
        assert set(seen[name]["shown"]) == {str(k) for k in range(300)} if name == "many" else set(AGES)
        assert {entry["label"]: entry["score"] for entry in seen[name]["pipeline"]} == pytest.approx(
            seen[name]["shown"], abs=1e-6
        )

    def test_two_revisions(self, pushed, loaded):
        _, logits = loaded
        assert not np.array_equal(logits["age"], logits["age at first"])
        for name, suffix in (("age", ""), ("age at first", " at first")):
            expected = pushed[1]["distance" + suffix]
            assert loaded[0][name]["ground_distance"] == pytest.approx(np.array(expected), abs=1e-6)
            assert loaded[0][name]["emd"]["class_names"] == AGES

    def test_many_classes(self, pushed, loaded):
        _, seen = pushed
        assert loaded[0]["many"]["ground_distance"] == seen["distance of many"]
        assert seen["D of many"] == seen["distance of many"]

    def test_load_ground_distance(self, pushed, loaded):
        _, seen = pushed
        assert seen["D"] == loaded[0]["age"]["ground_distance"]
        assert seen["D at first"] == loaded[0]["age at first"]["ground_distance"]
        assert seen["D of an adapter"] == seen["distance of an adapter"]

    def test_pipeline(self, pushed, loaded):
        _, seen = pushed
        answer, shown = seen["answer"], loaded[0]["age"]["shown"]
        assert {entry["label"]: entry["score"] for entry in answer["distribution"]} == pytest.approx(shown, abs=1e-6)
        expected = np.array(list(shown.values())) @ np.array(seen["D"])
        assert answer["label"] == AGES[expected.argmin()]

    @pytest.mark.parametrize("task", ["text-classification", "audio-classification"])
    def test_texts_and_sounds(self, hub, pushed, loaded, task):
        """With transformers alone and with the pipeline for ordered classes, which has an interval besides."""
        answer = pushed[1]["answers"][task]
        shares = {entry["label"]: entry["score"] for entry in answer["distribution"]}
        assert loaded[0][task] == pytest.approx(shares, abs=1e-6) and list(shares) == AGES
        low, high = map(AGES.index, answer["interval"])
        assert low <= AGES.index(answer["label"]) <= high
        card = hub.repo(f"me/{task}").files()["README.md"].decode()
        assert ModelCard(card).data.pipeline_tag == task
        assert f'pipeline("ordinal-{task}", model="me/{task}")' in card and "| 0.9 | " in card

    def test_a_copy_is_calibrated(self, hub, pushed):
        folder, seen = pushed
        first, second = seen["calibrated copy"]
        assert (first["coverage"], first["num_samples"], first["held_out"]["num_samples"]) == (0.5, 20, 20)
        config = json.loads(hub.repo("me/text-classification").files()["config.json"])
        assert config["emd"]["intervals"] == [second]
        weights = hub.repo("me/text-classification").files()["model.safetensors"]
        assert (folder / "copy" / "model.safetensors").read_bytes() == weights
        assert "| 0.5 | " in (folder / "copy" / "README.md").read_text()
        has_files, is_missing = seen["no copy"]
        assert (
            has_files == f"{folder / 'copy'} must be a new or an empty folder, it has files. Give another output_dir."
        )
        assert is_missing.startswith("the model 'me/nothing' cannot be loaded: 404 Client Error")

    def test_where_there_is_no_distance_to_load(self, pushed):
        why = {
            "me/many": ("main", "RepositoryNotFoundError"),  # private, without a token
            "me/nothing": ("main", "RepositoryNotFoundError"),
            "me/age": ("v9", "RevisionNotFoundError"),
            "no repository": ("main", "HFValidationError"),
            "me/empty": ("main", "RemoteEntryNotFoundError"),
        }
        assert pushed[1]["no D"] == {
            name: f"the ground distance of {name!r} could not be loaded: it must be a folder with a saved model, or a "
            f"repository of the Hub that you may read, with config.json at the revision {revision!r}; got {error}. "
            "Check the names; if the repository is private or gated, log in with `hf auth login` or give token; if the "
            "Hub cannot be reached, try again later."
            for name, (revision, error) in why.items()
        }


class TestFailures:
    def test_what_is_said(self, pushed):
        folder, seen = pushed
        why = {
            "me/conflict": "the repository is being changed by someone else at this time. Wait a moment.",
            "me/lost": "the connection was lost, or there is none (RemoteProtocolError: Server disconnected without "
            "sending a response). See that the Hub can be reached.",
            "other/age": "your token may not write to other/age. Use one that may, or a repository of your own.",
            "me/a/b": "a repository of the Hub is named as in 'me/age', got 'me/a/b'. Give such a name.",
            "me/new": "the Hub does not know you: there is no token, or not a valid one. Log in with `hf auth login`, "
            "or set HF_TOKEN to a token that may write.",
        }
        assert seen["failures"] == {
            name: f"{folder / 'age'} was not pushed to {name}: {reason} The folder is unchanged, and the "
            f"repository has all of it or nothing new. Then try again: squared-emd push {folder / 'age'} "
            + ("REPOSITORY" if name == "me/a/b" else name)
            for name, reason in why.items()
        }

    def test_nothing_is_left_in_the_repository(self, hub, pushed):
        assert hub.repo("me/conflict").files() == {}
        with pytest.raises(KeyError):
            hub.repo("me/new")

    def test_the_next_try_after_a_lost_connection(self, hub, pushed):
        commits = hub.repo("me/lost").commits[1:]
        assert [set(commit.files) for commit in commits] == [MODEL | {"ground_distance.png"}]
        assert commits[0].files["model.safetensors"] == hub.repo("me/age").files()["model.safetensors"]

    def test_a_connection_lost_while_weights_are_sent(self, hub, pushed):
        """The client repeats it."""
        folder, _ = pushed
        assert hub.faults[-1].seen == 2
        assert hub.repo("me/many").files()["model.safetensors"] == (folder / "many" / "model.safetensors").read_bytes()
