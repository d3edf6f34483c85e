"""Each module is its function; D and weights follow it to another dtype, into its `state_dict` and back."""

from inspect import signature

import pytest
import torch
from tests.errors import message_of
from tests.losses.test_losses import BOTH, CIRCLE, CLASS_WEIGHTS, DISTANCE, EUCLIDEAN, HARD, LOGITS, SPACING, TREE, K

from squared_emd import losses

SELF_GUIDED = {"weight": 2.0, "omega": 2.0, "mu": -0.25}
CASES = [
    (losses.SquaredEMDLoss, losses.squared_emd_loss, (), {"p": 1.5, "spacing": SPACING}),
    (losses.CircularEMDLoss, losses.circular_emd_loss, (), {"p": 1, "spacing": CIRCLE}),
    (losses.TreeEMDLoss, losses.tree_emd_loss, (TREE,), {"p": 2}),
    (losses.EnergyDistanceLoss, losses.energy_distance_loss, (EUCLIDEAN,), {}),
    (losses.ExactEMDLoss, losses.exact_emd_loss, (DISTANCE,), {}),
    (losses.SelfGuidedLoss, losses.self_guided_loss, (DISTANCE,), SELF_GUIDED | {"true_class_cost": 1.0, "eps": 0.0}),
    (losses.EntropicWassersteinLoss, losses.entropic_wasserstein_loss, (DISTANCE,), {"strength": 1.0, "iterations": 9}),
]


@pytest.mark.parametrize(("module", "function", "others", "options"), CASES, ids=[case[0].__name__ for case in CASES])
def test_is_the_function_and_keeps_its_tensors(module, function, others, options):
    assert list(signature(module).parameters) == list(signature(function).parameters)[2:]
    for labels in BOTH:
        for more in ({}, {"class_weights": CLASS_WEIGHTS, "reduction": "sum"}):
            loss = module(*others, **options, **more)
            assert torch.equal(loss(LOGITS, labels), function(LOGITS, labels, *others, **options, **more))
    tensors = {name for name, value in (options | more).items() if isinstance(value, torch.Tensor)}
    tensors |= {"ground_distance"} if others and others[0] is not TREE else set()
    assert set(loss.state_dict()) == tensors
    numbers = {name: value for name, value in (options | more).items() if name not in tensors}
    zeros = [torch.zeros(K, K) if isinstance(other, torch.Tensor) else other for other in others]
    empty = {name: torch.zeros_like(value) for name, value in (options | more).items() if name in tensors}
    other = module(*zeros, **numbers, **empty).double()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(other(LOGITS, HARD), loss(LOGITS, HARD))
    assert all(f"{name}={value!r}" in repr(loss) for name, value in numbers.items())


def test_errors():
    assert message_of(ValueError, losses.EnergyDistanceLoss, torch.zeros(2, 3)) == (
        "ground_distance must be (K, K), one row a class, got shape (2, 3)."
    )
    assert message_of(ValueError, losses.ExactEMDLoss, [[0.0, float("nan")], [1.0, 0.0]]) == (
        "ground_distance must be finite, got nan."
    )
    assert message_of(ValueError, losses.SquaredEMDLoss, spacing=[1.0, float("inf")]) == (
        "spacing must be finite, got inf."
    )
    with pytest.raises(TypeError, match="'strength'"):
        losses.EntropicWassersteinLoss(DISTANCE)
