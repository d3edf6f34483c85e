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
from .results import digests_of_weights, facts_of_arguments, facts_of_training
from .upload import UploadError, create_repository, files_to_upload, push_model, upload_model

__all__ = [
    "OrdinalAudioClassificationPipeline",
    "OrdinalImageClassificationPipeline",
    "OrdinalTextClassificationPipeline",
    "UploadError",
    "create_repository",
    "digests_of_weights",
    "facts_of_arguments",
    "facts_of_training",
    "files_to_upload",
    "ordinal_prediction",
    "push_model",
    "upload_model",
    "write_card",
]
