"""Every loss against a reference that shares no code with it: POT, SciPy, the equation in float64, a closed form."""

import math

import numpy as np
import ot
import pytest
import torch
from scipy.special import softmax
from scipy.stats import energy_distance
from torch.autograd import gradcheck, gradgradcheck

from squared_emd import entropic_wasserstein_loss, exact_emd_loss, self_guided_loss, squared_emd_loss
from squared_emd.losses import cross_entropy_loss, ground_distance_cost, regression_loss, self_guided_regularizer

B, K = 6, 5
SPACING = torch.tensor([4.0, 5.0, 0.5, 8.0], dtype=torch.float64)


@pytest.fixture
def logits():
    return torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def hard():
    return torch.tensor([0, 4, 2, 1, 3, 4])


@pytest.fixture
def soft():
    return torch.rand(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).pow(3).softmax(-1)


@pytest.fixture
def ground_distance():
    points = torch.rand(K, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return torch.cdist(points, points)


def one_hot(labels):
    return torch.eye(K, dtype=torch.float64)[labels]


def squared_emd_slowly(logits, targets, p=2, spacing=None):
    """Eq. 9 and 10 one addition at a time."""
    losses = []
    for row, target in zip(softmax(logits.numpy(), axis=1), targets.numpy(), strict=True):
        total, cdf_p, cdf_t = 0.0, 0.0, 0.0
        for i in range(K):
            cdf_p, cdf_t = cdf_p + row[i], cdf_t + target[i]
            gap = 1.0 if spacing is None else float(spacing[i]) if i < K - 1 else 0.0
            total += gap * abs(cdf_p - cdf_t) ** p
        losses.append(total)
    return torch.tensor(losses, dtype=torch.float64)


def self_guided_slowly(logits, targets, ground_distance, weight, omega, mu, eps, true_class_cost=None):
    """Eq. 16 one addition at a time; for a distribution its expectation over the true class."""
    losses = []
    for row, target in zip(softmax(logits.numpy(), axis=1), targets.numpy(), strict=True):
        total = 0.0
        for k in range(K):
            loss = -math.log(row[k] + eps)
            for i in range(K):
                if i == k and true_class_cost is not None:
                    loss += weight * true_class_cost * (1 - row[k]) ** 2
                else:
                    loss += weight * row[i] ** 2 * (float(ground_distance[i, k]) ** omega + mu)
            total += target[k] * loss
        losses.append(total)
    return torch.tensor(losses, dtype=torch.float64)


class TestSquaredEMD:
    @pytest.mark.parametrize("p", [1, 1.5, 2, 3])
    @pytest.mark.parametrize("spacing", [None, SPACING])
    def test_is_the_equation(self, logits, hard, soft, p, spacing):
        for labels, targets in ((hard, one_hot(hard)), (soft, soft)):
            got = squared_emd_loss(logits, labels, p=p, spacing=spacing, reduction="none")
            torch.testing.assert_close(got, squared_emd_slowly(logits, targets, p, spacing))

    def test_order_one_is_pots_emd_on_a_line(self, logits, soft):
        positions = np.concatenate([[0], SPACING.cumsum(0).numpy()])
        got = squared_emd_loss(logits, soft, p=1, spacing=SPACING, reduction="none")
        expected = [
            ot.emd2_1d(positions, positions, a, b, metric="cityblock")
            for a, b in zip(softmax(logits.numpy(), axis=1), soft.numpy(), strict=True)
        ]
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))

    @pytest.mark.parametrize("spacing", [torch.ones(K - 1, dtype=torch.float64), SPACING])
    def test_order_two_is_half_of_scipys_squared_energy_distance(self, logits, soft, spacing):
        positions = np.concatenate([[0], spacing.cumsum(0).numpy()])
        got = squared_emd_loss(logits, soft, spacing=spacing, reduction="none")
        expected = [
            energy_distance(positions, positions, a, b) ** 2 / 2
            for a, b in zip(softmax(logits.numpy(), axis=1), soft.numpy(), strict=True)
        ]
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))

    @pytest.mark.parametrize("p", [1, 1.5, 2, 3.5])
    def test_gradient_and_its_gradient(self, logits, hard, soft, p):
        logits = logits.requires_grad_()
        for labels in (hard, soft):

            def loss(logits, labels=labels):
                return squared_emd_loss(logits, labels, p=p, spacing=SPACING)

            assert gradcheck(loss, logits)
            assert gradgradcheck(loss, logits)

    def test_second_derivative_at_a_gap_of_zero(self):
        # exp(-800) is 0 in float64, so the first gap is exactly 0: abs(x)^1.5 has no second derivative there
        logits = torch.tensor([[-800.0, 0.0, 1.0]], dtype=torch.float64, requires_grad=True)
        loss = squared_emd_loss(logits, torch.tensor([1]), p=1.5)
        (gradient,) = torch.autograd.grad(loss, logits, create_graph=True)
        (second,) = torch.autograd.grad(gradient[0, 1], logits)
        assert gradient.isfinite().all()
        assert second.isfinite().all()
        assert second.any()

    def test_keeps_one_number_a_logit_for_backward(self, logits, hard):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape) or x, lambda x: x):
            squared_emd_loss(logits.requires_grad_(), hard, reduction="none")
        assert kept == [(B, K), (B,)]  # the probabilities and the labels

    def test_gradient_is_equation_11(self, logits, hard):
        # The paper's coefficients of p'_j, written as it prints them, through a full softmax Jacobian.
        logits = logits.requires_grad_()
        (got,) = torch.autograd.grad(squared_emd_loss(logits, hard, reduction="sum"), logits)
        for b in range(B):
            p = logits[b].detach().softmax(-1)
            d = p - one_hot(hard)[b]
            whole = sum((K - i) * d[i] for i in range(K))
            coefficients = torch.stack([2 * (whole - sum((j - i) * d[i] for i in range(j))) for j in range(K)])
            jacobian = p.diag() - p.outer(p)
            torch.testing.assert_close(got[b], jacobian @ coefficients)

    def test_zero_only_at_equality(self, soft):
        assert squared_emd_loss(soft.log(), soft) < 1e-30
        assert squared_emd_loss(soft.log() + 0.01 * torch.arange(K), soft) > 1e-6

    def test_reversal_of_the_classes_changes_nothing(self, logits, hard, soft):
        for labels, reversed_labels in ((hard, K - 1 - hard), (soft, soft.flip(-1))):
            torch.testing.assert_close(
                squared_emd_loss(logits.flip(-1), reversed_labels, spacing=SPACING.flip(0), reduction="none"),
                squared_emd_loss(logits, labels, spacing=SPACING, reduction="none"),
            )

    def test_shift_of_the_logits_changes_nothing(self, logits, hard):
        torch.testing.assert_close(squared_emd_loss(logits + 100, hard), squared_emd_loss(logits, hard))

    def test_is_linear_in_spacing(self, logits, hard):
        one, other = SPACING, SPACING.flip(0) + 1
        torch.testing.assert_close(
            squared_emd_loss(logits, hard, spacing=2 * one + 3 * other),
            2 * squared_emd_loss(logits, hard, spacing=one) + 3 * squared_emd_loss(logits, hard, spacing=other),
        )

    def test_worst_case(self):
        # All mass at the far end: K - 1 gaps of 1.
        logits = torch.full((1, K), -1e4)
        logits[0, -1] = 0
        assert squared_emd_loss(logits, torch.tensor([0])).item() == K - 1

    def test_torch_func_and_compile(self, logits, hard):
        (expected,) = torch.autograd.grad(squared_emd_loss(logits.requires_grad_(), hard), logits)
        torch.testing.assert_close(torch.func.grad(squared_emd_loss)(logits.detach(), hard), expected)


class TestExactEMD:
    def test_is_pots_emd(self, logits, hard, ground_distance):
        got = exact_emd_loss(logits, hard, ground_distance, reduction="none")
        expected = [
            ot.emd2(a, b, ground_distance.numpy())
            for a, b in zip(softmax(logits.numpy(), axis=1), one_hot(hard).numpy(), strict=True)
        ]
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))

    def test_reads_the_column_of_the_label(self, logits, hard):
        matrix = torch.rand(K, K, dtype=torch.float64, generator=torch.Generator().manual_seed(3))  # not symmetric
        p = logits.softmax(-1)
        expected = torch.stack([sum(p[b, i] * matrix[i, hard[b]] for i in range(K)) for b in range(B)])
        torch.testing.assert_close(exact_emd_loss(logits, hard, matrix, reduction="none"), expected)
        torch.testing.assert_close(exact_emd_loss(logits, one_hot(hard), matrix, reduction="none"), expected)

    def test_on_a_line_it_is_the_squared_emd_of_order_one(self, logits, hard):
        line = torch.arange(K, dtype=torch.float64)
        torch.testing.assert_close(
            exact_emd_loss(logits, hard, (line[:, None] - line).abs()), squared_emd_loss(logits, hard, p=1)
        )

    def test_gradient(self, logits, hard, soft, ground_distance):
        for labels in (hard, soft):
            assert gradcheck(
                lambda x, labels=labels: exact_emd_loss(x, labels, ground_distance), logits.requires_grad_()
            )


class TestSelfGuided:
    @pytest.mark.parametrize(("omega", "mu"), [(1, -0.5), (2, -0.25), (3, 0.1)])
    @pytest.mark.parametrize("true_class_cost", [None, 1.0])
    def test_is_the_equation(self, logits, hard, soft, ground_distance, omega, mu, true_class_cost):
        settings = {"weight": 1.7, "omega": omega, "mu": mu, "true_class_cost": true_class_cost}
        for labels, targets in ((hard, one_hot(hard)), (soft, soft)):
            got = self_guided_loss(logits, labels, ground_distance, **settings, reduction="none")
            expected = self_guided_slowly(logits, targets, ground_distance, eps=1e-6, **settings)
            torch.testing.assert_close(got, expected)

    def test_gradient(self, logits, hard, soft, ground_distance):
        logits = logits.requires_grad_()
        for labels in (hard, soft):
            for true_class_cost in (None, 1.0):

                def loss(logits, labels=labels, true_class_cost=true_class_cost):
                    return self_guided_loss(
                        logits,
                        labels,
                        ground_distance,
                        weight=2,
                        omega=2,
                        mu=-0.25,
                        true_class_cost=true_class_cost,
                    )

                assert gradcheck(loss, logits)

    def test_weight_zero_is_cross_entropy(self, logits, hard, ground_distance):
        got = self_guided_loss(logits, hard, ground_distance, weight=0, omega=2, mu=-0.25, eps=0)
        torch.testing.assert_close(got, torch.nn.functional.cross_entropy(logits, hard), rtol=0, atol=0)

    def test_eps_keeps_the_logarithm_finite(self, ground_distance):
        logits = torch.tensor([[0.0, -1e4, -1e4, -1e4, -1e4]])
        loss = cross_entropy_loss(logits, torch.tensor([3]), eps=1e-6)
        assert loss.item() == pytest.approx(-math.log(1e-6), rel=1e-6)

    def test_unknown_classes_cost_nothing(self, logits, ground_distance):
        known = torch.tensor([True, True, False, True, False])
        cost = ground_distance_cost(ground_distance, omega=1, mu=-0.5, known=known)
        assert self_guided_regularizer(logits, torch.full((B,), 2), cost) == 0
        p = logits.softmax(-1)
        expected = sum(p[:, i] ** 2 * (ground_distance[i, 0] - 0.5) for i in (0, 1, 3))
        got = self_guided_regularizer(logits, torch.zeros(B, dtype=torch.long), cost, reduction="none")
        torch.testing.assert_close(got, expected)


class TestCrossEntropyAndRegression:
    def test_cross_entropy_is_torchs(self, logits, hard, soft):
        for labels in (hard, soft):
            expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            torch.testing.assert_close(cross_entropy_loss(logits, labels, reduction="none"), expected, rtol=0, atol=0)

    def test_cross_entropy_with_eps(self, logits, hard, soft):
        logs = np.log(softmax(logits.numpy(), axis=1) + 1e-3)
        for labels, targets in ((hard, one_hot(hard)), (soft, soft)):
            expected = torch.from_numpy(-(targets.numpy() * logs).sum(1))
            torch.testing.assert_close(cross_entropy_loss(logits, labels, eps=1e-3, reduction="none"), expected)

    def test_regression(self, hard, soft):
        outputs = torch.linspace(-1, 5, B, dtype=torch.float64)
        expected = torch.tensor([(float(o) - int(k)) ** 2 for o, k in zip(outputs, hard, strict=True)])
        torch.testing.assert_close(regression_loss(outputs[:, None], hard, reduction="none"), expected.double())
        scores = torch.rand(B, dtype=torch.float64)
        torch.testing.assert_close(regression_loss(outputs, scores), ((outputs - scores) ** 2).mean())
        expected = [sum(soft[b, k] * (outputs[b] - k) ** 2 for k in range(K)) for b in range(B)]
        torch.testing.assert_close(regression_loss(outputs, soft, reduction="none"), torch.stack(expected))


def scaled_plainly(p, t, ground_distance, strength, iterations=100):
    """Algorithm 1 of Frogner et al. 2015 as printed, in float64: the loss and its gradient in p."""
    kernel = np.exp(-strength * ground_distance - 1)
    u = np.ones(K)
    for _ in range(iterations):
        u = p / (kernel @ (t / (kernel.T @ u)))
    plan = u[:, None] * kernel * (t / (kernel.T @ u))
    value = (plan * ground_distance).sum() + (plan[plan > 0] * np.log(plan[plan > 0])).sum() / strength
    return value, np.log(u) / strength - np.log(u).sum() / (strength * K)


@pytest.mark.parametrize("strength", [0.1, 1, 10])
class TestEntropicWasserstein:
    def test_is_a_hundred_plain_iterations(self, logits, hard, soft, ground_distance, strength):
        for labels, targets in ((hard, one_hot(hard)), (soft, soft)):
            x = logits.clone().requires_grad_()
            got = entropic_wasserstein_loss(x, labels, ground_distance, strength=strength, reduction="none")
            p = softmax(logits.numpy(), axis=1)
            rows = [
                scaled_plainly(*pair, ground_distance.numpy(), strength)
                for pair in zip(p, targets.numpy(), strict=True)
            ]
            torch.testing.assert_close(got.detach(), torch.tensor([value for value, _ in rows], dtype=torch.float64))
            slopes = np.stack([slope for _, slope in rows])
            expected = p * (slopes - (p * slopes).sum(1, keepdims=True))  # through the softmax
            torch.testing.assert_close(torch.autograd.grad(got.sum(), x)[0], torch.from_numpy(expected))

    def test_the_plan_is_pots(self, logits, soft, ground_distance, strength):
        got = entropic_wasserstein_loss(
            logits, soft, ground_distance, strength=strength, iterations=2000, reduction="none"
        )
        for p, t, value in zip(softmax(logits.numpy(), axis=1), soft.numpy(), got.numpy(), strict=True):
            plan = ot.sinkhorn(p, t, ground_distance.numpy(), reg=1 / strength, stopThr=1e-14, numItermax=10_000)
            cost = (plan * ground_distance.numpy()).sum()
            assert value == pytest.approx(cost + (plan * np.log(plan)).sum() / strength)

    def test_gradient(self, logits, hard, soft, ground_distance, strength):
        for labels in (hard, soft):

            def loss(x, labels=labels):
                return entropic_wasserstein_loss(x, labels, ground_distance, strength=strength, iterations=1000)

            assert gradcheck(loss, logits.clone().requires_grad_())

    def test_minimum_is_a_softmax_of_the_distances(self, hard, ground_distance, strength):
        best = (-strength * ground_distance.T[hard]).requires_grad_()
        loss = entropic_wasserstein_loss(best, hard, ground_distance, strength=strength)
        torch.testing.assert_close(torch.autograd.grad(loss, best)[0], torch.zeros_like(best))


def test_entropic_wasserstein_is_stable_where_plain_scaling_underflows(logits, hard, soft, ground_distance):
    far = 1000 * ground_distance.float()
    assert np.exp(-10 * far[far > 0].max().item()) == 0
    for labels in (hard, soft):
        x = logits.float().requires_grad_()
        loss = entropic_wasserstein_loss(x, labels, far, strength=10)
        assert loss.isfinite()
        assert torch.autograd.grad(loss, x)[0].isfinite().all()


ALL = [
    lambda x, y, d, **kw: squared_emd_loss(x, y, **kw),
    lambda x, y, d, **kw: squared_emd_loss(x, y, p=1, spacing=SPACING, **kw),
    lambda x, y, d, **kw: exact_emd_loss(x, y, d, **kw),
    lambda x, y, d, **kw: self_guided_loss(x, y, d, weight=2, omega=2, mu=-0.25, **kw),
    lambda x, y, d, **kw: cross_entropy_loss(x, y, **kw),
    lambda x, y, d, **kw: entropic_wasserstein_loss(x, y, d, strength=3, **kw),
]


@pytest.mark.parametrize("loss", ALL)
class TestEveryLoss:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_is_computed_in_float32(self, logits, hard, soft, ground_distance, loss, dtype):
        half = logits.to(dtype)
        for labels in (hard, soft):
            exact = half.float().requires_grad_()
            rounded = half.clone().requires_grad_()
            got, expected = (loss(x, labels, ground_distance) for x in (rounded, exact))
            assert got.dtype == torch.float32
            torch.testing.assert_close(got, expected, rtol=0, atol=0)
            got.backward()
            expected.backward()
            # the gradient is rounded once, when it is stored in the logits' type
            torch.testing.assert_close(rounded.grad, exact.grad.to(dtype), rtol=0, atol=0)

    def test_float32_is_near_float64(self, logits, hard, soft, ground_distance, loss):
        for labels in (hard, soft):
            got = loss(logits.float(), labels, ground_distance.float())
            # a few roundings of 6e-8 relative to terms of order 1
            torch.testing.assert_close(got.double(), loss(logits, labels, ground_distance), rtol=1e-6, atol=1e-6)

    def test_autocast_changes_nothing(self, logits, hard, soft, ground_distance, loss):
        for labels in (hard, soft):
            expected = loss(logits.float(), labels, ground_distance)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                got = loss(logits.float(), labels, ground_distance)
            torch.testing.assert_close(got, expected, rtol=0, atol=0)

    def test_reductions(self, logits, hard, ground_distance, loss):
        losses = loss(logits, hard, ground_distance, reduction="none")
        assert losses.shape == (B,)
        torch.testing.assert_close(loss(logits, hard, ground_distance, reduction="sum"), losses.sum())
        torch.testing.assert_close(loss(logits, hard, ground_distance), losses.mean())

    def test_one_hot_rows_are_the_index(self, logits, hard, ground_distance, loss):
        torch.testing.assert_close(
            loss(logits, hard, ground_distance, reduction="none"),
            loss(logits, one_hot(hard), ground_distance, reduction="none"),
        )

    def test_integer_labels_of_any_width(self, logits, hard, ground_distance, loss):
        torch.testing.assert_close(loss(logits, hard.int(), ground_distance), loss(logits, hard, ground_distance))

    def test_extreme_logits_stay_finite(self, hard, ground_distance, loss):
        logits = torch.full((B, K), -1e30)
        logits[:, 0] = 1e30
        logits.requires_grad_()
        # cross-entropy alone is as large as the logits; nothing is NaN
        value = loss(logits, hard, ground_distance)
        value.backward()
        assert not value.isnan()
        assert not logits.grad.isnan().any()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"logits": torch.zeros(B)}, "logits must be (B, K) floating point, got (6,) torch.float32."),
            (
                {"labels": torch.zeros(3, dtype=torch.long)},
                "labels must be (6,) class indices or (6, 5) floating point distributions, got (3,) torch.int64.",
            ),
            (
                {"labels": torch.tensor([0, 1, 2, 3, 4, 5])},
                "labels must lie in 0 .. 4, the model's 5 classes; got 0 .. 5.",
            ),
            (
                {"labels": torch.tensor([0, 1, 2, 3, 4, -100])},
                "labels must lie in 0 .. 4, the model's 5 classes; got -100 .. 4.",
            ),
            (
                {"labels": torch.ones(B, K)},
                "each row of soft labels must be a distribution: no negative entry, sum 1; "
                "got entries from 1 and sums 5 .. 5.",
            ),
            ({"reduction": "avg"}, 'reduction must be "mean", "sum" or "none", got \'avg\'.'),
            (
                {"logits": torch.zeros(0, K), "labels": torch.zeros(0, dtype=torch.long)},
                "the batch is empty: a loss needs at least one sample.",
            ),
        ],
    )
    def test_errors(self, logits, hard, ground_distance, loss, change, message):
        arguments = {"logits": logits, "labels": hard, "reduction": "mean"} | change
        with pytest.raises(ValueError) as error:
            loss(arguments["logits"], arguments["labels"], ground_distance, reduction=arguments["reduction"])
        assert str(error.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x, y: squared_emd_loss(x, y, p=0.5),
            "p must be at least 1 and finite, got 0.5. Use p=2 for Eq. 10 or p=1 for the plain EMD.",
        ),
        (
            lambda x, y: squared_emd_loss(x, y, p=float("nan")),
            "p must be at least 1 and finite, got nan. Use p=2 for Eq. 10 or p=1 for the plain EMD.",
        ),
        (
            lambda x, y: squared_emd_loss(x, y, spacing=torch.ones(K)),
            "spacing must hold the K-1 = 4 gaps between neighbouring classes, got shape (5,).",
        ),
        (
            lambda x, y: squared_emd_loss(x, y, spacing=[1, -1, 2, 3]),
            "spacing must be finite and not negative, got [1.0, -1.0, 2.0, 3.0].",
        ),
        (
            lambda x, y: exact_emd_loss(x, y, torch.zeros(4, 4)),
            "the ground distance must be (K, K) = (5, 5) like the logits' classes, got shape (4, 4).",
        ),
        (
            lambda x, y: entropic_wasserstein_loss(x, y, torch.zeros(K, K), strength=0),
            "strength must be greater than 0 and finite, got 0. The paper tries 0.1, 1 and 10.",
        ),
        (
            lambda x, y: entropic_wasserstein_loss(x, y, torch.zeros(K, K), strength=1, iterations=0),
            "iterations must be at least 1, got 0. Frogner et al. and the paper take 100.",
        ),
        (
            lambda x, y: regression_loss(x, y),
            "regression needs one output per sample, (B,) or (B, 1), got shape (6, 5). "
            "Load the model with num_labels=1.",
        ),
        (
            lambda x, y: regression_loss(x[:, :1], y[:2]),
            "labels must be (6,) indices or scores, or (6, K) distributions, got shape (2,).",
        ),
    ],
)
def test_errors_of_one_loss(logits, hard, call, message):
    with pytest.raises(ValueError) as error:
        call(logits, hard)
    assert str(error.value) == message


def test_compiled_losses_equal_eager_ones(logits, hard, soft, ground_distance):
    def all_losses(logits, hard, soft, ground_distance):
        return sum(loss(logits, labels, ground_distance) for loss in ALL for labels in (hard, soft))

    compiled = torch.compile(all_losses, fullgraph=True)
    (expected,) = torch.autograd.grad(all_losses(logits.requires_grad_(), hard, soft, ground_distance), logits)
    (got,) = torch.autograd.grad(compiled(logits, hard, soft, ground_distance), logits)
    torch.testing.assert_close(got, expected)


def test_a_class_that_was_never_seen_costs_nothing(logits):
    matrix = torch.rand(K, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = (matrix + matrix.T).fill_diagonal_(0)
    matrix[3] = matrix[:, 3] = 0
    seen = [0, 1, 2, 4]
    got = self_guided_loss(logits, torch.full((B,), 4), matrix, weight=1, omega=2, mu=-0.25, reduction="none")
    p = softmax(logits.numpy(), axis=1)
    cost = matrix.numpy()[seen][:, 4] ** 2 - 0.25
    expected = -np.log(p[:, 4] + 1e-6) + (p[:, seen] ** 2 * cost).sum(1)
    torch.testing.assert_close(got, torch.tensor(expected))
