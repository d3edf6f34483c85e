"""The pictures of the pages of losses: what a wrong prediction costs, and where each loss pushes.

python docs/draw_losses.py [FOLDER]        FOLDER: docs/images by default
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib
import torch
from PIL import Image
from torch import Tensor

import squared_emd
from squared_emd.losses import cross_entropy_loss, regression_loss

matplotlib.use("Agg")
from matplotlib import pyplot as plt

NUM_CLASSES = 8
TRUE_CLASS = 2
RIGHT = 0.4  # the mass on the true class; the rest lies on one other class
LOGGED = 1e-9  # in place of 0, for logits
PREDICTION = torch.tensor([0.02, 0.03, 0.30, 0.25, 0.05, 0.05, 0.05, 0.25])  # a near and a far mistake
DISTANCES = squared_emd.ground_distance_from_centroids(torch.arange(NUM_CLASSES)[:, None].double())  # Eq. 2, 12, 13
LINE = squared_emd.ground_distance_from_positions(torch.arange(NUM_CLASSES))
LINE *= NUM_CLASSES * (NUM_CLASSES - 1) / LINE.sum()  # of mean 1, as in the loss xemd
LABEL = torch.tensor([TRUE_CLASS])
INK, RED, BLUE, GRAY = "#303845", "#c0392b", "#2f5d9b", "#9aa3ad"

WEIGHT = 6.0  # of the energy distance, the default of the loss xemd
LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "cross_entropy": lambda logits: cross_entropy_loss(logits, LABEL),
    "energy_distance": lambda logits: (
        cross_entropy_loss(logits, LABEL) + WEIGHT * squared_emd.energy_distance_loss(logits, LABEL, LINE)
    ),
    "squared_emd": lambda logits: squared_emd.squared_emd_loss(logits, LABEL),
    "self_guided": lambda logits: squared_emd.self_guided_loss(
        logits, LABEL, DISTANCES, weight=1.0, omega=2.0, mu=-0.25
    ),
    "entropic_wasserstein": lambda logits: squared_emd.entropic_wasserstein_loss(
        logits, LABEL, DISTANCES, strength=10.0
    ),
    "exact_emd": lambda logits: squared_emd.exact_emd_loss(logits, LABEL, DISTANCES),
}
TITLES = {
    "cross_entropy": "cross-entropy",
    "energy_distance": "XEMD, classes on a line",
    "regression": "squared error of one output",
    "squared_emd": "squared EMD (Eq. 10)",
    "self_guided": "self-guided, XEMD2, λ = 1 (Eq. 16)",
    "entropic_wasserstein": "entropic Wasserstein, strength 10",
    "exact_emd": "exact EMD under D (Eq. 14)",
}


def by_wrong_class(loss: Callable[[Tensor], Tensor]) -> list[float]:
    """The loss where all of the wrong mass lies on one class, for each class but the true one; there: all is right.

    Args:
        loss: from (1, K) logits to a scalar.

    Returns:
        K numbers.
    """
    values = []
    for wrong in range(NUM_CLASSES):
        probabilities = torch.full((NUM_CLASSES,), LOGGED, dtype=torch.float64)
        probabilities[wrong] += 1 - RIGHT
        probabilities[TRUE_CLASS] += RIGHT
        values.append(loss((probabilities / probabilities.sum()).log()[None]).item())
    return values


def push(loss: Callable[[Tensor], Tensor]) -> list[float]:
    """Minus the gradient in the logits at `PREDICTION`: where gradient descent moves each of the K logits."""
    logits = PREDICTION.double().log()[None].requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits), logits)
    return (-gradient[0]).tolist()


def by_output() -> list[float]:
    """REG's loss where its one output is each of the K class indices."""
    outputs = torch.arange(NUM_CLASSES).double()
    return regression_loss(outputs, LABEL.expand(NUM_CLASSES), reduction="none").tolist()


def push_of_regression() -> list[float]:
    """Minus REG's gradient in its one output, at each of the K class indices."""
    outputs = torch.arange(NUM_CLASSES).double().requires_grad_()
    (gradient,) = torch.autograd.grad(regression_loss(outputs, LABEL.expand(NUM_CLASSES), reduction="sum"), outputs)
    return (-gradient).tolist()


def draw_all(folder: Path) -> list[Path]:
    """Draw a picture for each loss, and one that compares them.

    Args:
        folder: made where it is not there.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    style = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.color": INK}
    with plt.rc_context(style):
        files = [_draw(folder, name, by_wrong_class(loss), push(loss)) for name, loss in LOSSES.items()]
        files.append(_draw(folder, "regression", by_output(), push_of_regression()))
        files.append(_compare(folder))
    return files


def _draw(folder: Path, name: str, values: list[float], pushes: list[float]) -> Path:
    is_regression = name == "regression"
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1), layout="constrained")
    if not is_regression and name != "cross_entropy":
        others = [value for k, value in enumerate(by_wrong_class(LOSSES["cross_entropy"])) if k != TRUE_CLASS]
        left.plot(_other_classes(), others, color=GRAY, linestyle="--", label="cross-entropy")
    classes = range(NUM_CLASSES) if is_regression else _other_classes()
    left.plot(classes, [values[k] for k in classes], "o-", color=BLUE, label=TITLES[name])
    left.axvline(TRUE_CLASS, color=RED, linewidth=1, linestyle=":")
    left.annotate("truth", (TRUE_CLASS, 1), (3, -4), xycoords=("data", "axes fraction"), textcoords="offset points",
                  va="top", fontsize=8.5, color=RED)  # fmt: skip
    left.set_xlabel("the output" if is_regression else f"class that has the other {1 - RIGHT:.0%}")
    left.set_ylabel("loss")
    left.set_ylim(min(0, *left.get_ylim()), left.get_ylim()[1] * 1.2)
    left.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=2, fontsize=9)

    right.bar(range(NUM_CLASSES), pushes, color=[RED if k == TRUE_CLASS else BLUE for k in range(NUM_CLASSES)])
    right.axhline(0, color=INK, linewidth=0.8)
    right.set_xlabel("the output" if is_regression else "class")
    right.set_ylabel("push on the output" if is_regression else "push on its logit")
    if not is_regression:
        for k, mass in enumerate(PREDICTION.tolist()):
            right.annotate(f"{mass:.2f}", (k, 1.05), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
        right.annotate("p", (-0.07, 1.05), xycoords="axes fraction", fontsize=8, style="italic")
    for axes in (left, right):
        axes.set_xticks(range(NUM_CLASSES))
    return _save(figure, folder / f"loss_{name}.png")


def _compare(folder: Path) -> Path:
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    curves = {name: by_wrong_class(loss) for name, loss in LOSSES.items()} | {"regression": by_output()}
    styles = {
        "cross_entropy": (GRAY, "--"), "regression": ("#8e44ad", ":"), "squared_emd": (BLUE, "-"),
        "self_guided": (RED, "-"), "exact_emd": ("#d08a1d", "-."),
    }  # fmt: skip
    beyond = range(TRUE_CLASS + 1, NUM_CLASSES)
    for name, (color, line) in styles.items():
        near, far = curves[name][TRUE_CLASS + 1], curves[name][-1]
        share = [0.0 if name == "cross_entropy" else (curves[name][k] - near) / (far - near) for k in beyond]
        label = TITLES[name] + ", and XEMD" * (name == "squared_emd")  # Both are straight.
        axes.plot([k - TRUE_CLASS for k in beyond], share, color=color, linestyle=line, marker=".", label=label)
    axes.set_xticks([k - TRUE_CLASS for k in beyond])
    axes.set_xlabel("how many classes off the mistake is")
    axes.set_ylabel("its cost beyond a neighbor's,\nas a share of the farthest")
    axes.legend(frameon=False, fontsize=8)
    return _save(figure, folder / "losses_compared.png")


def _other_classes() -> list[int]:
    return [k for k in range(NUM_CLASSES) if k != TRUE_CLASS]


def _save(figure: plt.Figure, path: Path) -> Path:
    drawn = BytesIO()
    figure.savefig(drawn, dpi=130)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(48).save(path, optimize=True)  # a third of the bytes
    return path


if __name__ == "__main__":
    for file in draw_all(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images"):
        print(file)
