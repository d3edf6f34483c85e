"""From a Trainer to the Hub and back, over HTTP: what goes up, what comes down, and what is said where it fails."""

import copy
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
import transformers
from huggingface_hub import HfApi, ModelCard
from peft import LoraConfig
from PIL import Image
from tests.data.files import files_of
from tests.errors import message_of
from tests.hub.server import Fault, HubServer, client_of, environment, run_python
from tests.training.tiny import tiny_vit
from transformers import (
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BitImageProcessor,
    TimmWrapperConfig,
    TimmWrapperImageProcessor,
)

from squared_emd import EMDTrainer, EMDTrainingArguments, load_ground_distance, ordinal_metrics
from squared_emd.experiments.networks import (
    tiny_audio_config,
    tiny_feature_extractor,
    tiny_text_config,
    word_tokenizer,
)
from squared_emd.hub import UploadError, push_model
from squared_emd.training.calibration import write_calibration

HERE = Path(__file__).parent
MODEL = {"README.md", "config.json", "model.safetensors", "ground_distance.png"}
AGES = ["baby", "child", "teen", "adult", "senior"]
TEXT = "so good that it is a joy to read and read again"
K, SIZE, MANY = 5, 32, 300
pytestmark = pytest.mark.xdist_group("push")


def naming(names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}


def network(name, num_classes):
    """A tiny model with random weights, and its image processor."""
    names = naming(AGES if num_classes == K else [str(k) for k in range(num_classes)])
    torch.manual_seed(0)
    if name == "vit":
        side = {"height": SIZE, "width": SIZE}
        processor = BitImageProcessor(size=side, crop_size=side)
        return tiny_vit(num_classes, image_size=SIZE, patch_size=16, **names), processor
    described = timm.get_pretrained_cfg(name).to_dict() | {"input_size": (3, SIZE, SIZE), "test_input_size": None}
    config = TimmWrapperConfig(architecture=name, pretrained_cfg=described, **names)
    processor = TimmWrapperImageProcessor(described, architecture=name)
    return AutoModelForImageClassification.from_config(config), processor


def images(num_classes=K, count=40):
    noise = torch.Generator().manual_seed(1)
    return [
        {"pixel_values": torch.randn(3, SIZE, SIZE, generator=noise), "labels": k % num_classes} for k in range(count)
    ]


INPUTS = torch.stack([image["pixel_values"] for image in images()[:4]])


def trainer_of(folder, name="test_resnet", num_classes=K, **fields):
    model, processor = network(name, num_classes)
    data = images(num_classes, max(40, num_classes))
    fields = {"loss": "xemd2", "num_train_epochs": 3, "jump_start_epochs": 2, "per_device_train_batch_size": 8} | fields
    fields |= {"use_cpu": True, "disable_tqdm": True, "logging_strategy": "epoch"}
    args, metrics = EMDTrainingArguments(str(folder), **fields), ordinal_metrics()
    return EMDTrainer(
        model, args, train_dataset=data, eval_dataset=data, processing_class=processor, compute_metrics=metrics
    )


def logits_of(trainer):
    # A copy lies at the same alignment in another process; else convolutions differ in the last bit.
    with torch.no_grad():
        return copy.deepcopy(trainer.model).eval()(pixel_values=INPUTS).logits.numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pushed")


@pytest.fixture(scope="module")
def hub(folder):
    with HubServer() as server, client_of(server, folder):
        for name, fault in {"conflict": {"status": 409}, "live": {"status": 500}, "lost": {"after_bytes": 100}}.items():
            server.faults.append(Fault("POST", f"/api/models/me/{name}/commit/main", **fault))
        server.faults.append(Fault("PUT", "/lfs/", after_bytes=1000, times=2))
        yield server


@pytest.fixture(scope="module")
def age(hub, folder):
    """A model that is trained, evaluated and pushed; then trained longer and pushed again."""
    trainer, logits, distances = trainer_of(folder / "age", hub_model_id="age"), {}, {}
    trainer.train()
    metrics = trainer.evaluate()
    first = trainer.push_to_hub().oid
    logits["age at first"], distances["age at first"] = logits_of(trainer), trainer.criterion.ground_distance.tolist()
    trainer.train()
    trainer.push_to_hub(commit_message="Trained longer")
    logits["age"], distances["age"] = logits_of(trainer), trainer.criterion.ground_distance.tolist()
    return SimpleNamespace(folder=folder / "age", metrics=metrics, first=first, logits=logits, distances=distances)


@pytest.fixture(scope="module")
def many(hub, folder):
    """A model of many classes, pushed to a private repository."""
    fields = {"regularizer_weight": "1", "jump_start_epochs": 1, "num_train_epochs": 2, "learning_rate": 0.01}
    trainer = trainer_of(folder / "many", "vit", MANY, hub_model_id="me/many", **fields)
    trainer.train()
    trainer.push_to_hub(private=True)
    return SimpleNamespace(logits=logits_of(trainer), distance=trainer.criterion.ground_distance.half().tolist())


@pytest.fixture(scope="module")
def answers(hub, folder):
    """Of models of texts and of sounds, which are calibrated and pushed, the answers of their pipelines."""
    tokenizer = word_tokenizer([TEXT])
    torch.manual_seed(0)
    waves, found = torch.randn(20, 900).numpy(), {}
    np.save(folder / "sound.npy", waves[0])
    for task, model, processor, data, sample in (
        (
            "text-classification",
            AutoModelForSequenceClassification.from_config(tiny_text_config(tokenizer, **naming(AGES))),
            tokenizer,
            [tokenizer(TEXT[: 4 * k + 4]) | {"labels": k % K} for k in range(20)],
            TEXT,
        ),
        (
            "audio-classification",
            AutoModelForAudioClassification.from_config(tiny_audio_config(**naming(AGES))),
            tiny_feature_extractor(1000),
            [{"input_values": wave, "labels": k % K} for k, wave in enumerate(waves)],
            waves[0],
        ),
    ):
        args = EMDTrainingArguments(str(folder / task), loss="emd", use_cpu=True, disable_tqdm=True, num_train_epochs=1)
        trainer = EMDTrainer(model, args, train_dataset=data, processing_class=processor)
        trainer.train()
        trainer.calibrate(data, test_dataset=data)
        trainer.hub_model_id = HfApi().create_repo(f"me/{task}").repo_id
        trainer.push_to_hub()
        found[task] = transformers.pipeline(f"ordinal-{task}", model=f"me/{task}")(sample, coverage=0.9)
    return found


@pytest.fixture(scope="module")
def loaded(hub, folder, age, many, answers, tmp_path_factory):
    """What `load_program.py` saw without squared_emd, and the logits it computed."""
    own = tmp_path_factory.mktemp("loaded")
    np.savez(folder / "logits.npz", inputs=INPUTS.numpy(), many=many.logits, **age.logits)
    arguments = [folder, own, age.first]
    done = run_python(HERE / "load_program.py", environment(hub, own), own, 300, arguments=arguments)
    assert done.returncode == 0, done.stderr
    return json.loads((own / "loaded.json").read_text()), np.load(own / "loaded.npz")


class TestPush:
    def test_what_goes_up(self, hub, folder, age, many):
        beside = {"ground_distance.safetensors", "preprocessor_config.json"}  # that of a timm model is its config
        for repo, files in {"me/age": MODEL, "me/many": MODEL | beside}.items():
            assert {frozenset(commit.files) for commit in hub.repo(repo).commits[1:]} == {frozenset(files)}
            for name, content in hub.repo(repo).files().items():
                for secret in (str(folder), str(Path.home()), "hf_me"):
                    assert secret.encode() not in content, f"{secret} in {name} of {repo}"

    def test_one_commit_a_push(self, hub, age, many):
        assert [commit.message for commit in hub.repo("me/age").commits[1:3]] == ["End of training", "Trained longer"]
        assert hub.repo("me/many").private
        assert not hub.repo("me/age").private

    def test_a_card_that_was_written_by_hand_on_the_hub_stays(self, hub, age):
        HfApi().upload_file(path_or_fileobj=b"My own words.", path_in_repo="README.md", repo_id="me/age")
        push_model(age.folder, "me/age")
        push_model(age.folder, "me/age", message="Again")
        assert len(hub.repo("me/age").commits) == 4  # two pushes, the card; the same weights again are no commit
        assert hub.repo("me/age").files()["README.md"] == b"My own words."

    def test_training_goes_on_where_an_upload_fails(self, hub, folder, caplog):
        """Each epoch's model is pushed while training goes on; the first upload fails."""
        fields = {"push_to_hub": True, "save_strategy": "epoch", "hub_always_push": True, "save_total_limit": 1}
        trainer_of(folder / "live", hub_model_id="me/live", **fields).train()
        again = f"Then try again: squared-emd push {folder / 'live'} me/live"
        assert [message for message in caplog.messages if "was not pushed" in message] == [
            f"{folder / 'live'} was not pushed to me/live: the Hub had a fault of its own (500). Wait a moment. The "
            f"folder is unchanged, and the repository has all of it or nothing new. {again}"
        ]
        commits = hub.repo("me/live").commits[1:]
        messages = ["Training in progress, step 10", "Training in progress, step 15"]  # 5 failed
        assert [commit.message for commit in commits] == messages
        assert all(set(commit.files) == MODEL for commit in commits)

    def test_the_card_has_the_evaluation_of_these_weights(self, hub, age):
        first, second = (commit.files["README.md"].decode() for commit in hub.repo("me/age").commits[1:3])
        results = {result.metric_name: result.metric_value for result in ModelCard(first).data.eval_results}
        names = {
            "AEM (exact match)": "aem",
            "AEO (within one class)": "aeo",
            "MAE in classes": "mae",
            "Squared EMD": "squared_emd",
            "Negative log-likelihood": "nll",
            "Expected calibration error": "ece",
        }
        expected = {shown: age.metrics[f"eval_{name}"] for shown, name in names.items()}
        assert results == pytest.approx(expected, abs=1e-6)
        assert "Tested on **40 samples**" in first
        assert ModelCard(second).data.eval_results is None  # it was trained longer, and not evaluated since
        assert "not run" in second


class TestLoad:
    @pytest.mark.parametrize("name", ["age", "age at first", "many"])
    def test_without_this_package(self, age, many, loaded, name):
        seen, logits = loaded
        np.testing.assert_array_equal(logits[name], many.logits if name == "many" else age.logits[name])
        assert set(seen[name]["shown"]) == {str(k) for k in range(MANY)} if name == "many" else set(AGES)
        assert {entry["label"]: entry["score"] for entry in seen[name]["pipeline"]} == pytest.approx(
            seen[name]["shown"], abs=1e-6
        )

    def test_two_revisions(self, age, loaded):
        seen, logits = loaded
        assert not np.array_equal(logits["age"], logits["age at first"])
        for name, revision in (("age", None), ("age at first", age.first)):
            assert seen[name]["ground_distance"] == pytest.approx(np.array(age.distances[name]), abs=1e-6)
            assert load_ground_distance("me/age", revision=revision).tolist() == seen[name]["ground_distance"]
            assert seen[name]["emd"]["class_names"] == AGES

    def test_many_classes(self, many, loaded):
        assert loaded[0]["many"]["ground_distance"] == load_ground_distance("me/many").tolist() == many.distance

    def test_an_adapter_with_d_beside_it(self, hub, folder):
        trainer = trainer_of(folder / "adapter", "vit", hub_model_id="me/adapter", num_train_epochs=3)
        trainer.model.add_adapter(LoraConfig(r=2, target_modules=["q_proj", "classifier"]))
        trainer.train()
        trainer.push_to_hub()
        assert load_ground_distance("me/adapter").tolist() == trainer.criterion.ground_distance.float().tolist()

    def test_pipeline(self, age, loaded):
        image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)  # as load_program.py has it
        classify = transformers.pipeline("ordinal-image-classification", model="me/age")
        answer, shown = classify(Image.fromarray(image), rule="min_distance"), loaded[0]["age"]["shown"]
        assert {entry["label"]: entry["score"] for entry in answer["distribution"]} == pytest.approx(shown, abs=1e-6)
        expected = np.array(list(shown.values())) @ np.array(loaded[0]["age"]["ground_distance"])
        assert answer["label"] == AGES[expected.argmin()]

    @pytest.mark.parametrize("task", ["text-classification", "audio-classification"])
    def test_texts_and_sounds(self, hub, answers, loaded, task):
        """With transformers alone and with the pipeline for ordered classes, which has an interval besides."""
        shares = {entry["label"]: entry["score"] for entry in answers[task]["distribution"]}
        assert loaded[0][task] == pytest.approx(shares, abs=1e-6) and list(shares) == AGES
        low, high = map(AGES.index, answers[task]["interval"])
        assert low <= AGES.index(answers[task]["label"]) <= high
        card = hub.repo(f"me/{task}").files()["README.md"].decode()
        assert ModelCard(card).data.pipeline_tag == task
        assert f'pipeline("ordinal-{task}", model="me/{task}")' in card and "| 0.9 | " in card

    def test_a_copy_is_calibrated(self, hub, answers, tmp_path):
        splits = ("train", "validation", "test")
        rows = [f"{TEXT[: 2 * k + 8]},{AGES[k % K]},{split}" for split in splits for k in range(20)]
        texts, copied = str(tmp_path / "texts.csv"), tmp_path / "copy"
        Path(texts).write_text("\n".join(["text,label,split", *rows]))
        write_calibration("me/text-classification", texts, coverage=[0.5], output_dir=copied)
        first, second = json.loads((copied / "config.json").read_text())["emd"]["intervals"]
        assert (first["coverage"], first["num_samples"], first["held_out"]["num_samples"]) == (0.5, 20, 20)
        files = hub.repo("me/text-classification").files()
        assert json.loads(files["config.json"])["emd"]["intervals"] == [second]
        assert (copied / "model.safetensors").read_bytes() == files["model.safetensors"]
        assert "| 0.5 | " in (copied / "README.md").read_text()
        assert message_of(ValueError, write_calibration, "me/text-classification", texts, output_dir=copied) == (
            f"{copied} must be a new or an empty folder, it has files. Give another output_dir."
        )
        is_missing = message_of(ValueError, write_calibration, "me/nothing", texts, output_dir=tmp_path / "new")
        assert is_missing.startswith("the model 'me/nothing' cannot be loaded: 404 Client Error")

    @pytest.mark.parametrize(
        ("name", "options", "error"),
        [
            ("me/private", {"token": False}, "RepositoryNotFoundError"),
            ("me/nothing", {}, "RepositoryNotFoundError"),
            ("me/age", {"revision": "v9"}, "RevisionNotFoundError"),
            ("no repository", {}, "HFValidationError"),
            ("me/empty", {}, "RemoteEntryNotFoundError"),
        ],
    )
    def test_where_there_is_no_distance_to_load(self, age, name, options, error):
        HfApi().create_repo("me/empty", exist_ok=True)
        HfApi().create_repo("me/private", private=True, exist_ok=True)
        assert message_of(FileNotFoundError, load_ground_distance, name, **options) == (
            f"the ground distance of {name!r} could not be loaded: it must be a folder with a saved model, or a "
            "repository of the Hub that you may read, with config.json at the revision "
            f"{options.get('revision', 'main')!r}; got {error}. Check the names; if the repository is private or "
            "gated, log in with `hf auth login` or give token; if the Hub cannot be reached, try again later."
        )


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("me/conflict", "the repository is being changed by someone else at this time. Wait a moment."),
            ("me/lost", "the connection was lost, or there is none (RemoteProtocolError: Server disconnected without "
             "sending a response). See that the Hub can be reached."),
            ("other/age", "your token may not write to other/age. Use one that may, or a repository of your own."),
            ("me/a/b", "a repository of the Hub is named as in 'me/age', got 'me/a/b'. Give such a name."),
            ("me/new", "the Hub does not know you: there is no token, or not a valid one. Log in with `hf auth login`, "
             "or set HF_TOKEN to a token that may write."),
        ],
    )  # fmt: skip
    def test_what_is_said(self, hub, age, monkeypatch, name, why):
        """The folder is as it was, but for the card, which names the repository."""
        if name == "me/new":
            monkeypatch.delenv("HF_TOKEN")
        before = files_of(age.folder)
        assert message_of(UploadError, push_model, age.folder, name) == (
            f"{age.folder} was not pushed to {name}: {why} The folder is unchanged, and the repository has all of it "
            f"or nothing new. Then try again: squared-emd push {age.folder} "
            + ("REPOSITORY" if name == "me/a/b" else name)
        )
        assert files_of(age.folder) | {"README.md": b""} == before | {"README.md": b""}
        if name in ("me/conflict", "me/lost"):
            assert hub.repo(name).files() == {}
        else:
            with pytest.raises(KeyError):
                hub.repo(name)

    def test_the_next_try_after_a_lost_connection(self, hub, age):
        push_model(age.folder, "me/lost")
        (commit,) = hub.repo("me/lost").commits[1:]
        assert set(commit.files) == MODEL
        assert commit.files["model.safetensors"] == (age.folder / "model.safetensors").read_bytes()

    def test_a_connection_lost_while_weights_are_sent(self, hub, folder, many):
        """The client repeats it."""
        assert hub.faults[-1].seen == 2
        assert hub.repo("me/many").files()["model.safetensors"] == (folder / "many" / "model.safetensors").read_bytes()
