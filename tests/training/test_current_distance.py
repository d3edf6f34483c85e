"""A refresh of D in training, and what it overwrites."""

import torch

from squared_emd import EMDTrainingArguments, ground_distance_from_centroids
from squared_emd.ground_distance import learned
from squared_emd.training import current_distance
from squared_emd.training.criterion import EMDCriterion

K, D = 83, 6


def criterion_of(folder, **fields):
    return EMDCriterion(EMDTrainingArguments(str(folder), loss="xemd2", use_cpu=True, **fields), K)


def epoch_of(criterion, seed):
    labels = torch.arange(4 * K) % K
    criterion.observe(torch.rand(len(labels), D, generator=torch.Generator().manual_seed(seed)), labels)


def test_a_refresh_overwrites_a_large_matrix(monkeypatch, tmp_path):
    for module in (learned, current_distance):
        monkeypatch.setattr(module, "MAX_CLASSES_IN_FLOAT64", 0)
    criterion, again = criterion_of(tmp_path), criterion_of(tmp_path)
    epoch_of(criterion, 0)
    criterion.refresh()
    places = criterion.ground_distance.data_ptr(), criterion.distance.cost.data_ptr()
    first = criterion.ground_distance.clone()
    epoch_of(criterion, 1)
    criterion.refresh()
    assert (criterion.ground_distance.data_ptr(), criterion.distance.cost.data_ptr()) == places
    assert not torch.equal(criterion.ground_distance, first)
    expected = ground_distance_from_centroids(criterion.distance.centroids.centroids)
    assert torch.equal(criterion.ground_distance, expected.float())
    assert torch.equal(criterion.distance.cost, (criterion.ground_distance.double() ** 2 - 0.25).float())
    state = criterion.state()
    assert state["ground_distance"].data_ptr() == places[0]  # a copy would be one more K x K
    assert again.resume({name: tensor.clone() for name, tensor in state.items()}, 1)
    assert torch.equal(again.ground_distance, criterion.ground_distance)
    assert torch.equal(again.distance.cost, criterion.distance.cost)


def test_a_refresh_leaves_a_small_matrix_that_others_may_hold(tmp_path):
    criterion = criterion_of(tmp_path)
    epoch_of(criterion, 0)
    criterion.refresh()
    held = criterion.ground_distance, criterion.distance.cost
    before = [tensor.clone() for tensor in held]
    epoch_of(criterion, 1)
    criterion.refresh()
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(held, before, strict=True))
