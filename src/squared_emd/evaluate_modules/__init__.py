"""The metrics as modules of the ``evaluate`` library, over the functions of ``squared_emd.metrics``.

Each module is a class in a file of its own, with its card in ``cards/``. ``write_space`` bundles one for the Hub.
"""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import evaluate

__all__ = ["METRICS", "load_metric", "write_space"]

METRICS = {
    "expected_score_correlation": "ExpectedScoreCorrelation",
    "ordinal_accuracy": "OrdinalAccuracy",
    "quadratic_weighted_kappa": "QuadraticWeightedKappa",
    "squared_emd": "SquaredEMD",
    "top_k_error": "TopKError",
}
PACKAGE = Path(__file__).parent
REQUIREMENTS = ["evaluate>=0.4.6", "datasets>=4.0", "numpy>=2.0"]
EXTRA_REQUIREMENTS = {
    "expected_score_correlation": ["pandas>=2.0", "scipy>=1.13"],
    "squared_emd": ["pot>=0.9.5"],
}
_IMPORT = re.compile(r"^from (\.+)((?:\w+\.)*)(\w+) import", re.MULTILINE)


def load_metric(name: str, **kwargs: Any) -> evaluate.Metric:
    """A metric module of this package, as ``evaluate.load`` would give it, without a file or a network.

    Args:
        name: one of ``expected_score_correlation``, ``ordinal_accuracy``, ``quadratic_weighted_kappa``,
            ``squared_emd``, ``top_k_error``.
        **kwargs: ``config_name``, ``num_process``, ``process_id``, ``experiment_id``, ``cache_dir`` and ``timeout`` as
            ``evaluate.load`` takes them, and settings of the metric, which become the defaults of ``compute``.

    Returns:
        The metric, with ``compute``, ``add`` and ``add_batch``; ``help(metric)`` describes inputs and results.

    Raises:
        ValueError: there is no metric of this name.
        TypeError: the metric has no such setting.
        ImportError: ``evaluate`` is not installed.

    >>> load_metric("ordinal_accuracy").compute(predictions=[0, 2, 5, 1], references=[0, 1, 1, 1])["aeo"]
    0.75
    """
    _check_name(name)
    try:
        import_module("evaluate")
    except ImportError as error:
        raise ImportError(
            'load_metric needs evaluate, which is not installed: pip install "squared-emd[metrics]". '
            "The functions in squared_emd.metrics do without."
        ) from error
    return getattr(import_module(f".{name}", __package__), METRICS[name])(**kwargs)


def write_space(name: str, folder: str | Path) -> Path:
    """Writes the folder of a metric that ``evaluate.load`` takes where this package is not installed.

    It holds the module, the files of this package that it imports, ``requirements.txt``, the metric card as
    ``README.md``, and a Gradio page, ``app.py``. Files of these names are overwritten.

    Args:
        name: of the metric, as :func:`load_metric` takes it.
        folder: where to write; created where it does not exist. ``evaluate`` requires that it is called like the
            metric, or to be given the path of the module file.

    Returns:
        The folder.

    Raises:
        ValueError: there is no metric of this name.
    """
    _check_name(name)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # evaluate copies the files that the module imports, but not those that these import: the module names them all.
    sources = [PACKAGE / f"{name}.py"]
    for source in sources:
        text = source.read_text(encoding="utf-8")
        for dots, packages, module in _IMPORT.findall(text):
            imported = source.parents[len(dots) - 1].joinpath(*packages.split("."), f"{module}.py")
            if imported not in sources:
                sources.append(imported)
        (folder / source.name).write_text(_IMPORT.sub(r"from .\3 import", text), encoding="utf-8")
    app = (PACKAGE / "space_app.py").read_text(encoding="utf-8")
    app = re.sub(r"^NAME = .*$", f'NAME = "{name}"', app, flags=re.MULTILINE)
    (folder / "app.py").write_text(app, encoding="utf-8")
    shutil.copyfile(PACKAGE / "cards" / f"{name}.md", folder / "README.md")
    requirements = [*REQUIREMENTS, *EXTRA_REQUIREMENTS.get(name, [])]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    return folder


def _check_name(name: str) -> None:
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; there are {', '.join(METRICS)}.")
