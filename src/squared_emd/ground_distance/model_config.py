"""What a model's config says of its classes, and of how it was trained: `id2label` and the `emd` block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NoReturn

from transformers import PretrainedConfig

from ..decoding import is_calibration


def class_names_of(config: PretrainedConfig | Mapping[str, Any] | None) -> list[str] | None:
    """The K names in label order, as text; None without any. The one reader of `id2label`, whose keys may be text."""
    fields = config if isinstance(config, Mapping) else {"id2label": getattr(config, "id2label", None)}
    by_id = fields.get("id2label") or fields.get("label_names") or {}  # timm models have `label_names`
    by_id = dict(enumerate(by_id)) if isinstance(by_id, (list, tuple)) else by_id
    if not isinstance(by_id, Mapping) or {str(key) for key in by_id} != {str(k) for k in range(len(by_id))}:
        raise ValueError(
            f"id2label must name each class by its number, got {by_id!r:.80}. "
            "Number the classes from 0, as the outputs of the model are."
        )
    return [str(name) for _, name in sorted(by_id.items(), key=lambda entry: int(entry[0]))] or None


def check_class_order(learned: Sequence[str] | None, current: Sequence[str], *, source: str) -> None:
    """Raise if a model's classes are in another order than when its ground distance was learned; None: unknown."""
    learned = [str(name) for name in learned or ()]
    if learned and learned != list(current) and sorted(learned) == sorted(current):
        raise ValueError(
            f"the classes of {source} must stand in the order in which its ground distance and its classifier head "
            f"were learned, {abbreviate(learned)}; id2label has {abbreviate(current)}. Load it without id2label, and "
            "give your data the labels in that order."
        )


def class_names_differ(learned: Sequence[str] | None, current: Sequence[str]) -> bool:
    """Whether a model's classes are not those of its ground distance; the names "LABEL_0", ... match any."""
    learned, current = [str(name) for name in learned or current], list(current)
    unnamed = [f"LABEL_{k}" for k in range(len(current))]
    return learned != current and (len(learned) != len(current) or unnamed not in (learned, current))


def abbreviate(names: Sequence[Any]) -> str:
    """The first eight names, for a message."""
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")


def emd_block_of(config: PretrainedConfig | Mapping[str, Any] | None, source: str = "") -> dict[str, Any]:
    """The `emd` block, which says how the model was trained; empty without one, refused with entries that are wrong."""
    emd = config.get("emd") if isinstance(config, Mapping) else getattr(config, "emd", None)
    source = source or getattr(config, "_name_or_path", "") or "the model"
    if emd is None:
        return {}
    if not isinstance(emd, dict):
        _refuse(source, "emd", "an object", emd)
    for required, fits, names in _ENTRIES:
        for name in names.split():
            if emd.get(name) is not None and not fits(emd[name]):
                _refuse(source, f"emd.{name}", required, emd[name])
    return emd


def _refuse(source: str, name: str, required: str, got: Any) -> NoReturn:
    raise ValueError(
        f"{name!r} in the config.json of {source} must be {required}, or null; got {got!r:.80}. Save the model again, "
        "or take the entry out."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


_NUMBERS = "omega mu sdd regularizer_weight entropic_strength epoch prior_weight prior_decay sinkhorn_iterations "
_NUMBERS += "num_samples"  # of the pass that D was learned in after the training
_ENTRIES = (
    ("text", lambda value: isinstance(value, str), "loss version rank geometry ground_distance_sha256"),
    ("a finite number", _is_number, _NUMBERS),
    (
        "a list of names",  # which may be numbers
        lambda value: isinstance(value, list) and all(isinstance(name, (str, int)) for name in value),
        "class_names",
    ),
    ("a list of finite numbers", lambda value: isinstance(value, list) and all(map(_is_number, value)), "scores"),
    (
        "a list of calibrations, as calibrate_intervals gives them",
        lambda value: isinstance(value, list) and all(map(is_calibration, value)),
        "intervals",
    ),
)
