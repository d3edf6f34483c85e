"""Star ratings, or any other ordered classes, from texts: losses compared on reviews of your own or on generated ones.

On generated reviews:  accelerate launch recipes/text_ratings.py
On your own:           accelerate launch recipes/text_ratings.py --dataset FILE_FOLDER_OR_HUB_NAME --text_column text
                       --label_column stars --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import DatasetArguments
from squared_emd.experiments.launch import parse_arguments, run_program, user_errors

# Learning rates, one a loss; how they were chosen: docs/text_ratings.md. Those of other losses than xe, emd and xemd2,
# and those for your data, nobody has chosen: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2.5)
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 3e-5)  # for fine-tuning
YOUR_MODEL = "distilbert/distilroberta-base"


@dataclass
class TextArguments(DatasetArguments):
    """The command line of every recipe, and what texts need."""

    cpu_seconds: ClassVar[int] = 160
    outputs: ClassVar[tuple[str, str]] = ("outputs/text_ratings", "outputs/generated_reviews")

    model: str | None = HfArg(
        default=None,
        help="A Hub name, a folder, or tiny: a very small transformer with random weights, which reads the "
        f"first 64 words of a text. Default: {YOUR_MODEL}; for generated reviews tiny.",
    )
    text_column: str | None = HfArg(default=None, help="Default: text, or the only column of text.")
    max_length: int = HfArg(default=256, help="Tokens of a text; what comes after is cut off.")

    def __post_init__(self) -> None:
        if self.max_length < 2:
            raise ValueError(f"max_length must be at least 2 tokens, got {self.max_length}.")
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    args = parse_arguments(TextArguments)

    # 2. The texts.
    from squared_emd.data.synthetic.generated_data import STARS, generate_reviews
    from squared_emd.experiments.experiment import Experiment, load_rows
    from squared_emd.experiments.runner import run_table

    texts, class_names = load_rows(args, "texts", args.text_column, generate_reviews, STARS)

    # 3. The protocol: trained on one part, chosen by the second, tested once on the third. A tokenizer made here knows
    #    the words of the first.
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    from squared_emd.data.splits import published_split
    from squared_emd.experiments.networks import (
        TINY,
        load_pretrained,
        tiny_text_config,
        transformers_network,
        word_tokenizer,
    )

    model = args.model or (YOUR_MODEL if args.dataset else TINY)
    with user_errors(), args.main_process_first():
        if model == TINY:
            tokenizer = word_tokenizer(published_split(texts)[0]["text"])
        else:
            tokenizer = load_pretrained(AutoTokenizer.from_pretrained, model)
        # It is saved with the model, so that pipelines, calibrations and ground distances cut texts off alike.
        tokenizer.model_max_length = min(args.max_length, tokenizer.model_max_length)
        cut = {"truncation": True, "max_length": tokenizer.model_max_length}
        texts = texts.map(lambda rows: tokenizer(rows["text"], **cut), batched=True, remove_columns="text")
    experiment = Experiment.of_splits(
        texts,
        class_names,
        encode=lambda part: part.remove_columns("split"),
        table="text_ratings",
        data=f"texts of {args.dataset}" if args.dataset else "generated reviews",
        stand_in=not args.dataset,
        model=model,
        rates=GENERATED_RATES if model == TINY else YOUR_RATES,
        build=transformers_network(
            AutoModelForSequenceClassification,
            tokenizer,
            DataCollatorWithPadding(tokenizer),
            tiny_config=partial(tiny_text_config, tokenizer),
            score_name="rating",
        ),
    )

    # 4. One run a loss and seed, and the report of all of them.
    run_table(args, experiment)


if __name__ == "__main__":
    run_program(main)
