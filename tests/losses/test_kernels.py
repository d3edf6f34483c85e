"""The losses that C code computes against the same in PyTorch's operations, in float64, which test_losses.py holds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import one_hot

from squared_emd import entropic_wasserstein_loss, exact_emd_loss, self_guided_loss, squared_emd_loss
from squared_emd.losses import self_guided_terms
from squared_emd.losses.kernels import kernels

pytestmark = pytest.mark.skipif(kernels() is None, reason="no C compiler here: PyTorch computes all losses")

B = 9
WIDTHS = [1, 2, 7, 8, 9, 15, 16, 17, 33, 511, 512, 513, 1100]  # around the lanes and the stretches of kernels.c


def squared(logits, labels, matrix, **how):
    return squared_emd_loss(logits, labels, **how)


def plain_emd(logits, labels, matrix, **how):
    return squared_emd_loss(logits, labels, p=1, **how)


def spaced(logits, labels, matrix, **how):
    return squared_emd_loss(logits, labels, spacing=torch.linspace(0.1, 3, logits.shape[1] - 1), **how)


def xemd1(logits, labels, matrix, **how):
    return self_guided_loss(logits, labels, matrix, weight=3.0, omega=1, mu=-0.5, **how)


def xemd2(logits, labels, matrix, **how):
    return self_guided_loss(logits, labels, matrix, weight=3.0, omega=2, mu=-0.25, **how)


def other_power(logits, labels, matrix, **how):
    return self_guided_loss(logits, labels, matrix, weight=3.0, omega=1.5, mu=0.1, eps=0, true_class_cost=0.7, **how)


def exact(logits, labels, matrix, **how):
    return exact_emd_loss(logits, labels, matrix, **how)


def entropic(logits, labels, matrix, **how):
    return entropic_wasserstein_loss(logits, labels, matrix, strength=10, **how)


LOSSES = [squared, plain_emd, spaced, xemd1, xemd2, other_power, exact, entropic]


def problem(num_classes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(num_classes)
    logits = 3 * torch.randn(B, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(num_classes, (B,), generator=generator)
    matrix = torch.rand(num_classes, num_classes, generator=generator, dtype=torch.float64)  # not symmetric
    return logits.to(dtype).requires_grad_(), labels, matrix.fill_diagonal_(0).to(dtype)


def value_and_gradient(loss, logits, *others, **how):
    value = loss(logits, *others, **how)
    (gradient,) = torch.autograd.grad(value, logits, torch.ones_like(value))
    return value.detach(), gradient


def assert_near(got, expected):
    # float32 carries 24 bits; sums of K terms may lose a few of them
    scale = expected.abs().max().clamp(min=1e-2)
    assert got.dtype == torch.float32
    assert (got.double() - expected).abs().max() <= 4e-6 * scale


def in_float64(loss, logits, labels, matrix, **how):
    labels = labels.double() if labels.is_floating_point() else labels
    return value_and_gradient(loss, logits.detach().double().requires_grad_(), labels, matrix.double(), **how)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", LOSSES)
def test_is_the_same_in_float64(loss, reduction):
    for num_classes in WIDTHS:
        given = problem(num_classes)
        got, expected = (f(loss, *given, reduction=reduction) for f in (value_and_gradient, in_float64))
        for part, other in zip(got, expected, strict=True):
            assert_near(part, other)


@pytest.mark.parametrize("loss", [squared, plain_emd, spaced])
def test_distributions(loss):
    for num_classes in WIDTHS:
        logits, labels, matrix = problem(num_classes)
        soft = (one_hot(labels, num_classes) + 0.5).softmax(1)
        for part, other in zip(
            value_and_gradient(loss, logits, soft, matrix), in_float64(loss, logits, soft, matrix), strict=True
        ):
            assert_near(part, other)


@pytest.mark.parametrize("loss", LOSSES)
def test_many_threads_give_the_same(loss):
    given = problem(2000)  # enough for more than one thread
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = value_and_gradient(loss, *given)
        torch.set_num_threads(3)
        together = value_and_gradient(loss, *given)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(*pair) for pair in zip(alone, together, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_that_lie_apart_and_a_matrix_by_columns(loss):
    logits, labels, matrix = problem(33)
    expected = value_and_gradient(loss, logits, labels, matrix)
    wide = torch.randn(B, 50)
    wide[:, 7:40] = logits.detach()
    apart = wide[:, 7:40].requires_grad_()
    for given in (matrix, matrix.T.contiguous().T, matrix.double(), matrix.double().T.contiguous().T):
        got = value_and_gradient(loss, apart, labels, given)
        assert all(torch.allclose(*pair, rtol=1e-6, atol=1e-7) for pair in zip(got, expected, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("slope", [1.0, -2.5])
def test_the_gradient_is_there_more_than_once(loss, slope):
    logits, labels, matrix = problem(17)
    value = loss(logits, labels, matrix)
    slope = torch.tensor(slope)
    first = torch.autograd.grad(value, logits, slope, retain_graph=True)[0]
    kept = first.clone()
    second = torch.autograd.grad(value, logits, slope)[0]
    assert torch.equal(first, kept)
    assert torch.equal(first, second)
    torch.testing.assert_close(first, slope * value_and_gradient(loss, logits, labels, matrix)[1])


@pytest.mark.parametrize("reduction", ["sum", "none"])
@pytest.mark.parametrize("loss", LOSSES)
def test_second_derivative(loss, reduction):
    given = problem(6)

    def second(logits, labels, matrix):
        value = loss(logits, labels, matrix, reduction=reduction)
        (gradient,) = torch.autograd.grad(value, logits, torch.ones_like(value), create_graph=True)
        return torch.autograd.grad((gradient * torch.arange(6.0)).sum(), logits)[0]

    expected = second(given[0].detach().double().requires_grad_(), given[1], given[2].double())
    assert_near(second(*given), expected)


def test_the_terms_may_have_slopes_of_their_own():
    logits, labels, matrix = problem(9)

    def weighted(logits, matrix):
        entropy, regularizer = self_guided_terms(logits, labels, matrix, weight=2.0, true_class_cost=0.3)
        weights = torch.arange(B, dtype=logits.dtype)
        return (entropy * weights).sum() + (regularizer * weights.square()).sum() + 2 * entropy.sum()

    (got,) = torch.autograd.grad(weighted(logits, matrix), logits)
    exactly = logits.detach().double().requires_grad_()
    assert_near(got, torch.autograd.grad(weighted(exactly, matrix.double()), exactly)[0])


@pytest.mark.parametrize("loss", [xemd1, xemd2, other_power])
def test_unknown_classes(loss):
    logits, labels, matrix = problem(9)
    matrix[4], matrix[:, 4] = 0, 0  # nothing is known of class 4
    matrix[2, 3] = matrix[3, 2] = 0  # two classes that coincide are known
    labels[:3] = torch.tensor([4, 2, 3])
    for given in (matrix, torch.zeros_like(matrix)):
        for part, other in zip(
            value_and_gradient(loss, logits, labels, given), in_float64(loss, logits, labels, given), strict=True
        ):
            assert_near(part, other)


@pytest.mark.parametrize("loss", [squared, spaced, xemd2, exact])
def test_extreme_logits(loss):
    logits, labels, matrix = problem(9)
    with torch.no_grad():
        logits[0, 3], logits[1, :], logits[2, 5] = 3e38, -3e38, -float("inf")
    assert labels[2] != 5
    for part, other in zip(
        value_and_gradient(loss, logits, labels, matrix), in_float64(loss, logits, labels, matrix), strict=True
    ):
        assert_near(part, other)


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_is_not_hidden(loss):
    logits, labels, matrix = problem(9)
    with torch.no_grad():
        logits[4, 2] = float("nan")
    value = loss(logits, labels, matrix, reduction="none")
    assert value.isnan().tolist() == [i == 4 for i in range(B)]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label", [-1, 9, -100])
def test_labels_out_of_range(loss, label):
    logits, labels, matrix = problem(9)
    labels[3] = label
    shown = f"{min(labels)} .. {max(labels)}"
    message = f"^labels must lie in 0 .. 8, the model's 9 classes; got {shown}.$"
    for given in (matrix, matrix.T.contiguous().T):
        with pytest.raises(ValueError, match=message):
            loss(logits, labels, given)


def test_rows_that_are_no_distributions():
    logits, _, matrix = problem(3)
    rows = torch.full((B, 3), 0.25)
    message = (
        "^each row of soft labels must be a distribution: no negative entry, sum 1; "
        r"got entries from 0\.25 and sums 0\.75 .. 0\.75\.$"
    )
    with pytest.raises(ValueError, match=message):
        squared(logits, rows, matrix)


@pytest.mark.parametrize("loss", LOSSES)
def test_keeps_the_logits_and_one_gradient(loss):
    logits, labels, matrix = problem(9)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.shape) or x, lambda x: x):
        value = loss(logits, labels, matrix)
    assert kept[:2] == [(B, 9), (B,)]  # and D, where it is read where it lies: it is checked for changes
    assert all(shape in ((B, 9), (9, 9), (8,)) for shape in kept[2:])
    assert value.grad_fn.gradient.shape == (B, 9)
    assert loss(logits.detach(), labels, matrix).grad_fn is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("loss", LOSSES)
def test_pytorchs_defaults_change_nothing(loss, dtype):
    given = problem(17)
    expected = value_and_gradient(loss, *given)
    try:
        torch.set_default_dtype(dtype)
        got = value_and_gradient(squared if loss is spaced else loss, *given)
    finally:
        torch.set_default_dtype(torch.float32)
    if loss is not spaced:
        assert all(torch.equal(*pair) for pair in zip(got, expected, strict=True))


def test_spacing_that_does_not_lie_together():
    logits, labels, _ = problem(9)
    gaps = torch.arange(16.0)[::2]
    assert torch.equal(
        squared_emd_loss(logits, labels, spacing=gaps), squared_emd_loss(logits, labels, spacing=gaps.clone())
    )
    ones = squared_emd_loss(logits, labels, spacing=torch.ones(1).expand(8))
    assert torch.equal(ones, squared_emd_loss(logits, labels))


def test_hooks_of_the_logits_run_once():
    logits, labels, _ = problem(9)
    seen = []
    logits.register_hook(lambda gradient: seen.append(1) or 2 * gradient)
    squared_emd_loss(logits, labels).backward(create_graph=True)
    expected = value_and_gradient(squared, problem(9)[0], labels, None)[1]
    assert seen == [1]
    torch.testing.assert_close(logits.grad.detach(), 2 * expected)
    logits.grad = None  # it holds its own graph


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_that_change_before_backward_are_noticed(loss):
    logits, labels, matrix = problem(9)
    value = loss(logits, labels, matrix)
    labels.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_of_gradients(loss):
    logits, labels, matrix = problem(5)
    values = loss(logits, labels, matrix, reduction="none")
    directions = torch.eye(B)
    (together,) = torch.autograd.grad(values, logits, directions, is_grads_batched=True, retain_graph=True)
    for row, direction in zip(together, directions, strict=True):
        (alone,) = torch.autograd.grad(values, logits, direction, retain_graph=True)
        torch.testing.assert_close(row, alone, rtol=1e-5, atol=1e-6)


def test_weights_of_samples_go_to_pytorch():
    logits, labels, matrix = problem(9)
    weights = torch.arange(B, dtype=torch.float32)
    got = self_guided_loss(logits, labels, matrix, weight=weights, omega=2, mu=-0.25, reduction="none")
    for i in range(B):
        one = self_guided_loss(logits, labels, matrix, weight=float(i), omega=2, mu=-0.25, reduction="none")
        torch.testing.assert_close(got[i], one[i])


def test_no_classes():
    with pytest.raises(ValueError, match=r"^logits must have at least one class, got shape \(2, 0\)\.$"):
        squared_emd_loss(torch.empty(2, 0), torch.empty(2, 0))


PROGRAM = """
import logging
import torch
from squared_emd import squared_emd_loss
from squared_emd.losses.kernels import kernels
logging.basicConfig(level=logging.INFO)
print(kernels() is None, squared_emd_loss(torch.zeros(1, 4), torch.tensor([0])).item())  # 9/16 + 4/16 + 1/16
"""


def run(**environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip(), done.stderr


def test_they_can_be_switched_off(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path), SQUARED_EMD_KERNELS="0") == ("True 0.875", "")
    assert list(tmp_path.iterdir()) == []


def test_they_are_compiled_once(tmp_path):
    assert run(XDG_CACHE_HOME=str(tmp_path)) == ("False 0.875", "")
    (library,) = tmp_path.rglob("*.so")
    made = library.stat().st_mtime_ns
    assert run(XDG_CACHE_HOME=str(tmp_path))[0] == "False 0.875"
    assert [path.stat().st_mtime_ns for path in tmp_path.rglob("*.so")] == [made]
    assert [path.name for path in library.parent.iterdir()] == [library.name]


def test_without_a_compiler_pytorch_does_it(tmp_path):
    out, log = run(XDG_CACHE_HOME=str(tmp_path), PATH=str(tmp_path), CC="")
    assert out == "True 0.875"
    assert "no C compiler" in log


def test_a_compiler_that_fails_is_no_error(tmp_path):
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    out, log = run(XDG_CACHE_HOME=str(tmp_path / "cache"), CC=str(compiler))
    assert out == "True 0.875"
    assert "kernels.c could not be compiled or loaded" in log
    assert list(Path(tmp_path, "cache").rglob("*.so")) == []


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "squared-emd").write_text("a file where the folder should be")
    out, log = run(XDG_CACHE_HOME=str(tmp_path))
    assert out == "True 0.875"
    assert "kernels.c could not be compiled or loaded" in log


def test_a_damaged_library_is_made_anew(tmp_path):
    run(XDG_CACHE_HOME=str(tmp_path))
    (library,) = tmp_path.rglob("*.so")
    library.write_bytes(b"")
    assert run(XDG_CACHE_HOME=str(tmp_path)) == ("False 0.875", "")
    assert library.stat().st_size > 0


def test_no_home_is_no_error(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    program = "from pathlib import Path\ndef home(): raise RuntimeError('no home')\nPath.home = home\n" + PROGRAM
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True 0.875"
