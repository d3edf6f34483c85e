"""The losses of Hou, Yu & Samaras (2016) and the energy distance: functions of logits, labels and D, and modules."""

from .baselines import cross_entropy_loss, regression_loss
from .entropic_wasserstein import entropic_wasserstein_loss
from .inputs import check_labels, logits_of, remedy_of_range, sample_weights, upcast_to_float32
from .modules import (
    CircularEMDLoss,
    EnergyDistanceLoss,
    EntropicWassersteinLoss,
    ExactEMDLoss,
    SelfGuidedLoss,
    SquaredEMDLoss,
    TreeEMDLoss,
)
from .self_guided import exact_emd_loss, ground_distance_cost, self_guided_loss, self_guided_regularizer
from .squared_emd import circular_emd_loss, energy_distance_loss, squared_emd_loss, tree_emd_loss

__all__ = [
    "CircularEMDLoss",
    "EnergyDistanceLoss",
    "EntropicWassersteinLoss",
    "ExactEMDLoss",
    "SelfGuidedLoss",
    "SquaredEMDLoss",
    "TreeEMDLoss",
    "check_labels",
    "circular_emd_loss",
    "cross_entropy_loss",
    "energy_distance_loss",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_cost",
    "logits_of",
    "regression_loss",
    "remedy_of_range",
    "sample_weights",
    "self_guided_loss",
    "self_guided_regularizer",
    "squared_emd_loss",
    "tree_emd_loss",
    "upcast_to_float32",
]
