"""Writes `model_cards/`: the cards of the planned checkpoints, with "not run" for every figure, and of the drawn faces.

Run it where the repository lies, after a change of the template or of what fills the cards (a test compares)::

    python -m squared_emd.hub.planned_cards [--drawn_faces RUN_FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from ..data import adience, images_of_groups
from ..experiments.launch import user_errors
from ..metrics.logs import RESULTS_FILE
from .card import write_card
from .card_fill import CardFill
from .card_results import believed_results, checked_results
from .card_text import card_text
from .upload import CARD_FILE

__all__ = ["PLANNED", "Planned", "copy_drawn_faces", "planned_card", "write_cards"]

DRAWN_FACES = "drawn-faces"
_NOBODY = "nobody has trained this checkpoint yet."
_OWNER = "YOUR_NAME"
_BINS = ("bin 1 (lowest scores)", *(f"bin {n}" for n in range(2, 10)), "bin 10 (highest scores)")  # the data name them
# Of a config.json, what a card is filled with, and what tells its type.
_CONFIG_KEYS = (
    "architecture", "architectures", "emd", "ground_distance", "id2label", "label2id", "label_names", "model_type",
    "num_classes", "num_labels", "problem_type",
)  # fmt: skip


@dataclass(frozen=True)
class Planned:
    """A checkpoint that nobody has trained yet.

    Args:
        table: of the recipe.
        data: what its pictures are, as the recipe says it.
        recipe: its file.
        class_names: the K classes in order.
        model: the network.
        loss: the loss.
        options: further words of the command.
    """

    table: str
    data: str
    recipe: str
    class_names: tuple[str, ...]
    model: str = "res_f"
    loss: str = "xemd2"
    options: str = ""

    @property
    def command(self) -> str:
        """The command that would train it."""
        return (
            f"accelerate launch recipes/{self.recipe} --data_dir DIR --model {self.model} --loss {self.loss}"
            f"{self.options} --learning_rate select --output_dir OUT"
        )


PLANNED: dict[str, Planned] = {
    "age-adience": Planned("adience", "Adience files", "adience.py", adience.AGE_GROUPS, options=" --fold 0"),
    "age-images-of-groups": Planned(
        "images_of_groups", "Images of Groups", "images_of_groups.py", images_of_groups.AGE_GROUPS
    ),
    "aesthetics-aadb": Planned("aadb", "AADB", "aadb.py", _BINS),
}
"""Folder below `model_cards` -> the checkpoint."""


def planned_card(name: str) -> str:
    """The card of a planned checkpoint: every figure is "not run".

    Args:
        name: key of `PLANNED`.

    Returns:
        The text of its README.md.
    """
    planned = PLANNED[name]
    config = PretrainedConfig(
        id2label=dict(enumerate(planned.class_names)), emd={"loss": planned.loss, "mirrored": True}
    )
    run = {"table": planned.table, "data": planned.data, "model": planned.model, "loss": planned.loss}
    known = checked_results(run | {"stand_in": False, "command": planned.command}, config)
    return card_text(CardFill(config, known, _NOBODY, is_planned=True, repo_id=f"{_OWNER}/{name}"))


def copy_drawn_faces(run_folder: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Take over what the card of the drawn faces is filled with: results and config, without the weights.

    Args:
        run_folder: of a run of `recipes/adience.py` without data.
        folder: where they go; made anew.

    Raises:
        FileNotFoundError: there is no saved model.
        ValueError: the results in the run folder are not believed, or are of other data.
    """
    run_folder, folder = Path(run_folder), Path(folder)
    found, where, not_believed = believed_results(run_folder, None)
    if not_believed:
        raise ValueError(
            f"a run with results of its own weights is needed; {run_folder}: {not_believed} Train it again"
        )
    if found.get("data") != "drawn faces":
        raise ValueError(
            f"a run on drawn faces is needed; got {found.get('data')!r}; run recipes/adience.py without data"
        )
    saved = json.loads((run_folder / "config.json").read_text(encoding="utf-8"))
    config = {name: saved[name] for name in _CONFIG_KEYS if name in saved}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write_json(folder / "config.json", config)
    known = checked_results(found, AutoConfig.from_pretrained(folder), where)
    as_measured = {name: found[name] for name in ("confusion_matrix", "weights") if name in found}
    _write_json(folder / RESULTS_FILE, known | as_measured)


def write_cards(output_dir: str | os.PathLike[str], drawn_faces: str | os.PathLike[str] | None = None) -> list[Path]:
    """Write all cards.

    Args:
        output_dir: the folder `model_cards`.
        drawn_faces: the run folder whose results the card of the drawn faces shows. By default those that lie in
            `output_dir` already, if there are any.

    Returns:
        The files written.

    Raises:
        FileNotFoundError, ValueError: see :func:`copy_drawn_faces`.
    """
    output_dir, written = Path(output_dir), []
    for name in PLANNED:
        card = output_dir / name / CARD_FILE
        card.parent.mkdir(parents=True, exist_ok=True)
        card.write_text(planned_card(name), encoding="utf-8", newline="\n")
        written.append(card)
    folder = output_dir / DRAWN_FACES
    if drawn_faces is not None:
        copy_drawn_faces(drawn_faces, folder)
        written += [folder / "config.json", folder / RESULTS_FILE]
    if (folder / RESULTS_FILE).is_file():
        results = json.loads((folder / RESULTS_FILE).read_text(encoding="utf-8"))
        (folder / CARD_FILE).unlink(missing_ok=True)
        written += write_card(folder, repo_id=f"{_OWNER}/{DRAWN_FACES}", results=results)
    return written


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8", newline="\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all cards, and say which files.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m squared_emd.hub.planned_cards", description="Write model_cards.")
    parser.add_argument("--drawn_faces", metavar="RUN_FOLDER", help="Folder of a run of recipes/adience.py.")
    parser.add_argument("--output_dir", default="model_cards", help="Where they go. Default: model_cards.")
    args = parser.parse_args(arguments)
    with user_errors():
        for path in write_cards(args.output_dir, args.drawn_faces):
            print(path)


if __name__ == "__main__":
    main()
