"""Batches of sounds of different lengths, as a network for sounds takes them."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import FeatureExtractionMixin

__all__ = ["SoundBatches"]


class SoundBatches:
    """A `data_collator` for sounds.

    A feature extractor that makes every sound equally long does so; of another the sounds are padded to the longest of
    the batch, and no shorter than `least_seconds`.

    Args:
        feature_extractor: of the network.
        least_seconds: zeros are put behind a sound that is shorter; a convolution needs so much.
    """

    def __init__(self, feature_extractor: FeatureExtractionMixin, least_seconds: float = 0.1) -> None:
        self.feature_extractor = feature_extractor
        self.least = round(least_seconds * feature_extractor.sampling_rate)
        padding = inspect.signature(feature_extractor.__call__).parameters.get("padding")
        self.options = {"padding": True} if padding is not None and padding.default is False else {}

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Makes a batch.

        Args:
            rows: each with `audio`, (T,) numbers, and `label`.

        Returns:
            What the feature extractor makes of them, and `labels` (B,) or (B, K).
        """
        sounds = [np.asarray(row["audio"], dtype=np.float32) for row in rows]  # (T,) each
        sounds = [np.pad(sound, (0, max(self.least - len(sound), 0))) for sound in sounds]
        rate = self.feature_extractor.sampling_rate
        inputs = self.feature_extractor(sounds, sampling_rate=rate, return_tensors="pt", **self.options)
        return dict(inputs) | {"labels": torch.as_tensor([row["label"] for row in rows])}
