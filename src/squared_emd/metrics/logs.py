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

RESULTS_FILE = "all_results.json"
STATE_FILE = "trainer_state.json"


def points(history: Sequence[Mapping[str, Any]], metric: str) -> dict[float, float]:
    """Epoch -> value of a metric, in order; of several entries at one epoch the first counts.

    A closing `trainer.evaluate()` logs the last epoch once more.
    """
    values: dict[float, float] = {}
    for entry in history:
        if entry.get("epoch") is not None and entry.get(metric) is not None:
            values.setdefault(entry["epoch"], entry[metric])
    return dict(sorted(values.items()))


def epoch_to_reach(history: Sequence[Mapping[str, Any]], metric: str, level: float) -> float | None:
    """The first epoch at which a metric is as good as a level (after Hou et al. 2016, Figure 2), or None."""
    sign = -1 if METRICS[metric].less_is_better else 1
    slack = 1e-9  # means of the same values may differ in their last digit
    reached = (epoch for epoch, value in points(history, metric).items() if sign * (value - level) >= -slack)
    return next(reached, None)


def check_results(results: Mapping[str, Any], where: object) -> dict[str, Any]:
    """The results of a run that this package knows, each of its type and in its range; without None."""
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
    """(K, K) int64 counts, a row for each true class, that agree to 1e-6 with the metrics measured beside them."""
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
