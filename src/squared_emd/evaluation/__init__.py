"""The metrics as modules of the ``evaluate`` library.

The classes here use the formulas of ``squared_emd.metrics``. ``spaces`` builds from both the folders of
``evaluate_modules``, which stand alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import evaluate

__all__ = ["METRICS", "load_metric"]

METRICS = {
    "expected_score_correlation": "ExpectedScoreCorrelation",
    "ordinal_accuracy": "OrdinalAccuracy",
    "quadratic_weighted_kappa": "QuadraticWeightedKappa",
    "squared_emd": "SquaredEMD",
    "top_k_error": "TopKError",
}


def load_metric(name: str, **kwargs: Any) -> evaluate.Metric:
    """A metric module of this package, as ``evaluate.load`` would give it: without a network and without a copy.

    Args:
        name: one of ``expected_score_correlation``, ``ordinal_accuracy``, ``quadratic_weighted_kappa``,
            ``squared_emd``, ``top_k_error``.
        **kwargs: ``config_name``, ``num_process``, ``process_id``, ``experiment_id``, ``keep_in_memory``, ``cache_dir``
            and ``timeout`` as ``evaluate.load`` takes them, and settings of the metric, which ``compute`` then takes as
            its defaults.

    Returns:
        The metric, with ``compute``, ``add`` and ``add_batch``; ``help(metric)`` says what goes in and what comes out.

    Raises:
        ValueError: there is no metric of this name.
        TypeError: the metric has no such setting.

    >>> load_metric("ordinal_accuracy").compute(predictions=[0, 2, 5, 1], references=[0, 1, 1, 1])["aeo"]
    0.75
    """
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; there are {', '.join(METRICS)}.")
    return getattr(import_module(f".{name}", __package__), METRICS[name])(**kwargs)
