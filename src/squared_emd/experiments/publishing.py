"""Finished runs go to the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..hub.upload import UploadError, create_repository, push_model
from ..training.first_rank import on_first_rank
from .arguments import ExperimentArguments
from .plan import Run

__all__ = ["check_repository", "push_run", "repository_of"]


def repository_of(args: ExperimentArguments, run: Run, runs: Sequence[Run]) -> str:
    """The repository of a run: `hub_model_id`, with what sets the run apart behind it where there are several.

    Args:
        args: of the table.
        run: one of `runs`.
        runs: of the table.
    """
    parts = {
        "network": lambda run: run.network,
        "variant": lambda run: run.experiment.variant,
        "loss": lambda run: run.loss,
        "fold": lambda run: f"fold-{run.fold}",
        "seed": lambda run: f"seed-{run.seed}",
    }
    apart = [tell(run) for tell in parts.values() if len({tell(other) for other in runs}) > 1]
    names = [args.hub_model_id, *(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in apart)]
    return "-".join(filter(None, names))


def check_repository(args: ExperimentArguments, runs: Sequence[Run]) -> None:
    """Make the first repository, so that a token that may not write is found before anything is trained.

    Args:
        args: of the table.
        runs: of the table.

    Raises:
        UploadError: it cannot be made; on all ranks.
    """
    first = runs[0]
    on_first_rank(
        lambda: create_repository(
            repository_of(args, first, runs), first.folder, token=args.hub_token, private=args.hub_private_repo
        ),
        UploadError,
    )


def push_run(args: ExperimentArguments, run: Run, runs: Sequence[Run], say: Callable[..., None]) -> str | None:
    """Push a finished run.

    Args:
        args: of the table.
        run: its results lie there.
        runs: of the table.
        say: prints, on the first rank.

    Returns:
        None, or why it failed and how to try again; the same on all ranks.
    """
    repository = repository_of(args, run, runs)
    try:
        on_first_rank(
            lambda: (
                push_model(
                    run.folder,
                    repository,
                    token=args.hub_token,
                    private=args.hub_private_repo,
                    revision=args.hub_revision,
                    license=args.hub_license,
                    message=f"{run}",
                ).oid
            ),
            UploadError,
        )
    except UploadError as error:
        say(f"{error}")
        return str(error)
    say(f"Pushed to {repository}.")
    return None
