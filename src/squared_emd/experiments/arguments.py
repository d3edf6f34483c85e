"""The command line that all recipes share."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import ClassVar

from ..training.arguments import LOSSES, EMDTrainingArguments
from .several_losses import SeveralLosses, number_or_select

__all__ = ["PAPER_RATES", "PAPER_STRENGTHS", "ExperimentArguments"]

PAPER_RATES = tuple(10**exponent for exponent in (-1.5, -2, -2.5, -3, -3.5, -4, -4.5))  # section 4.1
PAPER_STRENGTHS = (0.1, 1.0, 10.0)  # of A-EMD, section 4.3


@dataclass
class ExperimentArguments(SeveralLosses, EMDTrainingArguments):
    """The fields of `EMDTrainingArguments`, with the paper's optimizer, and those of a table of runs.

    A recipe adds its own fields in a subclass, and sets the class attributes there.

    Attributes:
        num_folds: how many folds the data set has.
        all_losses: the losses that make sense for it.
        told_by_variant: names of the recipe's own fields that `Experiment.variant` tells already.
        folds: the test folds, in order.
        losses: the losses, in order.
        rate: the learning rate given, else None.
        select_rate: whether the learning rate is chosen on validation data.
        select_strength: whether the entropic strength of a-emd is.

    Raises:
        ValueError: a field is out of its range, or does not go with one of the losses.
    """

    num_folds: ClassVar[int] = 1
    all_losses: ClassVar[tuple[str, ...]] = LOSSES
    told_by_variant: ClassVar[tuple[str, ...]] = ()

    data_dir: str | None = field(
        default=None, metadata={"help": "Where the data set lies. Default: a small drawn one in its place."}
    )
    skip_bad_images: bool = field(default=False, metadata={"help": "Go on without pictures that cannot be read."})
    small_pictures: int | None = field(
        default=None,
        metadata={
            "help": "Store each picture once, in the user's cache, with so many pixels on its shorter side, and read "
            "that: 256 where the network takes 224. Default: read the pictures themselves."
        },
    )
    small_quality: int | None = field(
        default=None,
        metadata={"help": "Store them as JPEG of this quality, as 95, in less space. Default: their pixels."},
    )
    model: list[str] | None = field(
        default=None,
        metadata={
            "help": "One network or several: alxs, alx, vgg_f, res, res_f, small, any timm/<model> or Hub image "
            "classifier. Default: res_f; for drawn pictures small."
        },
    )
    from_scratch: bool = field(default=False, metadata={"help": "Random weights."})
    loss: str = field(
        default="xemd2",
        metadata={"help": f"{', '.join(LOSSES)}; several with commas and no spaces, as xe,emd; or all, each in turn."},
    )
    fold: str = field(default="0", metadata={"help": "The fold to test on, or all."})
    seeds: int = field(default=1, metadata={"help": "How many runs, at seed, seed + 1 and so on."})
    learning_rate: str | None = field(
        default=None,
        metadata={
            "help": "A number, or select: the best of the paper's seven, 10^-1.5 to 10^-4.5, on validation data cut "
            "from the training side, for each network, loss and fold. Default: one for each loss."
        },
    )
    entropic_strength: str = field(
        default="10", metadata={"help": "Of a-emd: a number, or select: 0.1, 1 or 10, on validation data."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after so many epochs without a better result on validation data cut from the training side, "
            "and test the best epoch's model. Counts after the jump start. Default: train all epochs."
        },
    )
    validate: bool = field(
        default=False, metadata={"help": "Test on data cut from the training side, never on the test data."}
    )
    dry_run: bool = field(
        default=False, metadata={"help": "Say which runs there are, which are done and how long the rest may take."}
    )
    hub_license: str | None = field(
        default=None, metadata={"help": "Licence of the weights for their card, as the Hub names it: apache-2.0 ..."}
    )
    redo: bool = field(
        default=False,
        metadata={
            "help": "Train again what is done, or was done with other settings. To continue such a table, leave it out."
        },
    )
    output_dir: str | None = field(
        default=None, metadata={"help": "Where all is written. What lies there already is not trained again."}
    )
    num_train_epochs: float = 30
    per_device_train_batch_size: int = 32
    per_device_eval_batch_size: int = 64
    optim: str = "sgd"  # section 4.1, as the momentum
    optim_args: str | None = "momentum=0.98"
    eval_strategy: str = "epoch"
    logging_strategy: str = "epoch"
    save_strategy: str = "no"
    save_total_limit: int | None = 1  # they are deleted when the run is done
    remove_unused_columns: bool = False  # the transform makes the inputs from the pictures
    dataloader_num_workers: int = 1

    def __post_init__(self) -> None:
        names = [str(fold) for fold in range(self.num_folds)]
        if self.fold not in (*names, "all"):
            span = "0" if self.num_folds == 1 else f"0 .. {self.num_folds - 1}"
            raise ValueError(f"fold must be {span} or all, got {self.fold!r}.")
        self.folds = range(self.num_folds) if self.fold == "all" else [int(self.fold)]
        if self.small_pictures is not None and self.small_pictures < 1:
            raise ValueError(f"small_pictures must be at least 1 pixel, got {self.small_pictures}.")
        if self.small_quality is not None and self.small_pictures is None:
            raise ValueError("small_quality needs small_pictures: how many pixels the shorter side is to have.")
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}.")
        self.take_losses()
        self.select_rate, self.rate = number_or_select("learning_rate", self.learning_rate)
        self.select_strength, strength = number_or_select("entropic_strength", self.entropic_strength)
        self.entropic_strength = PAPER_STRENGTHS[-1] if strength is None else strength
        self.learning_rate = 1e-3 if self.rate is None else self.rate
        if self.early_stopping_patience is not None:
            if self.early_stopping_patience < 1:
                raise ValueError(
                    f"early_stopping_patience must be at least 1 epoch, got {self.early_stopping_patience}."
                )
            self.eval_strategy = self.save_strategy = "epoch"
            self.save_total_limit, self.load_best_model_at_end = 1, True
        elif self.load_best_model_at_end or self.save_strategy == "best":
            raise ValueError(
                "load_best_model_at_end and save_strategy best would choose an epoch on the test data; choose it on "
                "validation data with early_stopping_patience."
            )
        if self.lr_scheduler_type == "reduce_lr_on_plateau":
            raise ValueError("lr_scheduler_type reduce_lr_on_plateau would look at the test data; take another.")
        if self.hub_license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.hub_license):
            raise ValueError(
                f"hub_license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got {self.hub_license!r}."
            )
        if self.push_to_hub and self.hub_model_id is None:
            raise ValueError("push_to_hub needs hub_model_id, the repository, as in --hub_model_id me/age.")
        if self.push_to_hub and self.hub_strategy in ("checkpoint", "all_checkpoints"):
            raise ValueError(
                f"hub_strategy must be end or every_save, got {self.hub_strategy!r}: a recipe pushes runs that are "
                "done, no checkpoints."
            )
        self.dataloader_persistent_workers = self.dataloader_num_workers > 0
        given = self.for_the_last_loss()
        super().__post_init__()
        self.check_each_loss(given)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # else PyTorch warns of it

    @property
    def run_seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.seed, self.seed + self.seeds)

    def check_steps(self, num_train: int) -> None:
        """Refuse `max_steps` that end within the jump start of one of the losses, before any of them is trained.

        Args:
            num_train: samples an epoch.

        Raises:
            ValueError: no epoch comes after the jump start.
        """
        if self.max_steps > 0:
            batches = math.ceil(num_train / (self.train_batch_size * self.world_size))
            steps = math.ceil(batches / self.gradient_accumulation_steps)
            for loss in self.losses:
                self.loss = loss
                self.check_jump_start(math.ceil(self.max_steps / steps))
