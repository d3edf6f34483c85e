"""Runs the Python blocks of a page in their order, in one namespace, where the files lie that they name.

`python tests/docs/run_page.py docs/tutorial.md docs/checkpoints.md` runs each in an empty folder.
"""

import importlib.util
import os
import sys
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import soundfile
import torch
from datasets import Dataset
from PIL import Image
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from tests.docs.pages import ROOT, name_of
from tests.training.tiny import tiny_vit
from torch import nn
from transformers import (
    AutoModel,
    ResNetConfig,
    ResNetForImageClassification,
    Trainer,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
    pipeline,
)

import squared_emd
from squared_emd import EMDTrainer, EMDTrainingArguments
from squared_emd.evaluate_modules import write_space
from squared_emd.experiments.networks import (
    tiny_audio_config,
    tiny_feature_extractor,
    tiny_text_config,
    word_tokenizer,
)

K, SIDE = 8, 8
AGES = ("child", "teenager", "adult", "senior")


def run(page):
    """Run all blocks but those that are marked to be skipped; what a page needs beforehand is put into this folder."""
    document = document_of(page)
    document.namespace.update(BEFORE.get(name_of(page), dict)() if page.is_relative_to(ROOT) else {})
    for example in document.examples():
        example.evaluate()


@contextmanager
def chdir(folder):  # contextlib's needs Python 3.11
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def document_of(page):
    sybil = Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], encoding="utf-8")
    return sybil.parse(page)


def pictures(count=24):
    generator = torch.Generator().manual_seed(0)
    labels = [k % K for k in range(count)]
    return [{"pixel_values": torch.randn(3, SIDE, SIDE, generator=generator) + k, "labels": k} for k in labels]


def faces(*names):
    for name in names:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(name)


def saved_model(folder):
    model = tiny_vit(K)
    model.config.ground_distance = squared_emd.ground_distance_from_positions(torch.arange(K) / (K - 1)).tolist()
    model.config.emd = {"loss": "xemd2", "omega": 2.0, "mu": -0.25, "version": squared_emd.__version__}
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return model


def metric_folders(folder, *names):
    for name in names:
        write_space(name, Path(folder) / name)


def of_readme():
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", num_labels=5)
    ResNetForImageClassification(config).save_pretrained("microsoft/resnet-50")  # the name of a large one
    saved_model("me/age")
    faces("face.jpg")
    metric_folders(".", "squared_emd", "ordinal_accuracy")
    return {"train": pictures(), "test": pictures()}


def of_index():
    return {"model": tiny_vit(K), "train": pictures(), "test": pictures()}


def of_checkpoints():
    model = saved_model("me/age")
    faces("face.jpg", "a.jpg", "b.jpg")
    args = EMDTrainingArguments("age", loss="emd", num_train_epochs=1, save_strategy="no")
    return {
        "trainer": EMDTrainer(model, args, train_dataset=pictures(), eval_dataset=pictures()),
        "network": tiny_vit(K),
        "args": EMDTrainingArguments("lora", num_train_epochs=3, save_strategy="no"),
        "images": pictures(),
    }


def of_engines():
    args = EMDTrainingArguments("out", loss="emd", num_train_epochs=2, save_strategy="epoch")
    trainer = EMDTrainer(tiny_vit(K), args, train_dataset=pictures())
    trainer.train()
    return {"trainer": trainer}


def of_imbalance():
    """Of a run: 3 of 4 and 1 of 2 are right."""
    folder = Path("outputs/balanced/small/emd/fold_0/seed_42")
    folder.mkdir(parents=True)
    (folder / "all_results.json").write_text('{"confusion_matrix": [[3, 1], [1, 1]]}')
    return {}


def of_metrics():
    metric_folders("path/to", "squared_emd", "ordinal_accuracy")
    model = saved_model("age")
    faces("face.png")
    dataset = Dataset.from_dict({"image": [Image.open("face.png")] * 70, "label": [k % K for k in range(70)]})
    return {
        "args": EMDTrainingArguments("out"),
        "classifier": pipeline("image-classification", model="age"),
        "dataset": dataset,
        "model": model,
        "rank": 0,
        "test": pictures(),
        "Trainer": Trainer,
    }


def of_recipes():
    faces("face.png")
    return {"dataset": Dataset.from_dict({"image": [Image.open("face.png")] * 2, "label": [0, 1]})}


def of_decisions():
    model = saved_model("me/age")
    faces("face.jpg")
    args = EMDTrainingArguments("out", loss="emd")
    trainer = EMDTrainer(model, args, processing_class=ViTImageProcessor.from_pretrained("me/age"))
    return {"trainer": trainer, "validation": pictures(), "test": pictures()}


def of_fine_tuning():
    """Small networks under the names of large ones, and data as the page has them."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(image_size=SIDE, patch_size=4, **sizes)).save_pretrained("google/vit-base-patch16-224-in21k")
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained("google/vit-base-patch16-224-in21k")
    for folder in (Path("faces", part, name) for part in ("train", "test") for name in AGES):
        folder.mkdir(parents=True)
        faces(*(folder / f"{k}.png" for k in range(2)))
    texts = ["bad", "not good", "so so", "good", "very good"]
    pd.DataFrame({"text": texts * 3, "stars": [1, 2, 3, 4, 5] * 3}).to_csv("reviews.csv", index=False)
    tokenizer = word_tokenizer(texts)
    tokenizer.save_pretrained("distilbert/distilroberta-base")
    AutoModel.from_config(tiny_text_config(tokenizer)).save_pretrained("distilbert/distilroberta-base")
    for k in range(15):
        soundfile.write(f"{k}.wav", np.random.default_rng(k).normal(0, 0.1, 1000 + 100 * k), 1000)
    grades = ["poor", "fair", "good"] * 5
    pd.DataFrame({"path": [f"{k}.wav" for k in range(15)], "grade": grades}).to_csv("sounds.csv", index=False)
    tiny_feature_extractor(1000).save_pretrained("facebook/wav2vec2-base")
    AutoModel.from_config(tiny_audio_config()).save_pretrained("facebook/wav2vec2-base")
    return {}


def of_any_classifier():
    saved_model("me/age")
    faces("face.jpg")
    for k in range(K):
        Path(f"faces/{k}").mkdir(parents=True)
        for n in range(3):
            shade = np.random.default_rng((k, n)).integers(20 * k, 20 * k + 100, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(shade).save(f"faces/{k}/{n}.png")
    return {}


# What a page shows of libraries that are not installed: as little as calls its blocks in the library's order.


class LightningModule(nn.Module):
    """Of Lightning."""


class LightningTrainer:
    """Of Lightning: its loop, and a checkpoint that is saved and loaded again."""

    def __init__(self, *, max_epochs, logger, enable_checkpointing):
        self.max_epochs = max_epochs

    def fit(self, module, loader):
        optimizer = module.configure_optimizers()
        for _ in range(self.max_epochs):
            for batch_idx, batch in enumerate(loader):
                optimizer.zero_grad()
                module.training_step(batch, batch_idx).backward()
                optimizer.step()
            module.on_train_epoch_end()
            checkpoint = {}
            module.on_save_checkpoint(checkpoint)
            module.on_load_checkpoint(checkpoint)


class Metric(nn.Module):
    """Of torchmetrics, on one rank."""

    def add_state(self, name, default, dist_reduce_fx):
        self.register_buffer(name, default)


STAND_INS = {
    "lightning": {"LightningModule": LightningModule, "Trainer": LightningTrainer},
    "torchmetrics": {"Metric": Metric},
}


def use_stand_ins():
    """Makes what is not installed importable."""
    for name, contents in STAND_INS.items():
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            sys.modules[name] = importlib.util.module_from_spec(ModuleSpec(name, None))
            vars(sys.modules[name]).update(contents)


def of_any_trainer():
    use_stand_ins()
    return {"network": partial(tiny_vit, K), "train": pictures()}


BEFORE = {
    "README.md": of_readme,
    "docs/index.md": of_index,
    "docs/any_classifier.md": of_any_classifier,
    "docs/any_trainer.md": of_any_trainer,
    "docs/api/checkpoints.md": of_decisions,
    "docs/checkpoints.md": of_checkpoints,
    "docs/decisions.md": of_decisions,
    "docs/engines.md": of_engines,
    "docs/fine_tuning.md": of_fine_tuning,
    "docs/imbalance.md": of_imbalance,
    "docs/metrics.md": of_metrics,
    "docs/recipes.md": of_recipes,
}


def run_each(pages):
    for page in pages:
        with TemporaryDirectory() as folder, chdir(folder):
            run(ROOT / page)


if __name__ == "__main__":
    run_each(sys.argv[1:])
