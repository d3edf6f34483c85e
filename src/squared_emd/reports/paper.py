"""How the paper arranges its results, and its figures (Hou et al. 2016, Tables 1 to 5 and section 4.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BY_EPOCH = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")

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
    """How the results on one dataset are arranged."""

    number: int | None  # of the paper's table, None where the paper has none
    data_set: str
    metrics: tuple[str, ...] = ()  # of the paper's columns
    curves: tuple[str, ...] = _BY_EPOCH  # metrics that are drawn by epoch
    networks: tuple[str, ...] = ()  # the paper's, in its order
    # (Loss, variant), in the paper's order -> for each network its figures of `metrics`, in the unit that is shown.
    figures: Mapping[tuple[str, str], tuple[tuple[float, ...] | None, ...]] = field(default_factory=dict)
    paper_sdd: float | None = None  # of section 4.7

    @property
    def title(self) -> str:
        return f"Table {self.number}: {self.data_set}" if self.number else self.data_set

    def rows_of(self, network: str) -> list[tuple[str, str]]:
        """(Loss, variant) of the rows of a network for which the paper has figures."""
        column = self.networks.index(network) if network in self.networks else None
        return [row for row, figures in self.figures.items() if column is not None and figures[column]]

    def paper_figure(self, network: str, variant: str, loss: str, metric: str) -> float | None:
        """The paper's figure in the unit that is shown, or None where it has none."""
        if (loss, variant) not in self.rows_of(network) or metric not in self.metrics:
            return None
        return self.figures[loss, variant][self.networks.index(network)][self.metrics.index(metric)]


LAYOUTS: dict[str, Layout] = {
    "adience": Layout(  # the mean of five folds
        1,
        "Adience",
        ("eval_aem", "eval_aeo"),
        networks=("alxs", "vgg_f", "res", "res_f"),
        figures={
            ("xe", ""): ((53.0, 85.7), (60.9, 92.8), (58.1, 90.3), (60.1, 92.1)),
            ("reg", ""): ((49.8, 85.1), (56.5, 94.0), (57.3, 91.8), (60.8, 94.3)),
            ("emd", ""): ((57.0, 90.4), (59.2, 92.6), (61.9, 93.1), (62.2, 94.3)),
            ("xemd1", ""): ((54.2, 88.0), (60.7, 93.7), (60.2, 92.4), (61.9, 93.8)),
            ("xemd2", ""): ((54.8, 87.5), (61.1, 94.0), (60.2, 92.7), (61.5, 94.2)),
            ("a-emd", ""): ((53.9, 88.7), (60.1, 93.4), (58.7, 91.7), (59.6, 92.5)),
        },
        paper_sdd=0.0335,
    ),
    "images_of_groups": Layout(  # the first block is printed as a second RES_F and is RES
        3,
        "Images of Groups",
        ("eval_aem", "eval_aeo"),
        networks=("res", "res_f", "vgg_f"),
        figures={
            ("xe", ""): ((60.0, 91.5), (61.8, 94.2), (64.3, 95.6)),
            ("reg", ""): ((52.8, 92.2), (61.4, 95.7), (60.2, 96.6)),
            ("emd", ""): ((59.3, 92.5), (63.1, 95.3), (65.0, 96.1)),
            ("xemd1", ""): ((58.2, 91.7), (64.2, 96.1), (63.8, 95.4)),
            ("xemd2", ""): ((60.1, 93.1), (64.5, 95.8), (64.6, 96.1)),
        },
        paper_sdd=0.0164,
    ),
    "aadb": Layout(
        4,
        "AADB",
        ("eval_spearman",),
        curves=("eval_spearman",),
        networks=("res", "res_f", "vgg_f"),
        figures={
            ("xe", ""): ((0.5003,), (0.6693,), (0.6283,)),
            ("reg", ""): ((0.5235,), (0.6609,), (0.6096,)),
            ("emd", ""): ((0.5448,), (0.6768,), (0.6682,)),
            ("xemd1", ""): ((0.5370,), (0.6751,), (0.6371,)),
            ("xemd2", ""): ((0.5147,), (0.6756,), (0.6297,)),
            # Eight networks, for 3 to 10 bins. Printed as XEMD in Table 4, as EMD in its caption and in section 4.6.
            ("emd", "ensemble of 8"): (None, None, (0.6889,)),
        },
        paper_sdd=0.0184,
    ),
    "imagenet": Layout(
        5,
        "ImageNet ILSVRC 2012",
        ("eval_top_1_error", "eval_top_5_error"),
        curves=("eval_top_1_error",),
        networks=("alx", "res"),
        figures={
            ("xe", ""): ((0.435, 0.207), (0.232, 0.0657)),
            ("xemd1", ""): ((0.422, 0.202), (0.233, 0.0652)),
        },
        paper_sdd=0.00614,
    ),
    "own_data": Layout(None, "Own data", curves=(*_BY_EPOCH, "eval_top_1_error")),
    "text_ratings": Layout(None, "Texts"),
    "audio_grades": Layout(None, "Sounds"),
    "tabular": Layout(None, "Table"),
}
"""`table` in `all_results.json` -> its layout."""
