"""The ensemble of Hou et al. 2016, Table 4: networks trained on different numbers of bins, their scores averaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..metrics import correlation
from ..metrics.logs import RESULTS_FILE
from .arguments import ExperimentArguments
from .settings import write_json

SCORES_FILE = "expected_scores.npz"  # predicted (N,), true (N,): of the rows that a run was tested on
_SAME_FIELDS = (
    "table", "data", "stand_in", "model", "loss", "fold", "folds", "seed", "tested_on", "num_train", "num_test", "job",
)  # fmt: skip


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
        scores = [np.load(Path(run["folder"], SCORES_FILE)) for run in runs]
        predicted, true = [part["predicted"] for part in scores], scores[0]["true"]  # (N,) each
        if any(not np.array_equal(part["true"], true) for part in scores):
            raise ValueError(
                f"the networks of an ensemble must be tested on the same rows, those in {runs[0]['folder']}."
            )
        variant = f"ensemble of {len(runs)}"
        place = Path(runs[0]["folder"])  # <network>/<variant>/<loss>/fold_<k>/seed_<n>
        folder = place.parents[3] / variant.replace(" ", "_") / Path(*place.parts[-3:])
        result = {name: runs[0][name] for name in _SAME_FIELDS} | {"variant": variant}
        result |= {"eval_spearman": correlation(np.mean(predicted, axis=0), true)}
        write_json(folder / RESULTS_FILE, result | {"members": [len(run["class_names"]) for run in runs]})
