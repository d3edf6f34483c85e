"""Tables of results, to be read beside the paper's (Hou et al. 2016, Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["PAPER_ADIENCE", "matrix_table", "mean_over_folds", "results_table"]

_NETWORKS = ("alxs", "vgg_f", "res", "res_f")
_PUBLISHED = {
    "xe": ((53.0, 85.7), (60.9, 92.8), (58.1, 90.3), (60.1, 92.1)),
    "reg": ((49.8, 85.1), (56.5, 94.0), (57.3, 91.8), (60.8, 94.3)),
    "emd": ((57.0, 90.4), (59.2, 92.6), (61.9, 93.1), (62.2, 94.3)),
    "xemd1": ((54.2, 88.0), (60.7, 93.7), (60.2, 92.4), (61.9, 93.8)),
    "xemd2": ((54.8, 87.5), (61.1, 94.0), (60.2, 92.7), (61.5, 94.2)),
    "a-emd": ((53.9, 88.7), (60.1, 93.4), (58.7, 91.7), (59.6, 92.5)),
}
# Adience, mean of five folds: network -> loss -> (AEM, AEO) in percent (Hou et al. 2016, Table 1).
PAPER_ADIENCE: dict[str, dict[str, tuple[float, float]]] = {
    network: {loss: figures[column] for loss, figures in _PUBLISHED.items()} for column, network in enumerate(_NETWORKS)
}

_METRICS = {"eval_aem": "AEM %", "eval_aeo": "AEO %", "eval_mae": "MAE", "eval_squared_emd": "EMD2"}


def results_table(rows: Sequence[Mapping], *, paper: Mapping[str, tuple[float, float]] | None = None) -> str:
    """Results by loss and fold as text, beside the paper's figures (after Hou et al. 2016, Table 1).

    A loss has a line per fold and, where there is more than one, their mean. The paper's figures are means over folds,
    so they stand on the last line of a loss. A loss that only `paper` has reads "not run"; "-" is a figure that does
    not exist, or a mean that would lack one of its folds.

    Args:
        rows: "loss", "fold", "eval_aem", "eval_aeo" (fractions), "eval_mae" (in classes), "eval_squared_emd"; a metric
            that is missing or None has no figure.
        paper: loss -> (AEM, AEO) in percent, such as `PAPER_ADIENCE["res_f"]`; its order is the order of the table.

    Returns:
        The table, at most 100 columns wide, without a newline at its end.

    Raises:
        ValueError: there is nothing to show, a loss has a fold twice, or AEM or AEO is not a fraction.

    >>> print(results_table([{"loss": "emd", "fold": 0, "eval_aem": 0.5, "eval_aeo": 0.875, "eval_mae": 0.75}]))
    Loss  Fold  AEM %  AEO %    MAE  EMD2
    -------------------------------------
    EMD   0      50.0   87.5  0.750     -
    """
    folds_of: dict[str, dict[object, Mapping]] = {loss: {} for loss in paper or {}}
    for row in rows:
        loss, fold = row["loss"], row["fold"]
        if fold in folds_of.setdefault(loss, {}):
            raise ValueError(f"rows must have a fold once per loss; got {loss!r}, fold {fold!r} twice; average the two")
        folds_of[loss][fold] = row
    if not folds_of:
        raise ValueError("rows must hold at least one row where no paper is given; got none; pass the results")

    columns = ["Loss", "Fold", *_METRICS.values()]
    if paper is not None:
        columns += ["paper AEM %", "paper AEO %"]
    blocks = []
    for loss, folds in folds_of.items():
        name = shown_name(loss)
        block = [[name, str(fold), *_metric_cells([row])] for fold, row in folds.items()]
        if not folds:
            block = [[name, "-", *["not run"] * len(_METRICS)]]
        if len(folds) > 1:
            block.append([name, f"mean of {len(folds)}", *_metric_cells(list(folds.values()))])
        if paper is not None:
            figures = [f"{percent:.1f}" for percent in paper.get(loss, ())] or ["-", "-"]
            block = [[*line, "-", "-"] for line in block[:-1]] + [[*block[-1], *figures]]
        blocks.append(block)
    if all(len(block) == 1 for block in blocks):
        blocks = [[block[0] for block in blocks]]
    return _aligned([[columns], *blocks], left=2)


def matrix_table(matrix: ArrayLike, class_names: Sequence[str], *, digits: int = 2, width: int = 100) -> str:
    """A ground distance matrix as text, class names on both sides (as Hou et al. 2016, Table 2).

    Where the names are too wide for the columns, the columns carry the numbers of the rows. Where the classes are too
    many, the first are shown and a last line says how many are left out. An exact zero is printed as 0.

    Args:
        matrix: (K, K) finite numbers.
        class_names: (K,) names, in the order of the rows.
        digits: decimals of a value.
        width: columns of the terminal.

    Returns:
        The table, without a newline at its end.

    Raises:
        ValueError: `matrix` is not square or not finite, or the names do not match it.

    >>> print(matrix_table([[0, 0.5], [0.5, 0]], ["cat", "dog"]))
          cat   dog
    ---------------
    cat     0  0.50
    dog  0.50     0
    """
    values = checked_matrix(matrix, class_names)
    num_classes = len(values)
    most = min(num_classes, width // 3 + 1)  # a column takes at least a gap of two and one digit
    cells = [[cell_text(value, digits) for value in row] for row in values[:most, :most]]
    columns, labels, shown = list(class_names[:most]), list(class_names[:most]), most
    cell_widths = [max(len(cell) for cell in column) for column in zip(columns, *cells, strict=True)]
    if max(map(len, labels)) + sum(cell_widths) + 2 * most > width:
        columns = [str(index) for index in range(most)]
        labels = [f"{index:>{len(columns[-1])}} {shortened(name, 20)}" for index, name in enumerate(labels)]
        column_width = 2 + max(len(columns[-1]), *(len(cell) for row in cells for cell in row))
        shown = min(most, max(1, (width - max(map(len, labels))) // column_width))
    lines = [[label, *row[:shown]] for label, row in zip(labels[:shown], cells[:shown], strict=True)]
    table = _aligned([[["", *columns[:shown]]], lines], left=1)
    left_out = num_classes - shown
    return f"{table}\nFirst {shown} of {num_classes} classes; {left_out} left out." if left_out else table


def mean_over_folds(histories: Sequence[Sequence[Mapping]]) -> list[dict[str, float]]:
    """The evaluation entries of several runs of one loss, averaged by epoch.

    Args:
        histories: the `log_history` of each run; of several entries at one epoch the first counts.

    Returns:
        One entry for each epoch that every run has, in order: "epoch", "eval_aem" and "eval_aeo" (fractions).

    Raises:
        ValueError: there is no run, or no epoch at which every run has "eval_aem" and "eval_aeo".

    >>> first = [{"epoch": 1.0, "eval_aem": 0.25, "eval_aeo": 0.5}, {"epoch": 2.0, "loss": 1.5}]
    >>> mean_over_folds([first, [{"epoch": 1.0, "eval_aem": 0.5, "eval_aeo": 1.0}]])
    [{'epoch': 1.0, 'eval_aem': 0.375, 'eval_aeo': 0.75}]
    """
    if not histories:
        raise ValueError("histories must hold at least one run; got none; pass [trainer.state.log_history]")
    runs = [entries_by_epoch(history) for history in histories]
    common = [epoch for epoch in runs[0] if all(epoch in run for run in runs)]
    if not common:
        got = "; ".join(", ".join(f"{epoch:g}" for epoch in run) or "none" for run in runs)
        raise ValueError(
            "histories must have 'eval_aem' and 'eval_aeo' at one epoch at least that is in every run; got epochs "
            f"{got}; pass the log_history of runs with eval_strategy='epoch'"
        )
    return [
        {"epoch": epoch} | {key: sum(run[epoch][key] for run in runs) / len(runs) for key in ("eval_aem", "eval_aeo")}
        for epoch in common
    ]


def entries_by_epoch(history: Sequence[Mapping]) -> dict[float, Mapping]:
    """Epoch -> its first entry with AEM and AEO, in order; a closing `trainer.evaluate()` logs the last epoch again."""
    first: dict[float, Mapping] = {}
    for entry in history:
        if {"epoch", "eval_aem", "eval_aeo"} <= entry.keys():
            first.setdefault(entry["epoch"], entry)
    return dict(sorted(first.items()))


def checked_matrix(matrix: ArrayLike, class_names: Sequence[str]) -> np.ndarray:
    """The matrix as (K, K) float64; refuses one that is not square or not finite, or does not fit the names."""
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise ValueError(f"matrix must be square, one row per class; got shape {values.shape}; pass a (K, K) matrix")
    if len(class_names) != len(values):
        raise ValueError(
            f"class_names must hold one name per row of matrix, {len(values)}; got {len(class_names)}; name each class"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        got = f"{values[row, column]} in row {row}, column {column}"
        raise ValueError(f"matrix must be finite; got {got}; set unknown distances to 0")
    return values


def _metric_cells(rows: Sequence[Mapping]) -> list[str]:
    """For each metric its mean over the rows, as text."""
    cells = []
    for key in _METRICS:
        values = [row.get(key) for row in rows]
        if None in values:
            cells.append("-")
        elif key in ("eval_aem", "eval_aeo"):
            cells.append(f"{np.mean([percent_of(key, value) for value in values]):.1f}")
        else:
            cells.append(f"{np.mean(values):.3f}")
    return cells


def percent_of(key: str, fraction: float) -> float:
    """Percent; refuses what is percent already."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"{key} must be a fraction between 0 and 1; got {fraction}; divide percent by 100")
    return 100 * fraction


def shown_name(loss: str) -> str:
    """The losses of the paper as it writes them, others as they are."""
    return loss.upper() if loss in _PUBLISHED else loss


def cell_text(value: float, digits: int) -> str:
    """A distance as text; an exact zero is 0."""
    return "0" if value == 0 else f"{value:.{digits}f}"


def shortened(name: str, limit: int) -> str:
    """A name cut to at most `limit` characters."""
    return name if len(name) <= limit else name[: limit - 3] + "..."


def _aligned(blocks: Sequence[Sequence[Sequence[str]]], left: int) -> str:
    """Blocks of lines with a rule between them; the first `left` columns are flush left, the others flush right."""
    columns = zip(*(line for block in blocks for line in block), strict=True)
    layout = "  ".join(
        f"{{:{'<' if index < left else '>'}{max(map(len, column))}}}" for index, column in enumerate(columns)
    )
    texts = [[layout.format(*line) for line in block] for block in blocks]
    rule = "\n" + "-" * len(texts[0][0]) + "\n"
    return rule.join("\n".join(block) for block in texts)
