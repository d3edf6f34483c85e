"""How the paper arranges its results, and its figures (Hou et al. 2016, Tables 1 to 5 and section 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "LAYOUTS",
    "PAPER_AADB",
    "PAPER_ADIENCE",
    "PAPER_GROUND_DISTANCE",
    "PAPER_IMAGENET",
    "PAPER_IMAGES_OF_GROUPS",
    "Layout",
]


_AGES = ("eval_aem", "eval_aeo")
_FIVE_LOSSES = ("xe", "reg", "emd", "xemd1", "xemd2")

Figures = Mapping[str, Mapping[str, tuple[float, ...]]]

_TABLE_1 = {
    "xe": ((53.0, 85.7), (60.9, 92.8), (58.1, 90.3), (60.1, 92.1)),
    "reg": ((49.8, 85.1), (56.5, 94.0), (57.3, 91.8), (60.8, 94.3)),
    "emd": ((57.0, 90.4), (59.2, 92.6), (61.9, 93.1), (62.2, 94.3)),
    "xemd1": ((54.2, 88.0), (60.7, 93.7), (60.2, 92.4), (61.9, 93.8)),
    "xemd2": ((54.8, 87.5), (61.1, 94.0), (60.2, 92.7), (61.5, 94.2)),
    "a-emd": ((53.9, 88.7), (60.1, 93.4), (58.7, 91.7), (59.6, 92.5)),
}
_TABLE_3 = {
    "xe": ((60.0, 91.5), (61.8, 94.2), (64.3, 95.6)),
    "reg": ((52.8, 92.2), (61.4, 95.7), (60.2, 96.6)),
    "emd": ((59.3, 92.5), (63.1, 95.3), (65.0, 96.1)),
    "xemd1": ((58.2, 91.7), (64.2, 96.1), (63.8, 95.4)),
    "xemd2": ((60.1, 93.1), (64.5, 95.8), (64.6, 96.1)),
}
_TABLE_4 = {
    "xe": ((0.5003,), (0.6693,), (0.6283,)),
    "reg": ((0.5235,), (0.6609,), (0.6096,)),
    "emd": ((0.5448,), (0.6768,), (0.6682,)),
    "xemd1": ((0.5370,), (0.6751,), (0.6371,)),
    "xemd2": ((0.5147,), (0.6756,), (0.6297,)),
}
_TABLE_5 = {
    "xe": ((0.435, 0.207), (0.232, 0.0657)),
    "xemd1": ((0.422, 0.202), (0.233, 0.0652)),
}


def _by_network(networks: tuple[str, ...], rows: Mapping[str, tuple[tuple[float, ...], ...]]) -> dict:
    return {network: {loss: row[column] for loss, row in rows.items()} for column, network in enumerate(networks)}


PAPER_ADIENCE: dict[str, dict[str, tuple[float, float]]] = _by_network(("alxs", "vgg_f", "res", "res_f"), _TABLE_1)
"""Table 1, mean of five folds: network -> loss -> (AEM, AEO) in percent."""

PAPER_IMAGES_OF_GROUPS: dict[str, dict[str, tuple[float, float]]] = _by_network(("res", "res_f", "vgg_f"), _TABLE_3)
"""Table 3: network -> loss -> (AEM, AEO) in percent. Its first block is printed as a second RES_F and is RES."""

PAPER_AADB: dict[str, dict[str, tuple[float]]] = _by_network(("res", "res_f", "vgg_f"), _TABLE_4)
"""Table 4: network -> loss -> (Spearman's rho,)."""

PAPER_IMAGENET: dict[str, dict[str, tuple[float, float]]] = _by_network(("alx", "res"), _TABLE_5)
"""Table 5: network -> loss -> (top-1 error, top-5 error), fractions."""

PAPER_GROUND_DISTANCE: tuple[tuple[float, ...], ...] = (
    (0, 0.31, 0.67, 0.83, 0.79, 0.88, 0.93, 1.00),
    (0.31, 0, 0.31, 0.63, 0.69, 0.81, 0.87, 0.93),
    (0.67, 0.31, 0, 0.31, 0.50, 0.69, 0.74, 0.88),
    (0.83, 0.63, 0.31, 0, 0.24, 0.50, 0.62, 0.76),
    (0.79, 0.69, 0.50, 0.24, 0, 0.31, 0.56, 0.71),
    (0.88, 0.81, 0.69, 0.50, 0.31, 0, 0.37, 0.51),
    (0.93, 0.87, 0.74, 0.62, 0.56, 0.37, 0, 0.24),
    (1.00, 0.93, 0.88, 0.76, 0.71, 0.51, 0.24, 0),
)
"""Table 2: D learned by RES_F-XEMD2 on Adience, (8, 8)."""


@dataclass(frozen=True)
class Layout:
    """How the results on one dataset are arranged.

    Args:
        number: of the paper's table, None where the paper has none.
        data_set: its name.
        metrics: keys of the paper's columns.
        curves: keys of the metrics that are drawn by epoch.
        networks: the paper's, in its order.
        losses: the paper's, in its order.
        figures: network -> (loss, variant) -> the paper's figures of `metrics`, in the unit that is shown.
        paper_sdd: of section 4.7.
        is_ordered: whether the classes have an order.
    """

    number: int | None
    data_set: str
    metrics: tuple[str, ...]
    curves: tuple[str, ...]
    networks: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    figures: Mapping[str, Mapping[tuple[str, str], tuple[float, ...]]] | None = None
    paper_sdd: float | None = None
    is_ordered: bool = False

    @property
    def title(self) -> str:
        """As "Table 1: Adience"."""
        return f"Table {self.number}: {self.data_set}" if self.number else self.data_set

    def paper_figure(self, network: str, variant: str, loss: str, metric: str) -> float | None:
        """The paper's figure in the unit that is shown, or None where it has none."""
        row = (self.figures or {}).get(network, {}).get((loss, variant))
        return row[self.metrics.index(metric)] if row and metric in self.metrics else None


def _layout(number: int, data_set: str, figures: Figures, metrics: tuple[str, ...], **others: object) -> Layout:
    rows = {network: {(loss, ""): row for loss, row in losses.items()} for network, losses in figures.items()}
    for (network, *row), values in others.pop("variants", {}).items():
        rows[network][tuple(row)] = values
    given = {"curves": metrics, "networks": tuple(figures), "losses": tuple(next(iter(figures.values())))}
    return Layout(number, data_set, metrics, figures=rows, **given | others)


# Network, loss, variant: eight networks, for 3 to 10 bins. Printed as XEMD in Table 4, as EMD in its caption and 4.6.
_ENSEMBLE = {("vgg_f", "emd", "ensemble of 8"): (0.6889,)}

LAYOUTS: dict[str, Layout] = {
    "adience": _layout(1, "Adience", PAPER_ADIENCE, _AGES, paper_sdd=0.0335, is_ordered=True),
    "images_of_groups": _layout(
        3, "Images of Groups", PAPER_IMAGES_OF_GROUPS, _AGES, paper_sdd=0.0164, is_ordered=True
    ),
    "aadb": _layout(4, "AADB", PAPER_AADB, ("eval_spearman",), variants=_ENSEMBLE, paper_sdd=0.0184, is_ordered=True),
    "imagenet": _layout(
        5,
        "ImageNet ILSVRC 2012",
        PAPER_IMAGENET,
        ("eval_top_1_error", "eval_top_5_error"),
        curves=("eval_top_1_error",),
        paper_sdd=0.00614,
    ),
    "own_data": Layout(None, "Own data", metrics=(), curves=(*_AGES, "eval_top_1_error")),
    "text_ratings": Layout(None, "Texts", metrics=(), curves=_AGES, is_ordered=True),
    "audio_grades": Layout(None, "Sounds", metrics=(), curves=_AGES, is_ordered=True),
    "tabular": Layout(None, "Table", metrics=(), curves=_AGES, is_ordered=True),
}
"""`table` in `all_results.json` -> its layout."""
