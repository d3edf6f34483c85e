"""Networks: what is built, saved and loaded again, and refused, without a network; the paper's by hand."""

import json
import re
import sys

import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from tests.errors import message_of
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BertConfig,
    ConvNextImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
)

from squared_emd.metrics.names import PRETRAINED
from squared_emd.vision.networks import SMALL, load_image_classifier
from squared_emd.vision.transforms import EvalTransform

NAMES = ["young", "grown", "old"]
HALF = (0.5, 0.5, 0.5)
ADVICE = (
    "Give timm/<model>, a Hub image classifier or a folder with a saved one; without a network, timm/<architecture> "
    "with --from_scratch."
)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def save_resnet(folder, num_labels=5):
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    config.num_labels = num_labels
    model = ResNetForImageClassification(config)
    model.save_pretrained(folder)
    return model


def save_processor(folder):
    ConvNextImageProcessor(
        size={"shortest_edge": 48}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    ).save_pretrained(folder)


def save_as_on_the_hub(folder, architecture):
    """A folder like a repository of timm's own: a config that is not transformers', and 1000 classes."""
    folder.mkdir()
    model = timm.create_model(architecture, num_classes=1000)
    described = timm.get_pretrained_cfg(architecture).to_dict()
    config = {"architecture": architecture, "num_classes": 1000, "pretrained_cfg": described}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), folder / "model.safetensors")
    return model


def logits_of(model, size):
    with torch.no_grad():
        images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
        return model.eval()(pixel_values=images).logits


def num_weights(model):
    return sum(weight.numel() for weight in model.parameters())


def test_small():
    model, size, mean, std, _ = load_image_classifier(SMALL, NAMES)
    assert (size, mean, std) == (64, HALF, HALF)
    assert model.config.label2id == {"young": 0, "grown": 1, "old": 2}
    assert 100_000 < num_weights(model) < 150_000


@pytest.mark.parametrize("name", [SMALL, "alxs", "res"])
def test_saved_and_loaded_by_transformers_and_here(name, tmp_path):
    first = load_image_classifier(name, NAMES)
    first.model.save_pretrained(tmp_path)
    again = load_image_classifier(str(tmp_path), NAMES)  # which keeps the head
    assert again[1:4] == first[1:4]
    for loaded in (again.model, AutoModelForImageClassification.from_pretrained(tmp_path)):
        # What an error names where this package is not installed; the small one needs it not.
        assert loaded.config.architecture == {SMALL: "resnetv2_50"}.get(name, f"{name}_needs_import_squared_emd")
        assert loaded.config.id2label == {0: "young", 1: "grown", 2: "old"}
        # Weights that lie elsewhere in memory are added in another order.
        torch.testing.assert_close(logits_of(loaded, first.size), logits_of(first.model, first.size))


class TestCentralCrop:
    """What an image becomes whose red is its column and whose green is its row, from 0 to 255."""

    @pytest.fixture(params=["small", "timm", "ResNet"])
    def network(self, request, tmp_path):
        if request.param == "ResNet":
            save_resnet(tmp_path)
            ConvNextImageProcessor(size={"shortest_edge": 32}).save_pretrained(tmp_path)
            return load_image_classifier(str(tmp_path), NAMES)
        return load_image_classifier({"small": SMALL, "timm": "timm/test_vit"}[request.param], NAMES, from_scratch=True)

    @pytest.mark.parametrize("shape", [(300, 400), (400, 300)])
    @pytest.mark.parametrize("share", [7 / 8, 1 / 2])
    def test_processor_that_is_loaded_shows_what_was_tested(self, network, shape, share, tmp_path):
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        pixels = np.stack([columns * 255 / shape[1], rows * 255 / shape[0], np.zeros(shape)], axis=-1)
        image = Image.fromarray(pixels.round().astype(np.uint8))
        model, size, mean, std, processor = network.with_central_crop(share)
        folder = tmp_path / "saved"
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        loaded = AutoImageProcessor.from_pretrained(folder)
        shown = loaded(images=image, return_tensors="pt")["pixel_values"]
        expected = EvalTransform(size, mean, std, crop=share)(image)[None]
        assert shown.shape == (1, 3, size, size)
        off = (shown - expected).abs() * torch.tensor(std)[:, None, None]  # (1, 3, size, size), in [0, 1]
        places = off * torch.tensor([shape[1], shape[0], 0])[:, None, None]  # in pixels of the image
        pixel = share * min(shape) / size  # of the view, in pixels of the image
        assert places.max() < pixel + 2  # 2: eight bits a channel, twice


class TestTimm:
    @pytest.mark.parametrize(
        ("name", "preparation"),
        [
            ("timm/test_resnet", (160, HALF, HALF)),
            ("timm/test_resnet.r160_in1k", (160, HALF, HALF)),
            # The weights of Ridnik et al. 2021 take values in [0, 1], those of the default tag ImageNet's deviations.
            ("timm/mobilenetv3_large_100.miil_in21k", (224, (0, 0, 0), (1, 1, 1))),
            ("timm/mobilenetv3_large_100", (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
        ],
    )
    def test_from_scratch(self, name, preparation):
        network = load_image_classifier(name, NAMES, from_scratch=True)
        assert network[1:4] == preparation
        assert logits_of(network.model, network.size).shape == (2, network.model.config.num_labels) == (2, 3)

    @pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
    @pytest.mark.parametrize("num_outputs", [3, 1])
    def test_saved_weights_get_a_new_head(self, architecture, num_outputs, tmp_path):
        saved = save_as_on_the_hub(tmp_path / "model", architecture)
        network = load_image_classifier(str(tmp_path / "model"), NAMES, num_outputs=num_outputs)
        assert (network.size, network.mean, network.std) == (160, HALF, HALF)
        assert network.model.config.num_labels == num_outputs
        assert logits_of(network.model, 160).shape == (2, num_outputs)
        head = network.model.timm_model.get_classifier()
        assert 0 < head.weight.abs().max() < 0.2  # drawn with a standard deviation of 0.02, not left as it was found
        loaded = network.model.timm_model.state_dict()
        body = {name: weight for name, weight in saved.state_dict().items() if weight.shape == loaded[name].shape}
        assert len(loaded) - len(body) == 2
        torch.testing.assert_close({name: loaded[name] for name in body}, body, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("timm/test_resnett", "timm has no architecture 'test_resnett'; near it: test_resnet."),
            ("timm/qqqq.in1k", "timm has no architecture 'qqqq'; near it: none."),
            ("timm/test_resnet.in21k", "timm's test_resnet has no tag 'in21k'; it has: r160_in1k."),
        ],
    )
    def test_unknown(self, name, message):
        assert message_of(ValueError, load_image_classifier, name, NAMES, from_scratch=True) == message


class TestSavedModel:
    @pytest.mark.parametrize("num_outputs", [3, 1])
    def test_new_head_and_the_processors_preparation(self, num_outputs, tmp_path):
        saved = save_resnet(tmp_path)
        save_processor(tmp_path)
        model, size, mean, std, _ = load_image_classifier(str(tmp_path), NAMES, num_outputs=num_outputs)
        assert (size, mean, std) == (48, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
        assert model.config.id2label == (dict(enumerate(NAMES)) if num_outputs == 3 else {0: "output_0"})
        assert logits_of(model, size).shape == (2, num_outputs)
        torch.testing.assert_close(model.resnet.state_dict(), saved.resnet.state_dict(), rtol=0, atol=0)

    def test_from_scratch_takes_the_architecture_only(self, tmp_path):
        saved = save_resnet(tmp_path, num_labels=3)
        save_processor(tmp_path)
        model = load_image_classifier(str(tmp_path), NAMES, from_scratch=True).model
        assert model.config.hidden_sizes == [8, 16]
        weights = [next(one.resnet.parameters()) for one in (model, saved)]
        assert not torch.equal(*weights)

    def test_what_cannot_be_loaded(self, tmp_path):
        """What transformers says about it, in one sentence, and what to do."""

        def refused(name, reason):
            start = f"the model {str(name)!r} cannot be loaded: "
            with pytest.raises(ValueError, match=f"^{re.escape(start)}[^\n]*{reason}[^\n]* {re.escape(ADVICE)}$"):
                load_image_classifier(str(name), NAMES)

        refused("timm/test_resnet.r160_in1k", "couldn't connect to")
        refused("squared-emd/not-there", "couldn't connect to")
        refused(tmp_path, "Unrecognized model in")
        BertConfig().save_pretrained(tmp_path / "bert")
        refused(tmp_path / "bert", "Unrecognized configuration class .*BertConfig")
        save_resnet(tmp_path / "resnet")
        refused(tmp_path / "resnet", "image processor")
        (tmp_path / "resnet" / "model.safetensors").unlink()
        refused(tmp_path / "resnet", "no file named model.safetensors")


@pytest.fixture
def meta_device():
    """Shapes and numbers only: no memory for 61 million weights."""
    with torch.device("meta"):
        yield


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


def test_without_timm(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("squared_emd.vision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "timm", None)
    assert message_of(ImportError, __import__, "squared_emd.vision") == (
        'squared_emd.vision needs timm, which is not installed: pip install "squared-emd[vision]".'
    )
