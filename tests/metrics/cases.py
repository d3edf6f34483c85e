"""Metrics with expected values from scikit-learn, SciPy, POT or the equation, for the functions and for `evaluate`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import ot
from scipy.stats import energy_distance, kendalltau, pearsonr, rankdata, wasserstein_distance
from sklearn import metrics as sklearn_metrics

from squared_emd import metrics

GENERATOR = np.random.default_rng(0)
N, K = 300, 5
LOGITS = GENERATOR.normal(size=(N, K))
P = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
GUESSES = P.argmax(1)
LABELS = GENERATOR.integers(0, K, N)
SOFT = GENERATOR.dirichlet(np.ones(K), N)
VOTES = SOFT.argmax(1)
ONE_HOT = np.eye(K)[LABELS]
LOPSIDED = GENERATOR.uniform(size=(K, K)) * (1 - np.eye(K))  # D[i, k] is not D[k, i]
SPACING = [1.0, 0.5, 0.0, 3.0]
PLACES = np.array([0.0, 1.0, 1.5, 1.5, 4.5])  # with these gaps
SCORES = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
REALS = LABELS / 4 + GENERATOR.normal(size=N).round(1)  # with ties
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 3.0])
LINE = np.arange(K)


class Case(NamedTuple):
    """One metric on one kind of input.

    `function` gives the same from `squared_emd.metrics` where that takes one call.
    """

    module: str
    predictions: np.ndarray
    references: np.ndarray
    settings: dict[str, Any]
    expected: dict[str, Any]
    function: Callable[[], Any] | None = None


def energy(references):
    """The squared EMD is half of the squared energy distance on the class indices."""
    return np.array([energy_distance(LINE, LINE, p, t) ** 2 / 2 for p, t in zip(P, references, strict=True)])


def transport(references, ground_distance):
    return np.array([ot.emd2(p, t, ground_distance) for p, t in zip(P, references, strict=True)])


def accuracies(guesses, references, weights=None):
    off = abs(guesses - references)
    each = [sklearn_metrics.mean_absolute_error(references[k == references], guesses[k == references]) for k in LINE]
    return {
        "aem": sklearn_metrics.accuracy_score(references, guesses, sample_weight=weights),
        "aeo": np.average(off <= 1, weights=weights),
        "mae": sklearn_metrics.mean_absolute_error(references, guesses, sample_weight=weights),
        "macro_mae": np.mean(each),
    }


def correlations(predictions, references):
    return {
        "spearman": np.corrcoef(rankdata(predictions), rankdata(references))[0, 1],
        "pearson": pearsonr(predictions, references).statistic,
        "kendall": kendalltau(predictions, references).statistic,
    }


def kappa(references, weights):
    return sklearn_metrics.cohen_kappa_score(GUESSES, references, labels=LINE, weights=weights)


HARD = energy(ONE_HOT)
SOFT_ENERGY = energy(SOFT)
ON_LINE = np.array([wasserstein_distance(PLACES, PLACES, p, t) for p, t in zip(P, SOFT, strict=True)])
OBSERVED = np.mean([LOPSIDED[i, k] for i, k in zip(GUESSES, LABELS, strict=True)])
BY_CHANCE = np.mean([LOPSIDED[i, k] for i in GUESSES for k in LABELS])
BALANCED = np.mean([HARD[k == LABELS].mean() for k in LINE])

CASES = {
    "squared_emd": Case(
        *("squared_emd", P, LABELS, {"per_class": True}),
        {
            "squared_emd": HARD.mean(),
            "ranked_probability_score": HARD.mean() / (K - 1),
            "squared_emd_per_class": [HARD[k == LABELS].mean() for k in LINE],
        },
        lambda: metrics.squared_emd(P, LABELS),
    ),
    "squared_emd_soft": Case(
        *("squared_emd", LOGITS, SOFT, {"from_logits": True, "per_class": True, "per_sample": True}),
        {
            "squared_emd": SOFT_ENERGY.mean(),
            "ranked_probability_score": SOFT_ENERGY.mean() / (K - 1),
            "squared_emd_per_class": [np.average(SOFT_ENERGY, weights=SOFT[:, k]) for k in LINE],
            "squared_emd_per_sample": list(SOFT_ENERGY),
        },
        lambda: metrics.squared_emd(P, SOFT),
    ),
    "emd_on_a_line": Case(
        *("squared_emd", P, SOFT, {"p": 1, "spacing": SPACING}),
        {"emd": ON_LINE.mean()},
        lambda: metrics.squared_emd(P, SOFT, p=1, spacing=SPACING),
    ),
    "emd_of_labels": Case(
        *("squared_emd", P, LABELS, {"ground_distance": LOPSIDED}),
        {"emd": transport(ONE_HOT, LOPSIDED).mean()},
        lambda: metrics.exact_emd(P, LABELS, LOPSIDED),
    ),
    "emd_of_distributions": Case(
        *("squared_emd", P, SOFT, {"ground_distance": LOPSIDED}),
        {"emd": transport(SOFT, LOPSIDED).mean()},
        lambda: metrics.exact_emd(P, SOFT, LOPSIDED),
    ),
    "squared_emd_balanced": Case(
        *("squared_emd", P, LABELS, {"class_weights": "balanced"}),
        {"squared_emd": BALANCED, "ranked_probability_score": BALANCED / (K - 1)},
    ),
    "squared_emd_weighted": Case(
        *("squared_emd", P, SOFT, {"class_weights": WEIGHTS, "spacing": np.ones(K - 1)}),
        {"squared_emd": np.average(SOFT_ENERGY, weights=SOFT @ WEIGHTS)},
    ),
    "accuracy": Case(
        *("ordinal_accuracy", P, LABELS, {"tolerances": [0, 2], "per_class": True}),
        {
            **accuracies(GUESSES, LABELS),
            "within_0": np.mean(GUESSES == LABELS),
            "within_2": np.mean(abs(GUESSES - LABELS) <= 2),
            "accuracy_per_class": list(sklearn_metrics.recall_score(LABELS, GUESSES, average=None)),
        },
        lambda: metrics.within(GUESSES, LABELS),
    ),
    "accuracy_weighted": Case(
        *("ordinal_accuracy", GUESSES, LABELS, {"class_weights": WEIGHTS}),
        accuracies(GUESSES, LABELS, WEIGHTS[LABELS]),
        lambda: metrics.within(GUESSES, LABELS, sample_weight=WEIGHTS[LABELS]),
    ),
    "accuracy_of_votes": Case("ordinal_accuracy", LOGITS, SOFT, {}, accuracies(GUESSES, VOTES)),
    "kappa": Case(
        *("quadratic_weighted_kappa", GUESSES, LABELS, {}),
        {"quadratic_weighted_kappa": kappa(LABELS, "quadratic")},
        lambda: metrics.weighted_kappa(GUESSES, LABELS),
    ),
    "kappa_linear": Case(
        *("quadratic_weighted_kappa", P, SOFT, {"weights": "linear"}),
        {"linear_weighted_kappa": kappa(VOTES, "linear")},
        lambda: metrics.weighted_kappa(GUESSES, VOTES, weights="linear"),
    ),
    "kappa_under_d": Case(
        *("quadratic_weighted_kappa", P, LABELS, {"ground_distance": LOPSIDED}),
        {"weighted_kappa": 1 - OBSERVED / BY_CHANCE},
        lambda: metrics.weighted_kappa(GUESSES, LABELS, ground_distance=LOPSIDED),
    ),
    "top_k": Case(
        *("top_k_error", P, LABELS, {"k": [3, 1, 7]}),
        {f"top_{k}_error": 1 - sklearn_metrics.top_k_accuracy_score(LABELS, P, k=k) for k in (3, 1)}
        | {"top_7_error": 0.0},
        lambda: metrics.top_k_error(metrics.ranks_of_truth(P, LABELS), 3),
    ),
    "top_k_of_votes": Case(
        *("top_k_error", LOGITS, SOFT, {"k": 2}),
        {"top_2_error": 1 - sklearn_metrics.top_k_accuracy_score(VOTES, P, k=2)},
        lambda: metrics.top_k_error(metrics.ranks_of_truth(LOGITS, VOTES), 2),
    ),
    "correlation": Case(
        *("expected_score_correlation", LOGITS, REALS, {"scores": SCORES, "from_logits": True}),
        correlations(P @ SCORES, REALS),
        lambda: metrics.correlation(metrics.expected_score(P, SCORES), REALS),
    ),
    "correlation_with_votes": Case(
        *("expected_score_correlation", P, SOFT, {}),
        correlations(P @ LINE, SOFT @ LINE),
        lambda: metrics.correlation(metrics.expected_score(P), metrics.expected_score(SOFT)),
    ),
    "correlation_of_scores": Case(
        *("expected_score_correlation", REALS.round(), P[:, 0].round(2), {}),
        correlations(REALS.round(), P[:, 0].round(2)),
        lambda: metrics.correlation(REALS.round(), P[:, 0].round(2), "spearman"),
    ),
}
