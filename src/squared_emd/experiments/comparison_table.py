"""The table of a comparison: one row a network and loss, the mean and spread over its seeds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from ..metrics.names import METRICS, loss_name
from ..reports.tables import markdown_table, markdown_text, text_table
from .results import RESULTS, read_json

__all__ = ["TABLE_FILE", "write_comparison"]

TABLE_FILE = "comparison.md"
_SHOWN = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
_GENERATED = "GENERATED data, made by this program: these figures say nothing about real data."


def write_comparison(folder: str | Path) -> str:
    """Write `comparison.md` of all runs in a folder.

    Args:
        folder: the `output_dir` of a comparison.

    Returns:
        The same for the terminal.

    Raises:
        ValueError: there is no run.
    """
    files = sorted(Path(folder).glob(f"*/*/seed_*/{RESULTS}"))
    runs = [read_json(file) for file in files]
    if not runs:
        raise ValueError(f"{folder} holds no run that is done.")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        groups[run["model"], run["loss"]].append(run)
    order = list(dict.fromkeys([*("xe", "reg", "emd", "xemd1", "xemd2", "a-emd"), *(loss for _, loss in groups)]))
    rows = [["", *(METRICS[name].heading for name in _SHOWN), "validation MAE", "learning rate", "seeds"]]
    several = len({model for model, _ in groups}) > 1
    for (model, loss), group in sorted(groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        name = f"{loss_name(loss, '')}{f', {model}' if several else ''}"
        cells = [_shown(name, group) for name in (*_SHOWN, "validation_mae")]
        rates = sorted({f"{run['learning_rate']:.2g}" for run in group})
        rows.append([name, *cells, " ".join(rates), str(len(group))])
    first = runs[0]
    about = (
        f"{first['data']}: trained on {first['num_train']} rows, validated on {first['num_validation']}, tested on "
        f"{first['num_test']}, of {len(first['class_names'])} classes in the order {', '.join(first['class_names'])}."
    )
    warning = [_GENERATED] if first["stand_in"] else []
    note = "All but the column of the validation data is of the test data. ± is the sample standard deviation."
    parts = [f"# {first['comparison']}", *map(markdown_text, warning), markdown_text(about), markdown_table(rows), note]
    Path(folder, TABLE_FILE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    where = f"Written to {Path(folder, TABLE_FILE)}; each run's model lies beside it in <network>/<loss>/seed_<n>."
    return "\n\n".join([*warning, about, text_table(rows), where])


def _shown(name: str, runs: list[dict[str, Any]]) -> str:
    metric = METRICS[name.replace("validation_", "eval_")]
    values = [metric.shown(run[name]) for run in runs]
    spread = f" ± {statistics.stdev(values):.{metric.digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{metric.digits}f}{spread}"
