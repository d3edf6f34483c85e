"""Finds image files that cannot be decoded, before training."""

import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import PIL.Image

__all__ = ["bad_images", "describe_bad_images", "find_bad_images"]

logger = logging.getLogger(__name__)

MAX_NAMED = 5
SKIP_ADVICE = "or leave them out with --skip_bad_images (skip_bad_images=True)"


def bad_images(paths: Iterable[str], progress: Callable[[int, int], None] | None = None) -> dict[str, str]:
    """Finds the images that are missing or cannot be decoded.

    Every image is decoded, in a pool of threads, because `PIL.Image.Image.verify` misses a truncated JPEG. A JPEG is
    decoded at an eighth of its size (1 to 2 ms for 816 x 816 pixels).

    Args:
        paths: Paths of images; duplicates are checked once.
        progress: Called as `progress(done, total)` after each image.

    Returns:
        Path -> reason, in the order of `paths`; empty if all images are good.
    """
    unique = list(dict.fromkeys(paths))
    bad = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (path, reason) in enumerate(zip(unique, pool.map(_decoding_error, unique), strict=True), start=1):
            if reason:
                bad[path] = reason
            if progress:
                progress(done, len(unique))
    return bad


def find_bad_images(
    paths: Iterable[str],
    source: str | os.PathLike,
    *,
    skip: bool,
    advice: str,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Finds the images to leave out, and logs a warning that counts them.

    Args:
        paths: Paths of images.
        source: Where they are listed, for messages.
        skip: Whether bad images may be left out.
        advice: What else to do about them, for the error: "Unpack the archive again".
        progress: See `bad_images`.

    Returns:
        Path -> reason, as `bad_images`.

    Raises:
        ValueError: There are bad images and `skip` is false, or no image is good.
    """
    paths = list(paths)
    bad = bad_images(paths, progress)
    if bad:
        text = describe_bad_images(bad, len(set(paths)), source)
        if not skip or len(bad) == len(set(paths)):
            raise ValueError(f"{text}. {advice}{'' if skip else f', {SKIP_ADVICE}'}.")
        logger.warning("%s. They are left out.", text)
    return bad


def describe_bad_images(bad: dict[str, str], total: int, source: str | os.PathLike) -> str:
    """Describes bad images in half a sentence: how many, and the first of them."""
    first = "; ".join(f"{path} ({reason})" for path, reason in list(bad.items())[:MAX_NAMED])
    return f"{len(bad)} of {total} images of {source} are missing or cannot be decoded, the first: {first}"


def _decoding_error(path: str) -> str | None:
    from squared_emd.vision.images import decode_image  # Here, because texts and tables need no timm.

    try:
        decode_image(path, 1)
    except FileNotFoundError:
        return "missing"
    except ValueError as error:
        cause = error.__cause__ or error
        return "not an image" if isinstance(cause, PIL.UnidentifiedImageError) else f"cannot be decoded: {cause}"
    return None
