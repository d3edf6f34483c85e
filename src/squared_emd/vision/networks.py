"""The networks of the recipes: any timm or Hub image classifier, pre-trained or from random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import timm
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    BitImageProcessor,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperImageProcessor,
)

from .paper_networks import FROM_SCRATCH, PRETRAINED, saved_name

__all__ = ["SMALL", "ImageClassifier", "load_image_classifier"]

SMALL = "small"  # a pre-activation bottleneck network as the paper's RES, one block a stage: 0.13 M weights
_SMALL_ARGUMENTS = {"layers": [1, 1, 1, 1], "channels": [32, 64, 128, 256], "stem_chs": 16}
_SMALL_SIZE = 64


class ImageClassifier(NamedTuple):
    """A model and the preparation of its images: side in pixels, channel means and standard deviations.

    The processor holds the same, for whoever loads the saved model.
    """

    model: PreTrainedModel
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    processor: BaseImageProcessor

    def with_central_crop(self, share: float) -> ImageClassifier:
        """The same with a processor that prepares images as `EvalTransform` does, up to the resampling.

        A timm model keeps that in its config; others get a `BitImageProcessor`, whose crop may have any size.

        Args:
            share: side of the central square that the network sees, as a share of the shorter side, in (0, 1].
        """
        config = self.model.config
        if isinstance(self.processor, TimmWrapperImageProcessor):
            preparation = config.pretrained_cfg | {"input_size": (3, self.size, self.size), "test_input_size": None}
            preparation |= {
                "crop_pct": share,
                "test_crop_pct": None,
                "crop_mode": "center",
                "interpolation": "bilinear",
            }
            config.pretrained_cfg = preparation
            return self._replace(processor=TimmWrapperImageProcessor(preparation, architecture=config.architecture))
        processor = BitImageProcessor(
            size={"shortest_edge": round(self.size / share)},
            crop_size={"height": self.size, "width": self.size},
            resample=Image.Resampling.BILINEAR,
            image_mean=list(self.mean),
            image_std=list(self.std),
        )
        return self._replace(processor=processor)


def load_image_classifier(
    name: str, class_names: Sequence[str], *, num_outputs: int | None = None, from_scratch: bool = False
) -> ImageClassifier:
    """An image classifier with one output a class; a saved head is kept if it has as many outputs, else it is new.

    Args:
        name: `timm/<model>`, a Hub repository, a folder with a saved model; of the paper: `alxs`, `alx`, `res` or
            `small` (always from random weights), `vgg_f` or `res_f` (pre-trained).
        class_names: the K classes in order.
        num_outputs: outputs of the head; default K, 1 for a regression.
        from_scratch: random weights. For `timm/<architecture>` this needs no network; a tag behind the architecture
            determines how images are prepared.

    Returns:
        The model, with the side, mean and standard deviation of its images.

    Raises:
        ValueError: there is no such model, it is no image classifier, or it cannot be loaded.
    """
    num_outputs = len(class_names) if num_outputs is None else num_outputs
    labels = list(class_names) if num_outputs == len(class_names) else [f"output_{i}" for i in range(num_outputs)]
    label_fields = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "num_labels": num_outputs,  # without it the config of a saved timm model keeps its own number
    }
    name = PRETRAINED.get(name, name)
    if name in FROM_SCRATCH:
        return _from_timm_registry(name, label_fields, saved_as=saved_name(name))
    if name == SMALL:
        return _from_timm_registry("resnetv2_50", label_fields, model_args=_SMALL_ARGUMENTS, size=_SMALL_SIZE)
    if from_scratch and name.startswith("timm/") and not Path(name).is_dir():
        return _from_timm_registry(name.removeprefix("timm/"), label_fields)
    try:
        if from_scratch:
            model = AutoModelForImageClassification.from_config(AutoConfig.from_pretrained(name, **label_fields))
        else:
            model = AutoModelForImageClassification.from_pretrained(name, **label_fields, ignore_mismatched_sizes=True)
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"the model {name!r} cannot be loaded: {reason}. Give timm/<model>, a Hub image classifier or a "
            "folder with a saved one; without a network, timm/<architecture> with --from_scratch."
        ) from error
    return ImageClassifier(model, *_preparation(processor), processor)


def _from_timm_registry(
    name: str,
    label_fields: dict,
    *,
    model_args: dict | None = None,
    size: int | None = None,
    saved_as: str | None = None,
) -> ImageClassifier:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        close = timm.list_models(f"{architecture[:6]}*")[:8]
        raise ValueError(f"timm has no architecture {architecture!r}; near it: {', '.join(close) or 'none'}.")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ValueError(f"timm's {architecture} has no tag {tag!r}; it has: {', '.join(tags) or 'none'}.")
    preparation = timm.get_pretrained_cfg(name).to_dict()
    if size is not None:
        preparation |= {"input_size": (3, size, size), "test_input_size": None, "crop_pct": 1.0, "test_crop_pct": None}
    architecture = saved_as or architecture
    config = TimmWrapperConfig(
        architecture=architecture, model_args=model_args, pretrained_cfg=preparation, do_pooling=True, **label_fields
    )
    model = AutoModelForImageClassification.from_config(config)
    processor = TimmWrapperImageProcessor(pretrained_cfg=preparation, architecture=architecture)
    return ImageClassifier(model, *_preparation(processor), processor)


def _preparation(processor: BaseImageProcessor) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    if isinstance(processor, TimmWrapperImageProcessor):
        data = processor.data_config
        return data["input_size"][-1], tuple(data["mean"]), tuple(data["std"])
    size = getattr(processor, "crop_size", None) or processor.size
    side = size.get("height") or size.get("shortest_edge")
    if getattr(processor, "do_flip_channel_order", False):
        raise ValueError(
            f"{type(processor).__name__} expects images in BGR, which the transforms of squared_emd.vision do not "
            "give. Take another model, or prepare the images with the processor itself."
        )
    if not processor.do_normalize:
        return side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return side, tuple(processor.image_mean), tuple(processor.image_std)
