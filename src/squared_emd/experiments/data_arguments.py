"""The command lines of recipes on images, and on texts, sounds or tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from .arguments import ExperimentArguments

__all__ = ["DatasetArguments", "ImageArguments"]


@dataclass
class ImageArguments(ExperimentArguments):
    """The command line of a recipe on images, with the paper's optimizer."""

    epochs: ClassVar[tuple[float, float]] = (30, 15)

    data_dir: str | None = field(
        default=None, metadata={"help": "Where the dataset lies. Default: a small drawn one in its place."}
    )
    skip_bad_images: bool = field(default=False, metadata={"help": "Go on without images that cannot be read."})
    small_pictures: int | None = field(
        default=None,
        metadata={
            "help": "Store each image once, in the user's cache, with so many pixels on its shorter side, and read "
            "that: 256 where the network takes 224. Default: read the images themselves."
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
            "classifier. Default: res_f; for drawn images small."
        },
    )
    from_scratch: bool = field(default=False, metadata={"help": "Random weights."})
    num_train_epochs: float | None = field(default=None, metadata={"help": "Default: 30; drawn images: 15."})
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


@dataclass
class DatasetArguments(ExperimentArguments):
    """The command line of a recipe on texts, sounds or tables."""

    has_validation_data: ClassVar[bool] = True

    dataset: str | None = field(
        default=None,
        metadata={
            "help": "A dataset of the Hub, a folder that load_dataset or load_from_disk reads, or a .csv, .tsv, "
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
    skip_incomplete: bool = field(
        default=False, metadata={"help": "Go on without rows that lack a text, a sound, a label or a group."}
    )
    num_train_epochs: float | None = field(default=None, metadata={"help": "Default: 10."})

    @property
    def columns(self) -> dict[str, Any]:
        """What the readers of `squared_emd.data` take of these."""
        names = ("label_column", "group_column", "classes", "needs_order", "skip_incomplete")
        return {name: getattr(self, name) for name in names}
