"""The networks of the recipes: any timm or Hub image classifier, and the paper's, pre-trained or from random weights.

Importing it registers the paper's with timm as `alxs`, `alx` and `res`. VGG_F and RES_F are pre-trained networks of
timm's (`PRETRAINED`). Each of ours is saved under a second name, which tells whoever loads it without this package
what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import timm
from PIL import Image
from timm.layers import BatchNormAct2d, create_conv2d
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn
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

from ..metrics.names import PRETRAINED

__all__ = ["SMALL", "ImageClassifier", "load_image_classifier"]

FROM_SCRATCH = ("alxs", "alx", "res")
SAVED_SUFFIX = "_needs_import_squared_emd"  # of their architectures in a saved config: what loading them needs

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_pct": 1.0, "interpolation": "bilinear"}
default_cfgs = generate_default_cfgs(
    {
        "alxs.untrained": {**_IMAGENET, "input_size": (3, 227, 227), "classifier": "classifier"},
        "alx.untrained": {**_IMAGENET, "input_size": (3, 224, 224), "classifier": "classifier"},
        "res.untrained": {**_IMAGENET, "input_size": (3, 224, 224), "classifier": "head.fc"},
    }
)
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
            shape = (3, self.size, self.size)
            preparation = config.pretrained_cfg | {"input_size": shape, "test_input_size": None, "crop_pct": share}
            preparation |= {"test_crop_pct": None, "crop_mode": "center", "interpolation": "bilinear"}
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
        return _from_timm_registry(name, label_fields, saved_as=name + SAVED_SUFFIX)
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


class ConvolutionsAndLinears(nn.Module):
    """Convolutions, hidden linear layers and the classes, with the names that timm wants: AlexNet and the like."""

    def __init__(self, convolutions: nn.Module, hidden: nn.Module, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.num_features = self.head_hidden_size = num_features
        self.features, self.hidden = convolutions, hidden
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.classifier = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        return self.features(x)  # (B, C, P, P)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.hidden(x.flatten(1))  # (B, hidden)
        return x if pre_logits else self.classifier(x)  # (B, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(inplace=True)]


def _linear(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]


def _alxs(num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5) -> ConvolutionsAndLinears:
    pool = {"kernel_size": 3, "stride": 2, "ceil_mode": True}  # as Caffe, in which it was published
    normalization = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1}
    convolutions = nn.Sequential(
        *_convolution(in_chans, 96, 7, stride=4),  # (B, 96, 56, 56)
        nn.MaxPool2d(**pool),  # (B, 96, 28, 28)
        nn.LocalResponseNorm(**normalization),
        *_convolution(96, 256, 5, padding=2),  # (B, 256, 28, 28)
        nn.MaxPool2d(**pool),  # (B, 256, 14, 14)
        nn.LocalResponseNorm(**normalization),
        *_convolution(256, 384, 3, padding=1),  # (B, 384, 14, 14)
        nn.MaxPool2d(**pool),  # (B, 384, 7, 7)
    )
    hidden = [*_linear(384 * 7 * 7, 512), nn.Dropout(drop_rate), *_linear(512, 512), nn.Dropout(drop_rate)]
    return ConvolutionsAndLinears(convolutions, nn.Sequential(*hidden), 512, num_classes)


def _alx(num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5) -> ConvolutionsAndLinears:
    convolutions = nn.Sequential(
        *_convolution(in_chans, 64, 11, stride=4, padding=2),  # (B, 64, 55, 55)
        nn.MaxPool2d(3, 2),  # (B, 64, 27, 27)
        *_convolution(64, 192, 5, padding=2),  # (B, 192, 27, 27)
        nn.MaxPool2d(3, 2),  # (B, 192, 13, 13)
        *_convolution(192, 384, 3, padding=1),
        *_convolution(384, 256, 3, padding=1),
        *_convolution(256, 256, 3, padding=1),  # (B, 256, 13, 13)
        nn.MaxPool2d(3, 2),  # (B, 256, 6, 6)
    )
    hidden = [nn.Dropout(drop_rate), *_linear(256 * 6 * 6, 4096), nn.Dropout(drop_rate), *_linear(4096, 4096)]
    return ConvolutionsAndLinears(convolutions, nn.Sequential(*hidden), 4096, num_classes)


@register_model
def alxs(pretrained: bool = False, **kwargs: Any) -> ConvolutionsAndLinears:
    """ALXs: three convolutions (96, 256, 384) and two hidden layers of 512, input 227 x 227 (Levi & Hassner 2015)."""
    return build_model_with_cfg(_alxs, "alxs", pretrained, **kwargs)


@register_model
def alx(pretrained: bool = False, **kwargs: Any) -> ConvolutionsAndLinears:
    """ALX: AlexNet, five convolutions and two hidden layers of 4096.

    The variant of one tower (Krizhevsky 2014) in place of the two of Krizhevsky et al. 2012, as in torchvision.
    """
    return build_model_with_cfg(_alx, "alx", pretrained, **kwargs)


@register_model
def res(pretrained: bool = False, **kwargs: Any) -> ResNetV2:
    """RES: pre-activation bottleneck residual network of 40 layers, (40 - 4) / 9 = 4 blocks in each of 3 stages."""
    arguments = {"layers": (4, 4, 4), "channels": (256, 512, 1024), "conv_layer": create_conv2d}
    arguments |= {"norm_layer": BatchNormAct2d} | kwargs
    return build_model_with_cfg(ResNetV2, "res", pretrained, feature_cfg={"flatten_sequential": True}, **arguments)


for _make in (alxs, alx, res):
    _saved = partial(_make)
    _saved.__name__, _saved.__module__ = _make.__name__ + SAVED_SUFFIX, __name__
    register_model(_saved)
