"""Images, sounds and texts that a pipeline is given, opened and cut off as training does it."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
from transformers import FeatureExtractionMixin, PretrainedConfig, PreTrainedTokenizerBase

if TYPE_CHECKING:
    import PIL.Image

_NO_LIMIT = 10**6  # Tokens: a tokenizer that knows no limit has a larger one.


def open_image(image: Any, timeout: float | None) -> PIL.Image.Image:
    """Opens an image as training does: upright and in RGB, of 8 bits, and without EXIF that would turn it again."""
    from ..vision.images import decode_image  # Here, because timm is optional.

    if isinstance(image, str) and not os.path.exists(image):
        image = {"path": None, "bytes": _bytes_of_text(image, timeout)}
    upright = decode_image(image, None).image.copy()
    upright.info = {}
    return upright


def _bytes_of_text(text: str, timeout: float | None) -> bytes:
    if _is_url(text):
        return _fetch(text, timeout)
    try:
        return base64.b64decode(text.split(",")[-1] if text.startswith("data:image/") else text, validate=True)
    except ValueError as error:
        raise ValueError(
            "an image must be a file, a URL that begins with http:// or https://, base64 or a PIL image, got "
            f"{text!r:.80}. There is no such file. Give the path of one."
        ) from error


def open_sound(sound: Any, extractor: FeatureExtractionMixin, timeout: float | None) -> Any:
    """(T,) wave of a file, URL, bytes or array, as training decodes it and cuts it off; others stay as they are.

    `path` and `bytes`, or `array` (or `raw`) and `sampling_rate`, are as `datasets` gives them; the rate and the limit,
    `max_seconds`, are those of the extractor.
    """
    from ..data.sounds import decode_audio, resample  # Here, because SciPy and soundfile are optional.

    rate, max_seconds = extractor.sampling_rate, getattr(extractor, "max_seconds", math.inf)
    length = int(max_seconds * rate) if max_seconds < math.inf else None
    if isinstance(sound, str) and _is_url(sound):
        sound = _fetch(sound, timeout)
    if isinstance(sound, bytes):
        sound = {"path": None, "bytes": sound}
    is_mapping = isinstance(sound, Mapping)
    if isinstance(sound, (str, os.PathLike)) or (is_mapping and {"path", "bytes"} <= sound.keys()):
        return decode_audio(sound, rate, max_seconds)
    waves = [sound[name] for name in ("raw", "array") if name in sound] if is_mapping else []
    if waves and "sampling_rate" in sound:
        return resample(np.asarray(waves[0]), sound["sampling_rate"], rate)[:length]
    return sound[:length] if isinstance(sound, (list, np.ndarray)) else sound


def truncation_of(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> dict[str, Any]:
    """Options that cut off the tokens for which a model has no position; none where it has no limit."""
    longest = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", tokenizer.model_max_length))
    return {"truncation": True, "max_length": longest} if longest < _NO_LIMIT else {}


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _fetch(url: str, timeout: float | None) -> bytes:
    return httpx2.get(url, timeout=timeout, follow_redirects=True).raise_for_status().content
