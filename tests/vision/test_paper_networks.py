"""The paper's networks: shapes and numbers of weights against what was published, or worked by hand."""

import subprocess
import sys

import pytest
import timm
import torch
import torchvision
from torch import nn
from transformers import AutoModelForImageClassification

import squared_emd  # noqa: F401  registers them
from squared_emd.vision.networks import load_image_classifier
from squared_emd.vision.paper_networks import PRETRAINED

NAMES = ["young", "grown", "old"]


def num_weights(model):
    return sum(weight.numel() for weight in model.parameters())


def shapes_of(model, kinds, size):
    """The outputs of the layers of these kinds, in order."""
    shapes = []
    for module in model.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    return shapes


@pytest.fixture(autouse=True)
def on_the_meta_device():
    """Shapes and numbers only: no memory for 61 million weights."""
    with torch.device("meta"):
        yield


def test_alxs_by_hand():
    model = timm.create_model("alxs", num_classes=8)
    assert model.pretrained_cfg["input_size"] == (3, 227, 227)
    convolutions = (7 * 7 * 3 + 1) * 96 + (5 * 5 * 96 + 1) * 256 + (3 * 3 * 256 + 1) * 384
    assert num_weights(model) == convolutions + (384 * 7 * 7 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 8


def test_alxs_shapes():
    with torch.device("cpu"):
        model = timm.create_model("alxs", num_classes=8)
        assert shapes_of(model, (nn.MaxPool2d, nn.Linear), 227) == [
            *((96, 28, 28), (256, 14, 14), (384, 7, 7)),
            *((512,), (512,), (8,)),
        ]
    kinds = [type(layer) for layer in model.features if not isinstance(layer, nn.ReLU)]
    block = [nn.Conv2d, nn.MaxPool2d, nn.LocalResponseNorm]
    assert kinds == [*block, *block, nn.Conv2d, nn.MaxPool2d]
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_alx_is_alexnet():
    model = timm.create_model("alx")
    assert num_weights(model) == num_weights(torchvision.models.alexnet()) == 61_100_840
    ours, theirs = ([tuple(w.shape) for w in m.parameters()] for m in (model, torchvision.models.alexnet()))
    assert ours == theirs


def test_alx_computes_what_torchvision_does():
    with torch.device("cpu"):
        theirs, ours = torchvision.models.alexnet(num_classes=8).eval(), timm.create_model("alx", num_classes=8).eval()
        weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
        ours.load_state_dict(dict(weights))
        pictures = torch.randn(2, 3, 224, 224)
        with torch.no_grad():
            torch.testing.assert_close(ours(pictures), theirs(pictures))


def bottleneck(inputs, outputs, first):
    """Weights of a pre-activation block: three normalisations and convolutions; the first of a stage projects."""
    middle = outputs // 4
    normalisations = 2 * inputs + 2 * middle + 2 * middle
    return normalisations + inputs * middle + 9 * middle**2 + middle * outputs + (inputs * outputs if first else 0)


def test_res_by_hand():
    model = timm.create_model("res", num_classes=8)
    stages, inputs = 0, 64
    for outputs in (256, 512, 1024):
        stages += bottleneck(inputs, outputs, True) + 3 * bottleneck(outputs, outputs, False)
        inputs = outputs
    assert num_weights(model) == 7 * 7 * 3 * 64 + stages + 2 * 1024 + (1024 + 1) * 8
    # (40 - 4) / 9 = 4 blocks in each of 3 stages, three convolutions a block
    convolutions = [name for name, module in model.stages.named_modules() if isinstance(module, nn.Conv2d)]
    assert len([name for name in convolutions if "downsample" not in name]) == 3 * 4 * 3


def test_pretrained_ones_are_what_the_paper_took():
    assert set(PRETRAINED) == {"vgg_f", "res_f"}
    assert num_weights(timm.create_model("vgg16", num_classes=1000)) == 138_357_544  # Simonyan & Zisserman: 138 M
    for name in PRETRAINED.values():
        architecture, _, tag = name.removeprefix("timm/").partition(".")
        assert f"{architecture}.{tag}" in timm.list_pretrained(f"{architecture}.*")


@pytest.mark.parametrize("name", ["alxs", "alx", "res"])
def test_a_new_head(name):
    model = timm.create_model(name, num_classes=8)
    head = model.get_classifier()  # of res a convolution
    features = head.in_channels if name == "res" else head.in_features
    assert features == model.num_features == {"alxs": 512, "alx": 4096, "res": 1024}[name]
    model.reset_classifier(3)
    assert model.get_classifier().weight.shape[0] == model.num_classes == 3
    assert isinstance(timm.create_model(name, num_classes=0).get_classifier(), nn.Identity)
    with pytest.raises(RuntimeError, match="No pretrained weights exist"):
        timm.create_model(name, pretrained=True)


@pytest.mark.parametrize(("name", "size"), [("alxs", 227), ("res", 224)])
def test_saved_and_loaded_by_transformers(name, size, tmp_path):
    with torch.device("cpu"):
        first = load_image_classifier(name, NAMES)
        assert first.size == size
        first.model.save_pretrained(tmp_path)
        loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
        assert loaded.config.id2label == dict(enumerate(NAMES))
        pictures = torch.randn(1, 3, size, size)
        with torch.no_grad():
            expected, got = (model.eval()(pixel_values=pictures).logits for model in (first.model, loaded))
        torch.testing.assert_close(got, expected)  # weights that lie elsewhere in memory are added in another order


def test_importing_the_package_is_enough():
    code = "import squared_emd, timm; print([timm.is_model(name) for name in ('alxs', 'alx', 'res')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[True, True, True]"


def test_loading_without_the_package_says_so(tmp_path):
    with torch.device("cpu"):
        load_image_classifier("res", NAMES).model.save_pretrained(tmp_path)
    code = (
        "import sys\nfrom transformers import AutoModelForImageClassification\n"
        "try:\n    AutoModelForImageClassification.from_pretrained(sys.argv[1])\n"
        "except ImportError as error:\n    print(error)\n"
        "print('squared_emd' in sys.modules)"
    )
    said = subprocess.check_output([sys.executable, "-c", code, tmp_path], text=True).splitlines()
    assert said[0].startswith("The model architecture 'res_needs_import_squared_emd' is not supported")
    assert said[-1] == "False"
