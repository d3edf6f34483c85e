"""Finds image files that cannot be decoded, before training."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

import PIL.Image

from squared_emd.data.duplicates import content_digest

__all__ = ["CheckedImages", "check_images", "describe_bad_images", "find_bad_images", "report_bad_images"]

logger = logging.getLogger(__name__)

MAX_NAMED = 5
SKIP_ADVICE = "or leave them out with --skip_bad_images (skip_bad_images=True)"
CHUNK = 256  # Images in memory at once.


class CheckedImages(NamedTuple):
    """Name -> reason of the images that no view can be made of, and name -> digest of the content of the others."""

    bad: dict[str, str]
    digests: dict[str, bytes]


def check_images(
    names: Sequence[str], images: Iterable[Any] | None = None, progress: Callable[[int, int], None] | None = None
) -> CheckedImages:
    """Decodes every image as a view of it does, in a pool of threads.

    `PIL.Image.Image.verify` would miss a truncated JPEG. A JPEG is decoded at an eighth of its size (1 to 2 ms for
    816 x 816 pixels).

    Args:
        names: What the images are called, each name once.
        images: The images, see `squared_emd.vision.images.ImageSource`. Default: the names are paths.
        progress: Called as `progress(done, total)` after each image.

    Returns:
        What is wrong with the bad images, in their order, and the content of the good ones.
    """
    found = CheckedImages({}, {})
    remaining, done = iter(names if images is None else images), 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(remaining, CHUNK)):
            for reason, digest in pool.map(_check, chunk):
                if reason:
                    found.bad[names[done]] = reason
                else:
                    found.digests[names[done]] = digest
                done += 1
                if progress:
                    progress(done, len(names))
    return found


def find_bad_images(
    paths: Iterable[str],
    source: str | os.PathLike,
    *,
    skip: bool,
    advice: str,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Finds the image files to leave out, see `check_images`, and reports them, see `report_bad_images`.

    Args:
        paths: Paths of images; duplicates are checked once.
        source: Where they are listed, for messages.
        skip: Whether bad images may be left out.
        advice: What else to do about them, for the error: "Unpack the archive again".
        progress: See `check_images`.

    Returns:
        Path -> reason, in the order of `paths`; empty if all images are good.

    Raises:
        ValueError: There are bad images and `skip` is false, or no image is good.
    """
    unique = list(dict.fromkeys(paths))
    bad = check_images(unique, progress=progress).bad
    report_bad_images(bad, len(unique), source, skip=skip, advice=advice)
    return bad


def report_bad_images(bad: dict[str, str], total: int, source: str | os.PathLike, *, skip: bool, advice: str) -> None:
    """Logs a warning that counts the images that are left out.

    Raises:
        ValueError: There are bad images and `skip` is false, or no image is good.
    """
    if bad:
        text = describe_bad_images(bad, total, source)
        if not skip or len(bad) == total:
            raise ValueError(f"{text}. {advice}{'' if skip else f', {SKIP_ADVICE}'}.")
        logger.warning("%s. They are left out.", text)


def describe_bad_images(bad: dict[str, str], total: int, source: str | os.PathLike) -> str:
    """Describes bad images in half a sentence: how many, and the first of them."""
    first = "; ".join(f"{name} ({reason})" for name, reason in list(bad.items())[:MAX_NAMED])
    return f"{len(bad)} of {total} images of {source} are missing or cannot be decoded, the first: {first}"


def _check(image: Any) -> tuple[str, bytes]:
    """What is wrong with an image, or the digest of its content."""
    from squared_emd.vision.images import decode_image  # Here, because texts and tables need no timm.

    try:
        decode_image(image, 1)
        return "", content_digest(image)
    except FileNotFoundError:
        return "missing", b""
    except ValueError as error:
        cause = error.__cause__ or error
        is_none = isinstance(cause, PIL.UnidentifiedImageError)
        return "not an image" if is_none else f"cannot be decoded: {cause}", b""
