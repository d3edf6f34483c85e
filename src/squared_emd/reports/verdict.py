"""Does it help? A loss compared with a baseline, from what runs predicted for the same samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..ground_distance.files import read_json
from ..ground_distance.saved import read_ground_distance
from ..metrics.comparison import CONFIDENCE, UNCLEAR, Difference, paired_difference
from ..metrics.logs import RESULTS_FILE
from ..metrics.names import METRICS, loss_name
from .predictions import (
    PREDICTIONS_FILE,
    RULES,
    Predictions,
    decide,
    metrics_of_decisions,
    metrics_of_probabilities,
    read_predictions,
)
from .summary import Section

__all__ = ["Comparison", "compare_folders", "compare_losses", "compare_runs", "measure_folder"]

CHOSEN = "chosen on validation data"
PROBABILITIES = "probabilities"
_BASELINE = "xe"
_ORDER = ("eval_mae", "eval_squared_emd", "eval_aem", "eval_aeo", "eval_top_1_error", "eval_nll", "eval_ece")

# Rule, or PROBABILITIES -> key in METRICS -> (N,) values whose mean is the metric.
SampleMetrics = Mapping[str, Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class MeasuredRun:
    """A run, sample by sample.

    Args:
        folder: where it lies.
        seed: of its training.
        fold: that it was tested on.
        test: the metrics of the test samples.
        validation: the metrics of the validation samples, or None.
        labels, ids, groups: of the test samples, as in `Predictions`.
    """

    folder: Path
    seed: int
    fold: int
    test: SampleMetrics
    validation: SampleMetrics | None
    labels: np.ndarray
    ids: np.ndarray | None
    groups: np.ndarray | None


@dataclass(frozen=True)
class Comparison:
    """A loss against the baseline.

    Args:
        name: of the loss.
        baseline: of the baseline.
        seeds: that both were trained with.
        num_samples: that both were tested on.
        num_groups: of them, or None.
        differences: decision rule, or `probabilities` -> key in `METRICS` -> what came out.
        decisions: name -> decision rule -> key in `METRICS` -> mean over samples and seeds.
        chosen_rules: name -> the rule chosen on validation data; empty where there are none.
    """

    name: str
    baseline: str
    seeds: Sequence[int]
    num_samples: int
    num_groups: int | None
    differences: Mapping[str, Mapping[str, Difference]]
    decisions: Mapping[str, Mapping[str, Mapping[str, float]]]
    chosen_rules: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As `verdict.json` has it."""
        differences = {
            rule: {
                metric: vars(d) | {"difference": d.difference, "verdict": _verdict(metric, d)}
                for metric, d in of.items()
            }
            for rule, of in self.differences.items()
        }
        return vars(self) | {"differences": differences, "confidence": CONFIDENCE, "sentence": self.sentence()}

    def sentence(self) -> str:
        """What came out, in words: of the probabilities, and of the chosen rule or else of the likeliest class.

        The first metric and those that differ clearly have their figures, the others are named.
        """
        found = {**self.differences[CHOSEN if self.chosen_rules else "argmax"], **self.differences[PROBABILITIES]}
        groups = f" of {self.num_groups:,} groups" if self.num_groups else ""
        seeds = f"{len(self.seeds)} seeds" if len(self.seeds) > 1 else "one seed, which decides nothing"
        rules = [f"{name} decides by the {RULES[rule]}" for name, rule in self.chosen_rules.items()]
        about = ", ".join([f"{self.num_samples:,} test samples{groups}", seeds, *rules])
        first, *others = [metric for metric in _ORDER if metric in found]
        unclear = [metric for metric in others if _verdict(metric, found[metric]) == UNCLEAR]
        results = "; ".join(_phrase(metric, found[metric]) for metric in (first, *others) if metric not in unclear)
        text = f"{self.name} against {self.baseline} on {about}: {results}."
        return f"{text} No clear difference in {_listed(unclear)}." if unclear else text


def compare_losses(section: Section, *, metric: str = "eval_mae") -> list[Comparison]:
    """Each loss of a section against cross-entropy on the same network, where both left predictions.

    Args:
        section: the results.
        metric: key in `METRICS` by which the decision rule is chosen on validation data.

    Raises:
        ValueError: a file of a run is damaged, or runs of one fold were not tested on the same samples.
    """
    comparisons = []
    measured: dict[tuple[str, str, str], list[MeasuredRun]] = {}
    for network, variant, loss in section.cells:
        baseline = section.cells.get((network, variant, _BASELINE))
        if loss == _BASELINE or baseline is None:
            continue
        for key in ((network, variant, _BASELINE), (network, variant, loss)):
            if key not in measured:
                is_ordered = section.layout.is_ordered
                runs = section.cells[key].runs
                found = [measure_folder(r.folder, r.seed, r.fold, is_ordered=is_ordered) for r in runs]
                measured[key] = [run for run in found if run is not None]
        runs, of_baseline = measured[network, variant, loss], measured[network, variant, _BASELINE]
        if {run.seed for run in runs} & {run.seed for run in of_baseline}:
            name, by = (loss_name(of, variant) for of in (loss, _BASELINE))
            comparisons.append(compare_runs(name, runs, by, of_baseline, metric=metric))
    return comparisons


def compare_folders(folders: Sequence[str | os.PathLike[str]], *, metric: str = "eval_mae") -> list[Comparison]:
    """Compare runs of one's own: the first folder is the baseline of the others.

    Args:
        folders: each holds the runs of one way to train, a `predictions.npz` each. Their seeds and folds are those of
            their `all_results.json`; without one they are numbered in the order of their paths.
        metric: key in `METRICS` by which the decision rule is chosen on validation data.

    Raises:
        FileNotFoundError: a folder does not exist.
        ValueError: fewer than two folders, no run in one of them, or what :func:`compare_runs` refuses.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison needs at least two folders, the baseline first; got {len(folders)}.")
    baseline, *others = ((str(folder), _runs_below(Path(folder))) for folder in folders)
    return [compare_runs(name, runs, *baseline, metric=metric) for name, runs in others]


def compare_runs(
    name: str,
    runs: Sequence[MeasuredRun],
    baseline: str,
    baseline_runs: Sequence[MeasuredRun],
    *,
    metric: str = "eval_mae",
) -> Comparison:
    """Compare runs with those of a baseline, paired by seed, fold and sample.

    Args:
        name: of what is compared.
        runs: the runs of it.
        baseline: its name.
        baseline_runs: the runs of the baseline.
        metric: key in `METRICS` by which the decision rule is chosen, where all runs have validation samples.

    Raises:
        ValueError: no seed is common to both; runs of one fold were not tested on the same samples.
    """
    ours, theirs = _by_seed(name, runs), _by_seed(baseline, baseline_runs)
    seeds = sorted(ours.keys() & theirs.keys())
    folds = sorted(set.intersection(*(set(of[seed]) for of in (ours, theirs) for seed in seeds))) if seeds else []
    if not folds:
        raise ValueError(
            f"{name} and {baseline} must have a seed and a fold in common; got the seeds {sorted(ours)} and "
            f"{sorted(theirs)}."
        )
    first = [theirs[seeds[0]][fold] for fold in folds]
    for run in (of[seed][fold] for of in (ours, theirs) for seed in seeds for fold in folds):
        _check_same_samples(run, first[folds.index(run.fold)])
    groups = None if any(run.groups is None for run in first) else np.concatenate([run.groups for run in first])

    def values(of: Mapping[int, Mapping[int, MeasuredRun]], rule: str, metric: str) -> np.ndarray:
        return np.stack([np.concatenate([of[seed][fold].test[rule][metric] for fold in folds]) for seed in seeds])

    def differences(rule: str, baseline_rule: str) -> dict[str, Difference]:
        common = [metric for metric in runs[0].test[rule] if metric in first[0].test[baseline_rule]]
        return {
            metric: paired_difference(values(ours, rule, metric), values(theirs, baseline_rule, metric), groups=groups)
            for metric in common
        }

    decisions = {
        which: {
            rule: {metric: float(values(of, rule, metric).mean()) for metric in metrics}
            for rule, metrics in of[seeds[0]][folds[0]].test.items()
            if rule != PROBABILITIES
        }
        for which, of in ((baseline, theirs), (name, ours))
    }
    found = {rule: differences(rule, rule) for rule in runs[0].test if rule in first[0].test}
    chosen = [_best_rule([of[seed][fold] for seed in seeds for fold in folds], metric) for of in (ours, theirs)]
    if all(chosen):
        found[CHOSEN] = differences(*chosen)
    return Comparison(
        name,
        baseline,
        seeds,
        sum(len(run.labels) for run in first),
        None if groups is None else len(np.unique(groups)),
        found,
        decisions,
        dict(zip((name, baseline), chosen, strict=True)) if all(chosen) else {},
    )


def measure_folder(
    folder: str | os.PathLike[str], seed: int, fold: int = 0, *, is_ordered: bool = True
) -> MeasuredRun | None:
    """The metrics of a run, sample by sample; None where it left no predictions.

    Args:
        folder: of the run.
        seed: of its training.
        fold: that it was tested on.
        is_ordered: whether the classes have an order; without one only the likeliest class is looked at.

    Raises:
        ValueError: a file is damaged.
    """
    test, validation = (read_predictions(folder, part) for part in ("test", "validation"))
    if test is None:
        return None
    config = Path(folder, "config.json")
    has_distance = config.is_file() and (read_json(config) or {}).get("ground_distance") is not None
    ground_distance = read_ground_distance(folder).numpy() if has_distance else None
    of_validation = None if validation is None else _measure(validation, ground_distance, is_ordered)
    measured = _measure(test, ground_distance, is_ordered)
    return MeasuredRun(Path(folder), seed, fold, measured, of_validation, test.labels, test.ids, test.groups)


def _measure(predictions: Predictions, ground_distance: np.ndarray | None, is_ordered: bool) -> SampleMetrics:
    found = {PROBABILITIES: metrics_of_probabilities(predictions)}
    if not is_ordered:
        del found[PROBABILITIES]["eval_squared_emd"]
        errors = decide(predictions, "argmax") != predictions.true_classes
        return found | {"argmax": {"eval_top_1_error": errors}}
    for rule in RULES:
        of_probabilities = rule != "argmax" and predictions.is_of_regression
        if not of_probabilities and not (rule == "min_distance" and ground_distance is None):
            decisions = decide(predictions, rule, ground_distance)
            found[rule] = metrics_of_decisions(decisions, predictions.true_classes)
    return found


def _by_seed(name: str, runs: Iterable[MeasuredRun]) -> dict[int, dict[int, MeasuredRun]]:
    """Seed -> fold -> run."""
    found: dict[int, dict[int, MeasuredRun]] = {}
    for run in runs:
        other = found.setdefault(run.seed, {}).setdefault(run.fold, run)
        if other is not run:
            raise ValueError(
                f"{name} must have one run of each seed and fold; got {other.folder} and {run.folder}, both seed "
                f"{run.seed}, fold {run.fold}. Name the folders of one loss each."
            )
    return found


def _runs_below(folder: Path) -> list[MeasuredRun]:
    if not folder.is_dir():
        raise FileNotFoundError(f"a folder with runs must exist; there is no folder {folder}; check its name.")
    runs = []
    for path in sorted(folder.rglob(PREDICTIONS_FILE)):
        results = path.with_name(RESULTS_FILE)
        known = read_json(results) if results.is_file() else {}
        run = measure_folder(path.parent, known.get("seed", len(runs)), known.get("fold", 0))
        if run is not None:
            runs.append(run)
    if not runs:
        raise ValueError(
            f"there must be a {PREDICTIONS_FILE} in or below {folder}; got none. Recipes write one for each run; "
            "squared_emd.reports.predictions.write_predictions does for runs of your own."
        )
    return runs


def _check_same_samples(run: MeasuredRun, first: MeasuredRun) -> None:
    same_ids = (run.ids is None) == (first.ids is None) and (run.ids is None or np.array_equal(run.ids, first.ids))
    if not (same_ids and np.array_equal(run.labels, first.labels)):
        raise ValueError(
            f"runs that are compared must be tested on the same samples, in the same order; those of {run.folder} and "
            f"{first.folder} differ."
        )


def _best_rule(runs: Sequence[MeasuredRun], metric: str) -> str | None:
    """The decision rule with the best metric on the validation samples; None where a run has none."""
    if any(run.validation is None for run in runs):
        return None
    rules = [rule for rule, of in runs[0].validation.items() if metric in of]
    scores = {rule: np.mean([run.validation[rule][metric].mean() for run in runs]) for rule in rules}
    best = min if METRICS[metric].less_is_better else max
    return best(scores, key=scores.__getitem__) if scores and PROBABILITIES not in scores else None


def _verdict(metric: str, difference: Difference) -> str:
    return difference.verdict(less_is_better=METRICS[metric].less_is_better)


def _listed(metrics: Sequence[str]) -> str:
    *names, last = [METRICS[metric].heading.removesuffix(" %") for metric in metrics]
    return f"{', '.join(names)} and {last}" if names else last


def _phrase(metric: str, found: Difference) -> str:
    """As "MAE 0.651 instead of 0.667 (-2.4 %, 95 % interval -4.1 to -0.6): better"."""
    shown, verdict = METRICS[metric], _verdict(metric, found)
    heading = shown.heading.removesuffix(" %")
    value, baseline = (f"{shown.shown(value):.{shown.digits}f}" for value in (found.value, found.baseline))
    if shown.in_percent:
        unit, scale = " points", 100.0
    elif found.baseline > 0:
        unit, scale = " %", 100 / found.baseline
    else:
        unit, scale = "", 1.0
    change = f"{scale * found.difference:+.1f}{unit}"
    if found.low is None or found.high is None:
        return f"{heading} {value} instead of {baseline} ({change})"
    interval = f"{CONFIDENCE:.0%} interval".replace("%", " %")
    low, high = scale * found.low, scale * found.high
    return f"{heading} {value} instead of {baseline} ({change}, {interval} {low:.1f} to {high:.1f}): {verdict}"
