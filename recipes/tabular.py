"""Grades of severity, or any other ordered classes, from columns of numbers and text: losses compared on a table.

On a generated table:  accelerate launch recipes/tabular.py
On your own:           accelerate launch recipes/tabular.py --dataset FILE_FOLDER_OR_HUB_NAME --label_column grade
                       --classes none mild severe --learning_rate select --output_dir DIR
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from transformers.hf_argparser import HfArg

from squared_emd.experiments.arguments import DatasetArguments
from squared_emd.experiments.launch import parse_arguments, print_on_main, run_program, user_errors

# Learning rates, one a loss, chosen on validation data but for a-emd (docs/tabular.md). Nobody has chosen any for your
# data: --learning_rate select does.
GENERATED_RATES = dict.fromkeys(("xe", "emd", "xemd1", "xemd2", "a-emd", "xemd"), 10**-3) | {"reg": 10**-2}
YOUR_RATES = dict.fromkeys(GENERATED_RATES, 10**-3)


@dataclass
class TabularArguments(DatasetArguments):
    """The command line of every recipe, and what tables need."""

    cpu_seconds: ClassVar[int] = 76
    outputs: ClassVar[tuple[str, str]] = ("outputs/tabular", "outputs/generated_table")
    epochs: ClassVar[tuple[float, float]] = (30, 30)

    feature_columns: list[str] | None = HfArg(
        default=None, help="To learn from. Default: all columns of numbers or text but label, group and split."
    )
    hidden_sizes: list[int] = HfArg(default_factory=lambda: [64, 64], help="Widths of the layers.")
    dropout: float = HfArg(default=0.1, help="After each layer.")
    num_train_epochs: float | None = HfArg(default=None, help="Default: 30.")

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
    args = parse_arguments(TabularArguments)

    # 2. The table.
    from squared_emd.data.synthetic.generated_data import SEVERITIES, generate_table
    from squared_emd.experiments.experiment import Experiment, Network, Samples, load_rows
    from squared_emd.experiments.runner import run_table

    rows, class_names = load_rows(args, "tables", args.feature_columns, generate_table, SEVERITIES)

    # 3. The protocol: trained on one part, chosen by the second, tested once on the third. Means, deviations and the
    #    values of text are those of the first.
    from squared_emd.data.splits import published_split
    from squared_emd.data.table_encoder import TableEncoder

    with user_errors():
        encoder = TableEncoder(published_split(rows)[0])
    print_on_main(f"{encoder.num_features} inputs: {encoder}")

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        return Network(TabularNetwork(encoder.num_features, args.hidden_sizes, num_outputs, args.dropout))

    experiment = Experiment.of_splits(
        rows,
        class_names,
        encode=encoder.encode,
        table="tabular",
        data=f"rows of {args.dataset}" if args.dataset else "generated table",
        stand_in=not args.dataset,
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
