"""Pipelines for images, texts and sounds: the distribution over ordered classes, and a decision from it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AudioClassificationPipeline,
    AutoModelForAudioClassification,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    ImageClassificationPipeline,
    Pipeline,
    PreTrainedModel,
    TextClassificationPipeline,
)
from transformers.pipelines import PIPELINE_REGISTRY

from ..decoding import RULES, decode, predict_intervals
from ..ground_distance.given import as_ground_distance
from ..ground_distance.model_config import check_class_order, class_names_differ, class_names_of, emd_block_of
from ..ground_distance.saved import ground_distance_of_model
from ..losses import logits_of
from .pipeline_inputs import open_image, open_sound, truncation_of

_TIE = 1e-9  # Of the range of the scores: two classes are equally near, but for rounding.


def ordinal_prediction(
    logits: Tensor,
    class_names: Sequence[str],
    *,
    rule: str = "argmax",
    scores: Tensor | None = None,
    ground_distance: Tensor | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The distribution over ordered classes, its mean and spread, a decision, and an interval.

    With ``p`` the softmax of the logits and ``s`` the scores of the classes: the expected score ``m = sum_i p_i s_i``
    (Hou et al. 2016, section 4.6), its spread ``sqrt(sum_i p_i (s_i - m)^2)``, and the class that
    :func:`squared_emd.decode` gives under a rule. For ``expected`` that is the class whose score is nearest to ``m``;
    of two equally near ones the first.

    Args:
        logits: (K,), any floating dtype; computed in float64.
        class_names: K names.
        rule: ``"argmax"``, ``"median"``, ``"expected"`` or ``"min_distance"``.
        scores: (K,) value of each class, in any unit; default: 0 .. K-1.
        ground_distance: (K, K) D, for ``"min_distance"``.
        calibration: as :func:`squared_emd.decoding.calibrate_intervals` gives it.

    Returns:
        ``label`` and ``score``: the class decided for and its probability; ``distribution``: ``label`` and ``score``
        of all K classes, in their order; ``expected_score`` and ``spread``, in the unit of the scores; with a
        calibration also ``interval``, its lowest and its highest class.

    Raises:
        ValueError: a logit is NaN or infinite, or what :func:`squared_emd.decode` and
            :func:`squared_emd.decoding.predict_intervals` raise.

    Examples:
        >>> answer = ordinal_prediction(torch.tensor([0.0, 0.0]), ["young", "old"], scores=torch.tensor([20.0, 60.0]))
        >>> answer["label"], answer["score"], answer["expected_score"], answer["spread"]
        ('young', 0.5, 40.0, 20.0)
    """
    probabilities = logits.double().softmax(-1)  # (K,)
    if probabilities.isnan().any():
        raise ValueError(
            "the model must give finite logits, got NaN or infinite ones for a sample. Look for such values in its "
            "weights and in the sample; in half precision they come from an overflow: load it with dtype=torch.float32."
        )
    values = (torch.arange(len(class_names)) if scores is None else scores).to(probabilities)  # (K,)
    expected = probabilities @ values
    spread = (probabilities @ (values - expected).square()).sqrt()
    if rule == "expected":
        gaps = (values - expected).abs()
        chosen = (gaps <= gaps.min() + _TIE * (values.max() - values.min())).int().argmax()
    else:
        chosen = decode(probabilities[None], rule, ground_distance=ground_distance)[0]
    shares = probabilities.tolist()
    prediction = {
        "label": class_names[int(chosen)],
        "score": shares[int(chosen)],
        "distribution": [{"label": name, "score": p} for name, p in zip(class_names, shares, strict=True)],
        "expected_score": expected.item(),
        "spread": spread.item(),
    }
    if calibration is not None:
        bounds = predict_intervals(probabilities[None], calibration)
        prediction["interval"] = [class_names[int(bound)] for bound in bounds]
    return prediction


class _OrdinalClassification(Pipeline):
    """What the pipelines for ordered classes share: stands before the pipeline of transformers for a modality."""

    stock_task: str  # of that pipeline

    def __init__(self, model: PreTrainedModel, **parameters: Any) -> None:
        if model.config.num_labels == 1:
            raise ValueError(
                f"ordinal-{self.stock_task} needs a model with one output for each class; this one has 1 output, a "
                f'regression. For its values take pipeline("{self.stock_task}", function_to_apply="none").'
            )
        self._class_names = class_names_of(model.config)
        emd = emd_block_of(model.config)
        check_class_order(emd.get("class_names"), self._class_names, source=model.config.name_or_path or "the model")
        if class_names_differ(emd.get("class_names"), self._class_names):
            emd = {}
        self._calibrations = emd.get("intervals") or []
        self._defaults = {"rule": "argmax", "mirrored": bool(emd.get("mirrored")), "scores": emd.get("scores")}
        super().__init__(model=model, **parameters)
        self._defaults = self._forward_params | self._postprocess_params

    def _sanitize_parameters(
        self,
        rule: str | None = None,
        ground_distance: Any = None,
        scores: Any = None,
        coverage: float | Mapping[str, Any] | None = None,
        top_k: int | None = None,
        function_to_apply: str | None = None,
        **preprocess_parameters: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        for name, value in (("top_k", top_k), ("function_to_apply", function_to_apply)):
            if value is not None:
                raise ValueError(
                    f"ordinal-{self.stock_task} always gives the probabilities of all classes, in their order, and has "
                    f'no {name}; got {name}={value!r}. Leave it out, or take pipeline("{self.stock_task}").'
                )
        num_classes = len(self._class_names)
        rule = self._defaults["rule"] if rule is None else rule
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
        scores = self._defaults["scores"] if scores is None else scores
        if scores is not None:
            scores = _scores_as_tensor(scores)
            if scores.shape != (num_classes,) or not scores.isfinite().all():
                raise ValueError(
                    f"scores, given or in the model's config, must be ({num_classes},), a finite number for each "
                    f"class, got {scores.tolist()}. Give such scores."
                )
        if ground_distance is not None:
            ground_distance = as_ground_distance(ground_distance, num_classes).cpu()
        else:
            ground_distance = self._defaults.get("ground_distance")
        if rule == "min_distance" and ground_distance is None:
            ground_distance = self._defaults["ground_distance"] = self._saved_ground_distance()
        decision = {"rule": rule, "ground_distance": ground_distance, "scores": scores}
        decision["calibration"] = self._defaults.get("calibration") if coverage is None else self._calibration(coverage)
        return self._preprocessing(**preprocess_parameters), {}, decision

    def _preprocessing(self, **parameters: Any) -> dict[str, Any]:
        """What `preprocess` takes besides its input."""
        return super()._sanitize_parameters(**parameters)[0]

    def _calibration(self, coverage: Any) -> Mapping[str, Any]:
        """The calibration that is given, or that of the model for a coverage; of as many classes as the model has."""
        calibration = coverage
        if not isinstance(coverage, Mapping):
            calibration = next((each for each in self._calibrations if each["coverage"] == coverage), None)
        if calibration is None:
            present = ", ".join(f"{each['coverage']:g}" for each in self._calibrations) or "none"
            raise ValueError(
                f"coverage {coverage!r} needs a calibration of the model for it; it has: {present}. Make one with "
                "EMDTrainer.calibrate or `squared-emd calibrate`."
            )
        num_classes = len(self._class_names)
        predict_intervals(torch.full((1, num_classes), 1 / num_classes), calibration)  # Raises if it does not fit.
        return calibration

    def _saved_ground_distance(self) -> Tensor:
        """(K, K) D of the model's config, or of the file that it names."""
        matrix = ground_distance_of_model(copy.copy(self.model.config), self._class_names)  # The copy may be changed.
        if matrix is None:
            num_classes = len(self._class_names)
            raise ValueError(
                'rule "min_distance" needs a ground distance, and the model has none of its classes. Give '
                f"ground_distance, a ({num_classes}, {num_classes}) matrix, or take a rule that works without one: "
                "argmax, median or expected."
            )
        return matrix

    def _forward(self, model_inputs: dict[str, Tensor], mirrored: bool = False) -> dict[str, Tensor]:
        with evaluating(self.model):
            logits = logits_of(self.model(**model_inputs))  # (B, K)
            if mirrored:  # Not by `average_flips`: other threads would see its hook.
                from ..vision.transforms import average_views  # Here, because timm is optional.

                if "pixel_values" not in model_inputs:
                    raise ValueError(
                        "mirrored needs a model that takes pixel_values, this one is given "
                        f"{', '.join(model_inputs)}. Pass mirrored=False."
                    )
                flipped = {**model_inputs, "pixel_values": model_inputs["pixel_values"].flip(-1)}
                logits = average_views(logits, logits_of(self.model(**flipped)))
            return {"logits": logits}

    def postprocess(self, model_outputs: dict[str, Tensor], **decision: Any) -> dict[str, Any]:
        """The prediction for one sample; see :func:`ordinal_prediction`."""
        return ordinal_prediction(model_outputs["logits"][0], self._class_names, **decision)


class OrdinalImageClassificationPipeline(_OrdinalClassification, ImageClassificationPipeline):
    """Gives for each image the probability of each of the ordered classes, the expected score, and a decision.

    ``pipeline("ordinal-image-classification", model=...)`` makes one, once ``squared_emd.hub`` is imported. It takes
    what ``pipeline("image-classification")`` takes: paths, URLs, PIL images, lists, generators and datasets of them,
    with ``batch_size``, ``device``, ``dtype`` and the rest. The model runs in evaluation mode and is left as it was.

    Args:
        rule: as all of these, for the pipeline or for one call: how to decide, as in :func:`squared_emd.decode`;
            default ``"argmax"``.
        mirrored: average the probabilities of an image and its mirror image (Hou et al. 2016, section 4.1); default:
            what `emd` in the model's config says, else False.
        ground_distance: (K, K) D for the rule ``"min_distance"``; default: the one that was saved with the model, which
            is read when the rule first needs it, from the main branch. For another revision, or with a token, pass
            ``squared_emd.load_ground_distance(...)``.
        scores: (K,) value of each class, in any unit; default: `emd` of the model's config, else 0 .. K-1.
        coverage: give an ``interval``, too, which holds the true class with this probability: one that the model was
            calibrated for, by `EMDTrainer.calibrate` or ``squared-emd calibrate``, or a calibration itself, as
            `squared_emd.decoding.calibrate_intervals` gives it; default: none.
        timeout: seconds to wait for an image from the web; default: no limit.

    Returns:
        When called: a dict for an image, as in :func:`ordinal_prediction`; a list for a list; an iterator for a
        generator or a dataset.

    Raises:
        ValueError: before an image is read: an unknown rule; no D for ``"min_distance"``; a D or scores that do not
            fit the classes; a model with one output; `id2label` in another order than it was learned in; ``top_k`` or
            ``function_to_apply``, which this pipeline does not have. Later: logits that are not finite.
    """

    stock_task = "image-classification"

    def _sanitize_parameters(self, mirrored: bool | None = None, **parameters: Any) -> tuple[dict[str, Any], ...]:
        before, _, decision = super()._sanitize_parameters(**parameters)
        return before, {"mirrored": self._defaults["mirrored"] if mirrored is None else mirrored}, decision

    def preprocess(self, image: Any, timeout: float | None = None) -> dict[str, Tensor]:
        """The inputs of the model for an image, opened as training opens it."""
        if not isinstance(image, (np.ndarray, Tensor)):
            image = open_image(image, timeout)
        return super().preprocess(image, timeout)


class OrdinalTextClassificationPipeline(_OrdinalClassification, TextClassificationPipeline):
    """Gives for each text what :class:`OrdinalImageClassificationPipeline` gives for an image.

    ``pipeline("ordinal-text-classification", model=...)`` makes one, once ``squared_emd.hub`` is imported. It takes
    what ``pipeline("text-classification")`` takes: texts, pairs as ``{"text": ..., "text_pair": ...}``, lists,
    generators and datasets of them, options of the tokenizer, ``batch_size``, ``device``, ``dtype`` and the rest.
    Tokens for which the model has no position are cut off. For a single text it gives a dict, not a list. Arguments and
    errors are those of the pipeline for images, without `mirrored` and `timeout`.
    """

    stock_task = "text-classification"

    def __call__(self, inputs: Any, **parameters: Any) -> Any:
        """The predictions; that of transformers would put the one for a single text into a list."""
        return Pipeline.__call__(self, inputs, **parameters)

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Tensor]:
        """The inputs of the model for a text, cut off as in training."""
        return super().preprocess(inputs, **truncation_of(self.tokenizer, self.model.config) | options)


class OrdinalAudioClassificationPipeline(_OrdinalClassification, AudioClassificationPipeline):
    """Gives for each sound what :class:`OrdinalImageClassificationPipeline` gives for an image.

    ``pipeline("ordinal-audio-classification", model=...)`` makes one, once ``squared_emd.hub`` is imported. It takes
    what ``pipeline("audio-classification")`` takes: paths, URLs, bytes, waves at the rate of the model,
    ``{"array": ..., "sampling_rate": ...}`` at any rate, lists, generators and datasets of them, with ``batch_size``,
    ``device``, ``dtype`` and the rest. Files are decoded and resampled as in training, without ffmpeg. Arguments and
    errors are those of the pipeline for images, without `mirrored`.
    """

    stock_task = "audio-classification"

    def __init__(self, model: PreTrainedModel, **parameters: Any) -> None:
        super().__init__(model, **({"top_k": None} | parameters))  # The pipeline of transformers would make it 5.

    def _preprocessing(self, timeout: float | None = None) -> dict[str, Any]:
        return {} if timeout is None else {"timeout": timeout}

    def preprocess(self, sound: Any, timeout: float | None = None) -> dict[str, Tensor]:
        """The inputs of the model for a sound, opened as training opens it."""
        return super().preprocess(open_sound(sound, self.feature_extractor, timeout))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and afterwards each module in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _scores_as_tensor(given: Any) -> Tensor:
    try:
        return torch.as_tensor(given, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"scores must be numbers, in a tensor, an array or a list, got {given!r:.80}. Give such scores."
        ) from error


for _class, _model in (
    (OrdinalImageClassificationPipeline, AutoModelForImageClassification),
    (OrdinalTextClassificationPipeline, AutoModelForSequenceClassification),
    (OrdinalAudioClassificationPipeline, AutoModelForAudioClassification),
):
    PIPELINE_REGISTRY.register_pipeline(
        f"ordinal-{_class.stock_task}",
        pipeline_class=_class,
        pt_model=_model,
        type=_class.stock_task.split("-")[0],
    )
    # With it, save_pretrained would copy this file beside the weights, and the config would ask others to trust it.
    del _class._registered_impl
