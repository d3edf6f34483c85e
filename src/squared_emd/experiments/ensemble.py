"""The ensemble of Hou et al. 2016, Table 4: networks trained on different numbers of bins, their scores averaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.score_metrics import ensemble_spearman
from .arguments import ExperimentArguments
from .results import RESULTS, write_json

__all__ = ["EXPECTED_SCORES", "write_ensembles"]

EXPECTED_SCORES = "expected_scores.npz"  # predicted (N,), true (N,): of the rows that a run was tested on


def write_ensembles(args: ExperimentArguments, results: Sequence[dict[str, Any]]) -> None:
    """Write the results of the ensembles of runs that differ in nothing but their variant.

    Args:
        args: of the table.
        results: of all runs, as `run_table` gives them.

    Raises:
        ValueError: the runs of an ensemble were not tested on the same rows.
    """
    if not args.should_save:
        return
    members = defaultdict(list)
    for run in results:
        members[run["model"], run["loss"], run["fold"], run["seed"]].append(run)
    for runs in members.values():
        scores = []
        for run in runs:
            with np.load(Path(run["folder"], EXPECTED_SCORES)) as saved:
                scores.append((saved["predicted"], saved["true"]))
        if any(not np.array_equal(true, scores[0][1]) for _, true in scores):
            raise ValueError(
                f"the networks of an ensemble must be tested on the same rows, those in {runs[0]['folder']}."
            )
        first, variant = runs[0], f"ensemble of {len(runs)}"
        place = Path(first["folder"])  # <network>/<variant>/<loss>/fold_<k>/seed_<n>
        folder = place.parents[3] / variant.replace(" ", "_") / Path(*place.parts[-3:])
        same = (
            "table",
            "data",
            "stand_in",
            "model",
            "loss",
            "fold",
            "folds",
            "seed",
            "tested_on",
            "num_train",
            "num_test",
        )
        result = {name: first[name] for name in same}
        predicted = [predicted for predicted, _ in scores]
        result |= {"variant": variant, "eval_spearman": ensemble_spearman(predicted, scores[0][1])}
        result |= {"members": [len(run["class_names"]) for run in runs], "job": first["job"]}
        write_json(folder / RESULTS, result)
