"""Metrics of ordered classes as functions of arrays, and what a Trainer's ``compute_metrics`` takes."""

from .accuracy import (
    accuracy_per_class,
    confusion_matrix,
    macro_mean_absolute_error,
    mean_absolute_error,
    ranks_of_truth,
    top_k_error,
    weighted_kappa,
    within,
)
from .calibration import (
    ReliabilityBins,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)
from .comparison import Difference, paired_difference
from .correlation import correlation, expected_score
from .emd import exact_emd, ranked_probability_score, squared_emd
from .trainer_metrics import ScoreMetrics, ordinal_metrics, top_k_metrics

__all__ = [
    "Difference",
    "ReliabilityBins",
    "ScoreMetrics",
    "accuracy_per_class",
    "confusion_matrix",
    "correlation",
    "exact_emd",
    "expected_calibration_error",
    "expected_score",
    "macro_mean_absolute_error",
    "mean_absolute_error",
    "negative_log_likelihood",
    "ordinal_metrics",
    "paired_difference",
    "ranked_probability_score",
    "ranks_of_truth",
    "reliability",
    "squared_emd",
    "top_k_error",
    "top_k_metrics",
    "weighted_kappa",
    "within",
]
