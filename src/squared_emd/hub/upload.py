"""From the folder of a saved model to a repository of the Hub: what belongs to the model, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import HFValidationError
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from ..ground_distance.hub_errors import UPLOAD_ERRORS, why_not_uploaded
from ..ground_distance.saved import GROUND_DISTANCE_FILE
from .run_facts import digests_of_weights

__all__ = [
    "CARD_FILE",
    "MARK",
    "UploadError",
    "create_repository",
    "files_to_upload",
    "is_generated",
    "is_image_classifier",
    "note_results",
    "push_model",
    "upload_model",
]

CARD_FILE = "README.md"
MARK = "<!-- Written by squared_emd; take this line away, and the card is yours and stays as it is. -->"
_MARK_OF_TRAINER = "This model card has been generated automatically"  # of transformers.Trainer
_NOTED = "card_results.json"  # stays in the folder
_WEIGHTS = re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_OTHERS = {
    "config.json", "generation_config.json", "adapter_config.json", GROUND_DISTANCE_FILE, CARD_FILE,
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    "spm.model", "spm_char.model", "sentencepiece.model", "chat_template.json", "bpe.codes", "dict.txt",
    "entity_vocab.json", "byte_maps.json",
}  # fmt: skip
_REPLACED = re.compile(rf"{_WEIGHTS.pattern}|(confusion_matrix|ground_distance)\.png")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^):]+\.png)\)")  # of the card, in the same folder


class UploadError(RuntimeError):
    """A model could not be pushed to the Hub; in its folder the card alone may be new."""


def files_to_upload(folder: str | os.PathLike[str]) -> list[str]:
    """The files of a saved model that go to the Hub.

    Weights as safetensors, config, D, image processor or tokenizer, the card and its figures: no optimizer state, no
    results, logs or arguments, which may name folders of this machine, and no file that was not named here.

    Args:
        folder: of the model.

    Returns:
        Their names, sorted.

    Raises:
        FileNotFoundError: there are no weights in it.
    """
    names = {path.name for path in Path(folder).glob("*") if path.is_file()}
    weights = {name for name in names if _WEIGHTS.fullmatch(name)}
    if not weights:
        raise FileNotFoundError(
            f"{folder} must hold a saved model, with its weights as model.safetensors; there are none. Name the folder "
            "of a run that is done, or save the model there."
        )
    card = Path(folder, CARD_FILE)
    pictures = set(_PICTURE.findall(card.read_text(encoding="utf-8"))) if card.is_file() else set()
    config = Path(folder, "config.json")
    if (
        config.is_file()
        and json.loads(config.read_text(encoding="utf-8")).get("ground_distance") != GROUND_DISTANCE_FILE
    ):
        names.discard(GROUND_DISTANCE_FILE)  # of an earlier model in this folder
    return sorted(weights | (names & (_OTHERS | pictures)))


def is_image_classifier(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a model of transformers that our card can tell of: a classifier of images.

    Args:
        folder: of the model.
    """
    path = Path(folder, "config.json")
    kind = json.loads(path.read_text(encoding="utf-8")).get("model_type") if path.is_file() else None
    return kind in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES


def is_generated(card: str | os.PathLike[str]) -> bool:
    """Whether a card was written by this package or by `transformers.Trainer`, or is the Hub's empty one.

    Args:
        card: a README.md.
    """
    text = Path(card).read_text(encoding="utf-8")
    body = re.sub(r"\A---\n.*?\n---\s*", "", text, flags=re.DOTALL)
    return not body.strip() or any(mark in text for mark in (MARK, _MARK_OF_TRAINER))


def create_repository(
    repo_id: str, folder: str | os.PathLike[str], *, token: str | None = None, private: bool | None = None
) -> str:
    """Make a repository, where there is none yet; it also shows whether the token may write.

    Args:
        repo_id: "me/age", or "age" for one of the token's owner.
        folder: what is to be pushed there, for the message.
        token: default: the one that is stored, or HF_TOKEN.
        private: of a new repository.

    Returns:
        Its full name.

    Raises:
        UploadError: it cannot be made; the message says why and what to do.
    """
    try:
        return HfApi(token=token).create_repo(repo_id, private=private, exist_ok=True).repo_id
    except UPLOAD_ERRORS as error:
        raise UploadError(_message(folder, repo_id, error, private=private)) from error


def upload_model(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    revision: str | None = None,
    message: str = "Upload model",
) -> CommitInfo:
    """Upload the files of a saved model in one commit: the repository has all of them afterwards, or none.

    Args:
        folder: of the model.
        repo_id: "me/age"; it is there.
        token: default: the one that is stored, or HF_TOKEN.
        revision: a branch of the repository; default: main.
        message: of the commit.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: the folder holds no weights.
        UploadError: it failed; the message says why and how to try again.
    """
    names = files_to_upload(folder)
    try:
        api = HfApi(token=token)
        there = api.list_repo_files(repo_id, revision=revision)
        # what an earlier upload left would be loaded in place of this one
        if CARD_FILE in there and not is_generated(hf_hub_download(repo_id, CARD_FILE, revision=revision, token=token)):
            names = [name for name in names if name != CARD_FILE]  # it was written by hand on the Hub
        ours = _OTHERS - {CARD_FILE}
        gone = [name for name in there if (name in ours or _REPLACED.fullmatch(name)) and name not in names]
        return api.create_commit(
            repo_id,
            # upload_folder would walk through all that lies there, and trip over a checkpoint that is deleted meanwhile
            [CommitOperationAdd(name, Path(folder, name)) for name in names]
            + [CommitOperationDelete(name) for name in gone],
            commit_message=message,
            revision=revision,
        )
    except UPLOAD_ERRORS as error:
        raise UploadError(_message(folder, repo_id, error, revision=revision)) from error


def push_model(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    license: str | None = None,
    message: str = "Upload model",
) -> CommitInfo:
    """Make the repository, write the card (of a classifier of images) and upload the model of a finished run.

    Args:
        folder: of a run.
        repo_id: "me/age", or "age" for one of the token's owner.
        token: default: the one that is stored, or HF_TOKEN.
        private: of a new repository.
        revision: a branch of the repository; default: main.
        license: of the weights, as the Hub names it; default: as `write_card`.
        message: of the commit.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: the folder holds no weights.
        UploadError: it failed; the message says why and how to try again.
        ValueError: the results in the folder are not those of its weights.
    """
    from .card import write_card  # which takes matplotlib: slow to import

    files_to_upload(folder)  # before a repository is made for nothing
    repo_id = create_repository(repo_id, folder, token=token, private=private)
    if is_image_classifier(folder):
        noted = _noted_by_trainer(folder)
        given = {} if license is None else {"license": license}
        write_card(folder, repo_id=repo_id, **noted | given)
    return upload_model(folder, repo_id, token=token, revision=revision, message=message)


def note_results(
    folder: str | os.PathLike[str],
    results: Mapping[str, Any],
    *,
    license: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write down what was measured on the weights in a folder, for a card that is written again later.

    Args:
        folder: of a model that was not trained by a recipe, which leaves its own results.
        results: as `all_results.json` of a recipe has them.
        license: of the card.
        metadata: of the card.
    """
    card = {"results": {**results, "weights": digests_of_weights(folder)}, "license": license, "metadata": metadata}
    Path(folder, _NOTED).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _noted_by_trainer(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What :func:`note_results` wrote, as arguments of `write_card`; no results where the weights are others now."""
    noted = Path(folder, _NOTED)
    if not noted.is_file():
        return {}
    card = json.loads(noted.read_text(encoding="utf-8"))
    if card["results"]["weights"] != digests_of_weights(folder):
        card["results"] = None
    return card


def _message(
    folder: str | os.PathLike[str],
    repo_id: str,
    error: Exception,
    *,
    private: bool | None = None,
    revision: str | None = None,
) -> str:
    if not Path(folder, "config.json").is_file() and not digests_of_weights(folder):  # nothing was trained yet
        return f"{repo_id} cannot be pushed to: {why_not_uploaded(repo_id, error)} Nothing was lost. Then start again."
    again = ["python", "-m", "squared_emd", "push", str(folder)]
    again += ["REPOSITORY" if isinstance(error, HFValidationError) else repo_id]
    again += ["--private"] if private else []
    again += ["--revision", revision] if revision else []
    return (
        f"{folder} was not pushed to {repo_id}: {why_not_uploaded(repo_id, error)} The folder is whole, and the "
        f"repository has all of it or nothing new. Then try again: {shlex.join(again)}"
    )
