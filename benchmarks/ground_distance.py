"""What a refresh of D costs: `python benchmarks/ground_distance.py`; with `--all` also 21,841 classes, some minutes.

Prints four tables: the steps of a refresh at 1,000 classes, beside D by `torch.cdist`, `sort` and `searchsorted`; its
cost by the number of classes; with `--all` time and peak memory at 21,841 classes, in a process of its own; and a model
on paper, not a measurement, of the all-reduce on 8 to 1,024 ranks.
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

from squared_emd import ClassCentroids, EMDTrainingArguments
from squared_emd.ground_distance.epoch_distance import learn_ground_distance
from squared_emd.ground_distance.learned import blocks_of_rows, counts_in_rows, raw_distances
from squared_emd.ground_distance.saved import write_ground_distance
from squared_emd.losses import ground_distance_cost
from squared_emd.training.callbacks import digest_of
from squared_emd.training.criterion import EMDCriterion

D = 2048
DATA_SETS = {"Adience": (8, D), "ImageNet": (1000, D), "ImageNet-21k": (21841, D)}
GPUS_A_NODE = 8
# bytes a second that one rank sends, and seconds a message: assumptions, in the order of what vendors state
NVLINK = (200e9, 3e-6)
NETWORKS = {"200 Gb/s InfiniBand": (25e9, 5e-6), "25 Gb/s Ethernet": (3.125e9, 30e-6)}
EPOCH_ON_8 = 600.0  # seconds of an epoch on 8 ranks, assumed; on N ranks 8 / N of it


def ring_seconds(num_bytes: float, num_ranks: int, bandwidth: float, latency: float) -> float:
    """A ring all-reduce on paper: ``2 (N - 1) / N * bytes / bandwidth + 2 (N - 1) * latency``.

    Args:
        num_bytes: on each rank.
        num_ranks: N.
        bandwidth: bytes a second, of the slowest link of the ring.
        latency: seconds a message.

    Returns:
        Seconds.

    >>> ring_seconds(1e9, 2, 1e9, 0.5)  # 2 * 1/2 * 1 s, and 2 messages of half a second
    2.0
    """
    return 2 * (num_ranks - 1) / num_ranks * num_bytes / bandwidth + 2 * (num_ranks - 1) * latency


def refresh_bytes(num_classes: int, feature_dim: int) -> int:
    """Of the one all-reduce of a refresh: K sums of d numbers and a count, in float64.

    Args:
        num_classes: K.
        feature_dim: d.

    Returns:
        ``8 K (d + 1)``.

    >>> refresh_bytes(1000, 2048)
    16392000
    """
    return 8 * num_classes * (feature_dim + 1)


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
    matrix, _, _ = learn_ground_distance(centroids)

    def cost() -> Tensor:
        out = torch.empty(num_classes, num_classes)
        return ground_distance_cost(matrix, omega=2.0, mu=-0.25, known=known, out=out)

    def whole() -> None:
        classes.refresh(reset=False)
        learn_ground_distance(classes.centroids, known=classes.known)
        cost()

    ways: dict[str, Callable[[], object]] = {
        "sums to centroids": lambda: classes.refresh(reset=False),
        "centroids to distances": lambda: raw_distances(centroids),
        "distances to counts in rows": lambda: counts_in_rows(distances, rank="strict"),
        "centroids to D and SDD": lambda: learn_ground_distance(centroids, known=known),
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
    rows = torch.rand(min(512, num_classes), num_classes, dtype=torch.float64)

    def best_of(run: Callable[[], object]) -> float:
        taken = []
        for _ in range(2 if num_classes > 4000 else 3):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
        return min(taken)

    def rank() -> None:
        for _, block in blocks_of_rows(rows):
            counts_in_rows(block, rank="strict")

    ranking = best_of(rank) * num_classes / len(rows)
    whole = best_of(lambda: learn_ground_distance(centroids))
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


def model_on_paper() -> list[str]:
    """The rows of the table of the model."""
    lines = []
    for name, (num_classes, feature_dim) in DATA_SETS.items():
        num_bytes, of_matrix = refresh_bytes(num_classes, feature_dim), 4 * num_classes**2
        for num_ranks in (8, 64, 256, 1024):
            links = {"NVLink": NVLINK} if num_ranks <= GPUS_A_NODE else NETWORKS
            for link, (bandwidth, latency) in links.items():
                reduce = ring_seconds(num_bytes, num_ranks, bandwidth, latency)
                # pipelined along the ring: each link carries all of D once
                send = of_matrix / bandwidth + (num_ranks - 1) * latency
                share = reduce / (EPOCH_ON_8 * 8 / num_ranks)
                lines.append(
                    f"| {name} | {num_bytes / 1e6:.3g} MB | {num_ranks} | {link} | {1000 * reduce:.3g} | {share:.2g} | "
                    f"{1000 * send:.3g} |"
                )
    return lines


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
    parser.add_argument("--model", action="store_true", help="only the model on paper")
    parser.add_argument("--large", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.large:
        large(args.large)
        return
    if args.all:  # first: what this process has had in memory would count as its
        command = [sys.executable, __file__, "--large", "21841", "--threads", str(args.threads)]
        rows = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    if not args.model:
        print(f"{hardware()} {args.threads} threads.\n")
        table("| 1,000 classes, 2,048 features | ms | the whole = 1 |", steps(1000, args.repeats))
        columns = "| K | d | s, all | s, ranks | ns / (K^2 log2 K), ranks | ns / (K^2 d), all the rest |"
        sizes = (250, 500, 1000, 2000, 4000, 8000)
        table(columns, [by_classes(num_classes, d) for d in (16, D) for num_classes in sizes])
    if args.all:
        table("| 21,841 classes, 2,048 features | s | GB at most so far |", rows)
    columns = "| | bytes | ranks | link | ms, all-reduce | of an epoch | ms more, if one rank sent D |"
    table(columns, model_on_paper())


if __name__ == "__main__":
    main()
