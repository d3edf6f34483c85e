"""Which values of the training arguments are valid, and which do not go together."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..metrics.names import LOSSES

if TYPE_CHECKING:  # It imports this file.
    from .arguments import EMDTrainingArguments

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
    with_matrix, has_none = "xemd, xemd1, xemd2 and a-emd, and for label_smoothing_temperature", f"{args.loss} has none"
    lengths = "a label tree has its own lengths" if args.geometry else has_none
    # Field: whether this run has a use for it, what has, and why this run does not.
    uses = {
        "ground_distance": (takes_matrix, f"losses {with_matrix}", has_none),
        "geometry": (takes_matrix or args.loss == "emd", f"losses emd, {with_matrix}", has_none),
        "spacing": (on_spacing, "loss emd and for geometry line or circle", lengths),
        "prior_weight": (args.is_self_guided, "losses xemd, xemd1 and xemd2", f"{args.loss} learns no D"),
    }
    for name, (is_used, users, reason) in uses.items():
        if getattr(args, name) is not None and not is_used:
            raise ValueError(f"{name} is for the {users}; {reason}. Leave it out.")
    for one, other, subject in (
        ("geometry", "ground_distance", "how far the classes are apart"),
        ("jump_start_epochs", "jump_start_ratio", "how long the jump start is"),
    ):
        if getattr(args, one) is not None and getattr(args, other) is not None:
            raise ValueError(f"give {one} or {other}, not both: each says {subject}.")
    if args.loss == "reg" and args.label_smoothing_factor > 0:
        raise ValueError(
            "label_smoothing_factor spreads mass over classes, which the loss reg does not have; it must be 0, got "
            f"{args.label_smoothing_factor}."
        )
    if smooths and not args.label_smoothing_factor:
        raise ValueError(
            "label_smoothing_temperature says how label_smoothing_factor is spread, which is 0. Give both, or leave it "
            "out."
        )
    if args.loss not in SELF_GUIDED and (args.omega, args.mu, args.true_class_cost) != (None, None, None):
        raise ValueError(
            f"omega, mu and true_class_cost are for Eq. 16, the losses xemd1 and xemd2; {has_none}. Leave them out."
        )
    if args.balanced_sampling and args.train_sampling_strategy != "random":
        raise ValueError(
            "balanced_sampling draws the samples itself; train_sampling_strategy must be random, got "
            f"{args.train_sampling_strategy}."
        )
    measures = args.loss in SELF_GUIDED and args.regularizer_weight == "auto"
    if measures and 0 in (args.jump_start_epochs, args.jump_start_ratio):
        raise ValueError(
            'regularizer_weight="auto" is measured at the end of the jump start, and there is to be none. Give '
            "jump_start_epochs or jump_start_ratio more than 0, or a number for regularizer_weight."
        )


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


def _are_weights(numbers: Sequence[float]) -> bool:
    return all(0 <= number < math.inf for number in numbers) and any(numbers)


_POSITIVE = lambda number: 0 < number < math.inf, "greater than 0 and finite"
_SHARE = lambda share: 0 <= share <= 1, "between 0 and 1"
_COUNT = lambda number: number % 1 == 0 and number >= 1, "a whole number of at least 1"
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
    "regularizer_ratio": _POSITIVE,
    "omega": _POSITIVE,
    "mu": (math.isfinite, "finite"),
    "true_class_cost": (lambda cost: 0 <= cost < math.inf, "at least 0 and finite"),
    "jump_start_ratio": (lambda ratio: 0 <= ratio < 1, "at least 0 and less than 1"),
    "jump_start_epochs": (lambda epochs: 0 <= epochs < math.inf, "at least 0 and finite"),
    "ground_distance_update_steps": _COUNT,
    "nan_steps": _COUNT,
    "sinkhorn_iterations": _COUNT,
    "entropic_strength": _POSITIVE,
    "label_smoothing_factor": _SHARE,
    "label_smoothing_temperature": _POSITIVE,
    "prior_weight": _SHARE,
    "prior_decay": (lambda decay: 0 < decay <= 1, "greater than 0 and at most 1"),
    "spacing": (_are_weights, "finite gaps, none negative and not all 0"),
    "class_weights": (
        lambda entries: counting_scheme(entries) or _are_weights([_number(entry) for entry in entries]),
        "balanced, effective, effective:BETA with BETA at least 0 and less than 1, or one number of at least 0 for "
        "each class, not all 0",
    ),
}
