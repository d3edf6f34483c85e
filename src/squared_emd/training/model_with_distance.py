"""A model that is trained already with its D: learned from labeled data, printed, drawn, saved and pushed."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from accelerate import PartialState

from ..hub.main_process import on_main_process
from ..hub.upload import UploadError, create_repository, push_model
from .learned_distance import LearnedGroundDistance, learn_ground_distance

__all__ = ["write_learned_distance"]

logger = logging.getLogger(__name__)

_MAX_PRINTED = 20  # classes, whose D fits on a screen


def write_learned_distance(
    model: str,
    dataset: str,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    push_to: str | None = None,
    private: bool | None = None,
    **options: Any,
) -> None:
    """Learn D, print it, save it with the model, draw it and push it, as the command `squared-emd distance` does.

    Args:
        model: as for :func:`learn_ground_distance`.
        dataset: where it lies.
        output_dir: for the model with D and the figure `ground_distance.png`; None: only a push that fails leaves them.
        push_to: a repository of the Hub for the same; "": that of the model; None: nothing is pushed.
        private: of a repository that is made.
        options: of :func:`learn_ground_distance`.

    Raises:
        ValueError: `push_to` is "" and the model a folder, or what :func:`learn_ground_distance` raises.
        UploadError: the repository cannot be made, before anything is learned, or the push failed.
    """
    if push_to == "" and os.path.isdir(model):
        raise ValueError(f"{model} is a folder, which has no repository. Name one, as in --push me/age.")
    push_to = model if push_to == "" else push_to
    if push_to is not None:
        on_main_process(lambda: _create(push_to, private), UploadError)
    learned = learn_ground_distance(model, dataset, **options)
    if not PartialState().is_main_process:
        return
    print(_described(learned), flush=True)
    if output_dir is None and push_to is None:
        return
    folder = mkdtemp(prefix="squared-emd-") if output_dir is None else output_dir
    learned.save(folder)
    _draw(learned, Path(folder, "ground_distance.png"))
    if output_dir is not None:
        print(f"The model is saved with it in {output_dir}.")
    if push_to is not None:
        pushed = push_model(folder, push_to, private=private, message="Add the ground distance")
        print(f"It is at {pushed.repo_url}.")
        if output_dir is None:  # Where the push failed, its message says how to push from there.
            shutil.rmtree(folder)


def _create(repository: str, private: bool | None) -> str:
    with TemporaryDirectory() as folder:  # There is no model to be pushed yet.
        return create_repository(repository, folder, private=private)


def _described(learned: LearnedGroundDistance) -> str:
    names = learned.class_names or [str(k) for k in range(len(learned.known))]
    lines = [
        f"D of {len(names)} classes from {float(learned.class_counts.sum()):.0f} samples. SDD {learned.sdd:.4g}, "
        f"{learned.sdd_relative:.3g} of the mean distance."
    ]
    if len(names) <= _MAX_PRINTED:
        width = max(map(len, names))
        rows = zip(names, learned.ground_distance.tolist(), strict=True)
        lines += [f"{name:>{width}}  {' '.join(f'{entry:.2f}' for entry in row)}" for name, row in rows]
    return "\n".join(lines)


def _draw(learned: LearnedGroundDistance, path: Path) -> None:
    try:  # Here, because Matplotlib is optional and takes a second to import.
        from .. import plot
    except ImportError as error:
        logger.warning("D is not drawn: %s", error)
        return
    plot.heat_map(learned.ground_distance, class_names=learned.class_names, path=path)
