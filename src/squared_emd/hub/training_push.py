"""From a `Trainer` to the Hub: the card of what it trained, and its checkpoints while it trains."""

from __future__ import annotations

import inspect
import logging
import os
import re
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from transformers import Trainer
from transformers.trainer_utils import HubStrategy, has_length
from transformers.utils.hub import PushInProgress

from ..ground_distance.files import write_aside
from .card import write_card
from .main_process import on_main_process
from .results import facts_of_arguments
from .upload import UploadError, create_repository, files_to_upload, upload_model

logger = logging.getLogger(__name__)


def write_card_of_training(trainer: Any, *args: Any, **kwargs: Any) -> None:
    """Write the card of what was saved in the output folder; takes what `Trainer.create_model_card` does."""
    folder = trainer.args.output_dir
    if not trainer.is_world_process_zero() or not Path(folder, "config.json").is_file():
        return
    results = facts_of_training(trainer)
    if trainer.saved_weights != trainer.weights_version:  # other weights were saved than were evaluated
        results = _without_metrics(results)
    given = inspect.signature(Trainer.create_model_card).bind(trainer, *args, **kwargs).arguments
    fields = {"language": "language", "tags": "tags", "finetuned_from": "base_model", "dataset_tags": "datasets"}
    metadata = {field: given[name] for name, field in fields.items() if given.get(name) is not None}
    options = {"repo_id": trainer.hub_model_id, "license": given.get("license"), "metadata": metadata}
    try:
        write_card(folder, results=results, **options)
    except ValueError as error:
        logger.warning("The metrics do not go on the card: %s", error)
        write_card(folder, results=_without_metrics(results), **options)


def facts_of_training(trainer: Any) -> dict[str, Any]:
    """What an `EMDTrainer` knows of its run, with the keys of `all_results.json`; metrics of its weights now alone."""
    args, state = trainer.args, trainer.state
    evaluations = trainer.evaluated.get(trainer.weights_version, {}).values()  # several, of as many sets
    facts = facts_of_arguments(args) | {"num_test": sum(number for _, number in evaluations) or None}
    for metrics, _ in evaluations:
        facts |= metrics
    facts["intervals"] = trainer.calibrated.get(trainer.weights_version)
    name = getattr(getattr(trainer.model, "config", None), "_name_or_path", "")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not os.path.isdir(name):
        facts["model"] = name  # A repository of the Hub.
    if state.global_step == 0:
        return {name: value for name, value in facts.items() if name not in ("batch_size", "optimizer")}
    return facts | {
        "loss": args.loss,
        "learning_rate": args.learning_rate,
        "epochs": state.epoch,
        "seed": args.seed,
        "num_train": len(trainer.train_dataset) if has_length(trainer.train_dataset) else None,
    }


def create_repository_of_training(trainer: Any, token: str | None = None, private: bool | None = None) -> None:
    """Create the repository that the arguments of an `EMDTrainer` name, or its output folder; sets `hub_model_id`."""
    args = trainer.args
    trainer.push_in_progress = None
    trainer.hub_model_id = on_main_process(
        lambda: create_repository(
            args.hub_model_id or Path(args.output_dir).absolute().name,
            args.output_dir,
            token=args.hub_token if token is None else token,
            private=args.hub_private_repo if private is None else private,
        ),
        UploadError,
    )


def push_training(
    trainer: Any,
    commit_message: str | None = "End of training",
    blocking: bool = True,
    token: str | None = None,
    revision: str | None = None,
    private: bool | None = None,
    **kwargs: Any,
) -> CommitInfo | Future | None:
    """Save the model of an `EMDTrainer`, write its card and upload the output folder: `Trainer.push_to_hub`."""
    args = trainer.args
    trainer.callback_handler.on_push_begin(args, trainer.state, trainer.control)
    if trainer.hub_model_id is None:
        trainer.init_hf_repo(token=token, private=private)
    trainer._finish_current_push()  # it reads the files that are replaced now
    trainer.save_model(_internal_call=True)
    options = {"token": token or args.hub_token, "revision": revision or args.hub_revision}
    options["message"] = commit_message or "End of training"
    pushed = []

    def push() -> None:
        trainer.create_model_card(**kwargs)
        if blocking:
            pushed.append(upload_model(args.output_dir, trainer.hub_model_id, **options))
        else:
            pushed.append(_push_later(HfApi(), trainer, **options))

    on_main_process(push, UploadError)
    return pushed[0] if pushed else None


def push_checkpoint(trainer: Any, checkpoint: str) -> None:
    """Upload the model of a complete checkpoint in the background, as `hub_strategy` says; a failure is logged."""
    args = trainer.args
    if not trainer.is_world_process_zero() or args.hub_strategy == HubStrategy.END:
        return
    with_optimizer = args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS)
    if trainer.push_in_progress is not None and not trainer.push_in_progress.is_done():
        if not args.hub_always_push and not with_optimizer:
            return
        trainer.push_in_progress.wait_until_done()  # it reads the files that are replaced or deleted now
    trainer.callback_handler.on_push_begin(args, trainer.state, trainer.control)
    message = f"Training in progress, step {trainer.state.global_step}"
    try:
        for name in files_to_upload(checkpoint):  # a checkpoint may be deleted while it is uploaded
            with write_aside(Path(args.output_dir, name)) as path:
                shutil.copy(Path(checkpoint, name), path)
        trainer.saved_weights = trainer.weights_version
        trainer.create_model_card()
    except (OSError, ValueError) as error:
        logger.error("%s is not pushed: %s", checkpoint, error)
        return
    api = HfApi(token=args.hub_token)  # uploads one after the other
    jobs = [_push_later(api, trainer, token=args.hub_token, revision=args.hub_revision, message=message)]
    if with_optimizer:  # as Trainer
        is_last = args.hub_strategy == HubStrategy.CHECKPOINT
        job = api.upload_folder(
            repo_id=trainer.hub_model_id,
            folder_path=checkpoint,
            path_in_repo="last-checkpoint" if is_last else Path(checkpoint).name,
            commit_message=f"{message}, checkpoint",
            run_as_future=True,
            revision=args.hub_revision,
        )
        job.add_done_callback(_log_failure)
        jobs.append(job)
    trainer.push_in_progress = PushInProgress(jobs)


def _push_later(api: HfApi, trainer: Any, **options: Any) -> Future:
    """Upload the output folder in the background; a failure is logged, and raised by `result()`."""
    job = api.run_as_future(upload_model, trainer.args.output_dir, trainer.hub_model_id, **options)
    job.add_done_callback(_log_failure)
    return job


def _without_metrics(results: dict[str, Any]) -> dict[str, Any]:
    measured = ("num_test", "intervals")
    return {name: value for name, value in results.items() if not name.startswith("eval_") and name not in measured}


def _log_failure(job: Future) -> None:
    if not job.cancelled() and job.exception() is not None:
        logger.error("%s", job.exception())
