"""Probabilities are averaged again by hand in float64."""

import copy

import numpy as np
import pytest
import torch
import transformers as tf
from tests.errors import message_of
from tests.training.tiny import tiny_vit
from torch import nn

from squared_emd.vision import average_flips


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def vit(num_labels):
    return tiny_vit(num_labels, image_size=16, patch_size=8, hidden_size=16, intermediate_size=32)


class Dictionary(nn.Module):
    """A model outside transformers; counts its forwards."""

    def __init__(self, num_labels):
        super().__init__()
        self.head, self.forwards = nn.Linear(3 * 16 * 16, num_labels), 0

    def forward(self, pixel_values, scale=1.0):
        self.forwards += 1
        return {"logits": scale * self.head(pixel_values.flatten(1))}


@pytest.mark.parametrize("build", [vit, Dictionary])
def test_probabilities_are_averaged(build):
    model = build(5).double().eval()
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        one, two = (model(pixel_values=view)["logits"].numpy() for view in (x, torch.flip(x, (3,))))
        average_flips(model)
        logits = model(pixel_values=x)["logits"].numpy()
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (one, two))
    np.testing.assert_allclose(np.exp(logits), (p + q) / 2, rtol=1e-12)
    assert np.abs(p - q).max() > 1e-3  # the two views do differ


def test_one_output_is_averaged_itself():
    model = vit(1).eval()
    x = torch.randn(4, 3, 16, 16)
    expected = (model(pixel_values=x).logits + model(pixel_values=x.flip(-1)).logits) / 2
    average_flips(model)
    torch.testing.assert_close(model(pixel_values=x).logits, expected)


def test_extreme_logits_of_bf16_stay_finite_in_float32():
    model = Dictionary(3).eval().bfloat16()
    nn.init.zeros_(model.head.weight)
    model.head.bias.data = torch.tensor([0.0, 500.0, -500.0], dtype=torch.bfloat16)
    average_flips(model)
    logits = model(pixel_values=torch.zeros(1, 3, 16, 16, dtype=torch.bfloat16))["logits"]
    torch.testing.assert_close(logits, torch.tensor([[-500.0, 0.0, -1000.0]]))  # both views agree: the log-softmax


def test_training_mode_is_untouched_and_the_handle_restores():
    model = Dictionary(5)
    x = torch.randn(4, 3, 16, 16)
    plain = model(pixel_values=x, scale=3.0)["logits"]
    p, q = (model(pixel_values=view, scale=3.0)["logits"].softmax(1) for view in (x, x.flip(-1)))
    handle = average_flips(model)
    model.forwards = 0
    assert torch.equal(model(pixel_values=x, scale=3.0)["logits"], plain) and model.forwards == 1
    model.eval()
    torch.testing.assert_close(model(pixel_values=x, scale=3.0)["logits"].softmax(1), (p + q) / 2)
    assert not model.training and model.forwards == 3  # the image and its flip, once each
    handle.remove()
    assert torch.equal(model(pixel_values=x, scale=3.0)["logits"], plain)


def test_pixel_values_must_be_named():
    model = Dictionary(5).eval()
    average_flips(model)
    assert message_of(ValueError, model, torch.randn(4, 3, 16, 16), scale=2.0) == (
        "To average over flips, Dictionary must be called with pixel_values=... by keyword, got 1 positional "
        "arguments and the keywords ['scale']. Name the argument, or remove() the handle that average_flips returned."
    )


def test_saving_and_copying_are_unaffected(tmp_path):
    model = vit(5).eval()
    x = torch.randn(4, 3, 16, 16)
    plain = model(pixel_values=x).logits
    average_flips(model)
    averaged = model(pixel_values=x).logits
    model.save_pretrained(tmp_path)
    loaded = tf.ViTForImageClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(pixel_values=x).logits, plain)
    torch.testing.assert_close(copy.deepcopy(model)(pixel_values=x).logits, averaged)
