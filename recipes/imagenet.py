"""ImageNet, whose classes have no order (Hou et al. 2016, section 4.7: Table 5, SDD), or drawn shapes without any data.

On drawn shapes:  accelerate launch recipes/imagenet.py --loss all
On ImageNet:      accelerate launch recipes/imagenet.py --data_dir DIR --model alx res --loss all
                  --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import ImageArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, from the paper's grid (section 4.1). For the drawn shapes they are those of the drawn
# faces; nobody has chosen any for ImageNet: --learning_rate select does.
DRAWN_RATES = {"xe": 10**-2, "xemd1": 10**-2, "xemd2": 10**-2, "a-emd": 10**-2, "xemd": 10**-2}
DRAWN_JUMP_START = 12  # after 4 of these short epochs the training loss is that of guessing, after 12 it has halved
REAL_RATES = dict.fromkeys(DRAWN_RATES, 10**-2.5)
REAL_MODEL = "alx"  # Table 5
VALIDATION_SHARE = 0.05
ILSVRC_2012 = (1_000, 50_000)  # classes, and rows to test on; beside what has others the paper's figures say nothing


@dataclass
class ImageNetArguments(ImageArguments):
    """The command line of every recipe; reg and emd, which need an order, are left out."""

    all_losses: ClassVar[tuple[str, ...]] = tuple(DRAWN_RATES)

    cpu_seconds: ClassVar[int] = 250
    outputs: ClassVar[tuple[str, str]] = ("outputs/imagenet", "outputs/drawn_shapes")
    epochs: ClassVar[tuple[float, float]] = (90, 15)  # AlexNet's "roughly 90 cycles"
    seeds_with_data: ClassVar[int] = 1

    num_train_epochs: float | None = HfArg(default=None, help="Default: 90; drawn shapes: 15.")
    num_shapes: int = HfArg(default=10, help="How many classes to draw where there is no data_dir.")
    num_images: int = HfArg(
        default=600, help="How many to draw where there is no data_dir, a sixth of them to test on."
    )
    per_device_train_batch_size: int | None = HfArg(default=None, help="Default: 128; drawn shapes: 16.")
    weight_decay: float = 5e-4  # section 4.1: as AlexNet (Krizhevsky et al. 2012, section 5)

    def __post_init__(self) -> None:
        if self.skip_bad_images:
            raise ValueError("skip_bad_images would decode 1.3 million images first; take bad ones out of the folders.")
        if self.per_device_train_batch_size is None:
            self.per_device_train_batch_size = 128 if self.data_dir else 16  # AlexNet's, divided among the ranks by you
        super().__post_init__()

    def options_of(self, loss: str) -> dict[str, Any]:
        """As for every recipe; on drawn shapes lambda is measured when the network has learned something."""
        options = super().options_of(loss)
        is_told = self.jump_start_epochs is not None or self.jump_start_ratio is not None
        is_long = self.num_train_epochs > DRAWN_JUMP_START
        if loss in ("xemd1", "xemd2") and not self.data_dir and is_long and not is_told:
            options["jump_start_epochs"] = DRAWN_JUMP_START
        return options


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(ImageNetArguments)

    # 2. The images.
    from squared_emd.data.imagenet import load_imagenet
    from squared_emd.data.splits import published_split
    from squared_emd.data.synthetic.drawn_shapes import draw_shapes

    with user_errors(), args.main_process_first():
        num_test = args.num_images // 6
        folder = args.data_dir or draw_shapes(
            num_classes=args.num_shapes, num_train=args.num_images - num_test, num_validation=num_test
        )
        images = args.stored(load_imagenet(folder))
        train_side, test_side = published_split(images, test="validation")
    class_names, num_test = images.features["label"].names, len(test_side)
    print_on_main(f"{len(images)} images of {len(class_names)} classes, from {folder}.")
    if not args.data_dir:
        print_on_main("These are DRAWN shapes, made by this program, no photographs. For ImageNet give --data_dir.")

    # 3. The protocol: trained on train/, tested on val/ as published; what is chosen is chosen on images of train/.
    from squared_emd.experiments.experiment import Experiment, Samples
    from squared_emd.experiments.networks import image_network
    from squared_emd.experiments.runner import run_table
    from squared_emd.metrics import top_k_metrics
    from squared_emd.vision.networks import SMALL
    from squared_emd.vision.transforms import AlexNetTrainTransform

    experiment = Experiment(
        table="imagenet",
        data="ImageNet" if args.data_dir else "drawn shapes",
        stand_in=not args.data_dir or (len(class_names), num_test) != ILSVRC_2012,
        split=lambda fold: (train_side, test_side),
        validation_share=VALIDATION_SHARE,
        samples=lambda train, test, loss: Samples(train, test, class_names, top_k_metrics()),
        model=REAL_MODEL if args.data_dir else SMALL,
        rates=REAL_RATES if args.data_dir else DRAWN_RATES,
        selected_by="eval_top_1_error",
        tested_on="published validation data",
        build=image_network(args, train_view=AlexNetTrainTransform),  # section 4.1: as AlexNet
    )

    # 4. One run a network, loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
