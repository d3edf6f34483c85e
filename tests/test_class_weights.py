"""Rare classes weigh more: in every loss, and by how many samples there are."""

import pytest
import torch
import torch.nn.functional as F

from squared_emd import LabelTree, circular_emd_loss, tree_emd_loss
from squared_emd.losses import (
    cross_entropy_loss,
    entropic_wasserstein_loss,
    exact_emd_loss,
    self_guided_loss,
    squared_emd_loss,
)

K = 4
WEIGHTS = torch.tensor([0.5, 1.0, 3.0, 0.0])
DISTANCE = (torch.arange(K)[:, None] - torch.arange(K)).abs() / (K - 1)
TREE = LabelTree.from_nested({"a": ["x", "y"], "b": ["z", "w"]})
LOSSES = {
    "xe": lambda x, y, **kw: cross_entropy_loss(x, y, eps=1e-6, **kw),
    "emd": squared_emd_loss,
    "exact": lambda x, y, **kw: exact_emd_loss(x, y, DISTANCE, **kw),
    "xemd2": lambda x, y, **kw: self_guided_loss(x, y, DISTANCE, weight=2.0, omega=2, mu=-0.25, **kw),
    "a-emd": lambda x, y, **kw: entropic_wasserstein_loss(x, y, DISTANCE, strength=10, **kw),
    "tree": lambda x, y, **kw: tree_emd_loss(x, y, TREE, **kw),
    "circle": circular_emd_loss,
}


def samples(soft):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(7, K, generator=generator)
    labels = torch.randint(K, (7,), generator=generator)
    return logits, torch.rand(7, K, generator=generator).softmax(-1) if soft else labels


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("soft", [False, True])
def test_each_sample_counts_by_its_classes(name, soft):
    logits, labels = samples(soft)
    targets = labels if soft else F.one_hot(labels, K).float()
    weights = sum(targets[:, k] * float(WEIGHTS[k]) for k in range(K))
    plain = LOSSES[name](logits, labels, reduction="none")
    of = {kind: LOSSES[name](logits, labels, class_weights=WEIGHTS, reduction=kind) for kind in ("none", "sum", "mean")}
    torch.testing.assert_close(of["none"], weights * plain)
    torch.testing.assert_close(of["sum"], (weights * plain).sum())
    torch.testing.assert_close(of["mean"], (weights * plain).sum() / weights.sum())


def test_cross_entropy_is_that_of_torch():
    logits, labels = samples(False)
    for reduction in ("mean", "sum", "none"):
        ours = cross_entropy_loss(logits, labels, class_weights=WEIGHTS, reduction=reduction)
        torch.testing.assert_close(ours, F.cross_entropy(logits, labels, weight=WEIGHTS, reduction=reduction))


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_weighted_too(name):
    logits, labels = samples(False)
    plain, weighted = (
        torch.autograd.grad(LOSSES[name](x, labels, reduction="sum", class_weights=weights), x)[0]
        for x, weights in ((logits.clone().requires_grad_(), None), (logits.clone().requires_grad_(), WEIGHTS))
    )
    torch.testing.assert_close(weighted, plain * WEIGHTS[labels][:, None])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (torch.ones(2, 2), "class_weights must be (4,), one a class, got shape (2, 2)."),
        (torch.ones(3), "class_weights must be (4,), one a class, got shape (3,)."),
        (-WEIGHTS, "class_weights must be finite and not negative, got [-0.5, -1.0, -3.0, -0.0]."),
    ],
)
def test_weights_that_do_not_fit(weights, message):
    for name, loss in LOSSES.items():
        for soft in (False, True):
            logits, labels = samples(soft)
            with pytest.raises(ValueError) as error:
                loss(logits, labels, class_weights=weights)
            assert str(error.value) == message, (name, soft)
