"""D some rows at a time against D at once, and what a refresh keeps, sends and writes over."""

import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tests.ranks import on_ranks

from squared_emd import EMDTrainingArguments, ground_distance_from_centroids, raw_distances, sdd
from squared_emd import criterion as criterion_module
from squared_emd import ground_distance as plain
from squared_emd import learned_distance as module
from squared_emd.ground_distance.epoch_distance import learn_ground_distance, raw_distances_by_rows
from squared_emd.ground_distance.saved import load_ground_distance, read_ground_distance, write_ground_distance
from squared_emd.losses import ground_distance_cost
from squared_emd.training.callbacks import check_in_step
from squared_emd.training.criterion import EMDCriterion

K, D = 83, 6


@pytest.fixture
def large(monkeypatch):
    """Every number of classes counts as large, and tiles and blocks have a few rows."""
    for place in (module, criterion_module):
        monkeypatch.setattr(place, "MAX_CLASSES_IN_FLOAT64", 0)
    for place in (module, plain):
        monkeypatch.setattr(place, "TILE", 16)
    monkeypatch.setattr(plain, "BLOCK", 5 * K)


def centroids_with(ties):
    generator = torch.Generator().manual_seed(0)
    if not ties:
        return torch.rand(K, D, dtype=torch.float64, generator=generator)
    corners = torch.randint(0, 3, (K // 2, D), generator=generator).double()
    return torch.cat([corners, -corners, torch.zeros(1, D)])  # their mean is 0, so that nothing is rounded


def some_known(share):
    return torch.rand(K, generator=torch.Generator().manual_seed(1)) < share


@pytest.mark.parametrize("rank", ["strict", "inclusive"])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("direct_cost", [plain.DIRECT_DISTANCE_COST, 0])
def test_rows_at_a_time_are_all_at_once(large, monkeypatch, direct_cost, ties, share, rank):
    monkeypatch.setattr(plain, "DIRECT_DISTANCE_COST", direct_cost)
    centroids, known = centroids_with(ties), some_known(share)
    centroids[~known] = torch.nan  # never looked at
    out = torch.full((K, K), 7.0)
    matrix, deviation, relative = learn_ground_distance(centroids, rank=rank, known=known, out=out)
    assert matrix is out
    assert (matrix == ground_distance_from_centroids(centroids, rank=rank, known=known).float()).all()
    assert (matrix == matrix.T).all()
    if share:
        distances = raw_distances(centroids[known])
        within = 1e-12 if direct_cost else 1e-9  # by products, classes that coincide are 1e-8 apart
        assert deviation == pytest.approx(float(sdd(distances)), rel=within)
        assert relative == pytest.approx(float(sdd(distances, relative=True)), rel=within)
        assert ties == (len(distances.unique()) < distances.numel() / 10)


@pytest.mark.parametrize("direct_cost", [plain.DIRECT_DISTANCE_COST, 0])
def test_rows_are_those_of_raw_distances_to_the_bit(large, monkeypatch, direct_cost):
    monkeypatch.setattr(plain, "DIRECT_DISTANCE_COST", direct_cost)
    centroids = centroids_with(ties=False)
    assert torch.equal(torch.cat(list(raw_distances_by_rows(centroids))), raw_distances(centroids))


def test_up_to_so_many_classes_it_is_the_plain_form():
    centroids = centroids_with(ties=False)
    matrix, deviation, relative = learn_ground_distance(centroids, out=torch.zeros(K, K))
    distances = raw_distances(centroids)
    assert matrix.dtype == torch.float64
    assert torch.equal(matrix, ground_distance_from_centroids(centroids))
    assert (deviation, relative) == (float(sdd(distances)), float(sdd(distances, relative=True)))


@pytest.mark.parametrize("out", [torch.zeros(K + 1, K + 1), torch.zeros(K, K, dtype=torch.float64), None])
def test_what_does_not_fit_is_left_alone(large, out):
    before = None if out is None else out.clone()
    matrix, _, _ = learn_ground_distance(centroids_with(ties=False), out=out)
    assert matrix.dtype == torch.float32
    assert out is None or torch.equal(out, before)


def test_nothing_of_k_by_k_but_the_result(large, monkeypatch):
    num_classes = 600
    monkeypatch.setattr(plain, "BLOCK", 5 * num_classes)
    centroids = torch.rand(num_classes, 8, generator=torch.Generator().manual_seed(0))
    with torch.profiler.profile(profile_memory=True) as profile:
        matrix, _, _ = learn_ground_distance(centroids)
    assert matrix.sum().item() == pytest.approx(num_classes * (num_classes - 1) / 2)
    largest = sorted(event.self_cpu_memory_usage for event in profile.events())[-2:]
    assert largest[1] == 4 * num_classes**2  # D, in float32
    assert largest[0] < 4 * num_classes**2 / 8


def test_centroids_that_are_not_finite(large):
    centroids = centroids_with(ties=False)
    centroids[3] = torch.inf
    with pytest.raises(ValueError) as error:
        learn_ground_distance(centroids)
    assert str(error.value) == "centroids must be finite; those of classes [3] are not."


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_cost_is_written_over(dtype, share):
    matrix = ground_distance_from_centroids(centroids_with(ties=False)).to(dtype)
    known, out = some_known(share), torch.full((K, K), 7.0)
    cost = ground_distance_cost(matrix, omega=2, mu=-0.25, known=known, out=out)
    assert cost is out
    expected = ground_distance_cost(matrix.double(), omega=2, mu=-0.25, known=known)
    assert torch.equal(cost, expected.float())


def criterion_of(folder, num_classes=K, **fields):
    return EMDCriterion(EMDTrainingArguments(str(folder), loss="xemd2", use_cpu=True, **fields), num_classes)


def epoch_of(criterion, seed, num_classes=K):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(4 * num_classes) % num_classes
    criterion.observe(torch.rand(len(labels), D, generator=generator), labels)


def test_a_refresh_writes_over_a_large_one(large, tmp_path):
    criterion, again = criterion_of(tmp_path), criterion_of(tmp_path)
    epoch_of(criterion, 0)
    criterion.refresh()
    places = criterion.ground_distance.data_ptr(), criterion.cost.data_ptr()
    first = criterion.ground_distance.clone()
    epoch_of(criterion, 1)
    criterion.refresh()
    assert (criterion.ground_distance.data_ptr(), criterion.cost.data_ptr()) == places
    assert not torch.equal(criterion.ground_distance, first)
    expected = ground_distance_from_centroids(criterion.centroids.centroids)
    assert torch.equal(criterion.ground_distance, expected.float())
    assert torch.equal(criterion.cost, (criterion.ground_distance.double() ** 2 - 0.25).float())
    state = criterion.state()
    assert state["ground_distance"].data_ptr() == places[0]  # a copy would be one K x K more
    again.load_state({name: tensor.clone() for name, tensor in state.items()})
    assert torch.equal(again.ground_distance, criterion.ground_distance)
    assert torch.equal(again.cost, criterion.cost)


def test_a_small_one_is_left_to_who_holds_it(tmp_path):
    criterion = criterion_of(tmp_path)
    epoch_of(criterion, 0)
    criterion.refresh()
    held = criterion.ground_distance, criterion.cost
    before = [tensor.clone() for tensor in held]
    epoch_of(criterion, 1)
    criterion.refresh()
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(held, before, strict=True))


def test_a_large_one_is_read_in_float32(monkeypatch, tmp_path):
    matrix = ground_distance_from_centroids(centroids_with(ties=False))
    save_file({"ground_distance": matrix}, tmp_path / "d.safetensors")
    np.save(tmp_path / "d.npy", matrix.numpy())
    (tmp_path / "rows.json").write_text(json.dumps(matrix.tolist()))
    monkeypatch.setattr(module, "MAX_CLASSES_IN_FLOAT64", K - 1)
    for name in ("d.safetensors", "d.npy", "rows.json"):
        read = read_ground_distance(tmp_path / name)
        assert read.dtype == torch.float32
        assert torch.equal(read, matrix.float())
    monkeypatch.setattr("squared_emd.ground_distance.saved.MAX_CLASSES_IN_CONFIG", K - 1)
    (tmp_path / "config.json").write_text(json.dumps({"ground_distance": "ground_distance.safetensors"}))
    write_ground_distance(matrix.float(), tmp_path, None, {})
    assert torch.equal(load_ground_distance(tmp_path), matrix.half().float())


def refresh_on_rank(rank, folder):
    dist.init_process_group("gloo")
    criterion = criterion_of(folder, ground_distance_update_steps=5)
    epoch_of(criterion, rank)
    own = criterion.centroids.class_sums.clone()
    assert own.dtype == torch.float64
    sent = {}
    for name, run in {
        "in the epoch": lambda: criterion.refresh(end_epoch=False),
        "at its end": criterion.refresh,
        "check": lambda: check_in_step(criterion),
    }.items():
        with torch.profiler.profile(record_shapes=True) as profile:
            run()
        calls = [event for event in profile.events() if event.name.startswith(("c10d::", "gloo:"))]
        sent[name] = [(event.name, event.input_shapes[0]) for event in calls]
        if name == "in the epoch":
            assert torch.equal(criterion.centroids.class_sums, own)  # those of this rank go on
    (folder / f"{rank}.json").write_text(json.dumps(sent))
    torch.save(criterion.ground_distance, folder / f"{rank}.pt")


def test_one_all_reduce_a_refresh(tmp_path):
    on_ranks(2, refresh_on_rank, tmp_path)
    matrices = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert torch.equal(*matrices)
    for rank in range(2):
        sent = json.loads((tmp_path / f"{rank}.json").read_text())
        # K x (d + 1) float64: 8 K (d + 1) bytes; c10d:: is the call, gloo: what it became
        one = [["c10d::allreduce_", []], ["gloo:all_reduce", [K, D + 1]]]
        assert sent["in the epoch"] == sent["at its end"] == one
        # the check that all ranks have the same D: 8 bytes each
        assert sent["check"] == [["c10d::allgather_", []], ["gloo:all_gather", [1]]]
