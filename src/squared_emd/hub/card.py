"""Model cards: what a saved model is, and what was measured on its weights."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig, PretrainedConfig

from ..ground_distance.files import read_object, read_text, write_aside
from ..ground_distance.saved import GROUND_DISTANCE_FILE, read_ground_distance
from .card_content import CARD_METRICS, MARK, MAX_DRAWN_CLASSES, render_card
from .results import RESULTS_FILE, check_weights, digests_of_weights, read_results, replace_calibrations, verify_results

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
_MARK_OF_TRAINER = "This model card has been generated automatically"
_KEPT_FILE = "card_results.json"


def write_card(
    folder: str | os.PathLike[str],
    *,
    repo_id: str | None = None,
    results: Mapping[str, Any] | None = None,
    license: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    calibrations: list[dict[str, Any]] | None = None,
) -> list[Path]:
    """Write the card of a saved model, and the figures that it shows, beside the weights.

    A number is on the card if it was measured on these weights; otherwise the card says "not run". A README.md that
    neither this function nor `transformers.Trainer` has written is left as it is.

    Args:
        folder: of the saved model, with its config.json; of a module without one, with all_results.json.
        repo_id: its repository on the Hub; by default the card names a placeholder.
        results: measured by the caller on these weights, with the keys of `all_results.json`. They are kept in
            card_results.json with the SHA-256 of the weights, and `license` and `metadata` with them, for the next
            time. By default, those are taken if the weights are still the same, else `all_results.json` is, if it
            names the SHA-256 of the weights.
        license: Hub id of the license of the weights. By default that of the pre-trained network for generated data,
            "other" with a link for datasets that are given for research, none for a user's own data.
        metadata: further fields of the metadata, such as `language`, `datasets` or `base_model`; `tags` are added.
        calibrations: of intervals, measured on these weights; they are kept with the results that there are, and with
            the `license` and `metadata` of an earlier call for them.

    Returns:
        The files written: README.md, and confusion_matrix.png and ground_distance.png if there is something to draw.
        Figures of an earlier card are deleted. The list is empty if the card was written by hand.

    Raises:
        FileNotFoundError: there is no config.json, and no all_results.json either.
        ValueError: a number is out of its range, contradicts another or the config, or was measured with other weights;
            `repo_id` or `license` is not valid; `metadata` has results.
    """
    folder = Path(folder)
    given = dict(metadata or {})
    card = folder / CARD_FILE
    validate_repo_id(repo_id)
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(f"license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got {license!r}; give its id")
    if unfit := sorted({"model-index", "model_name", "eval_results", "metrics"} & given.keys()):
        raise ValueError(f"metadata must hold no results, those are measured; got {', '.join(unfit)}; leave it out")
    if not any((folder / name).is_file() for name in ("config.json", RESULTS_FILE)):
        raise FileNotFoundError(f"a card needs a saved model, there is no {folder / 'config.json'}; save one first")
    if card.is_file() and not is_generated(card):
        return []
    config = _read_config(folder)
    is_new = results is not None or calibrations is not None
    kept = _kept_results(folder) if results is None or calibrations is not None else None
    if kept:
        license = license or kept["license"]
        given = (kept["metadata"] or {}) | given
    why_not_run = None
    if results is not None:
        where = "results"
        if results.get("weights") is not None:
            check_weights(folder, results["weights"], where)
    elif kept:
        where = _KEPT_FILE
        results = kept["results"]
    else:
        where = RESULTS_FILE
        results, why_not_run = read_results(folder)
    if calibrations is not None:
        results = {**results, "intervals": replace_calibrations(results.get("intervals") or [], calibrations)}
        why_not_run = None
    known = verify_results(results, config, where)
    if is_new:
        kept = {
            "results": {**results, "weights": digests_of_weights(folder)},
            "license": license,
            "metadata": given or None,
        }
        with write_aside(folder / _KEPT_FILE) as path:
            path.write_text(json.dumps(kept, indent=2, default=float) + "\n", encoding="utf-8")
    if why_not_run is None and not known.keys() & CARD_METRICS.keys() and not known.get("other_metrics"):
        why_not_run = (
            "Nothing was measured on these weights. Evaluate them before the push; "
            "compute_metrics=squared_emd.ordinal_metrics() gives what this card asks for."
        )
    if why_not_run is not None:
        logger.warning("The card of %s has no metrics. %s", folder, why_not_run)
    matrices = {
        "confusion_matrix": known.get("confusion_matrix") if len(known["class_names"]) <= MAX_DRAWN_CLASSES else None,
        "ground_distance": read_ground_distance(folder) if getattr(config, "ground_distance", None) else None,
    }
    figures = _draw(folder, matrices, known["class_names"])
    text = render_card(config, known, why_not_run, [path.stem for path in figures], repo_id, license, given)
    with write_aside(card) as path:
        path.write_text(text, encoding="utf-8", newline="\n")
    return [card, *figures]


def is_generated(card: str | os.PathLike[str]) -> bool:
    """Whether a README.md was written by this package or by `transformers.Trainer`, or is the empty one of the Hub."""
    text = read_text(Path(card))
    body = re.sub(r"\A---\n.*?\n---\s*", "", text, flags=re.DOTALL)
    return not body.strip() or any(mark in text for mark in (MARK, _MARK_OF_TRAINER))


def _read_config(folder: Path) -> PretrainedConfig:
    """The config of any model, also of an architecture that transformers does not know; no code is executed."""
    path = folder / "config.json"
    if not path.is_file():
        return _config_of_module(folder)
    fields = read_object(path)
    try:
        try:
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except ValueError:
            return PretrainedConfig.from_dict(fields)
    except Exception as error:
        raise ValueError(
            f"{path} must be the config of a model; reading it gave {type(error).__name__}: {error}; save the model "
            "again"
        ) from error


def _config_of_module(folder: Path) -> PretrainedConfig:
    """What the results say of a module that was saved without a config, as a config would."""
    results = read_object(folder / RESULTS_FILE)
    names = results.get("class_names")
    names = ["score"] if results.get("loss") == "reg" or not isinstance(names, list) else names
    emd = {name: results.get(name) for name in ("loss", "sdd", "regularizer_weight", "entropic_strength")}
    has_ground_distance = (folder / GROUND_DISTANCE_FILE).is_file()
    fields = {"emd": emd, "ground_distance": GROUND_DISTANCE_FILE if has_ground_distance else None}
    return PretrainedConfig(id2label=dict(enumerate(names)), **fields)


def _kept_results(folder: Path) -> dict[str, Any] | None:
    """What an earlier call kept, unless the weights are others now."""
    path = folder / _KEPT_FILE
    kept = read_object(path) if path.is_file() else {}
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
