"""Sounds as arrays and as batches: `datasets.Audio` decodes by torchcodec, this module by libsndfile."""

import inspect
import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor
from transformers import FeatureExtractionMixin

__all__ = ["AudioCollator", "audio_decoder", "decode_audio"]


def decode_audio(sound: str | os.PathLike | Mapping[str, Any], sampling_rate: int) -> np.ndarray:
    """Decodes a sound to one channel at a sampling rate.

    Args:
        sound: A path, or `path` and `bytes` as `datasets.Audio(decode=False)` gives them.
        sampling_rate: Samples per second of the result.

    Returns:
        (T,) float32, mostly within -1 .. 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be decoded, or has no samples.
        ImportError: soundfile is not installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise ImportError(
            'squared_emd.data.sounds needs soundfile, which is not installed: pip install "squared-emd[recipes]"'
        ) from error
    path, content = (sound["path"], sound["bytes"]) if isinstance(sound, Mapping) else (sound, None)
    name = "a sound of the dataset" if path is None else str(path)
    if content is None and not os.path.isfile(name):
        raise FileNotFoundError(f"There is no sound {name}.")
    try:
        file = name if content is None else io.BytesIO(content)
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)  # (T, channels)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{name} must be a sound that libsndfile decodes: {error} Convert it to WAV, FLAC, Ogg or MP3."
        ) from None
    if not len(samples):
        raise ValueError(f"{name} must be a sound, it has no samples.")
    mono = samples.mean(1)  # (T,)
    if rate != sampling_rate:
        mono = resample_poly(mono, sampling_rate, rate)  # (T * sampling_rate / rate,)
    return np.ascontiguousarray(mono, dtype=np.float32)


def audio_decoder(sampling_rate: int, max_seconds: float) -> Callable[[dict[str, list]], dict[str, list]]:
    """Makes a transform for `Dataset.with_transform` that decodes the sounds of a batch.

    Args:
        sampling_rate: Samples per second that the network takes.
        max_seconds: Longer sounds are cut off here.

    Returns:
        A function of a batch with `audio` (see `decode_audio`) that returns it with `audio` as (T,) float32 arrays.
    """
    longest = int(max_seconds * sampling_rate)

    def decode(batch: dict[str, list]) -> dict[str, list]:
        return batch | {"audio": [decode_audio(sound, sampling_rate)[:longest] for sound in batch["audio"]]}

    return decode


class AudioCollator:
    """A `data_collator` for sounds of different lengths.

    Sounds are padded to the longest of the batch, unless the feature extractor makes all sounds equally long.

    Args:
        feature_extractor: The feature extractor of the network.
        min_seconds: Shorter sounds are padded with zeros to this length, which the convolutions need.
    """

    def __init__(self, feature_extractor: FeatureExtractionMixin, min_seconds: float = 0.1) -> None:
        self.feature_extractor = feature_extractor
        self.min_samples = round(min_seconds * feature_extractor.sampling_rate)
        padding = inspect.signature(feature_extractor.__call__).parameters.get("padding")
        self.options = {"padding": True} if padding is not None and padding.default is False else {}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collates a batch.

        Args:
            rows: Each with `audio`, (T,) numbers, and `label`.

        Returns:
            The outputs of the feature extractor, and `labels` (B,) or (B, K).
        """
        sounds = [np.asarray(row["audio"], dtype=np.float32) for row in rows]  # (T,) each
        sounds = [np.pad(sound, (0, max(self.min_samples - len(sound), 0))) for sound in sounds]
        rate = self.feature_extractor.sampling_rate
        inputs = self.feature_extractor(sounds, sampling_rate=rate, return_tensors="pt", **self.options)
        return dict(inputs) | {"labels": torch.as_tensor([row["label"] for row in rows])}
