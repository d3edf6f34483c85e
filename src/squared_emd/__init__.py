"""Squared Earth Mover's Distance losses for Hugging Face classifiers (Hou, Yu & Samaras, arXiv:1611.05916)."""

from importlib.metadata import version

from . import paper_networks, pipelines  # noqa: F401  registers them with timm and transformers
from .callbacks import GroundDistanceCallback
from .centroids import ClassCentroids
from .config import EMDTrainingArguments
from .decode import decode
from .evaluation import load_metric
from .ground_distance import (
    ground_distance_from_centroids,
    ground_distance_from_positions,
    percentile_ranks,
    raw_distances,
    sdd,
)
from .losses import entropic_wasserstein_loss, exact_emd_loss, self_guided_loss, squared_emd_loss
from .metrics import ordinal_metrics
from .saved_distance import load_ground_distance
from .trainer import EMDTrainer

__all__ = [
    "ClassCentroids",
    "EMDTrainer",
    "EMDTrainingArguments",
    "GroundDistanceCallback",
    "decode",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_from_centroids",
    "ground_distance_from_positions",
    "load_ground_distance",
    "load_metric",
    "ordinal_metrics",
    "percentile_ranks",
    "raw_distances",
    "sdd",
    "self_guided_loss",
    "squared_emd_loss",
]

__version__ = version("squared-emd")
