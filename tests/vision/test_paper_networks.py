"""The paper's networks: shapes and numbers of weights against what was published, or worked by hand."""

import sys

import pytest
import timm
import torch
import torchvision
from torch import nn
from transformers import AutoModelForImageClassification

from squared_emd.vision import load_image_classifier
from squared_emd.vision.paper_networks import PRETRAINED


@pytest.fixture
def meta_device():
    """Shapes and numbers only: no memory for 61 million weights."""
    with torch.device("meta"):
        yield


def num_weights(model):
    return sum(weight.numel() for weight in model.parameters())


def test_alxs_by_hand():
    model = timm.create_model("alxs", num_classes=8)
    convolutions = (7 * 7 * 3 + 1) * 96 + (5 * 5 * 96 + 1) * 256 + (3 * 3 * 256 + 1) * 384
    assert num_weights(model) == convolutions + (384 * 7 * 7 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 8
    shapes = []
    for module in model.modules():
        if isinstance(module, (nn.MaxPool2d, nn.Linear)):
            module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, *model.pretrained_cfg["input_size"][1:]))
    assert shapes == [(96, 28, 28), (256, 14, 14), (384, 7, 7), (512,), (512,), (8,)]
    kinds = [type(layer) for layer in model.features if not isinstance(layer, nn.ReLU)]
    block = [nn.Conv2d, nn.MaxPool2d, nn.LocalResponseNorm]
    assert kinds == [*block, *block, nn.Conv2d, nn.MaxPool2d]
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_alx_is_alexnet(meta_device):
    ours, theirs = timm.create_model("alx"), torchvision.models.alexnet()
    assert num_weights(ours) == 61_100_840
    assert [w.shape for w in ours.parameters()] == [w.shape for w in theirs.parameters()]
    layers = [[repr(m) for m in model.modules() if not list(m.children())] for model in (ours, theirs)]
    assert layers[0] == [layer for layer in layers[1] if "AdaptiveAvgPool2d" not in layer]  # of 6 x 6: the identity


def test_res_by_hand(meta_device):
    def bottleneck(inputs, outputs, first):
        """A pre-activation block: three normalizations and convolutions; the first of a stage projects."""
        middle = outputs // 4
        normalizations = 2 * inputs + 2 * middle + 2 * middle
        return normalizations + inputs * middle + 9 * middle**2 + middle * outputs + (inputs * outputs if first else 0)

    stages, inputs = 0, 64
    for outputs in (256, 512, 1024):
        stages += bottleneck(inputs, outputs, True) + 3 * bottleneck(outputs, outputs, False)
        inputs = outputs
    model = timm.create_model("res", num_classes=8)
    assert num_weights(model) == 7 * 7 * 3 * 64 + stages + 2 * 1024 + (1024 + 1) * 8


def test_pretrained_ones_are_what_the_paper_took(meta_device):
    assert num_weights(timm.create_model("vgg16", num_classes=1000)) == 138_357_544  # Simonyan & Zisserman: 138 M
    assert PRETRAINED.keys() == {"vgg_f", "res_f"}
    for name in PRETRAINED.values():
        assert name.removeprefix("timm/") in timm.list_pretrained()


@pytest.mark.parametrize(("name", "features"), [("alxs", 512), ("alx", 4096), ("res", 1024)])
def test_a_new_head(name, features, meta_device):
    model = timm.create_model(name, num_classes=8)
    assert model.get_classifier().weight.shape[:2] == (8, features) and model.num_features == features
    model.reset_classifier(3)
    assert model.get_classifier().weight.shape[0] == model.num_classes == 3
    assert isinstance(timm.create_model(name, num_classes=0).get_classifier(), nn.Identity)
    with pytest.raises(RuntimeError, match="No pretrained weights exist"):
        timm.create_model(name, pretrained=True)


@pytest.mark.parametrize("name", ["alxs", "res"])
def test_saved_and_loaded_by_transformers(name, tmp_path):
    first = load_image_classifier(name, ["young", "grown", "old"])
    first.model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert loaded.config.architecture == f"{name}_needs_import_squared_emd"  # what an error names without this package
    assert loaded.config.id2label == {0: "young", 1: "grown", 2: "old"}
    images = torch.randn(1, 3, first.size, first.size)
    with torch.no_grad():
        expected, found = (model.eval()(pixel_values=images).logits for model in (first.model, loaded))
    torch.testing.assert_close(found, expected)  # weights that lie elsewhere in memory are added in another order


def test_without_timm(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("squared_emd.vision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError) as error:
        __import__("squared_emd.vision")
    assert str(error.value) == (
        'squared_emd.vision needs timm, which is not installed: pip install "squared-emd[vision]".'
    )
