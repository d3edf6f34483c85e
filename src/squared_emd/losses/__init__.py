"""The losses of Hou, Yu & Samaras (2016) as pure functions of logits, labels and a ground distance."""

from .baselines import cross_entropy_loss, regression_loss
from .costs import ground_distance_cost
from .entropic_wasserstein import entropic_wasserstein_loss
from .inputs import accurate, check_labels
from .self_guided import exact_emd_loss, self_guided_loss, self_guided_regularizer, self_guided_terms
from .squared_emd import squared_emd_loss

__all__ = [
    "accurate",
    "check_labels",
    "cross_entropy_loss",
    "entropic_wasserstein_loss",
    "exact_emd_loss",
    "ground_distance_cost",
    "regression_loss",
    "self_guided_loss",
    "self_guided_regularizer",
    "self_guided_terms",
    "squared_emd_loss",
]
