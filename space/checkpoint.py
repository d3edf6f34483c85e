"""A saved model with all that the page shows of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, Pipeline, pipeline
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

import squared_emd.vision  # noqa: F401  (registers the paper's networks with timm)
from squared_emd import load_ground_distance
from squared_emd.ground_distance.class_names import class_names_of
from squared_emd.ground_distance.hub_errors import HUB_ERRORS, why_not_loaded
from squared_emd.hub.pipelines import TASK, ordinal_prediction

__all__ = ["Checkpoint", "load_checkpoint"]

_RESULTS_FILE = "all_results.json"
_OF_CARD = {"accuracy": "eval_aem", "accuracy_within_one": "eval_aeo"}  # metric of a card -> name in the results


@dataclass(frozen=True)
class Checkpoint:
    """A model to try.

    Args:
        name: the folder, or the name on the Hub.
        classify: the pipeline.
        class_names: (K,) in order.
        scores: (K,) values of the classes; 0 .. K-1 where they have none.
        ground_distance: (K, K) D, or None.
        without: why there is no D; else "".
        emd: how it was trained, as its config says; empty where it does not.
        results: what was measured of it; empty where nothing was.
    """

    name: str
    classify: Pipeline
    class_names: list[str]
    scores: Tensor
    ground_distance: Tensor | None
    without: str
    emd: dict[str, Any]
    results: dict[str, Any]

    @property
    def drawn(self) -> bool:
        """Whether it learned from the drawn faces."""
        return self.results.get("data") == "drawn faces"

    def decide(self, shares: Sequence[float], rule: str) -> str | None:
        """The class that a rule decides for, as the pipeline would, without running the model again.

        Args:
            shares: (K,) probabilities that the pipeline gave.
            rule: of `squared_emd.decode`.

        Returns:
            The class; None for `min_distance` where there is no D.
        """
        if rule == "min_distance" and self.ground_distance is None:
            return None
        logits = torch.tensor(shares, dtype=torch.float64).log()  # whose softmax is the shares
        given = {"scores": self.scores, "ground_distance": self.ground_distance}
        return ordinal_prediction(logits, self.class_names, rule=rule, **given)["label"]


def load_checkpoint(name: str) -> Checkpoint:
    """A model, its D and its results.

    Args:
        name: a folder with a saved model, or the name of one on the Hub.

    Raises:
        ValueError: it cannot be loaded, or is no classifier of pictures.
    """
    if not Path(name).is_dir():
        try:
            hf_hub_download(name, "config.json")
        except HUB_ERRORS as error:
            why = why_not_loaded(name, "config.json", None, error)
            raise ValueError(f"the model {name!r} cannot be loaded: {why}") from error
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
            raise ValueError(f"a model of the type {kind!r} is no classifier of pictures")
        classify = pipeline(TASK, model=name)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".:")
        raise ValueError(
            f"the model {name!r} cannot be loaded: {reason}. Give the folder of a saved image classifier (config.json, "
            "model.safetensors), or the name of one on the Hub."
        ) from error
    class_names, without = class_names_of(classify.model), ""
    try:
        ground_distance = load_ground_distance(name)
    except (OSError, ValueError) as error:
        ground_distance, without = None, str(error)
    scores = classify._postprocess_params["scores"]  # what it takes of the config: it may be of other classes
    return Checkpoint(
        name=name,
        classify=classify,
        class_names=class_names,
        scores=torch.arange(len(class_names)).double() if scores is None else scores,
        ground_distance=ground_distance,
        without=without,
        emd=getattr(classify.model.config, "emd", None) or {},
        results=_results(name),
    )


def _results(name: str) -> dict[str, Any]:
    """What was measured: of a folder its results, of a repository what its card says as metadata."""
    if Path(name).is_dir():
        path = Path(name, _RESULTS_FILE)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    try:
        told = ModelCard.load(hf_hub_download(name, "README.md")).data.eval_results or []
    except (EntryNotFoundError, ValueError):  # no card, or one without such metadata
        return {}
    found = {_OF_CARD[one.metric_type]: one.metric_value for one in told if _is_share(one)}
    return found | {"data": told[0].dataset_name.lower()} if told else {}


def _is_share(one: EvalResult) -> bool:
    value = one.metric_value
    return one.metric_type in _OF_CARD and isinstance(value, float) and 0 <= value <= 1
