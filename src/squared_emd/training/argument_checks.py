"""What an `EMDTrainingArguments` may hold: each function raises where a field is out of range or fits no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .arguments import EMDTrainingArguments

__all__ = [
    "LOSSES",
    "check_class_weights",
    "check_geometry",
    "check_jump_start_of",
    "check_loss",
    "check_numbers",
    "check_sampling",
    "counting_scheme",
]

LOSSES = ("xe", "reg", "emd", "xemd1", "xemd2", "a-emd")


def check_loss(args: EMDTrainingArguments) -> None:
    """The loss, and what goes with every loss but one."""
    if args.loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {args.loss!r}.")
    if args.loss == "reg" and args.label_smoothing_factor:
        raise ValueError(
            f"label_smoothing_factor spreads mass over classes, which the loss reg does not have; "
            f"it must be 0, got {args.label_smoothing_factor}."
        )


def check_numbers(args: EMDTrainingArguments) -> None:
    """Fields with a range of their own."""
    if args.rank not in ("strict", "inclusive"):
        raise ValueError(f'rank must be "strict" or "inclusive", got {args.rank!r}.')
    if args.regularizer_weight != "auto":
        try:
            weight = float(args.regularizer_weight)
        except (TypeError, ValueError):
            weight = float("nan")
        if not 0 <= weight < float("inf"):
            raise ValueError(
                f'regularizer_weight must be "auto" or a number of at least 0, got {args.regularizer_weight!r}.'
            )
        args.regularizer_weight = weight
    if not args.regularizer_ratio > 0:
        raise ValueError(f"regularizer_ratio must be greater than 0, got {args.regularizer_ratio}.")
    if args.jump_start_epochs < 0:
        raise ValueError(f"jump_start_epochs must be at least 0, got {args.jump_start_epochs}.")
    if args.omega is not None and not args.omega > 0:
        raise ValueError(f"omega must be greater than 0, got {args.omega}.")
    if args.ground_distance_update_steps is not None and args.ground_distance_update_steps < 1:
        raise ValueError(f"ground_distance_update_steps must be at least 1, got {args.ground_distance_update_steps}.")
    if args.nan_policy not in ("raise", "skip"):
        raise ValueError(f'nan_policy must be "raise" or "skip", got {args.nan_policy!r}.')
    if args.nan_steps < 1:
        raise ValueError(f"nan_steps must be at least 1, got {args.nan_steps}.")
    if not 0 < args.entropic_strength < float("inf"):
        raise ValueError(f"entropic_strength must be greater than 0 and finite, got {args.entropic_strength}.")
    if args.sinkhorn_iterations < 1:
        raise ValueError(f"sinkhorn_iterations must be at least 1, got {args.sinkhorn_iterations}.")


def check_sampling(args: EMDTrainingArguments) -> None:
    """Samples can be drawn in one way."""
    if args.balanced_sampling and args.train_sampling_strategy != "random":
        raise ValueError(
            "balanced_sampling draws the samples itself; train_sampling_strategy must be random, "
            f"got {args.train_sampling_strategy}."
        )


def check_jump_start_of(args: EMDTrainingArguments) -> None:
    """Whether the jump start is long enough for an automatic weight to be measured."""
    is_given = any(given is not None for given in (args.ground_distance, args.geometry, args.prior_weight))
    needed = 1 if is_given else 2
    if args.is_self_guided and args.regularizer_weight == "auto" and args.jump_start_epochs < needed:
        raise ValueError(
            'regularizer_weight="auto" is measured in the last epoch of the jump start, with the D of the epoch '
            f"before (or a given one); it needs jump_start_epochs of at least {needed}, "
            f"got {args.jump_start_epochs}. Give more epochs, or a number for regularizer_weight."
        )


def check_geometry(args: EMDTrainingArguments) -> None:
    """Where the classes lie, and which losses want to know."""
    smooths = args.label_smoothing_temperature is not None
    if smooths and not 0 < args.label_smoothing_temperature < float("inf"):
        raise ValueError(
            f"label_smoothing_temperature must be greater than 0 and finite, got {args.label_smoothing_temperature}."
        )
    if smooths and not args.label_smoothing_factor:
        raise ValueError(
            "label_smoothing_temperature says how label_smoothing_factor is spread, which is 0. Give both, or "
            "leave it out."
        )
    takes_matrix = args.uses_ground_distance or (smooths and args.loss in ("xe", "emd"))
    if args.ground_distance is not None and not takes_matrix:
        raise ValueError(
            "ground_distance is for the losses xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
            f"{args.loss} has none. Leave it out."
        )
    if args.geometry is not None and not (takes_matrix or args.loss == "emd"):
        raise ValueError(
            "geometry is for the losses emd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
            f"{args.loss} has none. Leave it out."
        )
    if args.geometry not in (None, "line", "circle") and not args.geometry.endswith(".json"):
        raise ValueError(f"geometry must be line, circle or a .json file with a label tree, got {args.geometry!r}.")
    if args.geometry is not None and args.ground_distance is not None:
        raise ValueError("give geometry or ground_distance, not both: each says how far the classes are apart.")
    has_gaps = args.geometry in ("line", "circle") or (args.loss == "emd" and args.geometry is None)
    if args.spacing is not None and not has_gaps:
        raise ValueError(
            "spacing is for the loss emd and for geometry line or circle; "
            f"{'a label tree has its own lengths' if args.geometry else f'{args.loss} has none'}. Leave it out."
        )
    if args.spacing is not None and not (all(0 <= gap < float("inf") for gap in args.spacing) and any(args.spacing)):
        raise ValueError(f"spacing must be finite gaps, none negative and not all 0, got {args.spacing}.")
    if args.prior_weight is not None and not 0 <= args.prior_weight <= 1:
        raise ValueError(f"prior_weight must lie in 0 .. 1, got {args.prior_weight}.")
    if args.prior_weight is not None and not args.is_self_guided:
        raise ValueError(f"prior_weight is for the losses xemd1 and xemd2; {args.loss} learns no D. Leave it out.")
    if not 0 < args.prior_decay <= 1:
        raise ValueError(f"prior_decay must be greater than 0 and at most 1, got {args.prior_decay}.")


def check_class_weights(args: EMDTrainingArguments) -> None:
    """Weights of classes: a scheme or numbers. They become texts, as a command line gives them."""
    if isinstance(args.class_weights, (str, float, int)):
        args.class_weights = [args.class_weights]
    if args.class_weights is None:
        return
    args.class_weights = [str(entry) for entry in args.class_weights]  # as a command line gives them
    if args.weights_by_count is not None:
        return
    try:
        numbers = [float(entry) for entry in args.class_weights]
    except ValueError:
        numbers = []
    if not numbers or not all(0 <= number < float("inf") for number in numbers) or not any(numbers):
        raise ValueError(
            "class_weights must be balanced, effective, effective:BETA with BETA at least 0 and less than 1, or "
            f"one number of at least 0 for each class, not all 0; got {' '.join(args.class_weights)}."
        )


def counting_scheme(class_weights: Sequence[str] | None) -> tuple[str, float] | None:
    """The scheme that makes weights of the numbers of samples, and its beta.

    Args:
        class_weights: as the arguments have them.

    Returns:
        None where they are numbers, or none.

    >>> counting_scheme(["effective:0.99"])
    ('effective', 0.99)
    """
    if class_weights is None or len(class_weights) != 1:
        return None
    scheme, colon, beta = class_weights[0].partition(":")
    try:
        value = float(beta) if colon else 0.999
    except ValueError:
        return None
    fits = scheme == "effective" or (scheme == "balanced" and not colon)
    return (scheme, value) if fits and 0 <= value < 1 else None
