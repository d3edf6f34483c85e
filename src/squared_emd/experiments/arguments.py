"""The command lines of recipes: what all share, and what those on images, texts, sounds and tables add."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from transformers.hf_argparser import HfArg

from ..training.argument_checks import LOSSES_OF_FIELDS
from ..training.arguments import LOSSES, EMDTrainingArguments

if TYPE_CHECKING:
    from datasets import Dataset

# Which losses an option is meant for where several are trained; a D is that of xemd where there is no a-emd, and a
# geometry also that of a self-guided loss that takes it as a prior.
_PLACES = {"ground_distance": ("a-emd", "xemd"), "spacing": ("emd", "xemd"), "geometry": ("emd", "xemd")}
_LOSSES_OF_OPTIONS = _PLACES | LOSSES_OF_FIELDS


@dataclass
class ExperimentArguments(EMDTrainingArguments):
    """The fields of `EMDTrainingArguments`, and those of a table of runs.

    A recipe adds its fields in a subclass and sets the class attributes there. `folds`, `losses` and `run_seeds` are
    those asked for, in order. A field that is out of its range, or does not fit one of the losses, is a ValueError.
    """

    num_folds: ClassVar[int] = 1
    has_validation_data: ClassVar[bool] = False  # its own split, reported as `validation_...`; folders name no fold
    all_losses: ClassVar[tuple[str, ...]] = LOSSES  # that fit the classes
    told_by_variant: ClassVar[tuple[str, ...]] = ()  # fields of the recipe that `Experiment.variant` already tells
    cpu_seconds: ClassVar[int | None] = None  # that the recipe takes without any option, measured
    outputs: ClassVar[tuple[str, str]] = ("outputs", "outputs")  # with data of the user's, and without
    epochs: ClassVar[tuple[float, float]] = (10, 10)  # the same
    seeds_with_data: ClassVar[int] = 3  # and 3 without

    loss: str = HfArg(
        default="xe,xemd",
        help=f"{', '.join(LOSSES)}; several with commas and no spaces, as xe,emd; or all, each in turn.",
    )
    fold: str = HfArg(default="0", help="The fold to test on, or all.")
    seeds: int | None = HfArg(
        default=None,
        help="How many runs, at seed, seed + 1 and so on. Default: 3; with a --data_dir of Adience, Images of "
        "Groups, AADB or ImageNet 1, as a run is long; a verdict needs 3, whatever the folds.",
    )
    learning_rate: str | None = HfArg(
        default=None,
        help="A number; select: the best of three on validation data, for each network, loss and fold; or a "
        "list to select from, as select:1e-2,1e-3. Default: one for each loss.",
    )
    entropic_strength: str = HfArg(
        default="10", help="Of a-emd: a number; select: 0.1, 1 or 10, on validation data; or a list, as select:1,10."
    )
    select_seeds: int = HfArg(default=1, help="Seeds of each trial of select; the mean over them decides.")
    early_stopping_patience: int | None = HfArg(
        default=None,
        help="Stop after so many epochs without a better result on validation data, and test the model of the "
        "best epoch. Counts after the jump start. Default: train all epochs.",
    )
    metric: Literal["mae", "aem", "aeo"] = HfArg(
        default="mae",
        help="What the rule that decides between the classes (likeliest class, median ...) is chosen by, on validation "
        "data where there are any.",
    )
    validate: bool = HfArg(default=False, help="Test on validation data, never on the test data.")
    all_rows: bool = HfArg(default=False, help="Show the rows of the paper's table that nobody ran, as 'not run'.")
    dry_run: bool = HfArg(default=False, help="List the runs, and which of them are done; train nothing.")
    hub_license: str | None = HfArg(
        default=None, help="License of the weights for their card, as the Hub names it: apache-2.0 ..."
    )
    redo: bool = HfArg(
        default=False,
        help="Train again what is done, or was done with other settings. To continue such a table, leave it out.",
    )
    output_dir: str | None = HfArg(
        default=None, help="Where all is written. What lies there already is not trained again."
    )
    num_train_epochs: float | None = None
    disable_tqdm: bool | None = HfArg(default=True, help="No progress bars; each epoch is a line. False: bars too.")
    per_device_train_batch_size: int = 32
    per_device_eval_batch_size: int = 64
    eval_strategy: str = "epoch"
    logging_strategy: str = "epoch"
    save_strategy: str = "no"
    save_total_limit: int | None = 1  # they are deleted when the run is done

    def __post_init__(self) -> None:
        if self.fold not in (*map(str, range(self.num_folds)), "all"):
            span = "0" if self.num_folds == 1 else f"0 .. {self.num_folds - 1}"
            raise ValueError(f"fold must be {span} or all, got {self.fold!r}.")
        self.folds = range(self.num_folds) if self.fold == "all" else [int(self.fold)]
        if self.seeds is None:
            self.seeds = self.seeds_with_data if self.has_data else 3
        for name in ("seeds", "select_seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        self.output_dir = self.output_dir or self.outputs[not self.has_data]
        if self.num_train_epochs is None:
            self.num_train_epochs = self.epochs[not self.has_data]
        self._set_losses()
        self.candidate_rates, self.rate = _number_or_select("learning_rate", self.learning_rate)
        self.candidate_strengths, strength = _number_or_select("entropic_strength", self.entropic_strength)
        self.entropic_strength = 10.0 if strength is None else strength
        self.learning_rate = 1e-3 if self.rate is None else self.rate
        self._check_selection()
        self._check_hub()
        self.dataloader_persistent_workers = self.dataloader_num_workers > 0
        self._blends = self.prior_weight is not None
        given = {name: getattr(self, name) for name in _LOSSES_OF_OPTIONS}
        self._check_places()
        vars(self).update(self.options_of(self.loss))
        super().__post_init__()
        self._check_each_loss(given)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # else PyTorch warns of it

    def _set_losses(self) -> None:
        self.losses = self.all_losses if self.loss == "all" else tuple(dict.fromkeys(self.loss.split(",")))
        for loss in self.losses:
            if loss not in LOSSES:
                raise ValueError(
                    f"loss must be {', '.join(LOSSES)}, several of them with commas, or all, got {loss!r}."
                )
            if loss not in self.all_losses:
                raise ValueError(
                    f"the loss {loss} needs classes in an order, which these have not; "
                    f"take one of {', '.join(self.all_losses)}."
                )
        self.loss = self.losses[-1]

    def _check_selection(self) -> None:
        """Refuse options that would choose an epoch on the test data."""
        if self.early_stopping_patience is not None:
            if self.early_stopping_patience < 1:
                raise ValueError(
                    f"early_stopping_patience must be at least 1 epoch, got {self.early_stopping_patience}."
                )
            self.eval_strategy = self.save_strategy = "epoch"
            self.save_total_limit, self.load_best_model_at_end = 1, True
        elif self.has_validation_data:
            if self.load_best_model_at_end and self.metric_for_best_model is None:
                self.metric_for_best_model, self.greater_is_better = "eval_mae", False  # the losses differ in scale
        elif self.chooses_epoch:
            raise ValueError(
                "load_best_model_at_end, save_strategy best and lr_scheduler_type reduce_lr_on_plateau would choose by "
                "the test data; choose an epoch on validation data with early_stopping_patience."
            )

    def _check_hub(self) -> None:
        if self.hub_license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.hub_license):
            raise ValueError(
                f"hub_license must be an id of the Hub, as apache-2.0 or cc-by-4.0; got {self.hub_license!r}."
            )
        if self.push_to_hub and self.hub_model_id is None:
            raise ValueError("push_to_hub needs hub_model_id, the repository, as in --hub_model_id me/age.")
        if self.push_to_hub and self.hub_strategy in ("checkpoint", "all_checkpoints"):
            raise ValueError(
                f"hub_strategy must be end or every_save, got {self.hub_strategy!r}: a recipe pushes finished runs, no "
                "checkpoints."
            )

    def _check_places(self) -> None:
        """Refuse what says where the classes lie, and none of several losses takes."""
        for name, losses in _PLACES.items():
            if getattr(self, name) is not None and all(name in self.options_of(loss) for loss in self.losses):
                raise ValueError(
                    f"{name} is for the losses {' and '.join(losses)} where several are trained, got "
                    f"{','.join(self.losses)}. Leave it out, or train the loss that it is meant for alone."
                )

    def _check_each_loss(self, given: dict[str, Any]) -> None:
        """Check the fields as each loss gets them, before any is trained, and put back what was given."""
        for loss in self.losses:
            self.loss = loss
            vars(self).update(given)
            vars(self).update(self.options_of(loss))
            self.check_fields()
            if self.max_steps < 0:
                self.check_jump_start(self.num_train_epochs)
        vars(self).update(given)

    def options_of(self, loss: str) -> dict[str, Any]:
        """The options that one of the losses gets in place of those that were given: name -> value.

        Of several losses each keeps what is meant for it: a ground distance is that of a-emd, or else of xemd; xemd1
        and xemd2 learn theirs, blended with a geometry where `prior_weight` is given. The classes of xemd lie on a line
        where they are ordered and nothing else was given.
        """
        options: dict[str, Any] = {}
        if len(self.losses) > 1:
            kept = {"geometry", "spacing"} if self._blends and loss in ("xemd1", "xemd2") else set()
            others = {name for name, losses in _LOSSES_OF_OPTIONS.items() if loss not in losses}
            others |= {"ground_distance"} if loss == "xemd" and "a-emd" in self.losses else set()
            options = {name: getattr(EMDTrainingArguments, name) for name in others - kept}
        ground_distance = options.get("ground_distance", self.ground_distance)
        if loss == "xemd" and "emd" in self.all_losses and self.geometry is None and ground_distance is None:
            options["geometry"] = "line"
        return options

    @property
    def needs_order(self) -> bool:
        """Whether one of the losses is computed from the order of the classes."""
        geometries = {loss: self.options_of(loss).get("geometry", self.geometry) for loss in self.losses}
        along = {"line", "circle"} & set(geometries.values())
        return bool(along) or "reg" in self.losses or geometries.get("emd", "none of the losses") is None

    @property
    def has_data(self) -> bool:
        """Whether the user gave data; without them a recipe makes some."""
        return bool(getattr(self, "data_dir", None) or getattr(self, "dataset", None))

    @property
    def chooses_epoch(self) -> bool:
        """Whether the epoch whose model is tested, or when to lower the rate, is chosen by an evaluation."""
        by_plateau = self.lr_scheduler_type == "reduce_lr_on_plateau"
        return self.load_best_model_at_end or self.save_strategy == "best" or by_plateau

    @property
    def run_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    def check_steps(self, num_train: int) -> None:
        """Refuse `max_steps` that end within the jump start of one of the losses, before any of them is trained."""
        if self.max_steps > 0:
            batches = math.ceil(num_train / (self.train_batch_size * self.world_size))
            steps = math.ceil(batches / self.gradient_accumulation_steps)
            for loss in self.losses:
                self.loss = loss
                self.check_jump_start(self.max_steps / steps)


@dataclass
class ImageArguments(ExperimentArguments):
    """The command line of a recipe on images, with the paper's optimizer."""

    epochs: ClassVar[tuple[float, float]] = (30, 15)

    data_dir: str | None = HfArg(default=None, help="Where the dataset lies. Default: a small drawn one in its place.")
    skip_bad_images: bool = HfArg(default=False, help="Go on without images that cannot be read.")
    small_pictures: int | None = HfArg(
        default=None,
        help="Store each image once, in the user's cache, with so many pixels on its shorter side, and read "
        "that: 256 where the network takes 224. Default: read the images themselves.",
    )
    small_quality: int | None = HfArg(
        default=None, help="Store them as JPEG of this quality, as 95, in less space. Default: their pixels."
    )
    model: list[str] | None = HfArg(
        default=None,
        help="One network or several: alxs, alx, vgg_f, res, res_f, small, any timm/<model> or Hub image "
        "classifier. Default: res_f; for drawn images small.",
    )
    from_scratch: bool = HfArg(default=False, help="Random weights.")
    num_train_epochs: float | None = HfArg(default=None, help="Default: 30; drawn images: 15.")
    optim: str = "sgd"  # section 4.1, as the momentum
    optim_args: str | None = "momentum=0.98"
    remove_unused_columns: bool = False  # the transform makes the inputs from the images
    dataloader_num_workers: int = 1

    def __post_init__(self) -> None:
        if self.small_pictures is not None and self.small_pictures < 1:
            raise ValueError(f"small_pictures must be at least 1 pixel, got {self.small_pictures}.")
        if self.small_quality is not None and self.small_pictures is None:
            raise ValueError("small_quality needs small_pictures: how many pixels the shorter side is to have.")
        super().__post_init__()

    def stored(self, images: Dataset) -> Dataset:
        """The images as they are read: smaller ones, stored once, where `small_pictures` asks for them."""
        from ..data.image_cache import small_images

        return small_images(images, self.small_pictures, quality=self.small_quality) if self.small_pictures else images


@dataclass
class ColumnArguments(ExperimentArguments):
    """How data of the user's say what they hold."""

    label_column: str | None = HfArg(default=None, help="Default: label.")
    group_column: str | None = HfArg(
        default=None, help="Rows of one group, as of one person, never part in a split. Default: group."
    )
    classes: list[str] | None = HfArg(
        default=None, help="Names of the classes in order. Default: as the data have them, else sorted."
    )
    skip_incomplete: bool = HfArg(default=False, help="Go on without rows that lack an input, a label or a group.")

    @property
    def columns(self) -> dict[str, Any]:
        """What the readers of `squared_emd.data` take of these."""
        names = ("label_column", "group_column", "classes", "needs_order", "skip_incomplete")
        return {name: getattr(self, name) for name in names}


@dataclass
class DatasetArguments(ColumnArguments):
    """The command line of a recipe on texts, sounds or tables."""

    has_validation_data: ClassVar[bool] = True

    dataset: str | None = HfArg(
        default=None,
        help="A dataset of the Hub, a folder that load_dataset or load_from_disk reads, or a .csv, .tsv, "
        ".json, .jsonl or .parquet file. Default: a small generated one in its place.",
    )
    num_train_epochs: float | None = HfArg(default=None, help="Default: 10.")


def _number_or_select(name: str, text: str | float | None) -> tuple[tuple[float, ...] | None, float | None]:
    """The numbers to choose from, () where the default ones are and None where none is chosen; and the number given."""
    if text is None:
        return None, None
    if text == "select":
        return (), None
    is_list = str(text).startswith("select:")
    try:
        numbers = [float(number) for number in str(text).removeprefix("select:").split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < math.inf for number in numbers) or (len(numbers) > 1 and not is_list):
        raise ValueError(
            f"{name} must be a number greater than 0, select, or select with a list of such numbers, as "
            f"select:1e-2,1e-3; got {text!r}."
        )
    return (tuple(dict.fromkeys(numbers)), None) if is_list else (None, numbers[0])
