"""The metrics as modules of the ``evaluate`` library, over the functions of ``squared_emd.metrics``.

Each module is a class in a file of its own, with its card in ``cards/``. ``write_space`` bundles one for the Hub.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .spaces import write_space

if TYPE_CHECKING:
    import evaluate

__all__ = ["METRICS", "load_metric", "write_space"]

METRICS = {
    "expected_score_correlation": "ExpectedScoreCorrelation",
    "ordinal_accuracy": "OrdinalAccuracy",
    "quadratic_weighted_kappa": "QuadraticWeightedKappa",
    "squared_emd": "SquaredEMD",
    "top_k_error": "TopKError",
}


def load_metric(name: str, **kwargs: Any) -> evaluate.Metric:
    """A metric module of this package, as ``evaluate.load`` would give it, without a file or a network.

    Args:
        name: one of ``expected_score_correlation``, ``ordinal_accuracy``, ``quadratic_weighted_kappa``,
            ``squared_emd``, ``top_k_error``.
        **kwargs: ``config_name``, ``num_process``, ``process_id``, ``experiment_id``, ``cache_dir`` and ``timeout`` as
            ``evaluate.load`` takes them, and settings of the metric, which become the defaults of ``compute``.

    Returns:
        The metric, with ``compute``, ``add`` and ``add_batch``; ``help(metric)`` describes inputs and results.

    Raises:
        ValueError: there is no metric of this name.
        TypeError: the metric has no such setting.
        ImportError: ``evaluate`` is not installed.

    >>> load_metric("ordinal_accuracy").compute(predictions=[0, 2, 5, 1], references=[0, 1, 1, 1])["aeo"]
    0.75
    """
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; there are {', '.join(METRICS)}.")
    try:
        import_module("evaluate")
    except ImportError as error:
        raise ImportError(
            'load_metric needs evaluate, which is not installed: pip install "squared-emd[metrics]". '
            "The functions in squared_emd.metrics do without."
        ) from error
    return getattr(import_module(f".{name}", __package__), METRICS[name])(**kwargs)
