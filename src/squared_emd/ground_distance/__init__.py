"""Ground distances between classes: learned from centroids, given, and saved with a model (module ``saved``)."""

from .centroids import ClassCentroids
from .given import (
    blend_ground_distances,
    ground_distance_from_circle,
    ground_distance_from_positions,
    ground_distance_from_text,
    ground_distance_from_tree,
)
from .label_tree import LabelTree
from .learned import (
    ground_distance_from_centroids,
    percentile_ranks,
    raw_distances,
)
from .relatedness import sdd

__all__ = [
    "ClassCentroids",
    "LabelTree",
    "blend_ground_distances",
    "ground_distance_from_centroids",
    "ground_distance_from_circle",
    "ground_distance_from_positions",
    "ground_distance_from_text",
    "ground_distance_from_tree",
    "percentile_ranks",
    "raw_distances",
    "sdd",
]
