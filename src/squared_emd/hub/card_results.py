"""What may stand on a model card: what was measured on its weights, and makes sense."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from transformers import PretrainedConfig

from ..metrics.logs import RESULTS_FILE
from ..metrics.names import TABLES
from .run_facts import digests_of_weights

__all__ = ["believed_results", "checked_confusion_matrix", "checked_results", "without_paths"]

_AGAIN = "run the recipe again"

_IDENTITY = ("table", "data", "stand_in", "variant", "model", "loss", "class_names")  # what it is, not what it can
_TEXTS = ("table", "data", "variant", "model", "loss", "tested_on", "device", "command", "optimizer")
_COUNTS = {"num_train": 1, "num_test": 1, "batch_size": 1, "folds": 1, "fold": 0, "seed": 0}  # and the least
_NUMBERS = {  # and the greatest
    **dict.fromkeys(("eval_aem", "eval_aeo", "eval_top_1_error", "eval_top_5_error", "eval_spearman"), 1.0),
    **dict.fromkeys(("learning_rate", "entropic_strength", "epochs", "eval_score_mae"), math.inf),
    **dict.fromkeys(("sdd", "sdd_relative", "regularizer_weight", "seconds_per_step"), math.inf),
}
_OF_ORDINAL_METRICS = ("eval_aem", "eval_aeo", "eval_mae", "eval_squared_emd")
_OF_TRAINER = ("eval_loss", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_samples")
_OF_CLASSES = ("eval_mae", "eval_squared_emd")  # at most K - 1
_START = r"(?:file:/+|~?/|~\\|\.{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\)"
_PATH = re.compile(rf"'{_START}[^']*'|\"{_START}[^\"]*\"|(?<![\w:/.\\~-]){_START}(?:\\.|[^\s'\"`\\])+")


def believed_results(folder: Path, results: Mapping[str, Any] | None) -> tuple[dict[str, Any], str, str | None]:
    """What was measured on the weights in a folder.

    Args:
        folder: of the saved model.
        results: what the caller measured on these weights; None: what `all_results.json` says, if it names them.

    Returns:
        The results, not checked yet; where they are from; and why none is believed, or None. Of results that are not
        believed there is left what the run was, not what came out.

    Raises:
        ValueError: the file holds no results, or they were measured with other weights.
    """
    if results is not None:
        if results.get("weights") is not None:
            _check_weights(folder, results["weights"], "results", all_there=False)
        return dict(results), "results", None
    path = folder / RESULTS_FILE
    if not path.is_file():
        return {}, RESULTS_FILE, f"There is no {RESULTS_FILE} beside the weights."
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{RESULTS_FILE} must hold JSON; reading it gave: {error}; {_AGAIN}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{RESULTS_FILE} must hold a JSON object; got {_shortened(found)}; {_AGAIN}")
    if found.get("weights") is None:
        known = {name: found[name] for name in _IDENTITY if name in found}
        return known, RESULTS_FILE, f"{RESULTS_FILE} does not say which weights it was measured with."
    _check_weights(folder, found["weights"], RESULTS_FILE, all_there=True)
    return found, RESULTS_FILE, None


def _check_weights(folder: Path, measured: Any, where: str, *, all_there: bool) -> None:
    """Refuse results of other weights than those in the folder; only what lies there counts unless all_there."""
    if not isinstance(measured, Mapping) or not measured or not all(map(_is_text, (*measured, *measured.values()))):
        _refuse(where, "weights", "file names, each with its sha256", measured)
    found = digests_of_weights(folder)
    for name in sorted(found.keys() | measured.keys() if all_there else found):
        if found.get(name) != measured.get(name):
            raise ValueError(
                f"{where}: 'weights' must have the sha256 of the weights in the folder, {name}: "
                f"{found.get(name, 'not there')}; got {measured.get(name, 'none')}; they were measured with other "
                f"weights: test these, or {_AGAIN}"
            )


def checked_results(results: Mapping[str, Any], config: PretrainedConfig, where: str = "results") -> dict[str, Any]:
    """Results in which every figure makes sense and none contradicts another or the config.

    Args:
        results: of a run, as `all_results.json` has them.
        config: saved with the weights.
        where: the results' name in an error.

    Returns:
        What a card may show: name -> value. What is null or absent is left out, as is every name a card does not know.
        `others` are the finite figures of a script that does not measure what `ordinal_metrics` does, under its names.
        `class_names` is always there; local paths in texts are replaced by DIR. `confusion_matrix` is (K, K) int64.

    Raises:
        ValueError: a figure is NaN, infinite, no number or out of its range; classes, loss or confusion matrix do not
            agree.
    """
    names = _class_names(results, config, where)
    largest = {**_NUMBERS, **dict.fromkeys(_OF_CLASSES, max(len(names) - 1.0, 0) if names else math.inf)}
    known: dict[str, Any] = {}

    results = dict(results)
    if "table" not in results and not set(_OF_ORDINAL_METRICS) <= results.keys():
        # of a script of one's own: the same names may mean something else there
        own = [name for name in results if name.startswith("eval_") and name not in _OF_TRAINER]
        values = {name.removeprefix("eval_"): results.pop(name) for name in own}
        known["others"] = {name: float(value) for name, value in values.items() if _is_number(value)}

    def take(name: str, fits: Callable[[Any], bool], must: str) -> None:
        value = results.get(name)
        if value is None:
            return
        if not fits(value):
            _refuse(where, name, f"{must}, or null", value)
        known[name] = without_paths(value) if isinstance(value, str) else value

    for name in _TEXTS:
        take(name, _is_text, "text")
    for name, least in _COUNTS.items():
        take(name, lambda value, least=least: _is_number(value, least) and isinstance(value, Integral), _count(least))
    for name, greatest in largest.items():
        least = -1.0 if name == "eval_spearman" else 0.0
        must = f"a finite number, {least:g} or more" if greatest == math.inf else f"a number, {least:g} to {greatest:g}"
        take(name, lambda value, least=least, greatest=greatest: _is_number(value, least, greatest), must)
    take("stand_in", lambda value: isinstance(value, bool), "true or false")
    take("versions", _is_versions, "names of packages, each with a version")
    if "versions" in known:
        known["versions"] = {name: without_paths(version or "") for name, version in known["versions"].items()}
    if known.get("table", "own_data") not in TABLES:
        _refuse(where, "table", f"one of {', '.join(TABLES)}", known["table"])
    if known.get("fold", 0) >= known.get("folds", math.inf):
        _refuse(where, "fold", f"less than 'folds', {known['folds']}", known["fold"])
    if known.get("eval_aeo", 1) < known.get("eval_aem", 0) - 1e-6:
        _refuse(where, "eval_aeo", f"at least 'eval_aem', {known['eval_aem']}", known["eval_aeo"])
    loss = _checked_loss(getattr(config, "emd", None) or {}, len(names))
    if loss is not None and known.get("loss", loss) != loss:
        _refuse(where, "loss", f"that of the config, {loss!r}", known["loss"])
    if results.get("confusion_matrix") is not None:
        counts = results["confusion_matrix"]
        known["confusion_matrix"] = checked_confusion_matrix(counts, len(names), known, where)
    return known | {"class_names": names}


def _checked_loss(emd: Mapping[str, Any], num_classes: int) -> str | None:
    """The loss of a config whose numbers make sense."""
    for name in ("omega", "mu", "regularizer_weight", "entropic_strength", "sdd"):
        if emd.get(name) is not None and not _is_number(emd[name]):
            _refuse("config.json", f"emd.{name}", "a finite number, or null", emd[name])
    scores = emd.get("scores")
    if scores is not None and not (len(scores) == (num_classes or len(scores)) and all(map(_is_number, scores))):
        _refuse("config.json", "emd.scores", "a finite number for each class, or null", scores)
    return emd.get("loss")


def without_paths(text: str) -> str:
    """A text whose local paths are replaced by DIR.

    >>> without_paths("python train.py --data_dir /home/me/faces --model timm/resnet18")
    'python train.py --data_dir DIR --model timm/resnet18'
    """
    return _PATH.sub("DIR", text)


def _class_names(results: Mapping[str, Any], config: PretrainedConfig, where: str) -> list[str]:
    """Of the config; of a regression, whose config has none, those of the results."""
    given = results.get("class_names") or []
    if not isinstance(given, (list, tuple)) or not all(map(_is_text, given)):
        _refuse(where, "class_names", "a list of names, or null", given)
    saved = [str(config.id2label[index]) for index in sorted(config.id2label)]
    if len(saved) == 1:
        return list(given)
    if given and list(given) != saved:
        _refuse(where, "class_names", f"those of the config, {_shortened(saved)}", given)
    return saved


def checked_confusion_matrix(
    counts: ArrayLike, num_classes: int, results: Mapping[str, Any], where: str = "results"
) -> np.ndarray:
    """A confusion matrix that agrees with the figures measured beside it.

    Args:
        counts: (K, K) whole numbers, row: the true class, column: the predicted one.
        num_classes: K.
        results: of these, `num_test`, `eval_aem`, `eval_aeo` and `eval_top_1_error` are compared where they are there.
        where: the results' name in an error.

    Returns:
        (K, K) int64.

    Raises:
        ValueError: these are no counts, or they do not agree to 1e-6.

    >>> checked_confusion_matrix([[2, 1], [0, 1]], 2, {"num_test": 4, "eval_aem": 0.75}).tolist()
    [[2, 1], [0, 1]]
    """
    try:
        values = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    fits = values.shape == (num_classes, num_classes) and bool(np.all((values >= 0) & (values == np.floor(values))))
    if not fits or not 0 < values.sum() < math.inf:
        _refuse(where, "confusion_matrix", f"{num_classes} rows of {num_classes} counts, not all 0", counts)
    total = values.sum()
    apart = np.abs(np.subtract.outer(np.arange(num_classes), np.arange(num_classes)))  # (K, K)
    found = {
        "num_test": ("sum", total),
        "eval_aem": ("share on the diagonal", values.trace() / total),
        "eval_aeo": ("share on and beside the diagonal", values[apart <= 1].sum() / total),
        "eval_mae": ("mean distance from the diagonal", (values * apart).sum() / total),
        "eval_top_1_error": ("share off the diagonal", 1 - values.trace() / total),
    }
    for name, (what, value) in found.items():
        if results.get(name) is not None and abs(results[name] - value) > 1e-6:
            _refuse(where, "confusion_matrix", f"one whose {what} is {name!r}, {results[name]:.10g}", float(value))
    return values.astype(np.int64)


def _is_number(value: Any, least: float = -math.inf, greatest: float = math.inf) -> bool:
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and math.isfinite(value) and least - 1e-6 <= value <= greatest + 1e-6


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_versions(value: Any) -> bool:
    is_mapping = isinstance(value, Mapping)
    return is_mapping and all(_is_text(name) and (v is None or _is_text(v)) for name, v in value.items())


def _count(least: int) -> str:
    return f"a whole number, {least} or more"


def _refuse(where: str, name: str, must: str, got: Any) -> None:
    raise ValueError(f"{where}: {name!r} must be {must}; got {_shortened(got)}; {_AGAIN}")


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
