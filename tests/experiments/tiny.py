"""An experiment of a second: 60 pictures of four classes, three folds of disjoint users, a very small transformer."""

from typing import ClassVar

import numpy as np
import torch
from datasets import ClassLabel, Dataset, Features, Image, Value
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from squared_emd import ordinal_metrics
from squared_emd.data.splits import fold_split, validation_split
from squared_emd.experiments import Experiment, ExperimentArguments, Samples

NAMES = ("low", "middle", "high", "top")
NUM_ROWS = 60
RATES = {"xe": 0.1, "reg": 0.01, "emd": 0.1, "xemd1": 0.1, "xemd2": 0.1, "a-emd": 0.1}


class TinyArguments(ExperimentArguments):
    """Three folds; without a dataclass decorator of its own it has the fields of its parent."""

    num_folds: ClassVar[int] = 3


def rows():
    """Row k has the label k % 4, which is how bright it is; the number of the row is its first pixel."""
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(NUM_ROWS):
        pixels = rng.integers(0, 60, (16, 16, 3)) + 60 * (k % 4)
        pixels[0, 0] = k
        pictures.append(pixels.astype(np.uint8))
    users = [f"user {k // 4}" for k in range(NUM_ROWS)]
    columns = {"image": pictures, "label": [k % 4 for k in range(NUM_ROWS)], "user_id": users}
    columns |= {"fold": [k // 4 % 3 for k in range(NUM_ROWS)], "row": list(range(NUM_ROWS))}
    kinds = {"image": Image(), "label": ClassLabel(names=list(NAMES)), "user_id": Value("string")}
    return Dataset.from_dict(columns, features=Features({**kinds, "fold": Value("int32"), "row": Value("int32")}))


def save_model(folder):
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=8,
        patch_size=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=4,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 8, "width": 8}).save_pretrained(folder)
    return str(folder)


def experiment(model, **others):
    data = rows()
    fields = {
        "table": "adience",
        "data": "tiny pictures",
        "stand_in": True,
        "split": lambda fold: fold_split(data, fold),
        "cut_validation": lambda train, seed: validation_split(train, share=0.25, seed=seed),
        "samples": lambda train, test, loss: Samples(train, test, NAMES, ordinal_metrics(class_names=NAMES)),
        "model": model,
        "rates": RATES,
    }
    return Experiment(**fields | others)


def arguments(output, **fields):
    fields = {
        "output_dir": str(output),
        "num_train_epochs": 4,
        "jump_start_epochs": 2,
        "per_device_train_batch_size": 8,
        "dataloader_num_workers": 0,
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    } | fields
    return TinyArguments(**fields)
