"""Calibrates the intervals of a trained model on samples it has not seen, and measures their coverage on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..decoding import calibrate_intervals, predict_intervals
from ..ground_distance.model_config import class_names_of, emd_block_of
from ..hub.results import replace_calibrations
from .config_entries import config_of
from .labels import check_one_split

__all__ = ["calibrate"]


def calibrate(trainer: Any, dataset: Any, coverage: float | Sequence[float], test_dataset: Any) -> list[dict[str, Any]]:
    """Calibrate intervals of classes that hold the truth with a chosen probability, on all ranks.

    They are kept in `config.emd["intervals"]` until the model is trained again, and saved with it: the pipelines of
    `squared_emd.hub` take them with ``coverage=``. What is measured on `test_dataset` goes on the model card.

    Args:
        trainer: an `EMDTrainer`.
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
    earlier = trainer.calibrated.get(trainer.weights_version, [])
    trainer.calibrated[trainer.weights_version] = replace_calibrations(earlier, found)
    config = config_of(trainer.accelerator.unwrap_model(trainer.model))
    if config is not None:
        emd = emd_block_of(config)
        config.emd = emd | {
            "intervals": replace_calibrations(emd.get("intervals") or [], found),
            "class_names": class_names_of(config),
        }
    return found


def _predict(trainer: Any, dataset: Any, source: str) -> tuple[Tensor, Tensor]:
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
    if labels.dim() == 1:
        held = ((low <= labels) & (labels <= high)).double()
    else:
        classes = torch.arange(num_classes)
        held = (labels * ((low[:, None] <= classes) & (classes <= high[:, None]))).sum(1, dtype=torch.float64)
    return {
        "coverage": held.mean().item(),
        "mean_size": (high - low + 1).double().mean().item(),
        "num_samples": num_samples,
    }
