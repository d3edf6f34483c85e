"""Times the metric modules against loops over SciPy and POT, scikit-learn, and evaluate's own ways.

    python benchmarks/metrics.py

Every module gets a million samples of 8 classes, in one call of `compute` and by `add_batch` in thousands; what is slow
gets fewer samples, and all are compared by the time a sample takes. The ways of a metric take turns, `--repeats` times;
the table gives the median, the range, and the ratio to our `compute`. `accuracy` is evaluate's own module, from the Hub
or from a folder (`--accuracy DIR`). Prints a Markdown table.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import datasets
import evaluate
import numpy as np
import ot
import scipy
import sklearn
from scipy.stats import energy_distance, kendalltau, pearsonr, spearmanr
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error, top_k_accuracy_score

from squared_emd import load_metric, metrics

BATCH = 1000
CLASSES = 8

Way = tuple[str, int, Callable[[int], object]]  # its name, how many samples it gets, and it


class ThroughArrow(evaluate.Metric):
    """The squared EMD as evaluate's modules are usually written: every number becomes a Python object on the way."""

    def _info(self) -> evaluate.MetricInfo:
        rows, labels = datasets.List(datasets.Value("float64")), datasets.Value("int64")
        features = datasets.Features({"predictions": rows, "references": labels})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions: list, references: list) -> dict:
        return {"squared_emd": metrics.squared_emd(predictions, references)}


def at_once(metric: evaluate.Metric, predictions: np.ndarray, references: np.ndarray, **settings: object) -> Callable:
    """One call of `compute`."""
    return lambda n: metric.compute(predictions=predictions[:n], references=references[:n], **settings)


def in_batches(
    metric: evaluate.Metric, predictions: np.ndarray, references: np.ndarray, **settings: object
) -> Callable:
    """`add_batch` in a loop, and `compute`."""

    def run(n: int) -> object:
        for start in range(0, n, BATCH):
            rows = slice(start, start + BATCH)
            metric.add_batch(predictions=predictions[rows], references=references[rows])
        return metric.compute(**settings)

    return run


def ways(samples: int, accuracy: str) -> dict[str, list[Way]]:
    """All that is compared, by metric; ours first."""
    generator = np.random.default_rng(0)
    p, labels = generator.dirichlet(np.ones(CLASSES), samples), generator.integers(0, CLASSES, samples)
    reals, guesses, soft = labels + generator.normal(size=samples), p.argmax(1), p[::-1]
    line, one_hot = np.arange(CLASSES), np.eye(CLASSES)
    points = generator.normal(size=(CLASSES, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    few, fewer = min(samples, 100_000), min(samples, 5_000)

    def ours(name: str, *inputs: np.ndarray, size: int = samples, **settings: object) -> list[Way]:
        metric = load_metric(name)
        return [
            ("ours, compute", size, at_once(metric, *inputs, **settings)),
            (f"ours, add_batch of {BATCH}", size, in_batches(metric, *inputs, **settings)),
        ]

    def stock(name: str, metric: evaluate.Metric, *inputs: np.ndarray, size: int) -> list[Way]:
        return [
            (f"{name}, compute", size, at_once(metric, *inputs)),
            (f"{name}, add_batch of {BATCH}", size, in_batches(metric, *inputs)),
        ]

    def scikit_learn(n: int) -> None:
        off = np.abs(guesses[:n] - labels[:n])
        accuracy_score(labels[:n], guesses[:n])
        accuracy_score(np.ones(n), off <= 1)
        mean_absolute_error(labels[:n], guesses[:n])
        [mean_absolute_error(labels[:n][labels[:n] == k], guesses[:n][labels[:n] == k]) for k in range(CLASSES)]

    return {
        "squared_emd": [
            *ours("squared_emd", p, labels),
            *stock("the same formula through evaluate's Arrow path", ThroughArrow(), p, labels, size=few),
            (
                "loop over SciPy's energy_distance",
                fewer,
                lambda n: np.mean([energy_distance(line, line, p[i], one_hot[labels[i]]) ** 2 / 2 for i in range(n)]),
            ),
        ],
        "squared_emd under D, labels": [
            *ours("squared_emd", p, labels, ground_distance=distances),
            (
                "loop over POT's emd2",
                fewer,
                lambda n: np.mean([ot.emd2(p[i], one_hot[labels[i]], distances) for i in range(n)]),
            ),
        ],
        "squared_emd under D, distributions": [
            *ours("squared_emd", p, soft, size=fewer, ground_distance=distances),
            ("loop over POT's emd2", fewer, lambda n: np.mean([ot.emd2(p[i], soft[i], distances) for i in range(n)])),
        ],
        "ordinal_accuracy of probabilities": ours("ordinal_accuracy", p, labels),
        "quadratic_weighted_kappa of probabilities": ours("quadratic_weighted_kappa", p, labels),
        "ordinal_accuracy": [
            *ours("ordinal_accuracy", guesses, labels),
            *stock("evaluate's accuracy (AEM only)", evaluate.load(accuracy), guesses, labels, size=samples),
            ("scikit-learn on the arrays", samples, scikit_learn),
        ],
        "quadratic_weighted_kappa": [
            *ours("quadratic_weighted_kappa", guesses, labels),
            (
                "scikit-learn on the arrays",
                samples,
                lambda n: cohen_kappa_score(labels[:n], guesses[:n], weights="quadratic"),
            ),
        ],
        "top_k_error": [
            *ours("top_k_error", p, labels),
            (
                "scikit-learn on the arrays",
                samples,
                lambda n: [top_k_accuracy_score(labels[:n], p[:n], k=k) for k in (1, 5)],
            ),
        ],
        "expected_score_correlation": [
            *ours("expected_score_correlation", p, reals),
            (
                "SciPy on the arrays",
                samples,
                lambda n: [f(p[:n] @ line, reals[:n]) for f in (spearmanr, pearsonr, kendalltau)],
            ),
        ],
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accuracy", default="accuracy", help="evaluate's accuracy: its name on the Hub, or a folder")
    args = parser.parse_args()

    versions = [f"evaluate {evaluate.__version__}", f"SciPy {scipy.__version__}", f"POT {ot.__version__}"]
    versions += [f"scikit-learn {sklearn.__version__}", f"NumPy {np.__version__}"]
    print(f"{os.cpu_count()} CPU cores; {', '.join(versions)}. Median of {args.repeats} (least .. most).\n")
    print("| metric | way | samples | seconds | µs a sample | times ours |")
    print("|---|---|---:|---:|---:|---:|")
    for name, candidates in ways(args.samples, args.accuracy).items():
        seconds: dict[str, list[float]] = {way: [] for way, _, _ in candidates}
        for _ in range(args.repeats):
            for way, n, run in candidates:
                start = time.perf_counter()
                run(n)
                seconds[way].append(time.perf_counter() - start)
        per_sample = {way: statistics.median(seconds[way]) / n for way, n, _ in candidates}
        base = per_sample[candidates[0][0]]
        for way, n, _ in candidates:
            median, least, most = (f(seconds[way]) for f in (statistics.median, min, max))
            print(
                f"| {name} | {way} | {n:,} | {median:.2f} ({least:.2f} .. {most:.2f}) | {1e6 * per_sample[way]:.3g} "
                f"| {per_sample[way] / base:.3g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
