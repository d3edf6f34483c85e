"""Two experiments of a second: images with three folds for a very small transformer, and points for a linear layer."""

import json
from typing import ClassVar

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from torch import nn
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from squared_emd.data.splits import fold_split
from squared_emd.experiments.arguments import DatasetArguments, ImageArguments
from squared_emd.experiments.experiment import Experiment, Network, ordered_samples
from squared_emd.experiments.networks import image_network

NAMES = ("low", "middle", "high", "top")
NUM_ROWS = 60
RATES = dict.fromkeys(("xe", "emd", "xemd1", "xemd2", "a-emd", "xemd"), 0.1) | {"reg": 0.01}
COMMON = {
    "num_train_epochs": 4,
    "jump_start_epochs": 2,
    "per_device_train_batch_size": 8,
    "dataloader_num_workers": 0,
    "use_cpu": True,
    "seed": 3,
    "seeds": 1,
}


class TinyArguments(ImageArguments):
    """Three folds; without a dataclass decorator of its own it has the fields of its parent."""

    num_folds: ClassVar[int] = 3


def arguments(output, **fields):
    return TinyArguments(**{"output_dir": str(output), **COMMON, **fields})


def rows():
    """Row k has the label k % 4, which is how bright it is; the number of the row is its first pixel."""
    rng = np.random.default_rng(0)
    images = []
    for k in range(NUM_ROWS):
        pixels = rng.integers(0, 60, (16, 16, 3)) + 60 * (k % 4)
        pixels[0, 0] = k
        images.append(pixels.astype(np.uint8))
    users = [f"user {k // 4}" for k in range(NUM_ROWS)]
    columns = {"image": images, "label": [k % 4 for k in range(NUM_ROWS)], "user_id": users}
    columns |= {"fold": [k // 4 % 3 for k in range(NUM_ROWS)], "row": list(range(NUM_ROWS))}
    kinds = {"image": Image(), "label": ClassLabel(names=list(NAMES)), "user_id": Value("string")}
    return Dataset.from_dict(columns, features=Features({**kinds, "fold": Value("int32"), "row": Value("int32")}))


def save_model(folder):
    torch.manual_seed(0)
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTForImageClassification(ViTConfig(image_size=8, patch_size=4, num_labels=4, **size)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return str(folder)


def experiment(model, args, **others):
    data = rows()
    fields = {
        "table": "adience",
        "data": "tiny images",
        "stand_in": True,
        "split": lambda fold: fold_split(data, fold),
        "validation_share": 0.25,
        "validation_by": "user_id",
        "samples": ordered_samples(NAMES),
        "build": image_network(args),
        "model": model,
        "rates": RATES,
    }
    return Experiment(**fields | others)


class Line(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.head = nn.Linear(2, num_classes)

    def forward(self, features):
        return {"logits": self.head(features)}


def points(count, seed):
    """Two features, of which the first follows the label, one of three."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    features = np.stack([labels + rng.normal(0, 0.3, count), rng.normal(0, 1, count)], axis=1)
    return Dataset.from_dict({"features": features.astype(np.float32), "label": labels})


def point_arguments(output, **fields):
    return DatasetArguments(**{"output_dir": str(output), **COMMON, "per_device_train_batch_size": 16, **fields})


def point_experiment(train=None, test=None, layer=Line, **others):
    """48 points to train on, 12 to choose by and 18 to test on."""
    train, validation, test = train or points(48, 0), points(12, 1), test or points(18, 2)
    fields = {
        "table": "tabular",
        "data": "generated points",
        "stand_in": True,
        "split": lambda fold: (train, test),
        "validation": validation,
        "validation_share": 0.25,
        "samples": ordered_samples(NAMES[:3]),
        "build": lambda model, samples, num_outputs: Network(layer(num_outputs)),
        "model": "line",
        "rates": dict.fromkeys(RATES, 0.3),
    }
    return Experiment(**fields | others)


def results_of(folder):
    return json.loads((folder / "all_results.json").read_text())
