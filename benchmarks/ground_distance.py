"""What a refresh of D costs: `python benchmarks/ground_distance.py`; with `--all` also 21,841 classes, some minutes.

Prints the steps of a refresh at 1,000 classes, beside D by `torch.cdist`, `sort` and `searchsorted`; its cost by the
number of classes; and with `--all` time and peak memory at 21,841 classes, in a process of its own.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from side_by_side import hardware, shown, take_turns
from torch import Tensor

from squared_emd import ClassCentroids, EMDTrainingArguments, percentile_ranks, raw_distances
from squared_emd.ground_distance.learned import ground_distance_and_sdd
from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.losses import ground_distance_cost
from squared_emd.training.callbacks import digest_of
from squared_emd.training.criterion import EMDCriterion

D = 2048


def as_it_reads(centroids: Tensor) -> Tensor:
    """D by the equations, each one call of PyTorch."""
    distances = torch.cdist(centroids, centroids, compute_mode="use_mm_for_euclid_dist")
    distances = ((distances + distances.T) / 2).fill_diagonal_(0)
    ranks = torch.searchsorted(distances.sort(dim=1).values, distances).double() / len(distances)
    return (ranks + ranks.T) / 2


def filled(num_classes: int, feature_dim: int) -> ClassCentroids:
    """Sums of an epoch with a sample of random features in each class."""
    classes = ClassCentroids(num_classes)
    generator = torch.Generator().manual_seed(0)
    for labels in torch.arange(num_classes).split(1000):
        classes.update(torch.rand(len(labels), feature_dim, generator=generator), labels)
    return classes


def steps(num_classes: int, repeats: int) -> list[str]:
    """The rows of the table of steps."""
    classes = filled(num_classes, D)
    classes.refresh(reset=False)
    centroids, known = classes.centroids, classes.known
    distances = raw_distances(centroids)
    matrix, _, _ = ground_distance_and_sdd(centroids)

    def cost() -> Tensor:
        out = torch.empty(num_classes, num_classes)
        return ground_distance_cost(matrix, omega=2.0, mu=-0.25, known=known, out=out)

    def whole() -> None:
        classes.refresh(reset=False)
        ground_distance_and_sdd(classes.centroids, known=classes.known)
        cost()

    ways: dict[str, Callable[[], object]] = {
        "sums to centroids": lambda: classes.refresh(reset=False),
        "centroids to distances": lambda: raw_distances(centroids),
        "distances to ranks": lambda: percentile_ranks(distances),
        "centroids to D and SDD": lambda: ground_distance_and_sdd(centroids, known=known),
        "D to its cost": cost,
        "**the whole refresh**": whole,
        "D alone, as the equations read": lambda: as_it_reads(centroids),
    }
    seconds = take_turns(ways, repeats)
    base = seconds["**the whole refresh**"]
    return [f"| {name} | {1000 * statistics.median(of):.1f} | {shown(of, base)} |" for name, of in seconds.items()]


def by_classes(num_classes: int, feature_dim: int) -> str:
    """A row of the table of sizes: best of 3, of 2 for the largest."""
    centroids = torch.rand(num_classes, feature_dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    distances = torch.rand(num_classes, num_classes, dtype=torch.float64)

    def best_of(run: Callable[[], object]) -> float:
        taken = []
        for _ in range(2 if num_classes > 4000 else 3):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        return min(taken)

    ranking = best_of(lambda: percentile_ranks(distances))
    whole = best_of(lambda: ground_distance_and_sdd(centroids))
    unit = num_classes**2 * math.log2(num_classes)
    return (
        f"| {num_classes} | {feature_dim} | {whole:.3g} | {ranking:.3g} | {1e9 * ranking / unit:.2f} | "
        f"{1e9 * (whole - ranking) / (num_classes**2 * feature_dim):.3f} |"
    )


def peak() -> float:
    """GB that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def large(num_classes: int) -> None:
    """Print the rows of the table of the largest number of classes; to be run in a process of its own."""
    print(f"| torch and transformers imported | | {peak():.2f} |")
    with tempfile.TemporaryDirectory() as folder:
        criterion = EMDCriterion(EMDTrainingArguments(folder, loss="xemd2", use_cpu=True), num_classes)

        def observe() -> None:
            for labels in torch.arange(num_classes).split(1000):
                criterion.observe(torch.rand(len(labels), D), labels)

        def step(name: str, run: Callable[[], object]) -> None:
            start = time.perf_counter()
            run()
            print(f"| {name} | {time.perf_counter() - start:.1f} | {peak():.2f} |", flush=True)

        step("an epoch's sums", observe)
        step("first refresh", criterion.refresh)
        observe()
        step("second refresh", criterion.refresh)
        step("digest of D, which the ranks compare", lambda: digest_of(criterion))
        step("what a checkpoint gets", criterion.state)
        write = write_ground_distance
        step("D written beside the weights", lambda: write(criterion.ground_distance, folder, None, {}))


def table(columns: str, rows: list[str]) -> None:
    """Print a table."""
    print(columns)
    print("|" + " --- |" * (columns.count("|") - 1))
    print("\n".join(rows), flush=True)
    print()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of PyTorch")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--all", action="store_true", help="21,841 classes, too")
    parser.add_argument("--large", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.large:
        large(args.large)
        return
    if args.all:  # first: what this process has had in memory would count as its
        command = [sys.executable, __file__, "--large", "21841", "--threads", str(args.threads)]
        rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    print(f"{hardware()} {args.threads} threads.\n")
    table("| 1,000 classes, 2,048 features | ms | the whole = 1 |", steps(1000, args.repeats))
    columns = "| K | d | s, all | s, ranks | ns / (K^2 log2 K), ranks | ns / (K^2 d), all the rest |"
    sizes = (250, 500, 1000, 2000, 4000, 8000)
    table(columns, [by_classes(num_classes, d) for d in (16, D) for num_classes in sizes])
    if args.all:
        table("| 21,841 classes, 2,048 features | s | GB at most so far |", rows)


if __name__ == "__main__":
    main()
