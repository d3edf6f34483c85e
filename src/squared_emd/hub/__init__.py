"""Models on the Hub: the model card, the upload, and the pipelines for ordered classes.

Importing this package registers the pipelines ``ordinal-image-classification``, ``ordinal-text-classification`` and
``ordinal-audio-classification`` with transformers.
"""

from .card import write_card
from .pipelines import (
    OrdinalAudioClassificationPipeline,
    OrdinalImageClassificationPipeline,
    OrdinalTextClassificationPipeline,
    ordinal_prediction,
)
from .upload import UploadError, push_model

__all__ = [
    "OrdinalAudioClassificationPipeline",
    "OrdinalImageClassificationPipeline",
    "OrdinalTextClassificationPipeline",
    "UploadError",
    "ordinal_prediction",
    "push_model",
    "write_card",
]
