"""Squared Earth Mover's Distance losses for Hugging Face classifiers (Hou, Yu & Samaras, arXiv:1611.05916)."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .decoding import decode
from .evaluate_modules import load_metric
from .ground_distance import (
    ClassCentroids,
    LabelTree,
    blend_ground_distances,
    ground_distance_from_centroids,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_text,
    ground_distance_from_tree,
    percentile_ranks,
    raw_distances,
    sdd,
)
from .losses import (
    circular_emd_loss,
    energy_distance_loss,
    entropic_wasserstein_loss,
    exact_emd_loss,
    self_guided_loss,
    squared_emd_loss,
    tree_emd_loss,
)
from .metrics import ordinal_metrics
from .targets import class_weights_from_counts, smooth_labels, soft_labels

if TYPE_CHECKING:
    from .ground_distance.saved import load_ground_distance
    from .training.arguments import EMDTrainingArguments
    from .training.callbacks import EMDEarlyStopping, GroundDistanceCallback
    from .training.head_features import HeadInput
    from .training.learned_distance import learn_ground_distance
    from .training.other_trainers import SelfGuidance, compute_loss_func
    from .training.trainer import EMDTrainer
_LAZY = {
    "GroundDistanceCallback": "training.callbacks",
    "EMDEarlyStopping": "training.callbacks",
    "EMDTrainingArguments": "training.arguments",
    "HeadInput": "training.head_features",
    "SelfGuidance": "training.other_trainers",
    "compute_loss_func": "training.other_trainers",
    "learn_ground_distance": "training.learned_distance",
    "load_ground_distance": "ground_distance.saved",
    "EMDTrainer": "training.trainer",
}  # the same on first use: transformers' Trainer takes seconds to import


def __getattr__(name: str) -> Any:
    """Imports what is slow to import on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "ClassCentroids",
    "EMDEarlyStopping",
    "EMDTrainer",
    "EMDTrainingArguments",
    "GroundDistanceCallback",
    "HeadInput",
    "LabelTree",
    "SelfGuidance",
    "blend_ground_distances",
    "circular_emd_loss",
    "class_weights_from_counts",
    "compute_loss_func",
    "decode",
    "energy_distance_loss",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_from_centroids",
    "ground_distance_from_circle",
    "ground_distance_from_positions",
    "ground_distance_from_text",
    "ground_distance_from_tree",
    "learn_ground_distance",
    "load_ground_distance",
    "load_metric",
    "ordinal_metrics",
    "percentile_ranks",
    "raw_distances",
    "sdd",
    "self_guided_loss",
    "smooth_labels",
    "soft_labels",
    "squared_emd_loss",
    "tree_emd_loss",
]

__version__ = version("squared-emd")
