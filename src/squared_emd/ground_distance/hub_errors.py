"""What an error of the Hub means for the person who sees it."""

from __future__ import annotations

import httpx2
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

__all__ = ["HUB_ERRORS", "UPLOAD_ERRORS", "why_not_loaded", "why_not_uploaded"]

HUB_ERRORS = (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError)
"""All that huggingface_hub raises where a repository, a token, the Hub or the way to it is at fault."""

UPLOAD_ERRORS = (*HUB_ERRORS, RuntimeError, ValueError)
"""Those, what it wraps them in while weights are sent, and what it makes of an answer that refuses them."""


def why_not_loaded(repo: str, name: str, revision: str | None, error: Exception) -> str:
    """Why a file of a repository cannot be had, and what to do.

    Args:
        repo: as "me/age".
        name: the file.
        revision: or None for main.
        error: one of :data:`HUB_ERRORS`.
    """
    if isinstance(error, HFValidationError):
        return "there is no such folder, and a repository of the Hub is named as in 'me/age'."
    if isinstance(error, GatedRepoError):
        return "its owner grants access one by one. Ask for it on the page of the repository, then log in."
    if isinstance(error, RepositoryNotFoundError):
        return (
            "there is no such folder, and no such repository on the Hub that you may see. Check the name; if it is "
            "private, log in with `hf auth login`, or give token or HF_TOKEN."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {revision!r}. Give a branch, a tag or a commit of it."
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled | httpx2.TransportError):
        return f"{name} was not downloaded before, and the Hub cannot be reached now. Try again when it can."
    if isinstance(error, EntryNotFoundError):
        return f"the repository has no {name}."
    return f"{_in_short(error)}. Try again."


def why_not_uploaded(repo: str, error: Exception) -> str:
    """Why an upload failed, and what to do before the next try.

    Args:
        repo: as "me/age".
        error: one of :data:`UPLOAD_ERRORS`.
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, HUB_ERRORS):  # while a large file was sent
        error = error.__cause__
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, HFValidationError):
        return f"a repository of the Hub is named as in 'me/age', got {repo!r}. Give such a name."
    if isinstance(error, LocalTokenNotFoundError) or status == 401:
        return (
            "the Hub does not know you: there is no token, or not a valid one. Log in with `hf auth login`, or set "
            "HF_TOKEN to a token that may write."
        )
    if status == 403:
        return f"your token may not write to {repo}. Use one that may, or a repository of your own."
    if status == 409:
        return "the repository is being changed by someone else at this time. Wait a moment."
    if status == 413:
        return "the Hub says that it is too large."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set. Unset it."
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision. Make the branch first, or name one that it has."
    if status is not None and status >= 500 and status != 507:
        return f"the Hub had a fault of its own ({status}). Wait a moment."
    if isinstance(error, httpx2.TransportError | ConnectionError | TimeoutError):
        return f"the connection was lost, or there is none ({_in_short(error)}). See that the Hub can be reached."
    return f"{_in_short(error)}."


def _in_short(error: Exception) -> str:
    first = str(error).strip().splitlines()
    return f"{type(error).__name__}: {first[0]}".rstrip(".") if first else type(error).__name__
