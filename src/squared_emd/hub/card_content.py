"""The text of a model card: metadata as YAML, then what the template says of the facts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PretrainedConfig
from transformers.models.auto import modeling_auto

from ..metrics.names import METRICS, PRETRAINED, loss_name, network_name, network_of

MARK = "<!-- Written by squared_emd; take this line away, and the card is yours and stays as it is. -->"
MAX_DRAWN_CLASSES = 256  # Of a confusion matrix: above, its figure shows nothing.
_TEMPLATE = Path(__file__).with_name("template.md")
_MAX_NAMES = 40

_TASKS = {
    "image-classification": modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    "audio-classification": modeling_auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
    "text-classification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
}
# Task -> what a sample is, and one in the snippets.
_SAMPLES = {
    "image-classification": ("image", '"image.jpg"'),
    "audio-classification": ("sound", '"sound.wav"'),
    "text-classification": ("text", '"A text."'),
    "tabular-classification": ("row", ""),
}


class _Dataset(NamedTuple):
    """What a card says of `data` or `table` in the results; the template says the rest."""

    title: str  # Of the model.
    name: str
    tags: tuple[str, ...] = ("synthetic",)
    link: str | None = None  # The page with their terms.


_DATASETS = {
    "adience": _Dataset(
        "Age groups of faces", "Adience", ("age-estimation",),
        "https://talhassner.github.io/home/projects/Adience/Adience-data.html",
    ),
    "images_of_groups": _Dataset(
        "Age groups of faces", "Images of Groups", ("age-estimation",),
        "http://chenlab.ece.cornell.edu/people/Andy/ImagesOfGroups.html",
    ),
    "aadb": _Dataset(
        "Aesthetic scores of photographs", "AADB", ("image-aesthetics",),
        "https://github.com/aimerykong/deepImageAestheticsAnalysis",
    ),
    "imagenet": _Dataset("ImageNet classes", "ImageNet ILSVRC 2012", (), "https://www.image-net.org"),
    "drawn faces": _Dataset("Age groups of drawn faces", "Drawn faces", ("synthetic", "age-estimation")),
    "drawn groups": _Dataset("Age groups of drawn people", "Drawn groups", ("synthetic", "age-estimation")),
    "drawn compositions": _Dataset("Scores of drawn compositions", "Drawn compositions"),
    "drawn shapes": _Dataset("Drawn shapes", "Drawn shapes"),
    "generated reviews": _Dataset("Ratings of generated reviews", "Generated reviews"),
    "generated sounds": _Dataset("Grades of generated sounds", "Generated sounds"),
    "generated table": _Dataset("Wear of imaginary machines", "Generated table"),
    "own data": _Dataset("Classes", "The user's own data", ()),
}  # fmt: skip
_HUB_DATASETS = {"imagenet": "ILSVRC/imagenet-1k"}

# Networks of the recipes: of pre-trained ones the license of their weights; the others start from random weights.
_BASE_LICENSES = {"vgg_f": "bsd-3-clause", "res_f": "apache-2.0"}
_FROM_SCRATCH = ("small", "alxs", "alx", "res")

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
_HUB_METRIC_TYPES = ("accuracy", "mae", "spearmanr")  # Metrics that the Hub knows by these names.


def render_card(
    config: PretrainedConfig,
    known: Mapping[str, Any],
    why_not_run: str | None,
    figures: Sequence[str],
    repo_id: str | None,
    license: str | None,
    metadata: Mapping[str, Any],
) -> str:
    """The card of a model with verified results; `figures` are the stems of those beside it."""
    emd, names = getattr(config, "emd", None) or {}, known["class_names"]
    dataset = next((key for key in (known.get("data"), known.get("table")) if key in _DATASETS), "own data")
    data = _DATASETS[dataset]
    if known.get("stand_in") and data.link:
        data = data._replace(name=f"{data.name} (a part of it, or other labels)")
    task = task_of(config)
    tag = "tabular-classification" if task is None and known.get("table") == "tabular" else task
    model, loss = known.get("model", ""), emd.get("loss", known.get("loss"))
    architecture = str(getattr(config, "architecture", None) or ", ".join(config.architectures or [config.model_type]))
    is_repository = re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model) is not None
    base = PRETRAINED.get(network_of(model), model if is_repository else None)
    base_license = _BASE_LICENSES.get(network_of(model))
    license_name = None
    if license is None and data.link:
        license, license_name = "other", f"{dataset.replace('_', '-')}-terms"
    elif license is None and dataset != "own data" and (base_license or model in _FROM_SCRATCH):
        license = base_license or "apache-2.0"
    if {"table", "comparison"} & known.keys():
        is_ordered = known.get("table") != "imagenet" and "eval_top_1_error" not in known
    else:
        is_ordered = loss in ("emd", "reg") or "eval_aeo" in known
    about = ", ".join(filter(None, [network_name(model), loss_name(loss, known.get("variant", "")) if loss else ""]))
    is_on_hub = dataset in _HUB_DATASETS and not known.get("stand_in", True)
    fields = {
        "library_name": "transformers" if config.model_type else "pytorch",
        "pipeline_tag": tag,
        "license": license,
        "license_name": license_name,
        "license_link": data.link if license_name else None,
        "base_model": base,
        "datasets": [_HUB_DATASETS[dataset]] if is_on_hub else None,
    } | dict(metadata)
    more = fields.pop("tags", None) or []
    fields["tags"] = ["ordinal-classification"] if is_ordered else []
    fields["tags"] += ["squared-emd", "earth-movers-distance", "wasserstein", *data.tags]
    fields["tags"] += [more] if isinstance(more, str) else more
    split = _split(known)
    results = _eval_results(
        known,
        task_type=tag or "other",
        task_name=f"{'Ordinal ' if is_ordered else ''}{(tag or 'classification').replace('-', ' ')}".capitalize(),
        dataset_type=_HUB_DATASETS.get(dataset, re.sub(r"\W", "_", dataset)),
        dataset_name=data.name,
        dataset_split=split,
    )
    if results:
        slug = repo_id.split("/")[-1] if repo_id else re.sub(r"\W+", "-", f"{dataset} {about}".lower())
        types = [result.metric_type for result in results if "other_metrics" not in known]
        metrics = [name for name in _HUB_METRIC_TYPES if name in types] or None
        fields |= {"model_name": slug, "eval_results": results, "metrics": metrics}
    card = ModelCard.from_template(
        ModelCardData(**fields),
        template_path=str(_TEMPLATE),
        config=config,
        emd=emd,
        known={name: escape(value) if isinstance(value, str) else value for name, value in known.items()},
        dataset=dataset,
        data=data,
        about=escape(about),
        task=task,
        sample=_SAMPLES.get(tag, ("sample", ""))[0],
        example=_SAMPLES.get(task, ("", ""))[1],
        why_not_run=why_not_run,
        is_ordered=is_ordered,
        num_classes=len(names),
        max_drawn_classes=MAX_DRAWN_CLASSES,
        class_names=_abbreviated([escape(name) for name in names]),
        scores=_abbreviated([f"{score:.3g}" for score in emd.get("scores") or []]),
        network=escape(network_name(model) or architecture),
        loss=_loss_text(loss, emd),
        version=emd.get("version") if re.fullmatch(r"[\w.+-]+", str(emd.get("version"))) else None,
        needs_vision="_needs_import_squared_emd" in architecture,
        repo=repo_id or "YOUR_NAME/YOUR_MODEL",
        split=escape(split or ""),
        rows=_result_rows(known),
        held_out={each["coverage"]: each.get("held_out") for each in known.get("intervals", [])},
        wilson_interval=_wilson_interval,
        figures=figures,
        command=_fence(known["command"]) if "command" in known else None,
        escape=escape,
        license_id=license,
        license_name=license_name,
        base=base,
        base_license=base_license,
        mark=MARK,
        **_per_class_facts(known.get("confusion_matrix"), names),
    )
    return re.sub(r"\n{3,}", "\n\n", card.content).rstrip() + "\n"


def task_of(config: PretrainedConfig) -> str | None:
    """The pipeline that loads the model, or None if transformers has none."""
    for architecture in config.architectures or []:
        for task, mapping in _TASKS.items():
            if any(architecture in ([name] if isinstance(name, str) else name) for name in mapping.values()):
                return task
    return next((task for task, mapping in _TASKS.items() if config.model_type in mapping), None)


def _split(known: Mapping[str, Any]) -> str | None:
    tested_on, folds = known.get("tested_on"), known.get("folds", 1)
    if tested_on is None or folds < 2 or "fold" not in known:
        return tested_on
    return f"{tested_on}{'' if tested_on.endswith('fold') else ', fold'} {known['fold']} (of folds 0 to {folds - 1})"


def _eval_results(known: Mapping[str, Any], **about: Any) -> list[EvalResult]:
    measured = [(*CARD_METRICS[key][1:3], known[key]) for key in CARD_METRICS if key in known]
    measured += [(name, name, value) for name, value in known.get("other_metrics", {}).items()]
    return [
        EvalResult(metric_type=kind, metric_name=name, metric_value=round(float(value), 6), **about)
        for kind, name, value in measured
    ]


def _result_rows(known: Mapping[str, Any]) -> list[dict[str, str]]:
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
            interval = _wilson_interval(known[key], known.get("num_test")) if METRICS[key].in_percent else ""
        rows.append({"name": name, "value": text, "interval": interval, "meaning": meaning})
    for name, value in known.get("other_metrics", {}).items():
        meaning = "as the training script names it"
        rows.append({"name": escape(name), "value": f"{value:.4g}", "interval": "", "meaning": meaning})
    return rows


def _wilson_interval(share: float, num_samples: int | None) -> str:
    """Wilson's 95 % interval of a share of independent samples, in percent; "" if it is no share of that many."""
    if num_samples is None or abs(share * num_samples - round(share * num_samples)) > 1e-6 * num_samples:
        return ""
    z = 1.959963984540054  # The 97.5th percentile of the normal distribution.
    center = (share + z**2 / (2 * num_samples)) / (1 + z**2 / num_samples)
    half = z * math.sqrt(share * (1 - share) / num_samples + (z / (2 * num_samples)) ** 2) / (1 + z**2 / num_samples)
    return f"{100 * (center - half):.1f} to {100 * (center + half):.1f}%"


def _per_class_facts(counts: np.ndarray | None, names: Sequence[str]) -> dict[str, Any]:
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


def _loss_text(loss: str | None, emd: Mapping[str, Any]) -> str | None:
    """A loss and its hyperparameters."""
    if loss is None:
        return None
    symbols = {"omega": "ω", "mu": "μ", "regularizer_weight": "λ", "entropic_strength": "entropic strength"}
    parts = [f"{symbol} = {emd[name]:.3g}" for name, symbol in symbols.items() if emd.get(name) is not None]
    return "; ".join([escape(loss_name(loss)), *([", ".join(parts)] if parts else [])])


def _abbreviated(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_NAMES} more, see config.json" if len(texts) > _MAX_NAMES else ""
    return ", ".join(texts[:_MAX_NAMES]) + more


def _fence(command: str) -> str:
    """A command as a code block, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command.strip()}\n{fence}"


def escape(text: str) -> str:
    r"""Any text as one line of Markdown that shows it as it is, in a table too.

    >>> print(escape("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$@:])", r"\\\1", " ".join(text.split()))
