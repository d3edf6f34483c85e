"""Every loss against a reference that shares no code with it: POT, SciPy, or the equation in float64."""

import math
from contextlib import nullcontext

import networkx as nx
import numpy as np
import ot
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize, minimize_scalar
from scipy.special import softmax, xlogy
from scipy.stats import energy_distance
from tests.errors import message_of
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jvp, vmap

from squared_emd import (
    LabelTree,
    circular_emd_loss,
    energy_distance_loss,
    entropic_wasserstein_loss,
    exact_emd_loss,
    self_guided_loss,
    squared_emd_loss,
    tree_emd_loss,
)
from squared_emd.losses import cross_entropy_loss, ground_distance_cost, regression_loss, self_guided_regularizer

B, K = 6, 5
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(B, K, dtype=torch.float64, generator=GENERATOR) * 2
HARD = torch.tensor([0, 4, 2, 1, 3, 4])
SOFT = torch.rand(B, K, dtype=torch.float64, generator=GENERATOR).pow(3).softmax(-1)
BOTH = (HARD, SOFT)
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 3.0, 0.0, 2.0], dtype=torch.float64)
SPACING = torch.tensor([4.0, 5.0, 0.5, 8.0], dtype=torch.float64)
POSITIONS = np.array([0, 4, 9, 9.5, 17.5])
LINE = torch.from_numpy(abs(np.subtract.outer(POSITIONS, POSITIONS)))
CIRCLE = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5], dtype=torch.float64)
# Not symmetric, so that a row in place of a column is noticed.
DISTANCE = torch.rand(K, K, dtype=torch.float64, generator=GENERATOR).fill_diagonal_(0)
POINTS = torch.randn(K, 3, dtype=torch.float64, generator=GENERATOR)
EUCLIDEAN = (POINTS[:, None] - POINTS).square().sum(-1).sqrt()
TREE = LabelTree.from_nested({"food": {"fruit": ["apple", "pear"], "bread": 2.5}, "tools": ["saw"], "gift": 0.5})
EDGES = [([0, 1, 2], 1), ([0, 1], 1), ([0], 1), ([1], 1), ([2], 2.5), ([3], 1), ([3], 1), ([4], 0.5)]  # classes below
PATHS = np.array(
    [[0, 2, 4.5, 5, 3.5], [2, 0, 4.5, 5, 3.5], [4.5, 4.5, 0, 5.5, 4], [5, 5, 5.5, 0, 2.5], [3.5, 3.5, 4, 2.5, 0]]
)


LABELS_OF_SHAPE = "labels must be (6,) class indices or (6, 5) floating point distributions, got "
LABELS_IN_RANGE = "labels must lie in 0 .. 4, the model's 5 classes; got "
NO_WEIGHTS = "must be finite, not negative and not all 0, got {}."


def one_hot(labels):
    return F.one_hot(labels, K).double() if labels.dim() == 1 else labels


def squared_emd(p, t, order=2, spacing=(1, 1, 1, 1)):
    """Eq. 9 and 10, one addition at a time; the gap after the last class is 0."""
    total, cdf_p, cdf_t = 0.0, 0.0, 0.0
    for i in range(K - 1):
        cdf_p, cdf_t = cdf_p + p[i], cdf_t + t[i]
        total += float(spacing[i]) * abs(cdf_p - cdf_t) ** order
    return total


def circle_paths():
    graph = nx.cycle_graph(K)
    for k in range(K):
        graph.edges[k, (k + 1) % K]["weight"] = float(CIRCLE[k])
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph))
    return np.array([[lengths[i][j] for j in range(K)] for i in range(K)])


def quadratic_energy_distance(p, t):
    """Székely & Rizzo 2013, one product at a time."""
    total = 0.0
    for i in range(K):
        for j in range(K):
            total += (p[i] * t[j] - p[i] * p[j] / 2 - t[i] * t[j] / 2) * float(EUCLIDEAN[i, j])
    return total


def squared_circular_emd(p, t):
    flows = np.cumsum(p - t)
    return minimize_scalar(lambda m: CIRCLE.numpy() @ (flows - m) ** 2, (-1, 1)).fun


def self_guided(p, t, weight, omega, mu, true_class_cost=None):
    """Eq. 16, one addition at a time; for a distribution its expectation over the true class."""
    total = 0.0
    for k in range(K):
        loss = -math.log(p[k] + 1e-6)
        for i in range(K):
            if i == k and true_class_cost is not None:
                loss += weight * true_class_cost * (1 - p[k]) ** 2
            else:
                loss += weight * p[i] ** 2 * (float(DISTANCE[i, k]) ** omega + mu)
        total += t[k] * loss
    return total


def frogner(p, t, strength=3.0):
    """Algorithm 1 of Frogner et al. 2015 as printed."""
    kernel = np.exp(-strength * DISTANCE.numpy() - 1)
    u = np.ones(K)
    for _ in range(100):
        u = p / (kernel @ (t / (kernel.T @ u)))
    plan = u[:, None] * kernel * (t / (kernel.T @ u))
    return (plan * DISTANCE.numpy()).sum() + (plan[plan > 0] * np.log(plan[plan > 0])).sum() / strength


XEMD1 = {"weight": 1.7, "omega": 1, "mu": -0.5}
XEMD2 = {"weight": 3.0, "omega": 2, "mu": -0.25, "true_class_cost": 0.7}

# name -> (loss of logits and labels, reference for one sample of probabilities p and target t)
CASES = {
    "squared EMD": (squared_emd_loss, squared_emd),
    "squared EMD, energy distance": (
        lambda x, y, **kw: squared_emd_loss(x, y, spacing=SPACING, **kw),
        lambda p, t: energy_distance(POSITIONS, POSITIONS, p, t) ** 2 / 2,
    ),
    "EMD on a line": (
        lambda x, y, **kw: squared_emd_loss(x, y, p=1, spacing=SPACING, **kw),
        lambda p, t: ot.emd2_1d(POSITIONS, POSITIONS, p, t, metric="cityblock"),
    ),
    "order 1.5": (
        lambda x, y, **kw: squared_emd_loss(x, y, p=1.5, spacing=SPACING, **kw),
        lambda p, t: squared_emd(p, t, 1.5, SPACING),
    ),
    "order 3": (lambda x, y, **kw: squared_emd_loss(x, y, p=3, **kw), lambda p, t: squared_emd(p, t, 3)),
    "circle": (
        lambda x, y, **kw: circular_emd_loss(x, y, p=1, spacing=CIRCLE, **kw),
        lambda p, t: ot.emd2(p, t, circle_paths()),
    ),
    "squared circle": (lambda x, y, **kw: circular_emd_loss(x, y, spacing=CIRCLE, **kw), squared_circular_emd),
    "tree": (lambda x, y, **kw: tree_emd_loss(x, y, TREE, p=1, **kw), lambda p, t: ot.emd2(p, t, PATHS)),
    "squared tree": (
        lambda x, y, **kw: tree_emd_loss(x, y, TREE, **kw),
        lambda p, t: sum(length * (p[below] - t[below]).sum() ** 2 for below, length in EDGES),
    ),
    "energy distance": (
        lambda x, y, **kw: energy_distance_loss(x, y, EUCLIDEAN.to(x.device), **kw),
        quadratic_energy_distance,
    ),
    "energy distance on a line": (
        lambda x, y, **kw: energy_distance_loss(x, y, LINE.to(x.device), **kw),
        lambda p, t: squared_emd(p, t, spacing=SPACING),
    ),
    "energy distance in a tree": (
        lambda x, y, **kw: energy_distance_loss(x, y, torch.from_numpy(PATHS).to(x.device), **kw),
        lambda p, t: sum(length * (p[below] - t[below]).sum() ** 2 for below, length in EDGES),
    ),
    "energy distance of equal classes, half the Brier score": (
        lambda x, y, **kw: energy_distance_loss(x, y, 1 - torch.eye(K, dtype=torch.float64, device=x.device), **kw),
        lambda p, t: ((p - t) ** 2).sum() / 2,
    ),
    "exact EMD": (
        lambda x, y, **kw: exact_emd_loss(x, y, DISTANCE.to(x.device), **kw),
        lambda p, t: sum(p[i] * float(DISTANCE[i, k]) * t[k] for i in range(K) for k in range(K)),
    ),
    "XEMD1": (
        lambda x, y, **kw: self_guided_loss(x, y, DISTANCE.to(x.device), **XEMD1, **kw),
        lambda p, t: self_guided(p, t, **XEMD1),
    ),
    "XEMD2 with a true class cost": (
        lambda x, y, **kw: self_guided_loss(x, y, DISTANCE.to(x.device), **XEMD2, **kw),
        lambda p, t: self_guided(p, t, **XEMD2),
    ),
    "entropic Wasserstein": (
        lambda x, y, **kw: entropic_wasserstein_loss(x, y, DISTANCE.to(x.device), strength=3, **kw),
        frogner,
    ),
    "cross-entropy": (cross_entropy_loss, lambda p, t: -xlogy(t, p).sum()),
    "cross-entropy with eps": (
        lambda x, y, **kw: cross_entropy_loss(x, y, eps=1e-3, **kw),
        lambda p, t: -(t * np.log(p + 1e-3)).sum(),
    ),
}
LOSSES = {name: loss for name, (loss, _) in CASES.items()}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


class TestEveryLoss:
    @pytest.mark.parametrize(("loss", "reference"), CASES.values(), ids=CASES)
    def test_value_is_that_of_the_reference(self, loss, reference):
        for labels in BOTH:
            rows = zip(softmax(LOGITS.numpy(), axis=1), one_hot(labels).numpy(), strict=True)
            expected = torch.tensor([reference(p, t) for p, t in rows], dtype=torch.float64)
            torch.testing.assert_close(loss(LOGITS, labels, reduction="none"), expected, rtol=1e-7, atol=1e-9)

    @every_loss
    def test_derivatives_are_finite_differences(self, loss):
        logits = LOGITS[:2].clone().requires_grad_()
        for labels in BOTH:
            assert gradcheck(lambda x, labels=labels: loss(x, labels[:2]), logits)
            assert gradgradcheck(lambda x, labels=labels: loss(x, labels[:2]), logits)

    @every_loss
    def test_function_transforms_agree_with_backward(self, loss):
        for labels in BOTH:
            logits = LOGITS.clone().requires_grad_()
            (expected,) = torch.autograd.grad(loss(logits, labels, reduction="sum"), logits)
            torch.testing.assert_close(grad(loss)(LOGITS, labels) * B, expected)
            of_samples = vmap(grad(lambda x, y: loss(x[None], y[None])))(LOGITS, labels)
            torch.testing.assert_close(of_samples, expected)
            direction = torch.linspace(-1, 2, B * K, dtype=torch.float64).reshape(B, K)
            _, change = jvp(lambda x, y=labels: loss(x, y, reduction="sum"), (LOGITS,), (direction,))
            torch.testing.assert_close(change, (expected * direction).sum())
            of_one = hessian(lambda x, y=labels[:1]: loss(x, y))(LOGITS[:1])
            by_backward = torch.autograd.functional.hessian(lambda x, y=labels[:1]: loss(x, y), LOGITS[:1])
            torch.testing.assert_close(of_one, by_backward)

    @every_loss
    def test_reductions_and_class_weights(self, loss):
        for labels in BOTH:
            losses = loss(LOGITS, labels, reduction="none")
            assert losses.shape == (B,)
            torch.testing.assert_close(loss(LOGITS, labels, reduction="sum"), losses.sum())
            torch.testing.assert_close(loss(LOGITS, labels), losses.mean())
            weights = sum(one_hot(labels)[:, k] * float(CLASS_WEIGHTS[k]) for k in range(K))
            of = {
                kind: loss(LOGITS, labels, class_weights=CLASS_WEIGHTS, reduction=kind)
                for kind in ("none", "sum", "mean")
            }
            torch.testing.assert_close(of["none"], weights * losses)
            torch.testing.assert_close(of["sum"], (weights * losses).sum())
            torch.testing.assert_close(of["mean"], (weights * losses).sum() / weights.sum())
        assert loss(LOGITS[:1], HARD[:1], class_weights=1 - F.one_hot(HARD[0], K)) == 0  # no weight in the batch

    @every_loss
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_is_computed_in_float32(self, loss, dtype):
        for labels in BOTH:
            exact = LOGITS.to(dtype).float().requires_grad_()
            rounded = LOGITS.to(dtype).requires_grad_()
            got, expected = loss(rounded, labels), loss(exact, labels)
            assert got.dtype == torch.float32
            torch.testing.assert_close(got, expected, rtol=0, atol=0)
            got.backward()
            expected.backward()
            # The gradient is rounded once, when it is stored in the type of the logits.
            torch.testing.assert_close(rounded.grad, exact.grad.to(dtype), rtol=0, atol=0)

    @every_loss
    def test_float32_is_near_float64_and_autocast_changes_nothing(self, loss):
        for labels in BOTH:
            got = loss(LOGITS.float(), labels)
            # a few roundings of 6e-8 relative to terms of order 1
            torch.testing.assert_close(got.double(), loss(LOGITS, labels), rtol=1e-6, atol=2e-6)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                torch.testing.assert_close(loss(LOGITS.float(), labels), got, rtol=0, atol=0)

    @every_loss
    def test_a_one_hot_row_is_its_index_of_any_integer_type(self, loss):
        expected = loss(LOGITS, HARD, reduction="none")
        torch.testing.assert_close(loss(LOGITS, one_hot(HARD), reduction="none"), expected)
        torch.testing.assert_close(loss(LOGITS, HARD.int(), reduction="none"), expected)

    @every_loss
    def test_extreme_logits_give_no_nan(self, loss):
        logits = torch.full((B, K), -1e30)
        logits[:, 0] = 1e30
        for labels in BOTH:
            logits.requires_grad_().grad = None
            value = loss(logits, labels)
            value.backward()
            assert not value.isnan()
            assert not logits.grad.isnan().any()

    @pytest.mark.parametrize(("loss", "reference"), CASES.values(), ids=CASES)
    def test_a_masked_class_has_no_mass_and_no_gradient(self, loss, reference):
        masked = F.one_hot((HARD + 1) % K, K).bool()
        soft = SOFT.masked_fill(masked, 0)
        for labels in (HARD, soft / soft.sum(1, keepdim=True)):
            for mask in (-math.inf, torch.finfo(torch.float64).min):
                logits = LOGITS.masked_fill(masked, mask).requires_grad_()
                losses = loss(logits, labels, reduction="none")
                rows = zip(softmax(logits.detach().numpy(), axis=1), one_hot(labels).numpy(), strict=True)
                expected = torch.tensor([reference(p, t) for p, t in rows], dtype=torch.float64)
                torch.testing.assert_close(losses, expected, rtol=1e-7, atol=1e-9)
                (got,) = torch.autograd.grad(losses.sum(), logits)
                assert (got[masked] == 0).all()
                torch.testing.assert_close(vmap(grad(lambda x, y: loss(x[None], y[None])))(logits, labels), got)
            x, t = LOGITS[0].masked_fill(masked[0], -math.inf).numpy(), one_hot(labels)[0].numpy()
            for k in (~masked[0]).nonzero().flatten().tolist():
                step = 1e-6 * np.eye(K)[k]
                slope = (reference(softmax(x + step), t) - reference(softmax(x - step), t)) / 2e-6
                assert float(got[0, k]) == pytest.approx(slope, rel=1e-4, abs=1e-6)

    @every_loss
    def test_what_is_no_distribution_stays_nan(self, loss):
        for wrong in (torch.tensor([math.nan, 0, 0, 0, 0]), torch.tensor([math.inf, 0, 0, 0, 0]),
                      torch.full((K,), -math.inf)):  # fmt: skip
            for labels in BOTH:
                logits = LOGITS.clone()
                logits[1] = wrong
                losses = loss(logits.requires_grad_(), labels, reduction="none")
                assert losses.isnan().tolist() == [False, True, False, False, False, False]
                (got,) = torch.autograd.grad(losses.sum(), logits)
                assert got.isnan().any(1).tolist() == [False, True, False, False, False, False]

    @every_loss
    def test_no_value_is_read_on_a_device(self, monkeypatch, loss):
        """Tensors on the device "meta" have no values: reading one, which synchronizes a GPU, raises an error."""
        monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())  # "meta" has none
        for labels in BOTH:
            logits = LOGITS.to("meta").requires_grad_()
            loss(logits, labels.to("meta"), class_weights=CLASS_WEIGHTS.to("meta")).backward()
            assert logits.grad.shape == (B, K)

    @every_loss
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"logits": torch.zeros(B)}, "logits must be (B, K) floating point, got (6,) torch.float32."),
            (
                {"logits": torch.zeros(0, K), "labels": torch.zeros(0, dtype=torch.long)},
                "the batch is empty: a loss needs at least one sample.",
            ),
            ({"labels": torch.arange(3)}, LABELS_OF_SHAPE + "(3,) torch.int64."),
            (
                {"labels": HARD.double()},
                LABELS_OF_SHAPE + "(6,) torch.float64. Cast class indices to integers, as by "
                'dataset.cast_column("label", Value("int64")); real-valued scores are for the loss reg.',
            ),
            (
                {"labels": HARD[:, None]},
                LABELS_OF_SHAPE + "(6, 1) torch.int64. Give one row of labels: labels.squeeze(1).",
            ),
            (
                {"labels": F.one_hot(HARD)},
                LABELS_OF_SHAPE + "(6, 5) torch.int64. Give shares as floating point: labels.float().",
            ),
            (
                {"labels": HARD + 1},
                LABELS_IN_RANGE
                + "1 .. 5. If the labels count from 1, subtract 1; otherwise give the model num_labels=6.",
            ),
            (
                {"labels": HARD * 2},
                LABELS_IN_RANGE + "0 .. 8. Give the model num_labels=9, or leave out what is no class.",
            ),
            ({"labels": HARD - 101}, LABELS_IN_RANGE + "-101 .. -97. Leave out samples without a label."),
            (
                {"labels": torch.ones(B, K)},
                "each row of soft labels must be a distribution: no negative entry, sum 1; "
                "got entries from 1 and sums 5 .. 5.",
            ),
            ({"reduction": "avg"}, 'reduction must be "mean", "sum" or "none", got \'avg\'.'),
            ({"class_weights": torch.ones(2, 2)}, "class_weights must be (5,), one a class, got shape (2, 2)."),
            ({"class_weights": -CLASS_WEIGHTS}, "class_weights " + NO_WEIGHTS.format([-0.5, -1.0, -3.0, -0.0, -2.0])),
            ({"class_weights": CLASS_WEIGHTS * math.nan}, "class_weights " + NO_WEIGHTS.format([math.nan] * K)),
            ({"class_weights": CLASS_WEIGHTS * 0}, "class_weights " + NO_WEIGHTS.format([0.0] * K)),
        ],
    )
    def test_errors(self, loss, change, message):
        arguments = {"logits": LOGITS, "labels": HARD} | change
        assert message_of(ValueError, loss, arguments.pop("logits"), arguments.pop("labels"), **arguments) == message


COMPILED = ["squared EMD", "XEMD2 with a true class cost"]


@pytest.mark.parametrize("names", [COMPILED, pytest.param([*set(CASES) - set(COMPILED)], marks=pytest.mark.slow)])
def test_compiled_losses_equal_eager_ones(names):
    def total(logits, hard, soft):
        return sum(LOSSES[name](logits, labels) for name in names for labels in (hard, soft))

    logits = LOGITS.clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(logits, HARD, SOFT), logits)
    (got,) = torch.autograd.grad(torch.compile(total, fullgraph=True)(logits, HARD, SOFT), logits)
    torch.testing.assert_close(got, expected)


class TestSquaredEMD:
    def test_gradient_is_equation_11(self):
        # The paper's coefficients of p'_j, written as it prints them, through the Jacobian of the softmax.
        logits = LOGITS.clone().requires_grad_()
        (got,) = torch.autograd.grad(squared_emd_loss(logits, HARD, reduction="sum"), logits)
        for b in range(B):
            p = LOGITS[b].softmax(-1)
            d = p - one_hot(HARD)[b]
            whole = sum((K - i) * d[i] for i in range(K))
            coefficients = torch.stack([2 * (whole - sum((j - i) * d[i] for i in range(j))) for j in range(K)])
            torch.testing.assert_close(got[b], (p.diag() - p.outer(p)) @ coefficients)

    def test_second_derivative_at_a_gap_of_zero_is_finite(self):
        # exp(-800) is 0 in float64, so the first gap is exactly 0: abs(x)^1.5 has no second derivative there.
        logits = torch.tensor([[-800.0, 0.0, 1.0]], dtype=torch.float64)
        second = hessian(lambda x: squared_emd_loss(x, torch.tensor([1]), p=1.5))(logits)
        assert second.isfinite().all()
        assert second.any()


class TestEnergyDistance:
    def test_expected_loss_is_least_at_the_true_distribution(self):
        """A proper scoring rule: no optimizer finds a prediction better than the distribution that labels come from."""
        true = torch.tensor([0.1, 0.3, 0.05, 0.35, 0.2], dtype=torch.float64)

        def expected_loss(logits):
            return true @ energy_distance_loss(logits.expand(K, K), torch.arange(K), EUCLIDEAN, reduction="none")

        def as_numpy(x):
            logits = torch.tensor(x, dtype=torch.float64, requires_grad=True)
            loss = expected_loss(logits)
            loss.backward()
            return loss.item(), logits.grad.numpy()

        least, gradient = as_numpy(true.log().numpy())
        np.testing.assert_allclose(gradient, 0, atol=1e-15)
        found = minimize(as_numpy, LOGITS[0].numpy(), jac=True, tol=1e-12)
        assert found.fun >= least - 1e-12
        np.testing.assert_allclose(softmax(found.x), true, atol=1e-5)


class TestOtherGeometries:
    @pytest.mark.parametrize("num_classes", [1, 2, 12])
    def test_circle_of_equal_gaps_is_that_of_pot(self, num_classes):
        logits = torch.randn(2, num_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(num_classes))
        labels = torch.tensor([0, num_classes - 1])
        places = np.arange(num_classes)[:, None] / num_classes  # POT's circle has length 1
        rows = zip(logits.softmax(-1).numpy(), F.one_hot(labels, num_classes).double().numpy(), strict=True)
        expected = [
            num_classes * ot.wasserstein_circle(places, places, p[:, None], t[:, None], p=1)[0] for p, t in rows
        ]
        np.testing.assert_allclose(circular_emd_loss(logits, labels, p=1, reduction="none"), expected, atol=1e-9)

    def test_tree_seen_in_inference_can_be_trained_on(self):
        tree = LabelTree.from_nested({"a": ["x", "y"], "b": ["z", "u", "v"]})
        with torch.inference_mode():
            expected = float(tree_emd_loss(LOGITS, HARD, tree))
        loss = tree_emd_loss(LOGITS.clone().requires_grad_(), HARD, tree)
        loss.backward()
        assert loss.item() == pytest.approx(expected)

    def test_long_chain_is_the_squared_emd_and_takes_no_k_by_k(self):
        num_classes = 20_000  # K x K float32 would be 1.6 GB
        chain = LabelTree.from_parents(range(-1, num_classes - 1), class_names=range(num_classes))
        logits = torch.randn(2, num_classes, generator=torch.Generator().manual_seed(0))
        labels = torch.tensor([5, 12_345])
        got, expected = tree_emd_loss(logits, labels, chain), squared_emd_loss(logits, labels)
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-2)


class TestSelfGuided:
    def test_eps_keeps_the_logarithm_finite(self):
        logits = torch.tensor([[0.0, -1e4, -1e4, -1e4, -1e4]])
        loss = cross_entropy_loss(logits, torch.tensor([3]), eps=1e-6)
        assert loss.item() == pytest.approx(-math.log(1e-6), rel=1e-6)

    def test_regularizer_under_a_cost_is_that_of_the_loss(self):
        cost = ground_distance_cost(DISTANCE, omega=2, mu=-0.25)
        for labels in BOTH:
            got = self_guided_regularizer(LOGITS, labels, cost, true_class_cost=0.7, reduction="none")
            losses = self_guided_loss(LOGITS, labels, DISTANCE, **XEMD2, reduction="none")
            entropy = cross_entropy_loss(LOGITS, labels, eps=1e-6, reduction="none")
            torch.testing.assert_close(entropy + 3 * got, losses)

    def test_classes_that_were_never_seen_cost_nothing(self):
        matrix = DISTANCE.clone()
        matrix[3] = matrix[:, 3] = 0
        seen = [0, 1, 2, 4]
        got = self_guided_loss(LOGITS, torch.full((B,), 4), matrix, weight=1, omega=2, mu=-0.25, reduction="none")
        p = softmax(LOGITS.numpy(), axis=1)
        cost = matrix.numpy()[seen][:, 4] ** 2 - 0.25
        expected = -np.log(p[:, 4] + 1e-6) + (p[:, seen] ** 2 * cost).sum(1)
        torch.testing.assert_close(got, torch.tensor(expected))
        known = torch.arange(K) != 3
        cost = ground_distance_cost(DISTANCE, omega=2, mu=-0.25, known=known)
        assert torch.equal(cost, ground_distance_cost(matrix, omega=2, mu=-0.25))
        assert self_guided_regularizer(LOGITS, torch.full((B,), 3), cost) == 0

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
    def test_cost_is_written_in_place(self, dtype):
        matrix, known = DISTANCE.to(dtype), torch.arange(K) != 1
        out = torch.full((K, K), 7.0)
        assert ground_distance_cost(matrix, omega=2, mu=-0.25, known=known, out=out) is out
        expected = ground_distance_cost(matrix.double(), omega=2, mu=-0.25, known=known)
        assert torch.equal(out, expected.float())


@pytest.mark.parametrize("strength", [0.1, 1, 10])
class TestEntropicWasserstein:
    def test_plan_is_that_of_pot(self, strength):
        got = entropic_wasserstein_loss(LOGITS, SOFT, DISTANCE, strength=strength, iterations=2000, reduction="none")
        for p, t, value in zip(softmax(LOGITS.numpy(), axis=1), SOFT.numpy(), got.numpy(), strict=True):
            plan = ot.sinkhorn(p, t, DISTANCE.numpy(), reg=1 / strength, stopThr=1e-14, numItermax=10_000)
            assert value == pytest.approx((plan * DISTANCE.numpy()).sum() + (plan * np.log(plan)).sum() / strength)

    def test_minimum_is_a_softmax_of_the_distances(self, strength):
        best = -strength * DISTANCE.T[HARD]
        gradient = grad(lambda x: entropic_wasserstein_loss(x, HARD, DISTANCE, strength=strength))(best)
        torch.testing.assert_close(gradient, torch.zeros_like(best))

    def test_is_finite_where_plain_scaling_underflows(self, strength):
        far = 10_000 * DISTANCE.float()
        assert np.exp(-strength * far.max().item()) == 0
        for labels in BOTH:
            logits = LOGITS.float().requires_grad_()
            loss = entropic_wasserstein_loss(logits, labels, far, strength=strength)
            loss.backward()
            assert loss.isfinite()
            assert logits.grad.isfinite().all()


def test_regression_by_hand():
    outputs = torch.linspace(-1, 5, B, dtype=torch.float64)
    expected = [(float(o) - int(k)) ** 2 for o, k in zip(outputs, HARD, strict=True)]
    assert regression_loss(outputs[:, None], HARD, reduction="none").tolist() == pytest.approx(expected)
    assert regression_loss(outputs, HARD[:, None], reduction="none").tolist() == pytest.approx(expected)
    scores = torch.rand(B, dtype=torch.float64)
    torch.testing.assert_close(regression_loss(outputs, scores), ((outputs - scores) ** 2).mean())
    expected = [sum(SOFT[b, k] * (outputs[b] - k) ** 2 for k in range(K)) for b in range(B)]
    torch.testing.assert_close(regression_loss(outputs, SOFT, reduction="none"), torch.stack(expected))


ORDER = "p must be at least 1 and finite, got {}. Use p=2 for Eq. 10 or p=1 for the plain EMD."
STRENGTH = "strength must be greater than 0 and finite, got {}. The paper tries 0.1, 1 and 10."
ERRORS = [
    (lambda: squared_emd_loss(LOGITS, HARD, p=0.5), ORDER.format(0.5)),
    (lambda: squared_emd_loss(LOGITS, HARD, p=math.nan), ORDER.format("nan")),
    (lambda: tree_emd_loss(LOGITS, HARD, TREE, p=0.5), ORDER.format(0.5)),
    (
        lambda: squared_emd_loss(LOGITS, HARD, spacing=torch.ones(K)),
        "spacing must be (4,), the K-1 gaps between neighboring classes, got shape (5,).",
    ),
    *(
        (lambda gaps=gaps: squared_emd_loss(LOGITS, HARD, spacing=gaps), "spacing " + NO_WEIGHTS.format(gaps))
        for gaps in ([1.0, -1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0])
    ),
    (lambda: circular_emd_loss(LOGITS, HARD, p=3), "p must be 1 (the EMD) or 2 (the squared EMD), got 3."),
    (
        lambda: circular_emd_loss(LOGITS, HARD, spacing=torch.ones(2)),
        "spacing must be (5,), the K gaps between neighbors on the circle, the last one from the last class to the "
        "first, got shape (2,).",
    ),
    (
        lambda: circular_emd_loss(LOGITS, HARD, spacing=torch.zeros(K)),
        "spacing " + NO_WEIGHTS.format([0.0] * K),
    ),
    (
        lambda: tree_emd_loss(LOGITS, HARD, LabelTree.from_nested(["a", "b"])),
        "the label tree must have the 5 classes of the logits, it has 2.",
    ),
    (
        lambda: exact_emd_loss(LOGITS, HARD, torch.zeros(4, 4)),
        "the ground distance must be (K, K) = (5, 5) like the logits' classes, got shape (4, 4).",
    ),
    *(
        (
            lambda strength=strength: entropic_wasserstein_loss(LOGITS, HARD, DISTANCE, strength=strength),
            STRENGTH.format(strength),
        )
        for strength in (0, math.nan)
    ),
    (
        lambda: entropic_wasserstein_loss(LOGITS, HARD, DISTANCE, strength=1, iterations=0),
        "iterations must be at least 1, got 0. Frogner et al. and the paper take 100.",
    ),
    *(
        (
            lambda name=name, value=value: self_guided_loss(LOGITS, HARD, DISTANCE, **(XEMD2 | {name: value})),
            f"{name} must be {required}finite, got {value}.",
        )
        for name, required, values in (
            ("weight", "at least 0 and ", (-1, math.nan, torch.tensor(math.inf))),
            ("omega", "greater than 0 and ", (0, math.nan, math.inf)),
            ("mu", "", (math.nan, -math.inf)),
            ("true_class_cost", "at least 0 and ", (-1, math.nan, math.inf)),
            ("eps", "at least 0 and ", (-1e-6, math.nan, math.inf)),
        )
        for value in values
    ),
    (lambda: cross_entropy_loss(LOGITS, HARD, eps=math.nan), "eps must be at least 0 and finite, got nan."),
    (
        lambda: self_guided_regularizer(LOGITS, HARD, DISTANCE, true_class_cost=math.nan),
        "true_class_cost must be at least 0 and finite, got nan.",
    ),
    (
        lambda: ground_distance_cost(DISTANCE, omega=2, mu=math.inf, out=torch.empty(K, K)),
        "mu must be finite, got inf.",
    ),
    (
        lambda: regression_loss(LOGITS[:, :1], torch.tensor([0.0, 1.0, math.nan, 2.0, math.inf, 1.0])),
        "labels must be finite, got nan. Leave out samples without a label.",
    ),
    (
        lambda: regression_loss(LOGITS, HARD),
        "regression needs one output per sample, (B,) or (B, 1), got shape (6, 5). Load the model with num_labels=1.",
    ),
    (
        lambda: regression_loss(LOGITS[:, :1], HARD[:2]),
        "labels must be (6,) indices or scores, or (6, K) distributions, got shape (2,).",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS, ids=range(len(ERRORS)))
def test_errors_of_one_loss(call, message):
    assert message_of(ValueError, call) == message
