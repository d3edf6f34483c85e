"""One command line for several losses: each gets what is meant for it, and all are looked at before one is trained."""

from __future__ import annotations

import math
from typing import Any

from ..training.arguments import LOSSES

__all__ = ["SeveralLosses", "number_or_select"]

# where several losses are trained; geometry is that of a self-guided one, too, where it is a prior
_OF_SOME_LOSSES = {
    "ground_distance": {"a-emd"},
    "spacing": {"emd"},
    "geometry": {"emd"},
    "prior_weight": {"xemd1", "xemd2"},
}


class SeveralLosses:
    """What arguments need whose `loss` names several; to be mixed into `EMDTrainingArguments`.

    Attributes:
        all_losses: the losses that make sense.
        losses: the losses asked for, in order.
    """

    all_losses: tuple[str, ...] = LOSSES
    losses: tuple[str, ...]

    def take_losses(self) -> None:
        """Set `losses` from `loss`, and `loss` to the last of them.

        Raises:
            ValueError: one is unknown, or needs an order that the classes have not.
        """
        self.losses = self.all_losses if self.loss == "all" else tuple(dict.fromkeys(self.loss.split(",")))
        for loss in self.losses:
            if loss not in LOSSES:
                raise ValueError(
                    f"loss must be {', '.join(LOSSES)}, several of them with commas, or all, got {loss!r}."
                )
            if loss not in self.all_losses:
                raise ValueError(
                    f"the loss {loss} needs classes in an order, which these have not; "
                    f"take one of {', '.join(self.all_losses)}."
                )
        self.loss = self.losses[-1]

    def for_the_last_loss(self) -> dict[str, Any]:
        """Leave the options of other losses out, so that the fields can be looked at.

        Returns:
            What was given, for :meth:`check_each_loss`.
        """
        self._is_blended = self.prior_weight is not None
        given = {name: getattr(self, name) for name in _OF_SOME_LOSSES}
        vars(self).update(self.without_other_losses(self.loss))
        return given

    def check_each_loss(self, given: dict[str, Any]) -> None:
        """Look at the fields as each loss gets them, before any is trained, and put back what was given.

        Args:
            given: as :meth:`for_the_last_loss` gives it.

        Raises:
            ValueError: a field is out of its range, or does not go with a loss.
        """
        for loss in self.losses:
            self.loss = loss
            vars(self).update(given | self.without_other_losses(loss))
            self.check_fields()
            if self.max_steps < 0:
                self.check_jump_start(math.ceil(self.num_train_epochs))
        vars(self).update(given)

    def without_other_losses(self, loss: str) -> dict[str, None]:
        """The options that one of several losses does not get, as they are meant for another.

        Args:
            loss: one of `losses`.

        Returns:
            Name -> None. With `--loss all` a ground distance is that of a-emd; xemd1 and xemd2 learn theirs, blended
            with a geometry where `prior_weight` is given.
        """
        if len(self.losses) == 1:
            return {}
        takes_prior = self._is_blended and loss in ("xemd1", "xemd2")
        kept = {"geometry", "spacing"} if takes_prior else set()
        return {name: None for name, losses in _OF_SOME_LOSSES.items() if loss not in losses and name not in kept}


def number_or_select(name: str, text: str | float | None) -> tuple[bool, float | None]:
    """Whether a value is to be chosen, else the number.

    Args:
        name: of the option, for the message.
        text: as given; None: nothing was.

    Returns:
        Whether it is `select`; and the number, or None.

    Raises:
        ValueError: it is neither.
    """
    if text is None or text == "select":
        return text == "select", None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name} must be a number greater than 0 or select, got {text!r}.")
    return False, number
