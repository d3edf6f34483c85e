"""Trains and tests one run of a comparison, or tries a learning rate for it."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from accelerate.utils import broadcast_object_list
from datasets import Audio, Dataset
from transformers import set_seed

from ..hub.results import digests_of_weights, facts_of_arguments
from ..metrics import ordinal_metrics
from ..training.trainer import EMDTrainer
from .comparison import ComparedRun, Comparison
from .comparison_arguments import ComparisonArguments
from .launch import user_errors
from .recorder import RunRecorder
from .results import RESULTS, read_json, write_json
from .settings import differences, fields_that_matter, note_settings

__all__ = ["CommonSettings", "choose_rate", "digest_of_table", "train_and_test"]

logger = logging.getLogger(__name__)

_SAID_OTHERWISE = {"loss", "seeds", "redo", "dataset", "nan_steps"}  # by the folder, or by the digest of the data


class CommonSettings:
    """What the results of a comparison depend on, kept beside each run, so that no stale result passes for a new one.

    Args:
        args: the command line.
        comparison: the data and the network.
    """

    def __init__(self, args: ComparisonArguments, comparison: Comparison) -> None:
        self.args, self.comparison = args, comparison
        sides = (comparison.train, comparison.validation, comparison.test)
        self.digest = hashlib.sha256("".join(map(digest_of_table, sides)).encode()).hexdigest()[:16]

    def of(self, run: ComparedRun) -> dict[str, Any]:
        """The settings of one run, as JSON has them.

        Args:
            run: the run.
        """
        args = self.args
        settings = fields_that_matter(args, run.loss, left_out=_SAID_OTHERWISE)
        settings |= {"learning_rate": "select" if args.select_rate else args.rate or self.comparison.rates[run.loss]}
        settings |= {name: getattr(args, name) for name in ("load_best_model_at_end", "metric_for_best_model")}
        settings |= {"classes": list(self.comparison.class_names), "network": self.comparison.network}
        settings |= {"digest of the data": self.digest, "ranks": args.world_size}
        return json.loads(json.dumps(settings, default=str))

    def check_earlier(self, run: ComparedRun) -> None:
        """Refuse to mix runs that were made with other settings.

        Args:
            run: done, begun or not there.

        Raises:
            ValueError: it lies there with other settings.
        """
        changed = differences(run.folder, self.of(run))
        if changed:
            raise ValueError(
                f"{run.folder} holds a run with other settings: {'; '.join(changed)}. Give another --output_dir, or "
                "--redo to train it again."
            )

    def note(self, run: ComparedRun) -> None:
        """Write down what a run is trained with, before it is.

        Args:
            run: about to be trained.
        """
        note_settings(run.folder, self.of(run))


def digest_of_table(rows: Dataset) -> str:
    """A digest of what is in the columns of a data set; of sound files only their names are looked at.

    Args:
        rows: any.

    Returns:
        64 hexadecimal digits, the same for the same rows.
    """
    digest = hashlib.sha256()
    sounds = [name for name, kind in rows.features.items() if isinstance(kind, Audio)]
    for name in sounds:
        files = rows.select_columns(name).cast_column(name, Audio(decode=False)).with_format(None)[:][name]
        digest.update("\n".join(Path(file["path"] or "").name for file in files).encode())
    table = rows.remove_columns(sounds).with_format("arrow")[:].combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    digest.update(sink.getvalue())
    return digest.hexdigest()


def train_and_test(
    args: ComparisonArguments,
    comparison: Comparison,
    run: ComparedRun,
    rate: float,
    ground_distance: str | None,
    checkpoint: str | None = None,
    *,
    is_trial: bool = False,
) -> dict[str, Any]:
    """Train a run, and test it once.

    Args:
        args: the command line.
        comparison: the data and the network.
        run: what is trained.
        rate: its learning rate.
        ground_distance: where an a-emd run finds its D, unless the command line says it.
        checkpoint: from where to go on.
        is_trial: stay away from the test data, and keep no model.

    Returns:
        `eval_...` of the test data, `validation_...` of the validation data, and what the run was made with. The same
        on all ranks.
    """
    own = copy.copy(args)
    vars(own).update(args.without_other_losses(run.loss))
    own.loss, own.seed, own.learning_rate, own.output_dir = run.loss, run.seed, rate, str(run.folder)
    own.ground_distance = ground_distance or own.ground_distance
    set_seed(run.seed)
    with user_errors():
        trainer = EMDTrainer(
            comparison.build(1 if run.loss == "reg" else len(comparison.class_names)),
            own,
            train_dataset=comparison.train,
            eval_dataset=comparison.validation,
            processing_class=comparison.processing_class,
            data_collator=comparison.data_collator,
            compute_metrics=ordinal_metrics(class_names=comparison.class_names),
        )
    recorder = RunRecorder(trainer.criterion, run.folder)
    trainer.add_callback(recorder)
    trainer.train(resume_from_checkpoint=checkpoint)
    metrics = trainer.predict(comparison.validation, metric_key_prefix="validation").metrics
    criterion = trainer.criterion
    results = {
        "comparison": comparison.name,
        "data": comparison.data,
        "stand_in": comparison.stand_in,
        "model": comparison.network,
        "loss": run.loss,
        "seed": run.seed,
        "learning_rate": rate,
        "class_names": list(comparison.class_names),
        "num_train": len(comparison.train),
        "num_validation": len(comparison.validation),
        "num_test": len(comparison.test),
        "epochs": trainer.state.epoch,
        "non_finite": any(entry.get("non_finite_samples") for entry in trainer.state.log_history),
    }
    if not is_trial:
        trainer.save_state()
        metrics |= trainer.predict(comparison.test, metric_key_prefix="eval").metrics
        trainer.save_model()
        trainer.accelerator.wait_for_everyone()
        results["weights"] = digests_of_weights(run.folder)
    results |= {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    results |= {"sdd": criterion.sdd, "sdd_relative": criterion.sdd_relative}
    results["regularizer_weight"] = criterion.regularizer_weight if own.is_self_guided else None
    results["seconds_per_step"] = recorder.seconds_per_step
    trainer.accelerator.free_memory()
    return results | facts_of_arguments(own)


def choose_rate(
    args: ComparisonArguments,
    comparison: Comparison,
    run: ComparedRun,
    settings: CommonSettings,
    rates: Sequence[float],
    say: Callable[..., None],
    ground_distance: str | None,
) -> float:
    """The learning rate that gives the least mean absolute error on the validation data; the test data stay away.

    Each is tried once, with the first seed; all seeds of a loss share the choice. One that runs into NaN or infinite
    values counts as the worst.

    Args:
        args: the command line.
        comparison: the data and the network.
        run: for which it is chosen.
        settings: by which a trial that lies there is known.
        rates: to choose from.
        say: prints on the first rank.
        ground_distance: as for :func:`train_and_test`.

    Raises:
        ValueError: none could be trained.
    """
    found = {}
    for rate in rates:
        folder = run.folder.parent / "select" / f"rate_1e{math.log10(rate):g}"
        earlier = broadcast_object_list([None if args.redo else read_json(folder / RESULTS)])[0]
        if earlier is None or earlier["settings"] != settings.of(run):
            trial = copy.copy(args)
            trial.nan_policy, trial.save_strategy, trial.eval_strategy = "skip", "no", "no"
            trial.load_best_model_at_end = False
            place = ComparedRun(run.loss, args.seed, folder)
            value = None
            try:
                results = train_and_test(trial, comparison, place, rate, ground_distance, is_trial=True)
                value = None if results["non_finite"] else results["validation_mae"]
            except ValueError as error:
                if "finite" not in str(error):
                    raise
                logger.warning("A trial of %s failed: %s", run, error)
            earlier = {"value": value, "metric": "validation_mae", "settings": settings.of(run)}
            if args.should_save:
                write_json(folder / RESULTS, earlier)
        found[rate] = math.inf if earlier["value"] is None else earlier["value"]
        told = f"{found[rate]:.3f}" if math.isfinite(found[rate]) else "failed"
        say(f"{run.loss}, learning rate {rate:.2g}: MAE {told} on the validation data")
    best = min(found, key=found.__getitem__)
    if not math.isfinite(found[best]):
        raise ValueError(
            f"no learning rate of {', '.join(f'{rate:.2g}' for rate in rates)} could be trained with {run}: each ran "
            "into NaN or infinite values. Look for them in the data, or give a number."
        )
    return best
