"""Chooses a learning rate for each loss on the drawn faces, on validation data cut from the training folds.

    python benchmarks/learning_rates.py --losses xe emd --exponents -2 -2.5 --seeds 0 1

Every run is `recipes/adience.py --validate`: the test fold is never looked at. The rate with the least mean absolute
error is marked. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "adience.py"


def run(loss: str, exponent: float, seed: int, others: list[str], folder: Path) -> dict:
    """The results of one validation run."""
    output = folder / f"{loss}_{exponent}_{seed}"
    command = [sys.executable, RECIPE, "--validate", "--loss", loss, "--learning_rate", 10**exponent, "--seed", seed]
    command += ["--seeds", 1, "--num_faces", 1500, "--num_train_epochs", 30, "--output_dir", output, *others]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    (results,) = output.glob("*/*/fold_*/seed_*/all_results.json")
    result = json.loads(results.read_text())
    print(
        loss,
        exponent,
        seed,
        {key: round(result[f"eval_{key}"], 4) for key in ("aem", "aeo", "mae", "squared_emd")},
        file=sys.stderr,
        flush=True,
    )
    return result


def main() -> None:
    """Run the grid and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=["xe", "reg", "emd", "xemd1", "xemd2"])
    parser.add_argument("--exponents", nargs="+", type=float, default=[-1.5, -2, -2.5, -3], help="powers of ten")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=2)
    args, others = parser.parse_known_args()
    grid = list(product(args.losses, args.exponents, args.seeds))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(args.jobs) as pool:
        results = pool.map(lambda point: run(*point, others, Path(folder)), grid)
        by_point = dict(zip(grid, results, strict=True))
    print("| loss | rate | AEM % | AEO % | MAE | EMD2 | chosen |\n|---|---|---|---|---|---|---|")
    for loss in args.losses:
        means = {
            exponent: np.mean(
                [
                    [by_point[loss, exponent, seed][f"eval_{key}"] for key in ("aem", "aeo", "mae", "squared_emd")]
                    for seed in args.seeds
                ],
                axis=0,
            )
            for exponent in args.exponents
        }
        best = min(means, key=lambda exponent: means[exponent][2])
        for exponent, (aem, aeo, mae, emd) in means.items():
            mark = "x" if exponent == best else ""
            print(f"| {loss} | 10^{exponent:g} | {100 * aem:.1f} | {100 * aeo:.1f} | {mae:.3f} | {emd:.3f} | {mark} |")


if __name__ == "__main__":
    main()
