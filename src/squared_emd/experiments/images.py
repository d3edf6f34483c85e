"""Networks for images, with the views of the paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ground_distance.model_config import emd_block_of
from ..vision.flip_averaging import average_flips
from ..vision.networks import load_image_classifier
from ..vision.transforms import EvalTransform, TrainTransform, with_views
from .data_arguments import ImageArguments
from .experiment import Network, Samples

__all__ = ["image_network"]


def image_network(
    args: ImageArguments,
    *,
    train_view: Callable[..., Callable[[Any], Any]] = TrainTransform,
    eval_view: Callable[..., Callable[[Any], Any]] = EvalTransform,
) -> Callable[[str, Samples, int], Network]:
    """What builds an image classifier: an `Experiment.build`.

    Args:
        args: of the recipe.
        train_view: (size, mean, std) -> transform of an image, in training.
        eval_view: the same, in evaluation; the flipped image is averaged with it.

    Returns:
        (model, samples, number of outputs) -> the network. It raises a ValueError where `small_pictures` is smaller
        than the views of the network need.
    """

    def build(model: str, samples: Samples, num_outputs: int) -> Network:
        regresses = num_outputs == 1
        network = load_image_classifier(
            model, samples.class_names, num_outputs=1 if regresses else None, from_scratch=args.from_scratch
        )
        average_flips(network.model)
        views = [view(network.size, network.mean, network.std) for view in (train_view, eval_view)]
        used = max(getattr(view, "shorter_side", 0) for view in views)
        if args.small_pictures is not None and args.small_pictures < used:
            raise ValueError(
                f"small_pictures must be at least {used} for {model}, whose views have {network.size} pixels and show "
                f"a part of the image; got {args.small_pictures}."
            )
        if isinstance(views[1], EvalTransform):
            network = network.with_central_crop(views[1].crop)
        if samples.class_scores is not None:
            scores = [float(score) for score in samples.class_scores]
            network.model.config.emd = emd_block_of(network.model.config) | {"scores": scores}
        train_rows, eval_rows = (
            lambda rows, view=view: with_views(rows, view, label_column=samples.label_column) for view in views
        )
        return Network(network.model, network.processor, train_rows, eval_rows)

    return build
