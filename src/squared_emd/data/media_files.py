"""Files of images or sounds: those that cannot be decoded, found before training, and the content of the others."""

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from datasets.utils.file_utils import xopen

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
    """Decodes every image or sound as training does: the digest of its content, as bytes, or what is wrong with it.

    `files` are paths, or `path` and `bytes` as `datasets` gives a file that is not decoded; `names` are for messages.
    Bad files are a ValueError, unless they may be skipped and some are good.
    """
    if noun == "images":
        from squared_emd.vision.images import decode_image  # Here, because nothing else needs timm.

        # `PIL.Image.Image.verify` would miss a truncated JPEG. At an eighth of its size one takes 1 to 2 ms.
        decode, options = decode_image, {"shorter_side": 1}
    else:
        from squared_emd.data.sounds import read_sound  # Here, because it imports transformers.

        decode, options = read_sound, {}

    def check(file: Any) -> bytes | str:
        try:
            decode(file, **options)
            return _digest(file)
        except FileNotFoundError:
            return "missing"
        except ValueError as error:
            return str(error.__cause__ or error).rstrip(".")

    found = []
    remaining = iter(files)
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
        logger.warning(f"{text}. They are left out.")
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
