"""Age groups on Images of Groups (Hou et al. 2016, section 4.5: Table 3), or on drawn groups without any data.

On drawn groups:      accelerate launch recipes/images_of_groups.py
On Images of Groups:  accelerate launch recipes/images_of_groups.py --data_dir DIR --model res res_f vgg_f --loss all
                      --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass
from typing import ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import ImageArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, from the paper's grid (section 4.1). For the drawn groups they are those of the drawn
# faces; nobody has chosen any for Images of Groups: --learning_rate select does.
DRAWN_RATES = dict.fromkeys(("xe", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2) | dict.fromkeys(("reg", "emd"), 10**-2.5)
REAL_RATES = dict.fromkeys(DRAWN_RATES, 10**-3)
REAL_MODEL = "res_f"  # Table 3
VALIDATION_SHARE = 0.2
PUBLISHED_FACES = 4_500  # the published split has 4,550; beside what has fewer the paper's figures say nothing


@dataclass
class GroupsArguments(ImageArguments):
    """The command line of every recipe, and the size of the drawn set."""

    cpu_seconds: ClassVar[int] = 250
    outputs: ClassVar[tuple[str, str]] = ("outputs/images_of_groups", "outputs/drawn_groups")
    seeds_with_data: ClassVar[int] = 1

    num_faces: int = HfArg(
        default=560, help="How many faces to draw where there is no data_dir, a fifth of them to test on."
    )


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(GroupsArguments)

    # 2. The faces, cut out of the images by the places of their eyes.
    from squared_emd.data.images_of_groups import AGE_GROUPS, load_images_of_groups
    from squared_emd.data.synthetic.drawn_people import draw_groups

    with user_errors(), args.main_process_first():
        num_test = args.num_faces // 35 * 7  # seven groups of equally many
        num_train = args.num_faces // 7 * 7 - num_test
        folder = args.data_dir or draw_groups(num_train=num_train, num_test=num_test)
        faces = args.stored(load_images_of_groups(folder, skip_bad_images=args.skip_bad_images))
    print_on_main(f"{len(faces)} faces of {len(set(faces['picture']))} images, from {folder}.")
    if not args.data_dir:
        print_on_main("These are DRAWN people, no photographs. For Images of Groups give --data_dir.")

    # 3. The protocol: the published split; what is chosen is chosen on images cut from its training side.
    from squared_emd.experiments.experiment import Experiment
    from squared_emd.experiments.networks import image_network
    from squared_emd.experiments.runner import run_table
    from squared_emd.vision.networks import SMALL

    experiment = Experiment.of_splits(
        faces,
        AGE_GROUPS,
        table="images_of_groups",
        data="Images of Groups" if args.data_dir else "drawn groups",
        stand_in=not args.data_dir or len(faces) < PUBLISHED_FACES,
        validation_share=VALIDATION_SHARE,
        validation_by="picture",
        model=REAL_MODEL if args.data_dir else SMALL,
        rates=REAL_RATES if args.data_dir else DRAWN_RATES,
        build=image_network(args),  # section 4.1: crop, color, flip, rotation, aspect ratio; tested with flips averaged
    )

    # 4. One run a network, loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
