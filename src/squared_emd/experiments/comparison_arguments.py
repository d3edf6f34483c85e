"""The command line of the recipes that compare losses on data of any kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..training.arguments import LOSSES, EMDTrainingArguments
from .several_losses import SeveralLosses, number_or_select

__all__ = ["RATES", "ComparisonArguments"]

RATES = tuple(10**exponent for exponent in (-2, -2.5, -3, -3.5, -4, -4.5, -5))


@dataclass
class ComparisonArguments(SeveralLosses, EMDTrainingArguments):
    """The fields of `EMDTrainingArguments`, and those of a comparison of losses.

    A recipe adds its own fields in a subclass.

    Attributes:
        losses: the losses, in order.
        rate: the learning rate given, else None.
        select_rate: whether the learning rate is chosen on the validation data.

    Raises:
        ValueError: a field is out of its range, or does not go with one of the losses.
    """

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "A data set of the Hub, a folder that load_dataset or load_from_disk reads, or a .csv, .tsv, "
            ".json, .jsonl or .parquet file. Default: a small generated one in its place."
        },
    )
    label_column: str | None = field(default=None, metadata={"help": "Default: label."})
    group_column: str | None = field(
        default=None, metadata={"help": "Rows of one group, as of one person, never part in a split. Default: group."}
    )
    classes: list[str] | None = field(
        default=None,
        metadata={"help": "Names of the classes in order. Default: as the data have them, else sorted."},
    )
    loss: str = field(
        default="xemd2",
        metadata={"help": f"{', '.join(LOSSES)}; several with commas and no spaces, as xe,emd; or all, each in turn."},
    )
    seeds: int = field(default=1, metadata={"help": "How many runs of each loss, at seed, seed + 1 and so on."})
    learning_rate: str | None = field(
        default=None,
        metadata={
            "help": "A number, or select: the best of seven, 10^-2 to 10^-5, on the validation data, for each loss. "
            "Default: one for each loss."
        },
    )
    redo: bool = field(default=False, metadata={"help": "Train again what is done, or was done with other settings."})
    output_dir: str | None = field(
        default=None, metadata={"help": "Where all is written. What lies there already is not trained again."}
    )
    num_train_epochs: float = 10
    per_device_train_batch_size: int = 32
    per_device_eval_batch_size: int = 64
    eval_strategy: str = "epoch"  # on the validation data
    logging_strategy: str = "epoch"
    save_strategy: str = "no"
    save_total_limit: int | None = 1  # they are deleted when the run is done

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}.")
        self.take_losses()
        self.select_rate, self.rate = number_or_select("learning_rate", self.learning_rate)
        self.learning_rate = 1e-3 if self.rate is None else self.rate
        if self.push_to_hub:
            raise ValueError(
                "a comparison pushes none of its runs. Push the folder of the one you chose: "
                "python -m squared_emd push FOLDER REPOSITORY"
            )
        if self.load_best_model_at_end and self.metric_for_best_model is None:
            self.metric_for_best_model, self.greater_is_better = "eval_mae", False  # the losses have no common scale
        given = self.for_the_last_loss()
        super().__post_init__()
        self.check_each_loss(given)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False  # else PyTorch warns of it

    @property
    def run_seeds(self) -> range:
        """The seeds of the runs."""
        return range(self.seed, self.seed + self.seeds)
