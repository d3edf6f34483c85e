"""Which runs a table needs, where each lies, and what of it is there already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..training.checkpoints import last_whole_checkpoint
from ..vision.paper_networks import FROM_SCRATCH
from .arguments import ExperimentArguments
from .experiment import Experiment
from .results import RESULTS, read_json

__all__ = ["Run", "learned_where", "network_name", "plan"]


@dataclass(frozen=True)
class Run:
    """One cell of a table.

    Args:
        model: the network, as it was asked for.
        network: what it is called in results.
        loss: the loss.
        fold: the test fold.
        seed: the seed.
        folder: where it lies.
        experiment: what it is trained on.
    """

    model: str
    network: str
    loss: str
    fold: int
    seed: int
    folder: Path
    experiment: Experiment = field(compare=False, repr=False)

    def __str__(self) -> str:
        variant = f", {self.experiment.variant}" if self.experiment.variant else ""
        return f"{self.network}{variant}, {self.loss}, test fold {self.fold}, seed {self.seed}"

    @property
    def trials(self) -> Path:
        """Where its validation trials lie; runs that differ by the seed alone share them."""
        return self.folder.parent / "select"

    @property
    def is_done(self) -> bool:
        """Whether its results lie there: they are the last that is written."""
        return (self.folder / RESULTS).is_file()

    @property
    def checkpoint(self) -> str | None:
        """From where it can go on, if it was interrupted."""
        return None if self.is_done else last_whole_checkpoint(self.folder)

    @property
    def state(self) -> str:
        """In words."""
        if self.is_done:
            return "done"
        checkpoint = self.checkpoint
        return f"goes on from {Path(checkpoint).name}" if checkpoint else "to do"


def plan(args: ExperimentArguments, experiments: Sequence[Experiment]) -> list[Run]:
    """The runs of a table, in the order in which they are trained.

    Args:
        args: networks, losses, folds and seeds.
        experiments: what is trained on; several are variants of a table.

    Returns:
        One run each; an xemd2 run comes before the a-emd run that takes its D.
    """
    return list(_runs(args, experiments))


def _runs(args: ExperimentArguments, experiments: Sequence[Experiment]) -> Iterator[Run]:
    for experiment in experiments:
        for model in args.model or [experiment.model]:
            network = network_name(model, from_scratch=args.from_scratch)
            for loss in args.losses:
                for fold in args.folds:
                    for seed in args.run_seeds:
                        folder = _folder(args.output_dir, experiment, network, loss, fold, seed)
                        yield Run(model, network, loss, fold, seed, folder, experiment)


def network_name(model: str, *, from_scratch: bool = False) -> str:
    """What a network is called in results and folders: no two different ones the same.

    Args:
        model: as it was asked for. A folder goes by its last name and a digest of its path.
        from_scratch: random weights were asked for.

    >>> network_name("res_f"), network_name("res_f", from_scratch=True), network_name("res", from_scratch=True)
    ('res_f', 'res_f from scratch', 'res')
    """
    if Path(model).is_dir():
        path = Path(model).resolve()
        model = f"{path.name or 'root'}-{hashlib.sha256(str(path).encode()).hexdigest()[:6]}"
    always = (*FROM_SCRATCH, "small")
    return f"{model} from scratch" if from_scratch and model not in always else model


def _folder(output: str | Path, experiment: Experiment, network: str, loss: str, fold: int, seed: int) -> Path:
    names = [network.replace("/", "--"), experiment.variant, loss, f"fold_{fold}", f"seed_{seed}"]
    return Path(output, *(name.replace(" ", "_") for name in names if name))


def learned_where(args: ExperimentArguments, run: Run) -> Path | None:
    """Where the D for an a-emd run lies: the xemd2 run of the same network, fold and seed (section 4.3).

    Args:
        args: `ground_distance` may be a file with a matrix, the folder of a run or that of a table; without it the
            table's own folder is meant.
        run: the a-emd run.

    Returns:
        A file or the folder of a run; an xemd2 run that is planned need not be there yet. None: the run is of another
        loss, or `geometry` says its D.

    Raises:
        ValueError: the folder is that of a run on another test fold: its D has seen rows that this run is tested on.
    """
    has_geometry = args.geometry is not None and "geometry" not in args.without_other_losses(run.loss)
    if run.loss != "a-emd" or has_geometry:
        return None
    given = Path(args.ground_distance or args.output_dir)
    if given.is_file() or given.suffix in (".json", ".npy", ".safetensors"):
        return given
    if (given / "config.json").is_file():
        earlier = read_json(given / RESULTS) or {}
        if earlier.get("fold", run.fold) != run.fold:
            raise ValueError(
                f"{given} is a run tested on fold {earlier['fold']}: its D was learned on rows of fold {run.fold}, on "
                "which this one is tested. Give the output folder of a table with an xemd2 run of each fold."
            )
        return given
    return _folder(given, run.experiment, run.network, "xemd2", run.fold, run.seed)
