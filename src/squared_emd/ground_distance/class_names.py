"""The names of a model's classes, and whether they are those for which its ground distance was learned."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

__all__ = ["abbreviate", "check_class_order", "class_names_differ", "class_names_of"]


def class_names_of(model: nn.Module) -> list[str] | None:
    """The names of the classes in label order, from `config.id2label`; None for a model without one."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    return None if names is None else [names[k] for k in sorted(names)]


def check_class_order(learned: Sequence[str] | None, current: Sequence[str], *, source: str) -> None:
    """Raise if a model's classes are in another order than when its ground distance was learned.

    Args:
        learned: class names when the ground distance was learned; None if they are unknown.
        current: class names of the model now.
        source: what the message calls the model.

    Raises:
        ValueError: both have the same names in a different order.
    """
    if learned and list(learned) != list(current) and sorted(learned) == sorted(current):
        raise ValueError(
            f"the classes of {source} must stand in the order in which its ground distance and its classifier head "
            f"were learned, {abbreviate(learned)}; id2label has {abbreviate(current)}. Load it without id2label, and "
            "give your data the labels in that order."
        )


def class_names_differ(learned: Sequence[str] | None, current: Sequence[str]) -> bool:
    """Whether a model's classes are not those of its ground distance; the names "LABEL_0", ... match any.

    >>> class_names_differ(["baby", "child"], ["cat", "dog"])
    True
    >>> class_names_differ(["baby", "child"], ["LABEL_0", "LABEL_1"])
    False
    """
    if not learned:
        return False
    if len(learned) != len(current):
        return True
    unnamed = [f"LABEL_{k}" for k in range(len(current))]
    return list(learned) != list(current) and unnamed not in (list(learned), list(current))


def abbreviate(names: Sequence[str]) -> str:
    """The first eight names, for a message.

    >>> abbreviate(["a", "b"]), abbreviate("abcdefghij")
    ('a, b', 'a, b, c, d, e, f, g, h, ...')
    """
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
