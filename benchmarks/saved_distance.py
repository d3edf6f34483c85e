"""What half precision on disk does to D: `python benchmarks/saved_distance.py`.

D of more than 256 classes is saved in half precision. For features drawn around random class centroids this compares D
as it was learned with D as it is loaded again: entries, the loss of Eq. 16, its gradient, and the decisions of
`min_distance`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from squared_emd import decode, ground_distance_from_centroids, load_ground_distance, self_guided_loss
from squared_emd.ground_distance.saved import GROUND_DISTANCE_FILE, write_ground_distance

FEATURES = 64
SAMPLES = 2000


def compare(num_classes: int) -> list[str]:
    """One row of the table."""
    torch.manual_seed(num_classes)
    centroids = torch.rand(num_classes, FEATURES, dtype=torch.float64)
    learned = ground_distance_from_centroids(centroids / centroids.sum(1, keepdim=True))
    with tempfile.TemporaryDirectory() as folder:
        write_ground_distance(learned, folder, None, {})
        size = Path(folder, GROUND_DISTANCE_FILE).stat().st_size
        loaded = load_ground_distance(folder)
    logits = 3 * torch.randn(SAMPLES, num_classes)
    labels = torch.randint(num_classes, (SAMPLES,))
    losses, gradients, decisions = [], [], []
    for matrix in (learned, loaded):
        scores = logits.clone().requires_grad_()
        loss = self_guided_loss(scores, labels, matrix, weight=10.0, omega=2.0, mu=-0.25)
        (gradient,) = torch.autograd.grad(loss, scores)
        losses.append(loss.item())
        gradients.append(gradient)
        decisions.append(decode(logits.softmax(-1), "min_distance", ground_distance=matrix))
    return [
        f"{num_classes:,}",
        f"{size / 2**20:.1f}",
        f"{(learned - loaded).abs().max():.1e}",
        f"{abs(losses[1] / losses[0] - 1):.1e}",
        f"{(gradients[1] - gradients[0]).norm() / gradients[0].norm():.1e}",
        f"{(decisions[0] != decisions[1]).double().mean():.2%}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, nargs="+", default=[300, 1000, 4000])
    given = parser.parse_args()
    print("| K | MiB on disk | greatest change of an entry | of the loss | of the gradient | other decisions |")
    print("|--:|--:|--:|--:|--:|--:|")
    for num_classes in given.classes:
        print("| " + " | ".join(compare(num_classes)) + " |")


if __name__ == "__main__":
    main()
