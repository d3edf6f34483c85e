"""The metrics and losses of a model card, in words and as the Hub names them."""

from __future__ import annotations

from ..training.arguments import SELF_GUIDED

__all__ = ["CARD_METRICS", "HUB_METRICS", "LOSSES", "MAX_CLASSES", "OF_SCORES", "ORDERED", "UNORDERED"]

MAX_CLASSES = 256  # above, a confusion matrix shows nothing

# Key in the results -> name in the table, type and name in the metadata, what it is.
CARD_METRICS = {
    "eval_aem": (
        "AEM", "accuracy", "AEM (exact match)", "share of rows whose likeliest class is the right one; 100% is best"
    ),
    "eval_aeo": (
        "AEO", "accuracy_within_one", "AEO (within one class)",
        "share whose likeliest class is the right one or next to it; 100% is best",
    ),
    "eval_mae": (
        "MAE", "mae", "MAE in classes",
        "mean distance of the likeliest class from the right one, in classes; 0 is best",
    ),
    "eval_squared_emd": (
        "Squared EMD", "squared_emd", "Squared EMD",
        "mean squared EMD between the predicted distribution and the truth (Eq. 10); 0 is best",
    ),
    "eval_spearman": (
        "Spearman's rho", "spearmanr", "Spearman's rho of the expected score",
        "rank correlation of the expected score with the true one; 1 is best",
    ),
    "eval_score_mae": (
        "MAE of the score", "mae", "MAE of the expected score", "mean distance from the true score; 0 is best"
    ),
    "eval_top_1_error": ("Top-1 error", "top_1_error", "Top-1 error", "share put into a wrong class; 0 is best"),
    "eval_top_5_error": (
        "Top-5 error", "top_5_error", "Top-5 error", "share whose class is not among the five likeliest; 0 is best"
    ),
}  # fmt: skip
HUB_METRICS = ("accuracy", "mae", "spearmanr")  # those that the Hub has under these names
ORDERED = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
UNORDERED = ("eval_top_1_error", "eval_top_5_error")
OF_SCORES = ("eval_spearman", "eval_score_mae")

LOSSES = {
    "xe": "cross-entropy",
    "reg": "squared error of one linear output",
    "emd": "squared EMD of ordered classes (Eq. 10)",
    **dict.fromkeys(SELF_GUIDED, "cross-entropy + λ Σᵢ pᵢ² (D[i, k]^ω + μ), with a D that the network learns (Eq. 16)"),
    "a-emd": "entropic Wasserstein loss under a given D (Frogner et al. 2015)",
}
