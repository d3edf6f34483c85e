"""What a model card is filled with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers import PretrainedConfig

from .card_facts import NETWORKS, DataFacts, Licence, NetworkFacts, facts_of, licence_of

__all__ = ["CardFill", "markdown"]


@dataclass(frozen=True)
class CardFill:
    """What a card is filled with.

    Args:
        config: saved with the weights.
        known: as `checked_results` gives it.
        not_run_because: why there are no figures, a sentence; None where there are.
        is_planned: whether nobody has trained the model yet.
        distances: (K, K) the ground distance, or None.
        repo_id: on the Hub, or None.
        license: that the user states, or None.
        metadata: further fields.
    """

    config: PretrainedConfig
    known: Mapping[str, Any]
    not_run_because: str | None = None
    is_planned: bool = False
    distances: np.ndarray | None = None
    repo_id: str | None = None
    license: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def emd(self) -> dict[str, Any]:
        """What the config says of the training."""
        return getattr(self.config, "emd", None) or {}

    @property
    def loss(self) -> str | None:
        """Its name."""
        return self.emd.get("loss", self.known.get("loss"))

    @property
    def facts(self) -> DataFacts:
        """What is known of the data."""
        return facts_of(self.known.get("table", ""), self.known.get("data", ""))

    @property
    def network(self) -> NetworkFacts:
        """What is known of the network; a name with an owner is one of the Hub's."""
        model = self.known.get("model", "")
        base = model if re.fullmatch(r"[\w.-]+/[\w.-]+", model) else None
        config = self.config
        kind = getattr(config, "architecture", None) or ", ".join(config.architectures or [config.model_type])
        return NETWORKS.get(model) or NetworkFacts(markdown(model or kind) or "not recorded", base)

    @property
    def is_ordered(self) -> bool:
        """Whether the classes have an order."""
        if "table" in self.known or self.is_planned:
            return self.known.get("table") != "imagenet" and "eval_top_1_error" not in self.known
        return self.loss in ("emd", "reg") or "eval_aeo" in self.known

    @property
    def licence(self) -> Licence:
        """Of the weights."""
        return licence_of(self.facts, self.network, self.license)

    @property
    def split(self) -> str | None:
        """What was tested on."""
        tested_on, folds = self.known.get("tested_on"), self.known.get("folds", 1)
        if tested_on is None or folds < 2 or "fold" not in self.known:
            return tested_on
        joint = "" if tested_on.endswith("fold") else ", fold"
        return f"{tested_on}{joint} {self.known['fold']} (of folds 0 to {folds - 1})"


def markdown(text: str) -> str:
    r"""Any text as one line of Markdown that shows it as it is, in a table too.

    >>> print(markdown("a|b *c* <d>"))
    a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$@:])", r"\\\1", " ".join(text.split()))
