"""Aesthetic scores on AADB (Hou et al. 2016, section 4.6: Table 4), or on drawn compositions without any data.

On drawn compositions:  accelerate launch recipes/aadb.py
On AADB:                accelerate launch recipes/aadb.py --data_dir DIR --model res res_f vgg_f --loss all
                        --learning_rate select --output_dir DIR
The ensemble:           the same with --model vgg_f --loss emd --bins ensemble
"""

from dataclasses import dataclass
from typing import ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import ImageArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, from the paper's grid (section 4.1): those of the drawn faces, but for reg, which learns
# the score itself (docs/aadb.md). Nobody has chosen any for AADB: --learning_rate select does.
DRAWN_RATES = dict.fromkeys(("xe", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2) | {"reg": 10**-3.5, "emd": 10**-2.5}
REAL_RATES = dict.fromkeys(DRAWN_RATES, 10**-3)
REAL_MODEL = "res_f"  # Table 4
NUM_BINS = 10  # section 4.6
ENSEMBLE_BINS = range(3, 11)  # section 4.6: eight networks
VALIDATION_SHARE = 0.1
AADB_IMAGES = 9_400  # AADB has 9,458; beside what has fewer the paper's figures say nothing


@dataclass
class AADBArguments(ImageArguments):
    """The command line of every recipe, and the number of bins."""

    told_by_variant: ClassVar[tuple[str, ...]] = ("bins",)
    cpu_seconds: ClassVar[int] = 230
    outputs: ClassVar[tuple[str, str]] = ("outputs/aadb", "outputs/drawn_compositions")
    seeds_with_data: ClassVar[int] = 1

    num_images: int = HfArg(
        default=600, help="How many to draw where there is no data_dir, a fifth of them to test on."
    )
    bins: str = HfArg(
        default=str(NUM_BINS),
        help="Classes that the score is cut into, or ensemble: a network for each of 3 to 10, averaged.",
    )

    def __post_init__(self) -> None:
        if self.bins != "ensemble" and not (self.bins.isdecimal() and int(self.bins) >= 2):
            raise ValueError(f"bins must be a number of at least 2 or ensemble, got {self.bins!r}.")
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(AADBArguments)

    # 2. The images and their scores.
    from squared_emd.data.aadb import load_aadb
    from squared_emd.data.synthetic.drawn_compositions import draw_compositions

    with user_errors(), args.main_process_first():
        num_test = args.num_images // 5
        folder = args.data_dir or draw_compositions(num_train=args.num_images - num_test, num_test=num_test)
        images = args.stored(load_aadb(folder, skip_bad_images=args.skip_bad_images))
    print_on_main(f"{len(images)} images with scores, from {folder}.")
    if not args.data_dir:
        print_on_main("These are DRAWN compositions, scored by rule, no photographs. For AADB give --data_dir.")

    # 3. The protocol: bins with as many training images each; a regression learns the score itself. What is measured
    #    is the rank correlation of the expected score (sum of p_i times the mean training score of bin i).
    from datasets import Dataset

    from squared_emd.data.bins import balanced_bins
    from squared_emd.data.splits import published_split
    from squared_emd.experiments.experiment import Experiment, Samples
    from squared_emd.experiments.networks import image_network
    from squared_emd.experiments.results import write_ensembles
    from squared_emd.experiments.runner import run_table
    from squared_emd.metrics import ScoreMetrics
    from squared_emd.vision.networks import SMALL

    train_side, test_side = published_split(images)

    def experiment(num_bins: int) -> Experiment:
        bins = balanced_bins(train_side["score"], num_bins)

        def samples(train: Dataset, test: Dataset, loss: str) -> Samples:
            learned = {"label_column": "score"} if loss == "reg" else {"class_scores": bins.means}
            train, test = map(bins.label_dataset, (train, test))
            return Samples(train, test, bins.names, ScoreMetrics(test["score"], bins), **learned)

        return Experiment(
            table="aadb",
            data="AADB" if args.data_dir else "drawn compositions",
            stand_in=not args.data_dir or len(images) < AADB_IMAGES,
            split=lambda fold: (train_side, test_side),
            validation_share=VALIDATION_SHARE,
            samples=samples,
            model=REAL_MODEL if args.data_dir else SMALL,
            rates=REAL_RATES if args.data_dir else DRAWN_RATES,
            selected_by="eval_spearman",
            variant="" if num_bins == NUM_BINS else f"{num_bins} bins",
            build=image_network(args),  # section 4.1: crop, color, flip, rotation, aspect ratio
        )

    # 4. One run a network, loss and seed (for the ensemble: and number of bins), and the report of all of them.
    is_ensemble = args.bins == "ensemble"
    with user_errors():
        experiments = [experiment(num_bins) for num_bins in (ENSEMBLE_BINS if is_ensemble else [int(args.bins)])]
    run_table(args, *experiments, before_report=write_ensembles if is_ensemble else None)


if __name__ == "__main__":
    run_program(main)
