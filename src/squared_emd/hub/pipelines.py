"""The pipeline `ordinal-image-classification`: the whole distribution over ordered classes, and a decision from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    ImageClassificationPipeline,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.pipelines import PIPELINE_REGISTRY

from ..decoding import RULES
from ..ground_distance.class_names import abbreviate, check_class_order, class_names_differ, class_names_of
from ..ground_distance.learned import check_ground_distance
from ..ground_distance.saved import load_ground_distance
from ..vision.flip_averaging import average_mirrored
from .ordinal_answer import ordinal_answer

__all__ = ["TASK", "OrdinalImageClassificationPipeline"]

logger = logging.getLogger(__name__)

TASK = "ordinal-image-classification"


class OrdinalImageClassificationPipeline(ImageClassificationPipeline):
    """Says of pictures how likely each of the ordered classes is, what that comes to, and which class to decide for.

    ``pipeline("ordinal-image-classification", model=...)`` makes one, once squared_emd is imported. It takes what
    ``pipeline("image-classification")`` takes: paths, URLs, PIL images, lists, generators and datasets of them, with
    ``batch_size``, ``device``, ``dtype`` and the rest. The model computes in evaluation mode and is left as it was.

    Args:
        rule: when it is made or when it is called, as all of these: how to decide, as in :func:`squared_emd.decode`;
            default ``"argmax"``.
        mirrored: average the probabilities of a picture and its mirror image (Hou et al. 2016, section 4.1); default:
            what `emd` in the model's config says, else not.
        ground_distance: (K, K) D for the rule ``"min_distance"``; default: the one that was saved with the model. The
            file that holds it above 256 classes is read when the rule first needs it, on the branch main. For another
            revision, or with a token of your own, give ``squared_emd.load_ground_distance(...)``.
        scores: (K,) value of each class, in any unit; default: `emd` of the model's config, else 0 .. K-1.
        timeout: seconds to wait for a picture from the web; default: without end.

    Returns:
        When called: a dict for a picture, as in :func:`ordinal_answer`; a list for a list; an iterator for a
        generator or a dataset.

    Raises:
        ValueError: before a picture is read: an unknown rule; no D for ``"min_distance"``; a D or scores that do not
            fit the classes; a model with one output; `id2label` in another order than it was learned in; ``top_k`` or
            ``function_to_apply``, which this pipeline does not have. Later: logits that are not finite.
        FileNotFoundError: the file with D is not there, or cannot be reached.
    """

    def __init__(self, model: PreTrainedModel, **parameters: Any) -> None:
        if model.config.num_labels == 1:
            raise ValueError(
                f"{TASK} needs a model with one output for each class; this one has 1 output, a regression. For its "
                'values take pipeline("image-classification", function_to_apply="none").'
            )
        self._class_names = class_names_of(model)
        emd, self._saved_distance = _emd_and_distance(model.config, self._class_names)
        self._defaults = {  # what the model says
            "rule": "argmax",
            "mirrored": bool(emd.get("mirrored")),
            "ground_distance": None,  # read when it is needed
            "scores": emd.get("scores"),
        }
        super().__init__(model=model, **parameters)
        self._defaults = self._forward_params | self._postprocess_params  # and what was said here

    def _sanitize_parameters(
        self,
        rule: str | None = None,
        mirrored: bool | None = None,
        ground_distance: Any = None,
        scores: Any = None,
        timeout: float | None = None,
        top_k: int | None = None,
        function_to_apply: str | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (("top_k", top_k), ("function_to_apply", function_to_apply)):
            if value is not None:
                raise ValueError(
                    f"{TASK} always gives the probabilities of all classes, in their order, and has no {name}; "
                    f'got {name}={value!r}. Leave it out, or take pipeline("image-classification").'
                )
        num_classes = len(self._class_names)
        rule = self._defaults["rule"] if rule is None else rule
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
        scores = self._defaults["scores"] if scores is None else scores
        if scores is not None:
            scores = _as_numbers(scores, "scores")
            if scores.shape != (num_classes,) or not scores.isfinite().all():
                raise ValueError(
                    f"scores, given or in the model's config, must be ({num_classes},), a finite number for each "
                    f"class, got {scores.tolist()}. Give such scores."
                )
        if ground_distance is not None:
            ground_distance = _as_numbers(ground_distance, "ground_distance")
            check_ground_distance(ground_distance, num_classes)
        else:
            ground_distance = self._defaults["ground_distance"]
        if rule == "min_distance" and ground_distance is None:
            ground_distance = self._defaults["ground_distance"] = self._saved_ground_distance()
        return (
            {} if timeout is None else {"timeout": timeout},
            {"mirrored": self._defaults["mirrored"] if mirrored is None else mirrored},
            {"rule": rule, "ground_distance": ground_distance, "scores": scores},
        )

    def _saved_ground_distance(self) -> Tensor:
        """(K, K) float64: the D of the model's config, or of the file that it names."""
        num_classes, config, source = len(self._class_names), self.model.config, self.model.config.name_or_path
        if self._saved_distance is None:
            raise ValueError(
                'rule "min_distance" needs a ground distance, and the model has none of its classes. Give '
                f"ground_distance, a ({num_classes}, {num_classes}) matrix, or take a rule that works without one: "
                "argmax, median or expected."
            )
        if isinstance(self._saved_distance, str):
            matrix = load_ground_distance(source) if source else None
            # Nothing says from which revision a model was loaded, nor whether it was trained since.
            if matrix is None or _emd_of(AutoConfig.from_pretrained(source)) != _emd_of(config):
                raise ValueError(
                    f'rule "min_distance" needs the {self._saved_distance} that was saved with this model, which is '
                    f"not at {source or 'any known place'}. Save the model and load it again, or give "
                    "ground_distance=squared_emd.load_ground_distance(...) with the right revision."
                )
        else:
            matrix = _as_numbers(self._saved_distance, "ground_distance of the model's config")
        check_ground_distance(matrix, num_classes, source="ground_distance of the model's config")
        return matrix

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        """Answer for a picture, or for several.

        Args:
            inputs: a path, a URL, a PIL image; a list, a generator or a dataset of them.
            parameters: those of the class, for this call; `batch_size` and `num_workers`.

        Returns:
            A dict, a list of dicts or an iterator over dicts, as in :func:`ordinal_answer`.
        """
        return super().__call__(inputs, **parameters)

    def _forward(self, model_inputs: dict[str, Tensor], mirrored: bool) -> dict[str, Tensor]:
        caller = _Caller(self.model)
        if mirrored:
            average_mirrored(caller)
        with _evaluating(self.model):
            return {"logits": caller(**model_inputs)["logits"]}  # (B, K)

    def postprocess(
        self, model_outputs: dict[str, Tensor], rule: str, ground_distance: Tensor | None, scores: Tensor | None
    ) -> dict[str, Any]:
        """The answer for one picture; see :func:`ordinal_answer`."""
        logits = model_outputs["logits"][0]  # (K,)
        return ordinal_answer(logits, self._class_names, rule=rule, scores=scores, ground_distance=ground_distance)


class _Caller(nn.Module):
    """Calls a model, and has a hook in its place: other threads may use the model, or it may have that hook already."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = False  # of this module only

    def forward(self, **inputs: Any) -> Any:
        return self.model(**inputs)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode for a while."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _emd_of(config: PreTrainedConfig) -> dict[str, Any]:
    return getattr(config, "emd", None) or {}


def _emd_and_distance(config: PreTrainedConfig, class_names: Sequence[str]) -> tuple[dict[str, Any], Any]:
    """The `emd` block of a model's config, {} where there is none, and its `ground_distance` or None."""
    emd = _emd_of(config)
    learned = emd.get("class_names")
    check_class_order(learned, class_names, source=config.name_or_path or "the model")
    if class_names_differ(learned, class_names):
        logger.warning(
            "What the model's config says under emd and ground_distance is not used: it is of the classes %s, the "
            "model has %s.",
            abbreviate(learned),
            abbreviate(class_names),
        )
        return {}, None
    return emd, getattr(config, "ground_distance", None)


def _as_numbers(given: Any, name: str) -> Tensor:
    try:
        return torch.as_tensor(given, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} must be numbers, in a tensor, an array or lists of equal lengths, got {given!r:.80}. Give such."
        ) from error


PIPELINE_REGISTRY.register_pipeline(
    TASK, pipeline_class=OrdinalImageClassificationPipeline, pt_model=AutoModelForImageClassification, type="image"
)
# With it, save_pretrained would copy this file beside the weights, and the config would ask others to trust it.
del OrdinalImageClassificationPipeline._registered_impl
