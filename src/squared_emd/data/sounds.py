"""Sounds as arrays and as batches: `datasets.Audio` decodes by torchcodec, this module by libsndfile."""

import inspect
import io
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
import torch
from datasets.utils.file_utils import xopen
from scipy.signal import resample_poly
from torch import Tensor
from transformers import FeatureExtractionMixin

MIN_RATE, MAX_RATE = 1_000, 768_000  # Samples per second; resampling from others could take all memory.
MARGIN = 0.1  # Seconds that resampling looks ahead, at most.
BLOCK = 2**20  # Samples of all channels that are read at once: a header may claim more than the file has.


def decode_audio(
    sound: str | os.PathLike | Mapping[str, Any], sampling_rate: int, max_seconds: float = math.inf
) -> np.ndarray:
    """Decodes a sound to one channel, (T,) float32, mostly within -1 .. 1, of `sampling_rate` samples per second.

    It is a path, or `path` and `bytes` as `datasets.Audio(decode=False)` gives them, and not read beyond `max_seconds`.
    """
    mono = resample(*read_sound(sound, max_seconds + MARGIN), sampling_rate)  # (T,)
    return mono[: int(max_seconds * sampling_rate)] if max_seconds < math.inf else mono


def resample(wave: np.ndarray, rate: int, sampling_rate: int) -> np.ndarray:
    """(T * sampling_rate / rate,) float32: a wave (T,) of `rate` samples per second with `sampling_rate` of them."""
    wave = wave if rate == sampling_rate else resample_poly(wave, sampling_rate, rate)
    return np.ascontiguousarray(wave, dtype=np.float32)


def audio_decoder(sampling_rate: int, max_seconds: float) -> Callable[[dict[str, list]], dict[str, list]]:
    """Makes a transform for `Dataset.with_transform` that decodes `audio` of a batch by `decode_audio`."""

    def decode(batch: dict[str, list]) -> dict[str, list]:
        return batch | {"audio": [decode_audio(sound, sampling_rate, max_seconds) for sound in batch["audio"]]}

    return decode


class AudioCollator:
    """A `data_collator` for sounds of different lengths.

    Sounds are padded to the longest of the batch, unless the feature extractor makes all sounds equally long; shorter
    ones than `min_seconds` with zeros to this length, which the convolutions need.
    """

    def __init__(self, feature_extractor: FeatureExtractionMixin, min_seconds: float = 0.1) -> None:
        self.feature_extractor = feature_extractor
        self.min_samples = round(min_seconds * feature_extractor.sampling_rate)
        padding = inspect.signature(feature_extractor.__call__).parameters.get("padding")
        self.options = {"padding": True} if padding is not None and padding.default is False else {}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """The outputs of the feature extractor for `audio`, (T,) numbers of each row, and `labels` (B,) or (B, K)."""
        sounds = [np.asarray(row["audio"], dtype=np.float32) for row in rows]  # (T,) each
        sounds = [np.pad(sound, (0, max(self.min_samples - len(sound), 0))) for sound in sounds]
        rate = self.feature_extractor.sampling_rate
        inputs = self.feature_extractor(sounds, sampling_rate=rate, return_tensors="pt", **self.options)
        return dict(inputs) | {"labels": torch.as_tensor([row["label"] for row in rows])}


def read_sound(sound: str | os.PathLike | Mapping[str, Any], max_seconds: float = math.inf) -> tuple[np.ndarray, int]:
    """The mean of the channels of a sound, (T,), and the samples per second; a ValueError says what is wrong."""
    path, content = (sound["path"], sound["bytes"]) if isinstance(sound, Mapping) else (sound, None)
    name = "a sound of the dataset" if path is None else str(path)
    try:
        if content is None and "://" in name:  # In an archive.
            with xopen(name, "rb") as archived:
                content = archived.read()
        elif content is None and not stat.S_ISREG(os.stat(name).st_mode):
            raise ValueError("it is not a regular file")
        with soundfile.SoundFile(name if content is None else io.BytesIO(content)) as file:
            return _mono(file, max_seconds), file.samplerate
    except FileNotFoundError:
        raise
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:  # TypeError: it has no header.
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise ValueError(
            f"{name} cannot be decoded: {reason}. Repair it, or convert it to WAV, FLAC, Ogg or MP3."
        ) from ValueError(reason)


def _mono(file: Any, max_seconds: float) -> np.ndarray:
    """(T,) the mean of the channels of an open sound."""
    rate = file.samplerate
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ValueError(f"a sound must have {MIN_RATE} to {MAX_RATE} samples per second, its header says {rate}")
    missing = max_seconds * rate
    blocks = [np.zeros(0, np.float32)]
    while missing > 0:
        size = min(math.ceil(min(missing, BLOCK)), max(BLOCK // file.channels, 1))
        block = file.read(size, dtype="float32", always_2d=True)  # (size, channels)
        if not len(block):
            break
        blocks.append(block.mean(1))
        missing -= len(block)
    mono = np.concatenate(blocks)  # (T,)
    if not len(mono):
        raise ValueError("it has no samples")
    if not np.isfinite(mono).all():
        raise ValueError("it has samples that are NaN or infinite")
    return mono
