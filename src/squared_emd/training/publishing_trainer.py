"""A Trainer that pushes a model, its D and a card to the Hub, and nothing else."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, HfApi
from torch import Tensor
from transformers.trainer_utils import EvalLoopOutput, HubStrategy
from transformers.utils.hub import PushInProgress

from ..hub.card import write_card
from ..hub.results import facts_of_training, fingerprint
from ..hub.upload import UploadError, create_repository, files_to_upload, upload_model
from .first_rank import on_first_rank
from .resumable_trainer import ResumableTrainer

__all__ = ["PublishingTrainer"]

logger = logging.getLogger(__name__)


class PublishingTrainer(ResumableTrainer):
    """A `ResumableTrainer` whose `push_to_hub` uploads weights, config with D, processor, card and figures.

    Where the upload fails, the first rank raises an `UploadError` that says how to try again; the output folder is
    whole.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.evaluated: dict[str, tuple[dict[str, float], int]] = {}  # fingerprint of the weights -> metrics and rows
        self._evaluation: tuple[dict[str, float], int] = {}, 0
        self._saved = ""  # fingerprint of the weights in the output folder
        super().__init__(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """As `Trainer`; what came out is kept for the card.

        Args:
            args: as `Trainer` takes them.
            kwargs: as `Trainer` takes them.
        """
        output = super().evaluation_loop(*args, **kwargs)
        of_time = ("eval_loss", "eval_model_preparation_time")
        metrics = {name: value for name, value in output.metrics.items() if name not in of_time}
        self._evaluation = metrics, output.num_samples
        return output

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As `Trainer`.

        Args:
            logs: the values to log.
            start_time: when training began.
        """
        if "eval_loss" in logs:  # a prediction is not logged
            self.evaluated[fingerprint(self.model)] = self._evaluation
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if output_dir in (None, self.args.output_dir):
            self._saved = fingerprint(self.model)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """As `Trainer`, with its error on all ranks.

        Args:
            token: default: `hub_token`, or the one that is stored.
            private: of a new repository; default: `hub_private_repo`.

        Raises:
            UploadError: the repository cannot be made.
        """
        args = self.args
        self.push_in_progress = None
        self.hub_model_id = on_first_rank(
            lambda: create_repository(
                args.hub_model_id or Path(args.output_dir).absolute().name,
                args.output_dir,
                token=args.hub_token if token is None else token,
                private=args.hub_private_repo if private is None else private,
            ),
            UploadError,
        )

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> CommitInfo | Future | None:
        """As `Trainer`; what goes to the Hub is `squared_emd.hub.upload.files_to_upload` of the output folder.

        To be called on all ranks; the first one uploads.

        Args:
            commit_message: of the commit.
            blocking: wait for the upload. Else a failure is logged, and raised by the `result()` of what is returned.
            token: default: `hub_token`, or the one that is stored.
            revision: a branch; default: `hub_revision`, or main.
            private: of a new repository; default: `hub_private_repo`.
            kwargs: for :meth:`create_model_card`.

        Returns:
            The commit, or a Future of it; None on the other ranks.

        Raises:
            UploadError: the upload failed; the message says how to try again. On the first rank.
        """
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        self._finish_current_push()  # it reads what is written now
        self.save_model(_internal_call=True)

        def upload() -> CommitInfo | Future:
            self.create_model_card(**kwargs)
            options = {"token": token or self.args.hub_token, "revision": revision or self.args.hub_revision}
            options["message"] = commit_message or "End of training"
            if blocking:
                return upload_model(self.args.output_dir, self.hub_model_id, **options)
            return self._upload_later(HfApi(), options)

        return upload() if self.is_world_process_zero() else None

    def create_model_card(
        self,
        language: str | None = None,
        license: str | None = None,
        tags: str | list[str] | None = None,
        model_name: str | None = None,
        finetuned_from: str | None = None,
        tasks: str | list[str] | None = None,
        dataset_tags: str | list[str] | None = None,
        dataset: str | list[str] | None = None,
        dataset_args: str | list[str] | None = None,
    ) -> None:
        """Write the card of the model into the output folder, on the first rank.

        The figures on it are those of the last evaluation of these very weights. A card that was written by hand
        stays. `model_name`, `tasks`, `dataset` and `dataset_args` are not used. A module without a config gets no card.

        Args:
            language: for the card's metadata.
            license: of the weights, as the Hub names it; default: none is stated.
            tags: for the metadata, besides ours.
            finetuned_from: the model that was fine-tuned, for the metadata.
            dataset_tags: names of data sets on the Hub, for the metadata.
        """
        if not self.is_world_process_zero():
            return
        folder, results = self.args.output_dir, facts_of_training(self)
        given = {"language": language, "tags": tags, "base_model": finetuned_from, "datasets": dataset_tags}
        if not Path(folder, "config.json").is_file():
            return None  # a module that is no model of transformers: nobody knows how to load it
        if self._saved != fingerprint(self.model):  # other weights lie there than were evaluated
            results = _without_metrics(results)
        metadata = {name: value for name, value in given.items() if value is not None}
        try:
            write_card(folder, repo_id=self.hub_model_id, results=results, license=license, metadata=metadata)
        except ValueError as error:
            logger.warning("The metrics do not go on the card: %s", error)
            results = _without_metrics(results)
            write_card(folder, repo_id=self.hub_model_id, results=results, license=license, metadata=metadata)

    def _upload_later(self, api: HfApi, options: dict[str, Any]) -> Future:
        job = api.run_as_future(upload_model, self.args.output_dir, self.hub_model_id, **options)
        job.add_done_callback(_log_failure)
        return job

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        self._mark_whole(checkpoint_folder)  # what is uploaded can be resumed
        args = self.args
        if not self.is_world_process_zero() or args.hub_strategy == HubStrategy.END:
            return
        whole = args.hub_strategy in (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS)
        if self.push_in_progress is not None and not self.push_in_progress.is_done():
            if not args.hub_always_push and not whole:
                return
            self.push_in_progress.wait_until_done()  # it reads what is copied now, or a checkpoint that may go now
        self.callback_handler.on_push_begin(args, self.state, self.control)
        message = f"Training in progress, step {self.state.global_step}"
        try:
            for name in files_to_upload(checkpoint_folder):  # a checkpoint may be deleted while it is uploaded
                shutil.copy(Path(checkpoint_folder, name), Path(args.output_dir, name))
            self._saved = fingerprint(self.model)
            self.create_model_card()
        except (OSError, ValueError) as error:  # training goes on
            logger.error("%s is not pushed: %s", checkpoint_folder, error)
            return
        api = HfApi(token=args.hub_token)  # uploads one after the other
        options = {"token": args.hub_token, "revision": args.hub_revision, "message": message}
        jobs = [self._upload_later(api, options)]
        if whole:  # as Trainer
            last = args.hub_strategy == HubStrategy.CHECKPOINT
            job = api.upload_folder(
                repo_id=self.hub_model_id,
                folder_path=checkpoint_folder,
                path_in_repo="last-checkpoint" if last else Path(checkpoint_folder).name,
                commit_message=f"{message}, checkpoint",
                run_as_future=True,
                revision=args.hub_revision,
            )
            job.add_done_callback(_log_failure)
            jobs.append(job)
        self.push_in_progress = PushInProgress(jobs)


def _without_metrics(results: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.items() if not name.startswith("eval_") and name != "num_test"}


def _log_failure(job: Future) -> None:
    if not job.cancelled() and job.exception() is not None:
        logger.error("%s", job.exception())
