"""Trains tiny models on random images and pushes them; `test_push.py` runs it in a process of its own.

What it saw goes into the folder that it is given: `seen.json`, and the inputs and logits of each model in `logits.npz`.
"""

import copy
import json
import logging
import os

import numpy as np
import timm
import torch
import transformers
from huggingface_hub import HfApi
from peft import LoraConfig
from PIL import Image
from tests.data.files import files_of, message_of
from tests.hub.server import become_client
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

K, SIZE, MANY = 5, 32, 300
AGES = ["baby", "child", "teen", "adult", "senior"]
TEXT = "so good that it is a joy to read and read again"


def network(name, num_classes=K):
    """A tiny model with random weights, and its image processor."""
    names = AGES if num_classes == K else [str(k) for k in range(num_classes)]
    naming = {"id2label": dict(enumerate(names)), "label2id": {label: k for k, label in enumerate(names)}}
    torch.manual_seed(0)
    if name == "vit":
        side = {"height": SIZE, "width": SIZE}
        processor = BitImageProcessor(size=side, crop_size=side)
        return tiny_vit(num_classes, image_size=SIZE, patch_size=16, **naming), processor
    described = timm.get_pretrained_cfg(name).to_dict() | {"input_size": (3, SIZE, SIZE), "test_input_size": None}
    config = TimmWrapperConfig(architecture=name, pretrained_cfg=described, **naming)
    processor = TimmWrapperImageProcessor(described, architecture=name)
    return AutoModelForImageClassification.from_config(config), processor


def images(num_classes=K, count=40):
    noise = torch.Generator().manual_seed(1)
    return [
        {"pixel_values": torch.randn(3, SIZE, SIZE, generator=noise), "labels": k % num_classes} for k in range(count)
    ]


def others():
    """By task: a tiny model of texts or of sounds, its processor, data to train on, and a sample."""
    naming = {"id2label": dict(enumerate(AGES)), "label2id": {label: k for k, label in enumerate(AGES)}}
    tokenizer, extractor = word_tokenizer([TEXT]), tiny_feature_extractor(1000)
    torch.manual_seed(0)
    waves = torch.randn(20, 900).numpy()
    return {
        "text-classification": (
            AutoModelForSequenceClassification.from_config(tiny_text_config(tokenizer, **naming)),
            tokenizer,
            [tokenizer(TEXT[: 4 * k + 4]) | {"labels": k % K} for k in range(20)],
            TEXT,
        ),
        "audio-classification": (
            AutoModelForAudioClassification.from_config(tiny_audio_config(**naming)),
            extractor,
            [{"input_values": wave, "labels": k % K} for k, wave in enumerate(waves)],
            waves[0],
        ),
    }


def trainer_of(folder, name="test_resnet", num_classes=K, **fields):
    model, processor = network(name, num_classes)
    data = images(num_classes, max(40, num_classes))
    fields = {"loss": "xemd2", "num_train_epochs": 3, "jump_start_epochs": 2, "per_device_train_batch_size": 8} | fields
    fields |= {"use_cpu": True, "disable_tqdm": True, "logging_strategy": "epoch"}
    args = EMDTrainingArguments(str(folder), **fields)
    metrics = ordinal_metrics()
    return EMDTrainer(
        model, args, train_dataset=data, eval_dataset=data, processing_class=processor, compute_metrics=metrics
    )


def contents(folder):
    content = files_of(folder)
    del content["README.md"]  # which names the repository
    return content


def main(hub, folder):
    become_client(hub, folder)
    transformers.utils.logging.set_verbosity_error()
    seen, logits = {}, {}
    inputs = torch.stack([image["pixel_values"] for image in images()[:4]])

    def note(name, trainer):
        # a copy is at the same alignment in both programs; else convolutions differ in the last bit
        with torch.no_grad():
            logits[name] = copy.deepcopy(trainer.model).eval()(pixel_values=inputs).logits.numpy()

    # A model that is trained, evaluated and pushed; then another revision of it.
    trainer = trainer_of(folder / "age", hub_model_id="age")
    trainer.train()
    seen["metrics"] = trainer.evaluate()
    first = trainer.push_to_hub()
    note("age at first", trainer)
    seen["first"], seen["distance at first"] = first.oid, trainer.criterion.ground_distance.tolist()
    trainer.train()
    trainer.push_to_hub(commit_message="Trained longer")
    note("age", trainer)
    seen["distance"] = trainer.criterion.ground_distance.tolist()

    # The card was written by hand on the Hub: it stays.
    HfApi().upload_file(path_or_fileobj=b"My own words.", path_in_repo="README.md", repo_id="me/age")
    push_model(folder / "age", "me/age")
    push_model(folder / "age", "me/age", message="Again")

    # Many classes, in a private repository.
    fields = {"regularizer_weight": "1", "jump_start_epochs": 1, "num_train_epochs": 2, "learning_rate": 0.01}
    trainer = trainer_of(folder / "many", "vit", MANY, hub_model_id="me/many", **fields)
    trainer.train()
    trainer.push_to_hub(private=True)
    note("many", trainer)
    seen["distance of many"] = trainer.criterion.ground_distance.half().tolist()

    # An adapter: D lies beside it.
    trainer = trainer_of(folder / "adapter", "vit", hub_model_id="me/adapter", num_train_epochs=3)
    trainer.model.add_adapter(LoraConfig(r=2, target_modules=["q_proj", "classifier"]))
    trainer.train()
    trainer.push_to_hub()
    seen["distance of an adapter"] = trainer.criterion.ground_distance.float().tolist()

    # Each epoch's model is pushed while training goes on; the first upload fails.
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger("squared_emd").addHandler(handler)
    fields = {"push_to_hub": True, "save_strategy": "epoch", "hub_always_push": True, "save_total_limit": 1}
    trainer_of(folder / "live", hub_model_id="me/live", **fields).train()
    seen["logged while training"] = records

    # Uploads that fail: the message, and what becomes of the folder.
    before, seen["failures"] = contents(folder / "age"), {}
    for name in ("me/conflict", "me/lost", "other/age", "me/a/b", "me/new"):
        if name == "me/new":
            token = os.environ.pop("HF_TOKEN")
        seen["failures"][name] = message_of(UploadError, push_model, folder / "age", name)
        assert contents(folder / "age") == before
    os.environ["HF_TOKEN"] = token
    push_model(folder / "age", "me/lost")

    # D of a repository, a revision, and where it cannot be had.
    HfApi().create_repo("me/empty")
    unread = {"me/many": {"token": False}, "me/age": {"revision": "v9"}}
    unread |= {name: {} for name in ("me/nothing", "no repository", "me/empty")}
    seen["no D"] = {
        name: message_of(FileNotFoundError, load_ground_distance, name, **options) for name, options in unread.items()
    }
    seen["D"] = load_ground_distance("me/age").tolist()
    seen["D at first"] = load_ground_distance("me/age", revision=first.oid).tolist()
    seen["D of an adapter"] = load_ground_distance("me/adapter").tolist()
    seen["D of many"] = load_ground_distance("me/many").tolist()

    # Texts and sounds.
    seen["answers"] = {}
    for task, (model, processor, data, sample) in others().items():
        args = EMDTrainingArguments(str(folder / task), loss="emd", use_cpu=True, disable_tqdm=True, num_train_epochs=1)
        trainer = EMDTrainer(model, args, train_dataset=data, processing_class=processor)
        trainer.train()
        trainer.calibrate(data, test_dataset=data)
        trainer.hub_model_id = HfApi().create_repo(f"me/{task}").repo_id
        trainer.push_to_hub()
        judge = transformers.pipeline(f"ordinal-{task}", model=f"me/{task}")
        seen["answers"][task] = judge(sample, coverage=0.9)
        if task == "audio-classification":
            np.save(folder / "sound.npy", sample)

    # A copy of a model of the Hub is calibrated anew.
    rows = [
        f"{TEXT[: 2 * k + 8]},{AGES[k % K]},{split}" for split in ("train", "validation", "test") for k in range(20)
    ]
    (folder / "texts.csv").write_text("\n".join(["text,label,split", *rows]))
    options = {"coverage": [0.5], "output_dir": folder / "copy"}
    write_calibration("me/text-classification", str(folder / "texts.csv"), **options)
    seen["calibrated copy"] = json.loads((folder / "copy" / "config.json").read_text())["emd"]["intervals"]
    seen["no copy"] = [
        message_of(ValueError, write_calibration, name, str(folder / "texts.csv"), output_dir=folder / place)
        for name, place in (("me/text-classification", "copy"), ("me/nothing", "new"))
    ]

    classify = transformers.pipeline("ordinal-image-classification", model="me/age")
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    seen["answer"] = classify(Image.fromarray(image), rule="min_distance")
    np.savez(folder / "logits.npz", inputs=inputs.numpy(), **logits)
    (folder / "seen.json").write_text(json.dumps(seen))
