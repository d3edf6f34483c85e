"""Intervals of a trained model: calibrated on new samples, measured on others, and written into its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from huggingface_hub import snapshot_download
from torch import Tensor
from torch.utils.data import Subset
from transformers import Trainer

from ..decoding import calibrate_intervals, predict_intervals
from ..ground_distance.files import read_object, write_aside
from ..ground_distance.model_config import class_names_of, emd_block_of
from ..hub.card import write_card
from ..hub.main_process import on_main_process
from ..hub.results import replace_calibrations
from ..hub.upload import UPLOAD_ERRORS
from .arguments import EMDTrainingArguments
from .config_entries import config_of
from .evaluation import BATCHES_ON_DEVICE
from .labeled_inputs import labeled_inputs, load_classifier
from .labels import check_one_split
from .other_trainers import compute_loss_func


def calibrate(
    trainer: Trainer, dataset: Any, coverage: float | Sequence[float], test_dataset: Any
) -> list[dict[str, Any]]:
    """Calibrate intervals of classes that hold the truth with a chosen probability, on all ranks.

    They are kept in `config.emd["intervals"]` until the model is trained again, and saved with it: the pipelines of
    `squared_emd.hub` take them with ``coverage=``. What is measured on `test_dataset` goes on the model card.

    Args:
        trainer: whose arguments are `EMDTrainingArguments`.
        dataset: labeled samples that were not trained on, as `predict` takes them.
        coverage: one probability or several.
        test_dataset: further samples, of neither training nor calibration, to measure the coverage on; or None.

    Returns:
        For each coverage what `squared_emd.decoding.calibrate_intervals` gives, with `held_out` where there is a
        `test_dataset`: `coverage`, `mean_size` (classes of an interval) and `num_samples`.

    Raises:
        ValueError: the loss is `reg`, there is no coverage, a dataset has several splits, samples have no labels,
            logits are not finite, or what `calibrate_intervals` raises.
    """
    if trainer.args.loss == "reg":
        raise ValueError(
            "the loss reg gives one number for each sample and no probabilities of classes, so there are no intervals "
            "to calibrate. Train with another loss."
        )
    coverages = list(coverage) if isinstance(coverage, (Sequence, np.ndarray, Tensor)) else [coverage]
    if not coverages:
        raise ValueError(f"coverage must be one probability or several, got {coverage!r}. Give one, as 0.9.")
    for source, samples in {"dataset": dataset, "test_dataset": test_dataset}.items():
        check_one_split(samples, source=source)
    probabilities, labels = _predict(trainer, dataset, "dataset")
    found = [calibrate_intervals(probabilities, labels, coverage=each) for each in coverages]
    if test_dataset is not None:
        tested = _predict(trainer, test_dataset, "test_dataset")
        for calibration in found:
            calibration["held_out"] = _measure(*tested, calibration)
    config = config_of(trainer.accelerator.unwrap_model(trainer.model))
    if config is not None:
        emd = emd_block_of(config)
        config.emd = emd | {
            "intervals": replace_calibrations(emd.get("intervals") or [], found),
            "class_names": class_names_of(config),
        }
    return found


def _predict(trainer: Trainer, dataset: Any, source: str) -> tuple[Tensor, Tensor]:
    """(N, K) float64 probabilities, and (N,) or (N, K) labels."""
    metrics = trainer.compute_metrics, trainer.preprocess_logits_for_metrics
    trainer.compute_metrics = trainer.preprocess_logits_for_metrics = None  # They may be of other samples.
    try:
        output = trainer.predict(dataset)
    finally:
        trainer.compute_metrics, trainer.preprocess_logits_for_metrics = metrics
    if output.label_ids is None:
        raise ValueError(f"{source} must have labels for a calibration, it has none. Give labeled samples.")
    logits = output.predictions[0] if isinstance(output.predictions, tuple) else output.predictions
    probabilities = torch.as_tensor(logits).double().softmax(-1)
    if probabilities.isnan().any():
        raise ValueError(
            f"the model must give finite logits, got NaN or infinite ones for {source}. Look for such values in its "
            "weights and in the data."
        )
    return probabilities, torch.as_tensor(output.label_ids)


def _measure(probabilities: Tensor, labels: Tensor, calibration: dict[str, Any]) -> dict[str, Any]:
    """The share of the truth that lies in the intervals, and the mean number of their classes."""
    num_samples, num_classes = probabilities.shape
    low, high = predict_intervals(probabilities, calibration)
    classes, shares = torch.arange(num_classes), F.one_hot(labels, num_classes) if labels.dim() == 1 else labels
    held = (shares * ((low[:, None] <= classes) & (classes <= high[:, None]))).sum(1, dtype=torch.float64)
    return {
        "coverage": held.mean().item(),
        "mean_size": (high - low + 1).double().mean().item(),
        "num_samples": num_samples,
    }


def write_calibration(
    model: str,
    dataset: str,
    *,
    coverage: Sequence[float] = (0.9,),
    split: str | None = None,
    test_split: str = "test",
    input_column: str | None = None,
    label_column: str | None = None,
    batch_size: int = 32,
    output_dir: str | os.PathLike[str] | None = None,
) -> str:
    """Calibrate a saved model, and write that into its config and on its card, as `squared-emd calibrate` does.

    It gives what came out as text, on the main process. A model of the Hub is saved with it in `output_dir`. Without a
    validation split, or where both splits are the same one, half of its rows are calibrated on.
    """
    folder = on_main_process(lambda: _folder_of(model, output_dir), ValueError)
    network, processor = load_classifier(folder)
    if network.config.num_labels == 1:
        raise ValueError(f"{model} must have an output for each class, it has 1, a regression. Give a classifier.")
    if emd_block_of(network.config).get("mirrored"):
        from ..vision import average_flips  # Here, because timm is optional.

        average_flips(network)  # As the pipeline does.
    names = class_names_of(network.config)
    columns = {"input_column": input_column, "label_column": label_column}
    inputs, collate = labeled_inputs(dataset, network, processor, names, **columns)
    splits = np.asarray(inputs.rows["split"])  # (N,)
    if split is None:
        split = "validation" if "validation" in splits else test_split
    samples, tested = (Subset(inputs, rows.tolist()) for rows in rows_of_splits(splits, split, test_split, dataset))
    with TemporaryDirectory() as temporary:
        args = EMDTrainingArguments(
            temporary,
            loss="xe",
            per_device_eval_batch_size=batch_size,
            eval_accumulation_steps=BATCHES_ON_DEVICE,
            dataloader_pin_memory=torch.accelerator.is_available(),  # else PyTorch warns of it
            remove_unused_columns=False,
            report_to=[],
        )
        # Not EMDTrainer, which imports this file.
        trainer = Trainer(network, args, data_collator=collate, compute_loss_func=compute_loss_func("xe"))
        found = calibrate(trainer, samples, coverage, tested)
    if not trainer.is_world_process_zero():
        return ""
    config = read_object(Path(folder, "config.json"))
    written = {name: network.config.emd[name] for name in ("intervals", "class_names")}
    config["emd"] = (config.get("emd") or {}) | written
    with write_aside(Path(folder, "config.json")) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_card(folder, calibrations=found)
    half = " of one half" if split == test_split else ""
    lines = [f"Calibrated on the {found[0]['num_samples']} {split} samples{half} of {dataset}; in {folder}:"]
    for calibration in found:
        share, size, num_samples = (calibration["held_out"][name] for name in ("coverage", "mean_size", "num_samples"))
        other = " of the other" if half else ""
        lines.append(
            f"coverage {calibration['coverage']:g}: {100 * share:.1f} % of the {num_samples} {test_split} "
            f"samples{other}, with {size:.2f} of {calibration['num_classes']} classes"
        )
    return "\n".join(lines)


def rows_of_splits(splits: np.ndarray, split: str, test_split: str, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows to calibrate on, and those to measure on; of one split a half each, always the same."""
    for name in (split, test_split):
        if name not in splits:
            raise ValueError(
                f"{source} must have rows of the split {name!r}; it has {', '.join(sorted(set(splits.tolist())))}. "
                "Name one of these for both: half of its rows are then calibrated on, and the others measured."
            )
    rows = np.flatnonzero(splits == split)
    if split != test_split:
        return rows, np.flatnonzero(splits == test_split)
    rows = np.random.default_rng(0).permutation(rows)
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def _folder_of(model: str, output_dir: str | os.PathLike[str] | None) -> str:
    if os.path.isdir(model):
        if output_dir is not None:
            raise ValueError(f"{model} is a folder, which is calibrated where it is. Leave out output_dir.")
        return model
    if output_dir is None:
        raise ValueError(
            f"{model} is no folder; of a model of the Hub a calibrated copy is saved. Give output_dir for it."
        )
    if os.path.isdir(output_dir) and os.listdir(output_dir):  # Which would be taken where the Hub cannot be reached.
        raise ValueError(f"{output_dir} must be a new or an empty folder, it has files. Give another output_dir.")
    try:
        return snapshot_download(model, local_dir=output_dir)
    except UPLOAD_ERRORS as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(f"the model {model!r} cannot be loaded: {reason}. Name a model of the Hub.") from error
