"""What a run leaves on disk beside its model, and what ensembles of runs do (Hou et al. 2016, Table 4)."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..ground_distance.files import write_aside
from ..hub.results import digests_of_weights, facts_of_arguments
from ..metrics import ScoreMetrics, correlation
from ..metrics.logs import RESULTS_FILE
from ..plot import heat_map
from ..reports.predictions import write_predictions
from .arguments import ExperimentArguments
from .experiment import Run
from .settings import write_json
from .training import Outcome

_SCORES_FILE = "expected_scores.npz"  # predicted (N,), true (N,): of the rows that a run was tested on
_SAME_FIELDS = (
    "table", "data", "stand_in", "model", "loss", "fold", "folds", "seed", "tested_on", "num_train", "num_test", "job",
)  # fmt: skip


def results_of_run(args: ExperimentArguments, run: Run, outcome: Outcome, job: str) -> dict[str, Any]:
    """The content of `all_results.json`."""
    criterion, experiment, state = outcome.trainer.criterion, run.experiment, outcome.trainer.state
    results = {
        "table": experiment.table,
        "data": experiment.data,
        "stand_in": experiment.stand_in,
        "variant": experiment.variant,
        "model": run.network,
        "loss": run.loss,
        "fold": run.fold or 0,
        "folds": args.num_folds,
        "seed": run.seed,
        "tested_on": "validation data" if args.validate else experiment.tested_on,
        "num_train": len(outcome.samples.train),
        "num_test": len(outcome.samples.test),
        "learning_rate": args.learning_rate,
        "learning_rate_selected": args.candidate_rates is not None,
        "entropic_strength": args.entropic_strength if run.loss == "a-emd" else None,
        **{name: value for name, value in outcome.metrics.items() if isinstance(value, int | float)},
        "epochs": state.epoch,
        "sdd": criterion.distance.sdd,
        "sdd_relative": criterion.distance.sdd_relative,
        "regularizer_weight": criterion.regularizer_weight if args.is_self_guided else None,
        "seconds_per_step": outcome.seconds_per_step,
        "cpu_seconds_per_step": outcome.cpu_seconds_per_step,
        "class_names": list(outcome.samples.class_names),
        "confusion_matrix": None if outcome.confusion is None else outcome.confusion.tolist(),
        "command": _command(sys.argv),
        **facts_of_arguments(args),
        "weights": digests_of_weights(run.folder),
        "job": job,
    }
    if args.has_validation_data:
        results |= {"comparison": experiment.table, "num_validation": outcome.num_validation}
        results["non_finite"] = any(entry.get("non_finite_samples") for entry in state.log_history)
    return results


def _command(argv: Sequence[str]) -> str:
    """What was typed, but for a token of the Hub."""
    kept, words = [], iter(argv)
    for word in words:
        option, equals, _ = word.partition("=")
        if option not in ("--hub_token", "--hub-token"):
            kept.append(word)
        elif not equals:
            next(words, None)
    return shlex.join(kept)


def write_results(run: Run, outcome: Outcome, results: dict[str, Any]) -> None:
    """The figure of D, what was predicted, the scores and last the results; the checkpoints are no longer needed."""
    criterion = outcome.trainer.criterion
    if criterion.learns_ground_distance:
        heat_map(
            criterion.ground_distance.cpu().numpy(),
            class_names=outcome.samples.class_names,
            path=run.folder / "ground_distance.png",
            title=f"Ground distance learned by {run.loss.upper()}, {run.experiment.data}",
        )
    if "test" in outcome.predictions:
        write_predictions(run.folder, outcome.predictions)
    metrics = outcome.samples.compute_metrics
    if isinstance(metrics, ScoreMetrics):
        with write_aside(run.folder / _SCORES_FILE) as path:
            np.savez_compressed(path, predicted=metrics.expected_scores, true=metrics.true_scores)
    write_json(run.folder / RESULTS_FILE, results)
    for checkpoint in run.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def write_ensembles(results: Sequence[dict[str, Any]]) -> None:
    """Write the results of the ensembles of runs that differ in their variant alone: their scores are averaged."""
    members = defaultdict(list)
    for run in results:
        members[run["model"], run["loss"], run["fold"], run["seed"]].append(run)
    for runs in members.values():
        scores = [np.load(Path(run["folder"], _SCORES_FILE)) for run in runs]
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
