"""Compares ways to treat rare classes, on drawn faces that have Adience's proportions of age groups.

    python benchmarks/imbalance.py                       # about an hour on two cores
    python benchmarks/imbalance.py --num_faces 300 --epochs 3 --seeds 1 --losses emd     # a look

Each run is `recipes/adience.py` with one of the options below; the recipe's own learning rates, which were chosen
without any of them, serve all. Training and test have the proportions of Adience: 2519, 2163, 2132, 1655, 4950, 2300,
830 and 875 images of 17,424. "Recall of the rarest" is the share of the rarest class that is found; "balanced"
averages over the classes, each of the same weight. The faces are drawn: the figures compare ways, and say nothing of
Adience.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from side_by_side import hardware

from squared_emd.metrics import accuracy_per_class, macro_mean_absolute_error, mean_absolute_error, within

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "adience.py"
WAYS = {
    "nothing": [],
    "class_weights balanced": ["--class_weights", "balanced"],
    "class_weights effective:0.99": ["--class_weights", "effective:0.99"],
    "balanced_sampling": ["--balanced_sampling", "True"],
}


def figures(confusion: list[list[int]]) -> list[float]:
    """AEM, balanced AEM, MAE, balanced MAE and the recall of the rarest class; rows of the matrix are the truth."""
    counts = np.array(confusion)
    true, predicted = (index.ravel() for index in np.indices(counts.shape))
    weights = counts.ravel()
    recalls = accuracy_per_class(predicted, true, sample_weight=weights)
    return [
        100 * within(predicted, true, sample_weight=weights),
        100 * float(np.mean(list(recalls.values()))),
        mean_absolute_error(predicted, true, sample_weight=weights),
        macro_mean_absolute_error(predicted, true, sample_weight=weights),
        100 * recalls[int(counts.sum(1).argmin())],
    ]


def main() -> None:
    """Run all, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", default="xe,emd,xemd2")
    parser.add_argument("--num_faces", default="1500")
    parser.add_argument("--epochs", default="20")
    parser.add_argument("--seeds", default="2")
    args = parser.parse_args()
    print(hardware())
    rows = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for number, (way, options) in enumerate(WAYS.items()):
            output = Path(folder, str(number))
            words = ["--loss", args.losses, "--num_faces", args.num_faces, "--num_train_epochs", args.epochs]
            words += ["--seeds", args.seeds, "--output_dir", str(output), "--disable_tqdm", "True", *options]
            subprocess.run([sys.executable, str(RECIPE), *words], check=True, stdout=subprocess.DEVNULL)
            for path in sorted(output.rglob("all_results.json")):
                results = json.loads(path.read_text())
                rows[results["loss"], way].append(figures(results["confusion_matrix"]))
    print(f"{args.num_faces} faces, {args.epochs} epochs, mean of {args.seeds} seeds\n")
    print("| loss | way | AEM % | balanced AEM % | MAE | balanced MAE | recall of the rarest % |")
    print("|---|---|---|---|---|---|---|")
    for loss in args.losses.split(","):
        for way in WAYS:
            aem, balanced_aem, mae, balanced_mae, rarest = np.mean(rows[loss, way], axis=0)
            print(
                f"| {loss} | {way} | {aem:.1f} | {balanced_aem:.1f} | {mae:.3f} | {balanced_mae:.3f} | {rarest:.0f} |"
            )


if __name__ == "__main__":
    main()
