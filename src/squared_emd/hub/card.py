"""Model cards: what a saved model is, and what was measured on its weights."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto import modeling_auto

from ..ground_distance.saved import read_ground_distance
from ..metrics.names import METRICS, loss_name, network_name, network_of
from .results import check_weights, digests_of_weights, read_results, verify_results

__all__ = ["CARD_FILE", "is_generated", "write_card"]

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
_TEMPLATE = Path(__file__).with_name("template.md")
_MARK = "<!-- Written by squared_emd; take this line away, and the card is yours and stays as it is. -->"
_MARK_OF_TRAINER = "This model card has been generated automatically"
_KEPT_FILE = "card_results.json"
_MAX_CLASSES = 256  # Of a confusion matrix: above, its figure shows nothing.
_MAX_NAMES = 40

_TASKS = {
    "image-classification": modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    "audio-classification": modeling_auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
    "text-classification": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
}
_INPUTS = {"image": '"image.jpg"', "audio": '"sound.wav"', "text": '"A text."'}

# `data` or `table` in the results -> title of the model, name of the data, tags, and the page with their terms.
# The template says the rest.
_DATASETS: dict[str, tuple[str, str, tuple[str, ...], str | None]] = {
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
    "own data": ("Classes", "The user's own data", (), None),
}  # fmt: skip
_HUB_DATASETS = {"imagenet": "ILSVRC/imagenet-1k"}

# Pre-trained networks of the recipes -> repository and license of their weights; the others start from random weights.
_BASE_MODELS = {
    "vgg_f": ("timm/vgg16.tv_in1k", "bsd-3-clause"),
    "res_f": ("timm/resnetv2_50.a1h_in1k", "apache-2.0"),
}
_FROM_SCRATCH = ("small", "alxs", "alx", "res")

# Key in the results -> name in the table, type in the metadata, name in the metadata, meaning.
_CARD_METRICS = {
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
}  # fmt: skip
_TYPES_OF_HUB = ("accuracy", "mae", "spearmanr")  # Metrics that the Hub knows by these names.


def write_card(
    folder: str | os.PathLike[str],
    *,
    repo_id: str | None = None,
    results: Mapping[str, Any] | None = None,
    license: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write the card of a saved model, and the figures that it shows, beside the weights.

    A number is on the card if it was measured on these weights; otherwise the card says "not run". A README.md that
    neither this function nor `transformers.Trainer` has written is left as it is.

    Args:
        folder: of the saved model, with its config.json.
        repo_id: its repository on the Hub; by default the card names a placeholder.
        results: measured by the caller on these weights, with the keys of `all_results.json`. They are kept in
            card_results.json with the SHA-256 of the weights, and `license` and `metadata` with them, for the next
            time. By default, those are taken if the weights are still the same, else `all_results.json` is, if it
            names the SHA-256 of the weights.
        license: Hub id of the license of the weights. By default that of the pre-trained network for generated data,
            "other" with a link for datasets that are given for research, none for a user's own data.
        metadata: further fields of the metadata, such as `language`, `datasets` or `base_model`; `tags` are added.

    Returns:
        The files written: README.md, and confusion_matrix.png and ground_distance.png if there is something to draw.
        Figures of an earlier card are deleted. The list is empty if the card was written by hand.

    Raises:
        FileNotFoundError: there is no config.json.
        ValueError: a number is out of its range, contradicts another or the config, or was measured with other weights;
            `repo_id` or `license` is not valid; `metadata` has results.
    """
    folder, given = Path(folder), dict(metadata or {})
    card = folder / CARD_FILE
    validate_repo_id(repo_id)
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(f"license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got {license!r}; give its id")
    if unfit := sorted({"model-index", "model_name", "eval_results", "metrics"} & given.keys()):
        raise ValueError(f"metadata must hold no results, those are measured; got {', '.join(unfit)}; leave it out")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"a card needs a saved model, there is no {folder / 'config.json'}; save one first")
    if card.is_file() and not is_generated(card):
        return []
    config, why_not_run = _read_config(folder), None
    if results is not None:
        if results.get("weights") is not None:
            check_weights(folder, results["weights"], "results")
        known = verify_results(results, config, "results")
        kept = {"results": {**results, "weights": digests_of_weights(folder)}, "license": license, "metadata": metadata}
        (folder / _KEPT_FILE).write_text(json.dumps(kept, indent=2, default=float) + "\n", encoding="utf-8")
    elif kept := _kept_results(folder):
        known = verify_results(kept["results"], config, _KEPT_FILE)
        license, given = license or kept["license"], (kept["metadata"] or {}) | given
    else:
        found, why_not_run = read_results(folder)
        known = verify_results(found, config)
    if why_not_run is None and not known.keys() & _CARD_METRICS.keys() and not known.get("other_metrics"):
        why_not_run = (
            "Nothing was measured on these weights. Evaluate them before the push; "
            "compute_metrics=squared_emd.ordinal_metrics() gives what this card asks for."
        )
    if why_not_run is not None:
        logger.warning("The card of %s has no metrics. %s", folder, why_not_run)
    matrices = {
        "confusion_matrix": known.get("confusion_matrix") if len(known["class_names"]) <= _MAX_CLASSES else None,
        "ground_distance": read_ground_distance(folder) if getattr(config, "ground_distance", None) else None,
    }
    figures = _draw(folder, matrices, known["class_names"])
    text = _render(config, known, why_not_run, [path.stem for path in figures], repo_id, license, given)
    card.write_text(text, encoding="utf-8", newline="\n")
    return [card, *figures]


def is_generated(card: str | os.PathLike[str]) -> bool:
    """Whether a README.md was written by this package or by `transformers.Trainer`, or is the empty one of the Hub."""
    text = Path(card).read_text(encoding="utf-8")
    body = re.sub(r"\A---\n.*?\n---\s*", "", text, flags=re.DOTALL)
    return not body.strip() or any(mark in text for mark in (_MARK, _MARK_OF_TRAINER))


def _read_config(folder: Path) -> PretrainedConfig:
    """The config of any model, also of an architecture that transformers does not know; no code is executed."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except ValueError:
        return PretrainedConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def _kept_results(folder: Path) -> dict[str, Any] | None:
    """What an earlier call kept, unless the weights are others now."""
    path = folder / _KEPT_FILE
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return kept if kept and kept["results"]["weights"] == digests_of_weights(folder) else None


def _draw(folder: Path, matrices: Mapping[str, Any], class_names: Sequence[str]) -> list[Path]:
    """Save the figures of the matrices that there are."""
    for name in matrices:
        (folder / f"{name}.png").unlink(missing_ok=True)
    present = {name: np.asarray(matrix) for name, matrix in matrices.items() if matrix is not None}  # (K, K) each
    if not present:
        return []
    try:  # Here, because Matplotlib is optional and takes a second to import.
        from .. import plot
    except ImportError as error:
        logger.warning("The card of %s has no figures: %s", folder, error)
        return []
    draw = {"confusion_matrix": plot.confusion_matrix, "ground_distance": plot.heat_map}
    for name, matrix in present.items():
        draw[name](matrix, class_names=class_names, path=folder / f"{name}.png")
    return [folder / f"{name}.png" for name in present]


def _render(
    config: PretrainedConfig,
    known: Mapping[str, Any],
    why_not_run: str | None,
    figures: Sequence[str],
    repo_id: str | None,
    license: str | None,
    metadata: Mapping[str, Any],
) -> str:
    """The text of the card: metadata as YAML, then Markdown."""
    emd, names = getattr(config, "emd", None) or {}, known["class_names"]
    dataset = next((key for key in (known.get("data"), known.get("table")) if key in _DATASETS), "own data")
    title, data_name, tags, link = _DATASETS[dataset]
    if known.get("stand_in") and link:
        data_name += " (a part of it, or other labels)"
    task = _task_of(config)
    model, loss, architecture = known.get("model", ""), emd.get("loss", known.get("loss")), _architecture(config)
    base_model, base_license = _BASE_MODELS.get(network_of(model), (model if _is_repository(model) else None, None))
    license_name = None
    if license is None and link:
        license, license_name = "other", f"{dataset.replace('_', '-')}-terms"
    elif license is None and dataset != "own data" and (base_license or model in _FROM_SCRATCH):
        license = base_license or "apache-2.0"
    if {"table", "comparison"} & known.keys():
        is_ordered = known.get("table") != "imagenet" and "eval_top_1_error" not in known
    else:
        is_ordered = loss in ("emd", "reg") or "eval_aeo" in known
    about = ", ".join(filter(None, [network_name(model), loss_name(loss, known.get("variant", "")) if loss else ""]))
    fields = {
        "library_name": "transformers",
        "pipeline_tag": task,
        "license": license,
        "license_name": license_name,
        "license_link": link if license_name else None,
        "base_model": base_model,
        "datasets": [_HUB_DATASETS[dataset]] if dataset in _HUB_DATASETS and not known.get("stand_in", True) else None,
    } | dict(metadata)
    more = fields.pop("tags", None) or []
    order = ["ordinal-classification"] if is_ordered else []
    fields["tags"] = [*order, "squared-emd", "earth-movers-distance", "wasserstein", *tags]
    fields["tags"] += [more] if isinstance(more, str) else more
    about_results = {
        "task_type": task or "other",
        "task_name": f"{'Ordinal ' if is_ordered else ''}{(task or 'classification').replace('-', ' ')}".capitalize(),
        "dataset_type": _HUB_DATASETS.get(dataset, re.sub(r"\W", "_", dataset)),
        "dataset_name": data_name,
        "dataset_split": _split(known),
    }
    results = _eval_results(known, about_results)
    if results:
        slug = repo_id.split("/")[-1] if repo_id else re.sub(r"\W+", "-", f"{dataset} {about}".lower())
        fields |= {"model_name": slug, "eval_results": results}
        types = [result.metric_type for result in results if "other_metrics" not in known]
        fields["metrics"] = [name for name in _TYPES_OF_HUB if name in types] or None
    rows = _rows(known)
    card = ModelCard.from_template(
        ModelCardData(**fields),
        template_path=str(_TEMPLATE),
        title=f"{title}: {escape(about)}" if about else title,
        dataset=dataset,
        data_name=data_name,
        link=link,
        task=task,
        noun=(task or "sample").split("-")[0].replace("audio", "sound"),
        example=_INPUTS.get((task or "").split("-")[0]),
        why_not_run=why_not_run,
        num_outputs=len(config.id2label),
        is_ordered=is_ordered,
        num_classes=len(names),
        class_names=_first(map(escape, names), len(names)),
        scores=_first([f"{score:.3g}" for score in emd.get("scores") or []], len(emd.get("scores") or [])),
        emd=emd,
        known={name: escape(value) if isinstance(value, str) else value for name, value in known.items()},
        network=escape(network_name(model) or architecture),
        loss=_loss_text(loss, emd),
        version=emd.get("version") if re.fullmatch(r"[\w.+-]+", str(emd.get("version"))) else None,
        needs_vision="_needs_import_squared_emd" in architecture,
        repo=repo_id or "YOUR_NAME/YOUR_MODEL",
        has_ground_distance=getattr(config, "ground_distance", None) is not None,
        split=escape(about_results["dataset_split"] or ""),
        rows=rows,
        has_intervals=any(row["interval"] for row in rows),
        figures=figures,
        too_many=len(names) > _MAX_CLASSES and "confusion_matrix" in known,
        command=_fence(known["command"]) if "command" in known else None,
        settings=_settings(known),
        license_id=license,
        license_name=license_name,
        base=base_model,
        base_license=base_license,
        mark=_MARK,
        **_per_class(known.get("confusion_matrix"), names),
    )
    return re.sub(r"\n{3,}", "\n\n", card.content).rstrip() + "\n"


def _task_of(config: PretrainedConfig) -> str | None:
    """The pipeline that loads the model, or None if transformers has none."""
    for architecture in config.architectures or []:
        for task, mapping in _TASKS.items():
            if any(architecture in ([name] if isinstance(name, str) else name) for name in mapping.values()):
                return task
    return next((task for task, mapping in _TASKS.items() if config.model_type in mapping), None)


def _architecture(config: PretrainedConfig) -> str:
    return str(getattr(config, "architecture", None) or ", ".join(config.architectures or [config.model_type]))


def _is_repository(model: str) -> bool:
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", model) is not None


def _split(known: Mapping[str, Any]) -> str | None:
    tested_on, folds = known.get("tested_on"), known.get("folds", 1)
    if tested_on is None or folds < 2 or "fold" not in known:
        return tested_on
    return f"{tested_on}{'' if tested_on.endswith('fold') else ', fold'} {known['fold']} (of folds 0 to {folds - 1})"


def _eval_results(known: Mapping[str, Any], about: Mapping[str, Any]) -> list[EvalResult]:
    measured = [(*_CARD_METRICS[key][1:3], known[key]) for key in _CARD_METRICS if key in known]
    measured += [(name, name, value) for name, value in known.get("other_metrics", {}).items()]
    return [
        EvalResult(metric_type=kind, metric_name=name, metric_value=round(float(value), 6), **about)
        for kind, name, value in measured
    ]


def _rows(known: Mapping[str, Any]) -> list[dict[str, str]]:
    """The table of results: the metrics that such data ask for, then what was measured besides."""
    expected = ["eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd"]
    if known.get("table") == "imagenet" or "eval_top_1_error" in known:
        expected = ["eval_top_1_error", "eval_top_5_error"]
    if known.get("table") == "aadb":
        expected = ["eval_spearman", "eval_score_mae", *expected]
    if known.get("other_metrics"):
        expected = []
    rows = []
    for key in dict.fromkeys([*expected, *(key for key in _CARD_METRICS if key in known)]):
        name, _, _, meaning = _CARD_METRICS[key]
        text, interval = "not run", ""
        if key in known:
            text = f"{METRICS[key].shown(known[key]):.{METRICS[key].digits}f}{'%' if METRICS[key].in_percent else ''}"
            interval = wilson_interval(known[key], known.get("num_test")) if METRICS[key].in_percent else ""
        rows.append({"name": name, "value": text, "interval": interval, "meaning": meaning})
    for name, value in known.get("other_metrics", {}).items():
        meaning = "as the training script names it"
        rows.append({"name": escape(name), "value": f"{value:.4g}", "interval": "", "meaning": meaning})
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


def _per_class(counts: np.ndarray | None, names: Sequence[str]) -> dict[str, Any]:
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


def _settings(known: Mapping[str, Any]) -> list[tuple[str, str]]:
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


def _loss_text(loss: str | None, emd: Mapping[str, Any]) -> str | None:
    """A loss and its hyperparameters."""
    if loss is None:
        return None
    symbols = {"omega": "ω", "mu": "μ", "regularizer_weight": "λ", "entropic_strength": "entropic strength"}
    parts = [f"{symbol} = {emd[name]:.3g}" for name, symbol in symbols.items() if emd.get(name) is not None]
    return "; ".join([escape(loss_name(loss)), *([", ".join(parts)] if parts else [])])


def _first(texts: Any, count: int) -> str:
    shown = ", ".join(list(texts)[:_MAX_NAMES])
    return shown if count <= _MAX_NAMES else f"{shown} and {count - _MAX_NAMES} more, see config.json"


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
