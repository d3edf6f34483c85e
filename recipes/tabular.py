"""Grades of severity, or any other ordered classes, from columns of numbers and text: losses compared on a table.

On a generated table:  accelerate launch recipes/tabular.py
On your own:           accelerate launch recipes/tabular.py --dataset FILE_FOLDER_OR_HUB_NAME --label_column grade
                       --classes none mild severe --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from squared_emd.experiments import DatasetArguments
from squared_emd.experiments.launch import parse_arguments, run_program, user_errors

# Learning rates, one a loss, chosen on validation data but for a-emd (docs/tabular.md). Nobody has chosen any for your
# data: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "emd", "xemd1", "xemd2", "a-emd", "xemd"), 10**-3) | {"reg": 10**-2}
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 10**-3)
VALIDATION_SHARE = 0.2  # where --validate tests on the validation rows of the data, and something is to be chosen


@dataclass
class TabularArguments(DatasetArguments):
    """The command line of every recipe, and what tables need."""

    cpu_seconds: ClassVar[int] = 76
    outputs: ClassVar[tuple[str, str]] = ("outputs/tabular", "outputs/generated_table")
    epochs: ClassVar[tuple[float, float]] = (30, 30)

    feature_columns: list[str] | None = field(
        default=None,
        metadata={"help": "To learn from. Default: all columns of numbers or text but label, group and split."},
    )
    hidden_sizes: list[int] = field(default_factory=lambda: [64, 64], metadata={"help": "Widths of the layers."})
    dropout: float = field(default=0.1, metadata={"help": "After each layer."})
    num_train_epochs: float | None = field(default=None, metadata={"help": "Default: 30."})

    def __post_init__(self) -> None:
        if not self.hidden_sizes or min(self.hidden_sizes) < 1:
            raise ValueError(f"hidden_sizes must be at least 1 each, got {self.hidden_sizes}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, got {self.dropout}.")
        super().__post_init__()


class TabularNetwork(nn.Module):
    """Layers with a ReLU each, and a linear head: all that `EMDTrainer` asks is `num_classes` and `logits`."""

    def __init__(self, num_features: int, hidden_sizes: list[int], num_classes: int, dropout: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        layers, width = [], num_features
        for size in hidden_sizes:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
            width = size
        self.body, self.head = nn.Sequential(*layers), nn.Linear(width, num_classes)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """(B, F) rows -> (B, K) logits."""
        return {"logits": self.head(self.body(features))}


def main() -> None:
    """Train each loss asked for; print and write what came out."""
    # 1. The command line. Imports that take seconds follow where they are used.
    with user_errors():
        args = parse_arguments(TabularArguments)

    # 2. The table.
    from squared_emd.data.labeled_data import load_labeled_data
    from squared_emd.data.splits import class_table
    from squared_emd.data.synthetic.generated_data import SEVERITIES, generate_table

    with user_errors(), args.main_process_first():
        if args.dataset:
            rows, class_names = load_labeled_data(args.dataset, "tables", columns=args.feature_columns, **args.columns)
        else:
            rows, class_names = generate_table(), SEVERITIES

    # 3. The protocol: trained on one part, chosen by the second, tested once on the third. Means, deviations and the
    #    values of text are those of the first.
    from squared_emd.data.splits import published_split, validation_split
    from squared_emd.data.table_encoder import TableEncoder
    from squared_emd.experiments import Experiment, Network, Samples, run_table
    from squared_emd.metrics import ordinal_metrics

    with user_errors():
        train, test = published_split(rows)
        validation = published_split(rows, test="validation")[1]
        encoder = TableEncoder(train)
        train, validation, test = map(encoder.encode, (train, validation, test))
    by = "group" if "group" in rows.column_names else None
    if args.should_save:
        print(f"{len(rows)} rows of {len(class_names)} classes in the order {', '.join(class_names)}.")
        print(class_table(rows, class_names))
        print(f"{encoder.num_features} inputs: {encoder}")
        if not args.dataset:
            print("This is a GENERATED table, made by this program. For your own give --dataset.")

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        return Network(TabularNetwork(encoder.num_features, args.hidden_sizes, num_outputs, args.dropout))

    experiment = Experiment(
        table="tabular",
        data=f"rows of {args.dataset}" if args.dataset else "generated table",
        stand_in=not args.dataset,
        split=lambda fold: (train, test),
        validation=validation,
        cut_validation=lambda rows, seed: validation_split(rows, share=VALIDATION_SHARE, seed=seed, by=by),
        samples=lambda rows, other, loss: Samples(rows, other, class_names, ordinal_metrics(class_names=class_names)),
        model="perceptron",
        build=build,
        rates=YOUR_RATES if args.dataset else GENERATED_RATES,
    )

    # 4. One run a loss and seed, and the report of all of them. What the inputs mean lies beside them.
    run_table(args, experiment)
    if args.should_save:
        encoder.save(Path(args.output_dir, "columns.joblib"))


if __name__ == "__main__":
    run_program(main)
