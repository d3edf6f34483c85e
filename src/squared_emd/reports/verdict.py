"""Does it help? A loss compared with a baseline, from what runs predicted for the same samples."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..ground_distance.files import read_object
from ..metrics.comparison import CONFIDENCE, UNCLEAR, Difference, paired_difference
from ..metrics.logs import RESULTS_FILE, check_results
from ..metrics.names import METRICS, loss_name
from .predictions import PREDICTIONS_FILE, PROBABILITIES, RULES, MeasuredRun, measure_run
from .summary import Section

CHOSEN = "chosen on validation data"
_BASELINE = "xe"
_FEW_SAMPLES = 300
_CHOOSING = ("eval_mae", "eval_aem", "eval_aeo", "eval_top_1_error")
_ORDER = ("eval_mae", "eval_squared_emd", "eval_aem", "eval_aeo", "eval_top_1_error", "eval_nll", "eval_ece")


@dataclass(frozen=True)
class Comparison:
    """A loss against the baseline."""

    name: str
    baseline: str
    seeds: Sequence[int]  # that both were trained with
    num_samples: int  # that both were tested on
    num_groups: int | None
    # Decision rule, or `probabilities` -> key in `METRICS` -> what came out.
    differences: Mapping[str, Mapping[str, Difference]]
    # Name of the loss -> decision rule -> key in `METRICS` -> mean over samples and seeds.
    decisions: Mapping[str, Mapping[str, Mapping[str, float]]]
    chosen_rules: Mapping[str, str]  # name of the loss -> the rule chosen on validation data, where there are any
    left_out: Sequence[str]  # the runs whose seed and fold the other does not have

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
        few = ", too few to show small differences" if self.num_samples < _FEW_SAMPLES else ""
        about = ", ".join([f"{self.num_samples:,} test samples{groups}{few}", seeds, *rules])
        first, *others = [metric for metric in _ORDER if metric in found]
        unclear = [metric for metric in others if _verdict(metric, found[metric]) == UNCLEAR]
        results = "; ".join(_phrase(metric, found[metric]) for metric in (first, *others) if metric not in unclear)
        text = f"{self.name} against {self.baseline} on {about}: {results}."
        text += f" No clear difference in {_listed(unclear)}." if unclear else ""
        return f"{text} Left out, as the other has none: {'; '.join(self.left_out)}." if self.left_out else text


def compare_losses(
    section: Section, measured: Mapping[Path, MeasuredRun], *, metric: str = "eval_mae"
) -> list[Comparison]:
    """Each loss of a section against cross-entropy on the same network, where both left predictions."""
    comparisons = []
    for (network, variant, loss), cell in section.cells.items():
        baseline = section.cells.get((network, variant, _BASELINE))
        if loss == _BASELINE or baseline is None:
            continue
        ours, theirs = ([measured[run.folder] for run in of.runs if run.folder in measured] for of in (cell, baseline))
        if _in_common(*([(run.seed, run.fold) for run in of] for of in (ours, theirs)))[1]:
            names = loss_name(loss, variant), loss_name(_BASELINE, variant)
            comparisons.append(compare_runs(names[0], ours, names[1], theirs, metric=metric))
    return comparisons


def compare_folders(folders: Sequence[str | os.PathLike[str]], *, metric: str = "eval_mae") -> list[Comparison]:
    """Compare runs of one's own, a folder for each way to train: the first is the baseline of the others.

    Seeds and folds are those of each run's `all_results.json`; where no run names its seed, they are numbered in the
    order of their paths.
    """
    if len(folders) < 2:
        raise ValueError(f"a comparison needs at least two folders, the baseline first; got {len(folders)}.")
    places: dict[Path, object] = {}
    for folder in folders:
        if (place := Path(folder).resolve()) in places:
            raise ValueError(
                f"the folders that are compared must differ; got {places[place]} and {folder}, which are the same; "
                "leave one out."
            )
        places[place] = folder
    found = [_runs_below(Path(folder)) for folder in folders]
    has_seed = {known: run.folder for of in found for run, known in of}
    if len(has_seed) > 1:
        raise ValueError(
            f"either all runs that are compared must have a 'seed' in their {RESULTS_FILE}, or none; got one for "
            f"{has_seed[True]}, none for {has_seed[False]}; write it there."
        )
    baseline, *others = ((str(folder), [run for run, _ in of]) for folder, of in zip(folders, found, strict=True))
    return [compare_runs(name, runs, *baseline, metric=metric) for name, runs in others]


def _runs_below(folder: Path) -> list[tuple[MeasuredRun, bool]]:
    """The runs in and below a folder, and whether they name their seed; else those of a fold are numbered."""
    if not folder.is_dir():
        raise FileNotFoundError(f"a folder with runs must exist; there is no folder {folder}; check its name.")
    found: list[tuple[MeasuredRun, bool]] = []
    for path in sorted(folder.rglob(PREDICTIONS_FILE)):
        results = path.with_name(RESULTS_FILE)
        known = check_results(read_object(results), results) if results.is_file() else {}
        fold = known.get("fold", 0)
        number = sum(run.fold == fold for run, _ in found)
        # As a recipe measures classes without an order; what a script of one's own measures does not say.
        is_ordered = "eval_aeo" in known or "eval_top_1_error" not in known
        run = measure_run(path.parent, known.get("seed", number), fold, is_ordered)
        if run is not None:
            found.append((run, "seed" in known))
    if not found:
        raise ValueError(
            f"there must be a {PREDICTIONS_FILE} in or below {folder}; got none. Recipes write one for each run; "
            "squared_emd.reports.predictions.write_predictions does for runs of your own."
        )
    return found


def compare_runs(
    name: str,
    runs: Sequence[MeasuredRun],
    baseline: str,
    baseline_runs: Sequence[MeasuredRun],
    *,
    metric: str = "eval_mae",
) -> Comparison:
    """Compare runs with those of a baseline, paired by seed, fold and sample.

    The decision rule is chosen by the metric, where all runs have validation samples.
    """
    if metric not in _CHOOSING:
        raise ValueError(
            f"metric, by which the decision rule is chosen, must be one of {', '.join(_CHOOSING)}; got {metric!r}; "
            "give one of them."
        )
    ours, theirs = _by_place(name, runs), _by_place(baseline, baseline_runs)
    seeds, folds = _in_common(ours, theirs)
    if not folds:
        raise ValueError(
            f"{name} and {baseline} must have a seed and a fold in common; got the seeds "
            f"{sorted({seed for seed, _ in ours})} and {sorted({seed for seed, _ in theirs})}."
        )
    places = [(seed, fold) for seed in seeds for fold in folds]
    samples = [_check_same_samples([of[seed, fold] for of in (theirs, ours) for seed in seeds]) for fold in folds]
    without = [fold for fold, (_, groups) in zip(folds, samples, strict=True) if groups is None]
    if 0 < len(without) < len(folds):
        raise ValueError(
            f"either the samples of all folds must have groups, or of none; those of the folds {without} have none; "
            "write their predictions again, with groups."
        )
    groups = None if without else np.concatenate([groups for _, groups in samples])
    # The columns that all runs have: one without D has no least expected distance.
    table, baseline_table = (pd.concat([of[place].test for place in places], join="inner") for of in (ours, theirs))

    def differences(rule: str, baseline_rule: str) -> dict[str, Difference]:
        metrics = [key for key in table[rule] if key in baseline_table[baseline_rule]]
        values, of_baseline = (
            [of[rule, key].to_numpy().reshape(len(seeds), -1) for key in metrics]  # (S, N) each
            for of, rule in ((table, rule), (baseline_table, baseline_rule))
        )
        pairs = zip(metrics, values, of_baseline, strict=True)
        return {key: paired_difference(value, other, groups=groups) for key, value, other in pairs}

    found = {rule: differences(rule, rule) for rule in table.columns.unique(0) if rule in baseline_table}
    chosen = {}
    for which, of, tested in ((name, ours, table), (baseline, theirs, baseline_table)):
        chosen[which] = _best_rule([of[place] for place in places], tested, metric)
    chosen = chosen if all(chosen.values()) else {}
    if chosen:
        found[CHOSEN] = differences(*chosen.values())
    return Comparison(
        name,
        baseline,
        seeds,
        sum(number for number, _ in samples),
        None if groups is None else len(np.unique(groups)),
        differences=found,
        decisions={baseline: _means(baseline_table), name: _means(table)},
        chosen_rules=chosen,
        left_out=[
            f"{which}, seed {place[0]}, fold {place[1]}"
            for which, of in ((name, ours), (baseline, theirs))
            for place in of
            if place not in places
        ],
    )


def _by_place(name: str, runs: Iterable[MeasuredRun]) -> dict[tuple[int, int], MeasuredRun]:
    """(Seed, fold) -> run."""
    found: dict[tuple[int, int], MeasuredRun] = {}
    for run in runs:
        other = found.setdefault((run.seed, run.fold), run)
        if other is not run:
            raise ValueError(
                f"{name} must have one run of each seed and fold; got {other.folder} and {run.folder}, both seed "
                f"{run.seed}, fold {run.fold}. Name the folders of one loss each."
            )
    return found


def _in_common(ours: Iterable[tuple[int, int]], theirs: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """The seeds of both, and the folds that both have with each of these."""
    seeds = sorted({seed for seed, _ in ours} & {seed for seed, _ in theirs})
    folds = sorted({fold for _, fold in ours}) if seeds else []
    return seeds, [fold for fold in folds if all((seed, fold) in of for of in (ours, theirs) for seed in seeds)]


def _check_same_samples(runs: Sequence[MeasuredRun]) -> tuple[int, np.ndarray | None]:
    """The number of samples of the runs of a fold, and the groups, which not every run has to have."""
    first = runs[0]
    for run in runs:
        same_ids = (run.ids is None) == (first.ids is None) and (run.ids is None or np.array_equal(run.ids, first.ids))
        if not (same_ids and np.array_equal(run.labels, first.labels)):
            raise ValueError(
                f"runs that are compared must be tested on the same samples, in the same order; those of {run.folder} "
                f"and {first.folder} differ."
            )
    grouped = [run for run in runs if run.groups is not None]
    for run in grouped:
        if not np.array_equal(run.groups, grouped[0].groups):
            raise ValueError(
                f"runs that are compared must have the same groups of samples, or none; those of {grouped[0].folder} "
                f"and {run.folder} differ."
            )
    return len(first.labels), grouped[0].groups if grouped else None


def _means(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Decision rule -> key in `METRICS` -> mean."""
    rules = [rule for rule in table.columns.unique(0) if rule != PROBABILITIES]
    return {rule: {key: float(table[rule, key].to_numpy().mean()) for key in table[rule]} for rule in rules}


def _best_rule(runs: Sequence[MeasuredRun], tested: pd.DataFrame, metric: str) -> str | None:
    """The decision rule with the best metric on the validation samples; None where a run has none."""
    if any(run.validation is None for run in runs):
        return None
    means = pd.concat([run.validation.mean() for run in runs], axis=1, join="inner").mean(axis=1)
    scores = {rule: mean for (rule, key), mean in means.items() if key == metric and rule in tested}
    best = min if METRICS[metric].less_is_better else max
    return best(scores, key=scores.__getitem__) if scores and PROBABILITIES not in scores else None


def _verdict(metric: str, found: Difference) -> str:
    """That of the interval; a difference that the digits of the means do not show is not clear."""
    if found.low is not None and _mean(metric, found.value) == _mean(metric, found.baseline):
        return UNCLEAR
    return found.verdict(less_is_better=METRICS[metric].less_is_better)


def _listed(metrics: Sequence[str]) -> str:
    *names, last = [METRICS[metric].heading.removesuffix(" %") for metric in metrics]
    return f"{', '.join(names)} and {last}" if names else last


def _mean(metric: str, value: float) -> str:
    """In the unit and with the digits in which the metric is shown."""
    shown = METRICS[metric]
    return f"{_rounded(shown.shown(value), shown.digits):.{shown.digits}f}"


def _rounded(value: float, digits: int = 1) -> float:
    """Rounded; never -0.0, to which 0.0 is added."""
    return round(value, digits) + 0.0


def _phrase(metric: str, found: Difference) -> str:
    """As "MAE 0.651 instead of 0.667 (-2.4 %, 95 % interval -4.1 to -0.6): better"."""
    shown, verdict = METRICS[metric], _verdict(metric, found)
    heading = shown.heading.removesuffix(" %")
    value, baseline = _mean(metric, found.value), _mean(metric, found.baseline)
    if shown.in_percent:
        unit, scale = " points", 100.0
    elif found.baseline > 0:
        unit, scale = " %", 100 / found.baseline
    else:
        unit, scale = "", 1.0
    rounded = _rounded(scale * found.difference)
    change = f"{rounded:{'+' if rounded else ''}.1f}{unit}"
    if found.low is None or found.high is None:
        return f"{heading} {value} instead of {baseline} ({change})"
    interval = f"{CONFIDENCE:.0%} interval".replace("%", " %")
    low, high = _rounded(scale * found.low), _rounded(scale * found.high)
    return f"{heading} {value} instead of {baseline} ({change}, {interval} {low:.1f} to {high:.1f}): {verdict}"
