"""What a run left on disk of its metrics: its results, and the metrics by epoch in its log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from .names import METRICS, TABLES

__all__ = [
    "RESULTS_FILE",
    "STATE_FILE",
    "check_confusion_matrix",
    "check_results",
    "epoch_to_reach",
    "is_number",
    "is_text",
    "points",
    "refuse_result",
]

RESULTS_FILE = "all_results.json"
STATE_FILE = "trainer_state.json"


def points(history: Sequence[Mapping[str, Any]], metric: str) -> dict[float, float]:
    """A metric by epoch.

    Args:
        history: entries with "epoch", such as a trainer's `log_history`. Of several at one epoch the first counts (a
            closing `trainer.evaluate()` logs the last epoch once more).
        metric: a key of the entries; entries that lack it are passed over.

    Returns:
        Epoch -> value, in order; empty where no entry has the metric.

    >>> points([{"epoch": 2.0, "eval_aem": 0.5}, {"epoch": 1.0, "eval_aem": 0.25}, {"epoch": 2.0}], "eval_aem")
    {1.0: 0.25, 2.0: 0.5}
    """
    values: dict[float, float] = {}
    for entry in history:
        if entry.get("epoch") is not None and entry.get(metric) is not None:
            values.setdefault(entry["epoch"], entry[metric])
    return dict(sorted(values.items()))


def epoch_to_reach(history: Sequence[Mapping[str, Any]], metric: str, level: float) -> float | None:
    """The first epoch at which a metric is as good as a level (after Hou et al. 2016, Figure 2).

    Args:
        history: entries with "epoch" and the metric.
        metric: a key of `METRICS`, which says whether more or less is better.
        level: in the unit of the entries.

    Returns:
        The epoch, or None where the level is never reached.

    >>> epoch_to_reach([{"epoch": 1.0, "eval_aem": 0.5}, {"epoch": 2.0, "eval_aem": 0.75}], "eval_aem", 0.625)
    2.0
    """
    sign = -1 if METRICS[metric].less_is_better else 1
    slack = 1e-9  # means of the same values may differ in their last digit
    reached = (epoch for epoch, value in points(history, metric).items() if sign * (value - level) >= -slack)
    return next(reached, None)


def check_results(results: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The results of a run that this package knows, each of its type and in its range; without None.

    Args:
        results: with the keys of `all_results.json`.
        where: what an error calls them.

    Raises:
        ValueError: a value is not as it should be.

    >>> check_results({"eval_aem": 0.5, "sdd": None, "unknown": 1}, "results")
    {'eval_aem': 0.5}
    """
    known = {}
    for names, fits, required in _REQUIREMENTS:
        for name in names.split():
            if results.get(name) is not None:
                if not fits(results[name]):
                    refuse_result(where, name, f"{required}, or null", results[name])
                known[name] = results[name]
    if known.get("fold", 0) >= known.get("folds", math.inf):
        refuse_result(where, "fold", f"less than 'folds', {known['folds']}", known["fold"])
    return known


def check_confusion_matrix(
    counts: ArrayLike, num_classes: int, results: Mapping[str, Any], where: object = RESULTS_FILE
) -> np.ndarray:
    """Check that a confusion matrix agrees with the metrics measured beside it.

    Args:
        counts: (K, K) integers; row: the true class, column: the predicted one.
        num_classes: K.
        results: of these, `num_test` and the metrics that a confusion matrix determines are compared if present.
        where: what an error calls the results.

    Returns:
        (K, K) int64.

    Raises:
        ValueError: these are no counts, or they do not agree to 1e-6.

    Examples:
        >>> check_confusion_matrix([[2, 1], [0, 1]], 2, {"num_test": 4, "eval_aem": 0.75}).tolist()
        [[2, 1], [0, 1]]
    """
    try:
        values = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    are_counts = values.shape == (num_classes, num_classes) and bool(np.all((values >= 0) & (values % 1 == 0)))
    if not are_counts or not 0 < values.sum() < math.inf:
        refuse_result(where, "confusion_matrix", f"{num_classes} rows of {num_classes} counts, not all 0", counts)
    total = values.sum()
    distance = np.abs(np.subtract.outer(np.arange(num_classes), np.arange(num_classes)))  # (K, K)
    found = {
        "num_test": ("sum", total),
        "eval_aem": ("share on the diagonal", values.trace() / total),
        "eval_aeo": ("share on and beside the diagonal", values[distance <= 1].sum() / total),
        "eval_mae": ("mean distance from the diagonal", (values * distance).sum() / total),
        "eval_top_1_error": ("share off the diagonal", 1 - values.trace() / total),
    }
    for name, (what, value) in found.items():
        if results.get(name) is not None and abs(results[name] - value) > 1e-6:
            refuse_result(
                where, "confusion_matrix", f"one whose {what} is {name!r}, {results[name]:.10g}", float(value)
            )
    return values.astype(np.int64)


def refuse_result(where: object, name: str, required: str, got: Any) -> NoReturn:
    """Raises the ValueError of a result that is not as it should be."""
    text = repr(got)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    raise ValueError(f"{where}: {name!r} must be {required}; got {text}; run the recipe again")


def is_text(value: Any) -> bool:
    """Whether a result is text."""
    return isinstance(value, str)


def is_number(value: Any, least: float = -math.inf, greatest: float = math.inf, kind: type = Real) -> bool:
    """Whether a result is a finite number in a range."""
    is_one = isinstance(value, kind) and not isinstance(value, bool)
    return is_one and math.isfinite(value) and least - 1e-6 <= value <= greatest + 1e-6


def _are_versions(value: Any) -> bool:
    texts = [*value, *(version for version in value.values() if version is not None)] if isinstance(value, dict) else 0
    return isinstance(texts, list) and all(map(is_text, texts))


_FRACTIONS = " ".join(name for name, metric in METRICS.items() if metric.is_fraction)
_AT_LEAST_0 = (
    "learning_rate entropic_strength epochs eval_mae eval_squared_emd eval_score_mae eval_nll validation_mae sdd "
    "sdd_relative regularizer_weight seconds_per_step cpu_seconds_per_step"
)
# Names of results, whether a value is as it should be, and that in words.
_REQUIREMENTS = (
    ("table", lambda value: value in TABLES, f"one of {', '.join(TABLES)}"),
    ("comparison data variant model loss tested_on device command optimizer job", is_text, "text"),
    ("stand_in learning_rate_selected", lambda value: isinstance(value, bool), "true or false"),
    ("class_names", lambda value: isinstance(value, (list, tuple)) and all(map(is_text, value)), "a list of names"),
    ("versions", _are_versions, "names of packages, each with a version"),
    ("num_train num_test batch_size folds", partial(is_number, least=1, kind=Integral), "an integer, 1 or more"),
    ("fold seed", partial(is_number, least=0, kind=Integral), "an integer, 0 or more"),
    (_FRACTIONS, partial(is_number, least=0, greatest=1), "a number, 0 to 1"),
    ("eval_spearman", partial(is_number, least=-1, greatest=1), "a number, -1 to 1"),
    (_AT_LEAST_0, partial(is_number, least=0), "a finite number, 0 or more"),
)
