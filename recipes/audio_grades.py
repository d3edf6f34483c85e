"""Grades of quality, or other ordered classes, from sounds: losses compared on sounds of your own or generated ones.

On generated sounds:  accelerate launch recipes/audio_grades.py
On your own:          accelerate launch recipes/audio_grades.py --dataset FILE_FOLDER_OR_HUB_NAME --classes bad good top
                      --loss xe,emd,xemd2 --learning_rate select --output_dir DIR
The data:             a folder <class>/<sound>; a file with a column of paths and one of labels; a dataset of the Hub.
                      WAV, FLAC, Ogg or MP3 (soundfile)
"""

from dataclasses import dataclass, field

from transformers import HfArgumentParser

from squared_emd.experiments import DatasetArguments
from squared_emd.experiments.launch import run_program, user_errors

# Learning rates, one a loss; how they were chosen: docs/audio_grades.md. Those of other losses than xe, emd and xemd2,
# and those for your data, nobody has chosen: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "reg", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2.5) | {"emd": 10**-3}
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 3e-5)  # for fine-tuning
YOUR_MODEL = "facebook/wav2vec2-base"


@dataclass
class AudioArguments(DatasetArguments):
    """The command line of every recipe, and what sounds need."""

    model: str | None = field(
        default=None,
        metadata={
            "help": f"A Hub name or a folder, as MIT/ast-finetuned-audioset-10-10-0.4593. Default: {YOUR_MODEL}; for "
            "generated sounds a very small network of its kind with random weights."
        },
    )
    audio_column: str | None = field(
        default=None, metadata={"help": "Default: the only column of sounds, or audio, path, file or file_name."}
    )
    max_seconds: float = field(default=10.0, metadata={"help": "Of a sound; what comes after is cut off."})
    num_train_epochs: float = 20
    remove_unused_columns: bool = False  # the collator makes the inputs from the sounds

    def __post_init__(self) -> None:
        if self.output_dir is None:
            self.output_dir = "outputs/audio_grades" if self.dataset else "outputs/generated_sounds"
        if self.max_seconds <= 0:
            raise ValueError(f"max_seconds must be greater than 0, got {self.max_seconds}.")
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    with user_errors():
        (args,) = HfArgumentParser(AudioArguments).parse_args_into_dataclasses()

    # 2. The sounds.
    from squared_emd.data.labeled_data import load_labeled_data
    from squared_emd.data.splits import class_table
    from squared_emd.data.synthetic.generated_data import GRADES, SAMPLING_RATE, generate_sounds

    with user_errors(), args.main_process_first():
        if args.dataset:
            sounds, class_names = load_labeled_data(args.dataset, "sounds", columns=args.audio_column, **args.columns)
        else:
            sounds, class_names = generate_sounds(), GRADES
    if args.should_save:
        print(f"{len(sounds)} sounds of {len(class_names)} classes in the order {', '.join(class_names)}.")
        print(class_table(sounds, class_names))
        if not args.dataset:
            print("These are GENERATED sounds, computed by this program, no recordings. For your own give --dataset.")

    # 3. The network, and what makes its inputs. Sounds of one's own are read in each batch, at the network's rate.
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForAudioClassification

    from squared_emd.data.sounds import AudioCollator, audio_decoder
    from squared_emd.data.synthetic.tiny_models import tiny_audio_config, tiny_feature_extractor
    from squared_emd.experiments import FINE_TUNING_RATES, Experiment, Network, Samples, run_table

    model = args.model or (YOUR_MODEL if args.dataset else None)
    with user_errors():
        extractor = AutoFeatureExtractor.from_pretrained(model) if model else tiny_feature_extractor(SAMPLING_RATE)
        if not args.dataset and extractor.sampling_rate != SAMPLING_RATE:
            raise ValueError(
                f"the generated sounds have {SAMPLING_RATE} samples a second, {model} takes {extractor.sampling_rate}. "
                "Leave --model out, or give --dataset."
            )
    if args.dataset:
        sounds = sounds.with_transform(audio_decoder(extractor.sampling_rate, args.max_seconds))

    def build(name: str, samples: Samples, num_outputs: int) -> Network:
        names = class_names if num_outputs == len(class_names) else ["grade"]
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}
        if model is None:
            network = AutoModelForAudioClassification.from_config(tiny_audio_config(**labels))
            return Network(network, extractor, data_collator=AudioCollator(extractor))
        config = AutoConfig.from_pretrained(model, **labels)
        network = AutoModelForAudioClassification.from_pretrained(model, config=config, ignore_mismatched_sizes=True)
        return Network(network, extractor, data_collator=AudioCollator(extractor))

    # 4. The protocol: trained on one part, chosen by the second, tested once on the third.
    from squared_emd.data.splits import published_split
    from squared_emd.metrics import ordinal_metrics

    with user_errors():
        train, test = published_split(sounds)
        validation = published_split(sounds, test="validation")[1]
    experiment = Experiment(
        table="audio_grades",
        data=f"sounds of {args.dataset}" if args.dataset else "generated sounds",
        stand_in=not args.dataset,
        split=lambda fold: (train, test),
        cut_validation=lambda rows, seed: (rows, validation),
        samples=lambda rows, other, loss: Samples(rows, other, class_names, ordinal_metrics(class_names=class_names)),
        model=model or "tiny",
        build=build,
        rates=YOUR_RATES if args.dataset else GENERATED_RATES,
        candidate_rates=FINE_TUNING_RATES,
    )

    # 5. One run a loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
