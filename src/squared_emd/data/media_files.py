"""Images and sounds that cannot be decoded, found before training, and the content of the others."""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from datasets.utils.file_utils import xopen

__all__ = ["check_media"]

logger = logging.getLogger(__name__)

MAX_NAMED = 5
SKIP_ADVICE = ", or leave them out with --skip_bad_images (skip_bad_images=True)"
CHUNK = 256  # Files in memory at once.
BLOCK = 2**20  # Bytes.


def check_media(
    files: Iterable[str | Mapping[str, Any]],
    names: Sequence[str],
    noun: str,
    source: str | os.PathLike,
    *,
    skip: bool,
    advice: str,
) -> list[bytes | str]:
    """Decodes every image or sound as training does, in a pool of threads.

    `PIL.Image.Image.verify` would miss a truncated JPEG. A JPEG is decoded at an eighth of its size (1 to 2 ms for
    816 x 816 pixels).

    Args:
        files: Paths, or `path` and `bytes` as `datasets` gives a file that is not decoded.
        names: What the files are called.
        noun: "images" or "sounds".
        source: Where they are listed, for messages.
        skip: Whether bad images may be left out, with a warning that counts them.
        advice: What else to do about bad files, for the error.

    Returns:
        The digest of the content of each file, as bytes, or what is wrong with it, as text.

    Raises:
        ValueError: There are bad files and `skip` is false, or no file is good.
    """
    if noun == "images":
        from squared_emd.vision.images import decode_image  # Here, because nothing else needs timm.

        def decode(file: Any) -> Any:
            return decode_image(file, 1)
    else:
        from squared_emd.data.sounds import read_sound as decode  # Here, because it imports transformers.

    def check(file: Any) -> bytes | str:
        try:
            decode(file)
            return _digest(file)
        except FileNotFoundError:
            return "missing"
        except ValueError as error:
            return str(error.__cause__ or error).rstrip(".")

    found, remaining = [], iter(files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(remaining, CHUNK)):
            found += pool.map(check, chunk)
    bad = [f"{name} ({reason})" for name, reason in zip(names, found, strict=True) if isinstance(reason, str)]
    if bad:
        text = (
            f"{len(bad)} of {len(found)} {noun} of {source} are missing or cannot be decoded, the first: "
            f"{'; '.join(bad[:MAX_NAMED])}"
        )
        if not skip or len(bad) == len(found):
            raise ValueError(f"{text}. {advice}{SKIP_ADVICE if noun == 'images' and not skip else ''}.")
        logger.warning("%s. They are left out.", text)
    return found


def _digest(file: Mapping[str, Any] | str) -> bytes:
    """The SHA-256 of the content."""
    content, path = (file["bytes"], file["path"]) if isinstance(file, Mapping) else (None, file)
    if content is not None:
        return hashlib.sha256(content).digest()
    digest = hashlib.sha256()
    with xopen(str(path), "rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
    return digest.digest()
