"""The ensemble of Hou et al. 2016, Table 4: networks trained on different numbers of bins, their scores averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..score_metrics import ensemble_spearman
from .arguments import ExperimentArguments
from .plan import RESULTS, write_json

__all__ = ["EXPECTED_SCORES", "write_ensemble"]

EXPECTED_SCORES = "expected_scores.npz"  # predicted (N,), true (N,): of the rows that a run was tested on


def write_ensemble(args: ExperimentArguments, members: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Write the results of the ensembles of runs that differ in nothing but their variant.

    Args:
        args: of the table.
        members: for each variant the results of its runs, as `run_table` gives them, in the same order.

    Raises:
        ValueError: the runs of an ensemble were not tested on the same rows.
    """
    if not args.should_save:
        return
    for runs in zip(*members, strict=True):
        scores = []
        for run in runs:
            with np.load(Path(run["folder"], EXPECTED_SCORES)) as saved:
                scores.append((saved["predicted"], saved["true"]))
        if any(not np.array_equal(true, scores[0][1]) for _, true in scores):
            raise ValueError(
                f"the networks of an ensemble must be tested on the same rows, those in {runs[0]['folder']}."
            )
        first, variant = runs[0], f"ensemble of {len(runs)}"
        network = Path(first["folder"]).parents[3]  # <network>/<variant>/<loss>/fold_<k>/seed_<n>
        folder = network / variant.replace(" ", "_") / first["loss"] / f"fold_{first['fold']}" / f"seed_{first['seed']}"
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
        result |= {"members": [run["variant"] or "10 bins" for run in runs], "job": first["job"]}
        write_json(folder / RESULTS, result)
