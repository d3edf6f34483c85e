"""Your own images: an image folder, a CSV file or a dataset of the Hub, with ordered classes or without an order.

On drawn faces:  accelerate launch recipes/own_data.py
On your own:     accelerate launch recipes/own_data.py --data_dir PATH_OR_HUB_NAME --classes LOWEST ... HIGHEST
                 --learning_rate select --output_dir DIR
The data:        a folder <class>/<image> or train|validation|test/<class>/<image>; a CSV file with the columns
                 image and label, or image and one column of votes for each of --classes; a dataset of the Hub
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import ColumnArguments, ImageArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, from the paper's grid (section 4.1). Those for the small network were chosen on validation
# people of the drawn faces (docs/learning_rates.md). Nobody has chosen any for your data: --learning_rate select does.
SMALL_RATES = dict.fromkeys(("xe", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2) | dict.fromkeys(("reg", "emd"), 10**-2.5)
YOUR_RATES = dict.fromkeys(SMALL_RATES, 10**-3)  # for fine-tuning
YOUR_MODEL = "res_f"
VALIDATION_SHARE = 0.2


@dataclass
class OwnDataArguments(ImageArguments, ColumnArguments):
    """The command line of every recipe, and what one's own data need."""

    cpu_seconds: ClassVar[int] = 200
    outputs: ClassVar[tuple[str, str]] = ("outputs/own_data", "outputs/drawn_own_data")

    num_faces: int = HfArg(default=600, help="How many faces to draw where there is no data_dir.")
    unordered: bool = HfArg(default=False, help="The classes have no order: no reg, no emd, no AEO.")
    image_column: str | None = HfArg(default=None, help="Default: image, path or file_name.")

    def __post_init__(self) -> None:
        if self.unordered:
            self.all_losses = tuple(loss for loss in self.all_losses if loss not in ("reg", "emd"))
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(OwnDataArguments)

    # 2. The images.
    from squared_emd.data.adience import AGE_GROUPS
    from squared_emd.data.labeled_data import load_labeled_data
    from squared_emd.data.splits import class_table
    from squared_emd.data.synthetic.drawn_people import LABELS_FILE, draw_faces

    with user_errors(), args.main_process_first():
        source = args.data_dir or draw_faces(num_faces=args.num_faces) / LABELS_FILE
        classes = args.classes or (None if args.data_dir else AGE_GROUPS)
        images, class_names = load_labeled_data(
            source,
            "images",
            ordered=not args.unordered,
            columns=args.image_column,
            skip_bad_images=args.skip_bad_images,
            **args.columns | {"classes": classes},
        )
        images = args.stored(images)
    order = "without an order" if args.unordered else "in the order " + ", ".join(class_names)
    print_on_main(f"{len(images)} images of {len(class_names)} classes {order}, from {source}.")
    print_on_main(partial(class_table, images, class_names))
    if not args.data_dir:
        print_on_main("These are DRAWN faces, made by this program, no photographs. For your own give --data_dir.")

    # 3. The protocol: your test split, or a fifth cut off; what is chosen is chosen on your validation split, or on a
    #    part cut from the training side.
    from datasets import Dataset

    from squared_emd.experiments.experiment import Experiment, Samples, ordered_samples
    from squared_emd.experiments.networks import image_network
    from squared_emd.experiments.runner import run_table
    from squared_emd.metrics import top_k_metrics
    from squared_emd.vision.networks import SMALL

    def unordered_samples(train: Dataset, test: Dataset, loss: str) -> Samples:
        return Samples(train, test, class_names, top_k_metrics())

    default = YOUR_MODEL if args.data_dir else SMALL
    experiment = Experiment.of_splits(
        images,
        class_names,
        table="own_data",
        data="own data" if args.data_dir else "drawn faces",
        stand_in=not args.data_dir,
        validation_share=VALIDATION_SHARE,
        samples=unordered_samples if args.unordered else ordered_samples(class_names),
        model=default,
        rates=SMALL_RATES if set(args.model or [default]) == {SMALL} else YOUR_RATES,
        selected_by="eval_top_1_error" if args.unordered else "eval_mae",
        build=image_network(args),
    )

    # 4. One run a network, loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
