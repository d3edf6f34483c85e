"""Age groups on Adience (Hou et al. 2016, section 4.4: Table 1, Table 2, Figure 2), or on drawn faces without any data.

On drawn faces:  accelerate launch recipes/adience.py
On Adience:      accelerate launch recipes/adience.py --data_dir DIR --model alxs vgg_f res res_f --loss all --fold all
                 --learning_rate select --entropic_strength select --output_dir DIR
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import ImageArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, from the paper's grid (section 4.1). Those for the drawn faces were chosen on validation
# people (docs/learning_rates.md). Nobody has chosen any for Adience: --learning_rate select does.
DRAWN_RATES = dict.fromkeys(("xe", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2) | dict.fromkeys(("reg", "emd"), 10**-2.5)
REAL_RATES = dict.fromkeys(DRAWN_RATES, 10**-3)
REAL_MODEL = "res_f"  # section 4.3
VALIDATION_SHARE = 0.2
ADIENCE_FACES = 17_000  # of 17,424 with an age group; beside fewer the paper's figures say nothing


@dataclass
class AdienceArguments(ImageArguments):
    """The command line of every recipe, and what Adience adds."""

    num_folds: ClassVar[int] = 5  # section 4.4
    cpu_seconds: ClassVar[int] = 200
    outputs: ClassVar[tuple[str, str]] = ("outputs/adience", "outputs/drawn_faces")
    seeds_with_data: ClassVar[int] = 1  # a run is long; a verdict needs three

    num_faces: int = HfArg(default=600, help="How many faces to draw where there is no data_dir.")
    odd_labels: Literal["drop", "map"] = HfArg(default="drop", help="Rows whose age is none of the eight groups.")


def main() -> None:
    """Train each loss on each fold asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(AdienceArguments)

    # 2. The faces.
    from squared_emd.data.adience import AGE_GROUPS, load_adience
    from squared_emd.data.synthetic.drawn_people import draw_faces

    with user_errors(), args.main_process_first():
        folder = args.data_dir or draw_faces(num_faces=args.num_faces)
        faces = load_adience(folder, odd_labels=args.odd_labels, skip_bad_images=args.skip_bad_images)
        faces = args.stored(faces)
    num_people = len(set(faces["user_id"]))
    print_on_main(f"{len(faces)} faces of {num_people} people in {len(AGE_GROUPS)} age groups, from {folder}.")
    if not args.data_dir:
        print_on_main("These are DRAWN faces, made by this program, no photographs. For Adience give --data_dir.")

    # 3. The protocol: five folds of disjoint people; what is chosen is chosen on people cut from the training folds.
    from squared_emd.data.splits import fold_split
    from squared_emd.experiments.experiment import Experiment, ordered_samples
    from squared_emd.experiments.networks import image_network
    from squared_emd.experiments.runner import run_table
    from squared_emd.vision.networks import SMALL

    experiment = Experiment(
        table="adience",
        data="Adience files" if args.data_dir else "drawn faces",
        stand_in=not args.data_dir or len(faces) < ADIENCE_FACES or args.odd_labels != "drop",
        split=lambda fold: fold_split(faces, fold),
        validation_share=VALIDATION_SHARE,
        validation_by="user_id",
        samples=ordered_samples(AGE_GROUPS),
        model=REAL_MODEL if args.data_dir else SMALL,
        rates=REAL_RATES if args.data_dir else DRAWN_RATES,
        tested_on="test fold",
        build=image_network(args),  # section 4.1: crop, color, flip, rotation, aspect ratio; tested with flips averaged
    )

    # 4. One run a network, loss, fold and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
