"""The text of a model card: metadata and Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined
from scipy.stats import binomtest

from ..metrics.names import METRICS, loss_name, network_name
from .card_fill import CardFill, markdown
from .card_metrics import CARD_METRICS, HUB_METRICS, LOSSES, MAX_CLASSES, OF_SCORES, ORDERED, UNORDERED
from .upload import MARK

__all__ = ["CONFUSION_FILE", "DISTANCES_FILE", "card_text"]

CONFUSION_FILE, DISTANCES_FILE = "confusion_matrix.png", "ground_distance.png"
_TEMPLATE = Path(__file__).with_name("template.md")
_PLACEHOLDER = "YOUR_NAME/YOUR_MODEL"
_MOST_NAMES = 40
_AS_NAMED = "as the training script names it"


def card_text(fill: CardFill) -> str:
    """A card: metadata in YAML, then Markdown.

    Args:
        fill: what it is filled with.

    Returns:
        The text of README.md.
    """
    known, emd, facts, names = fill.known, fill.emd, fill.facts, fill.known["class_names"]
    confusion = "confusion_matrix" in known and len(names) <= MAX_CLASSES
    architecture = str(getattr(fill.config, "architecture", ""))
    version = str(emd.get("version", ""))
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters |= {"md": markdown, "listed": _listed, "numbers": _numbers, "short": _short, "fenced": _fenced}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        metadata=_metadata(fill).to_yaml(),
        about=_about(fill),
        facts=facts,
        planned=fill.is_planned,
        not_run_because=fill.not_run_because,
        num_outputs=len(fill.config.id2label),
        ordered=fill.is_ordered,
        most_classes=MAX_CLASSES,
        class_names=names,
        emd=emd,
        known=known,
        data_name=_data_name(fill),
        network_text=fill.network.what,
        loss_text=_loss_text(fill),
        version=version if re.fullmatch(r"[\w.+-]+", version) else None,
        needs_import=architecture.endswith("_needs_import_squared_emd"),
        repo=fill.repo_id or _PLACEHOLDER,
        has_distance=fill.distances is not None,
        split=fill.split,
        rows=_rows(fill),
        confusion_file=CONFUSION_FILE if confusion else None,
        distance_file=DISTANCES_FILE if fill.distances is not None else None,
        settings=_settings(fill),
        licence=fill.licence,
        mark=MARK,
        **_extremes(known.get("confusion_matrix"), names),
    )


def _metadata(fill: CardFill) -> ModelCardData:
    facts, licence, known = fill.facts, fill.licence, fill.known
    measured = [name for name in CARD_METRICS if name in known]
    types = [CARD_METRICS[name][1] for name in measured]
    hub_id = None if known.get("stand_in", True) else facts.hub_id
    about = {
        "task_type": "image-classification",
        "task_name": "Ordinal image classification" if fill.is_ordered else "Image classification",
        "dataset_type": facts.hub_id or facts.kind,
        "dataset_name": _data_name(fill),
        "dataset_split": fill.split,
    }
    results = [
        EvalResult(
            metric_type=CARD_METRICS[name][1],
            metric_name=CARD_METRICS[name][2],
            metric_value=round(float(known[name]), 6),
            **about,
        )
        for name in measured
    ]
    results += [
        EvalResult(metric_type=name, metric_name=name, metric_value=round(value, 6), **about)
        for name, value in known.get("others", {}).items()
    ]
    order = ["ordinal-classification"] if fill.is_ordered else []
    name = fill.repo_id.split("/")[-1] if fill.repo_id else re.sub(r"\W+", "-", f"{facts.kind} {_about(fill)}".lower())
    given = dict(fill.metadata)
    more = given.pop("tags", None) or []
    ours = {
        "library_name": "transformers",
        "pipeline_tag": "image-classification",
        "license": licence.id,
        "license_name": licence.name,
        "license_link": licence.link,
        "base_model": fill.network.base,
        "datasets": [hub_id] if hub_id else None,
        "metrics": [kind for kind in HUB_METRICS if kind in types] or None,
        "tags": [*order, "squared-emd", "earth-movers-distance", "wasserstein", *facts.tags]
        + ([more] if isinstance(more, str) else list(more)),
        "model_name": name if results else None,
        "eval_results": results or None,
    }
    return ModelCardData(**ours | given)


def _about(fill: CardFill) -> str:
    """Network and loss, as "RES_F, XEMD2"."""
    model, loss = fill.known.get("model"), fill.loss
    parts = [network_name(model) if model else "", loss_name(loss, fill.known.get("variant", "")) if loss else ""]
    return ", ".join(part for part in parts if part)


def _data_name(fill: CardFill) -> str:
    partly = fill.known.get("stand_in", False) and not fill.facts.is_drawn
    return f"{fill.facts.name} (a part of it, or other labels)" if partly else fill.facts.name


def _loss_text(fill: CardFill) -> str:
    loss, emd = fill.loss, fill.emd
    if loss is None:
        return "not recorded"
    text = f"{markdown(loss_name(loss))}: {LOSSES[loss]}" if loss in LOSSES else markdown(loss)
    named = {"omega": "ω", "mu": "μ", "regularizer_weight": "λ", "entropic_strength": "entropic strength"}
    parts = [f"{sign} = {_short(emd[name])}" for name, sign in named.items() if emd.get(name) is not None]
    return f"{text}; {', '.join(parts)}" if parts else text


def _rows(fill: CardFill) -> list[dict[str, str]]:
    """Of the table of results: what is asked of such data, and what was measured besides."""
    table, unordered = fill.known.get("table"), "eval_top_1_error" in fill.known
    asked = () if fill.known.get("others") else UNORDERED if table == "imagenet" or unordered else ORDERED
    if table == "aadb":
        asked = (*OF_SCORES, *asked)
    rows = []
    for name in (*asked, *(name for name in CARD_METRICS if name in fill.known and name not in asked)):
        title, _, _, what = CARD_METRICS[name]
        value, shown, interval = fill.known.get(name), "not run", ""
        if value is not None:
            metric = METRICS[name]
            shown = f"{metric.shown(value):.{metric.digits}f}{'%' if metric.in_percent else ''}"
            interval = _wilson(value, fill.known.get("num_test")) if name in ("eval_aem", "eval_aeo") else ""
        rows.append({"name": title, "value": shown, "interval": interval, "what": what})
    for name, value in fill.known.get("others", {}).items():
        rows.append({"name": markdown(name), "value": f"{value:.4g}", "interval": "", "what": _AS_NAMED})
    return rows


def _extremes(counts: np.ndarray | None, names: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """The class that is least often right, and that with the fewest rows; classes without a row left out."""
    if counts is None:
        return {"worst": None, "fewest": None, "most_frequent": None}
    rows, right = counts.sum(axis=1), counts.diagonal()  # (K,)
    tested = np.flatnonzero(rows)
    worst, fewest = min(tested, key=lambda k: right[k] / rows[k]), min(tested, key=lambda k: rows[k])
    most = rows.max() / rows.sum()
    return {
        "most_frequent": f"{100 * most:.1f}%",
        "worst": {"name": names[worst], "right": int(right[worst]), "rows": int(rows[worst])},
        "fewest": {"name": names[fewest], "rows": int(rows[fewest])} if rows[fewest] < rows.max() else None,
    }


def _wilson(share: float, rows: int | None) -> str:
    """Wilson's 95 % interval of a share of independent rows, in percent; "" where it is no share of that many."""
    if rows is None or abs(share * rows - round(share * rows)) > 1e-6 * rows:
        return ""
    interval = binomtest(round(share * rows), rows).proportion_ci(0.95, method="wilson")
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}%"


def _settings(fill: CardFill) -> list[tuple[str, str | None]]:
    """What the training was, for a table; None where it is not known."""
    known = fill.known
    versions = {name: version for name, version in known.get("versions", {}).items() if version}
    lines = {
        "rows trained on": known.get("num_train"),
        "epochs": known.get("epochs"),
        "batch of a step": known.get("batch_size"),
        "optimizer": known.get("optimizer"),
        "learning rate": known.get("learning_rate"),
        "seed": known.get("seed"),
        "device": known.get("device"),
        "seconds a step there": known.get("seconds_per_step"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or None,
    }
    return [
        (name, value if value is None else markdown(value) if isinstance(value, str) else _short(value))
        for name, value in lines.items()
    ]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(markdown(name) for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more, see config.json"


def _numbers(values: Sequence[float]) -> str:
    shown = ", ".join(map(_short, values[:_MOST_NAMES]))
    return shown if len(values) <= _MOST_NAMES else f"{shown} ..."


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _fenced(command: str) -> str:
    """A command in a block of code, whatever is in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    return f"{fence}sh\n{command.strip()}\n{fence}"
