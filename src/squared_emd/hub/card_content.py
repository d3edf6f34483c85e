"""What stands on a model card: the tables of results and settings, and text that Markdown shows as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from huggingface_hub import EvalResult

from ..metrics.names import METRICS, loss_name

_MAX_NAMES = 40

# `data` or `table` in the results -> title of the model, name of the data, tags, and the page with their terms.
# The template says the rest.
DATASETS: dict[str, tuple[str, str, tuple[str, ...], str | None]] = {
    "adience": (
        "Age groups of faces", "Adience", ("age-estimation",),
        "https://talhassner.github.io/home/projects/Adience/Adience-data.html",
    ),
    "images_of_groups": (
        "Age groups of faces", "Images of Groups", ("age-estimation",),
        "http://chenlab.ece.cornell.edu/people/Andy/ImagesOfGroups.html",
    ),
    "aadb": (
        "Aesthetic scores of photographs", "AADB", ("image-aesthetics",),
        "https://github.com/aimerykong/deepImageAestheticsAnalysis",
    ),
    "imagenet": ("ImageNet classes", "ImageNet ILSVRC 2012", (), "https://www.image-net.org"),
    "drawn faces": ("Age groups of drawn faces", "Drawn faces", ("synthetic", "age-estimation"), None),
    "drawn groups": ("Age groups of drawn people", "Drawn groups", ("synthetic", "age-estimation"), None),
    "drawn compositions": ("Scores of drawn compositions", "Drawn compositions", ("synthetic",), None),
    "drawn shapes": ("Drawn shapes", "Drawn shapes", ("synthetic",), None),
    "generated reviews": ("Ratings of generated reviews", "Generated reviews", ("synthetic",), None),
    "generated sounds": ("Grades of generated sounds", "Generated sounds", ("synthetic",), None),
    "generated table": ("Wear of imaginary machines", "Generated table", ("synthetic",), None),
    "own data": ("Classes", "The user's own data", (), None),
}  # fmt: skip
HUB_DATASETS = {"imagenet": "ILSVRC/imagenet-1k"}

# Pre-trained networks of the recipes -> repository and license of their weights; the others start from random weights.
BASE_MODELS = {
    "vgg_f": ("timm/vgg16.tv_in1k", "bsd-3-clause"),
    "res_f": ("timm/resnetv2_50.a1h_in1k", "apache-2.0"),
}
FROM_SCRATCH = ("small", "alxs", "alx", "res")

# Key in the results -> name in the table, type in the metadata, name in the metadata, meaning.
CARD_METRICS = {
    "eval_aem": ("AEM", "accuracy", "AEM (exact match)", "share whose likeliest class is the true one; 100% is best"),
    "eval_aeo": (
        "AEO", "accuracy_within_one", "AEO (within one class)",
        "share whose likeliest class is the true one or next to it; 100% is best",
    ),
    "eval_mae": ("MAE", "mae", "MAE in classes", "mean distance of the likeliest class from the true one; 0 is best"),
    "eval_squared_emd": (
        "Squared EMD", "squared_emd", "Squared EMD",
        "mean squared EMD between the predicted distribution and the truth (Eq. 10); 0 is best",
    ),
    "eval_spearman": (
        "Spearman's rho", "spearmanr", "Spearman's rho of the expected score",
        "rank correlation of the expected score with the true one; 1 is best",
    ),
    "eval_score_mae": ("MAE of the score", "mae", "MAE of the expected score", "mean distance from the true score"),
    "eval_top_1_error": ("Top-1 error", "top_1_error", "Top-1 error", "share with a wrong likeliest class; 0 is best"),
    "eval_top_5_error": (
        "Top-5 error", "top_5_error", "Top-5 error", "share whose class is not among the five likeliest; 0 is best"
    ),
    "eval_nll": (
        "NLL", "nll", "Negative log-likelihood", "mean -log of the probability of the true class; 0 is best"
    ),
    "eval_ece": (
        "ECE", "expected_calibration_error", "Expected calibration error",
        "mean distance between the probability of the likeliest class and how often it is right; 0 is best",
    ),
}  # fmt: skip
HUB_METRIC_TYPES = ("accuracy", "mae", "spearmanr")  # Metrics that the Hub knows by these names.


def eval_results(known: Mapping[str, Any], about: Mapping[str, Any]) -> list[EvalResult]:
    measured = [(*CARD_METRICS[key][1:3], known[key]) for key in CARD_METRICS if key in known]
    measured += [(name, name, value) for name, value in known.get("other_metrics", {}).items()]
    return [
        EvalResult(metric_type=kind, metric_name=name, metric_value=round(float(value), 6), **about)
        for kind, name, value in measured
    ]


def result_rows(known: Mapping[str, Any]) -> list[dict[str, str]]:
    """The table of results: the metrics that such data ask for, then what was measured besides."""
    expected = ["eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"]
    if known.get("table") == "imagenet" or "eval_top_1_error" in known:
        expected = ["eval_top_1_error", "eval_top_5_error"]
    if known.get("table") == "aadb":
        expected = ["eval_spearman", "eval_score_mae", *expected]
    if known.get("other_metrics"):
        expected = []
    rows = []
    for key in dict.fromkeys([*expected, *(key for key in CARD_METRICS if key in known)]):
        name, _, _, meaning = CARD_METRICS[key]
        text, interval = "not run", ""
        if key in known:
            text = f"{METRICS[key].shown(known[key]):.{METRICS[key].digits}f}{'%' if METRICS[key].in_percent else ''}"
            interval = wilson_interval(known[key], known.get("num_test")) if METRICS[key].in_percent else ""
        rows.append({"name": name, "value": text, "interval": interval, "meaning": meaning})
    for name, value in known.get("other_metrics", {}).items():
        meaning = "as the training script names it"
        rows.append({"name": escape(name), "value": f"{value:.4g}", "interval": "", "meaning": meaning})
    return rows


def interval_rows(known: Mapping[str, Any], emd: Mapping[str, Any]) -> list[dict[str, str]]:
    """The table of intervals: for each coverage that was calibrated, what was measured on held-out samples."""
    rows, measured = [], {each["coverage"]: each.get("held_out") for each in known.get("intervals", [])}
    for calibration in emd.get("intervals") or []:
        held_out, share, size = measured.get(calibration["coverage"]), "not run", "not run"
        if held_out:
            share, size = f"{100 * held_out['coverage']:.1f}%", f"{held_out['mean_size']:.2f}"
        rows.append(
            {
                "asked": f"{calibration['coverage']:g}",
                "share": share,
                "interval": wilson_interval(held_out["coverage"], held_out["num_samples"]) if held_out else "",
                "size": size,
                "calibrated_on": str(calibration["num_samples"]),
                "tested_on": str(held_out["num_samples"]) if held_out else "",
            }
        )
    return rows


def wilson_interval(share: float, num_samples: int | None) -> str:
    """Wilson's 95 % interval of a share of independent samples, in percent; "" if it is no share of that many.

    >>> wilson_interval(0.5, 4)
    '15.0 to 85.0%'
    """
    if num_samples is None or abs(share * num_samples - round(share * num_samples)) > 1e-6 * num_samples:
        return ""
    z = 1.959963984540054  # The 97.5th percentile of the normal distribution.
    center = (share + z**2 / (2 * num_samples)) / (1 + z**2 / num_samples)
    half = z * math.sqrt(share * (1 - share) / num_samples + (z / (2 * num_samples)) ** 2) / (1 + z**2 / num_samples)
    return f"{100 * (center - half):.1f} to {100 * (center + half):.1f}%"


def per_class_facts(counts: np.ndarray | None, names: Sequence[str]) -> dict[str, Any]:
    """The class that is least often right, the one with the fewest samples, and the largest share of a class."""
    if counts is None:
        return {"worst": None, "fewest": None, "most_frequent": None}
    totals, right = counts.sum(axis=1), counts.diagonal()  # (K,) each
    tested = np.flatnonzero(totals)
    worst, fewest = min(tested, key=lambda k: right[k] / totals[k]), min(tested, key=lambda k: totals[k])
    return {
        "worst": f"{escape(names[worst])}, {right[worst]} of {totals[worst]}",
        "fewest": f"{escape(names[fewest])}, {totals[fewest]}" if totals[fewest] < totals.max() else None,
        "most_frequent": f"{100 * totals.max() / totals.sum():.1f}%",
    }


def training_settings(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The table of training settings."""
    versions = ", ".join(f"{name} {version}" for name, version in known.get("versions", {}).items())
    keys = {
        "training samples": "num_train", "epochs": "epochs", "batch size of a step": "batch_size",
        "optimizer": "optimizer", "learning rate": "learning_rate", "seed": "seed", "device": "device",
        "seconds per step": "seconds_per_step",
    }  # fmt: skip
    values = {name: known.get(key) for name, key in keys.items()} | {"versions": versions or None}
    texts = {name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return [(name, "not recorded" if values[name] is None else escape(text)) for name, text in texts.items()]


def loss_text(loss: str | None, emd: Mapping[str, Any]) -> str | None:
    """A loss and its hyperparameters."""
    if loss is None:
        return None
    symbols = {"omega": "ω", "mu": "μ", "regularizer_weight": "λ", "entropic_strength": "entropic strength"}
    parts = [f"{symbol} = {emd[name]:.3g}" for name, symbol in symbols.items() if emd.get(name) is not None]
    return "; ".join([escape(loss_name(loss)), *([", ".join(parts)] if parts else [])])


def abbreviated_list(texts: Any, count: int) -> str:
    shown = ", ".join(list(texts)[:_MAX_NAMES])
    return shown if count <= _MAX_NAMES else f"{shown} and {count - _MAX_NAMES} more, see config.json"


def fence(command: str) -> str:
    """A command as a code block, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command.strip()}\n{fence}"


def escape(text: str) -> str:
    r"""Any text as one line of Markdown that shows it as it is, in a table too.

    >>> print(escape("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$@:])", r"\\\1", " ".join(text.split()))
