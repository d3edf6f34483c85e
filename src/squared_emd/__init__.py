"""Squared Earth Mover's Distance losses for Hugging Face classifiers (Hou, Yu & Samaras, arXiv:1611.05916)."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from . import plot as plot  # whose functions import what they need when they are used
from .centroids import ClassCentroids
from .class_weights import class_weights_from_counts
from .decode import decode
from .evaluation import load_metric
from .given_distance import (
    blend_ground_distances,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_text,
    ground_distance_from_tree,
)
from .ground_distance import (
    ground_distance_from_centroids,
    percentile_ranks,
    raw_distances,
    sdd,
)
from .label_tree import LabelTree
from .lazy_names import lazy_names
from .losses import (
    circular_emd_loss,
    entropic_wasserstein_loss,
    exact_emd_loss,
    self_guided_loss,
    squared_emd_loss,
    tree_emd_loss,
)
from .metrics import ordinal_metrics
from .soft_labels import smooth_labels, soft_labels
from .when_imported import import_when_imported

if TYPE_CHECKING:
    from .callbacks import GroundDistanceCallback
    from .config import EMDTrainingArguments
    from .saved_distance import load_ground_distance
    from .trainer import EMDTrainer
else:  # the same on first use: transformers' Trainer takes seconds to import
    __getattr__, __dir__ = lazy_names(
        globals(),
        {
            "GroundDistanceCallback": "callbacks",
            "EMDTrainingArguments": "config",
            "load_ground_distance": "saved_distance",
            "EMDTrainer": "trainer",
        },
    )

__all__ = [
    "ClassCentroids",
    "EMDTrainer",
    "EMDTrainingArguments",
    "GroundDistanceCallback",
    "LabelTree",
    "blend_ground_distances",
    "circular_emd_loss",
    "class_weights_from_counts",
    "decode",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_from_centroids",
    "ground_distance_from_circle",
    "ground_distance_from_positions",
    "ground_distance_from_text",
    "ground_distance_from_tree",
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

import_when_imported("timm", f"{__name__}.paper_networks")  # registers the paper's networks with timm
import_when_imported("transformers.pipelines", f"{__name__}.pipelines")  # and our pipeline with transformers
