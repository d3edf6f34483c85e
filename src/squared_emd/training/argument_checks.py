"""Which values of the training arguments are valid, and which do not go together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..metrics.names import LOSSES

if TYPE_CHECKING:  # It imports this file.
    from .arguments import EMDTrainingArguments

__all__ = [
    "LOSSES",
    "LOSSES_OF_FIELDS",
    "SELF_GUIDED",
    "check_conflicts",
    "check_engine",
    "check_ranges",
    "counting_scheme",
    "warn_of_unused_fields",
]

logger = logging.getLogger(__name__)

SELF_GUIDED = {"xemd1": (1.0, -0.5), "xemd2": (2.0, -0.25)}  # omega and mu, section 4.3; method: mu is negative
_WITH_LAMBDA = ("xemd", *SELF_GUIDED)
# The fields that only some losses use, but for those that say where the classes lie, which label smoothing uses too.
LOSSES_OF_FIELDS: dict[str, tuple[str, ...]] = (
    dict.fromkeys(("omega", "mu", "true_class_cost", "regularizer_ratio"), tuple(SELF_GUIDED))
    | dict.fromkeys(("regularizer_weight", "jump_start_epochs", "jump_start_ratio"), _WITH_LAMBDA)
    | dict.fromkeys(("rank", "prior_weight", "prior_decay", "ground_distance_update_steps"), _WITH_LAMBDA)
    | dict.fromkeys(("entropic_strength", "sinkhorn_iterations"), ("a-emd",))
)


def check_ranges(args: EMDTrainingArguments) -> None:
    """Raise a ValueError if a field is out of its range."""
    for name, (is_valid, requirement) in _REQUIREMENTS.items():
        value = getattr(args, name)
        may_be_none = getattr(type(args), name) is None  # by default
        if value is None and may_be_none:
            continue
        try:
            valid = is_valid(value)
        except (AttributeError, TypeError):  # It is of another type, as an entry of a .json file may be.
            valid = False
        if not valid:
            raise ValueError(f"{name} must be {requirement}, got {value!r}.")


def check_conflicts(args: EMDTrainingArguments) -> None:
    """Raise a ValueError if fields do not go together."""
    smooths = args.label_smoothing_temperature is not None
    takes_matrix = args.uses_ground_distance or (smooths and args.loss in ("xe", "emd"))
    on_spacing = args.geometry in ("line", "circle") or (args.geometry is None and args.loss == "emd")
    measures = args.loss in SELF_GUIDED and args.regularizer_weight == "auto"
    conflicts = [
        (
            args.loss == "reg" and args.label_smoothing_factor > 0,
            "label_smoothing_factor spreads mass over classes, which the loss reg does not have; "
            f"it must be 0, got {args.label_smoothing_factor}.",
        ),
        (
            smooths and not args.label_smoothing_factor,
            "label_smoothing_temperature says how label_smoothing_factor is spread, which is 0. Give both, or "
            "leave it out.",
        ),
        (
            args.ground_distance is not None and not takes_matrix,
            "ground_distance is for the losses xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
            f"{args.loss} has none. Leave it out.",
        ),
        (
            args.geometry is not None and not (takes_matrix or args.loss == "emd"),
            "geometry is for the losses emd, xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature; "
            f"{args.loss} has none. Leave it out.",
        ),
        (
            args.geometry is not None and args.ground_distance is not None,
            "give geometry or ground_distance, not both: each says how far the classes are apart.",
        ),
        (
            args.spacing is not None and not on_spacing,
            "spacing is for the loss emd and for geometry line or circle; "
            f"{'a label tree has its own lengths' if args.geometry else f'{args.loss} has none'}. Leave it out.",
        ),
        (
            args.prior_weight is not None and not args.is_self_guided,
            f"prior_weight is for the losses xemd, xemd1 and xemd2; {args.loss} learns no D. Leave it out.",
        ),
        (
            args.loss not in SELF_GUIDED and (args.omega, args.mu, args.true_class_cost) != (None, None, None),
            "omega, mu and true_class_cost are for Eq. 16, the losses xemd1 and xemd2; "
            f"{args.loss} has none. Leave them out.",
        ),
        (
            args.balanced_sampling and args.train_sampling_strategy != "random",
            "balanced_sampling draws the samples itself; train_sampling_strategy must be random, "
            f"got {args.train_sampling_strategy}.",
        ),
        (
            args.jump_start_epochs is not None and args.jump_start_ratio is not None,
            "give jump_start_epochs or jump_start_ratio, not both: each says how long the jump start is.",
        ),
        (
            measures and 0 in (args.jump_start_epochs, args.jump_start_ratio),
            'regularizer_weight="auto" is measured at the end of the jump start, and there is to be none. Give '
            "jump_start_epochs or jump_start_ratio more than 0, or a number for regularizer_weight.",
        ),
    ]
    for has_conflict, message in conflicts:
        if has_conflict:
            raise ValueError(message)


def check_engine(args: EMDTrainingArguments, *, learns: bool, is_deepspeed: bool) -> None:
    """Raise a ValueError if what wraps the model rules out what the arguments ask for; `learns`: D is learned."""
    if learns and args.n_gpu > 1:
        raise ValueError(
            f"the loss {args.loss!r} cannot learn its ground distance under torch.nn.DataParallel, which this run "
            f"would use for its {args.n_gpu} GPUs. Start it with `accelerate launch`, one process a GPU."
        )
    if args.nan_policy == "skip" and is_deepspeed:
        raise ValueError(
            "nan_policy='skip' looks at the gradient before each step, which DeepSpeed keeps to itself. Use "
            "nan_policy='raise' with DeepSpeed."
        )


def warn_of_unused_fields(args: EMDTrainingArguments, told: set[str]) -> None:
    """Warn of the fields that the loss does not use, where `told`, which holds what was said so far, does not."""
    unused = f"{args.loss} does not use {', '.join(args.unused_fields)}"
    if args.unused_fields and unused not in told and args.should_log:
        told.add(unused)  # Once: a hyperparameter search comes by often.
        logger.warning("The loss %s: to change that has no effect.", unused)


def counting_scheme(class_weights: Sequence[str] | None) -> tuple[str, float] | None:
    """The scheme and its beta; None if the weights are numbers, or absent.

    >>> counting_scheme(["effective:0.99"])
    ('effective', 0.99)
    """
    if class_weights is None or len(class_weights) != 1:
        return None
    scheme, colon, beta = class_weights[0].partition(":")
    value = (_number(beta) if colon else 0.999) if scheme in ("balanced", "effective") else math.nan
    return (scheme, value) if 0 <= value < 1 and not (scheme == "balanced" and colon) else None


def _number(text: Any) -> float:
    """The number, or NaN if it is none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def _is_positive(number: float) -> bool:
    return 0 < number < math.inf


def _is_whole(number: float, least: int) -> bool:
    return number % 1 == 0 and number >= least


def _are_weights(numbers: Sequence[float]) -> bool:
    return all(0 <= number < math.inf for number in numbers) and any(numbers)


# Field: which values are valid, and how an error message says so.
_REQUIREMENTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "loss": (lambda loss: loss in LOSSES, f"one of {', '.join(LOSSES)}"),
    "rank": (lambda rank: rank in ("strict", "inclusive"), '"strict" or "inclusive"'),
    "nan_policy": (lambda policy: policy in ("raise", "skip"), '"raise" or "skip"'),
    "geometry": (
        lambda geometry: geometry in ("line", "circle") or geometry.endswith(".json"),
        "line, circle or a .json file with a label tree",
    ),
    "regularizer_weight": (
        lambda weight: weight == "auto" or 0 <= _number(weight) < math.inf,
        '"auto" or a number of at least 0',
    ),
    "regularizer_ratio": (_is_positive, "greater than 0 and finite"),
    "omega": (_is_positive, "greater than 0 and finite"),
    "mu": (math.isfinite, "finite"),
    "true_class_cost": (lambda cost: 0 <= cost < math.inf, "at least 0 and finite"),
    "jump_start_ratio": (lambda ratio: 0 <= ratio < 1, "at least 0 and less than 1"),
    "jump_start_epochs": (lambda epochs: 0 <= epochs < math.inf, "at least 0 and finite"),
    "ground_distance_update_steps": (lambda steps: _is_whole(steps, 1), "a whole number of at least 1"),
    "nan_steps": (lambda steps: _is_whole(steps, 1), "a whole number of at least 1"),
    "sinkhorn_iterations": (lambda iterations: _is_whole(iterations, 1), "a whole number of at least 1"),
    "entropic_strength": (_is_positive, "greater than 0 and finite"),
    "label_smoothing_factor": (lambda share: 0 <= share <= 1, "between 0 and 1"),
    "label_smoothing_temperature": (_is_positive, "greater than 0 and finite"),
    "prior_weight": (lambda weight: 0 <= weight <= 1, "between 0 and 1"),
    "prior_decay": (lambda decay: 0 < decay <= 1, "greater than 0 and at most 1"),
    "spacing": (_are_weights, "finite gaps, none negative and not all 0"),
    "class_weights": (
        lambda entries: counting_scheme(entries) or _are_weights([_number(entry) for entry in entries]),
        "balanced, effective, effective:BETA with BETA at least 0 and less than 1, or one number of at least 0 for "
        "each class, not all 0",
    ),
}
