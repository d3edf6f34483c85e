"""Class centroids: against slow means, two processes against one, classes without a sample."""

import pytest
import torch
import torch.distributed as dist
from tests.errors import message_of
from tests.ranks import on_ranks

from squared_emd import ClassCentroids

K, D, N = 4, 6, 200


def samples():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, D, generator=generator), torch.randint(0, K, (N,), generator=generator)


def slow_centroids(features, shares):
    """The mean of f / ||f||_1 by class, a sample at a time in float64."""
    sums, counts = torch.zeros(K, D, dtype=torch.float64), torch.zeros(K, dtype=torch.float64)
    for f, row in zip(features.double(), shares.double(), strict=True):
        for k in range(K):
            sums[k] += row[k] * f / f.abs().sum()
            counts[k] += row[k]
    return sums / counts[:, None]


@pytest.mark.parametrize("kind", ["indices", "one-hot", "soft"])
def test_are_means_of_normalized_features(kind):
    features, labels = samples()
    soft = torch.rand(N, K, generator=torch.Generator().manual_seed(1)).softmax(-1)
    shares = soft if kind == "soft" else torch.eye(K)[labels]
    classes = ClassCentroids(K)
    classes.refresh()
    assert classes.centroids is None and not classes.known.any()
    for start in range(0, N, 32):
        rows = slice(start, start + 32)
        classes.update(features[rows], labels[rows] if kind == "indices" else shares[rows])
    classes.refresh()
    # float32 normalization of each sample, float64 sums
    torch.testing.assert_close(classes.centroids, slow_centroids(features, shares), rtol=1e-6, atol=1e-7)
    assert classes.known.all()


def test_negative_zero_and_half_precision_features():
    classes = ClassCentroids(2)
    classes.update(torch.tensor([[-2.0, 2.0], [0.0, 0.0]], dtype=torch.bfloat16), torch.arange(2))
    classes.refresh()
    assert classes.centroids.tolist() == [[-0.5, 0.5], [0.0, 0.0]]


def test_sums_do_not_drift():
    # 2^24 + 1 samples of 1 in float32 would stop counting at 2^24; here the counts are put there and go on.
    classes = ClassCentroids(1)
    classes.update(torch.ones(1, 1), torch.zeros(1, dtype=torch.long))
    classes.class_sums += 2.0**24
    classes.class_counts += 2.0**24
    classes.update(torch.ones(3, 1), torch.zeros(3, dtype=torch.long))
    assert classes.class_counts.item() == 2**24 + 4
    assert classes.class_sums.item() == 2**24 + 4


def test_class_without_a_sample():
    classes = ClassCentroids(3)
    classes.update(torch.tensor([[1.0, 1.0], [1.0, 3.0]]), torch.tensor([0, 1]))
    classes.refresh()
    assert classes.known.tolist() == [True, True, False]
    assert classes.centroids.tolist() == [[0.5, 0.5], [0.25, 0.75], [0, 0]]
    classes.update(torch.tensor([[3.0, 1.0]]), torch.tensor([2]))  # an epoch without classes 0 and 1
    classes.refresh()
    assert classes.known.all()
    assert classes.centroids.tolist() == [[0.5, 0.5], [0.25, 0.75], [0.75, 0.25]]


def test_samples_that_are_not_finite_are_left_out():
    classes = ClassCentroids(2)
    features = torch.tensor([[1.0, 1.0], [torch.nan, 1.0], [torch.inf, 1.0], [1.0, 3.0]])
    classes.update(features, torch.tensor([0, 0, 1, 1]))
    classes.update(features, torch.eye(2)[[0, 0, 1, 1]])
    classes.refresh()
    assert classes.centroids.tolist() == [[0.5, 0.5], [0.25, 0.75]]


def test_state_goes_on_where_it_was():
    features, labels = samples()
    one, other = ClassCentroids(K), ClassCentroids(K)
    one.update(features[:50], labels[:50])
    one.refresh()
    one.update(features[50:120], labels[50:120])
    other.load_state_dict(one.state_dict())
    for classes in (one, other):
        classes.update(features[120:], labels[120:])
        classes.refresh()
    assert (one.centroids == other.centroids).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.update(torch.zeros(2, 3, 1), torch.zeros(2)), "features must be (B, d), got shape (2, 3, 1)."),
        (
            lambda c: c.update(torch.zeros(2, 7), torch.eye(4)[:2]),
            "features must have 6 columns like those before, got 7.",
        ),
        (
            lambda c: c.update(torch.zeros(2, D), torch.arange(3)),
            "labels must be (2,) class indices or (2, 4) floating point distributions, got (3,) torch.int64.",
        ),
        (lambda c: ClassCentroids(0), "num_classes must be at least 1, got 0."),
        (
            lambda c: c.load_state_dict(ClassCentroids(5).state_dict()),
            "the saved centroids are of 5 classes, this run has 4.",
        ),
    ],
)
def test_errors(call, message):
    classes = ClassCentroids(K)
    classes.update(*samples())
    assert message_of(ValueError, call, classes) == message


def reduce_on_one_rank(rank, folder):
    dist.init_process_group("gloo")
    features, labels = samples()
    mine = labels.ne(3) if rank == 0 else labels.eq(3)  # a class that one rank alone has seen
    classes = ClassCentroids(K)
    classes.update(features[mine], labels[mine])
    classes.all_reduce()
    classes.refresh()
    torch.save(classes.centroids, f"{folder}/{rank}.pt")


def test_two_processes_are_one(tmp_path):
    on_ranks(2, reduce_on_one_rank, tmp_path)
    features, labels = samples()
    alone = ClassCentroids(K)
    alone.update(features, labels)
    alone.refresh()
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert (first == second).all()
    torch.testing.assert_close(first, alone.centroids, rtol=1e-12, atol=1e-15)
