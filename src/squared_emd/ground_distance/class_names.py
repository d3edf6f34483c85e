"""The names of a model's classes, and whether they are those for which its ground distance was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PretrainedConfig

__all__ = ["abbreviate", "check_class_order", "class_names_differ", "class_names_of"]


def class_names_of(config: PretrainedConfig | Mapping[str, Any] | None) -> list[str] | None:
    """The names of the classes in label order; the one reader of `id2label`, whose keys may be text.

    Args:
        config: of a model, or the content of a `config.json`, in which timm models have `label_names`; None: none.

    Returns:
        (K,) names as text, whatever they are in the config; None if it has none.

    Raises:
        ValueError: the keys are not 0 .. K-1.

    >>> class_names_of({"id2label": {"10": "k", **{str(k): k for k in range(10)}}})
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k']
    """
    fields = config if isinstance(config, Mapping) else {"id2label": getattr(config, "id2label", None)}
    by_id = fields.get("id2label") or fields.get("label_names") or {}
    by_id = dict(enumerate(by_id)) if isinstance(by_id, (list, tuple)) else by_id
    if not isinstance(by_id, Mapping) or {str(key) for key in by_id} != {str(k) for k in range(len(by_id))}:
        raise ValueError(
            f"id2label must name each class by its number, got {by_id!r:.80}. "
            "Number the classes from 0, as the outputs of the model are."
        )
    return [str(name) for _, name in sorted(by_id.items(), key=lambda entry: int(entry[0]))] or None


def check_class_order(learned: Sequence[str] | None, current: Sequence[str], *, source: str) -> None:
    """Raise if a model's classes are in another order than when its ground distance was learned.

    Args:
        learned: class names when the ground distance was learned; None if they are unknown.
        current: class names of the model now.
        source: what the message calls the model.

    Raises:
        ValueError: both have the same names in a different order.
    """
    learned = [str(name) for name in learned or ()]
    if learned and learned != list(current) and sorted(learned) == sorted(current):
        raise ValueError(
            f"the classes of {source} must stand in the order in which its ground distance and its classifier head "
            f"were learned, {abbreviate(learned)}; id2label has {abbreviate(current)}. Load it without id2label, and "
            "give your data the labels in that order."
        )


def class_names_differ(learned: Sequence[str] | None, current: Sequence[str]) -> bool:
    """Whether a model's classes are not those of its ground distance; the names "LABEL_0", ... match any.

    >>> class_names_differ(["baby", "child"], ["cat", "dog"]), class_names_differ(["LABEL_0"], ["cat"])
    (True, False)
    """
    learned, current = [str(name) for name in learned or current], list(current)
    unnamed = [f"LABEL_{k}" for k in range(len(current))]
    return learned != current and (len(learned) != len(current) or unnamed not in (learned, current))


def abbreviate(names: Sequence[Any]) -> str:
    """The first eight names, for a message."""
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")
