"""The `emd` block of a model's config, which says how the model was trained, as it is read from any config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, NoReturn

from transformers import PretrainedConfig

from ..decoding import is_calibration

__all__ = ["emd_block_of"]


def emd_block_of(config: PretrainedConfig | Mapping[str, Any] | None, source: str = "") -> dict[str, Any]:
    """The `emd` block of a config.

    Args:
        config: of a model, or what its config.json holds; None: the model has none.
        source: what a message calls the model; default: what the config does.

    Returns:
        The block; empty where there is none.

    Raises:
        ValueError: it is no object, or one of its entries is not what is written there.
    """
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


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, (str, int))  # a model's classes may be named by numbers


_NUMBERS = "omega mu sdd regularizer_weight entropic_strength epoch prior_weight prior_decay sinkhorn_iterations "
_NUMBERS += "num_samples"  # of the pass that D was learned in after the training
_ENTRIES = (
    ("text", _is_text, "loss version rank geometry ground_distance_sha256"),
    ("a finite number", _is_number, _NUMBERS),
    ("a list of names", lambda value: isinstance(value, list) and all(map(_is_name, value)), "class_names"),
    ("a list of finite numbers", lambda value: isinstance(value, list) and all(map(_is_number, value)), "scores"),
    (
        "a list of calibrations, as calibrate_intervals gives them",
        lambda value: isinstance(value, list) and all(map(is_calibration, value)),
        "intervals",
    ),
)
