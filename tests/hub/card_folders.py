"""Folders of saved models and their results, as far as a card reads them; and what is on a card."""

import hashlib
import json

from transformers import ViTConfig

from squared_emd.hub import write_card

NAMES = ["young", "grown", "old"]
COUNTS = [[2, 1, 0], [0, 1, 0], [1, 0, 1]]  # 4 of 6 right, 5 within one class; off by 1 and by 2: 3 / 6
DISTANCES = [[0, 0.25, 0.6875], [0.25, 0, 0.3125], [0.6875, 0.3125, 0]]
EMD = {
    "loss": "xemd2", "epoch": 7, "version": "0.1.0", "omega": 2.0, "mu": -0.25, "rank": "strict", "sdd": 0.0123,
    "regularizer_weight": 4.56, "mirrored": True,
}  # fmt: skip
RESULTS = {
    "table": "adience", "data": "drawn faces", "stand_in": True, "variant": "", "model": "small", "loss": "xemd2",
    "fold": 2, "folds": 5, "seed": 11, "tested_on": "test fold", "num_train": 19, "num_test": 6,
    "learning_rate": 0.00316, "entropic_strength": None, "eval_aem": 4 / 6, "eval_aeo": 5 / 6, "eval_mae": 0.5,
    "eval_squared_emd": 0.4321, "eval_loss": -0.9, "eval_runtime": 9.87, "epochs": 7.0, "sdd": 0.0123,
    "sdd_relative": 0.789, "regularizer_weight": 4.56, "seconds_per_step": 0.0543, "device": "cpu",
    "class_names": NAMES, "job": "a job", "confusion_matrix": COUNTS, "batch_size": 17,
    "command": "python recipes/adience.py --loss xemd2", "optimizer": "sgd (momentum=0.98), linear schedule",
    "versions": {"squared_emd": "0.1.0", "torch": "2.15.0"},
}  # fmt: skip
WEIGHTS = b"not really weights"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
FOUND = "all_results.json"
AGAIN = "run the recipe again"
METRIC_NAMES = ["AEM", "AEO", "MAE", "Squared EMD"]


def model_folder(folder, *, names=NAMES, emd=EMD, distances=DISTANCES, **fields):
    """The folder of a saved model, as far as a card reads it."""
    folder.mkdir(exist_ok=True)
    fields = {"id2label": dict(enumerate(names)), "emd": emd} | fields
    if distances is not None:
        fields["ground_distance"] = distances
    (folder / "config.json").write_text(json.dumps({"model_type": "vit"} | fields))
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


def run_folder(folder, *, changes=(), **fields):
    model_folder(folder, **fields)
    results = RESULTS | {"weights": {"model.safetensors": DIGEST}} | dict(changes)
    (folder / FOUND).write_text(json.dumps(results))
    return folder


def card_of(folder, **arguments):
    write_card(folder, **arguments)
    return (folder / "README.md").read_text()


def section(card, heading):
    return card.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def cells(card, name):
    """The value and the interval of a metric."""
    row = next(line for line in section(card, "Results").splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.split("|")[2:4]]


def config(**fields):
    return ViTConfig(**{"id2label": dict(enumerate(NAMES)), "emd": EMD} | fields)
