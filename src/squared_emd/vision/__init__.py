"""Networks of the paper, image transforms, flip averaging and mixup; importing it registers the networks with timm."""

try:
    import timm  # noqa: F401
    import torchvision  # noqa: F401
    from PIL import Image  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'squared_emd.vision needs {error.name}, which is not installed: pip install "squared-emd[vision]".'
    ) from error

from .mixup import BatchMixup
from .networks import SMALL, ImageClassifier, load_image_classifier
from .transforms import AlexNetTrainTransform, EvalTransform, TrainTransform, average_flips, with_views

__all__ = [
    "SMALL",
    "AlexNetTrainTransform",
    "BatchMixup",
    "EvalTransform",
    "ImageClassifier",
    "TrainTransform",
    "average_flips",
    "load_image_classifier",
    "with_views",
]
