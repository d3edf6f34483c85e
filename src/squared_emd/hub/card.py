"""Model cards: what a saved model is, filled from what its own run measured and from nothing else."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub.utils import validate_repo_id
from transformers import AutoConfig

from ..ground_distance.saved import read_ground_distance
from ..plot import confusion_matrix, heat_map
from .card_fill import CardFill
from .card_metrics import CARD_METRICS, MAX_CLASSES
from .card_results import believed_results, checked_results
from .card_text import CONFUSION_FILE, DISTANCES_FILE, card_text
from .upload import CARD_FILE, is_generated

__all__ = ["write_card"]

logger = logging.getLogger(__name__)


def write_card(
    folder: str | os.PathLike[str],
    *,
    repo_id: str | None = None,
    results: Mapping[str, Any] | None = None,
    license: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Writes the card of a saved model, and the figures that it shows, beside the weights.

    A figure comes from the results, or is shown as "not run". Where a README.md lies there that neither this nor
    `transformers.Trainer` has written, nothing is touched.

    Args:
        folder: of the saved model, with its config.json.
        repo_id: where it will lie on the Hub; without it the card names a placeholder.
        results: what the caller measured on these weights, with the keys of `all_results.json`. By default what that
            file in the folder says, if its `weights` has the sha256 of the weight files; else no figure is believed.
        license: Hub id of the licence of the weights. By default Apache-2.0 for drawn pictures, "other" with a link for
            data that are given for research, none for own data.
        metadata: further fields of the metadata, as `language`, `datasets` or `base_model`; `tags` join ours.

    Returns:
        The files written: README.md, and confusion_matrix.png and ground_distance.png where there is something to draw.
        An older one of these pictures is taken away. None where the card was written by hand.

    Raises:
        FileNotFoundError: there is no config.json.
        ValueError: a figure makes no sense, contradicts another or the config, or was measured with other weights;
            `repo_id` or `license` cannot be one; `metadata` has results.
    """
    folder = Path(folder)
    card = folder / CARD_FILE
    validate_repo_id(repo_id)
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(f"license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got {license!r}; give its id")
    if unfit := sorted({"model-index", "model_name", "eval_results", "metrics"} & set(metadata or ())):
        raise ValueError(f"metadata must hold no results, those are measured; got {', '.join(unfit)}; leave it out")
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"a card needs a saved model, there is no {folder / 'config.json'}; save one first")
    if card.is_file() and not is_generated(card):
        return []
    config = AutoConfig.from_pretrained(folder)
    found, where, not_run_because = believed_results(folder, results)
    known = checked_results(found, config, where)
    names = known["class_names"]
    if not_run_because is None and not known.keys() & CARD_METRICS.keys() and not known.get("others"):
        not_run_because = (
            "Nothing was measured on these weights. Evaluate them before the push; "
            "compute_metrics=squared_emd.ordinal_metrics() gives what this card asks for."
        )
    if not_run_because is not None:
        _say_once(folder, not_run_because)
    distances = read_ground_distance(folder).numpy() if getattr(config, "ground_distance", None) else None  # (K, K)
    counts = known.get("confusion_matrix") if len(names) <= MAX_CLASSES else None  # (K, K)
    card.write_text(
        card_text(CardFill(config, known, not_run_because, False, distances, repo_id, license, metadata or {})),
        encoding="utf-8",
        newline="\n",
    )
    written = [card]
    for name, matrix, plot in (
        (CONFUSION_FILE, counts, confusion_matrix),
        (DISTANCES_FILE, distances, heat_map),
    ):
        (folder / name).unlink(missing_ok=True)
        if matrix is not None:
            plot(matrix, class_names=names, path=folder / name)
            written.append(folder / name)
    return written


@cache
def _say_once(folder: Path, why: str) -> None:
    logger.warning("The card of %s has no figures. %s", folder, why)
