"""Mixup of a batch: labels are the shares of the mixed images."""

import numpy as np
import pytest
import torch
from tests.errors import message_of
from timm.data import Mixup

from squared_emd.vision.mixup import BatchMixup


@pytest.mark.parametrize("size", [1, 6, 7])
def test_mixed_labels_are_the_shares_of_the_mixed_images(size):
    """Each image holds its label in every pixel, so that a mixture says by itself what is in it."""
    labels = torch.arange(size) % 4
    images = labels.float()[:, None, None, None].expand(size, 3, 8, 8).clone()
    batch = {"pixel_values": images, "labels": labels, "other": "kept"}
    np.random.seed(0)
    mixed = BatchMixup(Mixup(mixup_alpha=0.4, label_smoothing=0, num_classes=4))(batch)
    assert mixed["labels"].shape == (size, 4)
    torch.testing.assert_close(mixed["labels"] @ torch.arange(4.0), mixed["pixel_values"].mean((1, 2, 3)))
    assert mixed["other"] == "kept"
    assert batch["pixel_values"].mean((1, 2, 3)).tolist() == labels.tolist()  # nothing is changed in place
    if size % 2:
        assert mixed["labels"][-1].tolist() == torch.eye(4)[labels[-1]].tolist()
    else:
        assert (mixed["labels"].max(1).values < 1).any()


def test_cut_images_keep_their_shares_and_smoothing_reaches_the_odd_one():
    labels = torch.arange(5) % 4
    images = labels.float()[:, None, None, None].expand(5, 3, 8, 8).clone()
    np.random.seed(1)
    mixup = Mixup(mixup_alpha=0, cutmix_alpha=1.0, label_smoothing=0.2, num_classes=4)
    mixed = BatchMixup(mixup)({"pixel_values": images, "labels": labels})
    np.testing.assert_allclose(mixed["labels"][-1], [0.85, 0.05, 0.05, 0.05])
    shares = (mixed["labels"] - 0.05) / 0.8
    torch.testing.assert_close(shares @ torch.arange(4.0), mixed["pixel_values"].mean((1, 2, 3)))


def test_batches_that_cannot_be_mixed():
    mix = BatchMixup(Mixup(mixup_alpha=1.0, num_classes=4))
    images = torch.zeros(2, 3, 4, 4)
    assert message_of(ValueError, mix, {"inputs": images, "labels": torch.tensor([0, 1])}) == (
        "mixup needs the input 'pixel_values' in each batch, got ['inputs', 'labels']. Say name=..."
    )
    assert message_of(ValueError, mix, {"pixel_values": images, "labels": torch.eye(4)[:2]}) == (
        "mixup needs class indices (B,) as labels, got shape (2, 4). Mix before labels are made soft, or leave mixup "
        "out."
    )
    assert message_of(ValueError, mix, {"pixel_values": images, "labels": torch.tensor([0, 4])}) == (
        "labels must lie in 0 .. 3, the model's 4 classes; got 0 .. 4. Give the model num_labels=5, or leave out what "
        "is no class."
    )
