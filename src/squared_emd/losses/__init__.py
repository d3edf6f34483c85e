"""The losses of Hou, Yu & Samaras (2016) and the energy distance: functions of logits, labels and D, and modules."""

from .baselines import cross_entropy_loss, regression_loss
from .energy_distance import energy_distance_loss
from .entropic_wasserstein import entropic_wasserstein_loss
from .inputs import check_labels, logits_of, remedy_of_range, upcast_to_float32  # noqa: F401 (for other packages)
from .modules import (
    CircularEMDLoss,
    EnergyDistanceLoss,
    EntropicWassersteinLoss,
    ExactEMDLoss,
    SelfGuidedLoss,
    SquaredEMDLoss,
    TreeEMDLoss,
)
from .reduction import sample_weights  # noqa: F401 (for other packages)
from .self_guided import exact_emd_loss, ground_distance_cost, self_guided_loss, self_guided_regularizer
from .squared_emd import circular_emd_loss, squared_emd_loss, tree_emd_loss

__all__ = [
    "CircularEMDLoss",
    "EnergyDistanceLoss",
    "EntropicWassersteinLoss",
    "ExactEMDLoss",
    "SelfGuidedLoss",
    "SquaredEMDLoss",
    "TreeEMDLoss",
    "circular_emd_loss",
    "cross_entropy_loss",
    "energy_distance_loss",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_cost",
    "regression_loss",
    "self_guided_loss",
    "self_guided_regularizer",
    "squared_emd_loss",
    "tree_emd_loss",
]
