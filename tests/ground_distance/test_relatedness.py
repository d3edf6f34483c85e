"""How related classes are: against the distances themselves, and against classes whose relation is known."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from squared_emd import EMDTrainingArguments, GroundDistanceCallback, raw_distances, sdd
from squared_emd.ground_distance.relatedness import (
    HARDLY_RELATED,
    are_hardly_related,
    distance_variation,
    note_on_relatedness,
)
from squared_emd.training.criterion import EMDCriterion


def relative_sdd(points):
    return float(sdd(raw_distances(torch.as_tensor(points, dtype=torch.float64)), relative=True))


def independent(num_classes, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(num_classes, dimensions))


class TestDistanceVariation:
    @pytest.mark.parametrize("num_classes", [2, 3, 8, 100])
    def test_is_that_of_the_pairs(self, num_classes):
        points = independent(num_classes, 3)
        pairs = pdist(points)
        assert distance_variation(relative_sdd(points), num_classes) == pytest.approx(pairs.std() / pairs.mean())

    @pytest.mark.parametrize("num_classes", [2, 8, 1000])
    def test_equidistant_classes_have_none(self, num_classes):
        # SDD of K (K - 1) ones and K zeros over 1 is sqrt(K - 1) / K
        relative = relative_sdd(np.eye(num_classes))
        assert relative == pytest.approx(np.sqrt(num_classes - 1) / num_classes)
        assert distance_variation(relative, num_classes) == pytest.approx(0, abs=1e-6)  # the root of a rounding error

    @pytest.mark.parametrize("num_classes", [3, 8, 500])
    def test_classes_in_a_line(self, num_classes):
        # mean (K + 1) / 3, mean square K (K + 1) / 6: the squared variation is (K - 2) / (2 K + 2)
        expected = np.sqrt((num_classes - 2) / (2 * num_classes + 2))
        assert distance_variation(relative_sdd(np.arange(num_classes)[:, None]), num_classes) == pytest.approx(expected)

    @pytest.mark.parametrize("dimensions", [64, 512])
    def test_independent_classes(self, dimensions):
        # the distance of two normal points in d dimensions is chi-distributed: its variation is near 1 / sqrt(2 d)
        variation = distance_variation(relative_sdd(independent(200, dimensions)), 200)
        assert variation == pytest.approx(1 / np.sqrt(2 * dimensions), rel=0.1)

    @pytest.mark.parametrize("num_classes", [0, 1])
    def test_without_a_pair(self, num_classes):
        assert distance_variation(0.0, num_classes) == 0


class TestHardlyRelated:
    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            (np.eye(8), True),
            (independent(100, 64), True),
            (independent(1000, 256), True),
            (np.arange(8)[:, None], False),
            (independent(100, 8), False),
            (np.repeat(3 * independent(10, 64), 10, axis=0) + independent(100, 64, seed=1), False),  # in ten groups
            (np.eye(2), False),  # no two distances to compare
            (np.eye(1), False),
            (np.eye(3), True),
        ],
    )
    def test_known_relations(self, points, expected):
        assert are_hardly_related(relative_sdd(points), len(points)) is expected

    # SDD over the mean distance of the runs in docs/adience.md and docs/imagenet.md
    @pytest.mark.parametrize(("relative", "num_classes"), [(0.469, 8), (0.497, 7), (0.619, 10), (0.318, 20)])
    def test_runs_on_drawings_are_related(self, relative, num_classes):
        assert not are_hardly_related(relative, num_classes)

    def test_the_scale_of_the_features_does_not_matter(self):
        points = independent(30, 200)
        assert are_hardly_related(relative_sdd(points), 30)
        assert are_hardly_related(relative_sdd(1e-4 * points), 30)


class TestNote:
    def test_says_what_was_found_and_what_to_do(self):
        # half of the distances 10 % shorter than the mean, half 10 % longer; a line has sqrt(10 / 26) = 62 %
        pairs = np.where(np.arange(66) % 2, 1.1, 0.9)
        relative = float(sdd(torch.tensor(squareform(pairs)), relative=True))
        note = note_on_relatedness(relative, 12, omega=2.0, mu=-0.25, regularizer_weight=3.46)
        assert note == (
            "SDD says that the 12 classes are hardly related: the distances between them differ by 10.0 % of their "
            "mean (as many classes in a line: 62 %; this note: below 15 %). D keeps only the ranks of the distances, "
            "and so makes large differences of these small ones. Do not expect more of the regulariser than of "
            "cross-entropy: on ImageNet, whose classes are hardly related, the paper saw neither gain nor harm "
            "(section 4.7). Compare with loss='xe' or a regularizer_weight below 3.46; an omega below 2 makes all "
            "other classes cost more alike; mu=-0.25 also rewards those that come out near, and one nearer to 0 "
            "rewards less. See docs/reading_d.md."
        )

    def test_says_nothing_of_a_reward_where_there_is_none(self):
        note = note_on_relatedness(relative_sdd(np.eye(9)), 9, omega=1.0, mu=0.0, regularizer_weight=1.0)
        assert re.search(r"an omega below 1 makes all other classes cost more alike\. See", note)

    def test_none_where_classes_are_related(self):
        assert HARDLY_RELATED < 0.577
        assert note_on_relatedness(0.633, 8, omega=1.0, mu=-0.5, regularizer_weight=1.0) is None


EQUIDISTANT, IN_A_LINE = torch.eye(8), torch.stack([torch.arange(8.0), 8 - torch.arange(8.0)], dim=1)


@pytest.mark.parametrize(("features", "notes"), [(EQUIDISTANT, 1), (IN_A_LINE, 0)])
def test_a_run_says_it_once_after_the_jump_start(tmp_path, caplog, features, notes):
    args = EMDTrainingArguments(str(tmp_path), jump_start_epochs=1, regularizer_weight=2.0, use_cpu=True)
    criterion = EMDCriterion(args, 8)
    callback = GroundDistanceCallback(criterion)
    state = SimpleNamespace(global_step=0, num_train_epochs=4, is_world_process_zero=True)
    control = SimpleNamespace(should_training_stop=False)
    callback.on_train_begin(args, state, control)
    said = []
    for _ in range(4):
        criterion.observe(features, torch.arange(8))
        callback.on_epoch_end(args, state, control)
        said.append(sum("hardly related" in message for message in caplog.messages))
    assert said == [notes] * 4
