"""A Trainer whose interrupted runs end as the uninterrupted ones, on any number of ranks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import datasets
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import PreTrainedModel, Trainer
from transformers.trainer_utils import rotate_checkpoints

from .batches import MapBatches, count_stream, mark_repeats
from .checkpoints import last_whole_checkpoint, load_weights, mark_whole, unmark, what_is_missing

__all__ = ["ResumableTrainer"]

logger = logging.getLogger(__name__)


class ResumableTrainer(Trainer):
    """`transformers.Trainer`, exact where it is interrupted and where ranks do not divide the data.

    What is random in the training data depends on the seed, the epoch and the position in it alone. A batch that
    Accelerate filled up with samples of the epoch's beginning says so. A checkpoint is whole or passed over, and the
    older ones are deleted only once it is whole. Weights come back under the names that the architecture has in files.
    """

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As `Trainer`; half-written checkpoints are passed over, with a message.

        Args:
            resume_from_checkpoint: a checkpoint, or True for the last whole one in `output_dir`.
            args: as `Trainer` takes them.
            kwargs: as `Trainer` takes them.

        Raises:
            ValueError: there is no whole checkpoint, or the one that is named is not whole.
        """
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_whole_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                raise ValueError(
                    f"resume_from_checkpoint=True needs a whole checkpoint in {self.args.output_dir}; there is none. "
                    "Start without it."
                )
        elif isinstance(resume_from_checkpoint, str):
            missing = what_is_missing(resume_from_checkpoint)
            if missing is not None:
                raise ValueError(
                    f"resume_from_checkpoint must name a whole checkpoint; {resume_from_checkpoint} is none: "
                    f"{missing}. resume_from_checkpoint=True takes the last whole one of output_dir."
                )
        return super().train(resume_from_checkpoint, *args, **kwargs)

    @property
    def batch_check(self) -> Callable[[Any], None]:
        """What raises where a training batch does not fit the model.

        It gets what the collator gave, on the CPU, and is sent to the workers of the DataLoader.
        """
        return _no_check

    def write_state(self, folder: str) -> None:
        """Write what else a checkpoint holds; called on every rank, before anything else is written.

        Args:
            folder: of the checkpoint.
        """

    def _get_dataloader(
        self, dataset: Dataset, description: str, *args: Any, is_training: bool = False, **kwargs: Any
    ) -> DataLoader:
        if not is_training:
            return super()._get_dataloader(dataset, description, *args, is_training=False, **kwargs)
        if isinstance(dataset, IterableDataset):
            loader = super()._get_dataloader(dataset, description, *args, is_training=True, **kwargs)
            count_stream(loader, self.batch_check)
            return loader
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        if self.args.train_sampling_strategy == "batch_rebalance":  # cuts its batches itself: they have no positions
            return super()._get_dataloader(dataset, description, *args, is_training=True, **kwargs)
        whole, sampler_fn = dataset, kwargs.pop("sampler_fn", None)
        if isinstance(dataset, datasets.Dataset):
            dataset = self._remove_unused_columns(dataset, description=description)
        batches = MapBatches(dataset, seed, self.batch_check)
        loader = super()._get_dataloader(
            batches,
            description,
            *args,
            is_training=True,
            sampler_fn=sampler_fn and (lambda _: sampler_fn(whole)),
            **kwargs,
        )
        batches.take_over(loader)
        return loader

    def get_batch_samples(self, epoch_iterator: Any, *args: Any) -> tuple[list, Tensor | int | None]:
        """As `Trainer`; a batch that ends with repeats says so.

        Args:
            epoch_iterator: over the epoch's batches.
            args: as `Trainer` takes them.
        """
        state = self.accelerator.gradient_state
        marked = (mark_repeats(batch, state.active_dataloader) for batch in epoch_iterator)
        return super().get_batch_samples(marked if self.accelerator.num_processes > 1 else epoch_iterator, *args)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_folder, limit = self._get_output_dir(trial=trial), self.args.save_total_limit
        folder = os.path.join(run_folder, f"checkpoint-{self.state.global_step}")
        if self.args.should_save:
            unmark(folder)
        try:
            self.args.save_total_limit = None  # the older ones go when this one is whole
            self.write_state(folder)
            super()._save_checkpoint(model, trial)
        except Exception as error:
            logger.error(
                "%s could not be written (%s: %s). The last whole one is %s: resume_from_checkpoint=True goes on from "
                "there.",
                folder,
                type(error).__name__,
                error,
                last_whole_checkpoint(run_folder),
            )
            raise
        finally:
            self.args.save_total_limit = limit
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            mark_whole(folder)
            rotate_checkpoints(run_folder, limit, self.state.best_model_checkpoint, use_mtime=True)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        model = self.model if model is None else model
        if not self._loads_as_pretrained(model, resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if not self._loads_as_pretrained(self.model, self.state.best_model_checkpoint):
            super()._load_best_model()

    def _loads_as_pretrained(self, model: nn.Module, folder: str) -> bool:
        plain = isinstance(model, PreTrainedModel) and not (self.is_fsdp_enabled or self.is_deepspeed_enabled)
        return plain and os.path.isfile(os.path.join(folder, "config.json")) and load_weights(model, folder)


def _no_check(batch: Any) -> None:
    """Any batch will do."""
