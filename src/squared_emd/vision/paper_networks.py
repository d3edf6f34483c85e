"""The paper's networks, which importing this module registers with timm as `alxs`, `alx` and `res`.

VGG_F and RES_F are pre-trained networks of timm's (`PRETRAINED`). Each of ours is saved under a second name
(`saved_name`), which tells whoever loads it without this package what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.layers import BatchNormAct2d, create_conv2d
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from timm.models.resnetv2 import ResNetV2
from torch import Tensor, nn

__all__ = ["FROM_SCRATCH", "PRETRAINED", "ConvolutionsAndLinears", "saved_name"]

FROM_SCRATCH = ("alxs", "alx", "res")
PRETRAINED = {"vgg_f": "timm/vgg16.tv_in1k", "res_f": "timm/resnetv2_50.a1h_in1k"}  # the second stands in for RES_F

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "crop_pct": 1.0, "interpolation": "bilinear"}
default_cfgs = generate_default_cfgs(
    {
        "alxs.untrained": {**_IMAGENET, "input_size": (3, 227, 227), "classifier": "classifier"},
        "alx.untrained": {**_IMAGENET, "input_size": (3, 224, 224), "classifier": "classifier"},
        "res.untrained": {**_IMAGENET, "input_size": (3, 224, 224), "classifier": "head.fc"},
    }
)


class ConvolutionsAndLinears(nn.Module):
    """Convolutions, two hidden linear layers with dropout, and the classes: AlexNet and what is built like it.

    Args:
        convolutions: (B, 3, H, W) to (B, C, P, P).
        flat: C * P * P.
        hidden: units of each hidden layer.
        num_classes: K; 0 leaves the last layer out.
        drop_rate: share of units dropped before each hidden layer (AlexNet) or after (ALXs).
        drop_first: before.
    """

    def __init__(
        self,
        convolutions: nn.Module,
        flat: int,
        hidden: int,
        *,
        num_classes: int,
        drop_rate: float,
        drop_first: bool,
    ) -> None:
        super().__init__()
        self.num_features = self.head_hidden_size = hidden
        self.features = convolutions
        layers: list[nn.Module] = []
        for inputs in (flat, hidden):
            block = [nn.Linear(inputs, hidden), nn.ReLU(inplace=True)]
            layers += [nn.Dropout(drop_rate), *block] if drop_first else [*block, nn.Dropout(drop_rate)]
        self.hidden = nn.Sequential(*layers)
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
    options = {"num_classes": num_classes, "drop_rate": drop_rate, "drop_first": False}
    return ConvolutionsAndLinears(convolutions, 384 * 7 * 7, 512, **options)


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
    options = {"num_classes": num_classes, "drop_rate": drop_rate, "drop_first": True}
    return ConvolutionsAndLinears(convolutions, 256 * 6 * 6, 4096, **options)


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


def saved_name(name: str) -> str:
    """The architecture under which one of `FROM_SCRATCH` is saved; its name says what loading it needs.

    Args:
        name: `alxs`, `alx` or `res`.

    >>> saved_name("alxs")
    'alxs_needs_import_squared_emd'
    """
    return f"{name}_needs_import_squared_emd"


def _register_saved_name(make: Callable[..., Any]) -> None:
    def make_saved(pretrained: bool = False, **kwargs: Any) -> Any:
        return make(pretrained, **kwargs)

    make_saved.__name__ = saved_name(make.__name__)
    register_model(make_saved)


for _make in (alxs, alx, res):
    _register_saved_name(_make)
