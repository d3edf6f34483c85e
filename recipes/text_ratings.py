"""Star ratings, or any other ordered classes, from texts: losses compared on reviews of your own or on generated ones.

On generated reviews:  accelerate launch recipes/text_ratings.py
On your own:           accelerate launch recipes/text_ratings.py --dataset FILE_FOLDER_OR_HUB_NAME --text_column text
                       --label_column stars --loss xe,emd,xemd2 --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass, field

from transformers import HfArgumentParser

from squared_emd.experiments import DatasetArguments
from squared_emd.experiments.launch import run_program, user_errors

# Learning rates, one a loss; how they were chosen: docs/text_ratings.md. Those of other losses than xe, emd and xemd2,
# and those for your data, nobody has chosen: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "reg", "emd", "xemd1", "xemd2", "a-emd", "xemd"), 10**-2.5)
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 3e-5)  # for fine-tuning
YOUR_MODEL = "distilbert/distilroberta-base"


@dataclass
class TextArguments(DatasetArguments):
    """The command line of every recipe, and what texts need."""

    model: str | None = field(
        default=None,
        metadata={
            "help": f"A Hub name or a folder. Default: {YOUR_MODEL}; for generated reviews a very small transformer "
            "with random weights."
        },
    )
    text_column: str | None = field(default=None, metadata={"help": "Default: text, or the only column of text."})
    max_length: int = field(default=256, metadata={"help": "Tokens of a text; what comes after is cut off."})

    def __post_init__(self) -> None:
        if self.output_dir is None:
            self.output_dir = "outputs/text_ratings" if self.dataset else "outputs/generated_reviews"
        if self.max_length < 2:
            raise ValueError(f"max_length must be at least 2 tokens, got {self.max_length}.")
        super().__post_init__()


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    with user_errors():
        (args,) = HfArgumentParser(TextArguments).parse_args_into_dataclasses()

    # 2. The texts.
    from squared_emd.data.labeled_data import load_labeled_data
    from squared_emd.data.splits import class_table
    from squared_emd.data.synthetic.generated_data import STARS, generate_reviews

    with user_errors(), args.main_process_first():
        if args.dataset:
            texts, class_names = load_labeled_data(args.dataset, "texts", columns=args.text_column, **args.columns)
        else:
            texts, class_names = generate_reviews(), STARS
    if args.should_save:
        print(f"{len(texts)} texts of {len(class_names)} classes in the order {', '.join(class_names)}.")
        print(class_table(texts, class_names))
        if not args.dataset:
            print("These are GENERATED reviews, put together by this program. For your own give --dataset.")

    # 3. The network and its tokenizer.
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

    from squared_emd.data.synthetic.tiny_models import tiny_text_config, word_tokenizer
    from squared_emd.experiments import FINE_TUNING_RATES, Experiment, Network, Samples, run_table

    model = args.model or (YOUR_MODEL if args.dataset else None)
    with user_errors():
        tokenizer = AutoTokenizer.from_pretrained(model) if model else word_tokenizer(texts["text"])

    def build(name: str, samples: Samples, num_outputs: int) -> Network:
        names = class_names if num_outputs == len(class_names) else ["rating"]
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: k for k, name in enumerate(names)}}
        if model is None:
            network = AutoModelForSequenceClassification.from_config(tiny_text_config(tokenizer, **labels))
            return Network(network, tokenizer, data_collator=DataCollatorWithPadding(tokenizer))
        config = AutoConfig.from_pretrained(model, **labels)
        if getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = tokenizer.pad_token_id  # a decoder looks for the last token by it
        network = AutoModelForSequenceClassification.from_pretrained(model, config=config, ignore_mismatched_sizes=True)
        return Network(network, tokenizer, data_collator=DataCollatorWithPadding(tokenizer))

    # 4. The protocol: trained on one part, chosen by the second, tested once on the third.
    from squared_emd.data.splits import published_split
    from squared_emd.metrics import ordinal_metrics

    with user_errors(), args.main_process_first():
        cut = {"truncation": True, "max_length": min(args.max_length, tokenizer.model_max_length)}
        texts = texts.map(lambda rows: tokenizer(rows["text"], **cut), batched=True, remove_columns="text")
        train, test = published_split(texts)
        validation = published_split(texts, test="validation")[1]
        train, validation, test = (part.remove_columns("split") for part in (train, validation, test))
    experiment = Experiment(
        table="text_ratings",
        data=f"texts of {args.dataset}" if args.dataset else "generated reviews",
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
