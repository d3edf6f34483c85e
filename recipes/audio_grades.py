"""Grades of quality, or other ordered classes, from sounds: losses compared on sounds of your own or generated ones.

On generated sounds:  accelerate launch recipes/audio_grades.py
On your own:          accelerate launch recipes/audio_grades.py --dataset FILE_FOLDER_OR_HUB_NAME --classes bad good top
                      --learning_rate select --output_dir DIR
The data:             a folder <class>/<sound>; a file with a column of paths and one of labels; a dataset of the Hub.
                      WAV, FLAC, Ogg or MP3 (soundfile)
"""

from dataclasses import dataclass
from typing import ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import DatasetArguments
from squared_emd.experiments.launch import parse_arguments, run_program, user_errors

# Learning rates, one a loss; how they were chosen: docs/audio_grades.md. Those of other losses than xe, emd and xemd2,
# and those for your data, nobody has chosen: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "reg", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2.5) | {"emd": 10**-3}
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 3e-5)  # for fine-tuning
YOUR_MODEL = "facebook/wav2vec2-base"


@dataclass
class AudioArguments(DatasetArguments):
    """The command line of every recipe, and what sounds need."""

    cpu_seconds: ClassVar[int] = 240
    outputs: ClassVar[tuple[str, str]] = ("outputs/audio_grades", "outputs/generated_sounds")
    epochs: ClassVar[tuple[float, float]] = (20, 10)

    model: str | None = HfArg(
        default=None,
        help="A Hub name, as MIT/ast-finetuned-audioset-10-10-0.4593, a folder, or tiny: a very small network "
        f"of the kind of wav2vec 2.0 with random weights. Default: {YOUR_MODEL}; for generated sounds tiny.",
    )
    audio_column: str | None = HfArg(
        default=None, help="Default: the only column of sounds, or audio, path, file or file_name."
    )
    max_seconds: float = HfArg(default=10.0, help="Of a sound; what comes after is cut off.")
    num_train_epochs: float | None = HfArg(default=None, help="Default: 20; generated sounds: 10.")
    remove_unused_columns: bool = False  # the collator makes the inputs from the sounds

    def __post_init__(self) -> None:
        if self.max_seconds <= 0:
            raise ValueError(f"max_seconds must be greater than 0, got {self.max_seconds}.")
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(AudioArguments)

    # 2. The sounds.
    from squared_emd.data.synthetic.generated_data import GRADES, SAMPLING_RATE, generate_sounds
    from squared_emd.experiments.experiment import Experiment, load_rows
    from squared_emd.experiments.runner import run_table

    sounds, class_names = load_rows(args, "sounds", args.audio_column, generate_sounds, GRADES)

    # 3. The protocol: trained on one part, chosen by the second, tested once on the third. Sounds of one's own are read
    #    in each batch, at the network's rate.
    from datasets import Dataset
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    from squared_emd.data.sounds import AudioCollator, audio_decoder
    from squared_emd.experiments.experiment import Samples, ordered_samples
    from squared_emd.experiments.networks import (
        TINY,
        load_pretrained,
        tiny_audio_config,
        tiny_feature_extractor,
        transformers_network,
    )

    model = args.model or (YOUR_MODEL if args.dataset else TINY)
    with user_errors():
        if model == TINY:
            extractor = tiny_feature_extractor(SAMPLING_RATE)
        else:
            extractor = load_pretrained(AutoFeatureExtractor.from_pretrained, model)
        if not args.dataset and extractor.sampling_rate != SAMPLING_RATE:
            raise ValueError(
                f"the generated sounds have {SAMPLING_RATE} samples a second, {model} takes {extractor.sampling_rate}. "
                "Leave --model out, or give --dataset."
            )
        if args.dataset:  # It is saved with the model, so that pipelines, calibrations and D cut sounds off alike.
            extractor.max_seconds = args.max_seconds

    def samples(rows: Dataset, other: Dataset, loss: str) -> Samples:
        if args.dataset:
            decode = audio_decoder(extractor.sampling_rate, args.max_seconds)
            rows, other = rows.with_transform(decode), other.with_transform(decode)
        return ordered_samples(class_names)(rows, other, loss)

    experiment = Experiment.of_splits(
        sounds,
        class_names,
        table="audio_grades",
        data=f"sounds of {args.dataset}" if args.dataset else "generated sounds",
        stand_in=not args.dataset,
        samples=samples,
        model=model,
        rates=GENERATED_RATES if model == TINY else YOUR_RATES,
        build=transformers_network(
            AutoModelForAudioClassification,
            extractor,
            AudioCollator(extractor),
            tiny_config=tiny_audio_config,
            score_name="grade",
        ),
    )

    # 4. One run a loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
