"""Finished runs go to the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ..hub.main_process import on_main_process
from ..hub.upload import UploadError, create_repository, push_model
from .arguments import ExperimentArguments
from .experiment import Run

__all__ = ["check_repository", "push_run", "repository_of"]


def repository_of(args: ExperimentArguments, run: Run, runs: Sequence[Run]) -> str:
    """The repository of a run: `hub_model_id`, followed by what sets the run apart where there are several."""
    parts = [
        lambda run: run.network,
        lambda run: run.experiment.variant,
        lambda run: run.loss,
        lambda run: f"fold-{run.fold}",
        lambda run: f"seed-{run.seed}",
    ]
    apart = [part(run) for part in parts if len({part(other) for other in runs}) > 1]
    names = [args.hub_model_id, *(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-.") for part in apart)]
    return "-".join(filter(None, names))


def check_repository(args: ExperimentArguments, runs: Sequence[Run]) -> None:
    """Create the first repository, so that a token that may not write is found before anything is trained.

    Raises:
        UploadError: it cannot be created; on all ranks.
    """
    name, folder = repository_of(args, runs[0], runs), runs[0].folder
    options = {"token": args.hub_token, "private": args.hub_private_repo}
    on_main_process(lambda: create_repository(name, folder, **options), UploadError)


def push_run(
    args: ExperimentArguments, run: Run, runs: Sequence[Run], print_on_main: Callable[..., None]
) -> str | None:
    """Push a finished run.

    Returns:
        None, or why it failed and how to try again; the same on all ranks.
    """
    repository = repository_of(args, run, runs)
    options = {"token": args.hub_token, "private": args.hub_private_repo, "revision": args.hub_revision}
    options |= {"license": args.hub_license, "message": f"{run}"}
    try:
        on_main_process(lambda: push_model(run.folder, repository, **options).oid, UploadError)
    except UploadError as error:
        print_on_main(f"{error}")
        return str(error)
    print_on_main(f"Pushed to {repository}.")
    return None
