"""From the folder of a saved model to a repository of the Hub: what belongs to the model, and nothing else."""

from __future__ import annotations

import logging
import os
import re
import shlex
from pathlib import Path

import httpx2
import transformers
from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)
from transformers.dynamic_module_utils import get_relative_imports

from ..ground_distance.files import read_object, read_text
from ..ground_distance.saved import GROUND_DISTANCE_FILE, HUB_ERRORS
from .card import CARD_FILE, is_generated, write_card
from .results import RESULTS_FILE, digests_of_weights

logger = logging.getLogger(__name__)

_CONFIGS = {
    "config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json",
}  # fmt: skip
_WEIGHTS = re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")
_OTHERS = _CONFIGS | {
    "generation_config.json", "adapter_config.json", GROUND_DISTANCE_FILE, CARD_FILE,
    "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja", "spm.model", "spm_char.model",
    "sentencepiece.model", "chat_template.json", "bpe.codes", "dict.txt", "entity_vocab.json", "byte_maps.json",
}  # fmt: skip
# HUB_ERRORS, what huggingface_hub wraps them in while weights are sent, and what it makes of an answer that refuses.
UPLOAD_ERRORS = (*HUB_ERRORS, RuntimeError, ValueError)
_REPLACED = re.compile(rf"{_WEIGHTS.pattern}|(confusion_matrix|ground_distance)\.png")
_FIGURE = re.compile(r"!\[[^\]]*\]\(([^):]+\.png)\)")  # A figure of the card in the same folder.


class UploadError(OSError):
    """A model could not be pushed to the Hub; in its folder only the card may be new."""


def files_to_upload(folder: str | os.PathLike[str]) -> list[str]:
    """The sorted names of the files of a saved model that go to the Hub.

    Weights as safetensors, config, D, image processor or tokenizer, the card and its figures, and the code of classes
    that were registered with `register_for_auto_class`: nothing that may name folders of this machine.
    """
    folder = Path(folder)
    names = {path.name for path in folder.glob("*") if path.is_file()}
    weights = {name for name in names if _WEIGHTS.fullmatch(name)}
    if not weights:
        raise FileNotFoundError(
            f"{folder} must hold a saved model, with its weights as model.safetensors; there are none. Name the folder "
            "of a run that is done, or save the model there."
        )
    figures = set(_FIGURE.findall(read_text(folder / CARD_FILE))) if CARD_FILE in names else set()
    config = read_object(folder / "config.json") if "config.json" in names else {}
    if config and config.get("ground_distance") != GROUND_DISTANCE_FILE:
        names.discard(GROUND_DISTANCE_FILE)  # It is of an earlier model in this folder.
    code = set().union(*(_code_files(folder / name) for name in names & _CONFIGS))
    if missing := sorted(code - names):
        raise FileNotFoundError(
            f"{folder} must hold {', '.join(missing)}, the code of the model's own classes; it is not there. Save "
            "the model again, with these classes in a module that lies in one folder with what it imports from '.'."
        )
    return sorted(weights | (names & (_OTHERS | figures)) | code)


def _code_files(config: Path) -> set[str]:
    """The names of the files with the code that a config names, and of those that it imports."""
    entries = read_object(config).get("auto_map") or {}
    if not isinstance(entries, dict):
        raise ValueError(f"{config} must have an object under 'auto_map'; got {entries!r:.80}; save the model again")
    files = set()
    for entry in entries.values():
        for reference in entry if isinstance(entry, list) else [entry]:
            if reference is None or "--" in str(reference):  # The code is in another repository.
                continue
            if not isinstance(reference, str) or not re.fullmatch(r"\w+\.\w+", reference):  # It may lead elsewhere.
                raise ValueError(
                    f"{config} must name code as module.Class under 'auto_map'; got {reference!r:.80}; save the model "
                    "again"
                )
            needed = [f"{reference.split('.')[0]}.py"]
            while needed:
                name = needed.pop()
                files.add(name)
                path = config.with_name(name)
                imported = get_relative_imports(path) if path.is_file() else []
                needed += [f"{module}.py" for module in imported if f"{module}.py" not in files]
    return files


def _warn_about_missing_code(folder: Path) -> None:
    config = read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    classes = [name for name in config.get("architectures") or [] if not hasattr(transformers, name)]
    if classes and not any(name.startswith("AutoModel") for name in config.get("auto_map") or {}):
        logger.warning(
            "%s has no code of the class %s, which transformers does not know: only who has it can load the model. To "
            "push it too, put it into a module of its own, call %s.register_for_auto_class(...) and save the model "
            "again.",
            folder,
            ", ".join(classes),
            classes[0],
        )


def create_repository(
    repo_id: str, folder: str | os.PathLike[str], *, token: str | None = None, private: bool | None = None
) -> str:
    """Create a repository unless it exists, which shows whether the token may write; its full name.

    The folder of the model that is to be pushed there is for the message.
    """
    try:
        return HfApi(token=token).create_repo(repo_id, private=private, exist_ok=True).repo_id
    except UPLOAD_ERRORS as error:
        raise UploadError(_message(folder, repo_id, error, "--private" if private else "")) from error


def upload_model(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    token: str | None = None,
    revision: str | None = None,
    message: str = "Upload model",
) -> CommitInfo:
    """Upload the files of a saved model in one commit: the repository has all of them afterwards, or none."""
    names = files_to_upload(folder)
    _warn_about_missing_code(Path(folder))
    try:
        api = HfApi(token=token)
        present = api.list_repo_files(repo_id, revision=revision)
        if CARD_FILE in present:
            card = hf_hub_download(repo_id, CARD_FILE, revision=revision, token=token)
            names = [name for name in names if name != CARD_FILE or is_generated(card)]  # Else it was written by hand.
        # Weights or a config that an earlier upload left would be loaded in place of these.
        replaced = [name for name in present if name in _OTHERS - {CARD_FILE} or _REPLACED.fullmatch(name)]
        # upload_folder would list the whole folder, and fail at a checkpoint that is deleted meanwhile.
        operations = [CommitOperationAdd(name, Path(folder, name)) for name in names]
        operations += [CommitOperationDelete(name) for name in replaced if name not in names]
        return api.create_commit(repo_id, operations, commit_message=message, revision=revision)
    except UPLOAD_ERRORS as error:
        raise UploadError(_message(folder, repo_id, error, f"--revision {revision}" if revision else "")) from error


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
    """Create the repository, write the card and upload the model of a finished run.

    Args:
        folder: of a run.
        repo_id: "me/age", or "age" for one of the token's owner.
        token: default: the one that is stored, or HF_TOKEN.
        private: of a new repository.
        revision: a branch of the repository; default: main.
        license: Hub id of the license of the weights; default: as `write_card`.
        message: of the commit.

    Raises:
        FileNotFoundError: the folder holds no weights.
        UploadError: it failed; the message says why and how to try again.
        ValueError: the results in the folder are not those of its weights.
    """
    files_to_upload(folder)  # Fail before a repository is created in vain.
    repo_id = create_repository(repo_id, folder, token=token, private=private)
    if any(Path(folder, name).is_file() for name in ("config.json", RESULTS_FILE)):
        write_card(folder, repo_id=repo_id, license=license)
    return upload_model(folder, repo_id, token=token, revision=revision, message=message)


def _message(folder: str | os.PathLike[str], repo_id: str, error: Exception, option: str) -> str:
    if not Path(folder, "config.json").is_file() and not digests_of_weights(folder):  # Before the first training step.
        return f"{repo_id} cannot be pushed to: {_why_not_uploaded(repo_id, error)} Nothing was lost. Then start again."
    repository = "REPOSITORY" if isinstance(error, HFValidationError) else repo_id
    command = shlex.join(["squared-emd", "push", str(folder), repository, *option.split()])
    return (
        f"{folder} was not pushed to {repo_id}: {_why_not_uploaded(repo_id, error)} The folder is unchanged, and the "
        f"repository has all of it or nothing new. Then try again: {command}"
    )


def _why_not_uploaded(repo: str, error: Exception) -> str:
    """Why an upload failed, and what to do before the next try."""
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HUB_ERRORS):  # while a large file was sent
        error = error.__cause__
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    reasons = {
        401: "the Hub does not know you: there is no token, or not a valid one. Log in with `hf auth login`, or set "
        "HF_TOKEN to a token that may write.",
        403: f"your token may not write to {repo}. Use one that may, or a repository of your own.",
        409: "the repository is being changed by someone else at this time. Wait a moment.",
        413: "the Hub says that it is too large.",
    }
    if isinstance(error, HFValidationError):
        return f"a repository of the Hub is named as in 'me/age', got {repo!r}. Give such a name."
    if isinstance(error, LocalTokenNotFoundError) or status in reasons:
        return reasons[status or 401]
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set. Unset it."
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision. Make the branch first, or name one that it has."
    if status is not None and status >= 500 and status != 507:
        return f"the Hub had a fault of its own ({status}). Wait a moment."
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        return f"the connection was lost, or there is none ({_first_line(error)}). See that the Hub can be reached."
    return f"{_first_line(error)}."


def _first_line(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}".rstrip(".") if first else type(error).__name__
