"""Age groups on Adience (Hou et al. 2016, section 4.4: Table 1, Table 2, Figure 2), or on drawn faces without any data.

On drawn faces:  accelerate launch recipes/adience.py
On Adience:      accelerate launch recipes/adience.py --data_dir DIR --loss all --fold all --output_dir DIR
"""

import copy
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from accelerate import PartialState
from datasets import Dataset
from transformers import HfArgumentParser, set_seed

from squared_emd import EMDTrainer, EMDTrainingArguments, ordinal_metrics
from squared_emd.checkpoints import last_whole_checkpoint
from squared_emd.config import LOSSES
from squared_emd.cross_validation import fold_split, validation_split
from squared_emd.data.adience import AGE_GROUPS, load_adience
from squared_emd.data.drawn_faces import cached_drawn_faces
from squared_emd.figures import plot_curves, plot_ground_distance
from squared_emd.launch import check_ranks
from squared_emd.networks import SMALL, load_image_classifier
from squared_emd.paper_networks import PRETRAINED
from squared_emd.report import PAPER_ADIENCE, matrix_table, mean_over_folds, results_table
from squared_emd.transforms import EvalTransform, TrainTransform, apply_to_batch, average_mirrored

# Learning rates: from the paper's grid (section 4.1), one a loss. Those for the drawn faces were chosen on
# validation people (docs/learning_rates.md). Nobody has chosen any for Adience yet: --validate helps to.
DRAWN_RATES = {"xe": 10**-2, "reg": 10**-2.5, "emd": 10**-2.5, "xemd1": 10**-2, "xemd2": 10**-2, "a-emd": 10**-2}
REAL_RATE = 10**-3
STRENGTHS = (0.1, 1.0, 10.0)  # the paper's choice for A-EMD (section 4.3)
REAL_MODEL = "res_f"
TABLE_1_COLUMNS = {name: name for name in ("alxs", "vgg_f", "res", "res_f")} | {p: n for n, p in PRETRAINED.items()}
ADIENCE_FACES = 17_000  # Adience has 17,424 with an age group; what has far fewer is not comparable to the paper


@dataclass
class AdienceArguments(EMDTrainingArguments):
    """The fields of `EMDTrainingArguments`, with defaults for this experiment, and its own few."""

    data_dir: str | None = field(default=None, metadata={"help": "The Adience files. Default: drawn faces."})
    num_faces: int = field(default=1500, metadata={"help": "How many faces to draw where there is no data_dir."})
    entropic_strength: str = field(
        default="10", metadata={"help": "Of a-emd: a number, or select: 0.1, 1 or 10, by validation people."}
    )
    odd_labels: str = field(
        default="drop", metadata={"choices": ("drop", "map"), "help": "Rows whose age is none of the eight groups."}
    )
    skip_bad_images: bool = field(default=False, metadata={"help": "Go on without pictures that cannot be read."})
    model: str | None = field(
        default=None,
        metadata={
            "help": "alxs, alx, vgg_f, res, res_f, any timm/<model> or Hub image classifier. "
            f"Default: res_f; drawn faces: {SMALL}."
        },
    )
    from_scratch: bool = field(default=False, metadata={"help": "Random weights."})
    loss: str = field(default="xemd2", metadata={"choices": (*LOSSES, "all"), "help": "all trains each in turn."})
    fold: str = field(default="0", metadata={"help": "The fold to test on, 0 to 4, or all."})
    validate: bool = field(
        default=False, metadata={"help": "Test on people cut from the training folds, never on the test fold."}
    )
    learning_rate: float | None = field(default=None, metadata={"help": "Default: one for each loss."})
    output_dir: str | None = field(
        default=None, metadata={"help": "Where everything is written. Default: outputs/adience or outputs/drawn_faces."}
    )
    num_train_epochs: float = 30
    per_device_train_batch_size: int = 32
    per_device_eval_batch_size: int = 64
    optim: str = "sgd"  # section 4.1, as the momentum
    optim_args: str | None = "momentum=0.98"
    eval_strategy: str = "epoch"
    logging_strategy: str = "epoch"
    save_strategy: str = "no"
    remove_unused_columns: bool = False  # the transform makes the inputs from the pictures
    dataloader_num_workers: int = 1

    def __post_init__(self) -> None:
        if self.fold not in ("0", "1", "2", "3", "4", "all"):
            raise ValueError(f"fold must be 0 .. 4 or all, got {self.fold!r}.")
        self.folds = range(5) if self.fold == "all" else [int(self.fold)]
        self.losses = LOSSES if self.loss == "all" else [self.loss]
        self.loss = self.losses[-1]
        try:
            self.strengths = STRENGTHS if self.entropic_strength == "select" else [float(self.entropic_strength)]
        except ValueError:
            raise ValueError(f"entropic_strength must be a number or select, got {self.entropic_strength!r}.") from None
        self.entropic_strength = self.strengths[-1]
        self.rate = self.learning_rate
        self.learning_rate = REAL_RATE if self.rate is None else self.rate
        if self.output_dir is None:
            self.output_dir = "outputs/adience" if self.data_dir else "outputs/drawn_faces"
        self.dataloader_persistent_workers = self.dataloader_num_workers > 0
        super().__post_init__()
        for loss in self.losses:  # before any of them is trained
            self.loss = loss
            self.check_fields()
            if self.max_steps < 0:
                self.check_jump_start(math.ceil(self.num_train_epochs))

    def check_steps(self, num_train: int) -> None:
        """Refuse `max_steps` that end within the jump start of one of the losses, before any of them is trained.

        Args:
            num_train: samples an epoch.

        Raises:
            ValueError: no epoch comes after the jump start.
        """
        if self.max_steps > 0:
            batches = math.ceil(num_train / (self.train_batch_size * self.world_size))
            steps = math.ceil(batches / self.gradient_accumulation_steps)
            for loss in self.losses:
                self.loss = loss
                self.check_jump_start(math.ceil(self.max_steps / steps))


def main() -> None:
    """Train each loss on each fold asked for; print and write what came out."""
    # 1. The faces.
    with user_errors():
        (args,) = HfArgumentParser(AdienceArguments).parse_args_into_dataclasses()
        check_ranks(args)
        with args.main_process_first():
            folder = args.data_dir or cached_drawn_faces(args.num_faces)
            faces = load_adience(folder, odd_labels=args.odd_labels, skip_bad_images=args.skip_bad_images)
        for fold in args.folds:
            args.check_steps(len(fold_split(faces, fold)[0]))
    say = print if args.should_save else lambda *_: None
    name = args.model or (REAL_MODEL if args.data_dir else SMALL)
    data = "Adience files" if args.data_dir else "drawn faces"
    say(f"{len(faces)} faces of {len(set(faces['user_id']))} people in {len(AGE_GROUPS)} age groups, from {folder}.")
    if not args.data_dir:
        say("These are DRAWN faces, made by this program; they are no photographs. For Adience give --data_dir.")

    # 2. One run a loss and fold.
    output, rows, histories, matrices = Path(args.output_dir), [], {}, {}
    several = len(args.losses) * len(args.folds) > 1
    for loss in args.losses:
        for fold in args.folds:
            run = copy.copy(args)
            run.loss, run.output_dir = loss, str(output / loss / f"fold_{fold}" if several else output)
            if args.rate is None and not args.data_dir:
                run.learning_rate = DRAWN_RATES[loss]
            if loss == "a-emd":
                with user_errors():
                    run.ground_distance = earlier_run(args.ground_distance or output / "xemd2", fold)
                run.entropic_strength = select_strength(run, faces, fold, name, say)
            say(f"\n{loss}, test fold {fold}: {run.num_train_epochs:g} epochs, learning rate {run.learning_rate:.2g}")
            trainer = build_trainer(run, faces, fold, name)
            checkpoint = last_whole_checkpoint(run.output_dir) if args.resume_from_checkpoint else None
            if args.resume_from_checkpoint:
                say(f"It goes on from {checkpoint}." if checkpoint else "No checkpoint to go on from: it begins anew.")
            trainer.train(resume_from_checkpoint=checkpoint)
            rows.append({"loss": loss, "fold": fold, **trainer.evaluate(), "sdd": trainer.criterion.sdd})
            rows[-1] |= {"data": data, "model": name, "learning_rate": run.learning_rate, "seed": run.seed}
            rows[-1] |= {"tested_on": "validation people" if run.validate else "test fold"}
            histories.setdefault(loss, []).append(trainer.state.log_history)
            trainer.save_model()
            trainer.accelerator.wait_for_everyone()  # a-emd reads it
            if args.should_save:
                write_json(Path(run.output_dir) / "all_results.json", rows[-1])
            if args.should_save and run.is_self_guided:
                matrices[loss] = trainer.criterion.ground_distance.cpu().numpy()
                origin = f"learned by {loss.upper()}, {data}" if run.ground_distance is None else run.ground_distance
                title = f"Ground distance {origin}"
                plot_ground_distance(
                    matrices[loss], AGE_GROUPS, Path(run.output_dir, "ground_distance.png"), title=title
                )

    # 3. What came out.
    if not args.should_save:
        return
    if several:
        write_json(output / "all_results.json", rows)
    for loss, matrix in matrices.items():
        print(f"\nGround distance D learned by {loss.upper()}, fold {args.folds[-1]}:")
        print(matrix_table(matrix, AGE_GROUPS))
    alike = len(faces) >= ADIENCE_FACES and len(args.folds) == 5 and args.odd_labels == "drop"
    pretrained = name in PRETRAINED or name in PRETRAINED.values()
    column = (
        TABLE_1_COLUMNS.get(name) if alike and not (args.from_scratch and pretrained) and not args.validate else None
    )
    paper = PAPER_ADIENCE.get(column)
    if paper:
        stands_in = f", for which {PRETRAINED['res_f']} stands here" if column == "res_f" else ""
        print(f"\nThe paper's rows are those of its {column.upper()}{stands_in}.")
    print(f"\nResults on the {rows[0]['tested_on']}, {data}:\n{results_table(rows, paper=paper)}")
    curves = {loss: mean_over_folds(runs) for loss, runs in histories.items()}
    plot_curves(
        curves, output / "curves.png", title=data, jump_start_epochs=args.jump_start_epochs if matrices else None
    )
    print(f"\nWritten to {output}: all_results.json and curves.png; each run's model", end="")
    print(f" and figures{' in <loss>/fold_<k>' if several else ''}.")


def earlier_run(folder: str | Path, fold: int) -> str:
    """Where the D for a-emd lies: the folder of an xemd2 run (section 4.3), of several that of this fold."""
    of_fold = Path(folder) / f"fold_{fold}"
    path = of_fold if of_fold.is_dir() else Path(folder)
    if not path.exists():
        raise ValueError(
            f"a-emd needs the D of an xemd2 run: --ground_distance DIR, or --loss all; there is no {path}."
        )
    return str(path)


def select_strength(run: AdienceArguments, faces: Dataset, fold: int, name: str, say: Callable[..., None]) -> float:
    """The entropic strength with the least mean absolute error on people cut from the training folds."""
    errors = {}
    for strength in run.strengths if len(run.strengths) > 1 else ():
        trial = copy.copy(run)
        trial.entropic_strength, trial.validate, trial.eval_strategy = strength, True, "no"
        trainer = build_trainer(trial, faces, fold, name)
        trainer.train()
        errors[strength] = trainer.evaluate()["eval_mae"]
        say(f"a-emd, entropic strength {strength:g}: MAE {errors[strength]:.3f} on validation people")
    return min(errors, key=errors.get) if errors else run.strengths[0]


def build_trainer(run: AdienceArguments, faces: Dataset, fold: int, name: str) -> EMDTrainer:
    """Trained on four folds (section 4.1: augmentation), tested on the fifth (centre crop and its mirror image)."""
    train_faces, test_faces = fold_split(faces, fold)  # main has seen that it can be split
    if run.validate:
        train_faces, test_faces = validation_split(train_faces, share=0.2, seed=run.seed)
    set_seed(run.seed)
    with user_errors():
        network = load_image_classifier(
            name, AGE_GROUPS, num_outputs=1 if run.loss == "reg" else None, from_scratch=run.from_scratch
        )
        average_mirrored(network.model)
        views = (network.size, network.mean, network.std)
        return EMDTrainer(
            network.model,
            run,
            train_dataset=train_faces.with_transform(apply_to_batch(TrainTransform(*views))),
            eval_dataset=test_faces.with_transform(apply_to_batch(EvalTransform(*views))),
            processing_class=network.processor,
            compute_metrics=ordinal_metrics(class_names=AGE_GROUPS),
        )


def write_json(path: Path, results: dict | list) -> None:
    """Write figures as data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


@contextmanager
def user_errors() -> Iterator[None]:
    """What the user can mend ends the program with its message; errors of the training keep their traceback."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"adience.py: {error}")


if __name__ == "__main__":
    main()
    PartialState().destroy_process_group()  # else one of several ranks may abort at its very end
