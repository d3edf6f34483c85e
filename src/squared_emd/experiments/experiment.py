"""What is special to one experiment: its data, how they are split, the network, and what is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch import nn

from ..data.labeled_data import load_labeled_data
from ..data.splits import class_table, published_split, validation_split
from ..metrics import ordinal_metrics
from ..metrics.logs import RESULTS_FILE
from ..training.checkpoints import last_complete_checkpoint
from .arguments import DatasetArguments, ExperimentArguments
from .launch import print_on_main, user_errors
from .settings import read_results

_FROM_SCRATCH = ("alxs", "alx", "res", "small", "tiny", "perceptron")  # networks that have no pre-trained weights
_RATES_FROM_SCRATCH = (1e-2, 3e-3, 1e-3)
_RATES_OF_FINE_TUNING = (1e-4, 3e-5, 1e-5)
_RATES_OF_FINE_TUNING_BY_SGD = (3e-3, 1e-3, 3e-4)  # it does not divide by the size of the gradients, as Adam does
_STRENGTHS = (0.1, 1.0, 10.0)  # of a-emd, section 4.3


@dataclass(frozen=True)
class Samples:
    """What one run learns from and is tested on."""

    train: Dataset  # rows with `label_column`
    test: Dataset
    class_names: Sequence[str]  # the K classes in order
    compute_metrics: Callable[..., dict[str, float]]  # of the Trainer, for `test`
    label_column: str = "label"  # what is learned
    class_scores: Sequence[float] | None = None  # (K,) the value of each class; it is saved with the model


@dataclass(frozen=True)
class Network:
    """A network with fresh weights, and how rows become its inputs."""

    model: nn.Module
    processor: Any = None  # tokenizer, feature extractor or image processor, which is saved with the model
    train_view: Callable[[Dataset], Dataset] = lambda rows: rows  # rows as the Trainer takes them, in training
    eval_view: Callable[[Dataset], Dataset] = lambda rows: rows  # and in evaluation
    data_collator: Callable[[list], dict[str, Any]] | None = None  # None: the Trainer's default


@dataclass(frozen=True)
class Experiment:
    """One of the paper's tables, or one like them."""

    table: str  # key of `squared_emd.reports.paper.LAYOUTS`: what the report is laid out as
    data: str  # what the rows are, for people: "drawn faces"
    stand_in: bool  # whether they stand in for a dataset, so that the paper's figures say nothing about them
    split: Callable[[int], tuple[Dataset, Dataset]]  # test fold -> rows to train on and to test on
    samples: Callable[[Dataset, Dataset, str], Samples]  # of both and the loss, as `ordered_samples` gives it
    build: Callable[[str, Samples, int], Network]  # of the model's name, samples, and outputs: one for the loss reg
    model: str  # where none is asked for
    rates: Mapping[str, float]  # loss -> learning rate where none is asked for
    validation: Dataset | None = None  # rows to choose by that the data name; else some are cut from those to train on
    validation_share: float = 0.2  # how many of them at the most
    validation_by: str | None = None  # a column, of whose values each stays on one side of the cut
    selected_by: str = "eval_mae"  # the metric that chooses rates, strengths and epochs
    tested_on: str = "test data"  # for people
    variant: str = ""  # what sets these runs apart from others of the table, as "3 bins"

    @classmethod
    def of_splits(
        cls,
        rows: Dataset,
        class_names: Sequence[str],
        *,
        encode: Callable[[Dataset], Dataset] = lambda part: part,
        **fields: Any,
    ) -> Experiment:
        """An experiment on rows that name their `split`: trained on one, chosen by the second, tested on the third.

        Rows of one `group` stay together. `encode` makes of the rows of a split what the runs take; `fields` are the
        others, also in place of those that follow from the rows.
        """
        with user_errors():
            train, test = map(encode, published_split(rows))
            validation = None
            if "validation" in rows["split"]:
                validation = encode(published_split(rows, test="validation")[1])
        by = next((name for name in ("group", "content") if name in train.column_names), None)
        of_rows = {"split": lambda fold: (train, test), "validation": validation, "validation_by": by}
        return cls(**of_rows | {"samples": ordered_samples(class_names)} | fields)

    def with_validation(self, rows: Dataset, seed: int) -> tuple[Dataset, Dataset]:
        """Rows to train on, and rows to choose by: those of the data, else cut from `rows`."""
        if self.validation is not None:
            return rows, self.validation
        return validation_split(rows, share=self.validation_share, seed=seed, by=self.validation_by)


def ordered_samples(class_names: Sequence[str]) -> Callable[[Dataset, Dataset, str], Samples]:
    """What measures classes in an order: an `Experiment.samples`."""
    return lambda train, test, loss: Samples(train, test, class_names, ordinal_metrics(class_names=class_names))


def load_rows(
    args: DatasetArguments,
    kind: str,
    columns: str | list[str] | None,
    generate: Callable[[], Dataset],
    generated_classes: Sequence[str],
) -> tuple[Dataset, Sequence[str]]:
    """The rows of a recipe on texts, sounds or tables, the user's or generated ones, and their classes in order.

    `kind` and `columns`, which are learned from, are those of `load_labeled_data`.
    """
    with user_errors(), args.main_process_first():
        if args.dataset:
            rows, class_names = load_labeled_data(args.dataset, kind, columns=columns, **args.columns)
        else:
            rows, class_names = generate(), generated_classes
    what = "rows" if kind == "tables" else kind
    print_on_main(f"{len(rows)} {what} of {len(class_names)} classes in the order {', '.join(class_names)}.")
    print_on_main(partial(class_table, rows, class_names))
    if not args.dataset:
        print_on_main(f"These {what} are GENERATED, made by this program. For your own give --dataset.")
    return rows, class_names


@dataclass(frozen=True)
class Run:
    """One cell of a table."""

    model: str  # as it was asked for
    network: str  # what it is called in results
    loss: str
    fold: int | None  # None where the folder names none
    seed: int
    folder: Path
    experiment: Experiment = field(compare=False, repr=False)

    def __str__(self) -> str:
        fold = "" if self.fold is None else f"test fold {self.fold}"
        return ", ".join(filter(None, (self.network, self.experiment.variant, self.loss, fold, f"seed {self.seed}")))

    def candidates(self, args: ExperimentArguments) -> dict[str, tuple[float, ...]]:
        """What is chosen for it on validation data, in this order -> from what."""
        found = {}
        if args.candidate_rates is not None:
            from_scratch = self.model in _FROM_SCRATCH or getattr(args, "from_scratch", False)
            fine_tuning = _RATES_OF_FINE_TUNING_BY_SGD if "sgd" in args.optim else _RATES_OF_FINE_TUNING
            found["learning_rate"] = args.candidate_rates or (_RATES_FROM_SCRATCH if from_scratch else fine_tuning)
        if args.candidate_strengths is not None and self.loss == "a-emd":
            found["entropic_strength"] = args.candidate_strengths or _STRENGTHS
        return found

    @property
    def trials(self) -> Path:
        """Where its validation trials lie; runs that differ by the seed alone share them."""
        return self.folder.parent / "select"

    @property
    def is_done(self) -> bool:
        """Whether its results, the last file that is written, are there."""
        return (self.folder / RESULTS_FILE).is_file()

    @property
    def checkpoint(self) -> str | None:
        """From where it can go on, if it was interrupted."""
        return None if self.is_done else last_complete_checkpoint(self.folder)


def plan(args: ExperimentArguments, experiments: Sequence[Experiment]) -> list[Run]:
    """The runs of a table, in the order in which they are trained: xemd2 before the a-emd run that takes its D."""
    runs = []
    for experiment in experiments:
        asked = getattr(args, "model", None) or [experiment.model]
        for model in [asked] if isinstance(asked, str) else asked:
            network = network_name(model, from_scratch=getattr(args, "from_scratch", False))
            for loss in args.losses:
                for fold in [None] if args.has_validation_data else args.folds:
                    for seed in args.run_seeds:
                        folder = _folder(args.output_dir, experiment, network, loss, fold, seed)
                        runs.append(Run(model, network, loss, fold, seed, folder, experiment))
    return runs


def network_name(model: str, *, from_scratch: bool = False) -> str:
    """What a network is called in results and folders; a folder goes by its last name and a digest of its path.

    >>> network_name("res_f"), network_name("res_f", from_scratch=True), network_name("res", from_scratch=True)
    ('res_f', 'res_f from scratch', 'res')
    """
    if Path(model).is_dir():
        path = Path(model).resolve()
        model = f"{path.name or 'root'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    return f"{model} from scratch" if from_scratch and model not in _FROM_SCRATCH else model


def _folder(output: str | Path, experiment: Experiment, network: str, loss: str, fold: int | None, seed: int) -> Path:
    names = [network.replace("/", "--"), experiment.variant, loss, "" if fold is None else f"fold_{fold}"]
    return Path(output, *(name.replace(" ", "_") for name in names if name), f"seed_{seed}")


def path_to_ground_distance(args: ExperimentArguments, run: Run) -> Path | None:
    """Where the D for an a-emd run lies: in the xemd2 run of the same network, fold and seed (section 4.3).

    That may be planned only. `ground_distance` may name a file, a run, or the folder of another table. None: the run is
    of another loss, or `geometry` gives its D.
    """
    has_geometry = args.geometry is not None and "geometry" not in args.options_of(run.loss)
    if run.loss != "a-emd" or has_geometry:
        return None
    given = Path(args.ground_distance or args.output_dir)
    if given.is_file() or given.suffix in (".json", ".npy", ".safetensors"):
        return given
    if (given / "config.json").is_file():
        earlier = read_results(given) or {}
        if run.fold is not None and earlier.get("fold", run.fold) != run.fold:
            raise ValueError(
                f"{given} is a run tested on fold {earlier['fold']}: its D was learned on rows of fold {run.fold}, on "
                "which this one is tested. Give the output folder of a table with an xemd2 run of each fold."
            )
        return given
    return _folder(given, run.experiment, run.network, "xemd2", run.fold, run.seed)
