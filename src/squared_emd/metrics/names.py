"""What metrics, losses and networks are called in tables, figures and cards, and how a metric is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How a metric is shown: heading of its column, title of its panel, decimals, whether fractions become percent."""

    heading: str
    title: str
    digits: int = 3
    in_percent: bool = False
    is_fraction: bool = False
    less_is_better: bool = False

    def shown(self, value: float) -> float:
        """The value in the unit that is shown."""
        return 100 * value if self.in_percent else value


METRICS: dict[str, Metric] = {
    "eval_aem": Metric("AEM %", "Exact match (AEM)", digits=1, in_percent=True, is_fraction=True),
    "eval_aeo": Metric("AEO %", "Within one class (AEO)", digits=1, in_percent=True, is_fraction=True),
    "eval_spearman": Metric("rho", "Spearman's rho", digits=4),
    "eval_top_1_error": Metric("Top-1 error", "Top-1 error", is_fraction=True, less_is_better=True),
    "eval_top_5_error": Metric("Top-5 error", "Top-5 error", is_fraction=True, less_is_better=True),
    "eval_score_mae": Metric("Score MAE", "Mean absolute error of the score", less_is_better=True),
    "eval_mae": Metric("MAE", "Mean absolute error in classes", less_is_better=True),
    "eval_squared_emd": Metric("EMD2", "Squared EMD", less_is_better=True),
    "eval_nll": Metric("NLL", "Negative log-likelihood", less_is_better=True),
    "eval_ece": Metric("ECE", "Expected calibration error", is_fraction=True, less_is_better=True),
    "validation_mae": Metric("Validation MAE", "Mean absolute error on validation data", less_is_better=True),
}
"""Key in `all_results.json` -> how it is shown; in the order of the columns."""

_ERRORS = (
    *(name.removeprefix("eval_") for name, metric in METRICS.items() if metric.less_is_better),
    *("emd", "loss_ce", "loss_mse", "ranked_probability_score", r"top_\d+_error"),
)

LOSSES = ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd")
"""The paper's losses, in the order of its Table 1, and ours."""

TABLES = ("adience", "images_of_groups", "aadb", "imagenet", "own_data", "text_ratings", "audio_grades", "tabular")
"""What `table` may be in `all_results.json`."""

_NETWORK_NAMES = {"alxs": "ALXs", "alx": "ALX", "vgg_f": "VGG_F", "res": "RES", "res_f": "RES_F"}
PRETRAINED = {"vgg_f": "timm/vgg16.tv_in1k", "res_f": "timm/resnetv2_50.a1h_in1k"}  # the second stands in for RES_F


def less_is_better(metric: str) -> bool:
    """Whether a metric is an error of those that this package measures, whatever prefix it has."""
    return re.search(rf"(?:^|_)(?:{'|'.join(_ERRORS)})$", metric) is not None


def network_of(model: str) -> str:
    """The paper's name of a pre-trained model, in the spelling of the recipes, or the model itself."""
    return next((name for name, pretrained in PRETRAINED.items() if pretrained == model), model)


def network_name(network: str) -> str:
    """The paper's networks as it writes them, others as they are."""
    return _NETWORK_NAMES.get(network, network)


def loss_name(loss: str, variant: str = "") -> str:
    """The losses as tables have them, others as they are, and what sets the runs apart."""
    name = loss.upper() if loss in LOSSES else loss
    return f"{name}, {variant}" if variant else name
