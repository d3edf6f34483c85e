"""Run folders, as an experiment leaves them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from squared_emd.reports.records import read_runs
from squared_emd.reports.summary import summarize

NAMES = ["young", "grown", "old"]
RESULTS = {
    "table": "adience",
    "data": "drawn faces",
    "stand_in": True,
    "model": "small",
    "loss": "xe",
    "variant": "",
    "fold": 0,
    "folds": 5,
    "seed": 42,
    "learning_rate": 0.01,
    "entropic_strength": None,
    "tested_on": "test fold",
    "num_train": 8,
    "num_test": 4,
    "epochs": 2.0,
    "eval_aem": 0.5,
    "eval_aeo": 0.75,
    "sdd": None,
    "sdd_relative": None,
    "cpu_seconds_per_step": 0.5,
    "class_names": NAMES,
    "job": "a job",
}
REAL = {"stand_in": False, "data": "Adience files", "model": "res_f"}


def line_distances(num_classes):
    """|i - j| / K."""
    positions = np.arange(num_classes)
    return np.abs(positions[:, None] - positions) / num_classes


def log_of(**metrics):
    """A trainer's log: an entry of training and one of evaluation in each epoch, a summary at the end."""
    length = max(map(len, metrics.values()))
    log = []
    for position in range(length):
        epoch = float(position + 1)
        log.append({"epoch": epoch, "loss": 1.0})
        log.append({"epoch": epoch, **{f"eval_{name}": values[position] for name, values in metrics.items()}})
    return [*log, {"epoch": float(length), "train_runtime": 2.0}]


def write_run(folder, *, log=None, ground_distance=None, in_file=False, history=None, **results):
    """One run; what is not given is not there, or as in `RESULTS`."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "all_results.json").write_text(json.dumps(RESULTS | results))
    if log is not None:
        (folder / "trainer_state.json").write_text(json.dumps({"epoch": 2.0, "log_history": log}))
    if ground_distance is not None:
        matrix = np.asarray(ground_distance, dtype=np.float64)
        if in_file:
            save_file({"ground_distance": matrix}, folder / "ground_distance.safetensors")
        config = {"ground_distance": "ground_distance.safetensors" if in_file else matrix.tolist()}
        (folder / "config.json").write_text(json.dumps(config))
    if history is not None:
        epochs, matrices = history
        matrices = np.asarray(matrices, dtype=np.float32)
        np.savez_compressed(folder / "ground_distance_history.npz", epochs=epochs, ground_distance=matrices)
    return folder


def sections_of(home, *runs, all_rows=False):
    """The sections of runs that differ from `RESULTS` as given."""
    for index, run in enumerate(runs):
        write_run(home / f"{index:03}", **run)
    return summarize(read_runs([home]), all_rows=all_rows)
